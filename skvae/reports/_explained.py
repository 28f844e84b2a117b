"""What makes one row or one image anomalous."""

import numbers

import numpy as np
import pandas as pd

from skvae._files import write_bytes
from skvae.reports._judged import as_seen, judge, map_caveat, rows_at
from skvae.reports._pictures import image_pictures, row_picture


def explained(detector, X, name=None, *, gaps=None, names=None, picture=None):
    """Explain one row or image of X.

    Parameters
    ----------
    detector : fitted detector
    X : DataFrame, ndarray or ImageFolder
    name : str, default=None
        Of the row, file or image. None takes the one with the highest score.
    gaps, names
        As in `judge`.
    picture : path-like, default=None
        PNG file to write.

    Returns
    -------
    explanation : dict
        As JSON takes it: name, anomaly_score, threshold, is_anomaly, of a row ``features``: a dict
        for each, the largest error first, and ``note``: what is to be known of the error map, or
        None.
    """
    judged = judge(detector, X, gaps=gaps, names=names)
    line = _line(judged, name)
    rows = rows_at(X, judged.positions[[line]])
    own = str(judged.table[judged.key].iloc[line])
    score = float(judged.table["anomaly_score"].iloc[line])
    is_image = holds_images(detector, X)
    if picture is not None:
        _write(picture, detector, rows, own, is_image)
    return {
        "name": own,
        "anomaly_score": score,
        "threshold": detector.threshold_,
        "is_anomaly": score > detector.threshold_,
        "features": None if is_image else features_of(detector, rows)[0],
        "note": map_caveat(detector, "image" if is_image else "row") or None,
    }


def holds_images(detector, X):
    """Whether X holds images, and not rows of a table."""
    return X.ndim > 2 or getattr(detector, "image_shape", None) is not None


def features_of(detector, rows):
    """For each row a list of its features, those of the largest errors in its error map first.

    The share is that of all positive errors of the row.
    """
    values = np.asarray(rows)
    columns = feature_names(rows)
    seen = as_seen(detector, rows)
    errors, expected = np.asarray(detector.error_map(seen)), np.asarray(detector.reconstruct(seen))
    shares = np.maximum(errors, 0)
    shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return [
        [
            {
                "feature": columns[j],
                "value": _as_json(values[i, j]),
                "expected": _as_json(expected[i, j]),
                "error_map": float(errors[i, j]),
                "share": float(shares[i, j]),
            }
            for j in np.argsort(-errors[i], kind="stable")
        ]
        for i in range(len(values))
    ]


def _as_json(value):
    """A cell as JSON takes it: a number, or text for all else; None where it is missing."""
    if pd.isna(value):
        return None
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    return float(value) if is_number else str(value)


def feature_names(rows):
    """Names of the columns; x0, x1, ... where they have none."""
    columns = list(getattr(rows, "columns", range(rows.shape[1])))
    return [each if isinstance(each, str) else f"x{each}" for each in columns]


def _line(judged, name):
    """Position of the line of that name; of the highest score where there is none."""
    if name is None:
        if not len(judged.most_anomalous):
            raise ValueError("nothing could be judged, so there is nothing to explain.")
        return int(judged.most_anomalous[0])
    found = np.flatnonzero(judged.table[judged.key].astype(str).to_numpy() == name)
    if not len(found):
        shown = ", ".join(map(str, judged.table[judged.key].head(5)))
        hint = " --index COLUMN takes the names of a column." if judged.key == "row" else ""
        raise ValueError(f"no {judged.key} is named {name!r}; the first are {shown}.{hint}")
    line = int(found[0])
    if not judged.is_judged[line]:
        raise ValueError(f"{name} cannot be judged: {judged.table['reason'].iloc[line]}.")
    return line


def _write(path, detector, rows, name, is_image):
    if is_image:
        drawn, _, _ = next(image_pictures(detector, rows, [""]))
    else:
        errors = np.asarray(detector.error_map(as_seen(detector, rows)))
        drawn = row_picture(detector, name, errors[0], feature_names(rows))
    write_bytes(path, drawn)
