"""The file: a safetensors file with one entry of metadata, whose digest covers all that it says."""

import hashlib
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from skvae._files import replacing

FORMAT = 1
ENTRY = "skvae"
# What a header says takes memory before anything else can be checked; real ones are far smaller.
MAX_HEADER_BYTES = 4 << 20
INT64 = range(-(2**63), 2**63)


class Refused(ValueError):
    """What is wrong with a file, in words that follow its name."""


def write(path, model, arrays):
    """Write a model, of JSON values, and its arrays; whole or not at all."""
    digest = _digest(model, sorted(arrays.items()))
    entry = {"format": FORMAT, "sha256": digest, "model": model}
    data = save(arrays, {ENTRY: json.dumps(entry, allow_nan=False)})
    n_bytes = _header_bytes(data[:8])
    if n_bytes > MAX_HEADER_BYTES:
        raise ValueError(
            f"The header of a model file holds at most {MAX_HEADER_BYTES >> 20} MB, but this "
            f"model needs {n_bytes / 2**20:.1f} MB: it has very many networks, or lists in place "
            "of arrays."
        )
    with replacing(path) as file:
        file.write(data)


def is_model_file(path):
    """Whether a file is one of `write`, whole or not, by its header alone."""
    try:
        with safe_open(path, framework="np") as file:
            return ENTRY in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


@contextmanager
def opened(path):
    """Open a model file as `StoredModel`; arrays are read when they are asked for."""
    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(8)
    n_bytes = path.stat().st_size
    if len(start) < 8 or _header_bytes(start) > min(MAX_HEADER_BYTES, n_bytes - 8):
        if start[:1] == b"\x80" or start[:4] == b"PK\x03\x04":
            raise Refused(
                "it is a pickle or a torch checkpoint, which can run code when it is loaded; "
                "skvae.load reads files that skvae.save wrote."
            )
        raise Refused("it is no safetensors file, or it was cut off.")
    with safe_open(path, framework="np") as file:
        yield StoredModel(file, n_bytes)


class StoredModel:
    """What an open file holds.

    Attributes
    ----------
    model : JSON value
    names : set of str
        Of the arrays.
    n_bytes : int
        Of the file.
    """

    def __init__(self, file, n_bytes):
        self._file = file
        self.n_bytes = n_bytes
        self.names = set(file.keys())
        metadata = file.metadata() or {}
        if set(metadata) != {ENTRY}:
            raise Refused("it is a safetensors file, but none that skvae.save wrote.")
        entry = _parsed(metadata[ENTRY])
        if not isinstance(entry, dict) or "format" not in entry:
            raise Refused("its header is no model's.")
        if entry["format"] != FORMAT:
            raise Refused(
                f"it has format {str(entry['format'])[:20]}, and this version of skvae reads "
                f"{FORMAT}: update skvae."
            )
        if set(entry) != {"format", "sha256", "model"}:
            raise Refused("its header is no model's.")
        self.model = entry["model"]
        self._check_digest(entry["sha256"])

    def array(self, name):
        """Read an array."""
        if name not in self.names:
            raise Refused(f"array {str(name)[:80]!r} is missing.")
        return self._file.get_tensor(name)

    def _check_digest(self, expected):
        arrays = ((name, self.array(name)) for name in sorted(self.names))
        if _digest(self.model, arrays) != expected:
            raise Refused("its content does not match its digest: the file was damaged.")


def _header_bytes(start):
    return int.from_bytes(start, "little")


def _digest(model, arrays):
    digest = hashlib.sha256(json.dumps(model, allow_nan=False).encode())
    for name, array in arrays:
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _parsed(text):
    return json.loads(
        text,
        parse_int=_bounded_int,
        parse_constant=_no_constant,
        object_pairs_hook=_distinct,
    )


def _bounded_int(text):
    if len(text) > 20 or int(text) not in INT64:
        raise Refused("a number of its header is too large.")
    return int(text)


def _no_constant(text):
    raise Refused(f"{text} in its header is no JSON.")


def _distinct(pairs):
    if len(dict(pairs)) < len(pairs):
        raise Refused("a name stands twice in its header.")
    return dict(pairs)
