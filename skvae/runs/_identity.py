"""What makes two fits the same: detector, parameters, version, rows and initial weights."""

import hashlib
import json
from importlib.metadata import version

import numpy as np
import torch

ROWS_AT_ONCE = 256
# It changes nothing but what is shown.
SHOWS_ONLY = "verbose"


def described_detector(detector):
    """Class, version of skvae and parameters of a detector, by name, as JSON has them."""
    parameters = detector.get_params(deep=False)
    del parameters[SHOWS_ONLY]
    about = {"class": type(detector).__name__, "version": version("skvae")}
    return about | described_value(parameters)


def described_value(value):
    """A parameter as JSON has it; objects by their class and parameters, functions by their name.

    Equal for what is equal, in every process; what has no parameters is known by its class alone.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): described_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [described_value(each) for each in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, torch.device):
        return str(value)
    if hasattr(value, "__qualname__"):  # a class or a function
        return f"{value.__module__}.{value.__qualname__}"
    described = {"class": described_value(type(value))}
    if hasattr(value, "get_params"):
        described["parameters"] = described_value(value.get_params(deep=False))
    return described


def described_training(net, rows):
    """What a net begins with, by name: rows, labels, rows that stop it early, and its weights."""
    _, rows_to_stop = net.get_split_datasets(rows, None)
    described = {"training rows": _described_rows(rows)}
    if rows_to_stop is not None:
        described["validation rows"] = _described_rows(rows_to_stop.X)
    if net._has_known or net._n_pushed:
        described["labels"] = _digest(net._labels)
    return described | {"initial weights": _digest(net.module_.state_dict().values())}


def _described_rows(rows):
    shape = " x ".join(map(str, rows.shape))
    starts = range(0, len(rows), ROWS_AT_ONCE)
    return f"{shape}, {_digest(rows[start : start + ROWS_AT_ONCE] for start in starts)}"


def _digest(parts):
    """Digest of tensors or arrays, one after another."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        state.update(np.ascontiguousarray(torch.as_tensor(part).cpu().numpy()))
    return state.hexdigest()


def check_same(folder, stored, now):
    """Compare two descriptions; an error says what differs."""
    names = [name for name in {**stored, **now} if stored.get(name) != now.get(name)]
    if names:
        found = "; ".join(
            f"{name} is {_shown(stored.get(name))} there and {_shown(now.get(name))} here"
            for name in names
        )
        raise ValueError(
            f"{folder} holds another fit, which this one cannot go on with: {found}. Use another "
            "folder, or delete this one."
        )


def _shown(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
