"""Scores: what the network makes of a row, turned into one number, higher = more anomalous.

A score is called with ``(x, output, error)``: the scaled rows of shape (n_samples, n_features),
the network's `Output` of one member, and the likelihood's error map of the shape of
``x``; all float32 tensors. It returns a tensor or array of shape (n_samples,). A function of that
signature is a score. Those that learn something of the training rows first are classes with
``fit``; the rows that they are fitted on are trusted to be normal.
"""

import math
import warnings
from copy import deepcopy

import numpy as np
import torch
from scipy.special import logsumexp, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torch.nn import functional as F

from skvae.networks import COLUMNS

# Networks and matrix products run on blocks of this many rows, the last one padded: the result of
# a row would otherwise differ in the last bit with the number of rows beside it.
BLOCK_ROWS = 1024
N_DRAWS = 6
N_FOLDS = 4
MAX_COMPONENTS = 20
N_NEIGHBORS = 10
# Temporary arrays of so many numbers stay in the processor's cache.
CHUNK_VALUES = 1 << 16
# Rows nearer than this, a column, are one row that was rounded twice.
SAME_ROW = 1e-5
ROWS_PER_COMPONENT = 20


def padded(x):
    """``x`` with rows of zeros below, at least ``BLOCK_ROWS`` rows in all."""
    missing = BLOCK_ROWS - len(x)
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing > 0 else x


class Score:
    """A score that needs no fit; the base of those that do."""

    needs_posterior = False

    @property
    def needs_fit(self):
        """Whether there is anything to learn of trusted rows."""
        return type(self).fit is not Score.fit

    def fit(self, x, output, error, autoencoder, random_state):
        """Learn what the score needs of trusted rows; here nothing."""
        return self

    def __call__(self, x, output, error):
        """Score of each row, shape (n_samples,)."""
        raise NotImplementedError

    def held_out(self, x, output, error):
        """Scores of the rows of the last ``fit``, as if they had not been in it."""
        return self(x, output, error)

    def error_map(self, x, output, error):
        """Share of each feature in the score, shape (n_samples, n_features)."""
        return error


class FunctionScore(Score):
    """A user's function of ``(x, output, error)``."""

    def __init__(self, function):
        self.function = function

    def __call__(self, x, output, error):
        scores = self.function(x, output, error)
        if np.shape(scores) != (len(x),):
            raise ValueError(
                f"The score function {self.function!r} must return one number a row, shape "
                f"({len(x)},); it returned shape {np.shape(scores)}."
            )
        return scores


class Reconstruction(Score):
    """Squared error summed over the features, in squared units of the scaled input."""

    def __call__(self, x, output, error):
        return (x - output.x_hat).square().sum(1)

    def error_map(self, x, output, error):
        return (x - output.x_hat).square()


def _scale_of(values, floor):
    """Standard deviation of each column, at least ``floor``; 1 where both vanish."""
    scale = torch.maximum(values.std(0, unbiased=False), floor)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


class Standardized(Score):
    """Squared error of each feature in units of its own variance on trusted rows, summed."""

    def fit(self, x, output, error, autoencoder, random_state):
        # A feature that is reconstructed perfectly must not outweigh all others for ever.
        floor = 0.01 * x.std(0, unbiased=False)
        self.scale_ = _scale_of(x - output.x_hat, floor)
        return self

    def __call__(self, x, output, error):
        return self.error_map(x, output, error).sum(1)

    def error_map(self, x, output, error):
        return ((x - output.x_hat) / self.scale_).square()


class Mahalanobis(Score):
    """Squared Mahalanobis distance of the residual from zero, covariance of trusted rows."""

    def fit(self, x, output, error, autoencoder, random_state):
        residual = (x - output.x_hat).double().cpu().numpy()
        covariance = np.atleast_2d(np.cov(residual, rowvar=False))
        ridge = 1e-3 * np.trace(covariance) / len(covariance) + 1e-6
        precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        precision = torch.as_tensor(precision, dtype=x.dtype, device=x.device)
        self.precision_ = F.pad(precision, (0, -len(precision) % COLUMNS))
        return self

    def __call__(self, x, output, error):
        return self.error_map(x, output, error).sum(1)

    def error_map(self, x, output, error):
        residual = x - output.x_hat
        return residual * (padded(residual) @ self.precision_)[: len(x), : x.shape[1]]


class Latent(Score):
    """Squared distance of the latent mean from its mean on trusted rows, in its variances."""

    def fit(self, x, output, error, autoencoder, random_state):
        self.mean_ = output.latent.mean(0)
        self.scale_ = _scale_of(output.latent, torch.zeros_like(self.mean_))
        return self

    def __call__(self, x, output, error):
        return ((output.latent - self.mean_) / self.scale_).square().sum(1)


class Elbo(Score):
    """Negative evidence lower bound at the posterior mean: error plus KL, in nats."""

    needs_posterior = True

    def __call__(self, x, output, error):
        return error.sum(1) + output.penalty


class _Sampled(Score):
    """A score over draws of the posterior.

    All rows share the same few draws, in pairs of opposite sign, from the score's own generator:
    so a row's score neither changes from call to call nor depends on the other rows.
    """

    needs_posterior = True

    def fit(self, x, output, error, autoencoder, random_state):
        generator = torch.Generator().manual_seed(random_state)
        half = torch.randn(N_DRAWS // 2, output.latent.shape[1], generator=generator)
        self.draws_ = torch.cat([half, -half]).to(x.device)
        self.autoencoder_ = autoencoder
        return self

    def _draws(self, x, output):
        """Noise, sample and error map of each draw."""
        std = torch.exp(0.5 * output.log_var)
        for noise in self.draws_:
            z = output.latent + noise * std
            x_hat = self.autoencoder_.network.decode(padded(z).unsqueeze(0))
            yield noise, z, self.autoencoder_.likelihood(x, x_hat[:, : len(x)])[0]


class ReconstructionProbability(_Sampled):
    """Mean of ``-log p(x|z)`` over draws of the posterior, in nats (An and Cho 2015)."""

    def __call__(self, x, output, error):
        return self.error_map(x, output, error).sum(1)

    def error_map(self, x, output, error):
        return sum(error for _, _, error in self._draws(x, output)) / len(self.draws_)


class Iwae(_Sampled):
    """Importance-weighted bound ``-log mean p(x|z) p(z) / q(z|x)``, in nats (arXiv:1509.00519)."""

    def __call__(self, x, output, error):
        log_weights = [
            # The normalising constants of p(z) and q(z|x) are the same and cancel.
            -error.sum(1)
            - 0.5 * z.square().sum(1)
            + 0.5 * noise.square().sum()
            + 0.5 * output.log_var.sum(1)
            for noise, z, error in self._draws(x, output)
        ]
        # Not torch's logsumexp, which rounds by the position of a row.
        log_weights = np.stack([_array(weights) for weights in log_weights], 1)
        return math.log(len(self.draws_)) - logsumexp(log_weights, axis=1)


class _LatentResidualSpace(Score):
    """Rows as [latent, residual], each column in units of its deviation on trusted rows."""

    def _fit_space(self, x, output):
        zero = torch.zeros(1, device=x.device)
        # A feature that is reconstructed perfectly must not outweigh all others for ever.
        floor = 0.01 * _scale_of(x, zero)
        self.latent_scale_ = _scale_of(output.latent, zero)
        self.residual_scale_ = torch.maximum(_scale_of(x - output.x_hat, zero), floor)
        return self._space(x, output)

    def _space(self, x, output):
        residual = (x - output.x_hat) / self.residual_scale_
        return torch.cat([output.latent / self.latent_scale_, residual], 1).double().cpu().numpy()


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
        residual = rows[:, -x.shape[1] :]
        total = np.zeros_like(residual)
        for mixture in self.mixtures_:
            share = softmax(_log_joint(mixture, rows), axis=1)
            components = zip(share.T, mixture.means_, mixture.precisions_, strict=True)
            for weight, mean, precision in components:
                deviation = residual - mean[-x.shape[1] :]
                total += weight[:, None] * deviation**2 * precision[-x.shape[1] :]
        return 0.5 * total / len(self.mixtures_)


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

    def __call__(self, x, output, error):
        return self._differences(self._space(x, output))[1].mean(1)

    def error_map(self, x, output, error):
        """Share of each feature's residual in the mean distance."""
        differences, distances = self._differences(self._space(x, output))
        shares = differences**2 / np.maximum(distances, 1e-12)[..., None]
        return shares.mean(1)[:, -x.shape[1] :]


class Combined(Score):
    """Mean of several scores, each as a z-score calibrated on held-out trusted rows."""

    def __init__(self, scores):
        self.scores = scores
        self.needs_posterior = any(score.needs_posterior for score in scores)

    def fit(self, x, output, error, autoencoder, random_state):
        held_out = []
        for score in self.scores:
            score.fit(x, output, error, autoencoder, random_state)
            held_out.append(_array(score.held_out(x, output, error)))
        self.means_ = np.array([scores.mean() for scores in held_out])
        self.scales_ = np.array([_spread(scores) for scores in held_out])
        return self

    def __call__(self, x, output, error):
        parts = np.stack([_array(score(x, output, error)) for score in self.scores], 1)
        return ((parts - self.means_) / self.scales_).mean(1)

    def error_map(self, x, output, error):
        """Maps of the scores, added with the weights of the scores."""
        maps = [_array(score.error_map(x, output, error)) for score in self.scores]
        return sum(m / s for m, s in zip(maps, self.scales_, strict=True)) / len(maps)


class Ensemble:
    """Mean of the scores of several networks; of one network, its score as it is.

    The members' scores are first given one mean and one spread on held-out trusted rows: the mean
    of the members' own, so that the units stay those of the score.
    """

    def __init__(self, scores):
        self.scores = scores
        self.needs_fit = len(scores) > 1 or scores[0].needs_fit

    def fit(self, x, output, error, autoencoders, seeds):
        """Fit each member's score; ``output`` and ``error`` have their member dimension."""
        held_out = []
        for i, score in enumerate(self.scores):
            own = x, output.member(i), error[i]
            score.fit(*own, autoencoders[i], seeds[i])
            if len(self.scores) > 1:
                held_out.append(_array(score.held_out(*own)))
        if len(self.scores) > 1:
            self.means_ = np.array([scores.mean() for scores in held_out])
            self.scales_ = np.array([_spread(scores) for scores in held_out])
        return self

    def by_member(self, x, output, error):
        """Comparable scores of each member, shape (n_samples, n_members)."""
        own = [_array(score(x, output.member(i), error[i])) for i, score in enumerate(self.scores)]
        scores = np.stack(own, 1)
        if len(self.scores) == 1:
            return scores
        return self.means_.mean() + self.scales_.mean() * (scores - self.means_) / self.scales_

    def __call__(self, x, output, error):
        return self.by_member(x, output, error).mean(1)

    def error_map(self, x, output, error):
        """Mean of the members' maps, each scaled as its score is."""
        maps = [
            _array(score.error_map(x, output.member(i), error[i]))
            for i, score in enumerate(self.scores)
        ]
        if len(maps) == 1:
            return maps[0]
        weights = self.scales_.mean() / self.scales_ / len(maps)
        return sum(weight * values for weight, values in zip(weights, maps, strict=True))


def _spread(scores):
    """Standard deviation; 1 where nothing but rounding tells the scores apart."""
    spread = scores.std()
    return spread if spread > 1e-9 * max(1.0, abs(scores.mean())) else 1.0


def _array(values):
    return np.asarray(values.cpu() if torch.is_tensor(values) else values, dtype=np.float64)


SCORES = {
    "reconstruction": Reconstruction,
    "standardized": Standardized,
    "mahalanobis": Mahalanobis,
    "elbo": Elbo,
    "iwae": Iwae,
    "reconstruction_probability": ReconstructionProbability,
    "latent": Latent,
    "density": Density,
    "neighbors": Neighbors,
}


def make_score(score):
    """The score that a name, a function, or a list of them stands for."""
    if isinstance(score, str):
        if score not in SCORES:
            raise ValueError(f"score={score!r} is unknown; choose among {sorted(SCORES)}.")
        return SCORES[score]()
    if isinstance(score, (list, tuple)):
        if not score:
            raise ValueError("score is empty; name at least one score.")
        return Combined([make_score(part) for part in score])
    if isinstance(score, Score):
        return deepcopy(score)
    if not callable(score):
        raise ValueError(
            f"score={score!r} is none of a name, a function of (x, output, error), a Score, or a "
            "list of them."
        )
    return FunctionScore(score)
