"""Searches over parameters whose networks are trained together, at the price of a few fits."""

from collections import defaultdict, deque
from time import perf_counter
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import (
    GridSearchCV,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
    check_cv,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable

from skvae.base import BaseDetector, Fit, fit_stack

__all__ = ["StackedGridSearchCV", "StackedRandomizedSearchCV"]

# Rows of several folds are held at once, up to so many numbers: 1 GiB with what is made of them.
MAX_VALUES = 1 << 26


class StackedGridSearchCV(GridSearchCV):
    """`GridSearchCV` that trains the networks of all candidates and folds as one.

    A network for a table is so small that nearly all the time of its training is overhead; one
    product for fifty networks costs little more than for one. Candidates that differ in ``beta``,
    ``latent_dim``, ``contamination``, ``score``, ``threshold``, ``random_state`` or anything else
    that does not change the shape of a step are trained together, fold for fold on their own rows;
    those that differ in layer sizes, likelihood, batch size, steps, learning rate or number of rows
    group after group, ``latent_dim`` in groups of 1 to 16, 17 to 32 and so on; and those with
    callbacks, early stopping, a warm start or an own optimizer one by one. Scores are those of
    plain `GridSearchCV`.

    Parameters
    ----------
    estimator : detector, or Pipeline that ends in one
        The steps before the detector are fitted a fold, and once for candidates that share them.
        Other estimators work and are fitted one by one.
    param_grid : dict or list of dict
        Values to try for each parameter.
    scoring : str, callable, list, tuple or dict, default=None
        As of `GridSearchCV`; None is the detector's own ``score``. The scorers of `skvae.metrics`
        read labels in either convention.
    n_jobs : int, default=None
        Processes among which the fits are divided, each with its own stacks. Scoring stays in this
        one.
    refit : bool, str or callable, default=True
        Whether, or by which metric or choice, the best candidate is fitted on all rows.
    cv : int, cross-validation splitter or iterable, default=None
        The folds; None is 5 of them, neither shuffled nor stratified.
    verbose : int, default=0
        1 shows a progress bar for each training; more is `GridSearchCV`'s. The detectors' own
        ``verbose`` has no effect.
    pre_dispatch : int or str, default="2*n_jobs"
        Has no effect.
    error_score : "raise" or float, default=nan
        Score of a candidate that cannot be fitted.
    return_train_score : bool, default=False
        Whether to score the rows of the training as well.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, \
            refit_time_, multimetric_
        As `GridSearchCV` has them. ``fit_time`` is a fit's share of the training that it was part
        of, and what was done for it alone.

    See Also
    --------
    StackedRandomizedSearchCV : The same for randomly drawn candidates.
    sklearn.model_selection.GridSearchCV : What it stands in for.
    skvae.metrics.held_out_likelihood : Scorer that needs no labels.

    Notes
    -----
    Folds of unlike length are trained length by length. Candidates share the rows of a fold in
    memory, and about 1 GiB of rows at most is held beside ``X``. Parameters of ``fit`` other than
    ``groups``, such as ``sample_weight``, are not taken.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEDetector
    >>> from skvae.model_selection import StackedGridSearchCV
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(200, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(200, 6)
    >>> detector = VAEDetector(max_steps=50, score="elbo", random_state=0)
    >>> grid = {"beta": [0.1, 1.0], "latent_dim": [2, 5]}
    >>> search = StackedGridSearchCV(detector, grid).fit(X)
    >>> len(search.cv_results_["mean_test_score"])
    4
    """

    def fit(self, X, y=None, *, groups=None):
        """Fit all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator takes them.
        y : array-like of shape (n_samples,), default=None
            Labels for the scoring, and for detectors that read them.
        groups : array-like of shape (n_samples,), default=None
            For the splitter.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If a parameter is no such one, or all candidates fail. With ``error_score="raise"`` the
            error of a candidate is raised as it is.
        """
        return _fit_search(self, ParameterGrid(self.param_grid), X, y, groups)


class StackedRandomizedSearchCV(RandomizedSearchCV):
    """`RandomizedSearchCV` that trains the networks of all candidates and folds as one.

    Parameters
    ----------
    estimator : detector, or Pipeline that ends in one
        As of `StackedGridSearchCV`.
    param_distributions : dict or list of dict
        Values to draw for each parameter: a list, or a distribution with ``rvs``.
    n_iter : int, default=10
        Number of candidates.
    scoring : str, callable, list, tuple or dict, default=None
        As of `GridSearchCV`; None is the detector's own ``score``. The scorers of `skvae.metrics`
        read labels in either convention.
    n_jobs : int, default=None
        Processes among which the fits are divided, each with its own stacks. Scoring stays in this
        one.
    refit : bool, str or callable, default=True
        Whether, or by which metric or choice, the best candidate is fitted on all rows.
    cv : int, cross-validation splitter or iterable, default=None
        The folds; None is 5 of them, neither shuffled nor stratified.
    verbose : int, default=0
        1 shows a progress bar for each training; more is `GridSearchCV`'s. The detectors' own
        ``verbose`` has no effect.
    pre_dispatch : int or str, default="2*n_jobs"
        Has no effect.
    random_state : int, RandomState instance or None, default=None
        Of the draws; with the same one `RandomizedSearchCV` tries the same candidates.
    error_score : "raise" or float, default=nan
        Score of a candidate that cannot be fitted.
    return_train_score : bool, default=False
        Whether to score the rows of the training as well.

    Attributes
    ----------
    cv_results_, best_estimator_, best_score_, best_params_, best_index_, scorer_, n_splits_, \
            refit_time_, multimetric_
        As of `StackedGridSearchCV`.

    See Also
    --------
    StackedGridSearchCV : What is trained together, and all else.
    sklearn.model_selection.RandomizedSearchCV : What it stands in for.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.stats import loguniform
    >>> from skvae import VAEDetector
    >>> from skvae.model_selection import StackedRandomizedSearchCV
    >>> X = np.random.RandomState(0).randn(100, 4)
    >>> detector = VAEDetector(max_steps=20, score="elbo", random_state=0)
    >>> drawn = {"beta": loguniform(0.1, 10)}
    >>> search = StackedRandomizedSearchCV(detector, drawn, n_iter=3, random_state=0).fit(X)
    >>> len(search.cv_results_["params"])
    3
    """

    def fit(self, X, y=None, *, groups=None):
        """Fit all candidates on all folds, and the best one on all rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the estimator takes them.
        y : array-like of shape (n_samples,), default=None
            Labels for the scoring, and for detectors that read them.
        groups : array-like of shape (n_samples,), default=None
            For the splitter.

        Returns
        -------
        self : object
            Fitted.

        Raises
        ------
        ValueError
            If a parameter is no such one, or all candidates fail. With ``error_score="raise"`` the
            error of a candidate is raised as it is.
        """
        candidates = ParameterSampler(
            self.param_distributions, self.n_iter, random_state=self.random_state
        )
        return _fit_search(self, candidates, X, y, groups)


class _Task(NamedTuple):
    """A candidate on a fold."""

    estimator: object
    params: dict
    fold: int
    train: np.ndarray


def _fit_search(search, candidates, X, y, groups):
    """Let a plain search find each fit done when it asks for it."""
    search._validate_params()
    X, y = indexable(X, y)
    candidates = list(candidates)
    cv = check_cv(search.cv, y, classifier=is_classifier(search.estimator))
    folds = list(cv.split(X, y, groups))
    tasks = [
        _Task(clone(search.estimator).set_params(**clone(params, safe=False)), params, fold, train)
        for fold, (train, _) in enumerate(folds)
        for params in candidates
    ]
    # Made here, because the plain search runs in this process whatever the caller's joblib says.
    parallel, n_parts = Parallel(n_jobs=search.n_jobs), effective_n_jobs(search.n_jobs)
    waiting, seconds = deque(), []

    def train():
        fits = _fit_tasks(tasks, X, y, parallel, n_parts, min(search.verbose, 1))
        for i in range(len(candidates)):
            own = fits[i :: len(candidates)]
            waiting.extend(own)
            seconds.append([fit.seconds for fit in own])

    inner = GridSearchCV(
        _Next(search.estimator, waiting),
        [{name: [value] for name, value in params.items()} for params in candidates],
        # None would be the score of the stand-in.
        scoring=check_scoring(search.estimator) if search.scoring is None else search.scoring,
        refit=search.refit,
        cv=_Folds(folds, train),
        verbose=max(0, search.verbose - 1),
        error_score=search.error_score,
        return_train_score=search.return_train_score,
    )
    with parallel_config(backend="sequential"):
        inner.fit(X, y)
    vars(search).update({name: value for name, value in vars(inner).items() if name.endswith("_")})
    search.cv_results_["mean_fit_time"] = np.mean(seconds, axis=1)
    search.cv_results_["std_fit_time"] = np.std(seconds, axis=1)
    return search


class _Folds:
    """Splitter of the plain search, which trains everything when it is asked for the folds.

    By then the plain search has found nothing wrong with scoring and refit; and an error of the
    whole training ends the search here, where in a fit it would be taken for a candidate's.
    """

    def __init__(self, folds, train):
        self.folds = folds
        self.train = train

    def get_n_splits(self, X=None, y=None, groups=None):
        return len(self.folds)

    def split(self, X, y=None, groups=None):
        self.train()
        return self.folds


class _Next(BaseEstimator):
    """Stands in for the estimator of the plain search; ``fit`` makes it the next of those waiting.

    They wait in the order of ``cv_results_``: candidate after candidate, fold after fold. When none
    is left, as for the best candidate on all rows, the estimator is fitted.
    """

    def __init__(self, estimator, waiting):
        self.estimator = estimator
        self.waiting = waiting

    def __sklearn_clone__(self):
        return _Next(clone(self.estimator), self.waiting)

    def __sklearn_tags__(self):
        return self.estimator.__sklearn_tags__()

    def get_params(self, deep=True):
        return self.estimator.get_params(deep)

    def set_params(self, **params):
        self.estimator.set_params(**params)
        return self

    def fit(self, X, *y):
        if self.waiting:
            fit = self.waiting.popleft()
            if fit.error is not None:
                raise fit.error
            fitted = fit.detector
        else:
            fitted = self.estimator.fit(X, *y)
        # Scorers, and who takes the best estimator, find the detector itself.
        del self.estimator, self.waiting
        self.__class__ = type(fitted)
        vars(self).update(vars(fitted))
        return self


def _fit_tasks(tasks, X, y, parallel, n_parts, verbose):
    """A `Fit` for each task, in their order, which is fold after fold."""
    if not tasks:
        return []
    n_values = len(tasks[0].train) * np.size(_safe_indexing(X, [0]))
    folds_at_once = max(1, MAX_VALUES // n_values)
    chunks = defaultdict(list)
    for task in tasks:
        chunks[task.fold // folds_at_once].append(task)
    parts = [
        [chunk[i] for i in own]
        for chunk in chunks.values()
        for own in np.array_split(np.arange(len(chunk)), n_parts)
    ]
    fits = parallel(delayed(_fit_part)(part, X, y, verbose) for part in parts)
    return [fit for part in fits for fit in part]


def _fit_part(tasks, X, y, verbose):
    """Fit the estimators of the tasks; those that end in a detector as stacks."""
    folds = {task.fold: task.train for task in tasks}
    rows = {
        fold: (_safe_indexing(X, train), None if y is None else _safe_indexing(y, train))
        for fold, train in folds.items()
    }
    fits, jobs, steps = {}, {}, _Steps()
    for i, task in enumerate(tasks):
        estimator, start = task.estimator, perf_counter()
        try:
            if _is_stackable(estimator):
                jobs[i] = estimator, *rows[task.fold]
            elif isinstance(estimator, Pipeline) and _is_stackable(estimator[-1]):
                jobs[i] = estimator[-1], *steps.fit(i, task, *rows[task.fold])
            else:
                fits[i] = Fit(estimator.fit(*rows[task.fold]), None, perf_counter() - start)
        except Exception as error:
            fits[i] = Fit(None, error, perf_counter() - start)
    for i, fit in zip(jobs, fit_stack(list(jobs.values()), verbose), strict=True):
        fits[i] = fit._replace(detector=tasks[i].estimator, seconds=fit.seconds + steps.seconds(i))
    return [fits[i] for i in range(len(tasks))]


def _is_stackable(estimator):
    """Whether it is a detector, with no ``fit`` of its own that a stack would pass by."""
    return isinstance(estimator, BaseDetector) and type(estimator).fit is BaseDetector.fit


class _Steps:
    """Steps of pipelines before their detectors, fitted once a fold where candidates share them."""

    def __init__(self):
        self.fitted = {}
        self.users = defaultdict(list)
        self.key_of = {}

    def fit(self, i, task, X, y):
        """Put fitted steps into the pipeline of task ``i``; return what the detector is to see."""
        *before, (name, _) = task.estimator.steps
        if not before:
            return X, y
        shared = all(param.startswith(f"{name}__") for param in task.params)
        key = self.key_of[i] = task.fold if shared else (task.fold, i)
        if key not in self.fitted:
            start, steps = perf_counter(), task.estimator[:-1]
            X = steps.fit_transform(X, y)
            self.fitted[key] = steps, X, perf_counter() - start
        steps, X, _ = self.fitted[key]
        task.estimator.steps[:-1] = steps.steps
        self.users[key].append(i)
        return X, y

    def seconds(self, i):
        """The share of task ``i`` in the fit of its steps."""
        if i not in self.key_of:
            return 0.0
        key = self.key_of[i]
        return self.fitted[key][2] / len(self.users[key])
