"""Blocks of one shape, so that no bit of a row's result depends on the rows beside it."""

import numpy as np
import torch

# Networks and matrix products run on blocks of this many rows, the last one padded: the result of
# a row would otherwise differ in the last bit with the number of rows beside it.
BLOCK_ROWS = 1024
# Images are larger than rows, and so are the arrays that convolutions make of them.
BLOCK_IMAGES = 256


def padded(x, n_rows=BLOCK_ROWS):
    """``x`` with rows of zeros below, at least ``n_rows`` rows in all."""
    missing = n_rows - len(x)
    return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing > 0 else x


def by_rows(function, *tensors):
    """``function`` of one or more tensors of the same length, evaluated in blocks of fixed shape.

    Parameters
    ----------
    function : callable
        Takes as many tensors as are given, returns one of as many rows.
    *tensors : tensor of shape (n_samples, ...)

    Returns
    -------
    values : tensor of shape (n_samples, ...)
    """
    parts = []
    for blocks in zip(*(tensor.split(BLOCK_IMAGES) for tensor in tensors), strict=True):
        values = function(*(padded(block, BLOCK_IMAGES) for block in blocks))
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


def as_array(values):
    """Tensor or array as a float64 array."""
    return np.asarray(values.cpu() if torch.is_tensor(values) else values, dtype=np.float64)
