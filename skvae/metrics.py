"""What the labels mean, and scorers for GridSearchCV that are right for either labelling.

scikit-learn's own ``scoring="roc_auc"`` takes the larger label for the positive class. That is
right for labels in {+1, -1}, where +1 is normal as ``decision_function`` is; with labels in
{0, 1}, 1 = anomaly, it is **silently inverted**: the best detector comes out worst. The scorers
here read the labels with `anomaly_labels` and are right for both.

`held_out_likelihood`, `pool_auc` and `stability` need no labels. ``skvae study selection`` measures
how much of what labels would choose each of them finds.
"""

import warnings
from functools import partial

import numpy as np
from scipy.stats import rankdata
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import column_or_1d

__all__ = [
    "anomaly_labels",
    "average_precision",
    "f1",
    "held_out_likelihood",
    "pool_auc",
    "roc_auc",
    "stability",
]


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


def two_class_labels(y, what):
    """Labels for a metric of two classes, or None, with a warning, where ``y`` holds one value.

    One value leaves such a metric undefined in either convention, so none needs to be told.
    """
    values = np.unique(column_or_1d(y))
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
    y : array-like of shape (n_samples,)
        Labels as in `anomaly_labels`.

    Returns
    -------
    auc : float
        In [0, 1], higher is better; nan, with a warning, where ``y`` holds one class.

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

    Parameters and returns as in `roc_auc`; a random score gets the share of anomalies.

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

    Parameters as in `roc_auc`.

    Returns
    -------
    f1 : float
        In [0, 1]; 0 where no anomaly was found; nan, with a warning, where ``y`` holds one class.

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


def held_out_likelihood(estimator, X, y=None):
    """Scorer without labels: mean log-likelihood of held-out rows.

    Of the rows the share ``contamination`` that is least likely is left out: a few anomalies would
    decide the mean.

    Parameters
    ----------
    estimator : fitted detector, or Pipeline that ends in one
        With ``log_likelihood``.
    X : array-like of shape (n_samples, n_features)
    y : ignored

    Returns
    -------
    score : float
        In nats of the scaled rows, higher is better. Comparable among detectors of one scaler and
        one likelihood, other than "mse", which is none.

    Examples
    --------
    >>> from skvae import VAEDetector, metrics
    >>> from skvae.model_selection import StackedGridSearchCV
    >>> grid = {"beta": [0.1, 1], "latent_dim": [2, 5]}
    >>> search = StackedGridSearchCV(VAEDetector(), grid, scoring=metrics.held_out_likelihood)
    """
    estimator, X = _last_step(estimator, X)
    likelihood = np.sort(estimator.log_likelihood(X))
    return float(likelihood[int(estimator.contamination * len(likelihood)) :].mean())


def pool_auc(pool):
    """Make a scorer without labels: AUC of telling an unlabelled pool from held-out rows.

    Where the training rows are clean and the pool holds anomalies, a better detector tells more of
    the pool from the held-out rows. Anything else in which the two differ counts as well, such as a
    drift between them; and a pool without anomalies says nothing.

    Parameters
    ----------
    pool : array-like of shape (n_pool, n_features)
        Rows without labels, some of them anomalies.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y=None)``: the area under the ROC curve of the anomaly score for the
        pool (positive) against the held-out rows ``X``; with labels ``y``, the normal ones of them.

    References
    ----------
    AUCp in Cai et al. (2025), MedIAnomaly: a comparative study of anomaly detection in medical
    images, Medical Image Analysis.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skvae import VAEDetector, metrics
    >>> pool = np.random.RandomState(0).randn(50, 4)
    >>> search = GridSearchCV(VAEDetector(), {"beta": [0.1, 1]}, scoring=metrics.pool_auc(pool))
    """
    return partial(_pool_auc, pool=pool)


def _pool_auc(estimator, X, y=None, *, pool):
    scores = estimator.score_samples(X)
    if y is not None:
        scores = scores[~anomaly_labels(y)]
    in_pool = -estimator.score_samples(pool)
    labels = np.r_[np.zeros(len(scores)), np.ones(len(in_pool))]
    return float(roc_auc_score(labels, np.r_[-scores, in_pool]))


def stability(estimator, X, y=None):
    """Scorer without labels: how well the members of an ensemble agree on the ranking.

    Parameters
    ----------
    estimator : fitted detector with ``n_estimators >= 2``, or Pipeline that ends in one
        With ``member_scores``.
    X : array-like of shape (n_samples, n_features)
    y : ignored

    Returns
    -------
    score : float
        Mean rank correlation (Spearman) over pairs of members, in [-1, 1], higher is better.

    Raises
    ------
    ValueError
        If the detector has one network.

    Examples
    --------
    >>> from skvae import VAEDetector, metrics
    >>> from skvae.model_selection import StackedGridSearchCV
    >>> detector = VAEDetector(n_estimators=3)
    >>> search = StackedGridSearchCV(detector, {"beta": [0.1, 1]}, scoring=metrics.stability)
    """
    estimator, X = _last_step(estimator, X)
    ranks = rankdata(estimator.member_scores(X), axis=0)
    if ranks.shape[1] < 2:
        raise ValueError("stability compares networks: fit with n_estimators of at least 2.")
    correlation = np.corrcoef(ranks, rowvar=False)
    return float(correlation[np.triu_indices(len(correlation), 1)].mean())


def _last_step(estimator, X):
    """The detector at the end of a pipeline, and the rows as it sees them."""
    if isinstance(estimator, Pipeline):
        return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
    return estimator, X
