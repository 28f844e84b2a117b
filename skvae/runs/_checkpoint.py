"""A training between two epochs as one file, in the form of model files."""

import json
import math

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save

from skvae._files import write_bytes
from skvae.persistence._file import INT64, opened, write

SECTIONS = {"detector", "training", "state"}
NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64}


def write_checkpoint(path, content):
    """Write a dict of nested dicts, lists and tuples of tensors and scalars; whole or not at all.

    Its keys are those of ``SECTIONS``.
    """
    arrays = {}
    write(path, _packed(content, arrays), arrays)


def read_checkpoint(path):
    """What `write_checkpoint` wrote.

    Raises
    ------
    ValueError
        If the file is not, to the bit, what was written.
    """
    try:
        with opened(path) as stored:
            content = _unpacked(stored.model, stored)
        if not isinstance(content, dict) or set(content) != SECTIONS:
            raise ValueError("it is none that fit_in_folder wrote.")
        return content
    except (OSError, SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint: {error} Put a copy of it back; or use another "
            "folder, and the training begins anew."
        ) from error


def write_weights(path, module, about):
    """Write the state_dict of a module, with the dict ``about`` as JSON in the header."""
    tensors = {name: value.detach().contiguous() for name, value in module.state_dict().items()}
    write_bytes(path, save(tensors, {"about": json.dumps(about)}))


def _packed(value, arrays):
    """``value`` as JSON has it: what JSON has not is an object of one key, which says what it is.

    The arrays of its tensors go to the dict ``arrays``.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, torch.Tensor):
        return {"tensor": _stored(value.detach().cpu().numpy(), arrays)}
    if isinstance(value, list):
        return _packed_list(value, arrays)
    if isinstance(value, tuple):
        return {"tuple": [_packed(each, arrays) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(k, arrays), _packed(v, arrays)] for k, v in value.items()]}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def _packed_list(values, arrays):
    """A list; one of numbers of a kind is an array, because the header has room for few."""
    values = [each.item() if isinstance(each, np.generic) else each for each in values]
    kinds = {type(each) for each in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind in NUMBERS and (kind is not int or all(each in INT64 for each in values)):
        return {"numbers": _stored(np.array(values, dtype=NUMBERS[kind]), arrays)}
    return [_packed(each, arrays) for each in values]


def _stored(array, arrays):
    name = f"{len(arrays):06d}"
    arrays[name] = np.ascontiguousarray(array)
    return name


def _unpacked(value, stored):
    if isinstance(value, list):
        return [_unpacked(each, stored) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return torch.as_tensor(stored.array(content).copy())
    if kind == "numbers":
        return stored.array(content).tolist()
    if kind == "float":
        return float(content)
    if kind == "tuple":
        return tuple(_unpacked(content, stored))
    return {_unpacked(k, stored): _unpacked(v, stored) for k, v in content}
