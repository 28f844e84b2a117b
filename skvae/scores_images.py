"""Scores of images: structure, features of shape, neighbours in the latent space, and their fusion.

They are called as those of `skvae.scores`, with images ``x`` of shape (n_samples, channels, height,
width), float32 in [0, 1]. `SmoothMax` of `IMAGE_SCORE` is the default of the image detectors.
"""

import numpy as np
import torch
from scipy.special import logsumexp

from skvae.image_features import by_rows, ssim_map
from skvae.scores import _array, _scale_of
from skvae.scores_features import (
    FeatureDensity,
    FeatureNeighbors,
    ImageScore,
    Nearest,
    Perceptual,
)

# Mean intensity below which an image counts as empty: nothing is divided by less.
MIN_INK = 0.02
# A pixel that is certain and wrong costs 14 nats, not infinitely many.
MIN_PROBABILITY = 1e-6
N_LATENT_NEIGHBORS = 20
# Of the pixels of trusted images, the share that a map shows as below 1.
MAP_QUANTILE = 0.995


class Ssim(ImageScore):
    """Mean of ``1 - SSIM`` of image and reconstruction (Wang et al. 2004), in [0, 2]."""

    def __call__(self, x, output, error):
        return _pixel_mean(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        return 1 - ssim_map(x, output.x_hat)


class DescriptionLength(ImageScore):
    """Nats that it takes to tell the image (Hinton and van Camp 1993).

    The cross-entropy of pixels and reconstruction as probabilities, summed, and the KL divergence
    of the code from its prior where there is a posterior: the negative evidence lower bound of a
    Bernoulli likelihood, whichever one the network was trained with.
    """

    def __call__(self, x, output, error):
        nats = by_rows(lambda *images: _cross_entropy(*images).flatten(1).sum(1), x, output.x_hat)
        return nats if output.penalty is None else nats + output.penalty

    def error_map(self, x, output, error):
        """Bernoulli divergence: without the entropy of grey pixels that are reconstructed well."""
        entropy = torch.special.entr(x) + torch.special.entr(1 - x)
        return (by_rows(_cross_entropy, x, output.x_hat) - entropy).clamp_min(0)


def _cross_entropy(x, x_hat):
    p = x_hat.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return -(x * p.log() + (1 - x) * torch.log1p(-p))


def _pixel_mean(images):
    return by_rows(lambda block: block.flatten(1).mean(1), images)


class Relative(ImageScore):
    """A score divided by the mean intensity of the image.

    Where the background is black, an image that lost some of its strokes has less to reconstruct,
    and so less error, unless the error is counted by what is left.

    Parameters
    ----------
    score : ImageScore
        A positive one.
    """

    def __init__(self, score):
        self.score = score
        self.has_map = score.has_map

    def fit(self, x, output, error, autoencoder, random_state):
        self.score.fit(x, output, error, autoencoder, random_state)
        return self

    def __call__(self, x, output, error):
        return _array(self.score(x, output, error)) / _ink(x)

    def held_out(self, x, output, error):
        return _array(self.score.held_out(x, output, error)) / _ink(x)

    def error_map(self, x, output, error):
        return self.score.error_map(x, output, error)


def _ink(x):
    return _array(_pixel_mean(x)) + MIN_INK


class Local(ImageScore):
    """A score divided by its mean over the nearest trusted images in the latent space.

    So images of a kind that is hard to reconstruct do not stand out for that alone.

    Parameters
    ----------
    score : ImageScore
        A positive one.
    n_neighbors : int, default=20
    """

    def __init__(self, score, n_neighbors=N_LATENT_NEIGHBORS):
        self.score = score
        self.n_neighbors = n_neighbors
        self.has_map = score.has_map

    def fit(self, x, output, error, autoencoder, random_state):
        self.score.fit(x, output, error, autoencoder, random_state)
        self.reference_scores_ = _array(self.score.held_out(x, output, error))
        self.latent_scale_ = _scale_of(output.latent, torch.zeros_like(output.latent[0]))
        self.nearest_ = Nearest(_array(output.latent / self.latent_scale_), self.n_neighbors)
        return self

    def __call__(self, x, output, error):
        return _array(self.score(x, output, error)) / self._usual(output)

    def held_out(self, x, output, error):
        return self.reference_scores_ / self._usual(output)

    def _usual(self, output):
        neighbors, _ = self.nearest_(_array(output.latent / self.latent_scale_))
        usual = self.reference_scores_[neighbors].mean(1)
        return np.maximum(usual, 1e-9 * self.reference_scores_.mean() + 1e-12)

    def error_map(self, x, output, error):
        return self.score.error_map(x, output, error)


class SmoothMax(ImageScore):
    """Smooth maximum ``log mean exp z`` of several scores, each calibrated on trusted images.

    The maximum asks for one score that stands out, where a mean would ask for all: each of them is
    blind to some anomalies. A score is calibrated as ``z = (s - median) / spread`` of its held-out
    values, on the log scale where it is positive; the spread is half the distance from the 16th to
    the 84th percentile.

    Parameters
    ----------
    scores : list of Score
    """

    positive = False

    def __init__(self, scores):
        self.scores = scores
        self.needs_posterior = any(score.needs_posterior for score in scores)
        self.has_map = any(_has_map(score) for score in scores)

    def fit(self, x, output, error, autoencoder, random_state):
        self.medians_, self.spreads_, self.map_scales_ = [], [], []
        for score in self.scores:
            score.fit(x, output, error, autoencoder, random_state)
            low, median, high = np.quantile(
                _on_log_scale(score, score.held_out(x, output, error)), [0.16, 0.5, 0.84]
            )
            self.medians_.append(median)
            self.spreads_.append((high - low) / 2 if high - low > 1e-9 * abs(median) else 1.0)
            if _has_map(score):
                pixels = _array(score.error_map(x, output, error))
                self.map_scales_.append(np.quantile(pixels, MAP_QUANTILE) or 1.0)
            else:
                self.map_scales_.append(None)
        return self

    def _fused(self, values):
        values = [_on_log_scale(*pair) for pair in zip(self.scores, values, strict=True)]
        z_scores = (np.stack(values, 1) - self.medians_) / self.spreads_
        return logsumexp(z_scores, axis=1) - np.log(len(self.scores))

    def __call__(self, x, output, error):
        return self._fused([score(x, output, error) for score in self.scores])

    def held_out(self, x, output, error):
        return self._fused([score.held_out(x, output, error) for score in self.scores])

    def error_map(self, x, output, error):
        """Sum of the scores' maps, each over its 99.5th percentile on trusted images."""
        maps = [
            _array(score.error_map(x, output, error)) / scale
            for score, scale in zip(self.scores, self.map_scales_, strict=True)
            if scale is not None
        ]
        return sum(maps) if maps else error


def _has_map(score):
    return getattr(score, "has_map", True)


def _on_log_scale(score, values):
    values = _array(values)
    return np.log(np.maximum(values, 1e-12)) if getattr(score, "positive", False) else values


IMAGE_SCORES = {
    "ssim": Ssim,
    "description_length": DescriptionLength,
    "relative": lambda: Relative(Ssim()),
    "local": lambda: Local(Relative(Ssim())),
    "perceptual": Perceptual,
    "latent_density": lambda: FeatureDensity("latent"),
    "latent_neighbors": lambda: FeatureNeighbors("latent"),
    "hog_density": FeatureDensity,
    "hog_neighbors": FeatureNeighbors,
}

# What an image looks like against what the network makes of it, among its like; its shape against
# the shapes of the training; and its pixels one by one.
IMAGE_SCORE = ("local", "hog_density", "description_length")
