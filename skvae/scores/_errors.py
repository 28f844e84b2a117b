"""Scores of the network's error, of the likelihood and of the latents alone."""

import math

import numpy as np
import torch
from scipy.special import logsumexp
from torch.nn import functional as F

from skvae.networks import COLUMNS
from skvae.scores._base import Score
from skvae.scores._blocks import (
    as_array,
    block_size,
    by_rows,
    latent_scale,
    padded,
    row_sums,
    scale_of,
)

N_DRAWS = 6


class Reconstruction(Score):
    """Squared error summed over the features, in squared units of the scaled input."""

    positive = True

    def __call__(self, x, output, error):
        return row_sums((x - output.x_hat).square())

    def error_map(self, x, output, error):
        return (x - output.x_hat).square()


class Standardized(Score):
    """Squared error of each feature in units of its own variance on trusted rows, summed."""

    positive = True

    def fit(self, x, output, error, autoencoder, random_state):
        # A feature that is reconstructed perfectly must not outweigh all others for ever.
        floor = 0.01 * x.std(0, unbiased=False)
        self.scale_ = scale_of(x - output.x_hat, floor)
        return self

    def __call__(self, x, output, error):
        return row_sums(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        return ((x - output.x_hat) / self.scale_).square()


class Mahalanobis(Score):
    """Squared Mahalanobis distance of the residual from zero, covariance of trusted rows."""

    positive = True

    def fit(self, x, output, error, autoencoder, random_state):
        residual = as_array((x - output.x_hat).flatten(1))
        covariance = np.atleast_2d(np.cov(residual, rowvar=False))
        ridge = 1e-3 * np.trace(covariance) / len(covariance) + 1e-6
        precision = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
        precision = torch.as_tensor(precision, dtype=x.dtype, device=x.device)
        self.precision_ = F.pad(precision, (0, -len(precision) % COLUMNS))
        return self

    def __call__(self, x, output, error):
        return row_sums(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        residual = (x - output.x_hat).flatten(1)
        product = (padded(residual) @ self.precision_)[: len(x), : residual.shape[1]]
        return (residual * product).view(x.shape)


class Latent(Score):
    """Squared distance of the latent mean from its mean on trusted rows, in its variances."""

    positive = True
    has_map = False

    def fit(self, x, output, error, autoencoder, random_state):
        self.mean_ = output.latent.mean(0)
        self.scale_ = latent_scale(output)
        return self

    def __call__(self, x, output, error):
        return ((output.latent - self.mean_) / self.scale_).square().sum(1)


class Elbo(Score):
    """Negative evidence lower bound at the posterior mean: error plus KL, in nats."""

    needs_posterior = True

    def __call__(self, x, output, error):
        return row_sums(error) + output.penalty


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
            x_hat = self._decoded(z, output.given, x.shape[1:])
            yield noise, z, self.autoencoder_.likelihood(x, x_hat[None])[0]

    def _decoded(self, z, given, shape):
        decode = self.autoencoder_.network.decode
        if len(shape) > 1:
            return by_rows(lambda block: decode(block[None])[0], z, size=block_size(shape))
        code = [padded(each)[None] for each in (z, given) if each is not None]
        return decode(*code)[0, : len(z)]


class ReconstructionProbability(_Sampled):
    """Mean of ``-log p(x|z)`` over draws of the posterior, in nats (An and Cho 2015)."""

    def __call__(self, x, output, error):
        return row_sums(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        return sum(error for _, _, error in self._draws(x, output)) / len(self.draws_)


class Iwae(_Sampled):
    """Importance-weighted bound ``-log mean p(x|z) p(z) / q(z|x)``, in nats (arXiv:1509.00519)."""

    has_map = False

    def __call__(self, x, output, error):
        log_weights = [
            # The normalising constants of p(z) and q(z|x) are the same and cancel.
            -row_sums(error)
            - 0.5 * z.square().sum(1)
            + 0.5 * noise.square().sum()
            + 0.5 * output.log_var.sum(1)
            for noise, z, error in self._draws(x, output)
        ]
        # Not torch's logsumexp, which rounds by the position of a row.
        log_weights = np.stack([as_array(weights) for weights in log_weights], 1)
        return math.log(len(self.draws_)) - logsumexp(log_weights, axis=1)
