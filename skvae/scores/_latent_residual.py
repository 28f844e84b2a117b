"""Scores of a row among trusted rows, in the space of its latents and its residual."""

import math
import warnings

import numpy as np
import torch
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors

from skvae.scores._base import Score
from skvae.scores._blocks import as_array, latent_scale, scale_of

N_FOLDS = 4
MAX_COMPONENTS = 20
N_NEIGHBORS = 10
# Temporary arrays of so many numbers stay in the processor's cache.
CHUNK_VALUES = 1 << 16
# Differences to neighbours may be more, since searches are best done for many rows at once.
CHUNK_DIFFERENCES = 1 << 22
# Rows nearer than this, a column, are one row that was rounded twice.
SAME_ROW = 1e-5
ROWS_PER_COMPONENT = 20


class _LatentResidualSpace(Score):
    """Rows as [latent, residual], each column in units of its deviation on trusted rows."""

    def _fit_space(self, x, output):
        zero = torch.zeros(1, device=x.device)
        # A feature that is reconstructed perfectly must not outweigh all others for ever.
        floor = 0.01 * scale_of(x, zero)
        self.latent_scale_ = latent_scale(output)
        self.residual_scale_ = torch.maximum(scale_of(x - output.x_hat, zero), floor)
        return self._space(x, output)

    def _space(self, x, output):
        residual = ((x - output.x_hat) / self.residual_scale_).flatten(1)
        return as_array(torch.cat([output.latent / self.latent_scale_, residual], 1))


class Density(_LatentResidualSpace):
    """Negative log-density under Gaussian mixtures over [latent, residual], in nats.

    Four mixtures, each fitted without a quarter of the trusted rows; the score is their mean. A
    mixture has diagonal covariances and at most 20 components, one for every 20 rows.
    """

    def fit(self, x, output, error, autoencoder, random_state):
        rows = self._fit_space(x, output)
        n_folds = N_FOLDS if len(rows) >= 2 * N_FOLDS else 1
        self._fold = np.random.RandomState(random_state).permutation(len(rows)) % n_folds
        self.mixtures_ = [
            fit_mixture(rows[self._fold != fold] if n_folds > 1 else rows, random_state)
            for fold in range(n_folds)
        ]
        return self

    def held_out(self, x, output, error):
        by_mixture = self._by_mixture(self._space(x, output))
        return by_mixture[np.arange(len(x)), self._fold]

    def __call__(self, x, output, error):
        return self._by_mixture(self._space(x, output)).mean(1)

    def _by_mixture(self, rows):
        joint = (_log_joint(mixture, rows) for mixture in self.mixtures_)
        return -np.stack([logsumexp(log_joint, axis=1) for log_joint in joint], 1)

    def error_map(self, x, output, error):
        """Half the squared deviation from the components, weighted by responsibility."""
        rows = self._space(x, output)
        n_features = x[0].numel()
        residual = rows[:, -n_features:]
        total = np.zeros_like(residual)
        for mixture in self.mixtures_:
            share = softmax(_log_joint(mixture, rows), axis=1)
            components = zip(share.T, mixture.means_, mixture.precisions_, strict=True)
            for weight, mean, precision in components:
                deviation = residual - mean[-n_features:]
                total += weight[:, None] * deviation**2 * precision[-n_features:]
        return (0.5 * total / len(self.mixtures_)).reshape(x.shape)


def fit_mixture(rows, random_state):
    """Gaussian mixture with diagonal covariances, one component for every 20 rows, 20 at most."""
    mixture = GaussianMixture(
        max(1, min(MAX_COMPONENTS, len(rows) // ROWS_PER_COMPONENT)),
        covariance_type="diag",
        reg_covar=1e-2,
        max_iter=15,
        random_state=random_state,
    )
    with warnings.catch_warnings():
        # A bounded number of iterations is meant, and duplicate rows leave fewer clusters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(rows)


def _log_joint(mixture, rows):
    """Log of weight times density of each component, row by row without matrix products.

    scikit-learn's expanded square is faster, but it rounds differently for one row than for many,
    and it cancels for rows far out, which are those that matter here.
    """
    precision = mixture.precisions_
    log_norm = np.log(mixture.weights_) + 0.5 * np.log(precision / (2 * np.pi)).sum(1)
    log_joint = np.empty((len(rows), len(precision)))
    step = max(1, CHUNK_VALUES // precision.size)
    for start in range(0, len(rows), step):
        deviation = rows[start : start + step, None] - mixture.means_
        distance = np.einsum("nkd,nkd,kd->nk", deviation, deviation, precision)
        log_joint[start : start + step] = log_norm - 0.5 * distance
    return log_joint


class Neighbors(_LatentResidualSpace):
    """Mean distance to the 10 nearest trusted rows in [latent, residual].

    A trusted row that coincides with the scored one counts as that row itself and is passed over,
    once: so the rows of the training are scored as if they had not been in it.
    """

    positive = True

    def fit(self, x, output, error, autoencoder, random_state):
        self.reference_ = self._fit_space(x, output)
        n_nearest = min(N_NEIGHBORS, len(self.reference_) - 1) + 1
        self.index_ = NearestNeighbors(n_neighbors=n_nearest, algorithm="brute")
        self.index_.fit(self.reference_)
        return self

    def _differences(self, rows):
        """Differences to the nearest references, (n, k, columns), and distances, (n, k)."""
        nearest = self.index_.kneighbors(rows, return_distance=False)
        # The fast search rounds by batch; distances taken anew do not.
        differences = rows[:, None] - self.reference_[nearest]
        distances = np.sqrt(np.square(differences).sum(-1))
        order = np.argsort(distances, axis=1, kind="stable")
        nearest_distance = np.take_along_axis(distances, order[:, :1], 1)
        is_itself = nearest_distance < SAME_ROW * math.sqrt(rows.shape[1])
        order = np.where(is_itself, order[:, 1:], order[:, :-1])
        return (
            np.take_along_axis(differences, order[..., None], 1),
            np.take_along_axis(distances, order, 1),
        )

    def _chunks(self, x, output):
        rows = self._space(x, output)
        step = max(1, CHUNK_DIFFERENCES // (self.index_.n_neighbors * rows.shape[1]))
        for start in range(0, len(rows), step):
            yield self._differences(rows[start : start + step])

    def __call__(self, x, output, error):
        chunks = self._chunks(x, output)
        return np.concatenate([distances.mean(1) for _, distances in chunks])

    def error_map(self, x, output, error):
        """Share of each feature's residual in the mean distance."""
        maps = []
        for differences, distances in self._chunks(x, output):
            shares = differences**2 / np.maximum(distances, 1e-12)[..., None]
            maps.append(shares.mean(1)[:, -x[0].numel() :])
        return np.concatenate(maps).reshape(x.shape)
