"""What methods take for granted of what an estimator has fitted, checked after it was read."""

import math

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from skvae.base import BaseDetector
from skvae.base._decisions import DecisionMixin
from skvae.base._images import ImageLayout, table_shape
from skvae.classifiers import CNNClassifier
from skvae.detectors import (
    Conv1dVAEDetector,
    FusionDetector,
    MixedVAEDetector,
    SlidingWindowDetector,
    WindowDetector,
)
from skvae.detectors._columns import KINDS, Columns
from skvae.detectors._encoding import Encoding
from skvae.detectors.fusion import Tail
from skvae.detectors.windows import Grid
from skvae.persistence._classes import MODELS, SCALERS
from skvae.persistence._file import Refused
from skvae.scores import Ensemble, Score

# Numbers in a row or an image: with no more, files that claim large images cannot fill the memory.
MAX_FEATURES = 1 << 28


def check_state(estimator):
    """Refuse the file where a fitted attribute is missing or not of the kind it must be."""
    state = vars(estimator)
    n_features = state.get("n_features_in_")
    alike = type(n_features) is int and 0 < n_features <= MAX_FEATURES
    _check(estimator, "n_features_in_", alike)
    if "feature_names_in_" in state:
        names = state["feature_names_in_"]
        alike = _is_array(names, object, (n_features,))
        _check(estimator, "feature_names_in_", alike and all(type(name) is str for name in names))
    if isinstance(estimator, (BaseDetector, CNNClassifier)):
        _check(estimator, "net_", "net_" in state)
        _check(estimator, "n_steps_", type(state.get("n_steps_")) is int)
        _check(estimator, "history_", isinstance(state.get("history_"), pd.DataFrame))
        if isinstance(estimator, Conv1dVAEDetector):
            n_channels, height, length = estimator._built["image_shape"]
            alike = height == 1 and n_channels * length == n_features
            _check(estimator, "net_", alike)
        elif "image_shape" in estimator._built:
            _check_images(estimator, state, estimator._built["image_shape"])
    if isinstance(estimator, BaseDetector):
        _check_detector(estimator, state, estimator._built)
    if isinstance(estimator, CNNClassifier):
        n_classes = np.shape(state.get("classes_", ()))
        _check(estimator, "classes_", n_classes == (estimator._built["out_features"],))
    if isinstance(estimator, WindowDetector):
        _check_windows(estimator, state)
    if isinstance(estimator, SlidingWindowDetector):
        _check_sliding_windows(estimator, state)
    if isinstance(estimator, FusionDetector):
        _check_fusion(estimator, state)
    if isinstance(estimator, DecisionMixin):
        _check_threshold(estimator, state)


def _check_detector(detector, state, built):
    _check(detector, "n_features_in_", state["n_features_in_"] == built["n_features"])
    if "scaler" in built:
        scaler = state.get("scaler_", "missing")
        # Of series the scaler has a column for each channel.
        n_columns = built.get("image_shape", [built["n_features"]])[0]
        alike = type(scaler) in SCALERS.values() and scaler.n_features_in_ == n_columns
        _check(detector, "scaler_", scaler is None or alike)
    for name in detector._built_by:
        _check(detector, name, state.get(name) == built[name])
    if isinstance(detector, MixedVAEDetector):
        _check_columns(detector, state, built["encoded_shape"])
    score = state.get("score_")
    alike = isinstance(score, Ensemble) and isinstance(score.scores, list)
    alike = alike and len(score.scores) == built["n_estimators"]
    _check(detector, "score_", alike and all(isinstance(each, Score) for each in score.scores))


def _check_columns(detector, state, shape):
    columns, encoding = state.get("_columns"), state.get("_encoding")
    alike = isinstance(columns, Columns) and _are_columns(columns, detector.n_features_in_)
    _check(detector, "_columns", alike)
    _check(detector, "column_kinds_", state.get("column_kinds_") == columns.kinds)
    alike = isinstance(encoding, Encoding) and _is_encoding(encoding, columns)
    _check(detector, "_encoding", alike and encoding.shape == shape)
    usual = state.get("usual_error_map_")
    _check(detector, "usual_error_map_", _is_array(usual, np.float64, (len(columns.kinds),)))


def _are_columns(columns, n_features):
    kinds, categories = columns
    if not len(kinds) == len(categories) == n_features or not set(kinds) <= set(KINDS):
        return False
    for kind, own in zip(kinds, categories, strict=True):
        if not (_is_array(own, np.float64, (len(own),)) or _is_array(own, object, (len(own),))):
            return False
        if (len(own) > 0) != (kind == "category") or len(set(own.tolist())) < len(own):
            return False
    return True


def _is_encoding(encoding, columns):
    """Whether each code has a slot, and slots are numbered without a gap."""
    coded = [
        None if kind == "boolean" else categories
        for kind, categories in zip(*columns, strict=True)
        if kind in ("boolean", "category")
    ]
    per_column = encoding.slots, encoding.costs, encoding.n_known
    if encoding.kinds != columns.kinds or any(len(each) != len(coded) for each in per_column):
        return False
    for categories, slots, costs in zip(coded, encoding.slots, encoding.costs, strict=True):
        shape = (3 if categories is None else len(categories) + 1,)
        if not _is_array(slots, np.int64, shape) or not _is_array(costs, np.float64, shape):
            return False
        kept = slots[slots != slots[-1]]
        last = -1 if categories is None else len(kept)
        if not len(kept) or slots[-1] != last or any(kept != np.arange(len(kept))):
            return False
    if not all(type(n) is int and n > 0 for n in encoding.n_known):
        return False
    n_numbers, scaler = encoding.shape[0], encoding.scaler
    if n_numbers == 0:
        return scaler is None
    return type(scaler) is StandardScaler and scaler.n_features_in_ == n_numbers


def _check_threshold(detector, state):
    threshold = getattr(state.get("thresholder_"), "threshold_", None)
    _check(detector, "thresholder_", type(threshold) is float)
    _check(detector, "offset_", state.get("offset_") == -threshold)
    scores = state.get("calibration_scores_")
    _check(detector, "calibration_scores_", _is_array(scores, np.float64, np.shape(scores)[:1]))
    _check(detector, "_calibration_y", "_calibration_y" in state)
    held_out = state.get("calibration_is_held_out_")
    _check(detector, "calibration_is_held_out_", isinstance(held_out, bool))


def _check_windows(detector, state):
    layout, grid = state.get("_layout"), state.get("_grid")
    shape = layout.shape if isinstance(layout, ImageLayout) else None
    if getattr(layout, "is_table", False):
        shape = table_shape(detector.n_features_in_, 2)
    _check_images(detector, state, shape)
    _check(detector, "_grid", isinstance(grid, Grid) and _is_grid(grid, shape[1:]))
    _check_inner(detector, state)


def _check_sliding_windows(detector, state):
    _check_inner(detector, state)
    n_channels = detector.n_features_in_
    alike = state["detector_"].n_features_in_ == n_channels * detector.window
    _check(detector, "detector_", alike)
    recent = state.get("_recent")
    alike = _is_array(recent, np.float64, (*np.shape(recent)[:1], n_channels))
    _check(detector, "_recent", alike and len(recent) < detector.window)


def _check_inner(detector, state):
    own = state.get("detector_")
    _check(detector, "detector_", type(own) in MODELS.values() and hasattr(own, "offset_"))


def _check_fusion(detector, state):
    parts, tails = state.get("detectors_"), state.get("_tails")
    alike = isinstance(parts, list) and all(_is_part(part, detector) for part in parts)
    _check(detector, "detectors_", alike and len(parts) > 0)
    alike = isinstance(tails, list) and len(tails) == len(parts) and all(map(_is_tail, tails))
    _check(detector, "_tails", alike)


def _is_part(part, fusion):
    """Whether it is (name, fitted detector, positions of its columns)."""
    if not isinstance(part, tuple) or len(part) != 3:
        return False
    name, own, columns = part
    if not isinstance(columns, list) or not all(type(each) is int for each in columns):
        return False
    known = range(fusion.n_features_in_)
    alike = type(name) is str and type(own) in MODELS.values() and hasattr(own, "offset_")
    return alike and len(columns) == own.n_features_in_ and all(each in known for each in columns)


def _is_tail(tail):
    if not isinstance(tail, Tail) or type(tail.n) is not int:
        return False
    numbers = type(tail.start) is float and type(tail.scale) is float and tail.scale > 0
    return (
        numbers
        and _is_array(tail.scores, np.float64, (len(tail.scores),))
        and (0 < len(tail.scores) <= tail.n)
    )


def _is_grid(grid, sides):
    """Whether windows lie in the image, no two of them at one place."""
    for side, own, starts in zip(sides, grid.window, grid.starts, strict=True):
        places = [*starts, side - own + 1]
        if not all(type(each) is int for each in (own, *places)):
            return False
        if not 0 < own <= side or any(np.diff([-1, *places]) < 1):
            return False
    return grid.sides == tuple(sides)


def _check_images(estimator, state, shape):
    alike = _is_layout(state.get("_layout"), shape, estimator.n_features_in_)
    _check(estimator, "_layout", alike)
    preparation = state.get("image_preparation_")
    alike = preparation is None or _is_preparation(preparation, shape)
    _check(estimator, "image_preparation_", alike)


def _is_layout(layout, shape, n_features):
    if not isinstance(layout, ImageLayout) or layout.shape != shape:
        return False
    flags = layout.is_flat, layout.is_uint8
    if layout.axes not in ("HW", "CHW", "HWC") or not all(isinstance(flag, bool) for flag in flags):
        return False
    if not layout.is_table:
        return n_features == math.prod(shape)
    ranges = (layout.low, layout.span)
    fits = n_features <= math.prod(shape)
    return fits and all(_is_array(each, np.float64, (n_features,)) for each in ranges)


def _is_preparation(preparation, shape):
    """Whether images so prepared have that shape: files are opened and brought to a size by it."""
    n_channels, *size = shape
    color = {1: "grey", 3: "rgb"}.get(n_channels)
    alike = isinstance(preparation, dict) and set(preparation) == {"size", "color"}
    return alike and list(preparation["size"]) == size and preparation["color"] == color


def _is_array(values, dtype, shape):
    return isinstance(values, np.ndarray) and values.dtype == dtype and values.shape == shape


def _check(estimator, name, condition):
    if not condition:
        raise Refused(f"it has no {name} that a {type(estimator).__name__} can have.")
