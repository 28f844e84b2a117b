"""Sliding windows: a detector of rows, or of short series, scores each point of long ones."""

import math
from numbers import Integral

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from skvae.base._decisions import THRESHOLD_CONSTRAINTS, DecisionMixin
from skvae.base._input import shape_of, unchanged_if_it_fails
from skvae.detectors.windows import BYTES_AT_ONCE

BYTES_PER_NUMBER = 8


class SlidingWindowDetector(DecisionMixin, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Let a detector learn windows of time series, and score every time point by its windows.

    ``detector`` is trained on windows of ``window`` points. The score of a time point is the mean
    of the anomaly scores of the windows that hold it: a window tells that something in it is
    unusual, and the point that all such windows share stands out. With ``causal`` it is the score
    of the window that ends at the point, which is all that can be said at that time, and
    `score_new` says it of points as they arrive.

    Any outlier detector with ``score_samples`` will do. `Conv1dVAEDetector`, and others whose tag
    ``three_d_array`` is true, get windows of shape (n, channels, window); others get them as rows.

    Parameters
    ----------
    detector : outlier detector
        It is cloned, never changed. Its own ``threshold`` and ``contamination`` are about windows.
    window : int, default=32
        Points of a window. It should hold what makes a pattern, such as a period of a season.
    step : int, default=1
        Points from one window to the next, for training and for scores that are not causal; at most
        ``window``. A last window touches the end of the series, or a gap, at whatever distance.
        Training and scoring take that many times less time and memory.
    causal : bool, default=False
        Whether a point is scored by the window that ends there alone. It may be changed on a fitted
        detector; `set_threshold` with a series then sets the threshold for the other scores.
    contamination : float, default=0.0
        Expected share of anomalous points in the training series, in [0, 0.5]. Unless
        ``percentile`` is given, that share of them is flagged.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores of points are cut, as in `VAEDetector`.
    percentile : float, default=None
        In (0, 100), the percentage of scores at or below the threshold. None is
        ``100 * (1 - contamination)``, and 95 for "conformal" and where the contamination is 0.
    calibration_fraction : float, default=None
        Share of the points held out of the training for the threshold, in [0, 1): the last ones in
        time, and of several series the last series. Without it a percentile is optimistic: more new
        points exceed it than it says. None is 0.2 for "conformal" and 0 else.

    Attributes
    ----------
    detector_ : outlier detector
        The fitted clone.
    threshold_, offset_ : float
        A point is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on: of held-out points, or of those trained
        on.
    calibration_is_held_out_ : bool
        Whether those points were held out of the training, or given to ``set_threshold``.
    thresholder_ : fitted threshold estimator
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of str
        Only for a DataFrame with column names that are strings.

    See Also
    --------
    Conv1dVAEDetector : A network for windows.
    WindowDetector : Windows of images.

    Notes
    -----
    **Gaps.** A time point with NaN in any channel is a gap, and no window reaches across one. So
    what should not be learned, such as points that are known to be anomalous, may be set to NaN.
    Where single values are missing here and there, few windows are whole: fill those before. Points
    are taken as equally far apart, whatever the index of a DataFrame says: ``frame.asfreq("h")``
    makes a gap of hours that are not there.

    **What no window holds.** A gap, a stretch between gaps that is shorter than ``window``, and,
    with ``causal``, the first ``window - 1`` points of a stretch, the warm-up, have the score NaN:
    nothing is known of them. `predict` gives +1 there, for scikit-learn's labels have no third
    value, and an alarm needs a reason; ``np.isnan(score_samples(X))`` tells them from points that
    were found normal. `score` and the threshold leave them out.

    **Anomalies look wider than they are** in the scores, by up to a window on both sides: whatever
    touches it is suspicious. `error_map` is narrower, where the detector has one.

    **Points are no independent sample.** Neighbours share windows, so a "conformal" threshold
    promises less here than for rows of a table, and p-values of neighbours go together.

    Order matters here, and the score of a point depends on the points beside it; so subsets of X
    are not scored as X is, which scikit-learn expects of other estimators. In a search pass
    ``cv=TimeSeriesSplit()``, whose parts are stretches of time.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import SlidingWindowDetector, VAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = np.sin(0.3 * np.arange(2000)) + 0.1 * rng.randn(2000)
    >>> X[1700:1710] = X[1700]  # the value is held
    >>> detector = SlidingWindowDetector(VAEDetector(max_steps=200, random_state=0), window=24)
    >>> scores = detector.fit(X[:1500]).anomaly_score(X[1500:])
    >>> bool(195 <= scores.argmax() <= 215)
    True

    Points as they arrive:

    >>> detector = detector.set_params(causal=True).fit(X[:1500])
    >>> warm_up = detector.score_new(X[1500:1523])
    >>> bool(np.isnan(warm_up).all())
    True
    >>> latest = detector.score_new(X[1523:1525])
    >>> np.array_equal(latest, detector.anomaly_score(X[1500:1525])[-2:])
    True
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods(["fit", "score_samples"])],
        "window": [Interval(Integral, 1, None, closed="left")],
        "step": [Interval(Integral, 1, None, closed="left")],
        "causal": ["boolean"],
        **THRESHOLD_CONSTRAINTS,
    }

    def __init__(
        self,
        detector,
        window=32,
        step=1,
        *,
        causal=False,
        contamination=0.0,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
    ):
        self.detector = detector
        self.window = window
        self.step = step
        self.causal = causal
        self.contamination = contamination
        self.threshold = threshold
        self.percentile = percentile
        self.calibration_fraction = calibration_fraction

    def fit(self, X, y=None):
        """Train the detector on windows, and set the threshold by scores of points.

        Parameters
        ----------
        X : array-like of shape (n_times,) or (n_times, n_channels), or list of such arrays
            One series or several, of any lengths; NaN where a value is missing. A list of lists is
            one series.
        y : array-like of shape (n_times,), default=None
            Labels of the points in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly); of
            several series a list of such arrays. Read by ``threshold="f1"`` and by an own threshold
            estimator, else ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For series that hold fewer than 2 windows, or parameters that do not go together.
        """
        with unchanged_if_it_fails(self):
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        self._validate_params()
        if self.step > self.window:
            raise ValueError(
                f"step={self.step} leaves points between windows of {self.window} points."
            )
        if getattr(self.detector, "train_on", "all") != "all":
            raise ValueError(
                f"detector has train_on={self.detector.train_on!r}, but windows get no labels. Set "
                "points that should not be learned to NaN."
            )
        values, y = self._joined(X, y)
        n_train = len(values) - math.ceil(self._held_out_fraction * len(values))
        train, held_out = values[:n_train], values[n_train:]
        starts = self._starts(train, self.step)
        if len(starts) < 2:
            raise ValueError(
                f"X has {len(starts)} windows of {self.window} points to train on, and 2 are "
                f"needed: {n_train} of its {len(values)} points are for training, "
                f"{np.isnan(train).any(1).sum()} of them gaps. Use a shorter window, or longer "
                "series."
            )
        self.detector_ = clone(self.detector).fit(self._cut(train, starts))
        self._recent = values[:0].copy()
        judged = slice(n_train, None) if len(held_out) else slice(None)
        y = y[judged] if y is not None and self._threshold_reads_labels else None
        scores = self._scores(values[judged])
        self._use_threshold(self.threshold, scores, y, self.percentile)
        self.calibration_is_held_out_ = len(held_out) > 0

    # -- series ---------------------------------------------------------------------------------

    def _joined(self, X, y):
        """All series as one, with gaps in between, of shape (n_times, n_channels), and labels."""
        if self.threshold == "f1" and y is None:
            raise ValueError("threshold='f1' needs labels: fit(X, y) with y, got y=None.")
        if not _is_list_of_series(X):
            values = self._validated(X, reset=True, ensure_min_samples=2)
            if y is not None:
                check_consistent_length(X, y)
                y = column_or_1d(y)
            return values, y
        values = [self._validated(series, reset=i == 0) for i, series in enumerate(X)]
        if y is not None:
            check_consistent_length(X, y)
            y = [column_or_1d(labels) for labels in y]
            for pair in zip(values, y, strict=True):
                check_consistent_length(*pair)
            # A gap has no score, so its label is never read.
            y = np.concatenate([np.append(labels, labels[0]) for labels in y])
        gap = np.full((1, self.n_features_in_), np.nan)
        return np.concatenate([part for series in values for part in (series, gap)]), y

    def _validated(self, X, reset=False, **options):
        """One series as float64 of shape (n_times, n_channels)."""
        if _is_list_of_series(X):
            raise ValueError(
                "X is a list of series, which only fit takes: pass them one by one, or as one with "
                "a NaN in between."
            )
        if len(shape_of(X)) == 1 and (reset or self.n_features_in_ == 1):
            X = np.reshape(X, (-1, 1))
        # One type, so that points which arrive one by one have the bits that they have together.
        return validate_data(
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset, **options
        )

    def _starts(self, values, step):
        """First points of the windows: ``step`` apart in each stretch, the last one at its end."""
        is_known = ~np.isnan(values).any(1)
        edges = np.flatnonzero(np.diff(is_known, prepend=False, append=False))
        starts = []
        for first, end in edges.reshape(-1, 2):
            last = end - self.window
            if last >= first:
                starts += [*range(first, last, step), last]
        return np.array(starts, dtype=np.intp)

    def _cut(self, values, starts):
        """Windows as the detector takes them: (n, channels, window), or rows."""
        windows = sliding_window_view(values, self.window, axis=0)[starts]
        takes_series = get_tags(self.detector).input_tags.three_d_array
        return windows if takes_series else windows.reshape(len(windows), -1)

    def _by_window(self, method, values, starts):
        """What ``method`` of the detector says of windows, block by block, with their starts."""
        at_once = max(1, BYTES_AT_ONCE // (BYTES_PER_NUMBER * self.window * values.shape[1]))
        for i in range(0, len(starts), at_once):
            some = starts[i : i + at_once]
            yield some, np.asarray(method(self._cut(values, some)))

    # -- scores ---------------------------------------------------------------------------------

    def _scores(self, values):
        """Anomaly scores of the points of a series, NaN where there is none."""
        if not self.causal:
            return self._mean_over_windows(values, self.detector_.score_samples, self._spread)[:, 0]
        scores = np.full(len(values), np.nan)
        starts = self._starts(values, 1)
        for some, normality in self._by_window(self.detector_.score_samples, values, starts):
            scores[some + self.window - 1] = -normality
        return scores

    def _spread(self, normality):
        """The score of each window for each of its points, (n, 1, window)."""
        return np.broadcast_to(-normality[:, None, None], (len(normality), 1, self.window))

    def _mean_over_windows(self, values, method, shared_out, n_columns=1):
        """Mean over the windows that hold a point of what they say of it, (n_times, n_columns).

        ``shared_out`` makes parts of shape (n, n_columns, window) of what ``method`` says of n
        windows. NaN where none holds a point.
        """
        total, counts = np.zeros((len(values), n_columns)), np.zeros((len(values), 1))
        starts = self._starts(values, self.step)
        for some, said in self._by_window(method, values, starts):
            parts = shared_out(said)
            for offset in range(self.window):  # at one offset no point is in two windows
                total[some + offset] += parts[:, :, offset]
                counts[some + offset] += 1
        counts[counts == 0] = np.nan
        return total / counts

    def anomaly_score(self, X):
        """Anomaly score of each time point.

        Parameters
        ----------
        X : array-like of shape (n_times,) or (n_times, n_channels)
            One series; NaN where a value is missing.

        Returns
        -------
        scores : ndarray of float64 of shape (n_times,)
            Higher = more anomalous, in the units of the detector's ``score_samples``; NaN where no
            whole window says anything of the point, such as in a gap.

        Raises
        ------
        ValueError
            If ``X`` has other channels than in ``fit``, or infinite values.
        """
        check_is_fitted(self)
        return self._scores(self._validated(X))

    def score_new(self, values):
        """Causal scores of the points of a stream that have arrived since the last call.

        The detector keeps the ``window - 1`` points before them. The first call after a fit, or
        after `reset_stream`, begins a stream.

        Parameters
        ----------
        values : array-like of shape (n_new,) or (n_new, n_channels)
            The new points, in order; NaN where a value is missing.

        Returns
        -------
        scores : ndarray of float64 of shape (n_new,)
            What ``anomaly_score`` of the whole stream so far says of its last ``n_new`` points:
            higher = more anomalous, NaN in the warm-up. Bit for bit, where a row's score does not
            depend on the rows beside it, as in detectors of this package.

        Raises
        ------
        ValueError
            Unless ``causal=True``, since points yet to come have a say in other scores.
        """
        check_is_fitted(self)
        if not self.causal:
            raise ValueError(
                "score_new needs causal=True: other scores of a point depend on points to come. "
                "Use set_params(causal=True), then set_threshold('percentile', X) with a series."
            )
        stream = np.concatenate([self._recent, self._validated(values)])
        scores = self._scores(stream)[len(self._recent) :]
        self._recent = stream[max(0, len(stream) - self.window + 1) :].copy()
        return scores

    def reset_stream(self):
        """Forget the points that `score_new` was given; the next call begins a new stream.

        Returns
        -------
        self : object
        """
        check_is_fitted(self)
        self._recent = self._recent[:0].copy()
        return self

    def error_map(self, X):
        """Where the anomaly is: at each point and channel the mean over the windows that hold it.

        It looks back: with ``causal`` as well, all windows that hold the point are asked.

        Parameters
        ----------
        X : array-like of shape (n_times,) or (n_times, n_channels)
            A series of the channels of ``fit``.

        Returns
        -------
        error_map : ndarray of float64 of the shape of X
            Higher = more anomalous; NaN where no whole window holds the point. The mean of the
            windows' error maps where the detector has ``error_map``, else of their scores, which
            tell no channels apart.

        Raises
        ------
        ValueError
            If ``X`` has other channels than in ``fit``, or infinite values.
        """
        check_is_fitted(self)
        values = self._validated(X)
        maps = self._maps(values)
        return maps[:, 0] if len(shape_of(X)) == 1 else maps

    def _maps(self, values):
        n_channels = values.shape[1]
        if not hasattr(self.detector_, "error_map"):
            scores = self._mean_over_windows(values, self.detector_.score_samples, self._spread)
            return np.repeat(scores, n_channels, 1)

        def by_channel(maps):
            return maps.reshape(len(maps), n_channels, self.window)

        return self._mean_over_windows(values, self.detector_.error_map, by_channel, n_channels)

    # -- decisions, of points that have a score -------------------------------------------------

    def _use_threshold(self, threshold, scores, y, percentile):
        is_known = ~np.isnan(scores)
        if not is_known.any():
            raise ValueError(
                f"No point has a score that a threshold could be set by: there is no stretch of "
                f"{self.window} points, the window, without a gap."
            )
        y = None if y is None else np.asarray(y)[is_known]
        super()._use_threshold(threshold, scores[is_known], y, percentile)

    def score(self, X, y=None):
        """ROC AUC of the points with labels, else the mean of ``score_samples``.

        Parameters
        ----------
        X : array-like of shape (n_times,) or (n_times, n_channels)
            A series of the channels of ``fit``.
        y : array-like of shape (n_times,), default=None
            Labels of the points, as `fit` takes them.

        Returns
        -------
        score : float
            Higher is better. Points without a score are left out; nan, with a warning, where the
            others are of one class.

        Raises
        ------
        ValueError
            If ``X`` has other channels than in ``fit``, or infinite values; or if the lengths
            differ, or ``y`` holds text.
        """
        scores = self.score_samples(X)
        is_known = ~np.isnan(scores)
        if y is not None:
            check_consistent_length(X, y)
            y = column_or_1d(y)[is_known]
        return self._rating(scores[is_known], y)

    def p_values(self, X):
        """Conformal p-value of each point: how rare so high a score is among normal points.

        Parameters
        ----------
        X : array-like of shape (n_times,) or (n_times, n_channels)
            A series of the channels of ``fit``.

        Returns
        -------
        p_values : ndarray of shape (n_times,)
            In (0, 1], small = anomalous; NaN where the score is.

        Raises
        ------
        ValueError
            If no points were held out for the threshold.
        """
        scores = self.anomaly_score(X)
        is_known = ~np.isnan(scores)
        p_values = np.full(len(scores), np.nan)
        p_values[is_known] = self._p_values(scores[is_known])
        return p_values

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _is_list_of_series(X):
    return isinstance(X, (list, tuple)) and len(X) > 0 and getattr(X[0], "ndim", 0) > 0
