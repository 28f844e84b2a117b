"""DriftMonitor: calibrated jointly, powerful, deterministic, and never a trainer."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import binom, ks_2samp
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import AEDetector
from skvae.drift import DriftMonitor
from skvae.plotting import DriftDisplay

MIX = np.random.default_rng(7).normal(size=(5, 5))


class ByColumn:
    """Latents are all columns but the last, which is the score."""

    def transform(self, X):
        return X[:, :-1]

    def score_samples(self, X):
        return X[:, -1]


class ScoresOnly:
    def score_samples(self, X):
        return X[:, -1]


def rows(n, seed, shift=0.0):
    """Correlated latents, and a skewed, rounded score, so that scores are tied."""
    X = np.random.default_rng(seed).normal(size=(n, 5)) @ MIX
    X[:, -1] = np.round((X**2).sum(axis=1))
    return X + shift


@pytest.fixture(scope="module")
def reference():
    return rows(2000, 0)


@pytest.fixture(scope="module")
def monitor(reference):
    return DriftMonitor(ByColumn(), n_resamples=999, random_state=0).fit(reference)


def same(a, b):
    pd.testing.assert_frame_equal(a.to_frame(), b.to_frame(), check_exact=True)
    return a.p_value == b.p_value


# -- statistics against other implementations -----------------------------------------------


def test_statistics_are_those_of_scipy_and_of_the_formula(monitor, reference):
    batch = rows(70, 1, shift=0.2)
    result = monitor.test(batch)
    others, _ = monitor._calibrations[70]
    assert others.n_rows == 1930
    reference = others._columns.T
    ks = [ks_2samp(batch[:, j], reference[:, j], method="asymp").statistic for j in range(5)]
    np.testing.assert_allclose(result.latent_statistics, ks[:4], atol=1e-12)
    assert result.statistics["latent_ks"] == result.latent_statistics.max()
    assert result.statistics["score_ks"] == pytest.approx(ks[4], abs=1e-12)

    def kernel(a, b):
        return np.exp(-cdist(a, b, "sqeuclidean") / (2 * monitor.bandwidth_**2)).mean()

    old, new = reference[:, :4], batch[:, :4]
    squared = kernel(new, new) + kernel(old, old) - 2 * kernel(new, old)
    assert result.statistics["latent_mmd"] ** 2 == pytest.approx(squared, abs=1e-6)
    assert monitor.bandwidth_ == pytest.approx(np.sqrt(np.median(pdist(old) ** 2) / 2), rel=0.05)


def test_resampled_batches_are_compared_with_the_rest():
    X = rows(30, 3)
    fitted = DriftMonitor(ByColumn(), random_state=0).fit(X)

    class FirstRows:
        def choice(self, m, n, replace, shuffle):
            return np.arange(n)

    (values,) = fitted._reference.resampled(10, 1, FirstRows())
    others = fitted._reference.take(np.arange(10, 30))
    expected = others.statistics(*fitted._columns_and_points(X[:10, :-1], X[:10, -1]))
    np.testing.assert_array_equal(values[:-1], expected[:-1])  # ties are ties
    assert values[-1] == pytest.approx(expected[-1], abs=1e-6)
    assert values[-2] == pytest.approx(ks_2samp(X[:10, -1], X[10:, -1]).statistic)


# -- the rate of false alarms, and power ----------------------------------------------------


def in_binomial_bounds(n_alarms, n_batches, rate=0.05):
    low, high = binom.ppf([0.001, 0.999], n_batches, rate)
    return low <= n_alarms <= high


@pytest.mark.parametrize("n", [5, 40, 150])
def test_rate_of_false_alarms_is_alpha(monitor, n):
    results = [monitor.test(rows(n, [n, i])) for i in range(400)]
    assert in_binomial_bounds(sum(result.drifted for result in results), 400)
    for name in ("latent_mmd", "latent_ks", "score_ks"):
        assert in_binomial_bounds(sum(r.p_values[name] <= 0.05 for r in results), 400)
    # Each alone at alpha would alarm too often: the joint rate is not theirs.
    assert sum(min(r.p_values.values()) <= 0.05 for r in results) > 30


@pytest.mark.parametrize("n_reference, n", [(40, 20), (150, 30)])
def test_rate_over_small_references(n_reference, n):
    alarms = 0
    for i in range(250):
        drawn = rows(n_reference + n, [9, n, i])
        fitted = DriftMonitor(ByColumn(), n_resamples=99, random_state=i).fit(drawn[n:])
        alarms += fitted.test(drawn[:n]).drifted
    assert in_binomial_bounds(alarms, 250)


def test_moved_latents_are_those_that_moved(monitor):
    n_wrong = 0
    for i in range(200):
        batch = rows(100, [5, i])
        batch[:, 2] += 3
        moved = monitor.test(batch).moved_latents
        assert 2 in moved
        n_wrong += len(moved) > 1
    assert n_wrong <= binom.ppf(0.999, 200, 0.05)


def test_each_drift_shows_where_it_happens(monitor):
    batch = rows(100, 11)
    batch[:, -1] *= 2
    scores_moved = monitor.test(batch)
    assert scores_moved.drifted and not len(scores_moved.moved_latents)
    assert scores_moved.adjusted_p_values["score_ks"] == scores_moved.p_value
    assert scores_moved.adjusted_p_values["latent_mmd"] > 0.05
    batch = rows(100, 11)
    batch[:50, :4] += 4  # a class of another look
    latents_moved = monitor.test(batch)
    assert latents_moved.drifted and latents_moved.adjusted_p_values["score_ks"] > 0.05


def test_mmd_sees_what_no_single_latent_shows():
    X = np.random.default_rng(0).normal(size=(1100, 3))
    X[:, 1] = X[:, 0] + 0.1 * X[:, 1]
    fitted = DriftMonitor(ByColumn(), n_resamples=199, random_state=0).fit(X[100:])
    batch = X[:100].copy()
    assert not fitted.test(batch).drifted
    batch[:, 1] = batch[::-1, 1]  # each latent stays as it was, their correlation goes
    result = fitted.test(batch)
    assert result.adjusted_p_values["latent_mmd"] < 0.02 and not len(result.moved_latents)


def test_power_grows_with_the_batch(monitor):
    power = [
        np.mean([monitor.test(rows(n, [6, i], shift=0.8)).drifted for i in range(60)])
        for n in (10, 40, 160)
    ]
    assert power[0] < power[1] < power[2] and power[2] > 0.95


# -- p-values -------------------------------------------------------------------------------


def test_p_values_agree_with_each_other(monitor):
    for shift in (0.0, 0.3, 50.0):
        result = monitor.test(rows(60, 21, shift))
        adjusted = result.adjusted_p_values
        assert result.p_value == min(adjusted.values())
        assert result.drifted == (result.p_value <= 0.05)
        for name, p_value in result.p_values.items():
            assert 1 / 1000 <= p_value <= adjusted[name] <= min(1, 3 * p_value + 0.02)
        assert result.latent_p_values.min() == adjusted["latent_ks"]
        order = np.argsort(-result.latent_statistics)
        assert (np.diff(result.latent_p_values[order]) >= 0).all()
        np.testing.assert_array_equal(
            result.moved_latents, np.flatnonzero(result.latent_p_values <= 0.05)
        )
    assert result.p_value == 1 / 1000  # more extreme than every resampled batch, in every test


def test_frame(monitor):
    table = monitor.test(rows(60, 21, 5.0)).to_frame()
    assert table.index.tolist() == [
        *("latent_mmd", "latent_ks", "score_ks"),
        *(f"latent{j}" for j in range(4)),
    ]
    assert table.columns.tolist() == ["statistic", "p_value", "adjusted_p_value", "drifted"]
    assert table["drifted"].dtype == bool and table.loc["latent_mmd", "drifted"]
    assert table["statistic"].between(0, 2).all()


# -- the same result ------------------------------------------------------------------------


def test_any_order_of_rows_and_of_calls(monitor, reference):
    batches = [rows(n, n) for n in (30, 7, 50)]
    expected = [monitor.test(batch) for batch in batches]
    again = clone(monitor).fit(reference)
    for batch, result in reversed(list(zip(batches, expected, strict=True))):
        assert same(again.test(batch[::-1]), result)
        assert same(again.test(batch), result)
    restored = pickle.loads(pickle.dumps(monitor))
    assert same(restored.test(batches[0]), expected[0])
    other = clone(monitor).set_params(random_state=1).fit(reference).test(batches[0])
    assert other.p_value != expected[0].p_value
    assert other.statistics == pytest.approx(expected[0].statistics, rel=0.05)


def test_a_forgotten_size_is_calibrated_alike(reference):
    fitted = DriftMonitor(ByColumn(), n_resamples=60, random_state=0).fit(reference[:200])
    expected = fitted.test(rows(3, 1))
    for n in range(4, 4 + 20):
        fitted.test(rows(n, 1))
    assert 3 not in fitted._calibrations and len(fitted._calibrations) == 16
    assert same(fitted.test(rows(3, 1)), expected)


def test_global_generator_is_left_alone(reference):
    before = repr(np.random.get_state())
    DriftMonitor(ByColumn(), n_resamples=60, random_state=0).fit(reference).test(reference[:5])
    assert repr(np.random.get_state()) == before


def test_clone_holds_the_same_fitted_detector(reference):
    detector = PCA(2).fit(reference)
    params = {"alpha": 0.1, "n_resamples": 60, "random_state": np.random.RandomState(0)}
    original = DriftMonitor(detector, **params)
    copy = clone(original)
    assert copy.detector is detector and copy is not original
    assert copy.alpha == 0.1 and copy.random_state is not original.random_state
    weights = detector.components_.copy()
    copy.fit(reference).test(reference[:9])
    np.testing.assert_array_equal(detector.components_, weights)
    assert original.get_params(deep=False).keys() == {
        *("detector", "alpha", "n_resamples", "max_reference_rows", "max_batch_rows"),
        "random_state",
    }
    with pytest.raises(NotFittedError):
        copy.__sklearn_clone__().test(reference[:9])


# -- detectors ------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [False, True])
def test_detectors_of_skvae_in_a_pipeline_and_frames(frame):
    X, new = rows(600, 1), rows(40, 2)
    if frame:
        X, new = (pd.DataFrame(part, columns=list("abcde")) for part in (X, new))
    detector = make_pipeline(
        StandardScaler(),
        AEDetector(latent_dim=2, hidden_layer_sizes=(8,), max_steps=30, random_state=0),
    )
    if frame:
        detector.set_output(transform="pandas")
    detector.fit(X[:200])
    fitted = DriftMonitor(detector, n_resamples=99, random_state=0).fit(X[200:])
    assert fitted.latents_.shape == (400, 2) and fitted.scores_.shape == (400,)
    assert not fitted.test(new).drifted
    assert fitted.test(new + 20).drifted


def test_images_pass_as_they_are():
    class Mean:
        def transform(self, X):
            return X.mean(axis=(1, 2))[:, None]

        def score_samples(self, X):
            return X.std(axis=(1, 2))

    X = np.random.default_rng(0).random((100, 4, 4))
    fitted = DriftMonitor(Mean(), n_resamples=99, max_reference_rows=60, random_state=0).fit(X)
    assert len(fitted.scores_) == 60
    assert fitted.test(X[:20] * 0.5).drifted


def test_a_detector_without_latents_is_monitored_by_its_scores(reference):
    forest = IsolationForest(n_estimators=10, random_state=0).fit(reference[:500])
    fitted = DriftMonitor(forest, n_resamples=99, random_state=0).fit(reference[500:])
    assert fitted.latents_ is None and fitted.bandwidth_ is None
    result = fitted.test(rows(40, 3, shift=20))
    assert list(result.statistics) == ["score_ks"] == result.to_frame().index.tolist()
    assert result.drifted and result.p_value == result.p_values["score_ks"] == 0.01
    assert len(result.latent_statistics) == len(result.moved_latents) == 0
    scores = DriftMonitor(ScoresOnly(), n_resamples=999, random_state=0).fit(reference)
    alarms = sum(scores.test(rows(30, [4, i])).drifted for i in range(300))
    assert in_binomial_bounds(alarms, 300)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_units_of_the_latents_do_not_count(monitor, reference, scale):
    batch = rows(30, 8, 0.5)
    units = np.r_[np.full(4, scale), 1.0]
    scaled = clone(monitor).fit(reference * units).test(batch * units)
    assert scaled.statistics == pytest.approx(monitor.test(batch).statistics, rel=1e-4)


def test_constant_latents_and_far_rows():
    X = np.zeros((50, 3))
    fitted = DriftMonitor(ByColumn(), n_resamples=99, random_state=0).fit(X)
    same_again = fitted.test(X[:10])
    assert same_again.p_value == 1 and not same_again.drifted
    assert same_again.statistics == {"latent_mmd": 0, "latent_ks": 0, "score_ks": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = fitted.test(X[:10] + 1e300)
    assert far.drifted and far.moved_latents.tolist() == [0, 1]


# -- bounds ---------------------------------------------------------------------------------


def test_large_references_and_batches_are_drawn_from():
    seen = []

    class Counting(ByColumn):
        def score_samples(self, X):
            seen.append(len(X))
            return super().score_samples(X)

    X = rows(100_000, 0)
    limits = {"max_reference_rows": 500, "max_batch_rows": 300}
    fitted = DriftMonitor(Counting(), n_resamples=99, random_state=0, **limits).fit(X)
    assert seen == [500] and len(np.unique(fitted.latents_, axis=0)) == 500
    result = fitted.test(X[:2000])
    assert (result.n_samples, result.n_used) == (2000, 250)  # half of the reference
    assert same(fitted.test(X[:2000][::-1]), result)
    assert list(fitted._calibrations) == [250]
    fitted.set_params(max_batch_rows=100)
    assert fitted.test(X[:2000]).n_used == 100


# -- bad input ------------------------------------------------------------------------------


def test_not_fitted(reference):
    with pytest.raises(NotFittedError):
        DriftMonitor(ByColumn()).test(reference)
    with pytest.raises(NotFittedError):
        DriftMonitor(PCA(2)).fit(reference)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"detector": StandardScaler()}, "'detector' parameter.*'score_samples'"),
        ({"alpha": 0}, "'alpha' parameter"),
        ({"alpha": 5}, "'alpha' parameter"),
        ({"n_resamples": 0}, "'n_resamples' parameter"),
        ({"n_resamples": 58}, "alpha=0.05 needs at least n_resamples=59, got 58"),
        ({"max_reference_rows": 19}, "'max_reference_rows' parameter"),
        ({"max_batch_rows": 0}, "'max_batch_rows' parameter"),
        ({"random_state": "x"}, "'random_state' parameter"),
    ],
)
def test_bad_parameters(params, message, reference):
    with pytest.raises(ValueError, match=message):
        DriftMonitor(**{"detector": ByColumn(), **params}).fit(reference)


def test_bad_rows(monitor, reference):
    with pytest.raises(ValueError, match="at least 20 rows, found 19"):
        clone(monitor).fit(reference[:19])
    bad = reference.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 8000 values that the detector's transform gives"):
        clone(monitor).fit(bad)
    bad[5, -1] = np.inf
    with pytest.raises(ValueError, match="1 of 2000 values that the detector's score_samples"):
        clone(monitor).fit(bad)
    with pytest.raises(ValueError, match="batch holds no rows"):
        monitor.test(reference[:0])
    with pytest.raises(ValueError, match="gives 2 latents, but gave 4 for the reference"):
        monitor.test(reference[:5, :3])


def test_a_failed_fit_leaves_the_monitor_as_it_was(monitor, reference):
    fitted = clone(monitor).fit(reference)
    with pytest.raises(ValueError):
        fitted.fit(reference[:5])
    assert same(fitted.test(reference[:50]), monitor.test(reference[:50]))


# -- DriftDisplay ---------------------------------------------------------------------------


@pytest.fixture
def plt():
    pytest.importorskip("matplotlib")
    return pytest.importorskip("matplotlib.pyplot")


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_display_draws_the_statistics_and_the_shares(plt, monitor, reference):
    batch = rows(80, 31)
    batch[:, 2] += 4
    batch[:, -1] = -1
    display = DriftDisplay.from_estimator(monitor, batch)
    assert same(display.result, monitor.test(batch))
    np.testing.assert_array_equal(display.scores, -batch[:, -1])
    np.testing.assert_array_equal(display.reference_scores, -reference[:, -1])
    heights = [bar.get_height() for bar in display.bars_]
    np.testing.assert_array_equal(heights, display.result.latent_statistics)
    colors = [bar.get_facecolor() for bar in display.bars_]
    assert colors[0] == colors[1] == colors[3] != colors[2]
    assert texts(display.axes_[0]) == ["moved: 1", "not shown to move: 3"]
    x, y = display.lines_[1].get_data()
    assert y[-1] == 1 and x[-1] == -batch[:, -1].min()
    gap = np.ptp(display.gap_line_.get_ydata())
    assert gap == pytest.approx(display.result.statistics["score_ks"])
    assert texts(display.axes_[1]) == ["reference: 2,000", "batch: 80", f"gap {gap:.3g}"]
    adjusted = display.result.adjusted_p_values["score_ks"]
    assert display.axes_[1].get_title() == f"Scores: KS p = {adjusted:.4f}"
    assert display.axes_[0].get_title() == "Latents: MMD p = 0.0010, KS p = 0.0010"
    assert display.figure_.get_suptitle() == "ByColumn: drift, p = 0.0010 (alpha 0.05)"
    assert plt.get_fignums() == [display.figure_.number]


def test_display_pixels_mark_the_moved_latent(plt, monitor):
    def orange(batch):
        figure, axes = plt.subplots(1, 2, dpi=50)
        display = DriftDisplay.from_estimator(monitor, batch, ax=axes)
        assert display.figure_ is figure and figure.get_suptitle() == ""
        axes[0].get_legend().remove()
        figure.canvas.draw()
        box = axes[0].get_window_extent()
        height = figure.canvas.get_width_height()[1]
        pixels = np.asarray(figure.canvas.buffer_rgba())[
            int(height - box.y1) : int(height - box.y0), int(box.x0) : int(box.x1), :3
        ]
        near = np.abs(pixels.astype(int) - [0xD5, 0x5E, 0x00]).sum(axis=2) < 20
        return near.sum(axis=0)

    assert orange(rows(80, 31)).sum() == 0
    batch = rows(80, 31)
    batch[:, 3] += 9
    columns = np.flatnonzero(orange(batch))
    assert len(columns) and columns.min() > 0.7 * len(orange(batch))  # the rightmost bar alone


def test_display_without_latents_is_one_panel(plt, reference):
    fitted = DriftMonitor(ScoresOnly(), n_resamples=99, random_state=0).fit(reference)
    _, ax = plt.subplots()
    display = DriftDisplay.from_estimator(fitted, rows(20, 1), ax=ax)
    assert display.axes_.tolist() == [ax] and display.bars_ is None
    assert len(DriftDisplay.from_estimator(fitted, rows(20, 1), name="n").figure_.axes) == 1


def test_display_of_constant_and_far_scores(plt):
    fitted = DriftMonitor(ByColumn(), n_resamples=99, random_state=0).fit(np.zeros((50, 3)))
    DriftDisplay.from_estimator(fitted, np.zeros((5, 3))).figure_.canvas.draw()
    DriftDisplay.from_estimator(fitted, np.full((5, 3), 1e9)).figure_.canvas.draw()


def test_display_of_bad_input_is_named_and_leaves_no_figure(plt, monitor, reference):
    with pytest.raises(TypeError, match="needs a fitted skvae.drift.DriftMonitor, not PCA"):
        DriftDisplay.from_estimator(PCA(), reference)
    with pytest.raises(NotFittedError):
        DriftDisplay.from_estimator(clone(monitor), reference)
    with pytest.raises(TypeError, match="DriftMonitor.test.X. returns, not float"):
        DriftDisplay.from_predictions(0.5, [1.0], [1.0])
    result = monitor.test(rows(5, 1))
    with pytest.raises(ValueError, match="scores must be finite"):
        DriftDisplay.from_predictions(result, [1.0], [np.nan])
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="ax must be 2 axes, found 1"):
        DriftDisplay.from_predictions(result, [1.0], [2.0], ax=plt.figure().add_subplot())
