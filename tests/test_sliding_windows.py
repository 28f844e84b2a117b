"""SlidingWindowDetector: scores of points against closed forms, gaps, streams, any detector."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

import skvae
from skvae import Conv1dVAEDetector, SlidingWindowDetector, VAEDetector
from skvae.datasets import make_time_series

TINY = {"max_steps": 5, "hidden_layer_sizes": (8,), "random_state": 0}


class Level(OutlierMixin, BaseEstimator):
    """The higher a window on average, the more anomalous; keeps what it was fitted on."""

    def fit(self, X, y=None):
        self.X_ = X
        return self

    def score_samples(self, X):
        return -X.reshape(len(X), -1).mean(1)


class LevelOfSeries(Level):
    """The same for windows of shape (n, channels, window), with an error map."""

    def error_map(self, X):
        return X**2

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return np.sin(0.5 * np.arange(200)) + 0.1 * rng.randn(200)


@pytest.fixture(scope="module")
def two(X):
    """A series of two channels."""
    return np.column_stack([X, np.roll(X, 3)])


def small(detector=None, window=4, step=1, **params):
    return SlidingWindowDetector(Level() if detector is None else detector, window, step, **params)


def means(X, window):
    """Mean of each window of a series of one channel."""
    return np.lib.stride_tricks.sliding_window_view(X, window).mean(1)


# -- scikit-learn's contract ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:y must hold:UserWarning")
@pytest.mark.parametrize(("window", "causal"), [(1, False), (1, True), (3, False)])
def test_check_estimator(window, causal):
    expected = {"check_fit1d": "a series of one channel may have one axis"}
    if window > 1:
        beside = "the rows of X are points in time, and are scored by the points beside them"
        expected["check_methods_subset_invariance"] = beside
        expected["check_methods_sample_order_invariance"] = beside
    forest = IsolationForest(n_estimators=5, random_state=0)
    estimator = small(forest, window, causal=causal)
    results = check_estimator(estimator, expected_failed_checks=expected, on_skip=None)
    status = [result["status"] for result in results]
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}, "it wants an environment variable"
    failed = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert failed == set(expected)
    assert status.count("passed") >= 40 and set(status) <= {"passed", "skipped", "xfail"}


def test_check_param_validation():
    check_param_validation("SlidingWindowDetector", small())


def test_signs_and_labels(X):
    detector = small().fit(X)
    score = detector.anomaly_score(X)
    assert score.dtype == np.float64 and score.shape == X.shape
    np.testing.assert_array_equal(detector.score_samples(X), -score)
    np.testing.assert_array_equal(detector.predict(X) == -1, score > detector.threshold_)
    assert (detector.predict(X) == -1).sum() == 10, "percentile 95"
    assert detector.score(X, score > np.median(score)) == 1
    assert detector.score(X) == -score.mean()


def test_parameters_of_the_detector_are_reached_and_it_is_not_changed(X):
    inner = VAEDetector(**TINY)
    detector = small(inner).set_params(detector__max_steps=2).fit(X)
    assert detector.detector_.n_steps_ == 2 and not hasattr(inner, "net_")
    assert clone(detector).get_params()["detector__max_steps"] == 2


# -- windows and scores ----------------------------------------------------------------------


def test_a_point_has_the_mean_of_the_windows_that_hold_it(X):
    by_window = means(X, 4)
    expected = [by_window[max(0, t - 3) : t + 1].mean() for t in range(len(X))]
    np.testing.assert_allclose(small().fit(X).anomaly_score(X), expected)


def test_a_causal_score_is_that_of_the_window_that_ends_at_the_point(X):
    scores = small(step=3, causal=True).fit(X).anomaly_score(X)
    assert np.isnan(scores[:3]).all(), "the warm-up"
    np.testing.assert_allclose(scores[3:], means(X, 4))


def test_steps_reach_the_end(X):
    series = X[:10]
    by_window = means(series, 4)
    expected = np.zeros((3, 10))
    for row, start in zip(expected, (0, 4, 6), strict=True):
        row[start : start + 4] = 1
    counts = expected.sum(0)
    expected = (expected * by_window[[0, 4, 6], None]).sum(0) / counts
    detector = small(step=4).fit(X)
    assert len(detector.detector_.X_) == 50
    np.testing.assert_allclose(detector.anomaly_score(series), expected)


def test_a_map_is_the_mean_of_the_windows_maps(two):
    detector = small(LevelOfSeries()).fit(two)
    assert detector.detector_.X_.shape == (197, 2, 4)
    np.testing.assert_array_equal(detector.detector_.X_[7], two[7:11].T)
    np.testing.assert_allclose(detector.error_map(two), two**2)
    one = small(LevelOfSeries()).fit(two[:, 0])
    np.testing.assert_allclose(one.error_map(two[:, 0]), two[:, 0] ** 2)
    # Without maps of windows no channel is told from another.
    rows = small().fit(two)
    assert rows.detector_.X_.shape == (197, 8)
    np.testing.assert_array_equal(rows.error_map(two), rows.anomaly_score(two)[:, None] + [[0, 0]])
    with_gap = np.r_[two, [[np.nan, 1]], two[:2]]
    assert np.isnan(rows.error_map(with_gap)[200:]).all()
    assert np.isnan(rows.error_map(two[:3])).all()


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    gaps=st.sets(st.integers(0, 29), max_size=6),
    window=st.integers(1, 6),
    step=st.integers(1, 6),
    causal=st.booleans(),
)
def test_a_point_has_a_score_where_a_whole_window_holds_it(n, gaps, window, step, causal):
    X = np.random.RandomState(0).randn(60)
    detector = small(window=window, step=min(step, window), causal=causal).fit(X)
    series = X[:n].copy()
    series[[gap for gap in gaps if gap < n]] = np.nan
    is_full = [not np.isnan(series[t : t + window]).any() for t in range(n - window + 1)]
    starts = np.flatnonzero(is_full)
    expected = np.zeros(n, bool)
    for start in starts:
        expected[start + window - 1 if causal else slice(start, start + window)] = True
    scores = detector.anomaly_score(series)
    np.testing.assert_array_equal(~np.isnan(scores), expected)
    assert set(detector.predict(series)[~expected]) <= {1}


def test_stretches_between_gaps_are_scored_as_if_alone(X):
    detector = small(step=3).fit(X)
    expected = detector.anomaly_score(X[:50]), detector.anomaly_score(X[50:90])
    scores = detector.anomaly_score(np.r_[X[:50], np.nan, X[50:90]])
    np.testing.assert_array_equal(scores, np.r_[expected[0], np.nan, expected[1]])


def test_several_series_are_learned_and_no_window_is_of_two(X, two):
    parts = [X[:50], X[50:53], X[53:120]]
    detector = small().fit(parts)
    windows = [
        np.lib.stride_tricks.sliding_window_view(X[part], 4) for part in (slice(50), slice(53, 120))
    ]
    np.testing.assert_array_equal(detector.detector_.X_, np.concatenate(windows))
    assert len(detector.calibration_scores_) == 117
    y = [np.zeros(50), np.zeros(3), np.arange(67) > 60]
    assert small(threshold="f1").fit(parts, y).threshold_ > 0
    frames = [pd.DataFrame(part, columns=["a", "b"]) for part in (two[:50], two[50:])]
    assert list(small().fit(frames).feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="X is a list of series, which only fit takes"):
        detector.predict(parts)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        small(threshold="f1").fit(parts, y[:2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        small(threshold="f1").fit(parts, y[::-1])


def test_lists_and_series_of_pandas_are_series(X):
    expected = small().fit(X).anomaly_score(X)
    index = pd.date_range("2026-01-01", periods=200, freq="h")
    for other in (X.tolist(), X[:, None], X[:, None].tolist(), pd.Series(X, index=index)):
        np.testing.assert_array_equal(small().fit(other).anomaly_score(other), expected)


def test_few_windows_are_in_memory_at_once(two, monkeypatch):
    detector = small(LevelOfSeries()).fit(two)
    scores, maps = detector.anomaly_score(two), detector.error_map(two)
    seen, score_samples = [], LevelOfSeries.score_samples
    monkeypatch.setattr(
        LevelOfSeries, "score_samples", lambda d, X: seen.append(len(X)) or score_samples(d, X)
    )
    monkeypatch.setattr("skvae.detectors.sliding_windows.BYTES_AT_ONCE", 7 * 8 * 4 * 2)
    np.testing.assert_allclose(detector.anomaly_score(two), scores, rtol=1e-12)
    np.testing.assert_allclose(detector.error_map(two), maps, rtol=1e-12)
    assert max(seen) == 7


# -- streams ---------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=8), seed=st.integers(0, 9))
def test_a_stream_has_the_bits_of_the_whole(streaming, cuts, seed):
    detector, series = streaming
    gaps = np.random.RandomState(seed).randint(0, 120, 2)
    series = series.copy()
    series[gaps, 0] = np.nan
    expected = detector.anomaly_score(series)
    edges = [0, *sorted(cuts), 120]
    detector.reset_stream()
    parts = [
        detector.score_new(series[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True) if b > a
    ]
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@pytest.fixture(scope="module", params=[VAEDetector, Conv1dVAEDetector])
def streaming(request, two):
    return small(request.param(**TINY), 8, 2, causal=True).fit(two), two[:120].astype(np.float32)


def test_a_stream_goes_on_in_a_copy(X, tmp_path):
    detector = small(Conv1dVAEDetector(**TINY), 8, causal=True).fit(X)
    expected = detector.anomaly_score(X)
    detector.score_new(X[:50])
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    for copy in (pickle.loads(pickle.dumps(detector)), loaded, detector):
        np.testing.assert_array_equal(copy.score_new(X[50:]), expected[50:])
    assert np.isnan(detector.reset_stream().score_new(X[50:57])).all()
    detector.score_new(X[57:60])
    assert np.isnan(detector.fit(X).score_new(X[60:67])).all(), "a fit begins anew"


def test_windows_of_one_point_need_no_memory(X):
    detector = small(window=1, causal=True).fit(X)
    np.testing.assert_array_equal(detector.score_new(X[:5]), X[:5])
    assert detector._recent.shape == (0, 1)


def test_streams_are_causal(X):
    detector = small().fit(X)
    with pytest.raises(ValueError, match="score_new needs causal=True"):
        detector.score_new(X[:5])
    detector.set_params(causal=True).set_threshold("percentile", X, percentile=90)
    assert np.isfinite(detector.score_new(X[:5])[3:]).all()
    assert detector.threshold_ == pytest.approx(np.quantile(means(X, 4), 0.9), abs=0.05)


# -- the same bits ---------------------------------------------------------------------------


@pytest.mark.parametrize("model", [VAEDetector, Conv1dVAEDetector])
def test_copies_score_alike(two, model, tmp_path):
    detector = small(model(**TINY), 8, 3, calibration_fraction=0.2).fit(two)
    expected = detector.anomaly_score(two)
    np.testing.assert_array_equal(clone(detector).fit(two).anomaly_score(two), expected)
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    assert set(vars(loaded)) == set(vars(detector)) and repr(loaded) == repr(detector)
    for copy in (pickle.loads(pickle.dumps(detector)), loaded):
        np.testing.assert_array_equal(copy.anomaly_score(two), expected)
        np.testing.assert_array_equal(copy.error_map(two), detector.error_map(two))
        np.testing.assert_array_equal(copy.p_values(two), detector.p_values(two))
    detector._recent = np.zeros((8, 2))
    skvae.save(detector, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="it has no _recent that a SlidingWindowDetector can"):
        skvae.load(tmp_path / "model.safetensors")


# -- thresholds ------------------------------------------------------------------------------


def test_the_last_points_are_held_out(X):
    detector = small(threshold="conformal", percentile=80).fit(X)
    assert len(detector.detector_.X_) == 157 and len(detector.calibration_scores_) == 40
    assert detector.calibration_is_held_out_
    p_values = detector.p_values(np.r_[X, np.nan])
    assert np.isnan(p_values[-1]) and (p_values[:-1] > 0).all()
    with pytest.raises(ValueError, match="needs scores of rows that were not trained on"):
        small().fit(X).p_values(X)


def test_points_without_a_score_have_no_say(X):
    gappy = np.r_[X, np.full(50, np.nan)]
    detector, plain = (small(contamination=0.1).fit(series) for series in (gappy, X))
    assert detector.threshold_ == plain.threshold_
    assert (detector.predict(gappy) == -1).sum() == 20
    y = np.r_[X > 1, np.zeros(50, bool)]
    assert detector.score(gappy, y) == plain.score(X, X > 1)
    assert detector.score(gappy) == plain.score(X)
    f1 = small(threshold="f1").fit(gappy, y)
    assert f1.threshold_ == small(threshold="f1").fit(X, X > 1).threshold_


# -- what it is for --------------------------------------------------------------------------


@pytest.mark.parametrize("model", [VAEDetector, Conv1dVAEDetector])
def test_an_anomaly_has_the_highest_scores_where_it_is(model):
    rng = np.random.RandomState(0)
    t = np.arange(1200)
    X = np.column_stack([np.sin(0.4 * t), np.cos(0.4 * t)]) + 0.05 * rng.randn(1200, 2)
    X[1000:1008, 1] = X[1000, 1]  # one channel stands still
    X[1100, 0] += 1.5  # and the other has a spike
    inner = model(max_steps=200, contamination=0, random_state=0)
    detector = small(inner, 16).fit(X[:900])
    scores = detector.anomaly_score(X[900:])
    assert abs(scores[150:].argmax() + 150 - 200) <= 2
    assert 95 <= scores[:150].argmax() <= 112
    maps = detector.error_map(X[900:])
    assert np.unravel_index(maps[150:].argmax(), (150, 2)) == (50, 0)
    at, channel = np.unravel_index(maps[:150].argmax(), (150, 2))
    assert 100 <= at < 108 and channel == 1


def test_series_of_the_package_are_judged_well():
    normal = list(make_time_series(60, "normal", random_state=0)[0])
    series, _, masks = make_time_series(10, "spike", random_state=1)
    detector = small(IsolationForest(random_state=0), 16, 4).fit(normal)
    areas = [detector.score(x, mask) for x, mask in zip(series, masks, strict=True)]
    assert np.mean(areas) > 0.8


def test_detectors_of_scikit_learn_get_rows(two):
    pipeline = make_pipeline(StandardScaler(), IsolationForest(random_state=0))
    assert np.isfinite(small(pipeline).fit(two).anomaly_score(two)).all()


@pytest.mark.parametrize(
    ("params", "series", "y", "message"),
    [
        ({"step": 5}, None, None, "step=5 leaves points between windows of 4 points"),
        ({"window": 200}, None, None, "X has 1 windows of 200 points .* 200 of its 200 .* 0 of"),
        ({}, np.full(9, np.nan), None, "X has 0 windows of 4 points to train on"),
        ({"threshold": "f1"}, None, None, "threshold='f1' needs labels"),
        ({"threshold": "f1"}, None, [0, 1], "inconsistent numbers of samples"),
        ({"calibration_fraction": 0.99}, None, None, "X has 0 windows"),
        ({"calibration_fraction": 0.01}, None, None, "No point has a score that a threshold"),
        ({"threshold": "conformal", "calibration_fraction": 0}, None, None, "None holds out 20 %"),
        ({"detector": StandardScaler()}, None, None, "'detector' parameter"),
        ({}, np.r_[np.zeros(20), np.inf], None, "infinity"),
        ({}, np.zeros((4, 5, 6)), None, "dim 3"),
        ({}, 7.0, None, "got scalar array"),
    ],
)
def test_wrong_parameters_are_one_clear_error(X, params, series, y, message):
    detector = small().fit(X)
    expected = detector.anomaly_score(X)
    with pytest.raises(ValueError, match=message):
        detector.set_params(**params).fit(X if series is None else series, y)
    detector.set_params(window=4, step=1)
    np.testing.assert_array_equal(detector.anomaly_score(X), expected)


def test_other_channels_are_refused(two):
    detector = small(causal=True).fit(two)
    for method in (detector.predict, detector.score_new, detector.error_map):
        with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 2"):
            method(np.c_[two, two[:, 0]])
        with pytest.raises(ValueError, match=r"(?s)Expected 2D array.*reshape\(1, -1\)"):
            method(two[0])
