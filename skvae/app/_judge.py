"""What a detector makes of uploaded samples, as arrays and tables; nothing here draws."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from skvae.app._uploads import Samples
from skvae.scores import Combined, Ensemble, Local, Neighbors, SmoothMax

# Training scores above this quantile do not stretch the axis that scores are shown on.
_BULK = 0.99


class Judged(NamedTuple):
    """What a detector makes of samples, whatever the threshold.

    Attributes
    ----------
    samples : Samples
    scores : ndarray of float64 of shape (n,)
        Higher = more anomalous.
    latents : ndarray of float32 of shape (n, n_latents)
    """

    samples: Samples
    scores: np.ndarray
    latents: np.ndarray

    @property
    def labels(self):
        """What the samples are called on the page."""
        return [self.samples.label(name) for name in self.samples.names]


def judge(detector, samples):
    """Score and encode samples."""
    if not samples.names:
        return Judged(samples, np.empty(0), np.empty((0, 1), np.float32))
    return Judged(samples, detector.anomaly_score(samples.X), detector.transform(samples.X))


def rarity(calibration_scores, scores):
    """Percentage of the calibration scores that lie below each score."""
    ordered = np.sort(calibration_scores)
    return 100 * np.searchsorted(ordered, scores, side="left") / len(ordered)


def results_table(judged, threshold):
    """A line for each sample, and for each that could not be judged with the reason."""
    samples = judged.samples
    table = pd.DataFrame(
        {
            samples.kind: samples.names,
            "anomaly_score": judged.scores,
            "is_anomaly": pd.array(judged.scores > threshold, dtype="boolean"),
            "threshold": threshold,
        }
    )
    left_out = pd.DataFrame(samples.problems, columns=[samples.kind, "reason"])
    return pd.concat([table.assign(reason=""), left_out], ignore_index=True)


def score_axis(detector):
    """Lowest and highest score that are shown, and that the threshold can be moved to.

    A few training scores far above the others lie beyond, and so does an infinite threshold: a
    conformal one of too few samples.
    """
    scores, threshold = detector.calibration_scores_, detector.threshold_
    own = [threshold] if np.isfinite(threshold) else []
    low = min([scores.min(), *own])
    top = max([np.quantile(scores, _BULK), *own])
    span = top - low or abs(top) or 1.0
    return float(low), float(top + span)


def scored(detector):
    """What the scores are of that the model's threshold was fitted on."""
    kind = "held-out samples" if detector.calibration_is_held_out_ else "training samples"
    return f"{len(detector.calibration_scores_):,} {kind}"


def kept_latents(score):
    """Latents of trusted training samples, where a fitted score keeps them; else None.

    A model does not hold the images or rows that it was trained on, but scores that look for
    neighbours among their latents hold these, of 5,000 of them at most.
    """
    if isinstance(score, Ensemble):
        members = [kept_latents(member) for member in score.scores]
        return None if any(kept is None for kept in members) else np.hstack(members)
    if isinstance(score, (Combined, SmoothMax)):
        kept = (kept_latents(part) for part in score.scores)
        return next((latents for latents in kept if latents is not None), None)
    if isinstance(score, Local):
        scale, mean = _array(score.latent_scale_), _array(score.latent_mean_)
        return score.nearest_.reference * scale + mean
    if isinstance(score, Neighbors):
        scale = _array(score.latent_scale_)
        return score.reference_[:, : len(scale)] * scale
    return None


def _array(values):
    """Tensor or array as an ndarray."""
    return values.cpu().numpy() if torch.is_tensor(values) else np.asarray(values)


class LatentMap(NamedTuple):
    """Latents on the first principal components of the training's, or of their own.

    Attributes
    ----------
    samples : ndarray of shape (n, k)
        k is 3, or fewer where there are no three directions.
    training : ndarray of shape (n_training, k) or None
    shares : ndarray of shape (k,)
        Of the variance of those that the components are of.
    """

    samples: np.ndarray
    training: np.ndarray | None
    shares: np.ndarray


def latent_map(latents, training=None):
    """`LatentMap` of samples; None where fewer than 2 directions can be told apart."""
    fitted_on = latents if training is None else training
    n_components = min(3, len(fitted_on) - 1, latents.shape[1])
    if n_components < 2 or not np.ptp(fitted_on, axis=0).any():
        return None
    pca = PCA(n_components, svd_solver="full").fit(fitted_on)
    mapped = None if training is None else pca.transform(training)
    return LatentMap(pca.transform(latents), mapped, pca.explained_variance_ratio_)
