"""Scores of images: structure, nats, and errors relative to what is usual.

They are called with images ``x`` of shape (n_samples, channels, height, width), float32 in [0, 1].
"""

import numpy as np
import torch

from skvae.scores._blocks import as_array, by_rows, row_sums, scale_of
from skvae.scores._features import ImageScore, Nearest
from skvae.scores._image_features import ssim_map

# Mean intensity below which an image counts as empty: nothing is divided by less.
MIN_INK = 0.02
# A pixel that is certain and wrong costs 14 nats, not infinitely many.
MIN_PROBABILITY = 1e-6
N_LATENT_NEIGHBORS = 20
# Spread of a latent, relative to the widest one's, that counts.
SMALLEST_LATENT = 1e-3


class Ssim(ImageScore):
    """Mean of ``1 - SSIM`` of image and reconstruction (Wang et al. 2004), in [0, 2]."""

    def __call__(self, x, output, error):
        return _pixel_mean(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        return 1 - ssim_map(x, output.x_hat)


class DescriptionLength(ImageScore):
    """Nats that it takes to tell the image (Hinton and van Camp 1993).

    The cross-entropy of pixels and reconstruction as probabilities, summed, and what it takes to
    tell the code: where there is a posterior its KL divergence from the prior, which makes the
    negative evidence lower bound of a Bernoulli likelihood, whichever one the network was trained
    with; where there is a codebook the rarity of the codes. A value beyond [0, 1], which a column
    of a table may have, adds its squared distance from there.
    """

    def __call__(self, x, output, error):
        nats = row_sums(by_rows(_cross_entropy, x, output.x_hat))
        code = output.parts.get("rarity", output.penalty)
        return nats if code is None else nats + code

    def error_map(self, x, output, error):
        """Bernoulli divergence: without the entropy of grey pixels that are reconstructed well."""
        p = x.clamp(0, 1)  # a table may lie beyond the range that it had in training
        entropy = torch.special.entr(p) + torch.special.entr(1 - p)
        return (by_rows(_cross_entropy, x, output.x_hat) - entropy).clamp_min(0)


def _cross_entropy(x, x_hat):
    inside, p = x.clamp(0, 1), x_hat.clamp(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    nats = -(inside * p.log() + (1 - inside) * torch.log1p(-p))
    return nats + (x - inside).square()


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
        return as_array(self.score(x, output, error)) / _ink(x)

    def held_out(self, x, output, error):
        return as_array(self.score.held_out(x, output, error)) / _ink(x)

    def error_map(self, x, output, error):
        return self.score.error_map(x, output, error)


def _ink(x):
    return as_array(_pixel_mean(x)) + MIN_INK


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
        self.reference_scores_ = as_array(self.score.held_out(x, output, error))
        self.latent_mean_ = output.latent.mean(0)
        scale = scale_of(output.latent, torch.zeros_like(output.latent[0]))
        # A latent that nothing moves but rounding is no direction to look for neighbours in.
        self.latent_scale_ = scale.clamp_min(SMALLEST_LATENT * scale.max())
        self.nearest_ = Nearest(self._place(output), self.n_neighbors)
        return self

    def _place(self, output):
        return as_array((output.latent - self.latent_mean_) / self.latent_scale_)

    def __call__(self, x, output, error):
        return as_array(self.score(x, output, error)) / self._usual(output)

    def held_out(self, x, output, error):
        return self.reference_scores_ / self._usual(output)

    def _usual(self, output):
        neighbors, _ = self.nearest_(self._place(output))
        usual = self.reference_scores_[neighbors].mean(1)
        return np.maximum(usual, 1e-9 * self.reference_scores_.mean() + 1e-12)

    def error_map(self, x, output, error):
        return self.score.error_map(x, output, error)
