"""Gaussian blobs with a few anomalies: the textbook data of the tabular VAE."""

import numbers

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.utils import check_random_state

READINGS = "ABCDEFG"


def make_blobs_with_anomalies(
    n_samples=5000,
    n_features=20,
    anomaly_fraction=0.03,
    centers=3,
    shift=4.0,
    reading="A",
    random_state=None,
):
    """Draw Gaussian blobs as normal rows and a shifted group as anomalies.

    The normal rows come from :func:`sklearn.datasets.make_blobs` (standard
    deviation 1, centres uniform in [-10, 10]). "One Gaussian cluster whose mean
    is shifted by +4.0" can be read in several ways, which differ a lot in
    difficulty, so the reading is a parameter. Write N(m, s) for a Gaussian with
    mean m and standard deviation s in every feature, and *mean* and *std* for the
    mean and the standard deviation of each feature over the normal rows:

    - ``"A"``: N(shift, 1), a cluster at an absolute place;
    - ``"B"``: N(mean + shift, 1), a cluster beside the centre of the data;
    - ``"C"``: N(mean + shift, std), as wide as the data themselves;
    - ``"D"``: N(mean + shift * std, 1), a shift in units of standard deviations;
    - ``"E"``: a fresh normal row, moved by ``shift`` in every feature;
    - ``"F"``: a fresh normal row, moved by a vector of random direction and
      length ``shift``;
    - ``"G"``: a fresh normal row, moved by ``shift`` in one feature, drawn at
      random for each row.

    F and G are hard: the shift is hardly longer than the noise of a normal row.

    Parameters
    ----------
    n_samples : int, default=5000
        Number of rows, anomalies included.
    n_features : int, default=20
        Number of columns.
    anomaly_fraction : float, default=0.03
        Share of anomalies, from 0 to below 1; their number is rounded.
    centers : int or array-like of shape (n_centers, n_features), default=3
        Number of blobs, or their centres.
    shift : float, default=4.0
        The size of the shift, in the units of the features (D: of their
        standard deviations).
    reading : {"A", "B", "C", "D", "E", "F", "G"}, default="A"
        How "shifted by +4.0" is read; see above.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        The rows, in random order, unscaled.
    y : ndarray of shape (n_samples,)
        1 = anomaly, 0 = normal.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or no normal row would be left.

    See Also
    --------
    skvae.studies.blobs : Compares detectors on them.

    Examples
    --------
    >>> from skvae.datasets import make_blobs_with_anomalies
    >>> X, y = make_blobs_with_anomalies(n_samples=200, anomaly_fraction=0.05, random_state=0)
    >>> X.shape, int(y.sum())
    ((200, 20), 10)
    >>> bool(abs(X[y == 1].mean() - 4.0) < 0.3)
    True
    """
    n_anomalies = _count_anomalies(n_samples, anomaly_fraction, reading)
    rng = check_random_state(random_state)
    X, _ = make_blobs(n_samples, n_features, centers=centers, random_state=rng)
    n_normal = n_samples - n_anomalies
    # The rows past n_normal are fresh draws of the normal kind: E, F and G shift them.
    X[n_normal:] = _anomalies(X[:n_normal], X[n_normal:], shift, reading, rng)
    y = np.repeat([0, 1], [n_normal, n_anomalies])
    order = rng.permutation(n_samples)
    return X[order], y[order]


def _count_anomalies(n_samples, anomaly_fraction, reading):
    if reading not in tuple(READINGS):
        raise ValueError(f"reading must be one of {', '.join(READINGS)}; found {reading!r}.")
    if not isinstance(n_samples, numbers.Integral) or n_samples < 1:
        raise ValueError(f"n_samples must be a positive whole number; found {n_samples!r}.")
    if not 0 <= anomaly_fraction < 1:
        raise ValueError(f"anomaly_fraction must be in [0, 1); found {anomaly_fraction!r}.")
    n_anomalies = round(n_samples * anomaly_fraction)
    if n_anomalies == n_samples:
        raise ValueError(
            f"n_samples={n_samples} with anomaly_fraction={anomaly_fraction} leaves no normal row."
        )
    return n_anomalies


def _anomalies(normal, fresh, shift, reading, rng):
    mean, std = normal.mean(axis=0), normal.std(axis=0)
    noise = rng.standard_normal(fresh.shape)
    if reading == "A":
        return shift + noise
    if reading == "B":
        return mean + shift + noise
    if reading == "C":
        return mean + shift + std * noise
    if reading == "D":
        return mean + shift * std + noise
    if reading == "E":
        return fresh + shift
    if reading == "F":
        return fresh + shift * noise / np.linalg.norm(noise, axis=1, keepdims=True)
    moved = fresh.copy()
    moved[np.arange(len(moved)), rng.randint(fresh.shape[1], size=len(moved))] += shift
    return moved
