"""Corruptions of a part of the image: stripes and patches, at drawn places."""

import numbers

import numpy as np
from sklearn.utils import check_random_state

from skvae.corruptions._images import check_number, copy_images, grey, noisy, result

CENTRE_MARGIN = 3 / 14  # of a side: 6 of the 28 pixels of MNIST, whose digits were fitted into 20


def stripes(
    X,
    n_stripes=1,
    *,
    direction="either",
    value=1.0,
    placing="anywhere",
    channel_axis=None,
    random_state=None,
    return_mask=False,
):
    """Set whole rows or columns, one pixel wide, to one grey value.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    n_stripes : int, default=1
        Different rows or columns in an image, from 0 to its shorter side.
    direction : {"rows", "columns", "either"}, default="either"
        ``"either"`` draws one of the two for each image.
    value : float, default=1.0
        Grey value as a share of white, in [0, 1]: 1 switches a line on, 0 switches it off.
    placing : {"anywhere", "centre"} or int, default="anywhere"
        How near to the border a line may lie, as in `patch_occlusion`. Lines that are off show
        only where something was: near the border of MNIST nothing is.
    channel_axis : {1, -1} or None, default=None
        Axis of the channels; None: the one that is at most 4 long.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.
    return_mask : bool, default=False
        Also return which pixels changed.

    Returns
    -------
    corrupted : ndarray of the shape and dtype of X
        New images; ``X`` stays as it is.
    mask : ndarray of bool of shape (n, H, W)
        True where a pixel really changed. Only with ``return_mask=True``.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or ``X`` does not hold images.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.corruptions import stripes
    >>> stripes(np.zeros((1, 3, 4), dtype=np.uint8), direction="rows", random_state=0)
    array([[[  0,   0,   0,   0],
            [  0,   0,   0,   0],
            [255, 255, 255, 255]]], dtype=uint8)
    """
    if direction not in ("rows", "columns", "either"):
        raise ValueError(f"direction must be 'rows', 'columns' or 'either'; found {direction!r}.")
    check_number("value", value, 0, 1)
    X, corrupted, pixels = copy_images(X, channel_axis)
    n, height, width, _ = pixels.shape
    check_number("n_stripes", n_stripes, 0, min(height, width), whole=True)
    rng = check_random_state(random_state)
    share_of_rows = {"rows": 1.0, "columns": 0.0, "either": 0.5}[direction]
    in_rows = rng.random_sample((n, 1, 1)) < share_of_rows
    rows = _draw_lines(n, height, n_stripes, placing, rng)
    columns = _draw_lines(n, width, n_stripes, placing, rng)
    pixels[np.where(in_rows, rows[:, :, None], columns[:, None, :])] = grey(value, X.dtype)
    return result(X, corrupted, channel_axis, return_mask)


def patch_occlusion(
    X,
    size=8,
    *,
    value=0.0,
    placing="anywhere",
    channel_axis=None,
    random_state=None,
    return_mask=False,
):
    """Cover a square patch with one grey value, at a random place in each image.

    Where the patch may lie decides how hard it is to find: anywhere in MNIST, one black patch of
    8 x 8 in seven changes no pixel at all.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    size : int, default=8
        Side of the patch in pixels, from 0 to the shorter side of the image.
    value : float, default=0.0
        Grey value as a share of white, in [0, 1]: 0 is black.
    placing : {"anywhere", "centre"} or int, default="anywhere"
        How near to the border the patch may lie. An int is the number of pixels left free along
        every border, ``"anywhere"`` is 0, and ``"centre"`` is 3/14 of the side, rounded: the
        patch lies in the inner 16 x 16 pixels of an image of 28 x 28. A patch that does not fit
        in there is placed in the middle.
    channel_axis : {1, -1} or None, default=None
        Axis of the channels; None: the one that is at most 4 long.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.
    return_mask : bool, default=False
        Also return which pixels changed.

    Returns
    -------
    corrupted : ndarray of the shape and dtype of X
        New images; ``X`` stays as it is.
    mask : ndarray of bool of shape (n, H, W)
        True where a pixel really changed. Only with ``return_mask=True``.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or ``X`` does not hold images.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.corruptions import patch_occlusion
    >>> X = np.ones((3, 28, 28), dtype=np.float32)
    >>> corrupted, mask = patch_occlusion(X, 8, placing="centre", random_state=0, return_mask=True)
    >>> mask.sum(axis=(1, 2))
    array([64, 64, 64])
    """
    check_number("value", value, 0, 1)
    X, corrupted, pixels = copy_images(X, channel_axis)
    rng = check_random_state(random_state)
    pixels[_draw_patches(pixels.shape, size, placing, rng)] = grey(value, X.dtype)
    return result(X, corrupted, channel_axis, return_mask)


def noise_patch(
    X,
    sd=0.3,
    *,
    size=8,
    placing="anywhere",
    channel_axis=None,
    random_state=None,
    return_mask=False,
):
    """Add Gaussian noise in a square patch, at a random place in each image.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    sd : float, default=0.3
        Standard deviation of the noise, as in `gaussian_noise`.
    size : int, default=8
        Side of the patch, as in `patch_occlusion`.
    placing : {"anywhere", "centre"} or int, default="anywhere"
        As in `patch_occlusion`.
    channel_axis : {1, -1} or None, default=None
        Axis of the channels; None: the one that is at most 4 long.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.
    return_mask : bool, default=False
        Also return which pixels changed.

    Returns
    -------
    corrupted : ndarray of the shape and dtype of X
        New images; ``X`` stays as it is.
    mask : ndarray of bool of shape (n, H, W)
        True where a pixel really changed. Only with ``return_mask=True``.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or ``X`` does not hold images.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.corruptions import noise_patch
    >>> X = np.full((1, 28, 28), 0.5)
    >>> noisy, mask = noise_patch(X, 0.1, size=4, random_state=0, return_mask=True)
    >>> int(mask.sum())
    16
    """
    check_number("sd", sd, 0)
    X, corrupted, pixels = copy_images(X, channel_axis)
    rng = check_random_state(random_state)
    inside = _draw_patches(pixels.shape, size, placing, rng)
    pixels[inside] = noisy(pixels[inside], sd, rng)
    return result(X, corrupted, channel_axis, return_mask)


def _draw_patches(shape, size, placing, rng):
    """Draw one square an image, True inside: (n, H, W)."""
    n, height, width, _ = shape
    check_number("size", size, 0, min(height, width), whole=True)
    rows = _draw_interval(n, height, size, placing, rng)
    columns = _draw_interval(n, width, size, placing, rng)
    return rows[:, :, None] & columns[:, None, :]


def _draw_interval(n, side, length, placing, rng):
    margin = _margin(side, length, placing)
    start = rng.randint(margin, side - margin - length + 1, size=(n, 1))
    return (np.arange(side) >= start) & (np.arange(side) < start + length)


def _draw_lines(n, side, n_lines, placing, rng):
    """Draw ``n_lines`` different lines an image, True on a line: (n, side)."""
    margin = _margin(side, n_lines, placing)
    order = rng.random_sample((n, side - 2 * margin)).argsort(axis=1)
    lines = np.zeros((n, side), dtype=bool)
    np.put_along_axis(lines, margin + order[:, :n_lines], True, axis=1)
    return lines


def _margin(side, length, placing):
    """Pixels left free at both ends of a side, so that ``length`` pixels still fit."""
    if isinstance(placing, numbers.Integral) and placing >= 0:
        margin = placing
    elif placing in ("anywhere", "centre"):
        margin = round(side * CENTRE_MARGIN) if placing == "centre" else 0
    else:
        raise ValueError(
            "placing must be 'anywhere', 'centre' or the whole number of pixels to leave free "
            f"along the borders; found {placing!r}."
        )
    return min(margin, (side - length) // 2)
