"""What is done to rows before a network sees them: magnitude, scale, device."""

import threading
from contextlib import contextmanager
from numbers import Integral

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_array, validate_data
from threadpoolctl import threadpool_limits

SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler}
# Squares of larger numbers, added up, leave float32.
LARGEST_VALUE = 1e15


@contextmanager
def naming_the_column(X):
    """Add to an error about the values of ``X`` the first column that holds a bad one."""
    try:
        yield
    except (TypeError, ValueError) as error:
        bad = _first_bad_column(X)
        if bad is None:
            raise
        raise type(error)(f"{error}\nThe first such value stands in column {bad!r}.") from error


def _first_bad_column(X):
    if not isinstance(X, pd.DataFrame):
        if not isinstance(X, (np.ndarray, list)) or np.ndim(X) != 2 or 0 in np.shape(X):
            return None
        X = pd.DataFrame(X)
    for name, column in X.items():
        numbers = pd.to_numeric(column, errors="coerce")
        if np.iscomplexobj(numbers):
            return name
        if not np.isfinite(numbers.to_numpy(dtype=np.float64, na_value=np.nan)).all():
            return name
    return None


class _OneThread:
    """Limit numerical libraries to one thread, for as long as any fit of the process runs.

    The limits of threadpoolctl are the process's, so fits in several Python threads share one: the
    first sets it, the last takes it back. Each alone would restore what another had set. torch has
    its own, and a copy of the product library that threadpoolctl does not see.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_inside = 0
        self._here = threading.local()

    def __enter__(self):
        with self._lock:
            if self._n_inside == 0:
                self._limits = threadpool_limits(1)
            self._n_inside += 1
            vars(self._here).setdefault("n_torch", []).append(torch.get_num_threads())
            torch.set_num_threads(1)

    def __exit__(self, *exception):
        with self._lock:
            torch.set_num_threads(self._here.n_torch.pop())
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limits.restore_original_limits()


one_thread = _OneThread()


@contextmanager
def unchanged_if_it_fails(estimator):
    """A fit that fails half way leaves the estimator as it was."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


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
    # Writable, because torch warns of memory that it could not write to; row by row, because sums
    # round by the order in memory, which is another in a DataFrame.
    return torch.as_tensor(np.require(x, np.float32, "CW"), device=device)


def check_magnitude(values, X, names):
    """Refuse what float32 cannot hold, naming the column; ``values`` are ``X``, raw or scaled."""
    if float(abs(values).max()) <= LARGEST_VALUE:
        return
    values = np.abs(values.cpu().numpy() if torch.is_tensor(values) else values)
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


def taken(X, rows):
    """Rows of ``X`` by their sorted indices; ``X`` itself, and no copy, where these are all.

    Of images on disk they stay there.
    """
    if len(rows) == len(X):
        return X
    return X.subset(rows) if hasattr(X, "subset") else X[rows]


def validated_table(estimator, X, reset, ensure_all_finite):
    """X with its names and numbers of columns and rows checked; training takes 2 rows at least.

    A DataFrame stays as it is, and what its cells hold is not checked; anything else becomes an
    array, whose numbers ``ensure_all_finite`` is about.
    """
    at_least = 2 if reset else 1
    if isinstance(X, pd.DataFrame):
        of_its_shape = np.broadcast_to(np.float32(0), X.shape)
        check_array(of_its_shape, ensure_min_samples=at_least, estimator=estimator, input_name="X")
        return validate_data(estimator, X, reset=reset, skip_check_array=True)
    return validate_data(
        estimator,
        X,
        reset=reset,
        dtype=None,
        ensure_all_finite=ensure_all_finite,
        ensure_min_samples=at_least,
    )


def shape_of(X):
    """Shape of an array-like."""
    return tuple(X.shape) if hasattr(X, "shape") else np.asarray(X).shape


def sizes(given):
    """One size, or several, as a tuple."""
    return (given,) if isinstance(given, Integral) else tuple(given)


def spread_rows(n, most):
    """Indices of at most so many of n rows, spread evenly from the first to the last."""
    return np.unique(np.linspace(0, n - 1, most).astype(int))


def holds_sizes(sizes):
    """Whether ``sizes`` is an integer of at least 1, or a sequence of such."""
    sizes = np.atleast_1d(np.asarray(sizes, dtype=object))
    return all(isinstance(size, Integral) and size >= 1 for size in sizes)
