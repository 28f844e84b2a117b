"""Signs, labels and contracts between scikit-learn's and PyOD's detectors, both ways."""

import importlib
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

pytest.importorskip("pyod", reason="PyOD interop: pip install skvae[pyod]")

from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.lof import LOF

import skvae
from skvae.interop.pyod import FromPyOD, ToPyOD

# Outliers are in the last five rows.
rng = np.random.default_rng(0)
X = np.vstack([rng.normal(size=(60, 3)), rng.normal(size=(5, 3)) + 8])
Y = np.repeat([1, -1], [60, 5])


def small_vae(**options):
    return skvae.VAEDetector(latent_dim=2, max_steps=20, random_state=0, **options)


# --------------------------------------------------------------------------- FromPyOD


def test_scores_are_pyods_with_scikit_learns_sign():
    ours = FromPyOD(KNN(contamination=0.1)).fit(X)
    theirs = KNN(contamination=0.1).fit(X)
    np.testing.assert_array_equal(ours.anomaly_score(X), theirs.decision_function(X))
    np.testing.assert_array_equal(ours.score_samples(X), -theirs.decision_function(X))
    np.testing.assert_array_equal(ours.training_scores_, theirs.decision_scores_)
    assert ours.threshold_ == theirs.threshold_ == -ours.offset_
    np.testing.assert_array_equal(
        ours.decision_function(X), theirs.threshold_ - theirs.decision_function(X)
    )
    np.testing.assert_array_equal(ours.predict(X), 1 - 2 * theirs.predict(X))
    assert (ours.predict(X)[60:] == -1).all()
    assert (ours.decision_function(X)[60:] < 0).all()


def test_a_row_is_no_neighbour_of_itself_in_the_training_scores():
    grid = np.arange(10.0).reshape(-1, 1)
    detector = FromPyOD(KNN(n_neighbors=1)).fit(grid)
    np.testing.assert_array_equal(detector.training_scores_, np.ones(10))
    np.testing.assert_array_equal(detector.anomaly_score(grid), np.zeros(10))


def test_the_given_detector_is_left_alone_and_parameters_are_nested():
    inner = KNN(n_neighbors=5)
    detector = FromPyOD(inner)
    assert detector.get_params()["detector__n_neighbors"] == 5
    copy = clone(detector).set_params(detector__n_neighbors=7).fit(X)
    assert inner.n_neighbors == 5
    assert not hasattr(inner, "decision_scores_")
    assert copy.detector_.n_neighbors == 7
    search = GridSearchCV(detector, {"detector__n_neighbors": [1, 3]}, scoring="roc_auc", cv=2)
    order = np.random.default_rng(0).permutation(len(X))
    assert search.fit(X[order], Y[order]).best_score_ == 1.0


def test_frames_pipelines_and_pickle():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    detector = FromPyOD(ECOD()).fit(frame)
    assert list(detector.feature_names_in_) == ["a", "b", "c"]
    assert detector.n_features_in_ == 3
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score_samples(frame), detector.score_samples(frame))
    pipeline = make_pipeline(StandardScaler(), FromPyOD(LOF())).fit(X)
    assert (pipeline.predict(X)[60:] == -1).all()


def test_same_seed_same_scores_and_refit():
    detector = FromPyOD(IForest(n_estimators=10, random_state=0))
    first = detector.fit(X).score_samples(X)
    np.testing.assert_array_equal(first, detector.fit(X).score_samples(X))
    np.testing.assert_array_equal(first, clone(detector).fit(X).score_samples(X))


@pytest.mark.parametrize("wrong", [IsolationForest(), KNN, "KNN", None])
def test_what_is_no_pyod_detector(wrong):
    with pytest.raises(TypeError, match="detector must be an instance of a PyOD detector"):
        FromPyOD(wrong).fit(X)


def test_bad_input_is_scikit_learns_error():
    detector = FromPyOD(ECOD()).fit(X)
    with pytest.raises(ValueError, match="2 features, but FromPyOD is expecting 3"):
        detector.predict(X[:, :2])
    with pytest.raises(ValueError, match="contains NaN"):
        FromPyOD(ECOD()).fit([[np.nan], [1.0]])


# --------------------------------------------------------------------------- ToPyOD


def test_scores_are_ours_with_pyods_sign():
    inner = IsolationForest(n_estimators=20, random_state=0)
    detector = ToPyOD(inner, contamination=5 / 65).fit(X)
    scores = -clone(inner).fit(X).score_samples(X)
    np.testing.assert_array_equal(detector.decision_scores_, scores)
    np.testing.assert_array_equal(detector.decision_function(X), scores)
    assert detector.threshold_ == np.percentile(scores, 100 * (1 - 5 / 65))
    np.testing.assert_array_equal(detector.labels_, (Y == -1).astype(int))
    np.testing.assert_array_equal(detector.predict(X), detector.labels_)
    proba = detector.predict_proba(X)
    assert proba.shape == (65, 2)
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    np.testing.assert_allclose(proba[:, 1], scaled)
    assert detector.predict_proba(X, method="unify")[60:, 1].min() > 0.5
    labels, confidence = detector.predict(X, return_confidence=True)
    assert labels.shape == confidence.shape == (65,)
    assert not hasattr(inner, "estimators_")


def test_a_vae_as_a_pyod_detector():
    inner = small_vae()
    detector = ToPyOD(inner, contamination=0.1).fit(X)
    np.testing.assert_array_equal(
        detector.decision_function(X), clone(inner).fit(X).anomaly_score(X)
    )
    assert detector.labels_.sum() == 7
    assert (detector.predict(X)[60:] == 1).all()


def test_round_trip_gives_the_same_scores():
    inner = IsolationForest(n_estimators=10, random_state=0)
    round_trip = FromPyOD(ToPyOD(inner)).fit(X)
    np.testing.assert_array_equal(round_trip.score_samples(X), inner.fit(X).score_samples(X))


def test_parameters_clone_and_refusals():
    detector = ToPyOD(small_vae(), contamination=0.2)
    assert detector.get_params()["detector__latent_dim"] == 2
    copy = clone(detector)
    assert copy.contamination == 0.2
    assert copy.detector is not detector.detector
    with pytest.raises(ValueError, match="contamination must be in"):
        ToPyOD(small_vae(), contamination=0.7)
    with pytest.raises(TypeError, match="with fit and score_samples, such as VAEDetector"):
        ToPyOD(KNN()).fit(X)


@pytest.fixture
def combination():
    pytest.importorskip("combo", reason="PyOD's combination functions: pip install combo")
    return importlib.import_module("pyod.models.combination")


def test_pyods_combination_functions(combination):
    detectors = [ToPyOD(IsolationForest(n_estimators=10, random_state=s)).fit(X) for s in (0, 1)]
    detectors.append(KNN().fit(X))
    scores = StandardScaler().fit_transform(np.c_[[d.decision_scores_ for d in detectors]].T)
    np.testing.assert_allclose(combination.average(scores), scores.mean(axis=1))
    np.testing.assert_allclose(combination.maximization(scores), scores.max(axis=1))
    labels = np.c_[[d.labels_ for d in detectors]].T
    np.testing.assert_array_equal(combination.majority_vote(labels)[60:], np.ones(5))


@pytest.mark.filterwarnings("ignore")  # of suod and its dependencies, not of skvae
def test_suod_takes_a_vae():
    pytest.importorskip("suod", reason="SUOD: pip install suod")
    from pyod.models.suod import SUOD

    ensemble = SUOD(
        base_estimators=[ToPyOD(small_vae()), KNN(), IForest(n_estimators=5)],
        n_jobs=1,
        rp_flag_global=False,
        approx_flag_global=False,
        bps_flag=False,
    ).fit(X)
    assert (ensemble.predict(X)[60:] == 1).all()
    assert ensemble.decision_scores_.shape == (65,)


# --------------------------------------------------------------------------- contracts


@pytest.mark.parametrize(
    "inner", [IForest(n_estimators=5, random_state=0), KNN(), LOF(n_neighbors=5)]
)
def test_scikit_learns_checks(inner):
    results = check_estimator(FromPyOD(inner), on_skip=None)
    assert sum(result["status"] == "passed" for result in results) >= 40


def test_a_missing_pyod_names_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyod", None)
    monkeypatch.delitem(sys.modules, "skvae.interop.pyod")
    with pytest.raises(ImportError, match=r'pip install "skvae\[pyod\]"'):
        importlib.import_module("skvae.interop.pyod")


def test_the_package_of_adapters_imports_none():
    import skvae.interop

    assert "BaseDetector" not in vars(skvae.interop)
