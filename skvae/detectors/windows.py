"""Windows: an outlier detector for small images lets large ones be scored part by part."""

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from skvae.base._decisions import THRESHOLD_CONSTRAINTS, DecisionMixin
from skvae.base._images import check_same_preparation, validate_images
from skvae.base._input import spread_rows, taken, unchanged_if_it_fails
from skvae.base._lazy import LazyImages, is_lazy
from skvae.base._road import map_scale

# Windows that are cut at once, and images that are read for them, take so much as float32.
BYTES_AT_ONCE = 1 << 24
# Aggregates are brought to one scale by so many training images, and percentiles need no more.
MAX_REFERENCE_IMAGES = 2000
# Error maps of so many training images fix the scale that maps are drawn in.
MAX_MAP_IMAGES = 20
FLIPS = {None: (), "horizontal": (3,), "vertical": (2,), "both": (2, 3)}


class WindowDetector(DecisionMixin, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Let a detector learn windows of images, and score an image by its most unusual windows.

    An anomaly that fills a small part of an image is diluted in the error of the whole, and a
    network that sees whole images has to learn all arrangements of parts. Here ``detector`` is
    trained on windows cut at random places, and sees nothing else. An image is cut into windows at
    regular distances; those that stand out make its score. Most windows of an anomalous image are
    normal ones, so a training on images that are not clean does less harm.

    Any outlier detector with ``score_samples`` will do. Those for images, which have a parameter
    ``image_shape``, get windows as images, (n, channels, height, width); others get them as rows.

    Parameters
    ----------
    detector : outlier detector
        It is cloned, never changed. Its own ``threshold`` and ``contamination`` are about windows.
    window_shape : (height, width), default=(None, 16)
        Of the windows, in pixels; None is the whole side. The default are strips of 16 columns.
    stride : int, default=4
        Pixels from one window to the next, down and across, when an image is scored. A last window
        touches the right or lower edge, at whatever distance.
    windows_per_image : int, default=8
        Number of windows that are cut from each training image, at random places.
    flip : {None, "horizontal", "vertical", "both"}, default=None
        Which flips a training window gets with probability 1/2: right for left, up for down, or
        each of the two. Only where a flipped image would be as normal.
    aggregate : {"top", "range"} or sequence of them, default="top"
        How an image's score follows from its windows':

        - "top": mean of the ``n_top`` largest;
        - "range": largest minus smallest, which leaves out what all windows have in common;
        - both: their sum, each in units of its spread over the training images.
    n_top : int, default=3
        1 makes "top" the maximum.
    image_shape : tuple, default=None
        (height, width), (channels, height, width) or (height, width, channels) where X holds flat
        rows. Rows without it are a table, which is scaled to [0, 1] and filled up to a square.
    contamination : float, default=0.0
        Expected share of anomalies in the training images, in [0, 0.5]. Unless ``percentile`` is
        given, that share of them is flagged.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores of images are cut, as in `ConvVAEDetector`.
    percentile : float, default=None
        In (0, 100), the percentage of scores at or below the threshold. None is
        ``100 * (1 - contamination)``, and 95 for "conformal" and where the contamination is 0.
    calibration_fraction : float, default=None
        Share of the images held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else.
    random_state : int, RandomState instance or None, default=None
        Of what is cut, flipped and held out; the detector has its own.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted clone.
    threshold_, offset_ : float
        An image is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on: of held-out images, or of 2,000
        training images at most.
    calibration_is_held_out_ : bool
        Whether those images were held out of the training, or given to ``set_threshold``.
    error_map_scale_ : tuple of two floats
        Ends of one scale for pictures of error maps, whose channels are summed: the 0.1 % quantile,
        or zero if that is lower, and the 99.9 % quantile of the maps of 20 training images.
    thresholder_ : fitted threshold estimator
    image_preparation_ : dict or None
        How the images of an `ImageFolder` were prepared, which others must be as well.
    n_features_in_ : int
        Numbers an image holds.
    feature_names_in_ : ndarray of str
        Only for flat images with column names that are strings.

    See Also
    --------
    ConvVAEDetector : Scores whole images, or the windows here.

    Notes
    -----
    All training windows are in memory at once, n * ``windows_per_image`` of them. `skvae.save`
    stores the whole where ``detector`` is one of this package; pickle and joblib store it with any.

    Examples
    --------
    >>> from sklearn.ensemble import IsolationForest
    >>> from skvae import WindowDetector
    >>> from skvae.datasets import make_time_series, render_plots
    >>> X = render_plots(make_time_series(300, "normal", random_state=0)[0], 32)
    >>> series, kinds, masks = make_time_series(20, "frequency", random_state=1)
    >>> detector = WindowDetector(
    ...     IsolationForest(random_state=0), window_shape=(None, 8), random_state=0
    ... )
    >>> detector.fit(X[:200]).window_scores(X[200:]).shape
    (100, 1, 7)
    >>> scores, usual = map(detector.anomaly_score, (render_plots(series, 32), X[200:]))
    >>> bool(scores.mean() > usual.mean())
    True
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods(["fit", "score_samples"])],
        "window_shape": ["array-like"],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "windows_per_image": [Interval(Integral, 1, None, closed="left")],
        "flip": [StrOptions({"horizontal", "vertical", "both"}), None],
        "aggregate": [StrOptions({"top", "range"}), "array-like"],
        "n_top": [Interval(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        **THRESHOLD_CONSTRAINTS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        detector,
        *,
        window_shape=(None, 16),
        stride=4,
        windows_per_image=8,
        flip=None,
        aggregate="top",
        n_top=3,
        image_shape=None,
        contamination=0.0,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
        random_state=None,
    ):
        self.detector = detector
        self.window_shape = window_shape
        self.stride = stride
        self.windows_per_image = windows_per_image
        self.flip = flip
        self.aggregate = aggregate
        self.n_top = n_top
        self.image_shape = image_shape
        self.contamination = contamination
        self.threshold = threshold
        self.percentile = percentile
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    def fit(self, X, y=None):
        """Train the detector on windows, and set the threshold by scores of images.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
            At least 2 images, uint8 or floats in [0, 1].
        y : array-like of shape (n,), default=None
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly). The detector gets
            for each window that of its image, and does with it what it does; here they are read by
            ``threshold="f1"`` or an own threshold estimator.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For images that cannot be cut so, or parameters that do not go together.
        """
        with unchanged_if_it_fails(self):
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        self._validate_params()
        self._aggregates = self._checked_aggregates()
        images, self._layout = self._validated(X, image_shape=self.image_shape, min_samples=2)
        self.image_preparation_ = dict(X.preparation) if is_lazy(X) else None
        if y is not None:
            check_consistent_length(X, y)
            y = column_or_1d(y)
        elif self.threshold == "f1":
            raise ValueError("threshold='f1' needs labels: fit(X, y) with y, got y=None.")
        self._grid = Grid.of(tuple(images.shape[2:]), self.window_shape, self.stride)
        self._check_width(images.shape[1])
        rng = check_random_state(self.random_state)
        train, held_out = self._split(len(images), rng)
        windows = self._random_windows(images, train, rng)
        labels = None if y is None else np.repeat(y[train], self.windows_per_image)
        self.detector_ = clone(self.detector).fit(self._as_taken(windows), labels)
        rows = np.sort(rng.permutation(train)[:MAX_REFERENCE_IMAGES])
        raw = self._raw(self._scores_of_windows(taken(images, rows)))
        self._means, self._scales = raw.mean(0), raw.std(0)
        self._scales[self._scales == 0] = 1.0
        if len(held_out):
            rows, raw = held_out, self._raw(self._scores_of_windows(taken(images, held_out)))
        y = y[rows] if y is not None and self._threshold_reads_labels else None
        self._use_threshold(self.threshold, self._fused(raw), y, self.percentile)
        self.calibration_is_held_out_ = len(held_out) > 0
        some = spread_rows(len(train), MAX_MAP_IMAGES)
        self.error_map_scale_ = map_scale(self._maps(images[train[some]]).sum(1))

    def _checked_aggregates(self):
        names = (self.aggregate,) if isinstance(self.aggregate, str) else tuple(self.aggregate)
        if not names or not set(names) <= set(AGGREGATES) or len(set(names)) < len(names):
            raise ValueError(
                f"aggregate={self.aggregate!r} must be 'top' or 'range', or hold both of them."
            )
        return [(name, self.n_top) for name in names]

    def _split(self, n, rng):
        """Indices to train on, and to hold out for the threshold."""
        n_held_out = math.ceil(self._held_out_fraction * n)
        if n_held_out == n:
            raise ValueError(
                f"calibration_fraction={self.calibration_fraction:g} leaves none of {n} images to "
                "train on."
            )
        order = rng.permutation(n)
        return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])

    # -- windows ----------------------------------------------------------------------------------

    def _random_windows(self, images, rows, rng):
        """Windows at random places, with random flips: (n_rows * windows_per_image, C, h, w)."""
        height, width = self._grid.window
        n_down, n_across = images.shape[2] - height + 1, images.shape[3] - width + 1
        n = len(rows) * self.windows_per_image
        top, left = rng.randint(n_down, size=n), rng.randint(n_across, size=n)
        n_channels, dtype = images.shape[1], np.asarray(images[:0]).dtype
        windows = np.empty((n, n_channels, height, width), dtype)
        step = max(1, BYTES_AT_ONCE // _n_bytes(images.shape[1:]))
        for start in range(0, len(rows), step):
            some = np.asarray(images[rows[start : start + step]])
            views = sliding_window_view(some, (height, width), axis=(2, 3))
            own = slice(start * self.windows_per_image, (start + step) * self.windows_per_image)
            image = np.repeat(np.arange(len(some)), self.windows_per_image)
            windows[own] = views[image, :, top[own], left[own]]
        for axis in FLIPS[self.flip]:
            flipped = rng.random_sample(n) < 0.5
            windows[flipped] = np.flip(windows[flipped], axis)
        return windows

    @property
    def _takes_images(self):
        """Whether the detector is made for images, not for rows of a table."""
        names = self.detector.get_params(deep=True)
        return any(name.split("__")[-1] == "image_shape" for name in names)

    def _check_width(self, n_channels):
        """Refuse windows whose channels a detector of images would look for in the last axis."""
        height, width = self._grid.window
        if self._takes_images and 1 < n_channels >= width:
            raise ValueError(
                f"window_shape={tuple(self.window_shape)} makes windows of {height} x {width} "
                f"pixels of images of {n_channels} channels: they must be wider than they have "
                f"channels, {n_channels + 1} pixels or more."
            )

    def _as_taken(self, windows):
        """Windows as the detector takes them: images, or rows for one that is made for tables."""
        return windows if self._takes_images else windows.reshape(len(windows), -1)

    def _by_window(self, method, images):
        """What ``method`` of the detector says of all windows, (n_rows, n_places, ...).

        Block by block, with the slices of images and of places that it is of, so that only a
        block's windows are in memory: of some images, or of one where these are too many.
        """
        n_places = len(self._grid.places)
        at_once = max(1, BYTES_AT_ONCE // _n_bytes((images.shape[1], *self._grid.window)))
        step = max(1, at_once // n_places)
        for start in range(0, len(images), step):
            some = np.asarray(images[start : start + step])
            rows = slice(start, start + len(some))
            for first in range(0, n_places, at_once):
                places = slice(first, first + at_once)
                windows = self._grid.cut(some, places)
                values = np.asarray(method(self._as_taken(windows.reshape(-1, *windows.shape[2:]))))
                yield rows, places, values.reshape(*windows.shape[:2], *values.shape[1:])

    def _scores_of_windows(self, images):
        scores = np.empty((len(images), len(self._grid.places)))
        for rows, places, values in self._by_window(self.detector_.score_samples, images):
            scores[rows, places] = -values
        return scores

    # -- scores -----------------------------------------------------------------------------------

    def _raw(self, scores):
        """Each aggregate of windows' scores of shape (n, n_windows): (n, n_aggregates)."""
        return np.column_stack([AGGREGATES[name](scores, n) for name, n in self._aggregates])

    def _fused(self, raw):
        if raw.shape[1] == 1:
            return raw[:, 0]
        return ((raw - self._means) / self._scales).sum(1)

    def _images(self, X):
        check_is_fitted(self)
        if is_lazy(X):
            check_same_preparation(X.preparation, self.image_preparation_)
        return self._validated(X, layout=self._layout)

    def _validated(self, X, **options):
        if is_lazy(X):
            _, layout = self._validated(X[:2], **options)
            return LazyImages(X), layout
        return validate_images(self, X, **options)

    def anomaly_score(self, X):
        """Anomaly score of each image.

        Parameters
        ----------
        X : array-like of images
            As in ``fit``, of the same size.

        Returns
        -------
        scores : ndarray of float64 of shape (n,)
            Higher = more anomalous; in the units of the detector's ``score_samples``, or
            standardised ones where there are several aggregates.

        Raises
        ------
        ValueError
            If ``X`` does not hold images of that size.
        """
        return self._fused(self._raw(self._scores_of_windows(self._images(X)[0])))

    def window_scores(self, X):
        """Anomaly score of each window.

        Parameters
        ----------
        X : array-like of images
            As in ``fit``, of the same size.

        Returns
        -------
        scores : ndarray of float64 of shape (n, n_down, n_across)
            Higher = more anomalous; ``-score_samples`` of the detector. Windows are ``stride``
            pixels apart, the last ones touch the edge.

        Raises
        ------
        ValueError
            If ``X`` does not hold images of that size.
        """
        scores = self._scores_of_windows(self._images(X)[0])
        return scores.reshape(len(scores), *map(len, self._grid.starts))

    def error_map(self, X):
        """Where the anomaly is: at each pixel the mean over the windows that hold it.

        Summed over the rows, that of strips is a profile of the columns.

        Parameters
        ----------
        X : array-like of images
            As in ``fit``, of the same size.

        Returns
        -------
        error_map : ndarray of float64 in the layout of X
            Higher = more anomalous. The mean of the windows' error maps where the detector has
            ``error_map``, else of their scores.

        Raises
        ------
        ValueError
            If ``X`` does not hold images of that size.
        """
        images, layout = self._images(X)
        return layout.arrange(self._maps(images))

    def _maps(self, images):
        shape = images.shape[1], *self._grid.window
        has_maps = hasattr(self.detector_, "error_map")
        method = self.detector_.error_map if has_maps else self.detector_.score_samples
        maps = np.zeros(tuple(images.shape))
        for rows, places, values in self._by_window(method, images):
            if has_maps:
                values = values.reshape(*values.shape[:2], *shape)
            else:
                values = np.broadcast_to(-values[..., None, None, None], (*values.shape, *shape))
            self._grid.add(values, maps[rows], places)
        maps /= self._grid.counts()
        return maps


def _n_bytes(shape):
    return 4 * math.prod(shape)  # as float32


def _top(scores, n_top):
    return np.sort(scores, axis=1)[:, -n_top:].mean(1)


def _range(scores, n_top):
    return np.ptp(scores, axis=1)


AGGREGATES = {"top": _top, "range": _range}


class Grid(NamedTuple):
    """Where windows stand in an image.

    Attributes
    ----------
    sides : (height, width)
        Of the image.
    window : (height, width)
    starts : (rows, columns)
        Lists of the first rows and of the first columns.
    """

    sides: tuple
    window: tuple
    starts: tuple

    @classmethod
    def of(cls, sides, window_shape, stride):
        """Windows ``stride`` apart, and last ones at the edge.

        Raises
        ------
        ValueError
            If the window does not fit.
        """
        window_shape = tuple(window_shape)
        if len(window_shape) != 2:
            raise ValueError(f"window_shape={window_shape} must be two, (height, width).")
        window = tuple(
            side if own is None else own for side, own in zip(sides, window_shape, strict=True)
        )
        if not all(isinstance(own, Integral) and own >= 1 for own in window):
            raise ValueError(
                f"window_shape={window_shape} must hold whole numbers of at least 1, or None."
            )
        if any(own > side for own, side in zip(window, sides, strict=True)):
            raise ValueError(
                f"window_shape={window_shape} does not fit into images of {sides[0]} x {sides[1]} "
                "pixels."
            )
        if any(own < side and stride > own for own, side in zip(window, sides, strict=True)):
            raise ValueError(
                f"stride={stride} leaves pixels between windows of {window[0]} x {window[1]}."
            )
        ends = [side - own for own, side in zip(window, sides, strict=True)]
        return cls(tuple(sides), window, tuple([*range(0, end, stride), end] for end in ends))

    @property
    def places(self):
        return [(top, left) for top in self.starts[0] for left in self.starts[1]]

    def cut(self, images, at=slice(None)):
        """Windows of images of shape (n, C, H, W), those ``at`` places: (n, n_windows, C, h, w)."""
        height, width = self.window
        windows = (
            images[..., top : top + height, left : left + width] for top, left in self.places[at]
        )
        return np.stack(list(windows), 1)

    def add(self, maps, total, at=slice(None)):
        """Add maps of the windows ``at`` places, (n, n_windows, C, h, w), to those of images."""
        height, width = self.window
        for i, (top, left) in enumerate(self.places[at]):
            total[..., top : top + height, left : left + width] += maps[:, i]

    def counts(self):
        """Number of windows that hold a pixel, (H, W)."""
        counts = np.zeros(self.sides)
        self.add(np.ones((1, len(self.places), 1, 1)), counts[None])
        return counts
