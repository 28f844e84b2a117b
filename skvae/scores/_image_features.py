"""Structural similarity and histograms of oriented gradients of whole batches, in torch.

Both agree with scikit-image, which takes one image at a time. Images are float32 of shape
(n_samples, channels, height, width).
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

from skvae.networks import COLUMNS
from skvae.scores._blocks import by_rows

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_CONSTANTS = (0.01**2, 0.03**2)

HOG_ORIENTATIONS = 9
HOG_CELLS_A_SIDE = 8
HOG_BLOCK = 3
HOG_EPSILON = 1e-5
HOG_CLIP = 0.2


def ssim_map(x, y):
    """Structural similarity of each pixel's neighbourhood (Wang et al. 2004).

    Parameters
    ----------
    x, y : tensor of shape (n_samples, channels, height, width)
        In [0, 1].

    Returns
    -------
    similarity : tensor of the same shape
        In [-1, 1], 1 = the same. As scikit-image's ``structural_similarity(x, y, data_range=1,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True)``.

    Examples
    --------
    >>> import torch
    >>> x = torch.rand(2, 1, 8, 8)
    >>> bool((ssim_map(x, x) > 0.999).all())
    True
    """
    window = [_gaussian_matrix(side).to(x.device) for side in x.shape[2:]]
    return by_rows(lambda x, y: _ssim(x, y, *window), x, y)


def _ssim(x, y, rows, columns):
    def mean(images):
        across = _times(images, columns)
        return _times(across.transpose(2, 3), rows).transpose(2, 3)

    c1, c2 = SSIM_CONSTANTS
    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x * mean_x, mean(y * y) - mean_y * mean_y
    covariance = mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return luminance * (2 * covariance + c2) / (var_x + var_y + c2)


def _times(images, matrix):
    """Product of the last axis of the images with a matrix of padded columns."""
    return (images.reshape(-1, images.shape[-1]) @ matrix)[:, : len(matrix)].view(images.shape)


def _gaussian_matrix(side):
    """Gaussian filter of a line of pixels, mirrored at its ends, as a matrix to multiply with."""
    offsets = np.arange(-SSIM_RADIUS, SSIM_RADIUS + 1)
    weights = np.exp(-0.5 * np.square(offsets / SSIM_SIGMA))
    weights /= weights.sum()
    source = np.pad(np.arange(side), SSIM_RADIUS, mode="symmetric")
    matrix = np.zeros((side, side + -side % COLUMNS), dtype=np.float32)
    for pixel in range(side):
        np.add.at(matrix[:, pixel], source[pixel : pixel + len(offsets)], weights)
    return torch.as_tensor(matrix)


def hog(x):
    """Histograms of oriented gradients (Dalal and Triggs 2005).

    9 orientations, about 8 cells a side, blocks of 3 x 3 cells, "L2-Hys". The gradient of an image
    of several channels is, at each pixel, that of the channel where it is steepest.

    Parameters
    ----------
    x : tensor of shape (n_samples, channels, height, width)

    Returns
    -------
    features : tensor of shape (n_samples, 81, n_blocks_down, n_blocks_across)
        In [0, 1]. The values of scikit-image's ``hog``, whose axes are (blocks down, blocks across,
        cells down, cells across, orientations). Blocks are smaller than 3 x 3 cells where the image
        has fewer cells.

    Examples
    --------
    >>> import torch
    >>> hog(torch.rand(2, 1, 28, 28)).shape
    torch.Size([2, 81, 5, 5])
    """
    return by_rows(_hog, x)


def hog_cell(height, width):
    """Side of a cell in pixels: images of 28 x 28 have 7 cells of 4 pixels a side."""
    side = min(height, width)
    return min(side, max(2, math.ceil(side / HOG_CELLS_A_SIDE)))


def _hog(x):
    cells = _cell_histograms(x)
    n, k, down, across = cells.shape
    block = min(HOG_BLOCK, down, across)
    vectors = F.unfold(cells, block)
    vectors = vectors / (vectors.square().sum(1, keepdim=True) + HOG_EPSILON**2).sqrt()
    vectors = vectors.clamp_max(HOG_CLIP)
    vectors = vectors / (vectors.square().sum(1, keepdim=True) + HOG_EPSILON**2).sqrt()
    return vectors.view(n, k * block**2, down - block + 1, across - block + 1)


def _cell_histograms(x):
    """Mean gradient of each orientation in each cell, (n, orientations, cells down, across)."""
    down, across = torch.zeros_like(x), torch.zeros_like(x)
    down[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    across[..., 1:-1] = x[..., 2:] - x[..., :-2]
    steepness, steepest = torch.hypot(down, across).max(1, keepdim=True)
    angle = torch.atan2(down.gather(1, steepest), across.gather(1, steepest))
    bins = (angle.remainder(math.pi) * (HOG_ORIENTATIONS / math.pi)).long() % HOG_ORIENTATIONS
    histogram = x.new_zeros(len(x), HOG_ORIENTATIONS, *x.shape[2:])
    histogram.scatter_(1, bins, steepness)
    return F.avg_pool2d(histogram, hog_cell(*x.shape[2:]))
