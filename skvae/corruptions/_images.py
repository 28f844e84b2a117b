"""Images as the corruptions take them: checks, views, values."""

import numbers

import numpy as np

# What scaling to [0, 1] may exceed it by.
ROUNDING = 1e-6


def copy_images(X, channel_axis):
    """Return the checked images, a copy, and a view of the copy as (n, H, W, C) to write into."""
    X = np.asarray(X)
    check_images(X)
    corrupted = X.copy(order="C")
    return X, corrupted, channels_last(corrupted, channel_axis)


def check_images(X):
    if X.ndim not in (3, 4) or 0 in X.shape:
        raise ValueError(
            "X must hold images, (n, H, W), (n, C, H, W) or (n, H, W, C), and none of these may "
            f"be 0; found the shape {X.shape}."
        )
    if X.dtype == np.uint8:
        return
    if X.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"X must be uint8 in [0, 255], or float32 or float64 in [0, 1]; found {X.dtype}."
        )
    low, high = X.min(), X.max()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # a NaN comes here as well
        raise ValueError(
            f"Images of floats must lie in [0, 1]; found values from {low:.9g} to {high:.9g}."
        )


def channels_last(X, channel_axis):
    """View images as (n, H, W, C)."""
    if X.ndim == 3:
        return X[..., None]
    if channel_axis is None:
        first, last = X.shape[1] <= 4, X.shape[3] <= 4
        if first == last:
            raise ValueError(
                f"The shape {X.shape} does not tell which axis holds the channels: "
                f"{'both' if first else 'neither'} of axis 1 and -1 is at most 4 long. "
                "Set channel_axis=1 or channel_axis=-1."
            )
        channel_axis = 1 if first else -1
    if channel_axis not in (1, -1):
        raise ValueError(f"channel_axis must be 1, -1 or None; found {channel_axis!r}.")
    return np.moveaxis(X, channel_axis, -1)


def result(X, corrupted, channel_axis, return_mask):
    """What a corruption returns: the images, and on request where they differ."""
    if not return_mask:
        return corrupted
    changed = channels_last(corrupted, channel_axis) != channels_last(X, channel_axis)
    return corrupted, changed.any(axis=-1)


def white(dtype):
    return 255 if dtype == np.uint8 else 1


def grey(value, dtype):
    return in_range(np.float64(value) * white(dtype), dtype)


def in_range(values, dtype):
    """Clip to [black, white] and, for uint8, round to the nearest."""
    values = np.clip(values, 0, white(dtype))
    return (np.rint(values) if dtype == np.uint8 else values).astype(dtype)


def noisy(pixels, sd, rng):
    noise = rng.standard_normal(pixels.shape) * (sd * white(pixels.dtype))
    return in_range(pixels + noise, pixels.dtype)


def check_number(name, value, low=-np.inf, high=np.inf, *, whole=False):
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, kind) and np.isfinite(value) and low <= value <= high:
        return
    if np.isfinite(high):
        limits = f" from {low} to {high}"
    else:
        limits = f" of at least {low}" if np.isfinite(low) else ""
    raise ValueError(f"{name} must be a {'whole ' * whole}number{limits}; found {value!r}.")
