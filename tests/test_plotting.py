"""Displays hold what they were given, and draw exactly that."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

from skvae import AEDetector, Conv1dVAEDetector, SlidingWindowDetector, VAEDetector
from skvae.metrics import roc_auc
from skvae.plotting import (
    ErrorMapDisplay,
    LatentSpaceDisplay,
    ScoreHistogramDisplay,
    TrainingHistoryDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss": [9.0, 7.0, 6.0],
        "reconstruction": [8.0, 6.2, 5.0],
        "kl": [1.0, 0.8, 1.0],
        "valid_loss": [9.5, 8.0, 8.5],
    }
)
CALLS = [  # every display from plain arrays, as a function of ax
    lambda ax: ScoreHistogramDisplay.from_predictions([0, 0, 1], [0.1, 0.2, 3.0], ax=ax),
    lambda ax: TrainingHistoryDisplay(history=HISTORY).plot(ax=ax),
    lambda ax: LatentSpaceDisplay.from_predictions([0, 0, 1], np.eye(3), ax=ax),
    lambda ax: ErrorMapDisplay.from_predictions(np.eye(3), ax=ax),
]


@pytest.fixture(scope="module")
def data():
    """100 normal rows and 5 anomalies; y as scikit-learn's outlier detectors have it."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(105, 4)), columns=["age", "income", "height", "weight"])
    X.iloc[100:, 1] += 8
    return X, np.where(np.arange(105) < 100, 1, -1)


@pytest.fixture(scope="module")
def detector(data):
    return VAEDetector(
        latent_dim=3, hidden_layer_sizes=(8,), max_steps=20, batch_size=16, random_state=0
    ).fit(data[0])


class MeanDetector(BaseEstimator):
    """Distance to the mean, with the attributes of a detector and none of its network."""

    def fit(self, X, y=None):
        self.mean_ = np.asarray(X).mean(axis=0)
        self.threshold_ = 5.0
        self.n_features_in_ = np.shape(X)[1]
        return self

    def error_map(self, X):
        return (np.asarray(X) - self.mean_) ** 2

    def anomaly_score(self, X):
        return self.error_map(X).sum(axis=1)

    def transform(self, X):
        return np.asarray(X)


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def heights(bars):
    return np.array([bar.get_height() for bar in bars])


# All displays


@pytest.mark.parametrize("call", CALLS)
def test_draws_on_the_axes_it_is_given_and_on_no_other(call):
    figure, ax = plt.subplots()
    display = call(ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert ax.has_data()


@pytest.mark.parametrize("call", CALLS)
def test_makes_one_figure_and_leaves_the_global_settings(call):
    before = matplotlib.rcParams.copy()
    display = call(None)
    display.figure_.canvas.draw()
    assert plt.get_fignums() == [display.figure_.number]
    assert matplotlib.rcParams == before


@pytest.mark.parametrize("call", CALLS)
def test_missing_matplotlib_names_the_extra(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skvae\[plot\]"'):
        call(None)


@pytest.mark.parametrize("call", CALLS)
def test_a_title_of_the_user_stays(call):
    _, ax = plt.subplots()
    ax.set_title("mine")
    display = call(ax)
    display.name = "other"
    assert display.plot(ax=ax) is display
    assert ax.get_title() == "mine"


def test_not_fitted_is_said(data):
    X, _ = data
    for display in (ScoreHistogramDisplay, LatentSpaceDisplay, ErrorMapDisplay):
        with pytest.raises(NotFittedError):
            display.from_estimator(VAEDetector(), X)
    with pytest.raises(NotFittedError):
        TrainingHistoryDisplay.from_estimator(VAEDetector())
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("draw", "attribute"),
    [
        (lambda forest, X: ErrorMapDisplay.from_estimator(forest, X), "error_map"),
        (lambda forest, X: LatentSpaceDisplay.from_estimator(forest, X), "transform"),
        (lambda forest, _: TrainingHistoryDisplay.from_estimator(forest), "history_"),
    ],
)
def test_estimator_of_another_kind_is_refused(data, draw, attribute):
    forest = IsolationForest(n_estimators=5, random_state=0).fit(data[0])
    with pytest.raises(TypeError, match=f"`{attribute}`.*IsolationForest"):
        draw(forest, data[0])


# ScoreHistogramDisplay


def test_bars_are_the_counts_and_the_line_is_the_threshold(detector, data):
    X, y = data
    display = ScoreHistogramDisplay.from_estimator(detector, X, y, bins=17)
    np.testing.assert_array_equal(display.scores, detector.anomaly_score(X))
    np.testing.assert_array_equal(display.is_anomaly, y == -1)
    assert [heights(bars).sum() for bars in display.bars_] == [100, 5]
    assert all(len(bars) == 17 for bars in display.bars_)
    assert display.bin_edges_[0] == display.scores.min()
    assert display.bin_edges_[-1] == display.scores.max()
    np.testing.assert_array_equal(display.threshold_line_.get_xdata(), detector.threshold_)
    flagged = detector.predict(X) == -1
    assert legend_texts(display.ax_) == [
        f"normal: 100, {flagged[:100].mean() * 100:.1f} % flagged",
        f"anomalous: 5, {flagged[100:].mean() * 100:.1f} % flagged",
        f"threshold {detector.threshold_:.4g}",
    ]
    assert display.ax_.get_title() == "VAEDetector"


def test_rows_without_a_score_are_left_out_and_counted():
    scores = [np.nan, 0.5, 1.0, np.nan, np.nan, 4.0]
    display = ScoreHistogramDisplay.from_predictions([0, 0, 0, 0, 1, 1], scores, threshold=2.0)
    np.testing.assert_array_equal(display.scores, scores)
    assert [heights(bars).sum() for bars in display.bars_] == [2, 1]
    assert display.bin_edges_[[0, -1]].tolist() == [0.5, 4.0]
    assert legend_texts(display.ax_) == [
        "normal: 2, 0.0 % flagged (2 without a score)",
        "anomalous: 1, 100.0 % flagged (1 without a score)",
        "threshold 2",
    ]
    shares = display.plot(stat="percent").bars_
    assert [heights(bars).sum() for bars in shares] == [100, 100]
    for x_scale in ("log", "symlog"):
        display.plot(x_scale=x_scale).figure_.canvas.draw()


def test_a_series_with_a_gap():
    series = np.sin(np.arange(300) / 5)
    series[100:104] = np.nan
    detector = SlidingWindowDetector(
        VAEDetector(hidden_layer_sizes=(8,), max_steps=20, random_state=0), window=16
    ).fit(series)
    scores = detector.anomaly_score(series)
    n_missing = np.isnan(scores).sum()
    histogram = ScoreHistogramDisplay.from_estimator(detector, series)
    assert heights(histogram.bars_[0]).sum() == 300 - n_missing
    assert legend_texts(histogram.ax_)[0].endswith(f"({n_missing} without a score)")
    errors = ErrorMapDisplay.from_estimator(detector, series)
    np.testing.assert_array_equal(errors.error_map[:, 0], detector.error_map(series))


def test_either_labelling_draws_the_same():
    scores = [0.0, 0.5, 1.0, 4.0]
    displays = [
        ScoreHistogramDisplay.from_predictions(y, scores)
        for y in ([1, 1, 1, -1], [0, 0, 0, 1], [False, False, False, True])
    ]
    for display in displays:
        np.testing.assert_array_equal(display.is_anomaly, [False, False, False, True])
        assert legend_texts(display.ax_) == ["normal: 3", "anomalous: 1"]


def test_without_labels_there_is_one_histogram(data):
    display = ScoreHistogramDisplay.from_estimator(MeanDetector().fit(data[0]), data[0])
    assert display.is_anomaly is None
    (bars,) = display.bars_
    assert heights(bars).sum() == len(data[0])
    assert legend_texts(display.ax_)[0].startswith("all rows: 105, ")
    assert display.threshold_line_.get_xdata()[0] == 5.0


def test_percent_sums_to_100_in_each_class(data):
    X, y = data
    display = ScoreHistogramDisplay.from_estimator(MeanDetector().fit(X), X, y, stat="percent")
    np.testing.assert_allclose([heights(bars).sum() for bars in display.bars_], 100)


@pytest.mark.parametrize(
    ("scores", "scale"),
    [
        (np.linspace(-3, 3, 50), "linear"),
        ([*np.linspace(-3, 3, 50), 1e4], "symlog"),
        ([*np.linspace(1, 3, 50), 1e4], "log"),
        (np.full(5, 2.0), "linear"),
        (np.zeros(5), "linear"),
        ([*np.zeros(50), 1e6], "symlog"),
        ([1e-30, 1.0, 1e30], "log"),
    ],
)
def test_scale_follows_the_scores_and_no_row_is_lost(scores, scale):
    display = ScoreHistogramDisplay.from_predictions(None, scores)
    display.figure_.canvas.draw()
    assert display.ax_.get_xscale() == scale
    assert heights(display.bars_[0]).sum() == len(scores)
    assert np.all(np.diff(display.bin_edges_) > 0)


def test_a_threshold_that_flags_nothing_can_be_drawn():
    display = ScoreHistogramDisplay(scores=[1.0, 2.0, 3.0], threshold=np.inf).plot()
    display.figure_.canvas.draw()
    assert np.isfinite(display.ax_.get_xlim()).all()
    assert legend_texts(display.ax_) == ["all rows: 3, 0.0 % flagged", "threshold inf"]


@pytest.mark.parametrize("x_scale", ["linear", "log", "symlog"])
def test_bins_are_equally_wide_on_the_axis(x_scale):
    scores = np.geomspace(0.1, 1e4, 100)
    display = ScoreHistogramDisplay(scores=scores).plot(x_scale=x_scale, bins=10)
    on_axis = display.ax_.xaxis.get_transform().transform(display.bin_edges_)
    np.testing.assert_allclose(np.diff(on_axis), np.diff(on_axis)[0])


def test_scikit_learn_detector_in_a_pipeline(data):
    X, y = data
    pipeline = make_pipeline(MinMaxScaler(), IsolationForest(n_estimators=5, random_state=0))
    display = ScoreHistogramDisplay.from_estimator(pipeline.fit(X), X, y)
    np.testing.assert_array_equal(display.scores, -pipeline.score_samples(X))
    assert display.threshold == -pipeline[-1].offset_


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d(scores=[[1.0, 2.0]]), r"1-D array, but has the shape \(1, 2\)"),
        (lambda d: d(scores=[]), "non-empty"),
        (lambda d: d(scores=[1.0, np.nan, np.inf]), "1 of 3 values are infinite"),
        (lambda d: d(scores=[np.nan, np.nan]), "all 2 values are NaN"),
        (lambda d: d(scores=["high", "low"]), "must be numbers"),
        (lambda d: d(scores=[1.0, 2.0], is_anomaly=[True]), r"2 rows.*\(1,\)"),
        (lambda d: d(scores=[1.0, 2.0], is_anomaly=[1, -1]), "anomaly_labels"),
        (lambda d: d.from_predictions([0, 1, 2], [1.0, 2.0, 3.0]), "3 distinct values"),
        (lambda d: d(scores=[1.0]).plot(bins=0), "bins must be a whole number"),
        (lambda d: d(scores=[1.0]).plot(stat="density"), "stat must be"),
        (lambda d: d(scores=[1.0]).plot(x_scale="cubic"), "x_scale must be"),
        (lambda d: d(scores=[1.0, -2.0]).plot(x_scale="log"), "lowest score or threshold is -2"),
        (lambda d: d(scores=[1.0], threshold=0.0).plot(x_scale="log"), "use 'symlog'"),
    ],
)
def test_bad_histogram_input_is_named_and_leaves_no_figure(call, message):
    with pytest.raises(ValueError, match=message):
        call(ScoreHistogramDisplay)
    assert not plt.get_fignums()


# TrainingHistoryDisplay


def test_each_line_is_its_column():
    display = TrainingHistoryDisplay(history=HISTORY, name="mine").plot()
    assert display.history is HISTORY
    assert list(display.lines_) == ["loss", "reconstruction", "kl", "valid_loss"]
    for column, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_xdata(), HISTORY["epoch"])
        np.testing.assert_array_equal(line.get_ydata(), HISTORY[column])
    assert legend_texts(display.ax_) == [
        "loss, last 6",
        "reconstruction, last 5",
        "KL, last 1",
        "validation loss, last 8.5",
        "lowest validation loss, epoch 2",
    ]
    assert display.ax_.get_title() == "mine"


@pytest.mark.parametrize("kind", [VAEDetector, AEDetector])
def test_history_of_a_real_training(kind, data):
    detector = kind(
        hidden_layer_sizes=(8,), max_steps=20, batch_size=16, early_stopping=True, random_state=0
    ).fit(data[0])
    display = TrainingHistoryDisplay.from_estimator(make_pipeline(detector))
    pd.testing.assert_frame_equal(display.history, detector.history_)
    assert ("kl" in display.lines_) == (kind is VAEDetector)
    assert "valid_loss" in display.lines_


def test_a_single_epoch_is_visible():
    display = TrainingHistoryDisplay(history=HISTORY.iloc[:1]).plot()
    assert display.lines_["loss"].get_marker() == "o"


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        ([{"loss": 1.0}], TypeError, "must be a DataFrame.*list"),
        (HISTORY[["epoch", "kl"]], ValueError, r"\['epoch', 'kl'\]"),
        (HISTORY.iloc[:0], ValueError, "0 rows"),
    ],
)
def test_bad_history_is_named(history, error, message):
    with pytest.raises(error, match=message):
        TrainingHistoryDisplay(history=history)


def test_log_axis_needs_positive_losses():
    display = TrainingHistoryDisplay(history=HISTORY.assign(loss=-HISTORY["loss"]))
    with pytest.raises(ValueError, match="lowest is -9; use 'symlog'"):
        display.plot(y_scale="log")
    with pytest.raises(ValueError, match="y_scale must be"):
        display.plot(y_scale="cubic")
    assert display.plot(y_scale="symlog").ax_.get_yscale() == "symlog"


# LatentSpaceDisplay


@pytest.mark.parametrize("n_components", [2, 3])
def test_projection_is_a_pca_of_the_latent_means(detector, data, n_components):
    X, y = data
    display = LatentSpaceDisplay.from_estimator(detector, X, y, n_components=n_components)
    latent = detector.transform(X).astype(float)
    latent -= latent.mean(axis=0)
    singular = np.linalg.svd(latent, compute_uv=False)
    np.testing.assert_allclose(
        np.linalg.norm(display.coordinates, axis=0), singular[:n_components], rtol=1e-6
    )
    ratio = (singular**2 / np.sum(singular**2))[:n_components]
    np.testing.assert_allclose(display.explained_variance_ratio, ratio, rtol=1e-6)
    normal, anomalous = display.points_
    assert len(normal.get_offsets()) == 100 and len(anomalous.get_offsets()) == 5
    assert legend_texts(display.ax_) == ["normal: 100", "anomalous: 5"]
    assert f"({100 * ratio[1]:.0f} % of variance)" in display.ax_.get_ylabel()
    assert display.ax_.name == ("3d" if n_components == 3 else "rectilinear")
    if n_components == 2:
        np.testing.assert_array_equal(normal.get_offsets(), display.coordinates[:100])


def test_scores_colour_the_points_where_there_are_no_labels(detector, data):
    X, y = data
    display = LatentSpaceDisplay.from_estimator(detector, X)
    np.testing.assert_array_equal(display.scores, detector.anomaly_score(X))
    np.testing.assert_array_equal(display.points_[0].get_array(), np.sort(display.scores))
    assert display.points_[0].get_clim() == (
        display.scores.min(),
        np.quantile(display.scores, 0.99),
    )
    assert "anomaly score" in display.colorbar_.ax.get_ylabel()
    by_score = LatentSpaceDisplay.from_estimator(detector, X, y, color_by="score")
    assert by_score.colorbar_ is not None
    assert LatentSpaceDisplay.from_estimator(detector, X, color_by=None).colorbar_ is None


def test_one_latent_dimension_is_drawn_against_the_score_or_the_row():
    latent = np.arange(6.0)[:, None]
    scored = LatentSpaceDisplay.from_predictions(None, latent, scores=latent.ravel() ** 2)
    np.testing.assert_array_equal(scored.points_[0].get_offsets()[:, 1], latent.ravel() ** 2)
    plain = LatentSpaceDisplay.from_predictions(None, latent)
    np.testing.assert_array_equal(plain.points_[0].get_offsets()[:, 1], np.arange(6))
    assert plain.ax_.get_ylabel() == "row"


def test_many_classes_are_told_apart_by_colour_and_marker():
    classes = np.arange(80) % 23
    display = LatentSpaceDisplay.from_predictions(classes, np.random.RandomState(0).randn(80, 2))
    assert len(display.points_) == 23
    looks = {
        (tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes())
        for points in display.points_
    }
    assert len(looks) == 23
    assert legend_texts(display.ax_)[10] == "10: 4"
    legend = display.ax_.get_legend().get_window_extent(display.figure_.canvas.get_renderer())
    assert legend.x0 > display.ax_.get_window_extent().x1, "beside the picture"
    display.figure_.canvas.draw()
    with pytest.raises(ValueError, match="hold 81 distinct values, of which 80 at most"):
        LatentSpaceDisplay.from_predictions(np.arange(81), np.random.RandomState(0).randn(81, 2))


@pytest.mark.parametrize(
    "y",
    [
        ["b", None, "a", "b", np.nan],
        pd.Series(["b", pd.NA, "a", "b", pd.NA], dtype="string"),
        pd.Series(["b", None, "a", "b", None], dtype="category"),
    ],
)
def test_text_mixed_with_missing_values(y):
    display = LatentSpaceDisplay.from_predictions(y, np.random.RandomState(0).randn(5, 2))
    assert legend_texts(display.ax_) == ["missing: 2", "a: 1", "b: 2"]
    missing, *_ = display.points_
    np.testing.assert_array_equal(missing.get_offsets(), display.coordinates[[1, 4]])
    np.testing.assert_allclose(missing.get_facecolor()[0, :3], 0.5)
    images = np.random.RandomState(0).rand(5, 4, 4)
    LatentSpaceDisplay.from_predictions(y, np.random.RandomState(0).randn(5, 2), images=images)


def test_numbers_with_missing_values_and_among_text():
    latent = np.random.RandomState(0).randn(4, 2)
    numbers = LatentSpaceDisplay.from_predictions([10, 9, np.nan, 9], latent)
    assert legend_texts(numbers.ax_) == ["missing: 1", "9: 2", "10: 1"]
    mixed = LatentSpaceDisplay.from_predictions([1, "a", None, 1], latent)
    assert legend_texts(mixed.ax_) == ["missing: 1", "1: 2", "a: 1"]


def test_collapsed_latent_means_can_be_drawn():
    display = LatentSpaceDisplay.from_predictions(None, np.ones((10, 4), dtype=np.float32))
    np.testing.assert_array_equal(display.explained_variance_ratio, 0)
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.from_predictions(None, np.eye(4), n_components=4), "must be 2 or 3, not 4"),
        (lambda d: d.from_predictions(None, np.eye(4)[:, :2], n_components=3), "found 2; use"),
        (lambda d: d.from_predictions(None, np.eye(4)[:1]), "as many rows, found 1"),
        (lambda d: d.from_predictions(None, np.full((4, 2), np.nan)), "8 of 8 values are NaN"),
        (lambda d: d.from_predictions(None, np.eye(4), scores=[1.0]), "1 scores for 4 rows"),
        (lambda d: d.from_predictions([0, 1], np.eye(4)), "each of the 4 rows"),
        (lambda d: d.from_predictions(None, np.eye(4), color_by="label"), "holds no labels"),
        (lambda d: d.from_predictions(None, np.eye(4), color_by="age"), "color_by must be"),
        (lambda d: d(coordinates=np.eye(4), explained_variance_ratio=np.ones(4)), "1, 2 or 3"),
    ],
)
def test_bad_latent_input_is_named_and_leaves_no_figure(call, message):
    with pytest.raises(ValueError, match=message):
        call(LatentSpaceDisplay)
    assert not plt.get_fignums()


def test_axes_of_the_wrong_projection_are_refused():
    _, flat = plt.subplots()
    _, deep = plt.subplots(subplot_kw={"projection": "3d"})
    with pytest.raises(ValueError, match="make it with projection='3d'"):
        LatentSpaceDisplay.from_predictions(None, np.eye(4), n_components=3, ax=flat)
    with pytest.raises(ValueError, match="give a plain one"):
        LatentSpaceDisplay.from_predictions(None, np.eye(4), ax=deep)


# ErrorMapDisplay


def test_image_is_the_error_map_with_the_names_of_the_data(detector, data):
    X, _ = data
    X = X.iloc[:6].set_axis(list("abcdef"), axis=0)
    display = ErrorMapDisplay.from_estimator(detector, X)
    expected = np.asarray(detector.error_map(X))
    np.testing.assert_array_equal(display.error_map, expected)
    np.testing.assert_array_equal(display.image_.get_array(), expected)
    assert display.image_.get_clim() == (expected.min(), expected.max())
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(X.columns)
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == list(X.index)
    assert display.colorbar_.mappable is display.image_


def test_cells_without_an_error_are_grey():
    errors = np.array([[0.0, 1.0, np.nan], [2.0, np.nan, 4.0]])
    display = ErrorMapDisplay(error_map=errors).plot()
    assert display.image_.get_clim() == (0.0, 4.0)
    assert display.colorbar_.extend == "neither"
    assert display.colorbar_.ax.get_ylabel() == "error of each feature (grey: 2 without one)"
    pixels = drawn(display)
    grey = np.array([204, 204, 204])
    for row, column in np.ndindex(2, 3):
        is_grey = np.abs(pixels(column, row).astype(int) - grey).max() <= 1
        assert is_grey == np.isnan(errors[row, column])


def drawn(display):
    """A function of data coordinates: the colour there."""
    display.figure_.canvas.draw()
    pixels = np.asarray(display.figure_.canvas.buffer_rgba())

    def at(x, y):
        x, y = display.ax_.transData.transform((x, y))
        return pixels[len(pixels) - 1 - int(y), int(x), :3]

    return at


def test_bars_leave_out_what_has_no_error():
    errors = np.array([[5.0, np.nan, 1.0, np.nan], [np.nan] * 4])
    display = ErrorMapDisplay(error_map=errors).plot(row=0)
    assert [bar.get_width() for bar in display.bars_] == [5.0, 1.0]
    assert display.ax_.get_ylabel() == "feature (2 largest of 4, 2 without an error)"
    assert len(display.plot(row=1).bars_) == 0


def test_series_of_several_channels_have_a_row_for_each():
    X = np.random.RandomState(0).randn(30, 2, 8)
    detector = Conv1dVAEDetector(channels=(4,), max_steps=5, random_state=0).fit(X)
    display = ErrorMapDisplay.from_estimator(detector, X[:3])
    errors = detector.error_map(X[:3])
    np.testing.assert_array_equal(display.image_.get_array(), errors.reshape(6, 8))
    assert display.row_names[:3] == ["series 0, channel 0", "series 0, channel 1"] + [
        "series 1, channel 0"
    ]
    assert display.feature_names == [str(i) for i in range(8)]
    bars = display.plot(row=3).bars_
    assert bars[0].get_width() == errors[1, 1].max()
    assert display.ax_.get_title() == "Conv1dVAEDetector, series 1, channel 1"


def test_names_survive_a_pipeline_and_a_search(data):
    X, y = data
    pipeline = make_pipeline(MinMaxScaler(), MeanDetector())
    grid = GridSearchCV(pipeline, {"minmaxscaler__clip": [True]}, scoring=lambda *_: 0.0)
    display = ErrorMapDisplay.from_estimator(grid.fit(X, y), X)
    assert display.feature_names == list(X.columns)
    scaled = MinMaxScaler().fit_transform(X)
    np.testing.assert_allclose(display.error_map, (scaled - scaled.mean(axis=0)) ** 2)
    nameless = make_pipeline(FunctionTransformer(np.asarray), MeanDetector()).fit(X)
    assert ErrorMapDisplay.from_estimator(nameless, X).feature_names == ["x0", "x1", "x2", "x3"]


def test_search_over_the_real_detector(data):
    X, y = data
    detector = VAEDetector(hidden_layer_sizes=(8,), max_steps=20, random_state=0)
    folds = StratifiedKFold(2)  # the anomalies are the last rows
    grid = GridSearchCV(detector, {"beta": [0.1]}, scoring=roc_auc, cv=folds).fit(X, y)
    display = ScoreHistogramDisplay.from_estimator(grid, X, y)
    np.testing.assert_array_equal(display.scores, grid.best_estimator_.anomaly_score(X))


def test_fixed_scale_and_what_lies_beyond_it():
    errors = np.array([[0.0, 1.0], [2.0, 9.0]])
    display = ErrorMapDisplay(error_map=errors).plot(vmin=0.5, vmax=4.0)
    assert display.image_.get_clim() == (0.5, 4.0)
    assert display.colorbar_.extend == "both"
    assert ErrorMapDisplay(error_map=errors).plot().colorbar_.extend == "neither"


def test_bars_are_the_largest_errors_of_the_row():
    errors = np.array([[5.0, 0.0, 0.0, 0.0], [1.0, -0.5, 3.0, 2.0]])
    display = ErrorMapDisplay(error_map=errors, feature_names=list("abcd")).plot(row=1, top_k=3)
    assert [bar.get_width() for bar in display.bars_] == [3.0, 2.0, 1.0]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["c", "d", "a"]
    assert display.ax_.get_ylabel() == "feature (3 largest of 4)"
    assert display.ax_.yaxis_inverted()
    assert display.ax_.get_xlim() == pytest.approx((1.05 * -0.5, 1.05 * 5.0))  # of the whole map
    assert display.plot(row=-1, vmin=-1, vmax=4).ax_.get_xlim() == (-1, 4)
    assert display.image_ is None


def test_a_map_of_one_row_is_drawn_as_bars(detector, data):
    display = ErrorMapDisplay.from_estimator(detector, data[0].iloc[[101]])
    assert display.image_ is None and len(display.bars_) == 4
    assert display.ax_.get_title() == "VAEDetector, row 101"
    named = ErrorMapDisplay(error_map=[[1.0, 2.0]], row_names=["pump 3"]).plot()
    assert named.ax_.get_title() == "pump 3"
    ErrorMapDisplay(error_map=[[0.0, 0.0]]).plot().figure_.canvas.draw()  # all zero


@pytest.mark.parametrize("n", [1, 25, 26, 300, 5000])
def test_tick_labels_never_crowd(n):
    display = ErrorMapDisplay(error_map=np.eye(2, n)).plot()
    labels = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert labels[0] == "x0" and len(labels) <= 25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d(error_map=np.zeros((2, 3, 3))), r"2-D array, but has the shape \(2, 3, 3\)"),
        (lambda d: d(error_map=[[np.inf, 1.0]]), "1 of 2 values are infinite"),
        (lambda d: d(error_map=[[np.nan, np.nan]]), "all 2 values are NaN"),
        (lambda d: d(error_map=[[1.0, 2.0]], feature_names=["a"]), "feature_names must be 2"),
        (lambda d: d(error_map=[[1.0, 2.0]], row_names=["a", "b"]), "row_names must be 1"),
        (lambda d: d(error_map=np.eye(3)).plot(row=3), "row=3, but the error map has 3 rows"),
        (lambda d: d(error_map=np.eye(3)).plot(row=0, top_k=0), "top_k must be at least 1"),
        (lambda d: d(error_map=np.eye(3)).plot(vmax=-1), "vmin=0.0 must not be above vmax=-1"),
    ],
)
def test_bad_error_map_is_named_and_leaves_no_figure(call, message):
    with pytest.raises(ValueError, match=message):
        call(ErrorMapDisplay)
    assert not plt.get_fignums()
