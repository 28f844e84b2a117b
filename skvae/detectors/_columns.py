"""Columns of a DataFrame as rows of float64, and these as rows of `MixedAutoencoder`; and back.

Two steps, because what a table holds is known before its rows are split, and what the network is
told of it, scales and frequencies, is learned of the rows that are trained on:

    DataFrame --`Columns.read`--> float64, one a cell, nan = missing --`Encoding.encode`--> float32

A date is its number of days since 1970, a category its code, -1 where training did not have it.
"""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

FROM_DTYPE = "from_dtype"
KINDS = ("number", "boolean", "date", "category")
DAY = pd.Timedelta(days=1)
# From 1970 on, and back: what pandas can write in nanoseconds.
MOST_DAYS = 106_000
# Kinds of object columns, by what `infer_dtype` finds in them; others are categories.
_OF_OBJECTS = {
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "datetime64": "date",
    "datetime": "date",
    "date": "date",
    "empty": "number",
}


# Text of so many rows, a larger share of which is all different, names rows.
MIN_NAMES, MOST_DISTINCT = 20, 0.9
DATE_FORMATS = ("ISO8601", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")


class Columns(NamedTuple):
    """Kind of each column, and the sorted categories of those that have some.

    Attributes
    ----------
    kinds : list of str
        Each of ``KINDS``.
    categories : list of ndarray
        Of str objects or of float64; empty for other kinds.
    """

    kinds: list
    categories: list

    @classmethod
    def of(cls, frame, categorical_features):
        """Columns of a frame.

        Raises
        ------
        ValueError
            If a column is of no such kind, or ``categorical_features`` names none.
        """
        from_dtype = isinstance(categorical_features, str) and categorical_features == FROM_DTYPE
        named = None if from_dtype else categorical_features
        is_named = _is_named(frame, named)
        kinds, categories = [], []
        for i, (name, column) in enumerate(frame.items()):
            kind = "category" if is_named[i] else _kind(name, column)
            if kind == "category" and not is_named[i] and not from_dtype:
                raise ValueError(
                    f"column {name!r} holds text or categories, but categorical_features does not "
                    "name it: name it, drop it, or convert it to numbers."
                )
            kinds.append(kind)
            categories.append(np.unique(_values(column)) if kind == "category" else np.empty(0))
        return cls(kinds, categories)

    def read(self, frame):
        """Rows of a frame, float64 of shape (n_samples, n_columns).

        Raises
        ------
        ValueError
            If a column does not hold what it held in training; infinities too.
        """
        rows = np.empty(frame.shape)
        columns = zip(frame.items(), self.kinds, self.categories, strict=True)
        for i, ((name, column), kind, categories) in enumerate(columns):
            if column.isna().all():  # of whatever type
                rows[:, i] = np.nan
                continue
            try:
                rows[:, i] = _READ[kind](column, categories)
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(
                    f"column {name!r} is a {kind} column, but what it holds cannot be read as "
                    f"such: {error}"
                ) from error
            if np.isinf(rows[:, i]).any():
                raise ValueError(
                    f"column {name!r} holds infinity; nan would be a missing value, and a number "
                    "must be finite."
                )
        return rows

    def frame(self, rows, index=None, names=None):
        """Frame of rows; a category's code becomes the category."""
        columns = zip(rows.T, self.kinds, self.categories, strict=True)
        columns = [_WRITE[kind](values, categories) for values, kind, categories in columns]
        frame = pd.DataFrame(dict(enumerate(columns)), index=index)
        if names is not None:
            frame.columns = names
        return frame


def warn_of_text(frame, columns):
    """Warn of columns of text, taken for categories, that are names of rows, numbers or dates."""
    for (name, column), categories in zip(frame.items(), columns.categories, strict=True):
        is_text = categories.dtype == object and not isinstance(column.dtype, pd.CategoricalDtype)
        if is_text and len(categories):
            found = _other_than_categories(name, categories, column.notna().sum())
            if found:
                warnings.warn(f"column {name!r} {found}", UserWarning, stacklevel=2)


def _other_than_categories(name, texts, n_known):
    """What is wrong with a column of such distinct texts, and the remedy; None if nothing is."""
    column, example = f"X[{name!r}]", f"such as {texts[0]!r}, which are taken for categories"
    meant = f"or, where categories are meant, say so: {column} = {column}.astype('category')."
    if np.isfinite(pd.to_numeric(pd.Series(texts), errors="coerce")).all():
        remedy = f"{column} = pd.to_numeric({column})"
        return f"holds numbers stored as text, {example}: convert them, {remedy}, {meant}"
    for layout in DATE_FORMATS:
        if _are_dates(texts, layout):
            remedy = f"{column} = pd.to_datetime({column}, format={layout!r})"
            return f"holds dates stored as text, {example}: convert them, {remedy}, {meant}"
    if n_known >= MIN_NAMES and len(texts) > MOST_DISTINCT * n_known:
        return (
            f"holds {len(texts)} different texts in {n_known} rows, as names do, and as categories "
            f"they say nothing of other rows: drop it, or X = X.set_index({name!r}), {meant}"
        )
    return None


def _are_dates(texts, layout):
    def dates(some):
        return pd.to_datetime(some, format=layout, errors="coerce", utc=True)

    return pd.notna(dates(texts[:1])).all() and pd.notna(dates(texts)).all()


def _is_named(frame, given):
    """Mask of the columns that ``categorical_features`` names, by name, position or mask."""
    n = frame.shape[1]
    if given is None:
        return np.zeros(n, dtype=bool)
    given = np.asarray(given)
    if given.dtype.kind in "US" or given.dtype == object:
        unknown = sorted(set(given.tolist()) - set(frame.columns), key=str)
        if unknown:
            raise ValueError(f"categorical_features names {unknown}, which X has no columns of.")
        return frame.columns.isin(given.tolist())
    if given.dtype == bool:
        if given.shape != (n,):
            raise ValueError(
                f"categorical_features is a mask of shape {given.shape}, but X has {n} columns."
            )
        return given
    if given.ndim != 1 or (given.size and (given.min() < 0 or given.max() >= n)):
        raise ValueError(
            f"categorical_features={given.tolist()} must be positions from 0 to {n - 1}."
        )
    mask = np.zeros(n, dtype=bool)
    mask[given.astype(int)] = True
    return mask


def _kind(name, column):
    dtype = column.dtype
    if types.is_bool_dtype(dtype) and not isinstance(dtype, pd.CategoricalDtype):
        return "boolean"
    if types.is_complex_dtype(dtype):
        raise ValueError(f"Complex data not supported: column {name!r} holds complex numbers.")
    if types.is_numeric_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "date"
    if types.is_object_dtype(dtype):
        return _OF_OBJECTS.get(types.infer_dtype(column[column.notna()]), "category")
    if isinstance(dtype, pd.CategoricalDtype) or types.is_string_dtype(dtype):
        return "category"
    raise ValueError(
        f"column {name!r} is of the type {dtype}, which is none of numbers, booleans, dates, text "
        "and categories: convert it."
    )


def _values(column):
    """Known values of a column of categories, as float64 where they are numbers, else as text."""
    known = column[column.notna()].astype(object)
    if types.infer_dtype(known) in ("integer", "floating", "mixed-integer-float"):
        return known.to_numpy(dtype=np.float64)
    return known.map(str).to_numpy(dtype=object)


def _read_number(column, _):
    if types.is_datetime64_any_dtype(column.dtype):
        raise TypeError("it holds dates")
    return pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)


def _read_boolean(column, _):
    values = _read_number(column, _)
    wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
    if wrong.any():
        raise ValueError(f"it holds {values[wrong][0]:g}")
    return values


def _read_date(column, _):
    if types.is_numeric_dtype(column.dtype):
        raise TypeError("it holds numbers")
    dates = pd.to_datetime(column)
    if dates.dt.tz is not None:
        dates = dates.dt.tz_localize(None)  # what the clock showed
    return ((dates - pd.Timestamp(0)) / DAY).to_numpy(dtype=np.float64, na_value=np.nan)


def _read_category(column, categories):
    known = column.notna().to_numpy()
    codes = np.full(len(column), np.nan)
    if categories.dtype == object:
        values = column[known].astype(object).map(str)
    else:
        values = pd.to_numeric(column[known].astype(object), errors="coerce")
    codes[known] = pd.Index(categories).get_indexer(values)
    return codes


_READ = {
    "number": _read_number,
    "boolean": _read_boolean,
    "date": _read_date,
    "category": _read_category,
}
_WRITE = {
    "number": lambda values, _: values,
    "boolean": lambda values, _: values > 0.5,
    "date": lambda values, _: pd.Timestamp(0) + np.clip(values, -MOST_DAYS, MOST_DAYS) * DAY,
    "category": lambda values, categories: categories[values.astype(int)],
}
