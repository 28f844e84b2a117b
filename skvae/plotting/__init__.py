"""Pictures of a fitted detector, in the manner of scikit-learn's Displays.

Every display holds the arrays it draws, is made by ``from_estimator`` (and ``from_predictions``
where there is something to pass), and draws on an axes of your own with ``plot(ax=...)``. For ROC
and precision-recall curves use scikit-learn's ``RocCurveDisplay`` and ``PrecisionRecallDisplay``
with ``from_predictions(is_anomaly, anomaly_score)``.
"""

from skvae.plotting._drift import DriftDisplay
from skvae.plotting._error_map import ErrorMapDisplay
from skvae.plotting._image_error_map import ImageErrorMapDisplay
from skvae.plotting._latent_space import LatentSpaceDisplay
from skvae.plotting._reconstruction import ReconstructionDisplay
from skvae.plotting._score_histogram import ScoreHistogramDisplay
from skvae.plotting._training_history import TrainingHistoryDisplay

__all__ = [
    "DriftDisplay",
    "ErrorMapDisplay",
    "ImageErrorMapDisplay",
    "LatentSpaceDisplay",
    "ReconstructionDisplay",
    "ScoreHistogramDisplay",
    "TrainingHistoryDisplay",
]
