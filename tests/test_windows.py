"""WindowDetector: windows and aggregates against closed forms, the contract, any detector in it."""

import io
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

import skvae
from skvae import ConvAEDetector, ConvVAEDetector, WindowDetector
from skvae.datasets import load_image_folder
from skvae.detectors.windows import Grid

TINY = {"max_steps": 5, "channels": (4,), "hidden_layer_sizes": (8,), "random_state": 0}


class Brightness(OutlierMixin, BaseEstimator):
    """The brighter a window on average, the more anomalous; keeps what it was fitted on."""

    def fit(self, X, y=None):
        self.X_, self.y_ = X, y
        return self

    def score_samples(self, X):
        return -X.reshape(len(X), -1).mean(1)


class ImageBrightness(Brightness):
    """The same for images, with an error map."""

    def __init__(self, image_shape=None):
        self.image_shape = image_shape

    def error_map(self, X):
        return X**2


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).rand(40, 12, 10).astype(np.float32)


def small(detector=None, **params):
    params = {"window_shape": (None, 4), "stride": 3, "random_state": 0} | params
    return WindowDetector(Brightness() if detector is None else detector, **params)


# -- scikit-learn's contract ----------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:y must hold:UserWarning")
@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(n_estimators=5, random_state=0),
        ConvAEDetector(**TINY | {"max_steps": 2, "score": "reconstruction"}),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_check_estimator_without_an_expected_failure(detector):
    estimator = WindowDetector(
        detector, window_shape=(2, 2), stride=1, windows_per_image=2, random_state=0
    )
    results = check_estimator(estimator, expected_failed_checks=None, on_skip=None)
    status = [result["status"] for result in results]
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}, "it wants an environment variable"
    assert status.count("passed") >= 45 and set(status) <= {"passed", "skipped"}


def test_check_param_validation():
    check_param_validation("WindowDetector", small())


def test_signs_and_labels(X):
    detector = small().fit(X)
    score = detector.anomaly_score(X)
    assert score.dtype == np.float64
    np.testing.assert_array_equal(detector.score_samples(X), -score)
    np.testing.assert_array_equal(detector.predict(X) == -1, score > detector.threshold_)
    assert detector.score(X, score > np.median(score)) == 1
    assert detector.score(X) == -score.mean()


def test_parameters_of_the_detector_are_reached_and_it_is_not_changed(X):
    inner = ConvAEDetector(**TINY)
    detector = small(inner).set_params(detector__max_steps=2).fit(X)
    assert detector.detector_.n_steps_ == 2 and not hasattr(inner, "net_")
    assert clone(detector).get_params()["detector__max_steps"] == 2
    assert "score" not in detector.get_params() and "detector__score" in detector.get_params()


# -- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sides", "window", "stride", "starts"),
    [
        ((64, 64), (None, 16), 4, ([0], list(range(0, 49, 4)))),
        ((12, 10), (None, 4), 3, ([0], [0, 3, 6])),
        ((12, 11), (None, 4), 3, ([0], [0, 3, 6, 7])),
        ((5, 6), (2, 3), 2, ([0, 2, 3], [0, 2, 3])),
        ((5, 6), (None, None), 4, ([0], [0])),
    ],
)
def test_grid(sides, window, stride, starts):
    grid = Grid.of(sides, window, stride)
    assert grid.starts == starts
    images = np.arange(2 * 3 * sides[0] * sides[1]).reshape(2, 3, *sides)
    windows = grid.cut(images)
    assert windows.shape == (2, len(grid.places), 3, *grid.window)
    for i, (top, left) in enumerate(grid.places):
        expected = images[:, :, top : top + grid.window[0], left : left + grid.window[1]]
        np.testing.assert_array_equal(windows[:, i], expected)
    # What is cut and put together again is what it was: each pixel is in some window.
    total = np.zeros(images.shape)
    grid.add(windows, total)
    np.testing.assert_allclose(total / grid.counts(), images)
    some = slice(None, None, 2)
    np.testing.assert_array_equal(grid.cut(images, some), windows[:, some])


def test_training_windows_are_parts_of_their_images(X):
    y = np.arange(40) % 2
    detector = small(windows_per_image=5, window_shape=(7, 4)).fit(X, y)
    windows, labels = detector.detector_.X_.reshape(200, 7, 4), detector.detector_.y_
    np.testing.assert_array_equal(labels, np.repeat(y, 5))
    places = np.lib.stride_tricks.sliding_window_view(X, (7, 4), axis=(1, 2))
    found = [(places[i // 5] == window).all((2, 3)) for i, window in enumerate(windows)]
    assert all(at.sum() == 1 for at in found)
    tops, lefts = np.argwhere(np.stack(found))[:, 1:].T
    assert set(tops) == set(range(6)) and set(lefts) == set(range(7)), "everywhere"


@pytest.mark.parametrize(
    ("flip", "seen"),
    [(None, {0}), ("horizontal", {0, 1}), ("vertical", {0, 2}), ("both", {0, 1, 2, 3})],
)
def test_flips_are_those_asked_for(X, flip, seen):
    before = X.copy()
    detector = small(flip=flip, window_shape=(None, None)).fit(X)
    windows = detector.detector_.X_.reshape(40, 8, 12, 10)
    variants = [X, X[:, :, ::-1], X[:, ::-1], X[:, ::-1, ::-1]]
    is_variant = np.stack([(windows == some[:, None]).all((2, 3)) for some in variants])
    assert (is_variant.sum(0) == 1).all()
    shares = is_variant.mean((1, 2))
    assert set(np.flatnonzero(shares)) == seen
    np.testing.assert_allclose(shares[sorted(seen)], 1 / len(seen), atol=0.08)
    np.testing.assert_array_equal(X, before)


def test_detectors_get_windows_as_they_take_them(X):
    assert small(Brightness()).fit(X).detector_.X_.shape == (320, 48)
    assert small(ImageBrightness()).fit(X).detector_.X_.shape == (320, 1, 12, 4)
    assert small(make_pipeline(StandardScaler(), IsolationForest())).fit(X)
    colored = (255 * np.random.RandomState(0).rand(9, 12, 10, 3)).astype(np.uint8)
    inner = small(ImageBrightness()).fit(colored).detector_
    assert inner.X_.shape == (72, 3, 12, 4) and inner.X_.dtype == np.uint8


# -- scores ----------------------------------------------------------------------------------


def manual_scores(X):
    return np.stack([X[:, :, s : s + 4].mean((1, 2)) for s in (0, 3, 6)], 1)


def test_aggregates_are_those_of_the_definition(X):
    expected = manual_scores(X)
    scores = small().fit(X).window_scores(X)
    assert scores.shape == (40, 1, 3) and scores.dtype == np.float64
    np.testing.assert_allclose(scores[:, 0], expected, rtol=1e-6)
    top2 = np.sort(expected, 1)[:, 1:].mean(1)
    spread = expected.max(1) - expected.min(1)
    for params, aggregate in (
        ({"n_top": 1}, expected.max(1)),
        ({"n_top": 2}, top2),
        ({"n_top": 99}, expected.mean(1)),
        ({"aggregate": "range"}, spread),
        ({"aggregate": ["range"]}, spread),
        (
            {"aggregate": ("top", "range"), "n_top": 2},
            (top2 - top2.mean()) / top2.std() + (spread - spread.mean()) / spread.std(),
        ),
    ):
        found = small(**params).fit(X).anomaly_score(X)
        np.testing.assert_allclose(found, aggregate, rtol=1e-4, atol=1e-6)


def test_error_map_is_the_mean_over_windows(X):
    means, squares = np.zeros((2, 40, 12, 10))
    counts = np.zeros(10)
    for i, start in enumerate((0, 3, 6)):
        part = np.s_[:, :, start : start + 4]
        means[part] += manual_scores(X)[:, i, None, None]
        squares[part] += X[part] ** 2
        counts[start : start + 4] += 1
    np.testing.assert_allclose(small().fit(X).error_map(X), means / counts, rtol=1e-6)
    images = small(ImageBrightness()).fit(X)
    np.testing.assert_allclose(images.error_map(X), squares / counts, rtol=1e-6)
    channels_last = np.stack([X] * 3, 3)
    colored = small(ImageBrightness()).fit(channels_last)
    assert colored.error_map(channels_last).shape == (40, 12, 10, 3)
    np.testing.assert_allclose(colored.error_map(channels_last)[..., 1], squares / counts, 1e-6)


def test_layouts_mean_the_same(X):
    detector = small(ConvVAEDetector(**TINY))
    expected = detector.fit(X).anomaly_score(X)
    for other in (X[:, None], X[..., None]):
        np.testing.assert_array_equal(detector.anomaly_score(other), expected)
        np.testing.assert_array_equal(clone(detector).fit(other).anomaly_score(other), expected)
    flat = clone(detector).set_params(image_shape=(12, 10)).fit(X.reshape(40, -1))
    np.testing.assert_array_equal(flat.anomaly_score(X.reshape(40, -1)), expected)
    assert flat.error_map(X.reshape(40, -1)).shape == (40, 120)
    with pytest.raises(ValueError, match="X holds images of 1 x 12 x 9"):
        detector.anomaly_score(X[:, :, :9])


def test_a_table_is_a_square(X):
    rows = np.random.RandomState(0).randn(60, 7)
    detector = small(IsolationForest(random_state=0), window_shape=(2, 2), stride=1).fit(rows)
    assert detector.window_scores(rows).shape == (60, 2, 2)
    assert detector.error_map(rows).shape == (60, 7)


def test_same_seed_same_bits_in_any_company(X, monkeypatch):
    parameters = {"flip": "both", "aggregate": ("top", "range")}
    detector = small(ConvVAEDetector(**TINY), **parameters).fit(X)
    expected = detector.anomaly_score(X)
    maps = detector.error_map(X)
    for n_windows in (2, 7):  # less than an image's three, and two images'
        monkeypatch.setattr("skvae.detectors.windows.BYTES_AT_ONCE", n_windows * 4 * 12 * 4)
        np.testing.assert_array_equal(detector.anomaly_score(X), expected)
        np.testing.assert_array_equal(detector.error_map(X), maps)
        np.testing.assert_array_equal(clone(detector).fit(X).anomaly_score(X), expected)
    monkeypatch.undo()
    np.testing.assert_array_equal(detector.anomaly_score(X[7:8]), expected[7:8])
    np.testing.assert_array_equal(clone(detector).fit(X).anomaly_score(X), expected)
    other = clone(detector).set_params(random_state=1).fit(X)
    assert not np.array_equal(other.anomaly_score(X), expected)
    stored = io.BytesIO()
    joblib.dump(detector, stored)
    stored.seek(0)
    for copy in (pickle.loads(pickle.dumps(detector)), joblib.load(stored)):
        np.testing.assert_array_equal(copy.anomaly_score(X), expected)
        np.testing.assert_array_equal(copy.error_map(X), detector.error_map(X))


# -- thresholds ------------------------------------------------------------------------------


def test_thresholds(X):
    detector = small(percentile=80).fit(X)
    np.testing.assert_array_equal(detector.calibration_scores_, detector.anomaly_score(X))
    assert (detector.predict(X) == -1).sum() == 8 and not detector.calibration_is_held_out_
    assert (small(contamination=0.1).fit_predict(X) == -1).sum() == 4
    y = detector.anomaly_score(X) > np.sort(detector.anomaly_score(X))[-4]
    np.testing.assert_array_equal(small(threshold="f1").fit(X, y).predict(X) == -1, y)
    assert detector.set_threshold(0.25).threshold_ == 0.25


def test_held_out_images_are_not_cut_for_training(X):
    conformal = {"threshold": "conformal", "percentile": 80}
    detector = small(calibration_fraction=0.25, **conformal).fit(X)
    assert detector.detector_.X_.shape == (30 * 8, 48)
    assert len(detector.calibration_scores_) == 10 and detector.calibration_is_held_out_
    scores = detector.anomaly_score(X)
    held_out = np.isin(scores, detector.calibration_scores_)
    assert held_out.sum() == 10
    values = {value for window in detector.detector_.X_ for value in window}
    assert not values & set(X[held_out].ravel().tolist())
    assert detector.p_values(X).shape == (40,)
    assert len(small(**conformal).fit(X).calibration_scores_) == 8


# -- what it is for --------------------------------------------------------------------------


def test_a_small_anomaly_is_found_and_located():
    rng = np.random.RandomState(0)
    wave = np.sin(np.arange(64) * 0.7 + rng.rand(360, 1) * 7)[:, None]
    X = (0.5 + 0.4 * wave * np.ones((1, 8, 1)) + 0.03 * rng.randn(360, 8, 64)).clip(0, 1)
    X[300:, :, 40:46] = X[300:, :, 34:40]  # the wave stands still for a moment
    y = np.arange(360) >= 300
    inner = ConvAEDetector(
        channels=(8,), latent_dim=2, max_steps=150, score="reconstruction", random_state=0
    )
    detector = small(inner, window_shape=(None, 8), stride=2, n_top=1).fit(X[:250])
    assert detector.score(X[250:], y[250:]) > 0.95
    profile = detector.error_map(X[300:]).sum(1)
    assert 36 <= profile.mean(0).argmax() <= 48


@pytest.mark.parametrize(
    ("params", "y", "message"),
    [
        ({"window_shape": (None, 11)}, None, r"\(None, 11\) does not fit into images of 12 x 10"),
        ({"window_shape": (4,)}, None, r"window_shape=\(4,\) must be two, \(height, width\)"),
        ({"window_shape": (0, 4)}, None, "must hold whole numbers of at least 1, or None"),
        ({"window_shape": (2.5, 4)}, None, "must hold whole numbers"),
        ({"stride": 5}, None, "stride=5 leaves pixels between windows of 12 x 4"),
        ({"aggregate": "median"}, None, "'aggregate' parameter"),
        ({"aggregate": ("top", "top")}, None, "aggregate=.* must be 'top' or 'range'"),
        ({"aggregate": []}, None, "aggregate=.* must be"),
        ({"threshold": "f1"}, None, "threshold='f1' needs labels"),
        ({"threshold": "f1"}, [0, 1], "inconsistent numbers of samples"),
        ({"calibration_fraction": 0.99}, None, "leaves none of 40 images to train on"),
        ({"threshold": "conformal", "calibration_fraction": 0}, None, "None holds out 20 %"),
        ({"detector": StandardScaler()}, None, "'detector' parameter"),
    ],
)
def test_wrong_parameters_are_one_clear_error(X, params, y, message):
    detector = small().fit(X)
    expected = detector.anomaly_score(X)
    with pytest.raises(ValueError, match=message):
        detector.set_params(**params).fit(X[:, :, :10], y)
    np.testing.assert_array_equal(detector.anomaly_score(X), expected)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_windows_are_wider_than_they_have_channels(X, width):
    colored = np.stack([X] * 3, 1)
    message = rf"window_shape=\(4, {width}\) makes windows of 4 x {width} .* 4 pixels or more"
    with pytest.raises(ValueError, match=message):
        small(ImageBrightness(), window_shape=(4, width), stride=1).fit(colored)
    small(Brightness(), window_shape=(4, width), stride=1).fit(colored)
    small(ImageBrightness(), window_shape=(4, width), stride=1).fit(X)
    detector = small(ConvVAEDetector(**TINY), window_shape=(4, 4)).fit(colored)
    assert detector.detector_._layout.shape == (3, 4, 4)


def test_model_files_hold_detectors_of_windows(X, tmp_path):
    detector = small(ConvVAEDetector(**TINY)).fit(X)
    path = tmp_path / "model.safetensors"
    skvae.save(detector, path)
    expected = detector.window_scores(X)
    np.testing.assert_array_equal(skvae.load(path).window_scores(X), expected)
    skvae.save(detector.detector_, path)  # or the part that looks at windows alone
    windows = X[:, None, :, 3:7]
    np.testing.assert_array_equal(skvae.load(path).anomaly_score(windows), expected[:, 0, 1])


def test_folders_of_images_are_cut_as_arrays_are(X, tmp_path):
    Image = pytest.importorskip("PIL.Image", reason="image files: pip install skvae[images]")
    for i, image in enumerate((255 * X).astype(np.uint8)):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    folder = load_image_folder(tmp_path, size=(12, 10))
    detector = small(ConvVAEDetector(**TINY), flip="both")
    expected = clone(detector).fit(folder[:]).anomaly_score(folder[:])
    np.testing.assert_array_equal(detector.fit(folder).anomaly_score(folder), expected)
    assert detector.error_map(folder).shape == (40, 1, 12, 10)
    other = load_image_folder(tmp_path, size=(12, 10), color="rgb")
    with pytest.raises(ValueError, match="X was prepared with color='rgb'"):
        detector.anomaly_score(other)


def test_few_windows_and_few_images_are_in_memory_at_once(X, tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image", reason="image files: pip install skvae[images]")
    for i, image in enumerate((255 * X).astype(np.uint8)):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    folder = load_image_folder(tmp_path, size=(12, 10), max_bytes_in_memory=0)
    read, seen = [], []
    of_folder, of_detector = type(folder).__getitem__, ImageBrightness.score_samples
    monkeypatch.setattr(
        type(folder), "__getitem__", lambda f, i: read.append(of_folder(f, i)) or read[-1]
    )
    monkeypatch.setattr(
        ImageBrightness, "score_samples", lambda d, X: seen.append(X.shape) or of_detector(d, X)
    )
    monkeypatch.setattr("skvae.detectors.windows.BYTES_AT_ONCE", 4 * 4 * 12 * 10)
    monkeypatch.setattr("skvae.detectors.windows.MAX_MAP_IMAGES", 4)
    detector = small(ImageBrightness(), calibration_fraction=0.2, stride=1).fit(folder)
    assert detector.anomaly_score(folder).shape == (40,)
    assert max(map(len, read)) == 4, "of 32 for training and 8 held out"
    assert max(seen) == (7, 1, 12, 4), "of one image: ten would fit"
