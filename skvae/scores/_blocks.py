"""Blocks of one shape, so that no bit of a row's result depends on the rows beside it."""

import math

import numpy as np
import torch

# Networks and matrix products run on blocks of this many rows, the last one padded: the result of
# a row would otherwise differ in the last bit with the number of rows beside it.
BLOCK_ROWS = 1024
# Images are larger than rows, and so are the arrays that convolutions make of them: fewer to a
# block once they are large, but so many that a convolution still keeps the processor busy.
BLOCK_IMAGES = 256
MIN_BLOCK_IMAGES = 16
BLOCK_VALUES = 1 << 20


def block_size(shape, most=BLOCK_IMAGES):
    """Number of images of ``shape`` (channels, height, width) that make a block.

    Examples
    --------
    >>> block_size((1, 28, 28)), block_size((1, 128, 128)), block_size((3, 224, 224))
    (256, 64, 16)
    """
    return min(most, max(MIN_BLOCK_IMAGES, BLOCK_VALUES // math.prod(shape)))


def padded(x, n_rows=BLOCK_ROWS):
    """``x`` with rows of zeros below, at least ``n_rows`` rows in all."""
    missing = n_rows - len(x)
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing > 0 else x


def by_rows(function, *tensors, size=None):
    """``function`` of one or more tensors of the same length, evaluated in blocks of fixed shape.

    Parameters
    ----------
    function : callable
        Takes as many tensors as are given, returns one of as many rows.
    *tensors : tensor of shape (n_samples, ...)
    size : int, default=None
        Rows of a block; None is `block_size` of the largest rows.

    Returns
    -------
    values : tensor of shape (n_samples, ...)
    """
    size = size or min(block_size(tensor.shape[1:]) for tensor in tensors)
    parts = []
    for blocks in zip(*(tensor.split(size) for tensor in tensors), strict=True):
        values = function(*(padded(block, size) for block in blocks))
        parts.append(values[: len(blocks[0])])
    return torch.cat(parts)


def row_sums(values):
    """Sum over everything but the rows, of rows of numbers or of images."""
    if values.ndim == 2:
        return values.sum(1)
    return by_rows(lambda block: block.flatten(1).sum(1), values)


def scale_of(values, floor):
    """Standard deviation of each feature, at least ``floor``; 1 where both vanish."""
    scale = torch.maximum(values.std(0, unbiased=False), floor)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def latent_scale(output):
    """Standard deviation of each latent; where something is given at least that of the prior, 1.

    A latent that says nothing still varies a little with what is given: in units of its own
    deviation it would make every rare condition an anomaly.
    """
    floor = torch.zeros(1) if output.given is None else torch.ones(1)
    return scale_of(output.latent, floor.to(output.latent))


def as_array(values):
    """Tensor or array as a float64 array."""
    return np.asarray(values.cpu() if torch.is_tensor(values) else values, dtype=np.float64)
