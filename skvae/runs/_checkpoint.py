"""A training between two epochs as one file: tensors as safetensors, all else as JSON."""

import hashlib
import json

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from skvae._files import replacing

FORMAT = "1"


def write_checkpoint(path, content):
    """Write nested dicts, lists and tuples of tensors and scalars, whole or not at all."""
    tensors = {}
    header = json.dumps(_packed(content, tensors))
    metadata = {"format": FORMAT, "content": header, "digest": _digest_of_all(header, tensors)}
    with replacing(path) as file:
        file.write(save(tensors, metadata))


def read_checkpoint(path):
    """What `write_checkpoint` wrote.

    Raises
    ------
    ValueError
        If the file is not, to the bit, what was written, or not by this version.
    """
    remedy = "Put a copy of it back; or delete it, and the training begins anew."
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies, because the file may be replaced while they are in use.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged: {error}. {remedy}") from error
    if metadata.get("format", FORMAT) != FORMAT:
        raise ValueError(
            f"{path} has the format {metadata['format']}, but this version of skvae reads {FORMAT}:"
            " go on with the version that wrote it, or use another folder."
        )
    header = metadata.get("content", "")
    if metadata.get("digest") != _digest_of_all(header, tensors):
        raise ValueError(f"{path} is damaged: its content is not what was written. {remedy}")
    return _unpacked(json.loads(header), tensors)


def write_weights(path, module, about):
    """Write the state_dict of a module, with the dict ``about`` as JSON in the header."""
    tensors = {name: value.detach().contiguous() for name, value in module.state_dict().items()}
    with replacing(path) as file:
        file.write(save(tensors, {"about": json.dumps(about)}))


def digest(parts):
    """Digest of strings, tensors and arrays, one after another."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, str):
            state.update(part.encode())
        else:
            state.update(np.ascontiguousarray(torch.as_tensor(part).detach().cpu().numpy()))
    return state.hexdigest()


def _digest_of_all(header, tensors):
    return digest([header, *(tensors[name] for name in sorted(tensors))])


def _packed(value, tensors):
    """``value`` as JSON has it; its tensors go to the dict ``tensors``."""
    if isinstance(value, torch.Tensor):
        name = f"{len(tensors):06d}"
        tensors[name] = value.detach().contiguous()
        return {"tensor": name}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_packed(each, tensors) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(k, tensors), _packed(v, tensors)] for k, v in value.items()]}
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value, tensors):
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_unpacked(k, tensors): _unpacked(v, tensors) for k, v in content}
    values = [_unpacked(each, tensors) for each in content]
    return values if kind == "list" else tuple(values)
