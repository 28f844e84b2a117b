"""Time series, normal and with nine kinds of anomaly, and where the anomaly is."""

import numbers
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

NORMAL = "normal"
MIXTURE = "mixture"
# All times below, in points, are those of series of this length.
REFERENCE_LENGTH = 200
MIN_LENGTH = 50


def make_time_series(n_samples=100, kind=MIXTURE, *, length=200, random_state=None):
    """Draw seasonal time series, normal or with one of nine kinds of anomaly.

    A normal series is ``A (sin p(t) + h sin 2 p(t)) + e(t)`` with a phase ``p`` that advances by
    one turn a period, and autoregressive noise ``e`` of order 1. Drawn for each series: the period
    from 16 to 40 points, the first phase, the amplitude A from 0.7 to 1.3, h from 0 to 0.4, the
    standard deviation of the noise from 0.12 A to 0.35 A, and its correlation from one point to the
    next from 0 to 0.7. Points are counted for 200 of them; longer series are stretched.

    An anomaly is put into such a series; *sd* is the standard deviation of that series:

    - ``"spike"``: 1 to 3 points at 3.2 to 5 sd above or below the mean;
    - ``"context"``: 1 to 3 points moved from one end of the range to the other, within it;
    - ``"flat"``: the value is held for 15 to 40 points;
    - ``"level"``: 30 to 90 points are shifted by 1.2 to 2.5 sd, up or down;
    - ``"variance"``: the noise is 2.5 to 4 times as strong for 30 to 70 points;
    - ``"trend"``: a ramp from a point between 60 and 140 to the end, where it is at 1.5 to 3 sd, up
      or down;
    - ``"frequency"``: the season is 2 to 3 times as fast, or as slow, for 40 to 80 points;
    - ``"noseason"``: the amplitude is at most 0.1 of what it was for 30 to 70 points;
    - ``"shapelet"``: the season is a square wave for 40 to 80 points.

    In the taxonomy of Lai et al. the first two are point outliers, global and contextual, and
    trend, frequency (there *seasonal*) and shapelet are the pattern outliers. The others are
    additions; *noseason* is a second seasonal one.

    Parameters
    ----------
    n_samples : int, default=100
        Number of series.
    kind : str or sequence of str, default="mixture"
        "normal" or a name above; or several names, which are drawn equally often, as nearly as
        ``n_samples`` allows. "mixture" is all ten of ``TIME_SERIES_KINDS``.
    length : int, default=200
        Number of points, at least 50.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.

    Returns
    -------
    X : ndarray of float64 of shape (n_samples, length)
        The series, in random order.
    kinds : ndarray of str of shape (n_samples,)
        The kind of each; ``kinds != "normal"`` are labels as detectors take them.
    masks : ndarray of bool of shape (n_samples, length)
        True for the anomalous points; an interval, but for "spike" and "context".

    Raises
    ------
    ValueError
        If a kind is unknown or another parameter out of its range.

    See Also
    --------
    render_plots : Images of their line plots.

    References
    ----------
    Lai, Zha, Xu, Zhao, Wang, Hu (2021), Revisiting time series outlier detection: definitions and
    benchmarks, NeurIPS Datasets and Benchmarks.

    Examples
    --------
    Plots of all ten kinds, 1,781 to train on and 992 to test; ``render_plots(X, 224)`` takes a
    second for the larger ones that are usual:

    >>> from skvae.datasets import make_time_series, render_plots
    >>> X, kinds, masks = make_time_series(1781 + 992, random_state=0)
    >>> X_train, X_test = render_plots(X[:1781], 64), render_plots(X[1781:], 64)
    >>> X_train.shape, X_test.shape
    ((1781, 64, 64), (992, 64, 64))
    >>> int((kinds == "flat").sum()), bool(masks[kinds == "normal"].any())
    (277, False)
    """
    names = _checked_kinds(kind)
    _check_whole("n_samples", n_samples, 1)
    _check_whole("length", length, MIN_LENGTH)
    rng = check_random_state(random_state)
    kinds = np.array(names)[rng.permutation(np.arange(n_samples) % len(names))]
    X, masks = np.empty((n_samples, length)), np.zeros((n_samples, length), dtype=bool)
    for name in names:
        rows = np.flatnonzero(kinds == name)
        X[rows], masks[rows] = ANOMALIES[name](_Process.draw(len(rows), length, rng), rng)
    return X, kinds, masks


def _checked_kinds(kind):
    if isinstance(kind, str):
        names = TIME_SERIES_KINDS if kind == MIXTURE else (kind,)
    else:
        names = tuple(kind)
    for name in names:
        if name not in ANOMALIES:
            raise ValueError(
                f"kind must be {MIXTURE!r} or among {', '.join(TIME_SERIES_KINDS)}; found {name!r}."
            )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"kind must name kinds, each once; found {kind!r}.")
    return names


def _check_whole(name, value, least):
    if not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; found {value!r}.")


class _Process(NamedTuple):
    """Parameters of normal series, columns of shape (n, 1), and their noise, (n, length)."""

    speed: np.ndarray
    first_phase: np.ndarray
    amplitude: np.ndarray
    harmonic: np.ndarray
    noise: np.ndarray

    @classmethod
    def draw(cls, n, length, rng):
        def uniform(low, high):
            return rng.uniform(low, high, (n, 1))

        speed = 2 * np.pi / (uniform(16, 40) * length / REFERENCE_LENGTH)
        amplitude = uniform(0.7, 1.3)
        first_phase, harmonic = uniform(0, 2 * np.pi), uniform(0, 0.4)
        sd, correlation = amplitude * uniform(0.12, 0.35), uniform(0, 0.7)
        noise = rng.standard_normal((n, length))
        # Weighted so that every point has the standard deviation 1.
        fresh = np.sqrt(1 - correlation**2)
        for t in range(1, length):
            noise[:, [t]] = correlation * noise[:, [t - 1]] + fresh * noise[:, [t]]
        return cls(speed, first_phase, amplitude, harmonic, sd * noise)

    @property
    def length(self):
        return self.noise.shape[1]

    def season(self, speed_factor=1.0):
        """The season of amplitude 1, where ``speed_factor``, (n, length), makes it faster."""
        phase = self.first_phase + np.cumsum(
            self.speed * speed_factor * np.ones_like(self.noise), 1
        )
        return np.sin(phase) + self.harmonic * np.sin(2 * phase)

    def series(self):
        return self.amplitude * self.season() + self.noise

    def interval(self, shortest, longest, rng):
        """Mask of an interval of so many points anywhere in each series."""
        scale = self.length / REFERENCE_LENGTH
        n = len(self.noise)
        n_points = np.rint(rng.randint(shortest, longest + 1, (n, 1)) * scale)
        start = np.floor(rng.uniform(0, 1, (n, 1)) * (self.length - n_points + 1))
        t = np.arange(self.length)
        return (t >= start) & (t < start + n_points)

    def points(self, rng):
        """Mask of one to three points anywhere in each series."""
        n = len(self.noise)
        rank = rng.uniform(size=self.noise.shape).argsort(1).argsort(1)
        return rank < rng.randint(1, 4, (n, 1))


def _signs(n, rng):
    return rng.choice([-1.0, 1.0], (n, 1))


def _normal(process, rng):
    return process.series(), np.zeros(process.noise.shape, dtype=bool)


def _spike(process, rng):
    X, mask = process.series(), process.points(rng)
    height = rng.uniform(3.2, 5, X.shape) * rng.choice([-1.0, 1.0], X.shape)
    return np.where(mask, X.mean(1, keepdims=True) + height * X.std(1, keepdims=True), X), mask


def _context(process, rng):
    X, mask = process.series(), process.points(rng)
    low, high = X.min(1, keepdims=True), X.max(1, keepdims=True)
    inwards = rng.uniform(0, 0.15, X.shape) * (high - low)
    other_end = np.where(X > (low + high) / 2, low + inwards, high - inwards)
    return np.where(mask, other_end, X), mask


def _flat(process, rng):
    X, mask = process.series(), process.interval(15, 40, rng)
    held = np.take_along_axis(X, mask.argmax(1)[:, None], 1)
    return np.where(mask, held, X), mask


def _level(process, rng):
    X, mask = process.series(), process.interval(30, 90, rng)
    shift = rng.uniform(1.2, 2.5, (len(X), 1)) * _signs(len(X), rng) * X.std(1, keepdims=True)
    return np.where(mask, X + shift, X), mask


def _variance(process, rng):
    mask = process.interval(30, 70, rng)
    factor = rng.uniform(2.5, 4, (len(mask), 1))
    noise = np.where(mask, factor * process.noise, process.noise)
    return process._replace(noise=noise).series(), mask


def _trend(process, rng):
    X = process.series()
    n, length = X.shape
    start = rng.randint(60, 141, (n, 1)) * length / REFERENCE_LENGTH
    height = rng.uniform(1.5, 3, (n, 1)) * _signs(n, rng) * X.std(1, keepdims=True)
    done = np.clip((np.arange(length) - start) / (length - 1 - start), 0, None)
    return X + height * done, done > 0


def _frequency(process, rng):
    mask = process.interval(40, 80, rng)
    n = len(mask)
    faster, slower = rng.uniform(2, 3, (n, 1)), rng.uniform(0.3, 0.5, (n, 1))
    factor = np.where(rng.uniform(size=(n, 1)) < 0.5, faster, slower)
    season = process.season(np.where(mask, factor, 1.0))
    return process.amplitude * season + process.noise, mask


def _noseason(process, rng):
    mask = process.interval(30, 70, rng)
    share = np.where(mask, rng.uniform(0, 0.1, (len(mask), 1)), 1.0)
    return process.amplitude * share * process.season() + process.noise, mask


def _shapelet(process, rng):
    mask, season = process.interval(40, 80, rng), process.season()
    season = np.where(mask, np.sign(season), season)
    return process.amplitude * season + process.noise, mask


ANOMALIES = {
    NORMAL: _normal,
    "spike": _spike,
    "context": _context,
    "flat": _flat,
    "level": _level,
    "variance": _variance,
    "trend": _trend,
    "frequency": _frequency,
    "noseason": _noseason,
    "shapelet": _shapelet,
}
TIME_SERIES_KINDS = tuple(ANOMALIES)
