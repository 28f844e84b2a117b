"""Corruptions of the whole image: dropout, noise, rotation."""

import numpy as np
from scipy import ndimage
from sklearn.utils import check_random_state, gen_batches

from skvae.corruptions._images import check_number, copy_images, in_range, noisy, result


def pixel_dropout(X, fraction=0.25, *, channel_axis=None, random_state=None, return_mask=False):
    """Make single pixels black, each with the same probability, all channels at once.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    fraction : float, default=0.25
        The probability of a pixel, in [0, 1].
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
    >>> from skvae.corruptions import pixel_dropout
    >>> X = np.full((2, 8, 8), 255, dtype=np.uint8)
    >>> corrupted, mask = pixel_dropout(X, 0.5, random_state=0, return_mask=True)
    >>> bool((corrupted[mask] == 0).all() and (corrupted[~mask] == 255).all())
    True
    """
    check_number("fraction", fraction, 0, 1)
    X, corrupted, pixels = copy_images(X, channel_axis)
    rng = check_random_state(random_state)
    pixels[rng.random_sample(pixels.shape[:3]) < fraction] = 0
    return result(X, corrupted, channel_axis, return_mask)


def gaussian_noise(X, sd=0.3, *, channel_axis=None, random_state=None, return_mask=False):
    """Add Gaussian noise to every pixel and channel, and clip to the range.

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    sd : float, default=0.3
        Standard deviation, at least 0, as a share of white: 0.3 is 76.5 grey values of uint8.
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
    >>> from skvae.corruptions import gaussian_noise
    >>> noisy = gaussian_noise(np.full((5, 28, 28), 0.5), sd=0.1, random_state=0)
    >>> round(float(noisy.std()), 2)
    0.1
    """
    check_number("sd", sd, 0)
    X, corrupted, pixels = copy_images(X, channel_axis)
    rng = check_random_state(random_state)
    for some in gen_batches(len(X), 1000):  # the float64 draws of all would fill the memory
        pixels[some] = noisy(pixels[some], sd, rng)
    return result(X, corrupted, channel_axis, return_mask)


def rotation(X, degrees=30, *, channel_axis=None, random_state=None, return_mask=False):
    """Rotate every image about its middle, counterclockwise, with bilinear interpolation.

    What comes from outside is black, and the shape stays.

    Interpolation alone makes an image smoother, so a detector may score rotated images by their
    pixel statistics and not by their content: on MNIST the share of saturated pixels separates
    ``rotation(X, 30)`` from ``X`` at an AUROC near .9, and ``rotation(X, 3)``, which nobody would
    call an anomaly, as well. ``rotation(X, 3)`` is therefore the control for ``rotation(X, 30)``:
    report both, or the one against the other, which were interpolated alike. Multiples of 90
    degrees interpolate nothing (in images as high as wide).

    Parameters
    ----------
    X : array-like of shape (n, H, W), (n, C, H, W) or (n, H, W, C)
        Images, uint8 or floats in [0, 1].
    degrees : float, default=30
        Angle; a negative one turns clockwise.
    channel_axis : {1, -1} or None, default=None
        Axis of the channels; None: the one that is at most 4 long.
    random_state : object, default=None
        Nothing is drawn; it stands here so that all corruptions can be called alike.
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
    >>> from skvae.corruptions import rotation
    >>> rotation(np.array([[[0, 9, 0], [0, 9, 0], [0, 0, 0]]], dtype=np.uint8), 90)
    array([[[0, 0, 0],
            [9, 9, 0],
            [0, 0, 0]]], dtype=uint8)
    """
    check_number("degrees", degrees)
    X, corrupted, pixels = copy_images(X, channel_axis)
    exact = np.float32 if X.dtype == np.uint8 else X.dtype
    # "grid-constant": under "constant" a rounding error of 1e-15 makes a pixel at the border black.
    rotated = ndimage.rotate(
        pixels, degrees, axes=(1, 2), reshape=False, order=1, mode="grid-constant", output=exact
    )
    pixels[...] = in_range(rotated, X.dtype)
    return result(X, corrupted, channel_axis, return_mask)
