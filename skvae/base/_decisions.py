"""From scores to decisions: all that needs ``anomaly_score(X)`` and a threshold, and no network."""

import warnings
from functools import partial
from numbers import Real

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.utils._param_validation import HasMethods, Interval, Options, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from skvae.metrics import is_of_few, two_class_labels
from skvae.thresholds import Conformal, fit_threshold, is_conformal

_NEEDS_HELD_OUT = (
    "{} needs scores of rows that were not trained on: fit with calibration_fraction=0.2, or call "
    "set_threshold('conformal', X) with held-out normal rows."
)


# Of the parameters that a threshold depends on, for every class with `DecisionMixin`.
THRESHOLD_CONSTRAINTS = {
    "contamination": [Interval(Real, 0, 0.5, closed="right"), Options(Real, {0})],
    "threshold": [
        StrOptions({"percentile", "f1", "conformal"}),
        Interval(Real, None, None, closed="neither"),
        HasMethods("fit"),
    ],
    "percentile": [Interval(Real, 0, 100, closed="neither"), None],
    "calibration_fraction": [Interval(Real, 0, 1, closed="left"), None],
}


class _MethodBesideParameter:
    """A method that shares its name with a constructor parameter.

    scikit-learn fixes the name of the method ``score(X, y)``, and ``score=`` is the plain name of
    the parameter. The parameter lives in the instance's ``__dict__``, where `get_params` reads
    it; attribute access gives the method.
    """

    def __init__(self, method):
        self.method = method
        self.__doc__ = method.__doc__

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        return self.method if instance is None else partial(self.method, instance)

    def __set__(self, instance, value):
        vars(instance)[self.name] = value


def check_no_class(threshold):
    """Refuse a class where an estimator is meant."""
    if isinstance(threshold, type):
        raise ValueError(f"threshold={threshold!r} is a class; pass an instance of it.")


class DecisionMixin:
    """Signs, labels and thresholds of a detector that has ``anomaly_score``.

    The contract is scikit-learn's and stands here once: ``score_samples`` is the negated anomaly
    score, ``decision_function`` is ``score_samples - offset_``, and negative is an anomaly.
    """

    def score_samples(self, X):
        """Normality of each row, ``-anomaly_score(X)``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        scores : ndarray of float64 of shape (n_samples,)
            Higher = more normal.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        return -self.anomaly_score(X)

    def decision_function(self, X):
        """``score_samples(X) - offset_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        decision : ndarray of float64 of shape (n_samples,)
            Negative = anomaly.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Label each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        labels : ndarray of int of shape (n_samples,)
            -1 for an anomaly, +1 for a normal row.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def fit_predict(self, X, y=None):
        """Fit, then label the same rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            As for ``fit``.
        y : array-like of shape (n_samples,), default=None
            As for ``fit``.

        Returns
        -------
        labels : ndarray of int of shape (n_samples,)
            -1 for an anomaly, +1 for a normal row.

        Raises
        ------
        ValueError
            Where ``fit`` raises it.
        """
        return self.fit(X, y).predict(X)

    @_MethodBesideParameter
    def score(self, X, y=None):
        """ROC AUC with labels, else the mean of ``score_samples``; higher is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.
        y : array-like of shape (n_samples,), default=None
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly). Numbers that are
            no such labels are ignored, with a warning.

        Returns
        -------
        score : float
            In [0, 1] with labels; nan, with a warning, where ``y`` holds one class. Without
            labels, candidates of a search can be compared only if the score has the same units
            for all of them, such as nats of "elbo"; z-scores of a combined score have not.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses; or
            if the lengths differ, or ``y`` holds text.
        """
        return self._rating(self.score_samples(X), y)

    def _rating(self, scores, y):
        """What `score` says of values of ``score_samples``."""
        if y is None:
            return float(scores.mean())
        try:
            is_anomaly = two_class_labels(y, "score(X, y)")
        except ValueError as error:
            # scikit-learn's own checks score detectors with numbers that are no labels.
            if np.asarray(y).dtype.kind not in "iuf":
                raise
            warnings.warn(
                f"{error} score(X, y) ignores them and returns the mean score.",
                UserWarning,
                stacklevel=3,
            )
            return float(scores.mean())
        if is_anomaly is None:
            return float("nan")
        return float(roc_auc_score(is_anomaly, -scores))

    @property
    def _threshold_reads_labels(self):
        own = hasattr(self.threshold, "fit") and not is_conformal(self.threshold)
        return self.threshold == "f1" or own

    @property
    def _held_out_fraction(self):
        """Share of the training rows that is held out for the threshold."""
        fraction = self.calibration_fraction
        if is_conformal(self.threshold) and fraction == 0:
            raise ValueError(
                "A conformal threshold needs rows that are held out of the training, but "
                "calibration_fraction=0; None holds out 20 %."
            )
        if fraction is None:
            return 0.2 if is_conformal(self.threshold) else 0.0
        return fraction

    def _use_threshold(self, threshold, scores, y, percentile):
        check_no_class(threshold)
        if percentile is None:
            # What is tolerated of normal rows has nothing to do with contamination.
            by_share = self.contamination and not is_conformal(threshold)
            percentile = 100 * (1 - self.contamination) if by_share else 95.0
        if percentile < 1:
            raise ValueError(
                f"percentile={percentile:g} is below 1, but it is in percent: 98 flags 2 %."
            )
        self.thresholder_ = fit_threshold(threshold, scores, y, percentile)
        self.offset_ = -float(self.thresholder_.threshold_)
        self.calibration_scores_, self._calibration_y = scores, y

    def set_threshold(self, threshold, X=None, y=None, *, percentile=None):
        """Change the threshold of a fitted detector without training again.

        Parameters
        ----------
        threshold : {"percentile", "f1", "conformal"}, float or estimator
            As the constructor's.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to fit the threshold on. That they were not trained on is not checked, and
            "conformal" promises nothing for rows that were. None takes the
            scores that the last threshold was fitted on, ``calibration_scores_``, and the labels
            that it read.
        y : array-like of shape (n_samples,), default=None
            Labels of ``X``: needed by "f1"; "conformal" then keeps the normal rows only.
        percentile : float, default=None
            In (0, 100); None takes the constructor's.

        Returns
        -------
        self : object
            The constructor's parameters stay as they are, so a clone is fitted as they say.

        Raises
        ------
        ValueError
            If "f1" has no labels, or "conformal" only scores of training rows.
        """
        check_is_fitted(self)
        if X is None:
            if y is not None:
                raise ValueError("set_threshold got y without X.")
            if is_conformal(threshold) and not self.calibration_is_held_out_:
                raise ValueError(_NEEDS_HELD_OUT.format("threshold='conformal'"))
            scores, y = self.calibration_scores_, self._calibration_y
        else:
            scores = self.anomaly_score(X)
            if y is not None:
                y = column_or_1d(y)
                check_consistent_length(X, y)
                if is_of_few(y):  # a threshold is set by what is known
                    scores, y = scores[y != 0], y[y != 0]
        if percentile is None:
            percentile = self.percentile
        self._use_threshold(threshold, scores, y, percentile)
        if X is not None:
            self.calibration_is_held_out_ = True
        return self

    @property
    def threshold_(self):
        """Anomaly score above which a row is an anomaly, ``-offset_``."""
        check_is_fitted(self)
        return -self.offset_

    def p_values(self, X):
        """Conformal p-value of each row: how rare so high a score is among normal rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        p_values : ndarray of shape (n_samples,)
            In (0, 1], small = anomalous. Of new normal rows a share of at most alpha has a
            p-value of at most alpha, on average over draws of the calibration rows and if they are
            exchangeable with these; see `skvae.thresholds.Conformal`.

        Raises
        ------
        ValueError
            If no rows were held out for the threshold.
        """
        return self._p_values(self.anomaly_score(X))

    def _p_values(self, scores):
        if not self.calibration_is_held_out_:
            raise ValueError(_NEEDS_HELD_OUT.format("p_values"))
        # Any alpha will do: p-values do not depend on it.
        calibration = Conformal(0.5).fit(self.calibration_scores_, self._calibration_y)
        return calibration.p_values(scores)

    # The parameter ``score``, which the method of that name hides.

    @property
    def _score_parameter(self):
        return vars(self).get("score")

    def get_params(self, deep=True):
        """Parameters of the constructor.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return those of a scaler or threshold estimator as well.

        Returns
        -------
        params : dict
        """
        params = super().get_params(deep)
        if "score" in params:
            params["score"] = self._score_parameter
        return params
