"""What methods take for granted of what an estimator has fitted, checked after it was read."""

import math

import numpy as np
import pandas as pd

from skvae.base._images import ImageLayout
from skvae.classifiers import CNNClassifier
from skvae.persistence._classes import SCALERS
from skvae.persistence._file import Refused
from skvae.scores import Ensemble, Score


def check_state(estimator):
    """Refuse the file where a fitted attribute is missing or not of the kind it must be."""
    state, built = vars(estimator), estimator._built
    _check(estimator, "n_features_in_", type(state.get("n_features_in_")) is int)
    _check(estimator, "n_steps_", type(state.get("n_steps_")) is int)
    _check(estimator, "history_", isinstance(state.get("history_"), pd.DataFrame))
    if "feature_names_in_" in state:
        names = state["feature_names_in_"]
        alike = _is_array(names, object, (estimator.n_features_in_,))
        _check(estimator, "feature_names_in_", alike and all(type(name) is str for name in names))
    if "image_shape" in built:
        _check(estimator, "_layout", _is_layout(state.get("_layout"), estimator))
        preparation = state.get("image_preparation_")
        alike = preparation is None or _is_preparation(preparation, built["image_shape"])
        _check(estimator, "image_preparation_", alike)
    if isinstance(estimator, CNNClassifier):
        n_classes = np.shape(state.get("classes_", ()))
        _check(estimator, "classes_", n_classes == (built["out_features"],))
    else:
        _check_detector(estimator, state, built)


def _check_detector(detector, state, built):
    _check(detector, "n_features_in_", state["n_features_in_"] == built["n_features"])
    if "scaler" in built:
        scaler = state.get("scaler_", "missing")
        alike = (
            type(scaler) in SCALERS.values() and scaler.n_features_in_ == detector.n_features_in_
        )
        _check(detector, "scaler_", scaler is None or alike)
    score = state.get("score_")
    alike = isinstance(score, Ensemble) and isinstance(score.scores, list)
    alike = alike and len(score.scores) == built["n_estimators"]
    _check(detector, "score_", alike and all(isinstance(each, Score) for each in score.scores))
    threshold = getattr(state.get("thresholder_"), "threshold_", None)
    _check(detector, "thresholder_", type(threshold) is float)
    _check(detector, "offset_", state.get("offset_") == -threshold)
    scores = state.get("calibration_scores_")
    _check(detector, "calibration_scores_", _is_array(scores, np.float64, np.shape(scores)[:1]))
    _check(detector, "_calibration_y", "_calibration_y" in state)
    held_out = state.get("calibration_is_held_out_")
    _check(detector, "calibration_is_held_out_", isinstance(held_out, bool))


def _is_layout(layout, estimator):
    shape, n_features = estimator._built["image_shape"], estimator.n_features_in_
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
