"""Fusion: detectors of parts of the input, whose scores are brought to one scale and added."""

import math
from numbers import Integral
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import Bunch, check_random_state, get_tags
from sklearn.utils._indexing import _get_column_indices, _safe_indexing
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
)

from skvae.base._decisions import THRESHOLD_CONSTRAINTS, DecisionMixin
from skvae.base._input import unchanged_if_it_fails, validated_table

# The largest tenth of the calibration scores says how fast the tail of a part falls.
TAIL = 0.1
# In units of the scores; a scale below it would make anything else infinite.
LEAST_SCALE = 1e-100


class FusionDetector(DecisionMixin, MetaEstimatorMixin, OutlierMixin, _BaseComposition):
    """Detectors of parts of the input, image columns and table columns for example, as one.

    Each detector is fitted on its own columns. The score of a part is turned into a tail
    probability, how rare so high a score is among calibration rows, and the score of a row is the
    sum of their negative logarithms. So parts of any units count alike, and one part that is very
    anomalous suffices, because its logarithm has no bound.

    Parameters
    ----------
    detectors : list of (name, detector, columns) tuples
        As the transformers of `sklearn.compose.ColumnTransformer`:

        - name : str, by which parameters are reached, ``name__parameter``, and shares are named;
        - detector : any outlier detector with ``score_samples``. It is cloned, never changed. Its
          own ``threshold`` and ``contamination`` are about its part;
        - columns : str, int, array-like of them, slice, mask or callable, such as
          `sklearn.compose.make_column_selector`. One column alone is still a table. Parts may
          overlap, and what no part names is not looked at.
    contamination : float, default=0.0
        Expected share of anomalies in the training data, in [0, 0.5]. Unless ``percentile`` is
        given, that share of the training rows is flagged.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the fused scores are cut, as in `VAEDetector`.
    percentile : float, default=None
        In (0, 100), the percentage of scores at or below the threshold. None is
        ``100 * (1 - contamination)``, and 95 for "conformal" and where the contamination is 0.
    calibration_fraction : float, default=None
        Share of the rows held out of the training, in [0, 1): one half of them for the tails of the
        parts, the other for the threshold. None is 0.2 for "conformal" and 0 else. Without it both
        are of training rows, and a detector that has learned these by heart calls all others rare.
    random_state : int, RandomState instance or None, default=None
        Of which rows are held out; the detectors have their own.

    Attributes
    ----------
    detectors_ : list of (name, detector, columns) tuples
        The fitted clones; the columns as lists of positions.
    named_detectors_ : Bunch
        The fitted clones by name.
    threshold_, offset_ : float
        A row is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on.
    calibration_is_held_out_ : bool
        Whether those rows were held out of the training, or given to ``set_threshold``.
    thresholder_ : fitted threshold estimator
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only for input with column names that are strings.

    See Also
    --------
    MixedVAEDetector : One network for columns of several kinds, which sees how they depend.
    sklearn.compose.ColumnTransformer : The same for transformers.

    Notes
    -----
    **Formula.** With n calibration scores of a part, of which the k = ceil(n / 10) largest exceed q
    by m on average, the tail probability of a score s is

    - ``p = (1 + number of scores >= s) / (n + 1)`` where s <= q,
    - ``p = (k + 2) / (n + 1) * exp(-(s - q) / m)`` beyond, the exponential tail of the peaks over a
      threshold (Pickands 1975, with shape 0).

    The score of a row is ``sum(-log p)`` over the parts, half of Fisher's (1925) statistic, as ECOD
    (arXiv:2201.00382) takes it of features. Of k independent parts twice the score of a normal row
    is about chi-squared with 2 k degrees of freedom, so a part that says nothing adds 1 on average.

    **Failure modes.** An anomaly that lies in how parts go together, each of them usual by itself,
    is invisible to every part, and so to their fusion. Parts that say the same count twice.

    pickle and joblib store the whole; `skvae.save` stores it where all detectors are of this
    package and columns are no callables.

    References
    ----------
    Fisher (1925), Statistical methods for research workers, Oliver and Boyd.
    Pickands (1975), Statistical inference using extreme order statistics, Annals of Statistics
    3(1), 119-131.
    Li, Zhao, Hu, Botta, Ionescu, Chen (2022), ECOD: unsupervised outlier detection using empirical
    cumulative distribution functions, arXiv:2201.00382.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skvae import FusionDetector, VAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = np.hstack([rng.randn(300, 2) @ rng.randn(2, 6), rng.rand(300, 2)])
    >>> detector = FusionDetector(
    ...     [
    ...         ("sensors", VAEDetector(max_steps=100, random_state=0), slice(0, 6)),
    ...         ("place", IsolationForest(random_state=0), [6, 7]),
    ...     ]
    ... ).fit(X)
    >>> odd = X[:1].copy()
    >>> odd[0, 3] += 5
    >>> detector.shares(odd).idxmax(axis=1).item()
    'sensors'
    """

    _parameter_constraints: dict = {
        "detectors": [list],
        **THRESHOLD_CONSTRAINTS,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        detectors,
        *,
        contamination=0.0,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
        random_state=None,
    ):
        self.detectors = detectors
        self.contamination = contamination
        self.threshold = threshold
        self.percentile = percentile
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    # -- parameters by name, as ColumnTransformer has them ----------------------------------------

    @property
    def _named(self):
        try:
            return [(name, detector) for name, detector, _ in self.detectors]
        except (TypeError, ValueError):  # `fit` says what is wrong
            return self.detectors

    @_named.setter
    def _named(self, pairs):
        columns = [columns for *_, columns in self.detectors]
        self.detectors = [(*pair, own) for pair, own in zip(pairs, columns, strict=True)]

    def get_params(self, deep=True):
        """Parameters, those of the detectors as ``name__parameter``.

        Parameters
        ----------
        deep : bool, default=True
            Whether to return the detectors by name, and their parameters.

        Returns
        -------
        params : dict
        """
        return self._get_params("_named", deep=deep)

    def set_params(self, **params):
        """Set parameters, also ``name=detector`` and ``name__parameter``.

        Parameters
        ----------
        **params : dict
            New values by name.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        self._set_params("_named", **params)
        return self

    # -- training ---------------------------------------------------------------------------------

    def fit(self, X, y=None):
        """Fit each detector on its columns, then the tails of their scores, then the threshold.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            At least 2 rows.
        y : array-like of shape (n_samples,), default=None
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly). The detectors get
            them, and do with them what they do; here they are read by ``threshold="f1"`` or an own
            threshold estimator.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For detectors that are no such tuples, or columns that X has not.
        """
        with unchanged_if_it_fails(self):
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        self._validate_params()
        self._check_detectors()
        X = self._table(X, reset=True)
        if y is not None:
            check_consistent_length(X, y)
            y = column_or_1d(y)
        elif self.threshold == "f1":
            raise ValueError("threshold='f1' needs labels: fit(X, y) with y, got y=None.")
        train, for_tails, for_threshold = self._split(len(X))
        labels = None if y is None else y[train]
        rows = _safe_indexing(X, train)
        self.detectors_ = []
        for name, detector, columns in self.detectors:
            own = _positions(X, name, columns)
            fitted = clone(detector).fit(_safe_indexing(rows, own, axis=1), labels)
            self.detectors_.append((name, fitted, own))
        scores = self._scores(_safe_indexing(X, for_tails))
        self._tails = [Tail.of(column) for column in scores.T]
        y = y[for_threshold] if y is not None and self._threshold_reads_labels else None
        fused = self._shares(_safe_indexing(X, for_threshold)).sum(1)
        self._use_threshold(self.threshold, fused, y, self.percentile)
        self.calibration_is_held_out_ = len(train) < len(X)

    def _check_detectors(self):
        parts = self.detectors
        if not parts or not all(isinstance(part, tuple) and len(part) == 3 for part in parts):
            raise ValueError(
                "detectors must be a list of (name, detector, columns) tuples, one at least; got "
                f"{parts!r:.200}."
            )
        names, detectors, _ = zip(*parts, strict=True)
        self._validate_names(names)
        for name, detector in zip(names, detectors, strict=True):
            if isinstance(detector, type) or not hasattr(detector, "score_samples"):
                raise ValueError(
                    f"the detector {name!r}, {detector!r:.100}, has no score_samples; "
                    "scikit-learn's LocalOutlierFactor has with novelty=True, and "
                    "skvae.interop.pyod gives it to those of PyOD."
                )

    def _split(self, n):
        """Rows to train on, for the tails of the parts, and for the threshold."""
        n_held_out = math.ceil(self._held_out_fraction * n)
        if n_held_out == 0:
            every = np.arange(n)
            return every, every, every
        if n_held_out < 2 or n - n_held_out < 2:
            raise ValueError(
                f"calibration_fraction={self._held_out_fraction:g} holds out {n_held_out} of {n} "
                "rows; 2 are needed, and 2 to train on."
            )
        order = check_random_state(self.random_state).permutation(n)
        half = n_held_out // 2
        parts = order[n_held_out:], order[:half], order[half:n_held_out]
        return tuple(map(np.sort, parts))

    # -- scores -----------------------------------------------------------------------------------

    def _table(self, X, reset):
        """X as it is, or as an array; what its cells may hold is for the detectors to say."""
        return validated_table(self, X, reset, ensure_all_finite=False)

    def _scores(self, X):
        """Anomaly scores of the parts, each in its own units, (n_samples, n_parts)."""
        scores = [
            -np.asarray(detector.score_samples(_safe_indexing(X, columns, axis=1)), np.float64)
            for _, detector, columns in self.detectors_
        ]
        return np.column_stack(scores)

    def _shares(self, X):
        scores = self._scores(X)
        return np.column_stack([tail(own) for tail, own in zip(self._tails, scores.T, strict=True)])

    def shares(self, X):
        """What each part adds to the anomaly score.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Rows as in ``fit``.

        Returns
        -------
        shares : DataFrame of shape (n_samples, n_parts)
            ``-log p`` of each part, in nats; 0 and more, higher = more anomalous. A row sums to
            its anomaly score. ``skvae.plotting.ErrorMapDisplay.from_predictions`` draws it.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or a detector refuses it.
        """
        check_is_fitted(self)
        values = self._shares(self._table(X, reset=False))
        names = [name for name, *_ in self.detectors_]
        index = X.index if isinstance(X, pd.DataFrame) else None
        return pd.DataFrame(values, index=index, columns=names)

    def anomaly_score(self, X):
        """Anomaly score of each row: the sum of its `shares`.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Rows as in ``fit``.

        Returns
        -------
        scores : ndarray of float64 of shape (n_samples,)
            Higher = more anomalous, in nats.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or a detector refuses it.
        """
        check_is_fitted(self)
        return self._shares(self._table(X, reset=False)).sum(1)

    @property
    def named_detectors_(self):
        """The fitted detectors by name."""
        check_is_fitted(self)
        return Bunch(**{name: detector for name, detector, _ in self.detectors_})

    def __sklearn_is_fitted__(self):
        return hasattr(self, "offset_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = all(
            get_tags(detector).input_tags.allow_nan for _, detector, _ in self.detectors
        )
        return tags


def _positions(X, name, columns):
    """Positions of the columns of a part, as ColumnTransformer reads them."""
    if callable(columns):
        columns = columns(X)
    if isinstance(columns, (str, Integral)):
        columns = [columns]
    if isinstance(columns, slice) and columns.start is None and columns.stop is None:
        return list(range(X.shape[1]))[columns]  # which scikit-learn takes for one of names
    try:
        positions = [int(i) for i in _get_column_indices(X, columns)]
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"the columns of {name!r}, {columns!r:.200}: {error}") from error
    if not positions:
        raise ValueError(f"the columns of {name!r} are none: {columns!r:.200} chooses nothing.")
    return positions


class Tail(NamedTuple):
    """Negative logarithm of the tail probability of scores, by calibration scores.

    Attributes
    ----------
    scores : ndarray of shape (n_calibration,)
        Sorted, those up to ``start`` alone.
    n : int
        Number of all calibration scores.
    start : float
        Where the exponential tail begins.
    scale : float
        Mean excess over it.
    """

    scores: np.ndarray
    n: int
    start: float
    scale: float

    @classmethod
    def of(cls, scores):
        """Tail of calibration scores."""
        scores = np.sort(scores)
        n_beyond = min(math.ceil(TAIL * len(scores)), len(scores) - 1)
        body, beyond = scores[: len(scores) - n_beyond], scores[len(scores) - n_beyond :]
        start = body[-1]
        scale = (beyond - start).mean() if n_beyond else 0.0
        least = max(1e-9 * abs(start), LEAST_SCALE)
        if scale <= least:  # all alike
            scale = np.std(scores) if np.std(scores) > least else 1.0
        return cls(body, len(scores), float(start), float(scale))

    def __call__(self, scores):
        """``-log p`` of each score."""
        n_as_high = self.n - np.searchsorted(self.scores, np.minimum(scores, self.start), "left")
        beyond = np.maximum(scores - self.start, 0) / self.scale
        return np.log((self.n + 1) / (1 + n_as_high)) + beyond
