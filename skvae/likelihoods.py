"""Likelihoods: the error map, one value a feature, and the output activation that goes with it.

Each is a torch module. ``forward(x, x_hat)`` returns a tensor of the shape of ``x``: the negative
log-likelihood of each value in nats (for `MeanSquared`: the squared error). Summed over the
features it is the reconstruction part of the loss.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks import COLUMNS, n_padded

# A scale below 1 % or above e^4 of the feature's own is a column that is constant or ran away.
LOG_SCALE_RANGE = (-4.6, 4.0)
# Images are in [0, 1], and what networks leave of them is about a tenth: a short training would
# not get there from 1.
LOG_SCALE_OF_IMAGES = math.log(0.1)


# Of a value that is impossible, and the least variance that a gradient is divided by.
MIN_LOG, MIN_VARIANCE = -100.0, 1e-12


class _Likelihood(nn.Module):
    """Base of the likelihoods.

    Parameters
    ----------
    shape : int or tuple
        Of a row: its number of features, or (channels, height, width) of an image.
    """

    activation = "identity"

    def __init__(self, shape):
        super().__init__()
        self.shape = shape


class MeanSquared(_Likelihood):
    """Squared error, ``(x - x_hat)**2``."""

    def forward(self, x, x_hat):
        """Error map."""
        return (x - x_hat).square()


class _LearnedScale(_Likelihood):
    """A likelihood with one learned scale a feature, or a channel of an image, for all rows.

    Not one a pixel: where training images are always black, as in the corners of digits, the scale
    falls to its bound, and the first grey pixel there outweighs the whole image.
    """

    def __init__(self, shape):
        super().__init__(shape)
        if isinstance(shape, tuple):
            # Series, which are images of one row, have the scale of tables.
            start = LOG_SCALE_OF_IMAGES if shape[1] > 1 else 0.0
            log_scale = torch.full((1, 1, shape[0], 1, 1), start)
        else:
            log_scale = torch.zeros(1, 1, n_padded(shape))  # padded as the weights of networks are
        self.log_scale = nn.Parameter(log_scale)

    def scale(self):
        """Log-scale and precision, ``exp(-log_scale)``, that a batch of rows can be scaled by."""
        log_scale = self.log_scale.clamp(*LOG_SCALE_RANGE)
        precision = torch.exp(-log_scale)
        if isinstance(self.shape, tuple):
            return log_scale, precision
        return log_scale[..., : self.shape], precision[..., : self.shape]


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
        return _BinaryCrossEntropy.apply(x.clamp(0, 1).expand_as(x_hat), x_hat)


class _BinaryCrossEntropy(torch.autograd.Function):
    """``F.binary_cross_entropy`` without reduction, from vectorised logarithms.

    As there, logarithms are at least -100 and the gradient of a certain pixel is divided by 1e-12,
    not by 0; the target gets no gradient.
    """

    @staticmethod
    def forward(ctx, x, p):
        ctx.save_for_backward(x, p)
        log_p = torch.log(p).clamp_min_(MIN_LOG)
        log_q = torch.log1p(-p).clamp_min_(MIN_LOG)
        return torch.lerp(log_q, log_p, x).neg_()

    @staticmethod
    def backward(ctx, gradient):
        x, p = ctx.saved_tensors
        variance = torch.addcmul(p, p, p, value=-1).clamp_min_(MIN_VARIANCE)
        return None, (p - x).div_(variance).mul_(gradient)


class OfColumns(nn.Module):
    """A likelihood that leaves some columns out: those that are given have no error.

    Parameters
    ----------
    likelihood : torch module
        Of all columns that are reconstructed.
    left_out : sequence of int
        Columns among these whose error is 0.
    """

    def __init__(self, likelihood, left_out):
        super().__init__()
        self.likelihood = likelihood
        self.left_out = list(left_out)

    def forward(self, x, x_hat):
        """Error map; of rows that are longer than their reconstruction the rest is given too."""
        error = self.likelihood(x[..., : x_hat.shape[-1]], x_hat)
        if not self.left_out:
            return error
        return error.index_fill(-1, torch.tensor(self.left_out, device=error.device), 0.0)


class Mixed(nn.Module):
    """Likelihoods of a row of `skvae.networks.MixedAutoencoder`, a part for each kind of column.

    Numbers are normal with a learned scale each, and a category costs ``-log p`` of its slot, with
    the additive smoothing of a column that was known in n training rows and has K slots:
    ``p = (n q + 1) / (n + K)``, q being the softmax. So nothing costs more than ``log(n + K)``
    nats. What is missing costs nothing.

    Parameters
    ----------
    shape : tuple of int
        Number of numbers, then number of slots of each category column.
    """

    def __init__(self, shape):
        super().__init__()
        self.n_numbers, *sizes = shape
        self.n_slots, self.n_columns = sum(sizes), len(sizes)
        if self.n_numbers:
            self.numbers = Gaussian(self.n_numbers)
        if self.n_slots:
            # Padded to whole pairs of vectors: logarithms of the rest of a row may round otherwise.
            n_columns = n_padded(self.n_slots)
            n_columns += n_columns % (2 * COLUMNS)
            self.register_buffer("reserved", torch.zeros(1, 1, n_columns))
            self.register_buffer("trusted", torch.ones(1, 1, n_columns))

    def smooth(self, n_known, sizes):
        """Take from how many training rows the probabilities of each category column are."""
        if self.n_slots:
            n_known, sizes = torch.as_tensor(n_known), torch.as_tensor(sizes)
            total = torch.repeat_interleave(n_known + sizes, sizes).float()
            self.reserved[..., : self.n_slots] = 1 / total
            self.trusted[..., : self.n_slots] = n_known.repeat_interleave(sizes) / total

    def forward(self, x, x_hat):
        """Error map."""
        n_values = self.n_numbers + self.n_slots
        numbers, codes, known, beside = x.split(
            [self.n_numbers, self.n_slots, self.n_numbers, self.n_columns], -1
        )
        parts = []
        if self.n_numbers:
            parts.append(self.numbers(numbers, x_hat[..., : self.n_numbers]) * known)
        if self.n_slots:
            q = x_hat[..., self.n_numbers : n_values]
            parts.append(-codes * self._log_probability(q)[..., : self.n_slots])
        rest = torch.cat([torch.zeros_like(known), beside], -1)
        return torch.cat([*parts, rest.expand(*parts[0].shape[:-1], -1)], -1)

    def _log_probability(self, q):
        q = F.pad(q, (0, self.reserved.shape[-1] - self.n_slots), value=1.0)
        # Of a missing cell it is no probability and may be negative; its code is 0.
        return torch.addcmul(self.reserved, self.trusted, q.clamp(min=0)).log()


LIKELIHOODS = {
    "mse": MeanSquared,
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "laplace": Laplace,
}
