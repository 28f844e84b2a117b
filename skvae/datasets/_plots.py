"""Line plots of series as images, drawn by numpy, without a display."""

import numbers

import numpy as np
from sklearn.utils import check_array

# Of the range of a series, above and below it.
MARGIN = 0.045
# Pixels that are drawn at once: arrays of them stay in the processor's cache.
PIXELS_AT_ONCE = 1 << 18
STYLES = ("line", "distance")
# In pixels; their squares and quotients are numbers of 32 bits.
FARTHEST = 1e15
TAUS = 1e-3, 1e6


def render_plots(X, size=64, *, style="line", tau=3.0, limits=None):
    """Draw each series as a line plot: curve alone, without axes, white on black.

    The points stand at equal distances from the left edge to the right one, and straight lines join
    them. In each column of pixels the curve covers a vertical extent, from which a pixel is
    drawn: in style "line" by the share of it that a pen of one pixel covers; in style "distance" as
    ``exp(-d**2 / (2 tau**2))``, d being the vertical distance in pixels from its centre to that
    extent. A network that moves a thin line by one pixel pays as if it had left it out; with the
    second style it pays little for a little.

    Parameters
    ----------
    X : array-like of shape (n_samples, length)
        Series of at least two finite numbers.
    size : int or (height, width), default=64
        Of the images, in pixels.
    style : {"line", "distance"}, default="line"
        How a curve is drawn, see above.
    tau : float, default=3.0
        Of style "distance": how far the curve shines, in pixels; from 0.001 to a million.
    limits : (low, high), default=None
        Values at the lower and upper edge, for all plots; curves beyond them are cut off. None
        scales each plot to its own range, with a margin of 4.5 % above and below.

    Returns
    -------
    images : ndarray of uint8 of shape (n_samples, height, width)
        0 = ground, 255 = curve. Row 0 is the top.

    Raises
    ------
    ValueError
        If X holds no such series, or a parameter is out of its range.

    See Also
    --------
    make_time_series : Series to draw.

    Examples
    --------
    >>> from skvae.datasets import render_plots
    >>> render_plots([[0, 1, 2, 3]], 4, limits=(0, 3))
    array([[[  0,   0, 128, 255],
            [  0, 128, 255, 128],
            [128, 255, 128,   0],
            [255, 128,   0,   0]]], dtype=uint8)
    """
    X = check_array(X, dtype=np.float64, ensure_min_features=2, input_name="X")
    height, width = _checked_size(size)
    if style not in STYLES:
        raise ValueError(f"style must be 'line' or 'distance'; found {style!r}.")
    if not isinstance(tau, numbers.Real) or not TAUS[0] <= tau <= TAUS[1]:
        raise ValueError(
            f"tau must be a number of pixels from {TAUS[0]:g} to {TAUS[1]:g}; found {tau!r}."
        )
    rows = _rows(X, height, limits)
    tops, bottoms = _extents(rows.astype(np.float32), width)
    images = np.empty((len(X), height, width), dtype=np.uint8)
    step = max(1, PIXELS_AT_ONCE // (height * width))
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        extents = tops[part, None], bottoms[part, None]
        ink = _line(*extents, height) if style == "line" else _glow(*extents, height, tau)
        ink *= 255
        images[part] = np.rint(ink, out=ink)
    return images


def _checked_size(size):
    sides = (size, size) if isinstance(size, numbers.Integral) else tuple(size)
    if len(sides) != 2 or not all(isinstance(n, numbers.Integral) and n >= 2 for n in sides):
        raise ValueError(
            f"size must be a whole number of pixels of at least 2, or two (height, width); found "
            f"{size!r}."
        )
    return sides


def _rows(X, height, limits):
    """Where the points stand, counted from the top in pixels."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = _edges(X, limits)
        rows = (high - X) / (high - low) * height
    is_far = ~((np.abs(rows) <= FARTHEST) & np.isfinite(high - low))  # true for NaN as well
    if is_far.any():
        i, at = np.argwhere(is_far)[0]
        raise ValueError(
            f"X holds {X[i, at]:g} in series {i}, which cannot be drawn: scale the series, or give "
            "limits nearer to its values."
        )
    return rows


def _edges(X, limits):
    """Values at the lower and upper edge of each plot, of shape (n, 1) or ()."""
    if limits is not None:
        try:
            low, high = (float(value) for value in limits)
        except (TypeError, ValueError):
            low = high = np.nan
        if not low < high < np.inf or low == -np.inf:
            raise ValueError(f"limits must be two numbers, low < high; found {limits!r}.")
        return low, high
    low, high = X.min(1, keepdims=True), X.max(1, keepdims=True)
    margin = MARGIN * (high - low)
    is_constant = high == low
    margin[is_constant] = np.maximum(1, np.abs(high[is_constant]))  # drawn in the middle
    return low - margin, high + margin


def _extents(rows, width):
    """First and last row that the curve reaches in each column of pixels, (n, width) each."""
    points = np.linspace(0, width, rows.shape[1])
    edges = np.arange(width + 1.0)
    x = np.union1d(points, edges)
    # The curve at the points and at the edges of the columns.
    before = np.clip(np.searchsorted(points, x, side="right") - 1, 0, len(points) - 2)
    share = ((x - points[before]) / (points[before + 1] - points[before])).astype(np.float32)
    curve = rows[:, before] * (1 - share) + rows[:, before + 1] * share
    # Neighbouring columns share the value at the edge between them.
    at_edge = np.searchsorted(x, edges)
    bounds = np.column_stack([at_edge[:-1], at_edge[1:] + 1]).ravel()
    curve = np.pad(curve, [(0, 0), (0, 1)], mode="edge")  # the last bound must be an index
    return tuple(
        function.reduceat(curve, bounds, axis=1)[:, ::2] for function in (np.minimum, np.maximum)
    )


def _line(tops, bottoms, height):
    """Share of each pixel that lies in the extent, widened by half a pixel on both sides."""
    first = np.arange(height, dtype=np.float32)[:, None]
    covered = np.minimum(bottoms + np.float32(0.5), first + 1)
    covered -= np.maximum(tops - np.float32(0.5), first)
    return np.clip(covered, 0, 1, out=covered)


def _glow(tops, bottoms, height, tau):
    """A Gaussian of the distance from the pixel's centre to the extent."""
    centres = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
    distance = np.maximum(tops - centres, centres - bottoms)
    np.maximum(distance, 0, out=distance)
    distance *= distance
    distance *= np.float32(-0.5 / tau**2)
    return np.exp(distance, out=distance)
