"""What the displays of images share: reading images, setting them side by side, outlining masks."""

import math

import numpy as np

from skvae.base._images import as_images
from skvae.plotting._common import check_finite


def shape_for(detector, images):
    """Return the detector's ``image_shape`` if that is the shape of rows or arrays ``images``.

    A detector that was fitted on rows takes images in other layouts as well.
    """
    shape = getattr(detector, "image_shape", None)
    return shape if shape is None or np.shape(images)[1:] in _flat_and_full(shape) else None


def image_arrays(images, image_shape=None, what="images"):
    """Return images as they are drawn, and their layout.

    Parameters
    ----------
    images : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
        uint8 or floats in [0, 1].
    image_shape : tuple, default=None
        (H, W), (C, H, W) or (H, W, C), needed where images are rows of numbers.
    what : str
        What errors call them.

    Returns
    -------
    arrays : ndarray of float64 of shape (n, H, W) or (n, H, W, C)
        In [0, 1].
    layout : ImageLayout
        For `like_images`.
    """
    images = np.asarray(images)
    if images.ndim < 2 or images.size == 0 or (images.ndim == 2 and image_shape is None):
        raise ValueError(
            f"{what} must be a non-empty array of shape (n, H, W), (n, C, H, W) or (n, H, W, C), "
            "or rows of numbers with image_shape=(H, W) or with channels, but the shape is "
            f"{images.shape} and image_shape is {image_shape}."
        )
    _, layout = as_images(images, image_shape, smallest_side=1)  # says what is wrong with them
    return _channels_last(_unit(images, layout), layout), layout


def like_images(values, layout, what):
    """Return values of the shape and units of images as they are drawn, such as reconstructions."""
    values = _numbers(values, what)
    if values.shape[1:] not in _flat_and_full(layout.inner_shape):
        raise ValueError(
            f"{what} must have the shape of the images, {layout.inner_shape} each, but have "
            f"{values.shape[1:]}."
        )
    return _channels_last(_unit(values, layout), layout)


def pixel_maps(values, layout, what):
    """Return one number a pixel, shape (n, H, W); what counts in several channels is summed."""
    values = _numbers(values, what)
    height, width = layout.shape[1:]
    if values.shape[1:] in _flat_and_full((height, width)):
        return values.reshape(-1, height, width)
    if values.shape[1:] not in _flat_and_full(layout.inner_shape):
        raise ValueError(
            f"{what} must have one number for each pixel of the images, {height} x {width}, or "
            f"for each channel as well, but has the shape {values.shape[1:]} each."
        )
    values = _channels_last(values, layout)
    return values.sum(axis=3) if values.ndim == 4 else values


def drawable(arrays):
    """Return grey (n, H, W) or RGBA (n, H, W, 4) in [0, 1].

    Other numbers of channels than 1, 3 and 4 have no colours, and become their mean.
    """
    arrays = np.clip(arrays, 0, 1)
    if arrays.ndim == 4 and arrays.shape[3] == 3:
        return np.concatenate([arrays, np.ones_like(arrays[..., :1])], axis=3)
    return arrays.mean(axis=3) if arrays.ndim == 4 and arrays.shape[3] != 4 else arrays


def mask_array(masks, shape):
    """Return masks as bool; 0 and 1 will do as well."""
    masks = np.asarray(masks)
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise ValueError("masks must be bool, or 0 and 1, with True or 1 for an anomalous pixel.")
    if masks.shape != shape:
        raise ValueError(f"masks must have the shape {shape}, but have {masks.shape}.")
    return masks.astype(bool)


def drawable_difference(images, reconstructions):
    """Return what differs between drawable images: signed where grey, colours around mid-grey."""
    if images.ndim == 3:
        return images - reconstructions
    colors = 0.5 + (images - reconstructions)[..., :3] / 2
    return np.concatenate([colors, np.ones_like(colors[..., :1])], axis=3)


def darkened(images):
    """Return drawable images at half their brightness, so that colours on them stand out."""
    return images / 2 if images.ndim == 3 else images * (0.5, 0.5, 0.5, 1)


def tile(arrays, n_columns, gaps):
    """Return images side by side, ``n_columns`` in a row, as one image.

    ``gaps`` are the pixels between rows and between columns. They, and what is left of the last
    row, hold NaN where the images are grey and nothing visible where they are RGBA.
    """
    height, width = np.add(arrays.shape[1:3], gaps)
    n_rows = -(-len(arrays) // n_columns)
    empty = 0.0 if arrays.ndim == 4 else np.nan
    tiles = np.full((n_rows * n_columns, height, width, *arrays.shape[3:]), empty)
    tiles[: len(arrays), : height - gaps[0], : width - gaps[1]] = arrays
    tiles = tiles.reshape(n_rows, n_columns, height, width, *arrays.shape[3:]).swapaxes(1, 2)
    image = tiles.reshape(n_rows * height, n_columns * width, *arrays.shape[3:])
    return image[: n_rows * height - gaps[0], : n_columns * width - gaps[1]]


def outline(mask, left=0.0, top=0.0):
    """Return the edges between True and False pixels as pairs of points (x, y).

    The pixel in row 0 and column 0 has its upper left corner at (``left``, ``top``).
    """
    padded = np.pad(mask, 1)
    rows, columns = np.nonzero(padded[1:] != padded[:-1])
    flat = [[(x - 1, y), (x, y)] for y, x in zip(rows, columns, strict=True)]
    rows, columns = np.nonzero(padded[:, 1:] != padded[:, :-1])
    upright = [[(x, y - 1), (x, y)] for y, x in zip(rows, columns, strict=True)]
    return np.array(flat + upright, dtype=float).reshape(-1, 2, 2) + (left, top)


def check_indices(indices, n_images, default):
    """Return the positions of the images to draw: the first ``default`` where none are named."""
    if indices is None:
        return np.arange(min(default, n_images))
    indices = np.atleast_1d(indices)
    is_position = np.issubdtype(indices.dtype, np.integer) and indices.ndim == 1
    if not is_position or not len(indices) or np.any(indices >= n_images) or np.any(indices < 0):
        raise ValueError(
            f"indices must be positions of images, 0 to {n_images - 1}, but are {indices.tolist()}."
        )
    return indices


def picture_title(name, n_drawn, n_images):
    """Return the title, which says so if not all images are drawn."""
    if n_drawn == n_images:
        return name
    return f"{name + ': ' if name else ''}{n_drawn:,} of {n_images:,} images"


def check_names(names, n_images):
    """Return the names of the images as a list of str, or None where there are none."""
    if names is None:
        return None
    names = [str(name) for name in names]
    if len(names) != n_images:
        raise ValueError(f"image_names must be {n_images} names, but are {len(names)}.")
    return names


def _flat_and_full(shape):
    return (math.prod(shape),), tuple(shape)


def _numbers(values, what):
    values = np.asarray(values, dtype=np.float64)
    check_finite(values, what)
    return values


def _unit(values, layout):
    return np.asarray(values, dtype=np.float64) / (255 if layout.is_uint8 else 1)


def _channels_last(values, layout):
    values = values.reshape(-1, *layout.inner_shape)
    if layout.axes == "HW":
        return values
    values = np.moveaxis(values, 1, -1) if layout.axes == "CHW" else values
    return values[..., 0] if values.shape[-1] == 1 else values
