"""What the study of plots compares: networks on plots, controls without one, and raw series."""

from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae.detectors import ConvVAEDetector, VAEDetector, WindowDetector

# Lags of the autoregression, and points of the windows, in the features of raw series.
N_LAGS, FEATURE_WINDOW = 12, 20


class Method(NamedTuple):
    """A way to score plots or series.

    Attributes
    ----------
    sees : {"line", "distance", "features", "series"}
        What it is fitted on and scores: plots of that style, features of the raw series, or them.
    make : callable
        ``make(settings, seed)`` makes an unfitted estimator with ``score_samples``.
    """

    sees: str
    make: object


def methods():
    """Name the methods; those that the repair consists of stand in the middle.

    Returns
    -------
    methods : dict of str to Method
    """
    return {
        OLD: Method("line", whole_vae),
        "whole VAE, distance": Method("distance", whole_vae),
        "default ConvVAE, distance": Method("distance", default_vae),
        "strip VAE, line": Method("line", strip_vae),
        REPAIRED: Method("distance", strip_vae),
        "-ink, line": Method("line", lambda settings, seed: LessInk()),
        "mean plot, line": Method("line", lambda settings, seed: Residual(0)),
        "PCA-100, line": Method("line", lambda settings, seed: Residual(100)),
        "PCA-100, distance": Method("distance", lambda settings, seed: Residual(100)),
        "neighbours, distance": Method("distance", lambda settings, seed: Neighbors(5)),
        "neighbours of strips, line": Method("line", strip_neighbors),
        "values, neighbours": Method("series", partial(_scaled, lambda seed: Neighbors(5))),
        "features, neighbours": Method("features", partial(_scaled, lambda seed: Neighbors(5))),
        "features, isolation forest": Method(
            "features", partial(_scaled, lambda seed: IsolationForest(random_state=seed))
        ),
        "features, default VAE": Method("features", features_vae),
    }


OLD = "whole VAE, line"
REPAIRED = "strip VAE, distance"


def _scaled(make, settings, seed):
    return make_pipeline(StandardScaler(), make(seed))


# -- networks --------------------------------------------------------------------------------------


def _network(settings):
    """The small network of all rows but the default detector's."""
    return {
        "channels": settings["channels"],
        "hidden_layer_sizes": (),
        "latent_dim": 32,
        "likelihood": "mse",
        "batch_size": 64,
    }


def whole_vae(settings, seed):
    """Make the old recipe: a VAE of whole plots, scored by the squared error."""
    return ConvVAEDetector(
        score="reconstruction",
        max_steps=settings["steps_whole"],
        random_state=seed,
        **_network(settings),
    )


def default_vae(settings, seed):
    """Make the default detector of images, on whole plots, trained for as many steps."""
    return ConvVAEDetector(max_steps=settings["steps_whole"], random_state=seed)


def features_vae(settings, seed):
    """Make the default detector of tables, on features of the series."""
    quick = {"max_steps": settings["steps_whole"]} if settings["quick"] else {}
    return VAEDetector(random_state=seed, **quick)


def strip_vae(settings, seed):
    """Make the repair: the same network on strips, scored by density of latents and error."""
    detector = ConvVAEDetector(
        score=["latent_density", "reconstruction"],
        max_steps=settings["steps_strips"],
        random_state=seed,
        **_network(settings),
    )
    return WindowDetector(
        detector,
        window_shape=(None, settings["size"] // 4),
        stride=settings["size"] // 16,
        flip="both",
        aggregate=("top", "range"),
        random_state=seed,
    )


def strip_neighbors(settings, seed):
    """Make the control of the strips: no network, the nearest strips of the training."""
    return WindowDetector(
        Neighbors(3),
        window_shape=(None, settings["size"] // 8),
        stride=settings["size"] // 16,
        windows_per_image=4,
        flip="both",
        random_state=seed,
    )


# -- controls without a network --------------------------------------------------------------------


class LessInk(OutlierMixin, BaseEstimator):
    """The less ink a plot has, the more anomalous it is called."""

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return X.reshape(len(X), -1).mean(1)

    def error_map(self, X):
        return X / 255


class Residual(OutlierMixin, BaseEstimator):
    """Squared residual of principal components; without any, the distance to the mean image."""

    def __init__(self, n_components):
        self.n_components = n_components

    def fit(self, X, y=None):
        rows = _rows(X)
        self.mean_ = rows.mean(0)
        n_components = min(self.n_components, len(rows) // 2)
        self.pca_ = PCA(n_components, random_state=0).fit(rows) if n_components else None
        return self

    def error_map(self, X):
        rows = _rows(X) - self.mean_
        if self.pca_ is not None:
            rows = rows - rows @ self.pca_.components_.T @ self.pca_.components_
        return np.square(rows).reshape(X.shape)

    def score_samples(self, X):
        return -self.error_map(X).reshape(len(X), -1).sum(1)


class Neighbors(OutlierMixin, BaseEstimator):
    """Mean distance to the nearest training rows."""

    def __init__(self, n_neighbors):
        self.n_neighbors = n_neighbors

    def fit(self, X, y=None):
        self.index_ = NearestNeighbors(n_neighbors=self.n_neighbors, algorithm="brute")
        self.index_.fit(_rows(X))
        return self

    def score_samples(self, X):
        return -self.index_.kneighbors(_rows(X))[0].mean(1)


def _rows(X):
    rows = X.reshape(len(X), -1)
    return rows.astype(np.float32) / 255 if rows.dtype == np.uint8 else rows


# -- features of raw series ------------------------------------------------------------------------


def series_features(X):
    """Features of series that know what anomalies of series are like: a hard opponent.

    Moments and range; extremes over windows of 20 points, of mean, standard deviation and energy of
    differences; the residual of an autoregression of 12 lags; shares of the spectrum; crossings of
    the mean and repeated values.

    Parameters
    ----------
    X : ndarray of shape (n, length)

    Returns
    -------
    features : ndarray of shape (n, 36)
    """
    mean, sd = X.mean(1, keepdims=True), X.std(1, keepdims=True)
    Z = (X - mean) / np.maximum(sd, 1e-12)
    steps = np.diff(Z, axis=1)
    residual = _autoregression_residual(Z)
    columns = [mean[:, 0], sd[:, 0], (Z**3).mean(1), (Z**4).mean(1), Z.min(1), Z.max(1)]
    columns += [np.abs(steps).max(1), steps.std(1), (np.abs(steps) < 1e-9).sum(1)]
    columns += [np.abs(residual).max(1), residual.std(1), (residual**4).mean(1)]
    for values in (Z, np.abs(residual)):
        windows = np.lib.stride_tricks.sliding_window_view(values, FEATURE_WINDOW, axis=1)
        for statistic in (windows.mean(2), windows.std(2)):
            columns += [statistic.min(1), statistic.max(1), statistic.std(1)]
    energy = np.lib.stride_tricks.sliding_window_view(steps**2, FEATURE_WINDOW, axis=1).mean(2)
    columns += [energy.min(1), energy.max(1), energy.std(1)]
    spectrum = np.abs(np.fft.rfft(Z, axis=1)[:, 1:]) ** 2
    spectrum /= np.maximum(spectrum.sum(1, keepdims=True), 1e-12)
    columns += [part.sum(1) for part in np.array_split(spectrum[:, :40], 7, axis=1)]
    columns += [spectrum.max(1), (np.diff(np.sign(Z), axis=1) != 0).sum(1)]
    return np.column_stack(columns)


def _autoregression_residual(Z):
    """What 12 lags, fitted to each series by least squares, leave of it."""
    lags = np.lib.stride_tricks.sliding_window_view(Z, N_LAGS, axis=1)[:, :-1]
    target = Z[:, N_LAGS:, None]
    ridge = 1e-3 * lags.shape[1] * np.eye(N_LAGS)
    weights = np.linalg.solve(lags.mT @ lags + ridge, lags.mT @ target)
    return (target - lags @ weights)[..., 0]
