"""Scores of images in a space of features: gradients, latents, or a network of the user's."""

import warnings

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from skvae.networks import COLUMNS
from skvae.scores._base import Score
from skvae.scores._blocks import as_array, by_rows
from skvae.scores._image_features import hog
from skvae.scores._latent_residual import N_FOLDS, SAME_ROW

N_FEATURE_NEIGHBORS = 3
# With the energy left over, a density has 128 coordinates.
MAX_FEATURE_COMPONENTS = 127
MAX_MIXTURE_COMPONENTS = 10
# A full covariance needs some rows for each of its coordinates.
ROWS_PER_COVARIANCE = 350
ROWS_PER_COORDINATE = 4


class ImageScore(Score):
    """Base of the scores that look at images as images."""

    images_only = True
    positive = True


# Distance by which a search tells equal rows apart, relative to the spread of all.
APART = 1e-6


class Nearest:
    """Nearest reference rows, nearest first, and their distances.

    A reference that coincides with the row counts as that row itself and is passed over, once.
    """

    def __init__(self, reference, n_neighbors):
        self.reference = reference
        self.n_neighbors = min(n_neighbors, len(reference) - 1)
        self.index = NearestNeighbors(n_neighbors=self.n_neighbors + 1, algorithm="brute")
        # Which of several equally near rows are found must not depend on what is searched beside
        # them: so they are moved apart by a little, by more than the search rounds.
        noise = np.random.RandomState(0).standard_normal(reference.shape)
        self.index.fit(reference + APART * (reference.std() or 1.0) * noise)

    def __call__(self, rows):
        neighbors = np.sort(self.index.kneighbors(rows, return_distance=False), axis=1)
        # The fast search rounds by batch; distances taken anew do not.
        distances = np.empty(neighbors.shape)
        for column, nearest in enumerate(neighbors.T):
            distances[:, column] = np.sqrt(np.square(rows - self.reference[nearest]).sum(1))
        order = np.argsort(distances, axis=1, kind="stable")
        closest = np.take_along_axis(distances, order[:, :1], 1)
        is_itself = closest < SAME_ROW * np.sqrt(rows.shape[1])
        order = np.where(is_itself, order[:, 1:], order[:, :-1])
        return tuple(np.take_along_axis(values, order, 1) for values in (neighbors, distances))


class Perceptual(ImageScore):
    """Squared distance of image and reconstruction in a space of features, summed.

    Parameters
    ----------
    features : "hog", torch module or callable, default="hog"
        Takes images of shape (n, channels, height, width), returns features of shape (n, ...). A
        module is put into evaluation mode. Features of shape (n, k, h, w) give an error map.
    """

    def __init__(self, features="hog"):
        self.features = features

    def _squares(self, x, output):
        features = _feature_function(self.features)
        return by_rows(lambda a, b: (features(a) - features(b)).square(), x, output.x_hat)

    def __call__(self, x, output, error):
        return by_rows(lambda squares: squares.flatten(1).sum(1), self._squares(x, output))

    def error_map(self, x, output, error):
        """Squared distances of the feature maps, spread over the pixels."""
        squares = self._squares(x, output)
        if squares.ndim != 4:
            return error
        side = tuple(x.shape[2:])
        return by_rows(
            lambda maps: F.interpolate(maps.sum(1, keepdim=True), side, mode="bilinear"), squares
        ).expand(x.shape)


def _feature_function(features):
    if isinstance(features, str) and features == "hog":
        return hog
    if isinstance(features, torch.nn.Module):
        return features.eval()
    if not callable(features):
        raise ValueError(
            f"features={features!r} is neither 'hog' nor a torch module or function of images."
        )
    return features


class _OfFeatures(ImageScore):
    """A score that compares the features of an image with those of trusted ones.

    Parameters
    ----------
    features : "hog", "latent", torch module or callable, default="hog"
        "latent" is the latent mean; else as in `Perceptual`, and flattened.
    """

    has_map = False

    def __init__(self, features="hog"):
        self.features = features

    def _rows(self, x, output):
        """Features as float64 array of shape (n_samples, n_features)."""
        if isinstance(self.features, str) and self.features == "latent":
            return as_array(output.latent)
        return as_array(by_rows(_feature_function(self.features), x).flatten(1))


class FeatureNeighbors(_OfFeatures):
    """Mean distance to the 3 nearest trusted images in a space of features."""

    def fit(self, x, output, error, autoencoder, random_state):
        self.nearest_ = Nearest(self._rows(x, output), N_FEATURE_NEIGHBORS)
        return self

    def __call__(self, x, output, error):
        _, distances = self.nearest_(self._rows(x, output))
        return distances.mean(1)


class _Subspace:
    """Leading principal components of rows; gives the coordinates in them, and the energy left."""

    def __init__(self, rows, n_components, random_state):
        n_components = max(1, min(n_components, rows.shape[1], len(rows) // ROWS_PER_COORDINATE))
        with np.errstate(invalid="ignore"):  # shares of a variance that is zero; they are not used
            pca = PCA(n_components, random_state=random_state).fit(rows)
        self.n_components = n_components
        self.mean = torch.as_tensor(pca.mean_)
        self.components = _padded_columns(torch.as_tensor(pca.components_.T))

    def __call__(self, rows):
        both = by_rows(self._project, torch.as_tensor(rows)).numpy()
        return both[:, :-1], both[:, -1]

    def _project(self, rows):
        centred = rows - self.mean
        inside = (centred @ self.components)[:, : self.n_components]
        left = centred.square().sum(1, keepdim=True) - inside.square().sum(1, keepdim=True)
        return torch.cat([inside, left.clamp_min(0)], 1)


def _padded_columns(matrix):
    return F.pad(matrix, (0, -matrix.shape[1] % COLUMNS))


class FeatureDensity(_OfFeatures):
    """Negative log-density of features under Gaussian mixtures, in nats.

    The mixtures, of full covariances, live on the leading 127 principal components and the
    logarithm of the energy outside of them. Each of the four is fitted without a quarter of the
    trusted images; the score is their mean.
    """

    positive = False

    def fit(self, x, output, error, autoencoder, random_state):
        rows = self._rows(x, output)
        self.subspace_ = _Subspace(rows, MAX_FEATURE_COMPONENTS, random_state)
        inside, left = self.subspace_(rows)
        self.scale_ = np.sqrt(inside.var(0).mean()) or 1.0
        self.has_rest_ = self.subspace_.n_components < rows.shape[1] and left.max() > 0
        if self.has_rest_:
            self.min_left_ = 1e-6 * left.mean()
            log_left = np.log(np.maximum(left, self.min_left_))
            self.left_mean_, self.left_scale_ = log_left.mean(), log_left.std() or 1.0
        rows = self._coordinates(rows)
        n_folds = N_FOLDS if len(rows) >= 2 * N_FOLDS else 1
        self._fold = np.random.RandomState(random_state).permutation(len(rows)) % n_folds
        self.mixtures_ = [
            _Mixture(rows[self._fold != fold] if n_folds > 1 else rows, random_state)
            for fold in range(n_folds)
        ]
        return self

    def _coordinates(self, rows):
        inside, left = self.subspace_(rows)
        if not self.has_rest_:
            return inside / self.scale_
        log_left = np.log(np.maximum(left, self.min_left_))
        return np.column_stack(
            [inside / self.scale_, (log_left - self.left_mean_) / self.left_scale_]
        )

    def __call__(self, x, output, error):
        return self._by_mixture(x, output).mean(1)

    def held_out(self, x, output, error):
        return self._by_mixture(x, output)[np.arange(len(x)), self._fold]

    def _by_mixture(self, x, output):
        rows = self._coordinates(self._rows(x, output))
        return np.stack([mixture(rows) for mixture in self.mixtures_], 1)


class _Mixture:
    """Gaussian mixture of full covariances; gives the negative log-density of rows, in nats."""

    def __init__(self, rows, random_state):
        mixture = GaussianMixture(
            max(1, min(MAX_MIXTURE_COMPONENTS, len(rows) // ROWS_PER_COVARIANCE)),
            reg_covar=1e-3,
            max_iter=40,
            random_state=random_state,
        )
        with warnings.catch_warnings():
            # A bounded number of iterations is meant, and duplicate rows leave fewer clusters.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(rows)
        whiten = [_padded_columns(torch.as_tensor(w)) for w in mixture.precisions_cholesky_]
        self.whiten = torch.cat(whiten, 1)
        self.means = torch.cat(
            [torch.as_tensor(m) @ w for m, w in zip(mixture.means_, whiten, strict=True)]
        )
        log_det = np.log(np.diagonal(mixture.precisions_cholesky_, axis1=1, axis2=2)).sum(1)
        log_norm = log_det - 0.5 * rows.shape[1] * np.log(2 * np.pi)
        self.log_weights = np.log(mixture.weights_) + log_norm

    def __call__(self, rows):
        # scikit-learn's own evaluation rounds differently for one row than for many.
        squares = by_rows(self._squares, torch.as_tensor(rows)).numpy()
        return -logsumexp(self.log_weights - 0.5 * squares, axis=1)

    def _squares(self, rows):
        deviation = rows @ self.whiten - self.means
        return deviation.view(len(rows), len(self.log_weights), -1).square().sum(2)
