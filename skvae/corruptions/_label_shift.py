"""Label shift: another mixture of the same images."""

import numpy as np
from sklearn.utils import check_consistent_length, check_random_state

from skvae.corruptions._images import check_number


def label_shift(X, y, labels, n_samples=None, *, random_state=None):
    """Draw rows of some labels alone: the images stay, their mixture changes.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Images or any other rows.
    y : array-like of shape (n,)
        Their labels.
    labels : array-like
        The labels that are drawn from, such as ``[0, 1, 2, 3, 4]``.
    n_samples : int or None, default=None
        Number of rows, drawn without replacement; None: all that there are.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    X_shifted : ndarray of shape (n_samples, ...)
        The rows, in random order.
    y_shifted : ndarray of shape (n_samples,)
        Their labels.

    Raises
    ------
    ValueError
        If ``y`` lacks one of the labels, or holds fewer rows of them than ``n_samples``.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.corruptions import label_shift
    >>> X, y = np.zeros((6, 2, 2)), np.array([0, 1, 2, 0, 1, 2])
    >>> images, digits = label_shift(X, y, [0, 1], n_samples=3, random_state=0)
    >>> images.shape, set(digits.tolist()) <= {0, 1}
    ((3, 2, 2), True)
    """
    X, y = np.asarray(X), np.asarray(y)
    check_consistent_length(X, y)
    labels = np.unique(labels)
    missing = np.setdiff1d(labels, y)
    if len(missing):
        raise ValueError(f"labels must stand in y; not found: {missing.tolist()}.")
    drawn = check_random_state(random_state).permutation(np.flatnonzero(np.isin(y, labels)))
    if n_samples is not None:
        check_number("n_samples", n_samples, 1, len(drawn), whole=True)
        drawn = drawn[:n_samples]
    return X[drawn], y[drawn]
