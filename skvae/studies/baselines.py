"""The opponents of the studies: PyOD detectors, and controls without a network.

Every function here makes an unfitted detector with ``fit(X)``, ``anomaly_score(X)`` (higher =
more anomalous) and, once fitted, ``training_scores_``: what the training rows score when a row
may not vouch for itself (a row is not its own neighbour, nor in the sample that a density was
fitted on).
"""

import importlib

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from skvae.scores import fit_mixture

# name -> (PyOD module, class, fixed parameters); "random_state" is filled in where PyOD has it.
PYOD = {
    "IForest": ("iforest", "IForest", {"random_state": None}),
    "KNN": ("knn", "KNN", {}),
    "KNN mean": ("knn", "KNN", {"method": "mean"}),
    "LOF": ("lof", "LOF", {}),
    "ECOD": ("ecod", "ECOD", {}),
    "COPOD": ("copod", "COPOD", {}),
    "HBOS": ("hbos", "HBOS", {}),
    "PCA": ("pca", "PCA", {"random_state": None}),
    "PyOD VAE": ("vae", "VAE", {"random_state": None, "verbose": 0}),
    "PyOD AutoEncoder": ("auto_encoder", "AutoEncoder", {"random_state": None, "verbose": 0}),
}
DEEP = ("PyOD VAE", "PyOD AutoEncoder")


def pyod_baseline(name, seed=0, epochs=None):
    """Make a PyOD detector at its defaults, on z-scored columns.

    Parameters
    ----------
    name : str
        A key of ``PYOD``.
    seed : int, default=0
        Its ``random_state``, where it has one.
    epochs : int, default=None
        Epochs of the deep detectors; None means PyOD's default.

    Returns
    -------
    detector : ZScored
        The unfitted detector.
    """
    from skvae.interop.pyod import FromPyOD

    module, class_name, parameters = PYOD[name]
    parameters = {key: seed if key == "random_state" else v for key, v in parameters.items()}
    if epochs is not None and name in DEEP:
        parameters["epoch_num"] = epochs
    make = getattr(importlib.import_module(f"pyod.models.{module}"), class_name)
    return ZScored(FromPyOD(make(**parameters)))


class ZScored(BaseEstimator):
    """A detector on columns of mean 0 and standard deviation 1 over the training rows."""

    def __init__(self, detector):
        self.detector = detector

    def fit(self, X, y=None):
        """Fit scaler and detector on rows of shape (n_samples, n_features)."""
        self.scaler_ = StandardScaler().fit(X)
        self.detector_ = clone(self.detector).fit(self.scaler_.transform(X))
        self.training_scores_ = self.detector_.training_scores_
        return self

    def anomaly_score(self, X):
        """Score rows: shape (n_samples,), higher = more anomalous."""
        return self.detector_.anomaly_score(self.scaler_.transform(X))


class NeighborsAndMixtures(BaseEstimator):
    """Nearest neighbours and Gaussian mixtures in input space: the control without a network.

    The mean of five z-scores: the distance to the nearest training row after z-scoring, robust
    scaling (clipped to +-10) and min-max scaling; and the negative log density of two mixtures of
    20 diagonal Gaussians, on z-scored and on min-max scaled columns. Each mixture is fitted four
    times, without one quarter of the rows each time. Every part is standardised by the scores
    of training rows that it had not seen.

    Parameters
    ----------
    random_state : int, default=0
        Seed of the division into quarters.
    """

    def __init__(self, random_state=0):
        self.random_state = random_state

    def fit(self, X, y=None):
        """Fit all parts on rows of shape (n_samples, n_features)."""
        order = np.random.default_rng(self.random_state).permutation(len(X))
        folds = np.empty(len(X), dtype=int)
        folds[order] = np.arange(len(X)) % 4
        standard, robust = StandardScaler().fit(X), RobustScaler().fit(X)
        minmax = MinMaxScaler().fit(X)
        # One common factor keeps the relative widths of min-max columns, yet makes the fixed
        # covariance floor of the mixture as small as it is on z-scored columns.
        width = np.sqrt(minmax.transform(X).var(axis=0).mean()) or 1.0
        self.parts_ = [
            (standard.transform, _Nearest()),
            (lambda A: robust.transform(A).clip(-10, 10), _Nearest()),
            (minmax.transform, _Nearest()),
            (standard.transform, _CrossFittedMixture(folds)),
            (lambda A: minmax.transform(A) / width, _CrossFittedMixture(folds)),
        ]
        unseen = [part.fit(scale(X)) for scale, part in self.parts_]
        self.means_ = [scores.mean() for scores in unseen]
        self.stds_ = [scores.std() or 1.0 for scores in unseen]
        self.training_scores_ = self._combine(unseen)
        return self

    def anomaly_score(self, X):
        """Score rows: shape (n_samples,), higher = more anomalous."""
        return self._combine([part.score(scale(X)) for scale, part in self.parts_])

    def _combine(self, scores):
        parts = zip(scores, self.means_, self.stds_, strict=True)
        return np.mean([(score - mean) / std for score, mean, std in parts], axis=0)


class _Nearest:
    def fit(self, Z):
        self.index = NearestNeighbors(n_neighbors=1).fit(Z)
        return self.index.kneighbors()[0][:, 0]  # without X: no row is its own neighbour

    def score(self, Z):
        return self.index.kneighbors(Z)[0][:, 0]


class _CrossFittedMixture:
    def __init__(self, folds):
        self.folds = folds

    def fit(self, Z):
        self.models, unseen = [], np.empty(len(Z))
        for fold in np.unique(self.folds):
            held_out = self.folds == fold
            rows = Z[~held_out]
            model = fit_mixture(rows, random_state=0)
            self.models.append(model)
            unseen[held_out] = -model.score_samples(Z[held_out])
        return unseen

    def score(self, Z):
        return -np.mean([model.score_samples(Z) for model in self.models], axis=0)


class TrimmedGaussian(BaseEstimator):
    """One full Gaussian, fitted twice: on all rows, then without the least likely ones.

    The control for contaminated training data: it trims as the autoencoders do, without a network.

    Parameters
    ----------
    trim : float, default=0.2
        Share of the rows that the second fit leaves out; 0 for clean training rows.
    """

    def __init__(self, trim=0.2):
        self.trim = trim

    def fit(self, X, y=None):
        """Fit on rows of shape (n_samples, n_features)."""
        self.scaler_ = StandardScaler().fit(X)
        Z = self.scaler_.transform(X)
        first = GaussianMixture(reg_covar=1e-3, random_state=0).fit(Z)
        density = first.score_samples(Z)
        kept = Z[density >= np.quantile(density, self.trim)]
        self.model_ = GaussianMixture(reg_covar=1e-3, random_state=0).fit(kept)
        self.training_scores_ = self.anomaly_score(X)
        return self

    def anomaly_score(self, X):
        """Score rows: shape (n_samples,), higher = more anomalous."""
        return -self.model_.score_samples(self.scaler_.transform(X))
