"""What is done to rows before a network sees them: magnitude, scale, device."""

import numpy as np
import torch
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, StandardScaler

SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler}
# Squares of larger numbers, added up, leave float32.
LARGEST_VALUE = 1e15


def fit_scaler(scaler, X):
    """Fit the transformer that ``scaler`` names or is on ``X``; None stays None."""
    if scaler is None:
        return None
    fitted = SCALERS[scaler]() if isinstance(scaler, str) else clone(scaler)
    fitted.fit(X)
    shape = np.shape(fitted.transform(X[:2]))
    if shape != (2, X.shape[1]):
        raise ValueError(
            f"scaler={scaler!r} makes {shape[-1]} columns of {X.shape[1]}; a scaler must keep the "
            "columns. Put other transformers before the detector in a Pipeline."
        )
    return fitted


def scaled(X, scaler, device):
    """Rows as the network takes them: scaled in the precision of ``X``, then float32."""
    x = X if scaler is None else scaler.transform(X)
    return torch.as_tensor(np.asarray(x, dtype=np.float32), device=device)


def check_magnitude(values, X, names):
    """Refuse what float32 cannot hold, naming the column; ``values`` are ``X``, raw or scaled."""
    if float(abs(values).max()) <= LARGEST_VALUE:
        return
    values = np.abs(np.asarray(values, dtype=np.float64))
    row, column = np.unravel_index(np.argmax(values), values.shape)
    name = f"column {column}" if names is None else f"column {names[column]!r}"
    raise ValueError(
        f"{name} holds {X[row, column]:.4g} ({values[row, column]:.4g} as the network sees it), "
        f"which is beyond {LARGEST_VALUE:g} and too large for float32. Remove such values, or "
        "transform the column, for example by its logarithm."
    )


def resolve_device(device):
    """The torch device that ``device`` names; "auto" is a GPU where there is one."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device={str(device)!r} cannot be used here; 'auto' takes a GPU where there is one, "
            "else 'cpu'."
        ) from error
    return device
