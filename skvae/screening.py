"""ScreenThenClassify: a detector screens, and a classifier names what it flags."""

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, _fit_context, clone
from sklearn.dummy import DummyClassifier
from sklearn.utils import _safe_indexing, assert_all_finite, get_tags, indexable
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from skvae.base._lazy import is_lazy

__all__ = ["ScreenThenClassify"]


class ScreenThenClassify(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """A detector screens all samples, and a classifier names those that it flags.

    Most samples are normal, and the classifier, which may be large or slow, never sees those that
    the detector lets pass. What the detector misses, no classifier can name any more; what it flags
    wrongly, the classifier can still call normal. `screening_report` says how much of either.

    Parameters
    ----------
    detector : outlier detector
        Of skvae, of scikit-learn, or any other with ``fit(X, y)`` and ``predict(X)``, which is -1
        for an anomaly and +1 else; ``y`` is None, unless ``train_on="all"``. A fitted one is kept
        by ``sklearn.frozen.FrozenEstimator``.
    classifier : classifier
        With ``fit(X, y)`` and ``predict(X)``.
    normal_label : str, int, bool or None, default="normal"
        What ``y`` calls normal samples, and ``predict`` those that the detector lets pass. None is
        the most frequent label of ``y``.
    train_on : {"normal", "all"}, default="normal"
        What the detector is fitted on: the normal samples alone; or all of them, with +1 for normal
        and -1 for every other label as its ``y``, which most detectors ignore.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of ``y``, sorted, the normal one among them.
    normal_label_ : str, int or bool
        The label that was used.
    detector_ : fitted detector
    classifier_ : fitted classifier
        It was fitted on all anomalies, flagged or not, and on the normal samples that the detector
        flagged. Where these are of one class it is a constant.
    report_ : DataFrame
        `screening_report` of the samples of ``fit``, which is more favourable than that of others.
    share_spared_ : float
        Share of the samples of ``fit`` that the classifier would not have had to look at.
    n_features_in_ : int
        Where the detector knows it.
    feature_names_in_ : ndarray of str
        Where the detector knows them.

    See Also
    --------
    CNNClassifier : Names images.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skvae import ScreenThenClassify
    >>> rng = np.random.RandomState(0)
    >>> X = np.r_[rng.randn(200, 2), rng.randn(20, 2) + [6, 0], rng.randn(20, 2) - [0, 6]]
    >>> y = np.repeat(["normal", "too warm", "too dry"], [200, 20, 20])
    >>> detector = IsolationForest(contamination=0.05, random_state=0)
    >>> model = ScreenThenClassify(detector, LogisticRegression()).fit(X, y)
    >>> model.predict([[0, 0], [7, 0], [0, -7]])
    array(['normal', 'too warm', 'too dry'], dtype='<U8')
    >>> model.report_.round(2)
              n_samples  flagged  named
    normal          200     0.05    1.0
    too dry          20     1.00    1.0
    too warm         20     1.00    1.0
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods(["fit", "predict"])],
        "classifier": [HasMethods(["fit", "predict"])],
        "normal_label": [str, Integral, "boolean", None],
        "train_on": [StrOptions({"normal", "all"})],
    }

    def __init__(self, detector, classifier, *, normal_label="normal", train_on="normal"):
        self.detector = detector
        self.classifier = classifier
        self.normal_label = normal_label
        self.train_on = train_on

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y):
        """Fit the detector, then the classifier on what it has to tell apart.

        Parameters
        ----------
        X : array-like
            As the detector and the classifier take it.
        y : array-like of shape (n_samples,)
            Labels, ``normal_label`` and at least one other among them.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If ``y`` has no normal samples, or nothing else; or if ``detector.predict`` gives other
            values than -1 and +1.
        """
        y = self._validate_y(X, y)
        is_normal = y == self.normal_label_
        if self.train_on == "normal":
            rows = np.flatnonzero(is_normal)
            normal = X.subset(rows) if is_lazy(X) else _taken(X, rows)
            self.detector_ = clone(self.detector).fit(normal, None)
        else:
            self.detector_ = clone(self.detector).fit(X, np.where(is_normal, 1, -1))
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.detector_, name):
                setattr(self, name, getattr(self.detector_, name))
        is_flagged = self._is_flagged(X)
        rows = np.flatnonzero(is_flagged | ~is_normal)
        # Many a classifier refuses to learn a single class.
        classifier = self.classifier if len(np.unique(y[rows])) > 1 else DummyClassifier()
        self.classifier_ = clone(classifier).fit(_taken(X, rows), y[rows])
        self.report_ = self._report(X, y, is_flagged)
        self.share_spared_ = float(np.mean(~is_flagged))
        return self

    def _validate_y(self, X, y):
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y", estimator_name=type(self).__name__)
        check_classification_targets(y)
        check_consistent_length(X, y)
        self.classes_, counts = np.unique(y, return_counts=True)
        classes = self.classes_.tolist()
        most_frequent = classes[counts.argmax()]
        self.normal_label_ = most_frequent if self.normal_label is None else self.normal_label
        if self.normal_label_ not in classes or len(classes) < 2:
            found = f"{len(classes)} class{'es' * (len(classes) > 1)}"
            shown = ", ".join(map(repr, classes[:5])) + ", ..." * (len(classes) > 5)
            raise ValueError(
                f"y must hold normal_label={self.normal_label_!r} and at least one other class; "
                f"found {found}: {shown}."
            )
        return y

    def predict(self, X):
        """Label each sample; the classifier sees the flagged ones alone.

        Parameters
        ----------
        X : array-like
            As the detector and the classifier take it.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            ``normal_label``, or what the classifier calls a flagged sample, which may be that too.

        Raises
        ------
        ValueError
            If ``detector.predict`` gives other values than -1 and +1.
        """
        check_is_fitted(self)
        return self._named(X, self._is_flagged(X))

    def screening_report(self, X, y):
        """What the screening costs and saves, class by class.

        Parameters
        ----------
        X : array-like
            As the detector and the classifier take it.
        y : array-like of shape (n_samples,)
            Labels of X; classes that ``fit`` has not seen are anomalies as well.

        Returns
        -------
        report : DataFrame
            A row a label, in sorted order: ``n_samples``; ``flagged``, the share that reaches the
            classifier - what is missing of it is saved in the row of the normal label, and lost in
            the others; ``named``, the share that ``predict`` labels rightly.

        Raises
        ------
        ValueError
            If the lengths differ, or ``detector.predict`` gives other values than -1 and +1.
        """
        check_is_fitted(self)
        y = column_or_1d(y)
        check_consistent_length(X, y)
        return self._report(X, y, self._is_flagged(X))

    def _is_flagged(self, X):
        labels = np.asarray(self.detector_.predict(X))
        if not np.isin(labels, (-1, 1)).all():
            raise ValueError(
                f"detector.predict must give -1 (anomaly) or +1, but {self.detector!r:.200} gave "
                f"{np.unique(labels)[:5].tolist()}."
            )
        return labels == -1

    def _named(self, X, is_flagged):
        y = np.full(len(is_flagged), self.normal_label_, dtype=self.classes_.dtype)
        rows = np.flatnonzero(is_flagged)
        if len(rows):
            y[rows] = self.classifier_.predict(_taken(X, rows))
        return y

    def _report(self, X, y, is_flagged):
        columns = {"flagged": is_flagged, "named": self._named(X, is_flagged) == y}
        groups = pd.DataFrame(columns).groupby(np.asarray(y))
        report = groups.mean()
        report.insert(0, "n_samples", groups.size())
        return report

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        parts = [get_tags(self.detector).input_tags, get_tags(self.classifier).input_tags]
        tags.input_tags.sparse = all(part.sparse for part in parts)
        tags.input_tags.allow_nan = all(part.allow_nan for part in parts)
        return tags


def _taken(X, rows):
    """Rows of anything that has some; of images on disk an array, for any classifier to take."""
    (X,) = indexable(X)
    if hasattr(X, "shape") and not hasattr(X, "iloc"):
        return X[rows]
    return _safe_indexing(X, rows)
