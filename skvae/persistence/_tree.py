"""Fitted state as a tree of JSON values, whose arrays stand beside it, and back.

None, booleans, numbers, strings and lists stand for themselves. All else is an object of one key,
which says what its value is: ``{"array": ["score_.scores.0.means_", null]}``.
"""

import math

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import NearestNeighbors

from skvae.persistence._classes import OPTIMIZERS, PARTS, RECORDS, with_state
from skvae.persistence._file import INT64, Refused
from skvae.training import Autoencoder

NUMBERS = ("bool", *(f"{sign}int{n}" for sign in ("", "u") for n in (8, 16, 32, 64)))
NUMBERS = (*NUMBERS, "float16", "float32", "float64")
LAST_CODE_POINT = 0x10FFFF
# What arrays may take, a byte of the file: what `Encoder` wrote takes two or three.
MAX_BYTES_PER_BYTE = 8


class NotStorable(ValueError):
    """A value that a model file cannot hold, and the path to it."""

    def __init__(self, path, value):
        self.path = path
        kind = type(value)
        super().__init__(f"{path} holds {value!r:.100} of {kind.__module__}.{kind.__qualname__}")


class Encoder:
    """Values to trees; collects the arrays that they hold.

    Attributes
    ----------
    members : list of Autoencoder
        What scores that hold one refer to.
    arrays : dict of str to ndarray
        By the path of the attribute that held them first.
    """

    def __init__(self):
        self.members = []
        self.arrays = {}
        self._seen = {}

    def encode(self, value, path):
        """The tree of a value."""
        if value is None or type(value) is bool:
            return value
        if isinstance(value, str):
            return str(value)  # numpy's strings are strings of a class of their own
        if type(value) is int and value in INT64:
            return value
        for kinds, encode in self._encoders:
            if type(value) in kinds:
                return encode(self, value, path)
        if isinstance(value, np.generic) and value.dtype.name in NUMBERS:
            return {"number": [value.dtype.name, self.encode(value.item(), path)]}
        if isinstance(value, type) and OPTIMIZERS.get(value.__name__) is value:
            return {"optimizer": value.__name__}
        name = type(value).__name__
        if PARTS.get(name) is type(value):
            return {"part": [name, self.attributes(vars(value), f"{path}.")]}
        if RECORDS.get(name) is type(value):
            return {"record": [name, self.attributes(value._asdict(), f"{path}.")]}
        raise NotStorable(path, value)

    def attributes(self, state, prefix):
        """The trees of the values of a dict; their paths begin with the prefix."""
        for key in state:
            if type(key) is not str:
                raise NotStorable(prefix, key)
        return {key: self.encode(each, prefix + key) for key, each in state.items()}

    def _float(self, value, path):
        return value if math.isfinite(value) else {"float": repr(value)}

    def _list(self, value, path):
        return [self.encode(each, f"{path}.{i}") for i, each in enumerate(value)]

    def _tuple(self, value, path):
        return {"tuple": self._list(value, path)}

    def _slice(self, value, path):
        return {"slice": self._list((value.start, value.stop, value.step), path)}

    def _dict(self, value, path):
        return {"dict": self.attributes(value, f"{path}.")}

    def _array(self, value, path):
        if value.dtype.kind == "U":
            native = value.astype(value.dtype.newbyteorder("="))
            return {"text": self._stored(native[..., None].view(np.uint32), path, value)}
        if value.dtype.kind == "O" and value.ndim == 1:
            return {"objects": self._list(value.tolist(), path)}
        return {"array": self._stored(value, path, value)}

    def _tensor(self, value, path):
        try:
            array = value.detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:
            raise NotStorable(path, value) from error
        return {"tensor": self._stored(array, path, value)}

    def _stored(self, array, path, source):
        """Name of the array in the file, and the order of its axes in memory if it is unusual.

        Sums and products round by that order. A source that is held twice is stored once.
        """
        if array.dtype.name not in NUMBERS:
            raise NotStorable(path, source)
        order = None
        if not array.flags.c_contiguous:
            order = np.argsort([-stride for stride in array.strides], kind="stable").tolist()
        if id(source) not in self._seen:
            while path in self.arrays:  # keys of dicts may hold dots
                path += "."
            self._seen[id(source)] = path, source  # kept, so that no other object has its id
            array = array if order is None else array.transpose(order)
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            self.arrays[path] = np.asarray(native, order="C")
        name, _ = self._seen[id(source)]
        return [name, order]

    def _table(self, value, path):
        columns = [
            [str(name), self.encode(column.to_numpy(), f"{path}.{name}")]
            for name, column in value.items()
        ]
        index = None if isinstance(value.index, pd.RangeIndex) else value.index.to_numpy()
        return {"table": [self.encode(index, f"{path}.index"), columns]}

    def _random_state(self, value, path):
        state = value.get_state(legacy=False)
        if state["bit_generator"] != "MT19937":
            raise NotStorable(path, value)
        return {"random_state": self._list(value.get_state()[1:], path)}

    def _neighbors(self, value, path):
        alike = NearestNeighbors(n_neighbors=value.n_neighbors, algorithm="brute")
        if value.get_params() != alike.get_params():
            raise NotStorable(path, value)
        return {"neighbors": [value.n_neighbors, self.encode(value._fit_X, f"{path}.rows")]}

    def _autoencoder(self, value, path):
        for i, member in enumerate(self.members):
            if value is member or _same_weights(value, member):
                return {"member": i}
        raise NotStorable(path, value)

    _encoders = (
        ((float,), _float),
        ((list,), _list),
        ((tuple,), _tuple),
        ((slice,), _slice),
        ((dict,), _dict),
        ((np.ndarray, np.memmap), _array),
        ((torch.Tensor, torch.nn.Parameter), _tensor),
        ((pd.DataFrame,), _table),
        ((np.random.RandomState,), _random_state),
        ((NearestNeighbors,), _neighbors),
        ((Autoencoder,), _autoencoder),
    )


def _same_weights(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=False)
    return all(a == b and torch.equal(u, v) for (a, u), (b, v) in pairs)


class Decoder:
    """Trees back to values.

    Parameters
    ----------
    stored : StoredModel
    device : torch.device
        Where tensors go. Those of float64 stay with the CPU as arrays do: networks compute in
        float32, and what scores compute in float64 they compute there.

    Attributes
    ----------
    members : list of Autoencoder
        What scores that hold one refer to; set before these are decoded.
    used : set of str
        Names of the arrays that were read.
    """

    def __init__(self, stored, device):
        self.stored = stored
        self.device = device
        self.members = []
        self.used = set()
        self._made = {}
        self._bytes_left = MAX_BYTES_PER_BYTE * stored.n_bytes

    def decode(self, tree):
        """The value of a tree."""
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return tree
        if isinstance(tree, list):
            values = [self.decode(each) for each in tree]
            for each in values:
                self._count(each)  # because a list may be made one array
            return values
        ((kind, content),) = tree.items()
        if kind not in self._decoders:
            raise Refused(f"its header holds {kind[:80]!r}, which skvae does not know.")
        return self._decoders[kind](self, content)

    def attributes(self, tree):
        """A dict by the trees of its values."""
        return {key: self.decode(each) for key, each in tree.items()}

    def _count(self, value):
        """Refuse the file once its arrays take far more memory than it has bytes.

        A few letters of the header can ask for another copy of its largest array.
        """
        self._bytes_left -= getattr(value, "nbytes", 0)
        if self._bytes_left < 0:
            raise Refused(f"its arrays take more than {MAX_BYTES_PER_BYTE} times its length.")

    def _float(self, text):
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[text]

    def _number(self, content):
        name, value = content
        if name not in NUMBERS:
            raise Refused(f"its header holds a number of the type {str(name)[:80]!r}.")
        return np.dtype(name).type(self.decode(value))

    def _array(self, content):
        return self._once("array", content, lambda array: array.copy())

    def _tensor(self, content):
        return self._once("tensor", content, self._on_device)

    def _on_device(self, array):
        # A copy, because how products round may depend on where in memory a tensor begins.
        tensor = torch.as_tensor(array).clone()
        return tensor if tensor.dtype == torch.float64 else tensor.to(self.device)

    def _once(self, kind, content, make):
        """What was held twice is made once."""
        name, order = content
        key = kind, name, str(order)
        if key not in self._made:
            array = self._read(name)
            self._count(array)
            values = make(array)
            if order is not None:
                inverse = np.argsort(order).tolist()
                if sorted(order) != list(range(array.ndim)):
                    raise Refused(f"array {name!r} has no axes {order}.")
                values = values.transpose(inverse) if kind == "array" else values.permute(inverse)
            self._made[key] = values
        return self._made[key]

    def _read(self, name):
        array = self.stored.array(name)
        if array.dtype.name not in NUMBERS:
            raise Refused(f"array {name!r} is of the type {array.dtype.name}.")
        self.used.add(name)
        return array

    def _text(self, content):
        name, _ = content
        return self._once("text", [name, None], self._of_code_points)

    def _of_code_points(self, codes):
        if codes.dtype != np.uint32 or codes.max(initial=0) > LAST_CODE_POINT:
            raise Refused("one of its arrays holds no text.")
        return codes.copy().view(f"<U{codes.shape[-1]}")[..., 0]

    def _objects(self, content):
        values = np.empty(len(content), dtype=object)
        values[:] = self.decode(content)
        return values

    def _table(self, content):
        index, columns = content
        columns = {name: self.decode(column) for name, column in columns}
        for name, column in columns.items():
            if not isinstance(column, np.ndarray) or column.ndim != 1:
                raise Refused(f"the column {str(name)[:80]!r} of a table is none.")
            self._count(column)
        return pd.DataFrame(columns, index=self.decode(index))

    def _random_state(self, content):
        random_state = np.random.RandomState()
        random_state.set_state(("MT19937", *self.decode(content)))
        return random_state

    def _neighbors(self, content):
        n_neighbors, rows = self.decode(content)
        return NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(rows)

    def _member(self, i):
        return self.members[range(len(self.members))[i]]

    def _part(self, content):
        name, state = content
        return with_state(name, self.attributes(state))

    def _record(self, content):
        name, fields = content
        return RECORDS[name](**self.attributes(fields))

    _decoders = {
        "float": _float,
        "number": _number,
        "slice": lambda self, content: slice(*self.decode(content)),
        "tuple": lambda self, content: tuple(self.decode(content)),
        "dict": attributes,
        "array": _array,
        "tensor": _tensor,
        "text": _text,
        "objects": _objects,
        "table": _table,
        "random_state": _random_state,
        "neighbors": _neighbors,
        "member": _member,
        "optimizer": lambda self, name: OPTIMIZERS[name],
        "part": _part,
        "record": _record,
    }
