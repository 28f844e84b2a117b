"""Scores and verdicts of many rows or images, in bounded memory, a line for each of them."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import get_tags
from tqdm.auto import tqdm

from skvae.base._input import LARGEST_VALUE
from skvae.datasets import ImageFolder
from skvae.detectors import SlidingWindowDetector
from skvae.metrics import anomaly_labels, is_of_few, known_labels
from skvae.thresholds import Conformal, Percentile

ROWS_AT_ONCE = 8192
IMAGES_AT_ONCE = 256
# What else stands in a line of the report: an index of such a name cannot have a column.
RESERVED = {"group", "anomaly_score", "is_anomaly", "p_value", "error", "reason", "picture"}


class Judged(NamedTuple):
    """What a detector makes of rows or images.

    Attributes
    ----------
    table : DataFrame
        A line for each input, in the order of their names or rows: its name, its group if there
        are groups, anomaly_score, is_anomaly, error, reason. The last two are empty for what was
        judged, and those before them for what was not. p_value stands behind is_anomaly where the
        threshold was set on rows that were held out, as ``detector.p_values`` gives it.
    positions : ndarray of int
        Where each line stands in X; -1 for a file that was skipped.
    most_anomalous : ndarray of int
        Lines that were judged, those of the highest scores first.
    """

    table: pd.DataFrame
    positions: np.ndarray
    most_anomalous: np.ndarray

    @property
    def key(self):
        """Name of the column of names: "file", "image", "row" or the name of an index."""
        return self.table.columns[0]

    @property
    def is_judged(self):
        return self.table["error"].eq("").to_numpy()

    @property
    def judged_positions(self):
        """Where in X stands what was judged, in the order of the lines."""
        return self.positions[self.is_judged]

    @property
    def scores(self):
        """Scores of what was judged, in the order of the lines."""
        return self.table["anomaly_score"].to_numpy()[self.is_judged]


def check_can_judge(detector):
    """Refuse detectors of series, whose rows depend on each other, and those without error maps."""
    if isinstance(detector, SlidingWindowDetector):
        raise ValueError(
            "A SlidingWindowDetector scores points of a series by those beside them, and a report "
            "judges rows one by one: use its methods in Python."
        )
    if not hasattr(detector, "error_map"):
        raise ValueError(
            f"No report can be made of a {type(detector).__name__}, which has no error map of "
            "columns: use its methods in Python."
        )


def labels_of(y):
    """Labels as floats: 1 for an anomaly, 0 for a normal row, nan where a few labels leave it open.

    Raises
    ------
    ValueError
        If they are none of {+1, -1}, {0, 1}, bool, and {-1, 0, +1} with 0 for unknown.
    """
    if not is_of_few(y):
        return anomaly_labels(y).astype(np.float64)
    labels = known_labels(y)
    return np.select([labels == -1, labels == 1], [1.0, 0.0], np.nan)


def judge(detector, X, groups=None, gaps=None, names=None, verbose=0):
    """Score X in parts and decide.

    Parameters
    ----------
    detector : fitted detector
    X : DataFrame, ndarray or ImageFolder
    groups : array-like of shape (n_samples,), default=None
        A word for each row or image, such as its class.
    gaps : dict of int to str, default=None
        Positions of rows of a table that cannot be judged, and why; those with values that are not
        finite, or too large, are added, but missing ones only where the detector takes none.
    names : sequence of str, default=None
        Of the images or rows of an array.
    verbose : int
        1 shows a progress bar.

    Raises
    ------
    ValueError
        As `check_can_judge`.
    """
    check_can_judge(detector)
    key, names = _names(X) if names is None else ("name", list(names))
    if len(names) != len(X):
        raise ValueError(f"There are {len(names)} names for {len(X)} rows or images.")
    lines = pd.DataFrame({key: names})
    if groups is not None:
        lines["group"] = np.asarray(groups).astype(str)
    gaps = _gaps(detector, X) | (gaps or {})
    lines["anomaly_score"] = _scores(detector, X, sorted(set(range(len(X))) - set(gaps)), verbose)
    lines["error"] = ["unusable" if i in gaps else "" for i in range(len(X))]
    lines["reason"] = [gaps.get(i, "") for i in range(len(X))]
    positions = np.arange(len(X))
    problems = X.problems if isinstance(X, ImageFolder) else []
    if problems:
        skipped = pd.DataFrame({key: [file for file, _ in problems], "error": "unreadable"})
        skipped["reason"] = [reason for _, reason in problems]
        lines = pd.concat([lines, skipped], ignore_index=True)
        order = np.argsort(lines[key].to_numpy().astype(str), kind="stable")
        lines = lines.iloc[order].reset_index(drop=True)
        positions = np.r_[positions, np.full(len(problems), -1)][order]
    scores = lines["anomaly_score"].to_numpy()
    is_anomaly = pd.array(scores > detector.threshold_, dtype="boolean")
    is_anomaly[np.isnan(scores)] = pd.NA
    lines.insert(lines.columns.get_loc("anomaly_score") + 1, "is_anomaly", is_anomaly)
    p_values = _p_values(detector, scores)
    if p_values is not None:
        lines.insert(lines.columns.get_loc("is_anomaly") + 1, "p_value", p_values)
    order = np.argsort(-scores, kind="stable")  # NaN stands last
    return Judged(lines, positions, order[: np.count_nonzero(~np.isnan(scores))])


def rows_at(X, positions):
    """Some rows of a table, or images, by their positions."""
    return X.iloc[positions] if hasattr(X, "iloc") else X[np.asarray(positions)]


def as_seen(detector, X):
    """X without names of columns where the detector knows none: scikit-learn would warn of them."""
    is_named = isinstance(X, pd.DataFrame) and not hasattr(detector, "feature_names_in_")
    return X.to_numpy() if is_named else X


def map_caveat(detector, one):
    """What is to be said beside an error map that does not explain the score; "" if it does."""
    scored = getattr(detector, "detector_", detector)  # of windows
    scores = getattr(getattr(scored, "score_", None), "scores", [])
    if not scores or any(each.has_map for each in scores):
        return ""
    return (
        f"The score of this model judges each {one} as a whole; the error map is that of the "
        "reconstruction: a hint, and not the reason for the score."
    )


def threshold_in_words(detector, many):
    """What was asked of the threshold, and of which ``many`` ("images", "rows")."""
    asked, n = detector.thresholder_, len(detector.calibration_scores_)
    kind = "held-out" if detector.calibration_is_held_out_ else "training"
    of = f"{n:,} {kind} {many}"
    if isinstance(asked, Percentile):
        return f"percentile {asked.percentile:g} of the scores of {of}"
    if isinstance(asked, Conformal):
        return f"conformal at {100 * asked.alpha:g} % false alarms, by the scores of {of}"
    return f"{asked}, beside the scores of {of}"


def _names(X):
    if isinstance(X, ImageFolder):
        return "file", X.files
    if hasattr(X, "iloc"):
        key = str(X.index.name or "row")
        return "row" if key in RESERVED else key, [_one_name(name) for name in X.index]
    return "row" if np.ndim(X) == 2 else "image", np.arange(len(X))


def _one_name(name):
    """A row's name; that of several levels as one."""
    return ", ".join(map(str, name)) if isinstance(name, tuple) else name


def _gaps(detector, X):
    """Rows of a table with a value that the detector does not take, and which it is."""
    if isinstance(X, ImageFolder) or X.ndim != 2:
        return {}
    takes_gaps = get_tags(detector).input_tags.allow_nan
    if takes_gaps:
        X = pd.DataFrame(X).select_dtypes("number").astype(np.float64)
    values = np.asarray(X, dtype=np.float64)
    is_bad = ~(np.abs(values) <= LARGEST_VALUE)  # NaN as well
    if takes_gaps:
        is_bad &= ~np.isnan(values)
    columns = list(getattr(X, "columns", range(values.shape[1])))
    gaps = {}
    for row in np.flatnonzero(is_bad.any(1)):
        column = is_bad[row].argmax()
        gaps[int(row)] = f"column {columns[column]!r} holds {values[row, column]:g}"
    return gaps


def _p_values(detector, scores):
    """``detector.p_values``, of scores that are there already; None where it has none."""
    if not detector.calibration_is_held_out_:
        return None
    try:
        calibration = Conformal(0.5).fit(detector.calibration_scores_, detector._calibration_y)
    except ValueError:  # no normal rows were held out, or labels that only the threshold can read
        return None
    p_values, is_judged = np.full(len(scores), np.nan), ~np.isnan(scores)
    if is_judged.any():
        p_values[is_judged] = calibration.p_values(scores[is_judged])
    return p_values


def _scores(detector, X, positions, verbose):
    scores = np.full(len(X), np.nan)
    X = as_seen(detector, X)
    at_once = ROWS_AT_ONCE if X.ndim == 2 else IMAGES_AT_ONCE
    with tqdm(total=len(positions), desc="score", disable=not verbose) as bar:
        for start in range(0, len(positions), at_once):
            part = positions[start : start + at_once]
            scores[part] = detector.anomaly_score(rows_at(X, part))
            bar.update(len(part))
    return scores
