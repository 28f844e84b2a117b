"""Scorers for a search without labels."""

from functools import partial

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from skvae.metrics._labels import anomaly_labels

# Of held-out rows the least likely ones are left out: a few anomalies would decide the mean. The
# share is one for all, so that candidates of different contamination can be compared.
LEFT_OUT = 0.1


def held_out_likelihood(estimator, X, y=None):
    """Scorer without labels: mean log-likelihood of held-out rows, less the least likely tenth.

    Parameters
    ----------
    estimator : fitted detector, or Pipeline that ends in one
        With ``log_likelihood``.
    X : array-like of shape (n_samples, n_features)
        Held-out rows.
    y : object, default=None
        Ignored.

    Returns
    -------
    score : float
        In nats of the scaled rows, higher is better. Comparable among detectors of one scaler and
        one likelihood, other than "mse", which is none; and of one ``score``, which it knows
        nothing of.

    Raises
    ------
    AttributeError
        If the detector has no ``log_likelihood``.

    See Also
    --------
    pool_auc : Asks for a pool of unlabelled rows.
    stability : Asks for an ensemble.

    Notes
    -----
    ``skvae study selection`` measures how much of what labels would choose each of the three finds.

    Examples
    --------
    >>> from skvae import VAEDetector, metrics
    >>> from skvae.model_selection import StackedGridSearchCV
    >>> grid = {"beta": [0.1, 1], "latent_dim": [2, 5]}
    >>> search = StackedGridSearchCV(VAEDetector(), grid, scoring=metrics.held_out_likelihood)
    """
    estimator, X = _last_step(estimator, X)
    likelihood = np.sort(estimator.log_likelihood(X))
    return float(likelihood[int(LEFT_OUT * len(likelihood)) :].mean())


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
        In [0, 1], higher is better.

    See Also
    --------
    held_out_likelihood : Asks for nothing.

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
    if y is not None and len(np.unique(y)) > 1:  # labels of one class tell nothing apart
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
        Held-out rows.
    y : object, default=None
        Ignored.

    Returns
    -------
    score : float
        Mean rank correlation (Spearman) over pairs of members, in [-1, 1], higher is better.

    Raises
    ------
    ValueError
        If the detector has one network, or ``X`` one row.

    See Also
    --------
    held_out_likelihood : Asks for no ensemble.

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
    if len(ranks) < 2:
        raise ValueError(f"stability ranks rows: it needs at least 2, found {len(ranks)}.")
    correlation = np.corrcoef(ranks, rowvar=False)
    return float(correlation[np.triu_indices(len(correlation), 1)].mean())


def _last_step(estimator, X):
    """The detector at the end of a pipeline, and the rows as it sees them."""
    if isinstance(estimator, Pipeline):
        return estimator[-1], estimator[:-1].transform(X) if len(estimator) > 1 else X
    return estimator, X
