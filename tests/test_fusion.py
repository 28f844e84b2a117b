"""FusionDetector: tails against closed forms, columns as of ColumnTransformer, the contract."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.compose import make_column_selector
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

import skvae
from skvae import AEDetector, ConvAEDetector, FusionDetector, MixedVAEDetector, VAEDetector
from skvae.detectors.fusion import Tail
from skvae.plotting import ErrorMapDisplay, ScoreHistogramDisplay

TINY = {"max_steps": 3, "hidden_layer_sizes": (4,), "random_state": 0}


class Sum(OutlierMixin, BaseEstimator):
    """The larger the sum of a row, the more anomalous; keeps what it was fitted on."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y=None):
        self.X_, self.y_ = X, y
        return self

    def score_samples(self, X):
        return -self.factor * np.asarray(X, dtype=float).sum(1)


def fusion(**params):
    return FusionDetector([("a", Sum(), [0, 1]), ("b", Sum(100), [2])], **params)


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).rand(200, 3)


# -- scikit-learn's contract ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:y must hold:UserWarning")
@pytest.mark.parametrize(
    "parts",
    [
        [IsolationForest(n_estimators=5, random_state=0)],
        [AEDetector(**TINY), IsolationForest(n_estimators=5, random_state=0)],
    ],
    ids=len,
)
def test_check_estimator_without_an_expected_failure(parts):
    detectors = [(f"part {i}", part, slice(None)) for i, part in enumerate(parts)]
    results = check_estimator(FusionDetector(detectors), expected_failed_checks=None, on_skip=None)
    status = [result["status"] for result in results]
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}, "it wants an environment variable"
    assert status.count("passed") >= 45 and set(status) <= {"passed", "skipped"}


def test_check_param_validation():
    check_param_validation("FusionDetector", fusion())


def test_signs_and_labels(X):
    detector = fusion(contamination=0.1).fit(X)
    score = detector.anomaly_score(X)
    assert score.dtype == np.float64
    np.testing.assert_array_equal(detector.score_samples(X), -score)
    np.testing.assert_array_equal(detector.predict(X) == -1, score > detector.threshold_)
    assert (detector.predict(X) == -1).sum() == 20
    assert detector.score(X, score > np.median(score)) == 1 and detector.score(X) == -score.mean()


def test_parameters_by_name(X):
    inner = Sum()
    detector = FusionDetector([("a", inner, [0]), ("b", Sum(), [1])]).set_params(a__factor=3.0)
    assert detector.get_params()["a__factor"] == 3.0 and detector.get_params()["a"].factor == 3.0
    detector.set_params(b=IsolationForest(n_estimators=3))
    assert detector.detectors[1][2] == [1] and clone(detector).get_params()["b__n_estimators"] == 3
    detector.fit(X)
    assert not hasattr(inner, "X_") and detector.named_detectors_.a.X_.shape == (200, 1)
    assert set(detector.get_params(deep=False)) >= {"detectors", "threshold"}


# -- tails -----------------------------------------------------------------------------------


def test_tail_of_twenty_scores():
    tail = Tail.of(np.random.RandomState(0).permutation(np.arange(1.0, 21)))
    assert (tail.n, tail.start, tail.scale) == (20, 18, 1.5)
    p = np.exp(-tail(np.array([-5, 1, 1.5, 17, 18, 19.5, 18 + 150])))
    expected = [1, 1, 20 / 21, 5 / 21, 4 / 21, 4 / 21 / np.e, 4 / 21 * np.exp(-100)]
    np.testing.assert_allclose(p, expected)


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60),
    new=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=20),
)
@settings(deadline=None)
def test_tails_are_finite_and_rise(scores, new):
    values = Tail.of(np.array(scores))(np.sort(np.array(new)))
    assert np.isfinite(values).all() and (values >= 0).all() and (np.diff(values) >= 0).all()


def test_tails_do_not_depend_on_units():
    rng = np.random.RandomState(0)
    scores, new = rng.randn(300), 4 * rng.randn(50)
    expected = Tail.of(scores)(new)
    np.testing.assert_allclose(Tail.of(7 * scores - 3)(7 * new - 3), expected, rtol=1e-9)


def test_of_independent_parts_the_score_is_chi_squared():
    rng = np.random.RandomState(0)
    detector = fusion(calibration_fraction=0.9, random_state=0).fit(rng.randn(20_000, 3))
    twice = 2 * detector.anomaly_score(rng.randn(20_000, 3))
    for alpha in (0.5, 0.1, 0.01):
        assert np.mean(twice > chi2(4).isf(alpha)) == pytest.approx(alpha, rel=0.15)


def test_parts_that_are_constant(X):
    detector = fusion().fit(X * [1, 1, 0])
    shares = detector.shares(X * [1, 1, 0])
    assert (shares["b"] == 0).all()
    assert detector.shares([[0, 0, 1.0]])["b"].item() == pytest.approx(100)


def test_one_very_anomalous_part_shows(X):
    detector = fusion().fit(X)
    rows = X[:3].copy()
    rows[1, 2], rows[2, 0] = 50, 50
    shares = detector.shares(pd.DataFrame(rows, index=list("xyz")))
    assert list(shares.index) == list("xyz") and list(shares.columns) == ["a", "b"]
    np.testing.assert_allclose(shares.sum(axis=1), detector.anomaly_score(rows), rtol=1e-12)
    assert shares.loc["y", "b"] > 50 and shares.loc["z", "a"] > 50
    assert detector.predict(rows).tolist()[1:] == [-1, -1]


# -- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "columns, positions",
    [
        ("b", [1]),
        (["c", "a"], [2, 0]),
        (1, [1]),
        ([-1], [2]),
        (slice(1, None), [1, 2]),
        (slice("a", "b"), [0, 1]),
        (slice(None), [0, 1, 2]),
        ([True, False, True], [0, 2]),
        (make_column_selector(pattern="[bc]"), [1, 2]),
        (lambda frame: ["a"], [0]),
    ],
)
def test_columns_as_in_column_transformer(X, columns, positions):
    frame = pd.DataFrame(X, columns=list("abc"))
    detector = FusionDetector([("part", Sum(), columns)]).fit(frame)
    assert detector.detectors_[0][2] == positions
    pd.testing.assert_frame_equal(detector.detectors_[0][1].X_, frame.iloc[:, positions])


@pytest.mark.parametrize(
    "detectors, message",
    [
        ([], "must be a list of .* tuples, one at least"),
        ([("a", Sum())], "must be a list of .* tuples"),
        ([("a", Sum(), [0]), ("a", Sum(), [1])], "Names provided are not unique"),
        ([("a__b", Sum(), [0])], "must not contain __"),
        ([("a", StandardScaler(), [0])], "detector 'a', .* has no score_samples"),
        ([("a", LocalOutlierFactor(), [0])], "novelty=True"),
        ([("a", Sum, [0])], "has no score_samples"),
        ([("a", Sum(), [7])], "the columns of 'a', .*must be in"),
        ([("a", Sum(), ["x"])], "the columns of 'a'"),
        ([("a", Sum(), [])], "chooses nothing"),
    ],
)
def test_detectors_that_are_none(X, detectors, message):
    with pytest.raises(ValueError, match=message):
        FusionDetector(detectors).fit(X)


def test_a_failed_fit_leaves_the_fitted_detector_whole(X):
    detector = fusion().fit(X)
    expected = detector.anomaly_score(X)
    with pytest.raises(ValueError, match="the columns of 'b'"):
        detector.fit(X[:, :2])
    np.testing.assert_array_equal(detector.anomaly_score(X), expected)


# -- calibration -----------------------------------------------------------------------------


def test_rows_held_out_are_of_three_kinds(X):
    detector = fusion(calibration_fraction=0.2, random_state=0).fit(X, np.arange(200))
    seen = detector.detectors_[0][1]
    assert len(seen.X_) == 160 and (seen.y_[:-1] < seen.y_[1:]).all()
    np.testing.assert_array_equal(seen.X_, X[seen.y_][:, :2])
    assert detector._tails[0].n == 20 and len(detector.calibration_scores_) == 20
    assert detector.calibration_is_held_out_
    assert fusion(threshold="conformal").fit(X).p_values(X).min() > 0
    with pytest.raises(ValueError, match="holds out 1 of 3 rows"):
        fusion(calibration_fraction=0.2).fit(X[:3])
    with pytest.raises(ValueError, match="threshold='f1' needs labels"):
        fusion(threshold="f1").fit(X)


def test_f1(X):
    rows = np.r_[X, X[:20] + 5]
    y = np.arange(220) >= 200
    detector = fusion(threshold="f1").fit(rows, y)
    np.testing.assert_array_equal(detector.predict(rows) == -1, y)


# -- with the rest ----------------------------------------------------------------------------


def images_and_table(n, seed=0):
    rng = np.random.RandomState(seed)
    pixels = pd.DataFrame(rng.rand(n, 64), columns=[f"pixel {i}" for i in range(64)])
    pixels["kind"] = rng.choice(["x", "y"], n)
    pixels["size"] = np.where(rng.rand(n) < 0.1, np.nan, rng.randn(n))
    return pixels


def test_images_beside_a_table(tmp_path):
    frame = images_and_table(60)
    image = ConvAEDetector(image_shape=(8, 8), **TINY, channels=(2,), score="reconstruction")
    parts = [
        ("image", image, slice(0, 64)),
        ("row", MixedVAEDetector(**TINY), ["kind", "size"]),
        ("numbers", AEDetector(**TINY), make_column_selector("pixel [01]$")),
    ]
    with pytest.raises(ValueError, match=r"cannot be stored in a model file: detectors\.2\.2"):
        skvae.save(FusionDetector(parts).fit(frame), tmp_path / "model")
    detector = FusionDetector(parts[:2], calibration_fraction=0.5, random_state=0).fit(frame)
    odd = frame.head(4).assign(kind="z")
    assert (detector.shares(odd)["row"] > detector.shares(frame.head(4))["row"]).all()
    expected = detector.shares(odd)
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    assert repr(loaded) == repr(detector) and not hasattr(loaded.detectors[0][1], "net_")
    for other in (loaded, pickle.loads(pickle.dumps(detector)), clone(loaded).fit(frame)):
        pd.testing.assert_frame_equal(other.shares(odd), expected)
        np.testing.assert_array_equal(other.predict(frame), detector.predict(frame))


def test_only_detectors_of_the_package_are_stored(X, tmp_path):
    with pytest.raises(ValueError, match="FusionDetector .* holds Sum"):
        skvae.save(fusion().fit(X), tmp_path / "model")


def test_pipeline_and_displays(X):
    detector = make_pipeline(StandardScaler(), fusion()).fit(X)
    ScoreHistogramDisplay.from_estimator(detector, X)
    shares = fusion().fit(X).shares(X[:3])
    assert ErrorMapDisplay.from_predictions(shares).feature_names == ["a", "b"]


def test_fusion_sees_what_either_part_sees():
    rng = np.random.RandomState(0)
    factors = rng.randn(2, 2, 5)

    def table(n):
        return np.hstack([rng.randn(n, 2) @ each + 0.1 * rng.randn(n, 5) for each in factors])

    X_new = table(200)
    X_new[:40, 2] += 4
    X_new[40:80, 7] += 4
    parts = [
        (f"half {i}", VAEDetector(random_state=0, contamination=0, max_steps=300), columns)
        for i, columns in enumerate([slice(0, 5), slice(5, 10)])
    ]
    detector = FusionDetector(parts, calibration_fraction=0.2, random_state=0).fit(table(600))
    assert detector.score(X_new, np.arange(200) < 80) > 0.97
    assert (detector.shares(X_new[:80]).idxmax(axis=1) == "half 0").to_numpy()[:40].mean() > 0.9
