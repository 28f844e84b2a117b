"""What the labels mean, and scorers that read them."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.utils.validation import column_or_1d


def anomaly_labels(y):
    """Read labels in either convention.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        {+1, -1} with -1 for an anomaly (scikit-learn), or {0, 1} or bool with 1 for an anomaly.

    Returns
    -------
    is_anomaly : ndarray of bool of shape (n_samples,)
        True for an anomaly.

    Raises
    ------
    ValueError
        If ``y`` holds other values, mixes the conventions, or holds nothing but ones, which are
        normal in the first convention and anomalous in the second.

    See Also
    --------
    known_labels : Labels of few rows.

    Examples
    --------
    >>> from skvae.metrics import anomaly_labels
    >>> anomaly_labels([1, 1, -1])
    array([False, False,  True])
    >>> anomaly_labels([0, 0, 1])
    array([False, False,  True])
    """
    y = column_or_1d(y)
    if y.dtype == bool:
        return y.copy()
    values = set(np.unique(y).tolist())
    if values in ({-1}, {-1, 1}):
        return y == -1
    if values in ({0}, {0, 1}):
        return y == 1
    if values == {1}:
        raise ValueError(
            "y holds nothing but 1, which is normal in {+1, -1} and an anomaly in {0, 1}. "
            "Pass booleans (True = anomaly) to say which."
        )
    shown = ", ".join(map(str, sorted(values, key=str)[:5]))
    raise ValueError(
        f"y must hold {{+1, -1}} (-1 = anomaly), {{0, 1}} or bool (1 = anomaly); found "
        f"{len(values)} distinct values: {shown}{', ...' if len(values) > 5 else ''}."
    )


def known_labels(y):
    """Check labels of few rows: -1 for a known anomaly, +1 for a known normal row, 0 for unknown.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        At least one -1, and nothing but -1, 0 and +1.

    Returns
    -------
    labels : ndarray of int64 of shape (n_samples,)
        The same.

    Raises
    ------
    ValueError
        If ``y`` holds other values, or no -1: {0, 1} may as well mean 1 for an anomaly.

    See Also
    --------
    anomaly_labels : Labels of all rows.

    Examples
    --------
    >>> from skvae.metrics import known_labels
    >>> known_labels([0, 0, -1, 1])
    array([ 0,  0, -1,  1])
    """
    y = column_or_1d(y)
    values = set(np.unique(y).tolist())
    if y.dtype != bool and -1 in values and values <= {-1, 0, 1}:
        return y.astype(np.int64)
    shown = ", ".join(map(str, sorted(values, key=str)[:5]))
    remedy = ""
    if y.dtype == bool or values == {0, 1}:
        remedy = " Where 1 marks an anomaly and 0 all else, pass np.where(y == 1, -1, 0)."
    raise ValueError(
        "y must hold -1 for known anomalies, one at least, +1 for known normal rows and 0 for all "
        f"others, missing labels among them; found {shown}{', ...' if len(values) > 5 else ''}."
        f"{remedy}"
    )


def is_of_few(y):
    """Whether these are labels of few rows: known anomalies are -1, and unknown rows 0.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of any kind.

    Returns
    -------
    is_of_few : bool
        True for {-1, 0} and {-1, 0, +1}.

    See Also
    --------
    known_labels : Checks such labels.

    Examples
    --------
    >>> from skvae.metrics import is_of_few
    >>> is_of_few([0, 0, -1]), is_of_few([1, 1, -1])
    (True, False)
    """
    y = column_or_1d(y)
    return y.dtype.kind in "if" and set(np.unique(y).tolist()) in ({-1, 0}, {-1, 0, 1})


def two_class_labels(y, what):
    """Read labels for a metric of two classes.

    One value leaves such a metric undefined in either convention, so none needs to be told. Few
    labels, {-1, 0, +1}, tell known anomalies from all others: the order of candidates is that of
    full labels, as long as the known ones are a fair sample.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels as in `anomaly_labels` or `known_labels`.
    what : str
        Name of the metric, for the warning.

    Returns
    -------
    is_anomaly : ndarray of bool of shape (n_samples,) or None
        None, with a warning, where ``y`` holds one value.

    Raises
    ------
    ValueError
        If ``y`` holds no such labels.

    See Also
    --------
    anomaly_labels : Refuses what could mean either class.

    Examples
    --------
    >>> from skvae.metrics import two_class_labels
    >>> two_class_labels([0, 1, 0], "my_metric")
    array([False,  True, False])
    """
    y = column_or_1d(y)
    if is_of_few(y):
        return y == -1
    values = np.unique(y)
    if len(values) > 1:
        return anomaly_labels(y)
    warnings.warn(
        f"{what} needs both classes, but y holds only {values.tolist()}: the result is nan.",
        UndefinedMetricWarning,
        stacklevel=3,
    )
    return None


def roc_auc(estimator, X, y):
    """Scorer: area under the ROC curve of the anomaly score.

    Parameters
    ----------
    estimator : fitted outlier detector
        With ``score_samples``, higher = more normal.
    X : array-like of shape (n_samples, n_features)
        Rows as in ``fit``.
    y : array-like of shape (n_samples,)
        Labels as in `anomaly_labels`; or those of few rows, -1 for known anomalies and 0 or +1 for
        all others.

    Returns
    -------
    auc : float
        In [0, 1], higher is better, .5 for random scores; nan, with a warning, where ``y`` holds
        one class.

    Raises
    ------
    ValueError
        If ``y`` holds no such labels.

    See Also
    --------
    average_precision : Says more where anomalies are rare.
    sklearn.metrics.roc_auc_score : Of labels and scores.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VAEDetector, metrics
    >>> search = GridSearchCV(VAEDetector(), {"beta": [0.1, 1]}, scoring=metrics.roc_auc)
    """
    is_anomaly = two_class_labels(y, "roc_auc")
    if is_anomaly is None:
        return float("nan")
    return float(roc_auc_score(is_anomaly, -estimator.score_samples(X)))


def average_precision(estimator, X, y):
    """Scorer: average precision with anomalies as the positive class.

    Parameters
    ----------
    estimator : fitted outlier detector
        With ``score_samples``, higher = more normal.
    X : array-like of shape (n_samples, n_features)
        Rows as in ``fit``.
    y : array-like of shape (n_samples,)
        Labels as in `anomaly_labels`; or those of few rows, -1 for known anomalies and 0 or +1 for
        all others.

    Returns
    -------
    ap : float
        In [0, 1], higher is better, the share of anomalies for random scores; nan, with a warning,
        where ``y`` holds one class.

    Raises
    ------
    ValueError
        If ``y`` holds no such labels.

    See Also
    --------
    roc_auc : Does not depend on the share of anomalies.
    sklearn.metrics.average_precision_score : Of labels and scores.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VAEDetector, metrics
    >>> search = GridSearchCV(VAEDetector(), {"beta": [0.1]}, scoring=metrics.average_precision)
    """
    is_anomaly = two_class_labels(y, "average_precision")
    if is_anomaly is None:
        return float("nan")
    return float(average_precision_score(is_anomaly, -estimator.score_samples(X)))


def f1(estimator, X, y):
    """Scorer: F1 of ``predict`` with anomalies as the positive class.

    Parameters
    ----------
    estimator : fitted outlier detector
        With ``predict``, -1 for an anomaly.
    X : array-like of shape (n_samples, n_features)
        Rows as in ``fit``.
    y : array-like of shape (n_samples,)
        Labels as in `anomaly_labels`; or those of few rows, -1 for known anomalies and 0 or +1 for
        all others.

    Returns
    -------
    f1 : float
        In [0, 1], higher is better; 0 where no anomaly was found; nan, with a warning, where ``y``
        holds one class.

    Raises
    ------
    ValueError
        If ``y`` holds no such labels.

    See Also
    --------
    skvae.thresholds.F1 : Finds the threshold of the largest F1.
    sklearn.metrics.f1_score : Of labels and predictions.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VAEDetector, metrics
    >>> search = GridSearchCV(VAEDetector(), {"percentile": [90, 95]}, scoring=metrics.f1)
    """
    is_anomaly = two_class_labels(y, "f1")
    if is_anomaly is None:
        return float("nan")
    return float(f1_score(is_anomaly, estimator.predict(X) == -1, zero_division=0.0))
