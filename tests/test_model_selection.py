"""The stacked searches against scikit-learn's own, which they must equal in all but time."""

import pickle
import re
import warnings
from time import perf_counter

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.validation import check_is_fitted

from skvae import AEDetector, VAEDetector
from skvae.base import BaseDetector, _stack
from skvae.model_selection import StackedGridSearchCV, StackedRandomizedSearchCV
from skvae.scores import Score
from skvae.training import fit_autoencoders

TINY = {"max_steps": 3, "hidden_layer_sizes": (8,), "batch_size": 32, "score": "reconstruction"}
GRID = {"beta": [0.1, 5.0], "latent_dim": [1, 3]}


def detector(cls=VAEDetector, **params):
    return cls(**{**TINY, "random_state": 0, **params})


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    X = rng.randn(90, 2) @ rng.randn(2, 5) + 0.1 * rng.randn(90, 5)
    X[::9] += rng.randn(10, 5)
    return X


@pytest.fixture(scope="module")
def y():
    return np.where(np.arange(90) % 9, 1, -1)


@pytest.fixture
def stacks(monkeypatch):
    """The number of detectors of each training that the searches start."""
    seen = []

    def counting(ensembles, **settings):
        seen.append(len(ensembles))
        return fit_autoencoders(ensembles, **settings)

    monkeypatch.setattr(_stack, "fit_autoencoders", counting)
    return seen


def shown(value):
    """The repr without addresses, which copies have their own of."""
    return re.sub(r"0x[0-9A-Fa-f]+", "0x", repr(value))


def quiet_fit(search, X, y=None, **params):
    """The fitted search, and the categories and first lines of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(X, y, **params)
    return search, [(each.category, str(each.message).split("\n")[1:2]) for each in caught]


def assert_equal_searches(plain, stacked, X):
    """Everything that a fitted search shows, but its times."""
    assert list(plain.cv_results_) == list(stacked.cv_results_)
    for name, expected in plain.cv_results_.items():
        actual = stacked.cv_results_[name]
        assert type(actual) is type(expected)
        if "_time" in name:
            assert actual.shape == expected.shape and actual.dtype == expected.dtype
        elif "param" in name:
            assert repr(actual) == repr(expected)
        else:
            np.testing.assert_array_equal(actual, expected, name)
            assert actual.dtype == expected.dtype
    expected = {name for name in vars(plain) if name.endswith("_")}
    assert {name for name in vars(stacked) if name.endswith("_")} == expected
    for name in expected - {"cv_results_", "refit_time_"}:
        assert type(getattr(stacked, name)) is type(getattr(plain, name)), name
        assert shown(getattr(stacked, name)) == shown(getattr(plain, name)), name
    assert hasattr(stacked, "classes_") == hasattr(plain, "classes_")
    assert hasattr(stacked, "transform") == hasattr(plain, "transform")
    if hasattr(plain, "best_estimator_"):
        assert getattr(stacked, "n_features_in_", None) == getattr(plain, "n_features_in_", None)
        for method in ("predict", "decision_function", "score_samples"):
            expected = getattr(plain, method)(X)
            np.testing.assert_array_equal(getattr(stacked, method)(X), expected)
        assert stacked.refit_time_ > 0


def assert_as_plain(X, y=None, estimator=None, grid=None, fit=None, **params):
    """Fit both searches; return the stacked one. Warnings must be the same."""
    estimator = detector() if estimator is None else estimator
    params = {"cv": 2, **params}
    grid = GRID if grid is None else grid
    plain, expected = quiet_fit(GridSearchCV(estimator, grid, **params), X, y, **(fit or {}))
    search = StackedGridSearchCV(estimator, grid, **params)
    stacked, warned = quiet_fit(search, X, y, **(fit or {}))
    assert stacked is search
    assert warned == expected
    assert_equal_searches(plain, stacked, X)
    return stacked


# -- scoring and refit ----------------------------------------------------------------------


def test_as_plain_with_labels_and_without(X, y, stacks):
    assert_as_plain(X, y)
    assert stacks == [8], "4 candidates on 2 folds of equal length"
    assert_as_plain(X)
    assert_as_plain(X, estimator=detector(AEDetector), grid={"latent_dim": [1, 2, 3]})


def test_labels_of_any_kind(X, y):
    for labels in (y == -1, (y == -1).astype(int), pd.Series(y), y.tolist()):
        assert_as_plain(X, labels)


def largest_mean(results):
    return int(np.argmax(results["mean_test_score"]))


def second(results):
    return 1


def two_numbers(estimator, X, y=None):
    scores = estimator.score_samples(X)
    return {"mean": scores.mean(), "median": np.median(scores)}


def auc_by_hand(estimator, X, y):
    assert type(estimator) is VAEDetector, "a scorer sees the detector itself"
    check_is_fitted(estimator)
    return roc_auc_score(y == 1, estimator.decision_function(X))


@pytest.mark.parametrize(
    "params",
    [
        {"return_train_score": True},
        {"refit": False},
        {"refit": largest_mean},
        {"refit": second},
        {"scoring": "roc_auc", "return_train_score": True},
        {"scoring": make_scorer(roc_auc_score, response_method="decision_function")},
        {"scoring": auc_by_hand},
        {"scoring": ["roc_auc", "average_precision"], "refit": "average_precision"},
        {"scoring": {"auc": "roc_auc", "own": auc_by_hand}, "refit": "auc"},
        {"scoring": {"auc": "roc_auc", "f1": "f1"}, "refit": False, "return_train_score": True},
        {"scoring": ("roc_auc", "f1"), "refit": second},
        {"scoring": two_numbers, "refit": "median"},
        {"scoring": two_numbers, "refit": False},
    ],
    ids=lambda params: ",".join(params) or "default",
)
def test_scoring_and_refit(X, y, params):
    stacked = assert_as_plain(X, y, **params)
    assert hasattr(stacked, "best_estimator_") == (params.get("refit") is not False)
    if params.get("refit") is False:
        with pytest.raises(AttributeError):
            stacked.predict(X)
    else:
        assert type(stacked.best_estimator_) is VAEDetector
        plain = GridSearchCV(detector(), GRID, **{"cv": 2, **params}).fit(X, y)
        if (
            params.get("refit") is not second or "scoring" not in params
        ):  # scikit-learn has no score then
            assert stacked.score(X, y) == plain.score(X, y)


@pytest.mark.parametrize(
    "params",
    [
        {"scoring": ["roc_auc", "f1"]},
        {"scoring": ["roc_auc", "f1"], "refit": "accuracy"},
        {"scoring": "no_such_score"},
        {"refit": 3.5},
        {"cv": 1},
        {"cv": 1000},
        {"error_score": "maybe"},
        {"verbose": -1},
    ],
    ids=lambda params: ",".join(params) or "default",
)
def test_parameters_of_the_search_are_refused_as_ever_and_before_any_training(X, y, params, stacks):
    with pytest.raises(ValueError) as plain:
        GridSearchCV(detector(), GRID, **params).fit(X, y)
    stacks.clear()
    with pytest.raises(ValueError) as stacked:
        StackedGridSearchCV(detector(), GRID, **params).fit(X, y)
    expected = str(plain.value).replace("GridSearchCV", "StackedGridSearchCV")
    assert str(stacked.value) == expected or str(stacked.value) == str(plain.value)
    assert stacks == []


def test_an_estimator_without_a_score(X):
    class Unscored(OutlierMixin, BaseEstimator):
        def fit(self, X, y=None):
            raise AssertionError("not fitted: there is no way to score")

    with pytest.raises(TypeError, match="no scoring is specified"):
        StackedGridSearchCV(Unscored(), {}).fit(X)


# -- splitters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cv, n_stacks",
    [
        (None, 1),
        (2, 1),
        (KFold(7), 2),
        (KFold(4, shuffle=True, random_state=1), 2),
        (StratifiedKFold(3, shuffle=True, random_state=0), 1),
        (ShuffleSplit(3, test_size=0.4, random_state=0), 1),
        (ShuffleSplit(2, train_size=0.3, test_size=0.2, random_state=np.random.RandomState(3)), 1),
        (TimeSeriesSplit(3), 3),
        ([(np.arange(40), np.arange(40, 90)), (np.arange(30, 80), np.arange(5))], 2),
        ([(np.arange(90) % 2 == 0, np.arange(90) % 2 == 1)], 1),
        ([(list(range(90)), list(range(90)))], 1),
        ([([5, 5, 7, 9, 9, 9] * 4, [1, 2])], 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_splitter(X, y, cv, n_stacks, stacks):
    def own():
        return pickle.loads(pickle.dumps(cv))  # a splitter may hold a generator, which advances

    plain = GridSearchCV(detector(), GRID, cv=own(), scoring="accuracy").fit(X, y)
    stacks.clear()
    stacked = StackedGridSearchCV(detector(), GRID, cv=own(), scoring="accuracy").fit(X, y)
    assert len(stacks) == n_stacks
    assert_equal_searches(plain, stacked, X)
    assert shown(stacked.cv) == shown(cv)


def test_a_generator_of_splits(X):
    def splits():
        yield from KFold(3).split(X)

    plain = GridSearchCV(detector(), GRID, cv=splits()).fit(X)
    assert_equal_searches(plain, StackedGridSearchCV(detector(), GRID, cv=splits()).fit(X), X)


def test_groups(X, y):
    groups = np.arange(90) % 4
    assert_as_plain(X, y, cv=GroupKFold(4), fit={"groups": groups})
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        StackedGridSearchCV(detector(), GRID, cv=GroupKFold(4)).fit(X, y)


@pytest.mark.parametrize("cv, grid", [([], GRID), (3, [])])
def test_nothing_to_fit(X, cv, grid):
    with pytest.raises(ValueError) as plain:
        GridSearchCV(detector(), grid, cv=cv).fit(X)
    with pytest.raises(ValueError) as stacked:
        StackedGridSearchCV(detector(), grid, cv=cv).fit(X)
    assert str(stacked.value) == str(plain.value)


def test_rows_and_labels_of_unlike_number(X, y):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        StackedGridSearchCV(detector(), GRID).fit(X, y[:-1])


# -- candidates -----------------------------------------------------------------------------


def test_several_grids_and_duplicates(X):
    assert_as_plain(X, grid=[{"beta": [1.0, 1.0, 2.0]}, {"latent_dim": [2], "beta": [1.0]}, {}])


def test_an_empty_grid(X, stacks):
    assert_as_plain(X, grid={})
    assert stacks[0] == 2


def test_parameters_that_do_not_stack(X, stacks):
    grid = {"hidden_layer_sizes": [(8,), (4, 4), ()], "lr": [1e-3, 1e-2]}
    assert_as_plain(X, grid=grid)
    assert stacks == [2] * 6
    grid = {"likelihood": ["mse", "laplace"], "batch_size": [8, 16], "beta": [0.1, 1.0]}
    assert_as_plain(X, grid=grid)
    assert_as_plain(X, grid={"early_stopping": [False, True], "optimizer": ["sgd", own_adam]})


def own_adam(parameters, lr):
    import torch

    return torch.optim.Adam(parameters, lr=lr)


def largest_error(x, output, error):
    return error.max(1).values


class Scaled(Score):
    """Has no repr of its own, and each copy of it an address of its own."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x, output, error):
        return self.factor * error.sum(1)


class Fixed(BaseEstimator):
    """A threshold that holds an array."""

    def __init__(self, values=None):
        self.values = values

    def fit(self, scores, y=None):
        self.threshold_ = float(np.mean(self.values))
        return self


class Plain:
    """A threshold that is no estimator of scikit-learn's."""

    def __init__(self, value):
        self.value = value

    def fit(self, scores, y=None):
        self.threshold_ = self.value
        return self


def unlike_in_the_middle(value):
    values = np.zeros(5000)  # numpy shows the ends alone
    values[2500] = 5000 * value
    return values


@pytest.mark.parametrize(
    "grid",
    [
        {"score": [largest_error, "reconstruction", ("density", "neighbors"), Scaled(3.0)]},
        {"score": [Scaled(1.0), Scaled(2.0)], "beta": [0.1, 1.0]},
        {"scaler": [None, "minmax", StandardScaler(), MinMaxScaler((0, 2))]},
        {"scaler": [MinMaxScaler()], "scaler__feature_range": [(0, 1), (0, 3)]},
        {"threshold": [Fixed(unlike_in_the_middle(value)) for value in (1, 8, 30)]},
        {"threshold": [Plain(1.0), Plain(10.0), 5.0]},
        {"hidden_layer_sizes": [np.array([8]), [8], 8]},
        {"random_state": [0, 1, np.random.RandomState(2)]},
        {"beta": np.array([0.5, 2.0]), "contamination": [0, 0.1], "threshold": ["f1"]},
        {"threshold": ["conformal"], "percentile": [80, 90.0], "train_on": ["normal"]},
        {"n_estimators": [1, 3], "beta": [0.1, 1.0]},
    ],
    ids=lambda grid: next(iter(grid)),
)
def test_values_of_any_kind(X, y, grid):
    assert_as_plain(X, y, grid=grid, scoring="accuracy")


@pytest.mark.parametrize(
    "score", [Scaled(1.0), largest_error, "reconstruction"], ids=["scaled", "function", "name"]
)
def test_no_candidate_is_trained_twice(X, score, stacks, monkeypatch):
    fits, fit = [], BaseDetector.fit

    def counting(self, X, y=None):
        fits.append(len(X))
        return fit(self, X, y)

    monkeypatch.setattr(BaseDetector, "fit", counting)
    grid = {"score": [score], "beta": [0.1, 1.0]}
    StackedGridSearchCV(detector(), grid, cv=3).fit(X)
    assert stacks == [6]
    assert fits == [90], "the refit alone"


def test_a_detector_with_its_own_fit_is_fitted_by_it(X, stacks):
    fits = []

    class Counting(VAEDetector):
        def fit(self, X, y=None):
            fits.append(len(X))
            return super().fit(X, y)

    StackedGridSearchCV(Counting(**TINY, random_state=0), {"beta": [0.1, 1.0]}, cv=3).fit(X)
    assert fits == [60] * 6 + [90]
    assert not stacks


def test_grid_values_are_not_fitted(X):
    threshold, scaler = Fixed([1.0]), StandardScaler()
    search = StackedGridSearchCV(detector(), {"threshold": [threshold], "scaler": [scaler]}, cv=2)
    search.fit(X)
    assert not hasattr(threshold, "threshold_") and not hasattr(scaler, "mean_")
    assert search.cv_results_["params"][0]["threshold"] is threshold
    assert not hasattr(search.estimator, "net_"), "nor is the estimator"


def test_dataframe(X, y):
    frame = pd.DataFrame(X, columns=list("abcde"), index=range(500, 590))
    stacked = assert_as_plain(frame, pd.Series(y, index=frame.index))
    assert stacked.feature_names_in_.tolist() == list("abcde")
    assert not hasattr(StackedGridSearchCV(detector(), GRID).fit(X), "feature_names_in_")
    assert_as_plain(X.tolist(), y.tolist())
    assert_as_plain(X.astype(np.float32), y)


# -- pipelines ------------------------------------------------------------------------------


class Counted(MinMaxScaler):
    n_fits = 0

    def fit(self, X, y=None):
        Counted.n_fits += 1
        return super().fit(X, y)


def test_pipeline(X, y, stacks):
    pipeline = Pipeline([("scale", MinMaxScaler()), ("detector", detector(scaler=None))])
    stacked = assert_as_plain(
        X, y, pipeline, {"detector__beta": [0.1, 1.0], "detector__lr": [0.01]}
    )
    assert stacks == [4]
    assert type(stacked.best_estimator_["detector"]) is VAEDetector
    np.testing.assert_array_equal(stacked.best_estimator_["scale"].data_max_, X.max(0))


def test_steps_before_are_fitted_once_a_fold(X, monkeypatch):
    monkeypatch.setattr(Counted, "n_fits", 0)
    pipeline = make_pipeline(Counted(), detector(scaler=None))
    StackedGridSearchCV(pipeline, {"vaedetector__beta": [0.1, 1.0, 5.0]}, cv=3, refit=False).fit(X)
    assert Counted.n_fits == 3


def pipeline_score(estimator, X, y=None):
    assert type(estimator) is Pipeline, "a scorer sees the pipeline itself"
    return estimator[-1].score_samples(estimator[:-1].transform(X)).mean() + len(estimator)


@pytest.mark.parametrize(
    "steps, grid",
    [
        ([("scale", MinMaxScaler())], {"scale__feature_range": [(0, 1), (0, 2)]}),
        ([("scale", MinMaxScaler())], {"scale": [StandardScaler(), "passthrough", MinMaxScaler()]}),
        (
            [("scale", MinMaxScaler()), ("again", StandardScaler())],
            {"again__with_mean": [True, False], "detector__beta": [0.1, 1.0]},
        ),
        ([], {"detector__beta": [0.1, 1.0]}),
        ([("skip", "passthrough")], {"detector__beta": [0.1, 1.0]}),
        ([("scale", make_pipeline(MinMaxScaler()))], {"detector__beta": [0.1, 1.0]}),
        (
            [("scale", MinMaxScaler())],
            {
                "detector": [
                    IsolationForest(n_estimators=5, random_state=0),
                    detector(),
                    detector(AEDetector),
                ]
            },
        ),
        (
            [("scale", MinMaxScaler())],
            [
                {"detector": [IsolationForest(random_state=0)], "detector__n_estimators": [3, 5]},
                {"detector": [detector(beta=2.0)], "detector__latent_dim": [1, 2]},
            ],
        ),
    ],
)
def test_pipelines(X, y, steps, grid):
    pipeline = Pipeline([*steps, ("detector", detector())])
    assert_as_plain(X, y, pipeline, grid, scoring="roc_auc")
    if "detector" not in str(grid).replace("detector__", ""):
        assert_as_plain(X, y, pipeline, grid, scoring=pipeline_score)


def test_pipeline_of_a_frame_with_set_output(X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    pipeline = make_pipeline(MinMaxScaler(), detector()).set_output(transform="pandas")
    stacked = assert_as_plain(frame, None, pipeline, {"vaedetector__beta": [0.1, 1.0]})
    assert stacked.best_estimator_[-1].feature_names_in_.tolist() == list("abcde")


def test_a_step_that_fails(X):
    class Refuses(MinMaxScaler):
        def fit(self, X, y=None):
            if self.feature_range == (0, 2):
                raise ValueError("not this range")
            return super().fit(X, y)

    pipeline = Pipeline([("scale", Refuses()), ("detector", detector())])
    stacked = assert_as_plain(X, None, pipeline, {"scale__feature_range": [(0, 1), (0, 2)]})
    assert np.isnan(stacked.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_other_estimators(X, y):
    forest = IsolationForest(random_state=0)
    assert_as_plain(X, y, forest, {"n_estimators": [3, 5]}, scoring="roc_auc")


# -- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"scoring": "roc_auc"},
        {"scoring": two_numbers, "refit": "mean"},
        {"scoring": ["roc_auc", "f1"], "refit": "f1"},
    ],
    ids=lambda params: ",".join(params) or "default",
)
def test_a_candidate_that_fails_scores_nan(X, y, params):
    stacked = assert_as_plain(X, y, grid={"beta": [1.0, -1, 2.0]}, **params)
    name = next(name for name in stacked.cv_results_ if name.startswith("mean_test"))
    assert np.isnan(stacked.cv_results_[name]).tolist() == [False, True, False]


def test_error_score_is_a_number_of_choice(X):
    stacked = assert_as_plain(X, grid={"beta": [1.0, -1]}, error_score=-1e6)
    assert stacked.cv_results_["mean_test_score"][1] == -1e6


def test_the_warning_counts_and_shows_the_errors(X):
    search = StackedGridSearchCV(detector(), {"beta": [1.0, -1]}, cv=3)
    with pytest.warns(FitFailedWarning, match=r"3 fits failed out of a total of 6") as caught:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "One or more of the test scores", UserWarning)
            search.fit(X)
    assert "The 'beta' parameter of VAEDetector must be a float" in str(caught[0].message)


@pytest.mark.parametrize("cls", [GridSearchCV, StackedGridSearchCV])
def test_error_score_raise(X, cls):
    with pytest.raises(ValueError, match="The 'beta' parameter of VAEDetector must be"):
        cls(detector(), {"beta": [1.0, -1]}, error_score="raise").fit(X)


@pytest.mark.parametrize("cls", [GridSearchCV, StackedGridSearchCV])
def test_all_fail(X, cls):
    with pytest.raises(ValueError, match=r"All the 6 fits failed"):
        cls(detector(), {"beta": [-2, -1]}, cv=3).fit(X)


@pytest.mark.parametrize("cls", [GridSearchCV, StackedGridSearchCV])
def test_unknown_parameter(X, cls):
    with pytest.raises(ValueError, match="Invalid parameter 'gamma' for estimator VAEDetector"):
        cls(detector(), {"gamma": [1]}).fit(X)


def test_a_fit_that_diverges_leaves_the_others(X):
    base = detector(optimizer="sgd", lr=1e-3)
    stacked = assert_as_plain(X, estimator=base, grid={"beta": [1.0, 1e38]})
    assert np.isnan(stacked.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_scoring_that_fails(X, y):
    def fails(estimator, X, y=None):
        raise RuntimeError("no score today")

    stacked = assert_as_plain(X, y, scoring=fails)
    assert np.isnan(stacked.cv_results_["mean_test_score"]).all()


# -- the twin -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [0, np.random.RandomState(5)], ids=["int", "RandomState"])
def test_randomised_search(X, y, state):
    drawn = {"beta": loguniform(0.1, 10), "latent_dim": [1, 2, 3], "contamination": [0.1]}
    params = {"n_iter": 5, "cv": 3, "scoring": ["roc_auc", "f1"], "refit": "roc_auc"}
    make = lambda cls: cls(detector(), drawn, **params)  # noqa: E731
    plain = make(RandomizedSearchCV).set_params(random_state=pickle.loads(pickle.dumps(state)))
    stacked = make(StackedRandomizedSearchCV)
    stacked.set_params(random_state=pickle.loads(pickle.dumps(state)))
    assert_equal_searches(plain.fit(X, y), stacked.fit(X, y), X)
    if not isinstance(state, int):
        assert plain.random_state.randint(1 << 30) == stacked.random_state.randint(1 << 30)


def test_randomised_search_of_fewer_candidates_than_asked_for(X):
    search = StackedRandomizedSearchCV(detector(), {"beta": [0.1, 1.0]}, n_iter=5, random_state=0)
    with pytest.warns(UserWarning, match="total space of parameters 2 is smaller than n_iter=5"):
        search.fit(X)
    assert len(search.cv_results_["params"]) == 2


# -- progress and time ----------------------------------------------------------------------


def test_verbose(X, capsys):
    StackedGridSearchCV(detector(), GRID, cv=3, verbose=0).fit(X)
    assert capsys.readouterr() == ("", "")
    StackedGridSearchCV(detector(), GRID, cv=3, verbose=1, refit=False).fit(X)
    out, err = capsys.readouterr()
    assert out == "" and "fit of 12: 100%" in err and "3/3" in err
    StackedGridSearchCV(detector(), GRID, cv=3, verbose=2, refit=False).fit(X)
    out, err = capsys.readouterr()
    assert "Fitting 3 folds for each of 4 candidates, totalling 12 fits" in out
    assert "fit of 12: 100%" in err


def test_fit_times_are_positive_and_add_up_to_less_than_the_clock(X):
    pipeline = make_pipeline(MinMaxScaler(), detector(max_steps=100))
    start = perf_counter()
    search = StackedGridSearchCV(pipeline, {"vaedetector__beta": [0.1, 1, 5]}, cv=3, refit=False)
    results = search.fit(X).cv_results_
    elapsed = perf_counter() - start
    assert (results["mean_fit_time"] > 0).all() and (results["std_fit_time"] >= 0).all()
    assert (results["mean_score_time"] > 0).all()
    total = 3 * (results["mean_fit_time"] + results["mean_score_time"]).sum()
    assert 0.5 * elapsed < total <= elapsed


def test_a_failed_fit_takes_time_as_well(X):
    search, _ = quiet_fit(StackedGridSearchCV(detector(), {"beta": [1.0, -1]}, cv=2), X)
    assert (search.cv_results_["mean_fit_time"] > 0).all()


# -- the search as an estimator -------------------------------------------------------------


@pytest.mark.parametrize("cls", [StackedGridSearchCV, StackedRandomizedSearchCV])
def test_clone_and_parameters(X, cls):
    search = cls(detector(), GRID, cv=3, **({"n_iter": 2} if "Random" in cls.__name__ else {}))
    plain = cls.__mro__[1]
    assert list(search.get_params()) == list(plain(detector(), GRID).get_params())
    search.set_params(estimator__max_steps=4).fit(X)
    again = clone(search)
    assert again.get_params()["estimator__max_steps"] == 4
    assert not hasattr(again, "cv_results_")
    with pytest.raises(NotFittedError):
        again.score(X)
    assert "Stacked" in repr(search)


@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_pickle(X, y, scoring):
    search = StackedGridSearchCV(detector(), GRID, cv=3, scoring=scoring).fit(X, y)
    plain = GridSearchCV(detector(), GRID, cv=3, scoring=scoring).fit(X, y)
    stored = pickle.dumps(search)
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert again.score(X, y) == search.score(X, y) == plain.score(X, y)
    assert len(stored) < 1.05 * len(pickle.dumps(plain)), "nothing of the search is left behind"


def test_nested_cross_validation(X, y):
    outer = {"cv": StratifiedKFold(2), "scoring": "roc_auc"}
    stacked = cross_val_score(StackedGridSearchCV(detector(), GRID, cv=2), X, y, **outer)
    plain = cross_val_score(GridSearchCV(detector(), GRID, cv=2), X, y, **outer)
    np.testing.assert_array_equal(stacked, plain)


def test_a_search_over_a_search(X):
    inner = StackedGridSearchCV(detector(), {"beta": [0.1, 1.0]}, cv=2)
    grid = {"estimator__latent_dim": [1, 2]}
    plain = GridSearchCV(GridSearchCV(detector(), {"beta": [0.1, 1.0]}, cv=2), grid, cv=2).fit(X)
    stacked = StackedGridSearchCV(inner, grid, cv=2).fit(X)
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(stacked.cv_results_[name], plain.cv_results_[name])


def test_metadata_routing(X, y):
    groups = np.arange(90) % 3
    with sklearn.config_context(enable_metadata_routing=True):
        assert_as_plain(X, y, cv=GroupKFold(3), fit={"groups": groups})
        pipeline = make_pipeline(MinMaxScaler(), detector())
        assert_as_plain(X, y, pipeline, {"vaedetector__beta": [0.1, 1.0]}, scoring="roc_auc")


def test_global_generators_are_neither_read_nor_changed(X):
    before = repr(np.random.get_state())
    StackedGridSearchCV(detector(), GRID, cv=2).fit(X)
    assert repr(np.random.get_state()) == before


# -- several processes ----------------------------------------------------------------------

LABELLED = {"cv": 2, "scoring": "roc_auc"}


def equal_scores(one, other):
    assert list(one.cv_results_) == list(other.cv_results_)
    for name, expected in one.cv_results_.items():
        if "test_score" in name:
            np.testing.assert_array_equal(other.cv_results_[name], expected, name)


def test_several_processes(X, y):
    plain = GridSearchCV(detector(), GRID, **LABELLED).fit(X, y)
    equal_scores(plain, GridSearchCV(detector(), GRID, n_jobs=2, **LABELLED).fit(X, y))
    stacked = StackedGridSearchCV(detector(), GRID, n_jobs=2, **LABELLED).fit(X, y)
    assert_equal_searches(plain, stacked, X)
    pipeline = make_pipeline(MinMaxScaler(), detector())
    grid = {"vaedetector__beta": [0.1, 1.0, -1]}
    plain, _ = quiet_fit(GridSearchCV(pipeline, grid, **LABELLED), X, y)
    stacked, _ = quiet_fit(StackedGridSearchCV(pipeline, grid, n_jobs=2, **LABELLED), X, y)
    assert_equal_searches(plain, stacked, X)


def test_more_processes_than_fits(X):
    one = {"beta": [1.0]}
    plain = GridSearchCV(detector(), one, cv=2).fit(X)
    with joblib.parallel_config(backend="threading"):
        stacked = StackedGridSearchCV(detector(), one, cv=2, n_jobs=5).fit(X)
    assert_equal_searches(plain, stacked, X)


def test_a_parallel_config_around_the_search(X, y):
    plain = GridSearchCV(detector(), GRID, **LABELLED).fit(X, y)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        stacked = StackedGridSearchCV(detector(), GRID, **LABELLED).fit(X, y)
    assert_equal_searches(plain, stacked, X)


@pytest.fixture(scope="module")
def cluster():
    """A local dask cluster of two processes."""
    import distributed

    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **options) as cluster:
        with distributed.Client(cluster) as client:
            yield client


def test_searches_on_a_dask_cluster(X, y, cluster):
    plain = GridSearchCV(detector(), GRID, **LABELLED).fit(X, y)
    with joblib.parallel_config(backend="dask"):
        equal_scores(plain, GridSearchCV(detector(), GRID, **LABELLED).fit(X, y))
        for n_jobs in (None, 2):
            stacked = StackedGridSearchCV(detector(), GRID, n_jobs=n_jobs, **LABELLED).fit(X, y)
            assert_equal_searches(plain, stacked, X)


class Doubled(VAEDetector):
    """A detector whose own ``fit`` does something to the rows."""

    def fit(self, X, y=None):
        return super().fit(2 * X, y)


def test_a_fit_of_ones_own_is_not_passed_by(X):
    params = {"score": "reconstruction", "max_steps": 5, "random_state": 0, "scaler": None}
    detector = Doubled(hidden_layer_sizes=(8,), **params)
    both = [
        search(detector, {"beta": [0.1, 1.0]}, cv=2).fit(X)
        for search in (StackedGridSearchCV, GridSearchCV)
    ]
    ours, plain = (each.cv_results_["mean_test_score"] for each in both)
    np.testing.assert_array_equal(ours, plain)
