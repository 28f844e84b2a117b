"""DriftMonitor: the estimator, and the joint p-value of its tests."""

import math
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, _fit_context, clone
from sklearn.utils import _safe_indexing, check_array, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import _num_samples, check_is_fitted, column_or_1d

from skvae.detectors import SlidingWindowDetector
from skvae.drift._reference import Reference, in_bandwidths, median_bandwidth
from skvae.drift._result import DriftResult

MIN_REFERENCE_ROWS = 20
# Calibrations of so many batch sizes are kept, each a few times the size of the latents.
CACHED_SIZES = 16


class DriftMonitor(BaseEstimator):
    """Test whether a batch is still from where the reference was.

    Three two-sample tests on what a fitted detector makes of the rows: a kernel MMD over all the
    latents, the largest Kolmogorov-Smirnov (KS) statistic of a single latent, and the KS statistic
    of the scores. Together they raise a false alarm with probability ``alpha``. Another mixture of
    the classes shows in the latents, another look of the rows (noise, rotation) mostly in the
    scores.

    Parameters
    ----------
    detector : fitted estimator
        With ``score_samples(X)`` and ``transform(X)``; one without ``transform``, such as
        scikit-learn's IsolationForest, is monitored by its scores alone. It is never fitted here,
        and a clone of the monitor holds the same detector.
    alpha : float, default=0.05
        False-alarm rate of all the tests together, in (0, 1).
    n_resamples : int, default=5000
        Batches drawn from the reference to calibrate one batch size. Their number alone moves the
        realised rate by a standard deviation of ``sqrt(alpha * (1 - alpha) / n_resamples)``.
    max_reference_rows : int, default=10000
        Of a larger reference, so many rows are drawn at random.
    max_batch_rows : int, default=1000
        Of a larger batch, so many rows are drawn at random; and never more than half as many as
        the reference has, which does not know its own distribution better.
    random_state : int, RandomState instance or None, default=None
        Of the draws. With an int the same batch gets the same result, in any order of rows and
        of calls.

    Attributes
    ----------
    latents_ : ndarray of shape (n_reference, n_latents) or None
        Latents of the reference; None for a detector without ``transform``.
    scores_ : ndarray of shape (n_reference,)
        Scores of the reference, higher = more normal.
    bandwidth_ : float or None
        Of the kernel ``exp(-||a - b||**2 / (2 * bandwidth_**2))``: the square root of half the
        median squared distance of two reference latents.

    See Also
    --------
    skvae.plotting.DriftDisplay : Picture of a test.

    Notes
    -----
    **The reference must be rows that the detector was not trained on.** Scores of training rows
    are too good, and every new batch seems to drift from them.

    *Calibration.* For each batch size n that is met, ``n_resamples`` batches of n rows are drawn
    from the m reference rows without replacement, each compared with the m - n rows that it
    leaves; this is done once, with a generator of its own seed, and kept. A new batch is compared
    with m - n reference rows as well, so its statistics are distributed as theirs are. The p-value
    of each test is its rank among the resampled batches, and the joint one the rank of the
    smallest p-value among theirs (Westfall and Young's single-step minP), which assumes nothing
    on how the tests depend on each other. The rate is alpha over references and batches, but for
    one thing: resampled batches share rows with each other and a new batch does not, which a
    permutation for every batch would mend at thousands of times the cost. Over many batches
    against one reference the rate varies with the reference that was drawn: have ten times as
    many rows in it as in a batch, or more.

    *Time.* A calibration computes ``n_resamples * n**2`` kernel values, which at the defaults is
    a second for 100 rows and about ten for 1,000, and `fit` the square of the reference rows.
    After that a test takes little more than the detector's own time.

    *Several batches.* Alpha holds for one batch; of 100 like the reference, about 100 * alpha are
    flagged.

    References
    ----------
    Gretton, Borgwardt, Rasch, Schoelkopf, Smola (2012), A kernel two-sample test, JMLR 13, 723-773
    (the biased estimate).

    Garreau, Jitkrittum, Kanagawa (2017), Large sample analysis of the median heuristic,
    arXiv:1707.07269 (the bandwidth).

    Westfall, Young (1993), Resampling-based multiple testing, Wiley.

    Rabanser, Guennemann, Lipton (2019), Failing loudly: an empirical study of methods for
    detecting dataset shift, NeurIPS, arXiv:1810.11953.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEDetector
    >>> from skvae.drift import DriftMonitor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1500, 5))
    >>> detector = VAEDetector(latent_dim=2, max_steps=100, random_state=0).fit(X[:500])
    >>> monitor = DriftMonitor(detector, n_resamples=500, random_state=0).fit(X[500:])
    >>> monitor.test(rng.normal(size=(50, 5))).drifted
    False
    >>> result = monitor.test(rng.normal(size=(50, 5)) + 1)
    >>> result.drifted
    True
    >>> result.to_frame().index.tolist()
    ['latent_mmd', 'latent_ks', 'score_ks', 'latent0', 'latent1']
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods("score_samples")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "n_resamples": [Interval(Integral, 1, None, closed="left")],
        "max_reference_rows": [Interval(Integral, MIN_REFERENCE_ROWS, None, closed="left")],
        "max_batch_rows": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        detector,
        *,
        alpha=0.05,
        n_resamples=5000,
        max_reference_rows=10_000,
        max_batch_rows=1000,
        random_state=None,
    ):
        self.detector = detector
        self.alpha = alpha
        self.n_resamples = n_resamples
        self.max_reference_rows = max_reference_rows
        self.max_batch_rows = max_batch_rows
        self.random_state = random_state

    def __sklearn_clone__(self):
        # A cloned detector would be an unfitted one, and the monitor never fits it.
        params = self.get_params(deep=False)
        detector = params.pop("detector")
        return type(self)(detector, **{k: clone(v, safe=False) for k, v in params.items()})

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Take the reference.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            At least 20 rows, as the detector takes them, that it was not trained on.
        y : None
            Ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there are too few rows or resamples, or latents or scores are not finite.
        """
        # Two other tests may each rank one resampled batch before the drifted one.
        if self.alpha * (self.n_resamples + 1) < 3:
            raise ValueError(
                f"alpha={self.alpha:g} needs at least n_resamples={math.ceil(3 / self.alpha) - 1}, "
                f"got {self.n_resamples}: with fewer, nothing is sure to be flagged."
            )
        if isinstance(self.detector, SlidingWindowDetector):
            raise TypeError(
                "DriftMonitor compares rows that are independent of each other, and a "
                "SlidingWindowDetector scores points of a series: use its detector_ on windows."
            )
        n_rows = _num_samples(X)
        if n_rows < MIN_REFERENCE_ROWS:
            raise ValueError(
                f"The reference needs at least {MIN_REFERENCE_ROWS} rows, found {n_rows}."
            )
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        if n_rows > self.max_reference_rows:
            chosen = np.random.default_rng([seed, 0]).permutation(n_rows)[: self.max_reference_rows]
            X = _safe_indexing(X, chosen)
        latents, scores = _latents_and_scores(self.detector, X)
        self.latents_, self.scores_ = latents, scores
        self.bandwidth_ = self._center = None
        if latents is not None:
            self.bandwidth_ = median_bandwidth(latents, np.random.default_rng([seed, 1]))
            self._center = latents.mean(axis=0)
        self._reference = Reference(*self._columns_and_points(latents, scores))
        self._seed = seed
        self._calibrations = {}
        return self

    def test(self, X):
        """Compare a batch with the reference.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            At least one row, as the detector takes them. The first batch of each size takes the
            time of a calibration.

        Returns
        -------
        result : DriftResult
            ``drifted``, ``p_value``, the statistics and p-values of each test, ``moved_latents``
            and ``to_frame()``.

        Raises
        ------
        ValueError
            If the detector refuses the rows, or its latents or scores are not finite.
        NotFittedError
            If the monitor is not fitted.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.decomposition import PCA
        >>> from skvae.drift import DriftMonitor
        >>> X = np.random.default_rng(0).normal(size=(1000, 4))
        >>> monitor = DriftMonitor(PCA(2).fit(X[:200]), n_resamples=200, random_state=0)
        >>> result = monitor.fit(X[200:]).test(2 * X[:100])
        >>> result.drifted, sorted(result.statistics)
        (True, ['latent_ks', 'latent_mmd', 'score_ks'])
        """
        check_is_fitted(self)
        if _num_samples(X) == 0:
            raise ValueError("The batch holds no rows.")
        latents, scores = _latents_and_scores(self.detector, X)
        n_latents = self._check_latents(latents)
        columns, points = self._columns_and_points(*self._rows_to_compare(latents, scores))
        n = columns.shape[1]
        others, null = self._calibration(n)
        values = others.statistics(columns, points)
        of_tests = others.of_tests(values)
        p_values, adjusted, latent_p_values = _joint_p_values(null, of_tests, values[:n_latents])
        statistics = {name: float(value) for name, value in of_tests.items()}
        if n_latents:
            statistics["latent_mmd"] = math.sqrt(statistics["latent_mmd"])
        p_value = min(adjusted.values())
        return DriftResult(
            drifted=p_value <= self.alpha,
            p_value=p_value,
            alpha=self.alpha,
            n_samples=len(scores),
            n_used=n,
            statistics=statistics,
            p_values=p_values,
            adjusted_p_values=adjusted,
            latent_statistics=values[:n_latents],
            latent_p_values=latent_p_values,
            moved_latents=np.flatnonzero(latent_p_values <= self.alpha),
        )

    def _check_latents(self, latents):
        found, expected = (0 if Z is None else Z.shape[1] for Z in (latents, self.latents_))
        if found != expected:
            raise ValueError(
                f"The detector gives {found} latents, but gave {expected} for the reference: fit "
                "the monitor again after the detector."
            )
        return found

    def _rows_to_compare(self, latents, scores):
        """At most ``max_batch_rows``, in an order that does not depend on the batch's."""
        n, limit = len(scores), min(self.max_batch_rows, self._reference.n_rows // 2)
        rows = np.lexsort(_columns(latents, scores))
        if n > limit:
            chosen = np.random.default_rng([self._seed, 2, n]).choice(n, limit, replace=False)
            rows = rows[np.sort(chosen)]
        return None if latents is None else latents[rows], scores[rows]

    def _columns_and_points(self, latents, scores):
        points = None if latents is None else in_bandwidths(latents, self._center, self.bandwidth_)
        return _columns(latents, scores), points

    def _calibration(self, n):
        """The rows that batches of ``n`` are compared with, and the tests' null distributions."""
        if n not in self._calibrations:
            if len(self._calibrations) == CACHED_SIZES:
                del self._calibrations[next(iter(self._calibrations))]
            # A generator of its own for each size: the order in which sizes are met does not count.
            rng = np.random.default_rng([self._seed, 3, n])
            # As many rows as a resampled batch leaves, so that both are compared with as many.
            others = self._reference.take(rng.permutation(self._reference.n_rows)[n:])
            resampled = self._reference.resampled(n, self.n_resamples, rng)
            self._calibrations[n] = others, self._reference.of_tests(resampled)
        return self._calibrations[n]


def _joint_p_values(null, observed, latents):
    """p-values of each test alone, of each jointly with all, and of each latent jointly.

    The joint ones are single-step minP: the rank of a p-value among the smallest p-values of the
    resampled batches, all of them ranked with the observed batch among them.
    """
    n_ranked = 1 + len(next(iter(null.values())))
    smallest = np.full(n_ranked - 1, n_ranked)
    alone = {}
    for name, values in null.items():
        ordered = np.sort(values)
        alone[name] = 1 + _n_at_least(ordered, observed[name])
        counts = _n_at_least(ordered, values) + (observed[name] >= values)
        smallest = np.minimum(smallest, counts)
        if name == "latent_ks":
            latents = 1 + _n_at_least(ordered, latents)
    smallest.sort()

    def jointly(counts):
        return (1 + np.searchsorted(smallest, counts, "right")) / n_ranked

    p_values = {name: float(count / n_ranked) for name, count in alone.items()}
    adjusted = {name: float(jointly(count)) for name, count in alone.items()}
    return p_values, adjusted, jointly(latents)


def _n_at_least(ordered, values):
    return len(ordered) - np.searchsorted(ordered, values, "left")


def _latents_and_scores(detector, X):
    """Latents, or None, and scores of rows, as float64."""
    scores = column_or_1d(detector.score_samples(X)).astype(np.float64)
    _check_finite(scores, "score_samples")
    if not hasattr(detector, "transform"):
        return None, scores
    latents = check_array(
        detector.transform(X),
        dtype=np.float64,
        ensure_all_finite=False,
        input_name=f"{type(detector).__name__}.transform(X)",
    )
    _check_finite(latents, "transform")
    return latents, scores


def _check_finite(values, method):
    n_bad = values.size - np.count_nonzero(np.isfinite(values))
    if n_bad:
        raise ValueError(
            f"{n_bad} of {values.size} values that the detector's {method} gives are NaN or "
            "infinite."
        )


def _columns(latents, scores):
    """One row a latent, and the scores as the last."""
    return scores[None] if latents is None else np.vstack([latents.T, scores])
