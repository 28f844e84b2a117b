import math
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, f1_score, get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import AEDetector, metrics
from skvae.metrics import anomaly_labels

SCORERS = [metrics.roc_auc, metrics.average_precision, metrics.f1]


def detector(**params):
    params = {"score": "reconstruction", **params}
    return AEDetector(hidden_layer_sizes=(8,), latent_dim=2, max_steps=15, random_state=0, **params)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(160, 4))
    is_anomaly = np.zeros(160, dtype=bool)
    is_anomaly[rng.choice(160, 24, replace=False)] = True
    X[is_anomaly] += rng.normal(1, 1, size=(24, 4))  # overlapping: a perfect AUC proves little
    return X, is_anomaly


@pytest.fixture(scope="module")
def fitted(data):
    return detector().fit(data[0])


def labellings(is_anomaly):
    return {
        "bool": is_anomaly,
        "01": is_anomaly.astype(int),
        "+-1": np.where(is_anomaly, -1, 1),
        "float": np.where(is_anomaly, -1.0, 1.0),
        "series": pd.Series(is_anomaly.astype(int)),
        "list": is_anomaly.astype(int).tolist(),
    }


# -- labels -------------------------------------------------------------------------------------


def test_every_labelling_says_the_same(data):
    for name, y in labellings(data[1]).items():
        labels = anomaly_labels(y)
        assert labels.dtype == bool, name
        np.testing.assert_array_equal(labels, data[1], err_msg=name)


@pytest.mark.parametrize(
    "y, expected", [([0, 0], False), ([-1, -1], True), ([True, True], True), ([False], False)]
)
def test_one_class_where_it_can_be_told(y, expected):
    assert (anomaly_labels(y) == expected).all()


def test_labels_are_a_copy():
    y = np.array([True, False])
    anomaly_labels(y)[0] = False
    assert y[0]


@pytest.mark.parametrize(
    "y, found",
    [
        ([1, 1, 1], "nothing but 1"),
        ([-1, 0, 1], "3 distinct values: -1, 0, 1"),
        ([-1, 0], "-1, 0"),
        ([0, 1, 2], "0, 1, 2"),
        ([0, 2], "0, 2"),
        ([0.5, 1.0], "0.5, 1.0"),
        ([0.0, np.nan], "nan"),
        (["normal", "anomaly"], "anomaly, normal"),
        (np.arange(9), "9 distinct values: 0, 1, 2, 3, 4, ..."),
        ([], "0 distinct"),
        ([[0, 1], [1, 0]], "1d array"),
    ],
)
def test_ambiguous_and_bad_labels_raise(y, found):
    with pytest.raises(ValueError) as raised:
        anomaly_labels(y)
    assert found in str(raised.value)


# -- scorers ------------------------------------------------------------------------------------


def test_values_are_scikit_learns(data, fitted):
    X, is_anomaly = data
    score = fitted.anomaly_score(X)
    auc = metrics.roc_auc(fitted, X, is_anomaly)
    assert auc == roc_auc_score(is_anomaly, score)
    assert 0.55 < auc < 0.999
    expected = average_precision_score(is_anomaly, score)
    assert metrics.average_precision(fitted, X, is_anomaly) == expected
    assert metrics.f1(fitted, X, is_anomaly) == f1_score(is_anomaly, fitted.predict(X) == -1)
    assert fitted.score(X, is_anomaly) == auc


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda f: f.__name__)
def test_both_labellings_score_the_same(data, fitted, scorer):
    X, is_anomaly = data
    values = {scorer(fitted, X, y) for y in labellings(is_anomaly).values()}
    assert len(values) == 1
    assert isinstance(values.pop(), float)


def test_plain_roc_auc_of_scikit_learn_is_inverted_for_01(data, fitted):
    X, is_anomaly = data
    plain, ours = get_scorer("roc_auc"), metrics.roc_auc(fitted, X, is_anomaly)
    assert plain(fitted, X, np.where(is_anomaly, -1, 1)) == pytest.approx(ours)
    assert plain(fitted, X, is_anomaly.astype(int)) == pytest.approx(1 - ours)


@pytest.mark.parametrize("scorer", SCORERS[:2], ids=lambda f: f.__name__)
@pytest.mark.parametrize("value", [0, 1, -1, True, False])
def test_one_class_gives_nan(data, fitted, scorer, value):
    X, _ = data
    with pytest.warns(UndefinedMetricWarning, match=f"{scorer.__name__} needs both classes"):
        assert math.isnan(scorer(fitted, X, np.full(len(X), value)))
    with pytest.warns(UndefinedMetricWarning, match="needs both classes"):
        assert math.isnan(fitted.score(X, np.full(len(X), value)))


def test_f1_where_nothing_is_found(data):
    X, is_anomaly = data
    silent = detector(threshold=1e9).fit(X)
    assert metrics.f1(silent, X, is_anomaly) == 0.0
    for one_class in (np.zeros(len(X)), np.ones(len(X))):
        with pytest.warns(UndefinedMetricWarning, match="f1 needs both classes"):
            assert np.isnan(metrics.f1(silent, X, one_class))


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda f: f.__name__)
def test_bad_labels_raise(data, fitted, scorer):
    with pytest.raises(ValueError, match="y must hold"):
        scorer(fitted, data[0], np.arange(len(data[0])))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        scorer(fitted, data[0], [0, 1])


def test_score_without_labels_is_the_mean(data, fitted):
    X, _ = data
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean())
    with pytest.warns(UserWarning, match="y must hold.*returns the mean score"):
        assert fitted.score(X, np.arange(len(X))) == fitted.score(X)


# -- in the hands of scikit-learn ---------------------------------------------------------------

GRID = {"latent_dim": [1, 3]}


@pytest.mark.parametrize("scorer", [*SCORERS, None], ids=lambda f: getattr(f, "__name__", "own"))
def test_grid_search_is_the_same_for_both_labellings(data, scorer):
    X, is_anomaly = data
    results = []
    for y in (is_anomaly.astype(int), np.where(is_anomaly, -1, 1)):
        search = GridSearchCV(detector(), GRID, scoring=scorer, cv=2, error_score="raise")
        results.append(search.fit(X, y).cv_results_["mean_test_score"])
    np.testing.assert_array_equal(results[0], results[1])
    assert np.isfinite(results[0]).all()


def test_grid_search_without_labels(data):
    search = GridSearchCV(detector(), GRID, cv=2, error_score="raise").fit(data[0])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda f: f.__name__)
def test_scorers_take_a_pipeline(data, scorer):
    X, is_anomaly = data
    pipeline = make_pipeline(MinMaxScaler(), detector(scaler=None)).fit(X)
    assert 0 < scorer(pipeline, X, is_anomaly) <= 1


@pytest.mark.parametrize("labels", [(0, 1), (1, -1)], ids=["01", "+-1"])
def test_a_fold_without_anomalies_does_not_fail_the_search(data, labels):
    # Sorted rows, no shuffling: the second half, and so the training of the first fold, is normal.
    X, is_anomaly = data
    order = np.argsort(~is_anomaly, kind="stable")
    y = np.where(is_anomaly, labels[1], labels[0])[order]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the fallback of F1, and nan, say so
        scores = cross_val_score(
            detector(threshold="f1"),
            X[order],
            y,
            cv=2,
            scoring=metrics.roc_auc,
            error_score="raise",
        )
    assert np.isfinite(scores).tolist() == [True, False]
