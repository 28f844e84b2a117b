"""PyOD detectors as scikit-learn outlier detectors, and the other way round.

The two libraries disagree on every sign:

- ``decision_function``: negative = anomaly (scikit-learn, skvae); high = anomaly, and no
  threshold in it (PyOD).
- Labels: -1 = anomaly, +1 = normal (scikit-learn, skvae); 1 = anomaly, 0 = normal (PyOD).
- Scores of the training rows: not kept (scikit-learn); ``decision_scores_`` (PyOD).
"""

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from skvae._optional import require

BaseDetector = require("pyod.models.base", extra="pyod", what="skvae.interop.pyod").BaseDetector

__all__ = ["FromPyOD", "ToPyOD"]


class FromPyOD(OutlierMixin, BaseEstimator):
    """A PyOD detector as a scikit-learn outlier detector.

    Parameters
    ----------
    detector : pyod.models.base.BaseDetector
        The detector, unfitted; it is cloned, never changed. Its ``contamination``
        sets the threshold, and its parameters are reached as ``detector__...``.

    Attributes
    ----------
    detector_ : pyod.models.base.BaseDetector
        The fitted clone.
    offset_ : float
        ``-detector_.threshold_``.
    threshold_ : float
        A row is an anomaly when ``anomaly_score(X) > threshold_``.
    training_scores_ : ndarray of shape (n_samples,)
        PyOD's ``decision_scores_``, higher = more anomalous. A detector by
        neighbours leaves each training row out of its own neighbours here, but not in
        ``anomaly_score`` of the same row.
    n_features_in_, feature_names_in_
        As in every scikit-learn estimator.

    See Also
    --------
    ToPyOD : The other way round.

    Notes
    -----
    Scores are as repeatable as PyOD's: give the detector a ``random_state``. PyOD's
    VAE draws from torch's global generator while it scores, so two calls differ; its ECOD and
    COPOD rank a row among the rows that it is scored with, so a row alone scores differently.

    Examples
    --------
    >>> import numpy as np
    >>> from pyod.models.ecod import ECOD
    >>> from skvae.interop.pyod import FromPyOD
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> detector = FromPyOD(ECOD(contamination=0.1)).fit(X)
    >>> detector.predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    def __init__(self, detector):
        self.detector = detector

    def fit(self, X, y=None):
        """Fit a clone of the PyOD detector.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows; at least two.
        y : Ignored
            Present for the scikit-learn contract.

        Returns
        -------
        self : FromPyOD
            The fitted detector.

        Raises
        ------
        TypeError
            If ``detector`` is no PyOD detector.
        """
        if not isinstance(self.detector, BaseDetector):
            raise TypeError(
                "detector must be an instance of a PyOD detector, such as "
                f"pyod.models.knn.KNN(); found {self.detector!r}"
            )
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        self.detector_ = clone(self.detector).fit(X)
        self.training_scores_ = np.asarray(self.detector_.decision_scores_, dtype=np.float64)
        self.threshold_ = float(self.detector_.threshold_)
        self.offset_ = -self.threshold_
        return self

    def anomaly_score(self, X):
        """Score rows in PyOD's own units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher = more anomalous.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or values that are no finite numbers.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(self.detector_.decision_function(X), dtype=np.float64).ravel()

    def score_samples(self, X):
        """Score rows; the negative of ``anomaly_score``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher = more normal.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or values that are no finite numbers.
        """
        return -self.anomaly_score(X)

    def decision_function(self, X):
        """Score rows against the threshold: ``score_samples(X) - offset_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Negative = anomaly.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or values that are no finite numbers.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Label rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            -1 = anomaly, +1 = normal.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or values that are no finite numbers.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)


class ToPyOD(BaseDetector):
    """A skvae or scikit-learn outlier detector as a PyOD detector.

    It gives PyOD's ``predict_proba``, combination functions and SUOD to any detector
    with ``score_samples``.

    Parameters
    ----------
    detector : estimator
        An outlier detector with ``score_samples`` (higher = more normal), such as
        ``VAEDetector()``, or a pipeline that ends in one. It is cloned, never changed.
    contamination : float in (0, 0.5], default=0.1
        Share of the training rows that PyOD's threshold labels 1. The detector's own
        ``contamination``, if it has one, is a parameter of the detector.

    Attributes
    ----------
    detector_ : estimator
        The fitted clone.
    decision_scores_ : ndarray of shape (n_samples,)
        Scores of the training rows, higher = more anomalous.
    threshold_ : float
        The ``1 - contamination`` quantile of ``decision_scores_``.
    labels_ : ndarray of shape (n_samples,)
        Labels of the training rows, 1 = anomaly, 0 = normal.

    See Also
    --------
    FromPyOD : The other way round.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skvae.interop.pyod import ToPyOD
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> detector = ToPyOD(IsolationForest(random_state=0)).fit(X)
    >>> int(detector.labels_.sum())
    5
    >>> detector.predict(np.array([[0.0, 0.0], [9.0, 9.0]]))
    array([0, 1])
    """

    def __init__(self, detector, contamination=0.1):
        super().__init__(contamination=contamination)
        self.detector = detector

    def fit(self, X, y=None):
        """Fit a clone of the detector, and PyOD's threshold on its training scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The training rows.
        y : array-like of shape (n_samples,), default=None
            Handed to the detector, which says what it does with labels.

        Returns
        -------
        self : ToPyOD
            The fitted detector.

        Raises
        ------
        TypeError
            If ``detector`` cannot be fitted or has no ``score_samples``.
        """
        if not (hasattr(self.detector, "fit") and hasattr(self.detector, "score_samples")):
            raise TypeError(
                "detector must be an outlier detector with fit and score_samples, such as "
                f"VAEDetector(); found {self.detector!r}"
            )
        self._set_n_classes(None)
        self.detector_ = clone(self.detector).fit(X, y)
        self.decision_scores_ = self._scores(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X):
        """Score rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Higher = more anomalous.

        Raises
        ------
        ValueError
            If the detector refuses ``X``.
        """
        check_is_fitted(self, "decision_scores_")
        return self._scores(X)

    def _scores(self, X):
        return -np.asarray(self.detector_.score_samples(X), dtype=np.float64).ravel()
