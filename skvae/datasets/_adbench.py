"""The tabular benchmark data sets of ADBench, read from npz files."""

import re
import zipfile
from pathlib import Path

import numpy as np

from skvae.datasets._home import get_data_home


def load_adbench(name_or_path, data_home=None):
    """Load one ADBench data set.

    Parameters
    ----------
    name_or_path : str or path-like
        The path of an npz file with the arrays ``X`` and ``y``; or a name, such as
        ``"29_Pima"`` or ``"Pima"``, of a file in the folder ``adbench`` of the
        data home.
    data_home : str or path-like, default=None
        The data home; see :func:`get_data_home`.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
        The rows, as they are stored.
    y : ndarray of shape (n_samples,), int64
        1 = anomaly, 0 = normal.

    Raises
    ------
    FileNotFoundError
        If no such file exists; the message says where it was looked for.
    ValueError
        If the file is no npz file, lacks ``X`` or ``y``, or they do not fit together.

    See Also
    --------
    iter_adbench : All of a folder.
    skvae.studies.adbench : Compares detectors on them.

    References
    ----------
    Han, Hu, Huang, Jiang, Zhao (2022), ADBench: anomaly detection benchmark, NeurIPS,
    arXiv:2206.09426.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skvae.datasets import load_adbench
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/1_made.npz", X=np.eye(3), y=[0, 0, 1])
    ...     X, y = load_adbench(f"{folder}/1_made.npz")
    >>> X.shape, y
    ((3, 3), array([0, 0, 1]))
    """
    return _read(_find(name_or_path, data_home))


def iter_adbench(folder=None, data_home=None):
    """Go through every npz file of a folder, in the order of their numbers.

    Parameters
    ----------
    folder : str or path-like, default=None
        The folder; None means ``adbench`` in the data home.
    data_home : str or path-like, default=None
        The data home; see :func:`get_data_home`.

    Yields
    ------
    name : str
        The name of the file without its ending, such as ``"29_Pima"``.
    X : ndarray of shape (n_samples, n_features), float64
        The rows.
    y : ndarray of shape (n_samples,), int64
        1 = anomaly, 0 = normal.

    Raises
    ------
    FileNotFoundError
        If the folder is missing or holds no npz file.
    ValueError
        If a file cannot be read; see :func:`load_adbench`.

    See Also
    --------
    load_adbench : One of them.

    References
    ----------
    Han, Hu, Huang, Jiang, Zhao (2022), ADBench: anomaly detection benchmark, NeurIPS,
    arXiv:2206.09426.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from skvae.datasets import iter_adbench
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("2_second", "10_last"):
    ...         np.savez(f"{folder}/{name}.npz", X=np.eye(3), y=[0, 0, 1])
    ...     for name, X, y in iter_adbench(folder):
    ...         print(name, X.shape, y.mean().round(2))
    2_second (3, 3) 0.33
    10_last (3, 3) 0.33
    """
    for path in adbench_files(folder, data_home):
        X, y = _read(path)
        yield path.stem, X, y


def adbench_files(folder=None, data_home=None):
    """List the npz files of a folder, in the order of their numbers."""
    folder = Path(folder) if folder is not None else get_data_home(data_home) / "adbench"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}: name a folder of ADBench npz files, or put them into the folder "
            "'adbench' of the data home (the environment variable SKVAE_DATA names it)"
        )
    files = sorted(folder.glob("*.npz"), key=_number_first)
    if not files:
        raise FileNotFoundError(f"no .npz file in {folder}")
    return files


def _number_first(path):
    number = re.match(r"\d+", path.stem)
    return (int(number.group()) if number else float("inf"), path.stem)


def _find(name_or_path, data_home):
    path = Path(name_or_path)
    if path.is_file():
        return path
    if path.suffix == ".npz" or path.parent != Path("."):
        raise FileNotFoundError(f"no data file {path}")
    files = adbench_files(None, data_home)
    for file in files:
        if str(name_or_path) in (file.stem, file.stem.partition("_")[2]):
            return file
    known = ", ".join(file.stem for file in files)
    raise FileNotFoundError(f"no data set {name_or_path!r} in {files[0].parent}; found {known}")


def _read(path):
    # Pickled arrays are refused: loading one would run code out of a data file.
    try:
        # The file is opened here, because np.load leaves one open that proves to be broken.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a readable npz file ({error})") from error
    missing = [key for key in ("X", "y") if key not in arrays]
    if missing:
        found = ", ".join(arrays) or "none"
        raise ValueError(f"{path} lacks the array {' and '.join(missing)}; it has: {found}")
    return _checked(arrays["X"], arrays["y"], path)


def _checked(X, y, path):
    if X.ndim != 2 or y.shape != (len(X),):
        raise ValueError(
            f"{path}: X must have the shape (rows, columns) and y one label a row; "
            f"found {X.shape} and {y.shape}"
        )
    labels = np.unique(y)
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"{path}: y must hold 0 (normal) and 1 (anomaly); found {labels[:5]}")
    return X.astype(np.float64), y.astype(np.int64)
