"""Folders of images as X of the detectors: the bits of the array, in bounded memory."""

import re
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from skorch.callbacks import Callback

from skvae import ConvAEDetector, ConvVAEDetector
from skvae.base._lazy import BATCHES_AHEAD, LazyImages
from skvae.corruptions import gaussian_noise
from skvae.datasets import load_digits_images, load_image_folder
from skvae.networks import Output, as_floats
from skvae.plotting import ErrorMapDisplay, ReconstructionDisplay
from skvae.scores import SmoothMax, make_score

N_IMAGES = 90
TINY = {"max_steps": 12, "batch_size": 16, "channels": (4, 8), "random_state": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    for i, image in enumerate(load_digits_images()[0][:N_IMAGES]):
        Image.fromarray(image).save(root / f"{i:03}.png")
    return root


@pytest.fixture(scope="module")
def folder(root):
    return load_image_folder(root, size=12, max_bytes_in_memory=0)


class Batches(Callback):
    """Makes training use skorch's own loop."""

    def on_batch_end(self, net, **kwargs):
        pass


def same_history(a, b):
    return a.drop(columns="duration").equals(b.drop(columns="duration"))


OPTIONS = {
    "default": {},
    "early stopping": {"early_stopping": True, "max_epochs": 3, "max_steps": None},
    "contamination": {"contamination": 0.1},
    "ensemble": {"n_estimators": 2, "score": ["ssim", "latent_neighbors"]},
    "held out": {"calibration_fraction": 0.3, "score": "iwae"},
    "skorch's loop": {"callbacks": [Batches()], "score": "reconstruction"},
    "batch norm": {"norm": "batch", "score": "hog_neighbors", "batch_size": 89},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_fit_on_a_folder_has_the_bits_of_one_on_its_array(folder, name):
    images = np.asarray(folder)
    parameters = TINY | OPTIONS[name]
    eager, lazy = (ConvVAEDetector(**parameters).fit(X) for X in (images, folder))
    assert same_history(eager.history_, lazy.history_)
    assert lazy.threshold_ == eager.threshold_
    assert np.array_equal(lazy.calibration_scores_, eager.calibration_scores_)
    assert lazy.n_features_in_ == 144
    noisy = gaussian_noise(images, 0.3, random_state=0)
    assert np.array_equal(lazy.anomaly_score(noisy), eager.anomaly_score(noisy))
    assert eager.image_preparation_ is None
    assert lazy.image_preparation_ == {"size": [12, 12], "color": "grey"}


def test_every_method_takes_a_folder(folder):
    images = np.asarray(folder)
    detector = ConvVAEDetector(**TINY).fit(images)
    names = (
        *("anomaly_score", "score_samples", "decision_function", "predict", "member_scores"),
        *("log_likelihood", "error_map", "reconstruct", "transform", "score"),
    )
    for name in names:
        method = getattr(detector, name)
        assert np.array_equal(method(folder), method(images)), name
    some = folder.subset([5, 3])
    assert np.array_equal(detector.anomaly_score(some), detector.anomaly_score(images[[5, 3]]))
    detector.set_threshold("conformal", folder)
    y = np.repeat([1, -1], [60, 30])
    labelled = ConvAEDetector(train_on="normal", threshold="f1", **TINY)
    assert labelled.fit(folder, y).threshold_ == labelled.fit(images, y).threshold_
    few = ConvAEDetector(train_on="labels", anomaly_weight=1.0, **TINY)
    y = np.repeat([0, -1, 1], [80, 5, 5])
    assert few.fit(folder, y).threshold_ == few.fit(images, y).threshold_
    for display in (ReconstructionDisplay, ErrorMapDisplay):
        display.from_estimator(detector, some)


def test_colours_and_image_shape(root):
    folder = load_image_folder(root, (12, 16), "rgb", max_bytes_in_memory=0)
    detector = ConvVAEDetector(image_shape=(3, 12, 16), **TINY).fit(folder)
    assert detector.error_map(folder.subset(slice(4))).shape == (4, 3, 12, 16)
    with pytest.raises(ValueError, match=re.escape("image_shape=(12, 16) is 192 numbers")):
        ConvVAEDetector(image_shape=(12, 16)).fit(folder)


def test_images_prepared_otherwise_are_refused(folder, root):
    detector = ConvVAEDetector(**TINY).fit(folder)
    others = load_image_folder(root, size=12, color="rgb")
    with pytest.raises(ValueError, match=re.escape("color='rgb', size=[12, 12], but fit saw")):
        detector.predict(others)
    again = load_image_folder(root, **detector.image_preparation_)
    assert np.array_equal(detector.predict(again), detector.predict(folder))
    on_arrays = ConvVAEDetector(**TINY).fit(np.asarray(folder))
    with pytest.raises(ValueError, match="X holds images of 3 x 12 x 12"):
        on_arrays.predict(others)


def test_too_few_images(tmp_path, folder):
    with pytest.warns(UserWarning, match="holds no files"):
        nothing = load_image_folder(tmp_path, size=12)
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        ConvVAEDetector().fit(nothing)
    with pytest.raises(ValueError, match=r"Found array with 1 sample\(s\)"):
        ConvVAEDetector().fit(folder.subset([0]))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ConvVAEDetector(threshold="f1").fit(folder, [0, 1])


def test_a_failed_fit_leaves_the_detector_and_no_thread(root):
    folder = load_image_folder(root, size=12, max_bytes_in_memory=0)
    detector = ConvVAEDetector(**TINY).fit(folder)
    scores = detector.anomaly_score(folder)
    n_threads = threading.active_count()

    class Stops(Callback):
        def on_batch_end(self, net, **kwargs):
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        detector.set_params(callbacks=[Stops()]).fit(folder)
    assert threading.active_count() == n_threads
    assert np.array_equal(detector.anomaly_score(folder), scores)


class Watched:
    """Images that note which were asked for, as `is_lazy` wants them."""

    preparation = {"size": [8, 8], "color": "grey"}
    dtype = np.dtype(np.uint8)
    ndim = 4
    n_workers = 1

    def __init__(self, images, asked=None):
        self.images, self.asked = images, [] if asked is None else asked
        self.shape = images.shape

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        self.asked.append(len(self.images[index]))
        return self.images[index].copy()

    def subset(self, index):
        return Watched(self.images[index], self.asked)


def test_images_are_read_in_batches_and_blocks():
    X = Watched(np.random.RandomState(0).randint(0, 256, (700, 1, 64, 64)).astype(np.uint8))
    detector = ConvVAEDetector(max_steps=2, batch_size=32, score="latent", random_state=0).fit(X)
    assert max(X.asked) == 256
    X.asked.clear()
    detector.predict(X)
    assert X.asked == [2, 256, 256, 188]


def test_the_next_batches_are_read_ahead_and_no_more():
    X = Watched(np.zeros((100, 1, 8, 8), np.uint8))
    batches = LazyImages(X).read_ahead(np.arange(100).reshape(10, 10))
    first = next(batches)
    assert first.shape == (10, 1, 8, 8) and first.dtype == torch.uint8
    assert len(X.asked) <= 1 + BATCHES_AHEAD
    assert len(list(batches)) == 9


def test_large_images_leave_fewer_to_fit_a_score_on(folder, monkeypatch):
    detector = ConvVAEDetector(score="ssim", **TINY)
    assert len(detector.set_params(score="local").fit(folder).calibration_scores_) == N_IMAGES
    monkeypatch.setattr("skvae.base._score_fit.MAX_REFERENCE_VALUES", 144 * 50)
    monkeypatch.setattr("skvae.base._score_fit.MIN_REFERENCE_ROWS", 40)
    assert len(detector.fit(folder).calibration_scores_) == 50
    monkeypatch.setattr("skvae.base._score_fit.MIN_REFERENCE_ROWS", 60)
    assert len(detector.fit(folder).calibration_scores_) == 60


def test_map_scales_are_taken_of_rows_spread_evenly(folder, monkeypatch):
    images = as_floats(torch.from_numpy(np.asarray(folder)))
    output = Output(images.flip(3), torch.zeros(N_IMAGES, 2))
    scores = [make_score(["ssim", "reconstruction"], SmoothMax) for _ in range(2)]
    maps = [score.error_map(images, output, images).numpy() for score in scores[0].scores]
    for score, step in zip(scores, (1, 3), strict=True):
        monkeypatch.setattr("skvae.scores._fusion.MAP_VALUES", images.numel() // step)
        score.fit(images, output, images, None, 0)
        expected = [np.quantile(own[::step].astype(float), 0.995) for own in maps]
        assert score.map_scales_ == pytest.approx(expected)


# -- large networks -------------------------------------------------------------------------

LARGE = {
    "image_shape": (3, 224, 224),
    "channels": (32, 64, 128, 256, 512),
    "hidden_layer_sizes": (),
    "latent_dim": 128,
    "norm": "batch",
    "beta": 1.0,
    "max_epochs": 50,
    "max_steps": None,
    "batch_size": 32,
    "lr": 1e-4,
    "percentile": 95,
}


def test_the_network_for_images_of_224():
    X = np.random.RandomState(0).randint(0, 256, (4, 3, 224, 224)).astype(np.uint8)
    parameters = LARGE | {"max_epochs": 1, "batch_size": 2, "score": "reconstruction"}
    detector = ConvVAEDetector(**parameters, random_state=0).fit(X)
    network = detector.net_.module_.network
    encoder, decoder = network.encoder, network.decoder
    widths = [3, 32, 64, 128, 256, 512]
    shapes = [(b, a, 4, 4) for a, b in zip(widths[:-1], widths[1:], strict=True)]
    assert [tuple(layer.weight.shape) for layer in encoder.convolutions] == shapes
    assert [tuple(layer.weight.shape) for layer in decoder.convolutions] == shapes[::-1]
    assert [norm.num_features for norm in encoder.norms] == widths[1:]
    assert [norm.num_features for norm in decoder.norms] == widths[-2:0:-1]
    assert decoder.first_shape == (7, 7, 512)
    (to_code,), (from_code,) = encoder.connected, decoder.connected
    assert tuple(to_code.weight.shape) == (1, 7 * 7 * 512, 2 * 128)
    assert tuple(from_code.weight.shape) == (1, 128, 7 * 7 * 512)
    assert detector.n_steps_ == 2
    assert detector.reconstruct(X).shape == X.shape
    assert detector.transform(X).shape == (4, 128)
    assert np.isfinite(detector.anomaly_score(X)).all()
