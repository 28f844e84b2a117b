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
        kind, names = self.samples.kind, self.samples.names
        return names if kind == "file" else [f"{kind} {name}" for name in names]


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


def score_axis(calibration_scores, threshold):
    """Lowest and highest score that are shown, and that the threshold can be moved to.

    A few training scores far above the others lie beyond.
    """
    low = min(calibration_scores.min(), threshold)
    top = max(np.quantile(calibration_scores, _BULK), threshold)
    span = top - low or abs(top) or 1.0
    return float(low), float(top + span)


def kept_latents(score):
    """Latents of trusted training samples, where a fitted score keeps them; else None.

    A model holds none of the data it was trained on, but scores that look for neighbours among the
    latents of the training hold these, of up to 5,000 samples.
    """
    if isinstance(score, Ensemble):
        members = [kept_latents(member) for member in score.scores]
        return None if any(kept is None for kept in members) else np.hstack(members)
    if isinstance(score, (Combined, SmoothMax)):
        kept = (kept_latents(part) for part in score.scores)
        return next((latents for latents in kept if latents is not None), None)
    if isinstance(score, Local):
        return score.nearest_.reference * as_array(score.latent_scale_) + as_array(
            score.latent_mean_
        )
    if isinstance(score, Neighbors):
        scale = as_array(score.latent_scale_)
        return score.reference_[:, : len(scale)] * scale
    return None


def as_array(values):
    """Tensor or frame as an ndarray."""
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
