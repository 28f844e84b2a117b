"""Tables from CSV, Parquet and npz files: numbers, names of rows, labels."""

import csv
import difflib
import lzma
import re
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from skvae._optional import require

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq", ".npz")
# A column of which a larger share is no number holds text, and not numbers with some blemishes.
MOST_TEXT = 0.5

_CSV_ERRORS = (
    csv.Error,
    pd.errors.ParserError,
    pd.errors.ParserWarning,
    pd.errors.EmptyDataError,
)
# What zipfile says of archives that are cut, damaged, encrypted or packed in some other way.
_NPZ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
)


def load_table(
    path,
    *,
    drop=(),
    index=None,
    label=None,
    normal=None,
    header=None,
    columns=None,
    kinds=None,
):
    r"""Read a table of numbers, or of mixed kinds, keeping the names of its rows and columns.

    Parameters
    ----------
    path : str or path-like
        A CSV file (.csv, .tsv or .txt; separated by commas, semicolons or tabs), a Parquet file
        (.parquet or .pq) or an npz file with an array ``X``, and ``y`` if there are labels.
    drop : sequence of str, default=()
        Columns to leave out.
    index : str, default=None
        Column with the names of the rows. None numbers the rows from 0, or takes the index that a
        Parquet file has.
    label : str, default=None
        Column with the labels. None takes ``y`` of an npz file, and none else.
    normal : str, default=None
        The label that means normal; all others mean an anomaly. None keeps the labels as they are.
    header : bool, default=None
        Whether the first line of a CSV file holds the names of the columns. None takes it for
        names, and asks where all of them are numbers.
    columns : sequence of str, default=None
        The columns to take, in this order; the others are left out. Where the file names none,
        these are the names of its columns. None takes all.
    kinds : "infer" or sequence of str, default=None
        For `MixedVAEDetector`, which takes text, booleans, dates and empty cells: "infer" keeps
        columns as they are, and makes numbers of columns that mostly hold some, and dates of text
        like 2024-12-31; a fitted detector's ``column_kinds_`` reads each column as in its training.
        None takes numbers alone.

    Returns
    -------
    table : Bunch
        ``data`` : DataFrame of float64 or ndarray
            A row for each row of the file; NaN where a cell holds no number; with ``kinds``,
            columns of several types. Columns without names are numbered from 0. Where an npz file
            holds more than two dimensions, the array as it is.
        ``target`` : ndarray of shape (n_samples,) or None
            The labels; bool, True for an anomaly, where ``normal`` is given.
        ``left_out`` : list of str
            Columns that were neither asked for nor dropped.
        ``gaps`` : dict of int to str
            Position of each row with a cell that is no number, and which cell that is; with
            ``kinds``, of those with a cell that is not empty and cannot be read.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If the file is no table, a column holds text, a named column does not exist, or a label is
        missing where ``normal`` is given.

    See Also
    --------
    skvae.reports.write_report : Judges a table, and takes its ``gaps``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skvae.datasets import load_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "people.csv"
    ...     _ = file.write_text("name,age,income\nAnn,31,\nBob,44,2100\n")
    ...     table = load_table(file, index="name")
    >>> table.data
          age  income
    name
    Ann  31.0     NaN
    Bob  44.0  2100.0
    >>> table.gaps
    {0: "column 'income' is empty"}
    """
    path = Path(path)
    frame, target = _read(path, header)
    if isinstance(frame, np.ndarray):
        _refuse_names(path, drop, index, label)
        return Bunch(data=frame, target=_labels(target, normal, path), left_out=[], gaps={})
    is_named = not pd.api.types.is_integer_dtype(frame.columns)
    frame.columns = [str(name) for name in frame.columns]
    for name in (*drop, *(each for each in (index, label) if each is not None)):
        _check_has(frame, name, path)
    if label is not None:
        target = frame[label].to_numpy()
    if index is not None:
        frame = frame.set_index(index)
    frame = frame.drop(columns=[name for name in (*drop, label) if name in frame.columns])
    left_out = []
    if columns is not None:
        columns = [str(name) for name in columns]
        if not is_named and len(columns) == frame.shape[1]:
            frame.columns = columns
        _check_has_all(frame, columns, path)
        left_out = [name for name in frame.columns if name not in set(columns)]
        frame = frame[columns]
    if not frame.shape[1] or not len(frame):
        raise ValueError(f"{path} has no rows or no columns that are left to use.")
    data, gaps = _numbers(frame, path) if kinds is None else _of_kinds(frame, kinds, path)
    if columns is None and not is_named:
        data.columns = range(data.shape[1])
    target = _labels(target, normal, path, data.index)
    return Bunch(data=data, target=target, left_out=left_out, gaps=gaps)


def _read(path, header):
    """The table as it stands in the file, and the labels of an npz file."""
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise ValueError(f"{path} is no table: its name must end in {', '.join(TABLE_SUFFIXES)}.")
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}.")
    if suffix == ".npz":
        return _read_npz(path)
    if suffix in (".parquet", ".pq"):
        require("pyarrow", extra="cli", what="Reading Parquet files")
        try:
            return pd.read_parquet(path, engine="pyarrow"), None
        except (ValueError, OSError) as error:  # pyarrow's own errors are both
            raise ValueError(f"{path} is no Parquet file that can be read: {error}") from error
    return _read_csv(path, header), None


def _read_csv(path, header):
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline(1 << 20)
        separator = max(",;\t", key=re.sub('"[^"]*"', "", first).count)
        names = next(csv.reader([first], delimiter=separator), [])
        if header is None and names and all(map(_is_number, names)):
            raise ValueError(
                f"The first line of {path} holds nothing but numbers: {first.strip()[:60]!r}. Put "
                "names of the columns above it, or say whether it holds them (--header, "
                "--no-header; in Python header=True, header=False)."
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it says that data are lost
            return pd.read_csv(
                path,
                sep=separator,
                header=None if header is False else 0,
                encoding="utf-8-sig",
                index_col=False,  # else lines that are too long would shift the columns
                low_memory=False,
            )
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}.") from error
    except _CSV_ERRORS as error:
        raise ValueError(f"{path} is no CSV file that can be read: {error}") from error


def _read_npz(path):
    try:
        with open(path, "rb") as file, _npz(file) as arrays:
            names = list(arrays)
            name = "X" if "X" in names or len(names) != 1 else names[0]
            if name not in names:
                raise ValueError(f"it holds no array X, but {', '.join(names) or 'nothing'}")
            X = np.asarray(arrays[name])  # a member that is no array comes as bytes
            y = np.asarray(arrays["y"]) if "y" in names else None
    except _NPZ_ERRORS as error:
        raise ValueError(f"{path} cannot be used: {error}.") from error
    if X.ndim < 2 or X.dtype.kind not in "fiub":
        raise ValueError(
            f"{path} cannot be used: X must hold rows of numbers, but has the shape {X.shape} and "
            f"the type {X.dtype}."
        )
    if y is not None and y.shape != X.shape[:1]:
        raise ValueError(f"{path} cannot be used: y has the shape {y.shape} for {len(X)} rows.")
    return (pd.DataFrame(X) if X.ndim == 2 else X), y


def _npz(file):
    arrays = np.load(file, allow_pickle=False)
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError("it is no npz file, but a single array; np.savez(path, X=X) makes one")
    return arrays


def _refuse_names(path, drop, index, label):
    if drop or index is not None or label is not None:
        raise ValueError(f"{path} holds images: they have no columns to drop, or to take names of.")


def _numbers(frame, path):
    """The columns as float64, and of each row with a gap where it is."""
    data, gaps, no_numbers = {}, {}, {}
    for name, column in frame.items():
        numbers, example = _as_numbers(column)
        if example is not None:
            no_numbers[name] = example
            continue
        for row in np.flatnonzero(~np.isfinite(numbers)):
            cell = column.iloc[row]
            gap = "is empty" if pd.isna(cell) else f"holds {str(cell)!r}"
            gaps.setdefault(int(row), f"column {name!r} {gap}")
        data[name] = numbers
    if no_numbers:
        raise ValueError(_refused(no_numbers, path))
    return pd.DataFrame(data, index=frame.index), dict(sorted(gaps.items()))


def _of_kinds(frame, kinds, path):
    """The columns, each read as its kind, and of each row with a cell that is none where it is."""
    if isinstance(kinds, str):
        kinds = [_kind(column) for _, column in frame.items()]
    if len(kinds) != frame.shape[1]:
        raise ValueError(f"{path} has {frame.shape[1]} columns, but {len(kinds)} are needed.")
    data, gaps = {}, {}
    for (name, column), kind in zip(frame.items(), kinds, strict=True):
        data[name] = column
        if kind == "number":
            numbers = pd.to_numeric(column, errors="coerce")
            data[name] = numbers.astype("float64").replace([np.inf, -np.inf], np.nan)
        elif kind == "date" and not pd.api.types.is_datetime64_any_dtype(column):
            data[name] = _as_dates(column)
        for row in np.flatnonzero(data[name].isna() & column.notna()):
            gaps.setdefault(int(row), f"column {name!r} holds {str(column.iloc[row])!r}")
    return pd.DataFrame(data, index=frame.index), dict(sorted(gaps.items()))


def _kind(column):
    """What a column is to be read as, "number" or "date"; None where it stays as it is."""
    known = column[column.notna()]
    has_kind = isinstance(column.dtype, pd.CategoricalDtype) or not len(known)
    if has_kind or pd.api.types.infer_dtype(known) == "boolean":
        return None
    if _as_numbers(column)[1] is None:
        return "number"
    is_text = pd.api.types.infer_dtype(known) == "string"
    return "date" if is_text and _as_dates(known).notna().all() else None


def _as_dates(column):
    dates = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def _as_numbers(column):
    """A column as float64; or, where it holds none, an example of what it holds."""
    n_filled = int(column.notna().sum())
    if n_filled == 0:
        return None, "nothing"
    if pd.api.types.is_datetime64_any_dtype(column):
        return None, str(column.dropna().iloc[0])
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    is_text = np.isnan(numbers) & column.notna().to_numpy()
    if is_text.sum() > MOST_TEXT * n_filled:
        return None, repr(str(column.iloc[int(np.argmax(is_text))])[:40])
    return numbers, None


def _refused(no_numbers, path):
    """What to do about columns that hold no numbers; a value of each is given."""
    shown = [f"{name!r} holds {example}" for name, example in no_numbers.items()]
    more = f", and {len(shown) - 5} more" if len(shown) > 5 else ""
    quoted = [f"{name!r}" if " " in name else name for name in no_numbers]
    drop = " ".join(f"--drop {name}" for name in quoted)
    have_commas = any(
        _is_number(e.strip("'").replace(".", "").replace(",", ".")) for e in no_numbers.values()
    )
    need = "need a decimal point, not a comma" if have_commas else "are needed"
    return (
        f"numbers {need}, but of the columns of {path} {', '.join(shown[:5])}{more}. Leave "
        f"out what is of no use ({drop}); take one for the names of the rows (--index {quoted[0]}) "
        f"or for labels (--label {quoted[-1]}); or turn text into numbers first, such as one "
        "column of 0 and 1 for each value."
    )


def _labels(target, normal, path, rows=None):
    """The labels, True for an anomaly where ``normal`` names those that are none."""
    if target is None or normal is None:
        if normal is not None:
            raise ValueError(
                f"normal {normal!r} is a label, but there are no labels: say which column holds "
                "them (--label COLUMN; in Python label=)."
            )
        return target
    is_empty = np.array([pd.isna(label) or not str(label).strip() for label in target], bool)
    if is_empty.any():
        first = int(is_empty.argmax())
        raise ValueError(
            f"{is_empty.sum()} of {len(target)} rows of {path} have no label, the first of them "
            f"row {first if rows is None else rows[first]}, so whether they are normal is not "
            "known: fill the labels in, or take the rows out of the file."
        )
    names = np.array([_label_name(label) for label in target])
    if normal not in names:
        found = ", ".join(sorted(set(names.tolist()))[:8])
        raise ValueError(f"no row has the label {normal!r} that is normal; the labels are {found}.")
    return names != normal


def _label_name(label):
    """A label as it is typed: 1, not 1.0, which an empty cell in the column makes of it."""
    is_whole = isinstance(label, float) and label.is_integer()
    return str(int(label)) if is_whole else str(label)


def _check_has(frame, name, path):
    if name not in frame.columns:
        raise ValueError(f"{path} has no column {name!r}{_meant(name, frame.columns)}.")


def _check_has_all(frame, columns, path):
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        shown = ", ".join(map(repr, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{path} lacks {len(missing)} of the {len(columns)} columns that are needed: {shown}"
            f"{_meant(missing[0], frame.columns)}."
        )


def _meant(name, names):
    close = difflib.get_close_matches(name, list(names), 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    shown = ", ".join(map(repr, list(names)[:8]))
    return f"; it has {shown}{', ...' if len(names) > 8 else ''}"


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True
