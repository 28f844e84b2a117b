"""Images in any usual layout as one tensor of shape (n, C, H, W), and back to the layout of X."""

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from sklearn.utils.validation import validate_data

from skvae.base._input import check_magnitude, holds_sizes, shape_of
from skvae.networks import as_floats

__all__ = [
    "ImageLayout",
    "as_floats",
    "as_images",
    "check_image_shape",
    "smoothed",
    "check_same_preparation",
    "table_as_images",
    "table_layout",
    "table_shape",
    "validate_images",
]

# What scaling to [0, 1] may exceed it by: rounding.
ROUNDING = 1e-6
# Gray, gray with alpha, RGB, RGBA; other numbers need image_shape, so that a mistake is noticed.
MOST_CHANNELS_UNASKED = 4


class ImageLayout(NamedTuple):
    """How X holds its images.

    Attributes
    ----------
    axes : {"HW", "CHW", "HWC"}
        Order of the axes of an image.
    shape : (channels, height, width)
    is_flat : bool
        Whether each image is a row of numbers.
    is_uint8 : bool
        Whether X counts from 0 to 255, not from 0 to 1.
    low, span : ndarray of shape (n_columns,) or None
        Of a table: smallest value and range of its columns in ``fit``, which become [0, 1].
    """

    axes: str
    shape: tuple
    is_flat: bool
    is_uint8: bool
    low: np.ndarray | None = None
    span: np.ndarray | None = None

    @property
    def is_table(self):
        return self.low is not None

    @property
    def inner_shape(self):
        """Shape of one image in the order of ``axes``."""
        n_channels, height, width = self.shape
        sides = {"C": n_channels, "H": height, "W": width}
        return tuple(sides[axis] for axis in self.axes)

    def arrange(self, images):
        """Values of shape (n, C, H, W), such as an error map, in the layout of X."""
        images = np.asarray(images)
        if self.is_table:
            return images.reshape(len(images), -1)[:, : len(self.low)]
        if self.axes == "HWC":
            images = np.moveaxis(images, 1, 3)
        return images.reshape(len(images), *((-1,) if self.is_flat else self.inner_shape))

    def restore(self, images):
        """Images of shape (n, C, H, W) in the layout and the units of X, not rounded."""
        values = self.arrange(images)
        if self.is_table:
            return values * self.span + self.low
        return values * np.float32(255) if self.is_uint8 else values


def validate_images(
    estimator,
    X,
    y="no_validation",
    image_shape=None,
    *,
    layout=None,
    smallest_side=2,
    min_samples=1,
    keep_table=False,
):
    """`as_images` with scikit-learn's checks; sets ``n_features_in_`` where ``layout`` is None.

    The number of features is that of the numbers an image holds, in any layout. With ``y`` it is
    checked as well and returned: images, layout, y. With ``keep_table`` a table stays the array
    that it is, and where ``layout`` is None its range, and so its layout, is not yet known.
    """
    X = _stacked(X)
    shape = shape_of(X)
    has_images = len(shape) > 2
    if has_images:
        _check_shape_of_fit(shape[1:], layout)
    is_flat = len(shape) == 2 and not (image_shape is None if layout is None else layout.is_table)
    if has_images or (is_flat and np.asarray(X).dtype.kind == "f"):
        _check_values(np.asarray(X))  # first, since it says what to do with an image
    if has_images:
        X = np.reshape(X, (shape[0], math.prod(shape[1:])))
    checks_y = not (isinstance(y, str) and y == "no_validation")
    X = validate_data(
        estimator, X, y, dtype="numeric", reset=layout is None, ensure_min_samples=min_samples
    )
    X, *y = X if checks_y else (X,)
    if has_images:
        X = X.reshape(shape)
    names = getattr(estimator, "feature_names_in_", None)
    if keep_table and _is_table(X, image_shape, layout):
        _check_table(X, layout, names)
        return X, layout, *y
    images, layout = as_images(
        X, image_shape, layout=layout, smallest_side=smallest_side, names=names
    )
    return images, layout, *y


def check_same_preparation(found, seen):
    """Refuse images that were prepared otherwise than those of ``fit``; None is not known."""
    if seen is not None and found != seen:
        found, seen = (
            ", ".join(f"{name}={value!r}" for name, value in sorted(preparation.items()))
            for preparation in (found, seen)
        )
        raise ValueError(
            f"X was prepared with {found}, but fit saw images prepared with {seen}: open the "
            "folder by load_image_folder(path, **detector.image_preparation_)."
        )


def check_image_shape(image_shape):
    """Refuse what is no shape of an image; None is one that X has to tell."""
    if image_shape is None:
        return
    if not holds_sizes(image_shape) or len(np.atleast_1d(image_shape)) not in (2, 3):
        raise ValueError(
            f"image_shape={image_shape!r} must hold 2 or 3 integers of at least 1: (height, width) "
            "with the channels first or last."
        )


def as_images(X, image_shape=None, *, layout=None, smallest_side=2, names=None):
    """Images as a tensor of shape (n, C, H, W), and the layout that X has them in.

    Parameters
    ----------
    X : ndarray of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
        uint8, bool, or floats in [0, 1]. The channels of a 4-D array are the shorter of its first
        and last axis. Rows of numbers are images where ``image_shape`` or ``layout`` says so; else
        they are a table of any numbers, whose columns are brought to [0, 1] by their range in
        ``fit`` and filled with zeros to a square.
    image_shape : tuple, default=None
        (H, W), (C, H, W) or (H, W, C): the axes of an image, in the order of X.
    layout : ImageLayout, default=None
        What ``fit`` saw: the images must have the same shape.
    smallest_side : int, default=2
        Fewest pixels of a side.
    names : sequence of str, default=None
        Of the columns of a table, for errors.

    Returns
    -------
    images : tensor of shape (n, C, H, W), uint8 or float32
        uint8 is kept as it is: `as_floats` converts it, batch by batch.
    layout : ImageLayout
        Of this X.

    Raises
    ------
    ValueError
        If X holds no such images; the message says what was found.
    """
    X = np.asarray(X)
    if _is_table(X, image_shape, layout):
        _check_table(X, layout, names)
        layout = layout or table_layout(X, smallest_side)
        return table_as_images(X, layout, names), layout
    axes, shape = _axes_and_shape(X.shape[1:], image_shape, layout)
    if layout is None and min(shape[1:]) < smallest_side:
        raise ValueError(
            f"X holds images of {shape[1]} x {shape[2]} pixels, which is too small: both sides "
            f"must have at least {smallest_side}, since each convolution halves them. Use fewer "
            "channels, or enlarge the images."
        )
    found = ImageLayout(axes, shape, X.ndim == 2, X.dtype == np.uint8)
    X = _check_values(X)
    images = X.reshape(len(X), *found.inner_shape)
    images = {
        "HW": lambda: images[:, None],
        "CHW": lambda: images,
        "HWC": lambda: np.moveaxis(images, 3, 1),
    }[axes]()
    return _as_tensor(images), found


def _as_tensor(images):
    if images.dtype != np.uint8:
        images = images.astype(np.float32, copy=False)
    if not images.flags.writeable or min(images.strides) < 0:  # torch takes neither
        images = images.copy()
    return torch.as_tensor(images)


def _is_table(X, image_shape, layout):
    return layout.is_table if layout else X.ndim == 2 and image_shape is None


def _check_table(X, layout, names):
    if X.ndim != 2:
        raise ValueError(
            f"fit saw a table of {len(layout.low)} columns, but X has shape {X.shape}; pass "
            "image_shape to fit if its rows were images."
        )
    check_magnitude(X, X, names)


def table_shape(n_columns, smallest_side):
    """(1, side, side) of the smallest square that holds so many columns."""
    side = max(smallest_side, math.isqrt(n_columns - 1) + 1)
    return 1, side, side


def table_layout(X, smallest_side):
    """Layout of a table whose columns have the range that those of ``X`` have."""
    low = X.min(0).astype(np.float64)
    span = X.max(0) - low
    span = np.where(span > 0, span, 1)
    return ImageLayout("HW", table_shape(X.shape[1], smallest_side), True, False, low, span)


def table_as_images(X, layout, names=None):
    """Columns in [0, 1] by their range, filled with zeros to a square, float32."""
    columns = (X - layout.low) / layout.span
    check_magnitude(columns, X, names)
    images = np.zeros((len(X), math.prod(layout.shape)), np.float32)
    images[:, : X.shape[1]] = columns
    return torch.as_tensor(images.reshape(len(X), *layout.shape))


def _stacked(X):
    """A list of images as one array, if all have the same size."""
    is_list = isinstance(X, (list, tuple))
    if not is_list and not (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        return X
    shapes = [np.shape(image) if hasattr(image, "shape") else None for image in X]
    if not shapes or shapes[0] is None or len(shapes[0]) < 2:
        return X
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"X holds images of different sizes: {shapes[0]} first, {shape} at {i}. Bring all "
                "to one size."
            )
    return np.stack(list(X))


def _axes_and_shape(inner, image_shape, layout):
    """Order of the axes, and (C, H, W), of images whose array has the shape ``inner`` each."""
    if layout is not None:
        _check_shape_of_fit(inner, layout)
        if inner in ((math.prod(layout.shape),), layout.inner_shape):
            return layout.axes, layout.shape
        return _read_axes(inner)
    if image_shape is None:
        axes, shape = _read_axes(inner)
        if shape[0] > MOST_CHANNELS_UNASKED:
            raise ValueError(
                f"X holds images of shape {inner}, with neither 1 to {MOST_CHANNELS_UNASKED} "
                f"channels first nor last. With other channels pass image_shape={inner}."
            )
        return axes, shape
    image_shape = tuple(image_shape)
    if _without_one(inner) == _without_one(image_shape):
        return _read_axes(inner)
    if inner != (math.prod(image_shape),):
        raise ValueError(
            f"image_shape={image_shape} is {math.prod(image_shape)} numbers, but X holds images "
            f"of shape {inner}."
        )
    return _read_axes(image_shape)


def _without_one(shape):
    """The shape without a single channel, first or last."""
    if len(shape) != 3:
        return tuple(shape)
    return tuple(shape[1:]) if shape[0] == 1 else tuple(shape[: 2 if shape[2] == 1 else 3])


def _read_axes(inner):
    if len(inner) == 2:
        return "HW", (1, *inner)
    if len(inner) != 3:
        raise ValueError(
            "Images are (n, H, W), (n, C, H, W), (n, H, W, C), or rows with image_shape; an image "
            f"of shape {inner} is none of them."
        )
    first, middle, last = inner
    if first == last > 1:
        raise ValueError(
            f"The channels of images of shape {inner} may stand first or last: give one of these "
            "axes another length."
        )
    return ("HWC", (last, first, middle)) if last < first else ("CHW", inner)


def _check_shape_of_fit(inner, layout):
    """Compare with the images of ``fit``, in whatever layout these came."""
    if layout is None or layout.is_table:
        return
    if inner in ((math.prod(layout.shape),), layout.inner_shape):
        return
    _, shape = _read_axes(inner)
    if shape != layout.shape:
        found, seen = (" x ".join(map(str, s)) for s in (shape, layout.shape))
        raise ValueError(
            f"X holds images of {found} (channels x height x width), but fit saw {seen}."
        )


def smoothed(maps, smooth, axes):
    """Each map smoothed by a Gaussian of ``smooth`` pixels, with the same sum."""
    if not smooth >= 0:
        raise ValueError(f"smooth must be a number of pixels, 0 or more, not {smooth!r}.")
    return gaussian_filter(maps, smooth, axes=axes) if smooth else maps


def _check_values(X):
    """X; what is neither uint8, nor bool, nor floats in [0, 1] is refused, rounding is clipped."""
    if X.dtype == np.uint8 or X.dtype == bool or X.size == 0:
        return X
    if not np.issubdtype(X.dtype, np.floating):
        remedy = "Bring them to numbers first."
        if np.issubdtype(X.dtype, np.integer):
            remedy = (
                'If they count from 0 to 255 use X.astype("uint8"), else divide them by the '
                "largest value that they can have."
            )
        raise ValueError(
            f"X holds {X.dtype}; images are uint8 (0 to 255), bool, or floats in [0, 1]. {remedy}"
        )
    low, high = -ROUNDING, 1 + ROUNDING
    smallest, largest = X.min(), X.max()
    if low <= smallest and largest <= high:  # false for NaN as well
        return X if smallest >= 0 and largest <= 1 else X.clip(0, 1)
    is_bad = ~((X >= low) & (X <= high))
    at = np.unravel_index(np.argmax(is_bad), X.shape)
    value = X[at]
    remedy = (
        "scale X, for example by X / X_train.max(), new images by the same number as those of the "
        "training, or by MinMaxScaler(clip=True) in a pipeline"
    )
    if not np.isfinite(value):
        remedy = "fill or remove it"
    raise ValueError(
        f"X holds {value:.9g} in image {at[0]}, but images are uint8 (0 to 255) or floats in "
        f"[0, 1]: {remedy}."
    )
