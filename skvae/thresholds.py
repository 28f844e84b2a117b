"""Thresholds: small estimators on one-dimensional anomaly scores.

``fit(scores, y=None)`` sets ``threshold_``; a sample is an anomaly where its score is greater.
"""

import math
import warnings
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skvae.metrics import anomaly_labels

__all__ = ["F1", "Conformal", "Fixed", "Percentile"]


def _checked_scores(scores):
    scores = column_or_1d(scores).astype(np.float64)
    if len(scores) == 0:
        raise ValueError("A threshold cannot be fitted on zero scores.")
    if not np.isfinite(scores).all():
        raise ValueError("scores contain NaN or infinity.")
    return scores


class Fixed(BaseEstimator):
    """A number the user knows.

    Parameters
    ----------
    threshold : float
        In the units of the anomaly score.

    Attributes
    ----------
    threshold_ : float
        The number.

    See Also
    --------
    skvae.VAEDetector.set_threshold : Takes a number as well.

    Examples
    --------
    >>> from skvae.thresholds import Fixed
    >>> Fixed(2.5).fit([1.0, 2.0]).threshold_
    2.5
    """

    _parameter_constraints = {"threshold": [Interval(Real, None, None, closed="neither")]}

    def __init__(self, threshold):
        self.threshold = threshold

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, scores, y=None):
        """Take the number.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Not looked at.
        y : array-like of shape (n_samples,), default=None
            Not looked at.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If ``threshold`` is no finite number.
        """
        self.threshold_ = float(self.threshold)
        return self


class Percentile(BaseEstimator):
    """The threshold that the given percentage of the scores does not exceed.

    Parameters
    ----------
    percentile : float, default=95
        In (0, 100): 95 flags 5 % of the scores that it is fitted on.

    Attributes
    ----------
    threshold_ : float
        In the units of the scores.

    See Also
    --------
    Conformal : With a promise on the share of new normal rows.

    Notes
    -----
    Fitted on training scores it is optimistic: the model has seen those rows, so more than
    ``100 - percentile`` % of new normal rows exceed it. Hold rows out for it.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.thresholds import Percentile
    >>> scores = np.arange(101.0)
    >>> Percentile(90).fit(scores).threshold_
    90.0
    """

    _parameter_constraints = {"percentile": [Interval(Real, 0, 100, closed="neither")]}

    def __init__(self, percentile=95.0):
        self.percentile = percentile

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, scores, y=None):
        """Take the percentile of the scores.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Anomaly scores, higher = more anomalous.
        y : array-like of shape (n_samples,), default=None
            Ignored.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If ``scores`` is empty or holds NaN or infinity, or ``percentile`` is out of its range.
        """
        self.threshold_ = float(np.percentile(_checked_scores(scores), self.percentile))
        return self


class F1(BaseEstimator):
    """The threshold of the largest F1, anomalies being the positive class.

    Among equal F1 the highest threshold wins: the fewest alarms. The threshold stands midway
    between the lowest score that it flags and the highest that it does not.

    Parameters
    ----------
    fallback_percentile : float, default=95
        Where ``y`` holds one class F1 is undefined, and this percentile of the scores is used,
        with a warning.

    Attributes
    ----------
    threshold_ : float
        In the units of the scores.
    f1_ : float
        F1 at the threshold, on the scores that it was fitted on; nan after the fallback.

    See Also
    --------
    skvae.metrics.f1 : F1 of a fitted detector.

    Notes
    -----
    Chosen and measured on the same rows F1 is too good: measure it on others.

    Examples
    --------
    >>> from skvae.thresholds import F1
    >>> F1().fit([1.0, 2.0, 3.0, 8.0], [0, 0, 0, 1]).threshold_
    5.5
    """

    _parameter_constraints = {"fallback_percentile": [Interval(Real, 0, 100, closed="neither")]}

    def __init__(self, fallback_percentile=95.0):
        self.fallback_percentile = fallback_percentile

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, scores, y=None):
        """Find the threshold of the largest F1.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Anomaly scores, higher = more anomalous.
        y : array-like of shape (n_samples,)
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly).

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If ``y`` is None or holds no such labels, ``scores`` is empty or holds NaN or infinity,
            or the lengths differ.
        """
        if y is None:
            raise ValueError("threshold='f1' needs labels y; without labels use 'percentile'.")
        scores = _checked_scores(scores)
        check_consistent_length(scores, y)
        values = np.unique(y)
        if len(values) < 2:  # undefined, whichever class it is
            warnings.warn(
                f"F1 needs both classes, but y holds only {values.tolist()}: the threshold is "
                f"percentile {self.fallback_percentile:g} of the scores instead.",
                UserWarning,
                stacklevel=2,
            )
            self.threshold_ = float(np.percentile(scores, self.fallback_percentile))
            self.f1_ = float("nan")
            return self
        is_anomaly = anomaly_labels(y)
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        # Cutting after position i flags i + 1 scores; equal scores cannot be cut apart.
        can_cut = np.append(ordered[:-1] > ordered[1:], True)
        true_positives = np.cumsum(is_anomaly[order])
        n_flagged = np.arange(1, len(scores) + 1)
        f1 = np.where(can_cut, 2 * true_positives / (n_flagged + is_anomaly.sum()), -1.0)
        best = int(np.argmax(f1))  # the first of equals is the highest threshold
        below = ordered[best + 1] if best + 1 < len(ordered) else -np.inf
        self.threshold_ = _midway(below, ordered[best])
        self.f1_ = float(f1[best])
        return self


def _midway(low, high):
    """A number in [low, high): half way, or just below ``high`` where that rounds up to it."""
    if not np.isfinite(low):
        return float(np.nextafter(high, -np.inf))
    middle = low + (high - low) / 2
    return float(middle if middle < high else low)


class Conformal(BaseEstimator):
    """Split conformal: at most ``alpha`` of new normal rows are flagged, on average.

    Holds in finite samples, whatever the distribution, for rows exchangeable with those that it
    is fitted on: held-out normal rows, not the rows of the training. The realised rate of one
    calibration set of n rows spreads about alpha with a standard deviation of about
    ``sqrt(alpha * (1 - alpha) / n)``.

    Parameters
    ----------
    alpha : float, default=0.05
        False-alarm rate, in (0, 1). Below 1 / (n + 1) for n calibration rows nothing can be
        flagged, and a warning says so.

    Attributes
    ----------
    threshold_ : float
        In the units of the scores; infinite where nothing can be flagged.
    scores_ : ndarray of shape (n_samples,)
        The calibration scores, sorted.

    See Also
    --------
    Percentile : Of any scores, with no promise.

    References
    ----------
    Bates, Candes, Lei, Romano, Sesia (2023), Testing for outliers with conformal p-values,
    Annals of Statistics 51(1), arXiv:2104.08279.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.thresholds import Conformal
    >>> conformal = Conformal(alpha=0.1).fit(np.arange(99.0))
    >>> conformal.threshold_
    89.0
    >>> conformal.p_values([89.0, 1000.0])
    array([0.11, 0.01])
    """

    _parameter_constraints = {"alpha": [Interval(Real, 0, 1, closed="neither")]}

    def __init__(self, alpha=0.05):
        self.alpha = alpha

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, scores, y=None):
        """Find the threshold that the share ``alpha`` of normal rows exceeds.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Anomaly scores of held-out rows, higher = more anomalous.
        y : array-like of shape (n_samples,), default=None
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly): the scores of
            anomalies are left out. None takes all for normal.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If ``y`` holds no such labels or only anomalies, ``scores`` is empty or holds NaN or
            infinity, or the lengths differ.
        """
        scores = _checked_scores(scores)
        if y is not None:
            check_consistent_length(scores, y)
            scores = scores[~anomaly_labels(y)]
            if len(scores) == 0:
                raise ValueError("Conformal needs normal samples, but y holds only anomalies.")
        self.scores_ = np.sort(scores)
        n = len(scores)
        # The rank is rounded first: (1 - 0.1) * 100 is 90.00000000000001 to a computer.
        rank = math.ceil(round((1 - self.alpha) * (n + 1), 9))
        if rank > n:
            warnings.warn(
                f"alpha={self.alpha:g} needs at least {math.ceil(1 / self.alpha) - 1} calibration "
                f"rows, but there are {n}: nothing will be flagged.",
                UserWarning,
                stacklevel=2,
            )
        self.threshold_ = float(self.scores_[rank - 1]) if rank <= n else math.inf
        return self

    def p_values(self, scores):
        """Conformal p-value of each score: ``(1 + #{calibration >= score}) / (n + 1)``.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Anomaly scores, higher = more anomalous.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            In (0, 1]; small = anomalous.

        Raises
        ------
        ValueError
            If ``scores`` is empty or holds NaN or infinity.
        """
        n = len(self.scores_)
        n_above = n - np.searchsorted(self.scores_, _checked_scores(scores), side="left")
        return (1 + n_above) / (n + 1)


def is_conformal(threshold):
    """Whether ``threshold`` promises a rate, which only rows that were held out can keep."""
    return isinstance(threshold, Conformal) or (
        isinstance(threshold, str) and threshold == "conformal"
    )


def fit_threshold(threshold, scores, y, percentile):
    """Make, fit and return the threshold estimator that ``threshold`` names or is.

    Parameters
    ----------
    threshold : {"percentile", "f1", "conformal"}, number or estimator
        An estimator has ``fit(scores, y=None)`` and then ``threshold_``. One that sets
        ``labels_`` (1 = anomaly) instead, as those of PyThresh do, is read off its labels.
    scores : ndarray of shape (n_samples,)
    y : array-like of shape (n_samples,) or None
    percentile : float
        Of "percentile" and of the fallback of "f1"; "conformal" takes alpha = 1 - percentile/100.

    Returns
    -------
    fitted : estimator with ``threshold_``

    Raises
    ------
    ValueError
        If ``threshold`` is none of these, or an estimator that leaves neither ``threshold_`` nor
        ``labels_``.
    """
    if isinstance(threshold, Real) and not isinstance(threshold, bool):
        return Fixed(threshold).fit(scores)
    if threshold == "percentile":
        return Percentile(percentile).fit(scores)
    if threshold == "f1":
        return F1(percentile).fit(scores, y)
    if threshold == "conformal":
        return Conformal(round(1 - percentile / 100, 9)).fit(scores, y)
    if not hasattr(threshold, "fit"):
        raise ValueError(
            f"threshold={threshold!r} is none of 'percentile', 'f1', 'conformal', a number, or an "
            "estimator with fit(scores, y=None)."
        )
    # PyThresh seeds the global generator in its constructors, which clone calls.
    state = np.random.get_state()  # noqa: NPY002
    try:
        fitted = clone(threshold, safe=False).fit(scores, y)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    if hasattr(fitted, "threshold_"):
        return fitted
    if getattr(fitted, "labels_", None) is None:
        raise ValueError(
            f"threshold={threshold!r} left neither threshold_ nor labels_ after fit(scores, y)."
        )
    return Fixed(_threshold_of_labels(scores, np.asarray(fitted.labels_) == 1)).fit(scores)


def _threshold_of_labels(scores, is_anomaly):
    """Midway between the lowest score labelled an anomaly and the next below it."""
    if not is_anomaly.any():
        return scores.max()
    lowest = scores[is_anomaly].min()
    return _midway(scores[scores < lowest].max(initial=-np.inf), lowest)
