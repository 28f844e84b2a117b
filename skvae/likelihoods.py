"""Likelihoods: the error map, one value a feature, and the output activation that goes with it.

Each is a torch module. ``forward(x, x_hat)`` returns a tensor of the shape of ``x``: the negative
log-likelihood of each value in nats (for `MeanSquared`: the squared error). Summed over the
features it is the reconstruction part of the loss.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks import n_padded

# A scale below 1 % or above e^4 of the feature's own is a column that is constant or ran away.
LOG_SCALE_RANGE = (-4.6, 4.0)


class _Likelihood(nn.Module):
    activation = "identity"

    def __init__(self, n_features):
        super().__init__()
        self.n_features = n_features


class MeanSquared(_Likelihood):
    """Squared error, ``(x - x_hat)**2``."""

    def forward(self, x, x_hat):
        """Error map."""
        return (x - x_hat).square()


class _LearnedScale(_Likelihood):
    """A likelihood with one learned scale a feature, shared by all rows."""

    def __init__(self, n_features):
        super().__init__(n_features)
        # Padded as the weights of networks are.
        self.log_scale = nn.Parameter(torch.zeros(1, 1, n_padded(n_features)))

    def scale(self):
        """Log-scale and precision, ``exp(-log_scale)``, of shape (n_members, 1, n_features)."""
        log_scale = self.log_scale.clamp(*LOG_SCALE_RANGE)
        return log_scale[..., : self.n_features], torch.exp(-log_scale)[..., : self.n_features]


class Gaussian(_LearnedScale):
    """Normal with a learned standard deviation a feature: ``-log N(x; x_hat, sigma)``."""

    def forward(self, x, x_hat):
        """Error map."""
        log_scale, precision = self.scale()
        error = (x - x_hat) * precision
        return torch.addcmul(log_scale + 0.5 * math.log(2 * math.pi), error, error, value=0.5)


class Laplace(_LearnedScale):
    """Laplace with a learned scale a feature: ``|x - x_hat| / b + log(2 b)``."""

    def forward(self, x, x_hat):
        """Error map."""
        log_scale, precision = self.scale()
        return (x - x_hat).abs() * precision + log_scale + math.log(2)


class Bernoulli(_Likelihood):
    """Binary cross-entropy for values in [0, 1]; values outside are read as the nearer bound."""

    activation = "sigmoid"

    def forward(self, x, x_hat):
        """Error map."""
        target = x.clamp(0, 1).expand_as(x_hat)
        return F.binary_cross_entropy(x_hat, target, reduction="none")


LIKELIHOODS = {
    "mse": MeanSquared,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "laplace": Laplace,
}
