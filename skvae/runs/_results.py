"""What a fit has come to: results.json and the model file."""

import warnings
from copy import copy
from importlib.metadata import version

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from skvae._files import as_json, write_text
from skvae.metrics import anomaly_labels
from skvae.persistence import save
from skvae.runs._identity import described_detector

PERCENTILES = (90, 95, 99)
PACKAGES = ("torch", "scikit-learn", "skorch", "numpy")


def save_model(folder, detector):
    """Store the fitted detector without its callbacks; a warning where it cannot be."""
    path = folder / "model.safetensors"
    try:
        save(copy(detector).set_params(callbacks=None), path)
    except ValueError as error:
        path.unlink(missing_ok=True)  # of an earlier version of skvae
        warnings.warn(f"{path} was not written. {error}", UserWarning, stacklevel=3)


def write_results(folder, detector, X, y):
    """Write what the fit has come to; NaN and infinity become null."""
    history, scores = detector.history_, np.asarray(detector.calibration_scores_)
    loss = "valid_loss" if "valid_loss" in history else "loss"
    results = {
        "detector": described_detector(detector),
        "n_epochs": len(history),
        "n_steps": detector.n_steps_,
        "seconds": history["duration"].sum(),
        "best_epoch": history["epoch"][history[loss].argmin()],
        "last_epoch": history.to_dict("records")[-1],
        "threshold": detector.threshold_,
        "threshold_at_percentile": {str(p): np.percentile(scores, p) for p in PERCENTILES},
        "n_calibration_scores": len(scores),
        "calibration_is_held_out": detector.calibration_is_held_out_,
        "share_of_them_flagged": np.mean(scores > detector.threshold_),
        "metrics_on_data_of_fit": _metrics(detector, X, y),
        "versions": {name: version(name) for name in PACKAGES},
    }
    write_text(folder / "results.json", as_json(results))


def _metrics(detector, X, y):
    """None without labels of both kinds, because ``fit`` takes any y."""
    try:
        is_anomaly = anomaly_labels(y)
    except (ValueError, TypeError):
        return None
    if is_anomaly.all() or not is_anomaly.any():
        return None
    scores = detector.anomaly_score(X)
    is_flagged = scores > detector.threshold_
    counts = {
        "precision": precision_score(is_anomaly, is_flagged, zero_division=0.0),
        "recall": recall_score(is_anomaly, is_flagged),
        "f1": f1_score(is_anomaly, is_flagged, zero_division=0.0),
    }
    return {
        "roc_auc": roc_auc_score(is_anomaly, scores),
        "average_precision": average_precision_score(is_anomaly, scores),
    } | counts
