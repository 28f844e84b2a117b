"""Detectors of images: layouts, units, scores, and that they find what is unusual."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skvae import AEDetector, ConvAEDetector, ConvVAEDetector
from skvae.corruptions import gaussian_noise, patch_occlusion
from skvae.datasets import load_digits_images
from skvae.drift import DriftMonitor
from skvae.likelihoods import LIKELIHOODS
from skvae.scores import IMAGE_SCORES, SCORES, DescriptionLength, Perceptual, SmoothMax, Ssim

NEEDS_POSTERIOR = {"elbo", "iwae", "reconstruction_probability"}
DETECTORS = [ConvAEDetector, ConvVAEDetector]
TINY = {"max_steps": 5, "channels": (4, 8), "hidden_layer_sizes": (16,), "random_state": 0}


def tiny(detector=ConvVAEDetector, **params):
    return detector(**{**TINY, **params})


def colours(n=60, size=(3, 9, 10), seed=0):
    """uint8 images of (C, H, W) with a bright square each."""
    rng = np.random.RandomState(seed)
    images = rng.randint(0, 60, (n, *size)).astype(np.uint8)
    for image, (row, column) in zip(images, rng.randint(4, size=(n, 2)), strict=True):
        image[:, row : row + 4, column : column + 4] += 150
    return images


@pytest.fixture(scope="module")
def digits():
    images, _ = load_digits_images()
    return images[np.random.RandomState(0).permutation(len(images))]  # they came by writers


@pytest.fixture(scope="module")
def fitted(digits):
    return ConvVAEDetector(max_steps=150, batch_size=64, random_state=0).fit(digits[:1200])


# -- layouts, units and memory --------------------------------------------------------------


def layouts(images):
    n, n_channels, height, width = images.shape
    last = np.moveaxis(images, 1, 3)
    return {
        "CHW": (images, None),
        "HWC": (np.ascontiguousarray(last), None),
        "a view": (last, None),
        "list": (list(images), None),
        "flat": (images.reshape(n, -1), (n_channels, height, width)),
        "flat HWC": (last.reshape(n, -1), (height, width, n_channels)),
    }


def test_layouts_score_the_same_and_come_back():
    images = colours(260)
    expected = tiny().fit(images)
    for name, (X, image_shape) in layouts(images).items():
        found = tiny(image_shape=image_shape).fit(X)
        assert np.array_equal(found.anomaly_score(X), expected.anomaly_score(images)), name
        assert np.array_equal(found.transform(X), expected.transform(images)), name
        for method in ("error_map", "reconstruct"):
            values = getattr(found, method)(X)
            assert values.shape == np.shape(X), name
            (same, _) = layouts(getattr(expected, method)(images))[name]
            assert np.array_equal(values, same), (name, method)


def test_gray_images_have_no_channel_in_what_comes_back(digits):
    detector = tiny().fit(digits)
    assert digits.shape[1:] == (8, 8)
    assert detector.error_map(digits[:5]).shape == (5, 8, 8)
    flat = digits[:5].reshape(5, -1)
    assert np.array_equal(detector.anomaly_score(flat), detector.anomaly_score(digits[:5]))
    assert detector.error_map(flat).shape == (5, 64)
    assert detector.n_features_in_ == 64


def test_whole_numbers_are_255_times_floats():
    images = colours()
    floats = (images / np.float32(255)).astype(np.float32)
    first, second = tiny().fit(images), tiny().fit(floats)
    np.testing.assert_allclose(
        first.anomaly_score(images), second.anomaly_score(floats), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        first.reconstruct(images), 255 * first.reconstruct(floats), rtol=1e-5
    )
    np.testing.assert_allclose(
        first.inverse_transform(first.transform(images)), first.reconstruct(images), atol=1e-3
    )
    assert 20 < first.reconstruct(images).mean() < 230
    assert 0 <= second.reconstruct(floats).min() and second.reconstruct(floats).max() <= 1


def test_images_are_kept_as_they_are_in_training(monkeypatch):
    from skvae.base import _detector

    seen = []
    train = _detector.fit_autoencoders

    def watch(ensembles, **options):
        seen.append(ensembles[0][0].rows)
        return train(ensembles, **options)

    monkeypatch.setattr(_detector, "fit_autoencoders", watch)
    images = colours()
    tiny().fit(images)
    assert seen[0].numpy().dtype == np.uint8
    assert np.shares_memory(seen[0].numpy(), images), "no copy of images that need none"


def test_columns_of_flat_images_have_names(digits):
    frame = pd.DataFrame(digits[:50].reshape(50, -1)).add_prefix("pixel")
    detector = tiny(image_shape=(8, 8)).set_output(transform="pandas").fit(frame)
    assert list(detector.error_map(frame).columns) == list(frame.columns)
    frame.iloc[3, 7] = np.nan
    with pytest.raises(ValueError, match="column 'pixel7'"):
        detector.predict(frame)


def test_a_tables_range_is_that_of_the_rows_trained_on():
    X = np.random.RandomState(0).randn(100, 7)
    y = np.where(np.arange(100) < 80, 1, -1)
    far = X + 50 * (y < 0)[:, None]
    same = [tiny(train_on="normal").fit(rows, y).anomaly_score(X) for rows in (X, far)]
    assert np.array_equal(*same)
    detector = tiny().fit(X)
    low, high = X.min(0) - 1e-6, X.max(0) + 1e-6
    assert ((low <= detector.reconstruct(X)) & (detector.reconstruct(X) <= high)).all()


# -- bits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [(4,), (16, 32)])
def test_an_image_scores_the_same_in_any_company(channels):
    images = colours(600)
    detector = tiny(channels=channels, max_steps=20).fit(images[:200])
    for method in ("anomaly_score", "transform", "error_map", "reconstruct", "log_likelihood"):
        whole = getattr(detector, method)(images)
        order = np.random.RandomState(1).permutation(len(images))
        assert np.array_equal(getattr(detector, method)(images[order]), whole[order]), method
        for rows in (slice(0, 1), slice(253, 259), slice(590, 600)):
            assert np.array_equal(getattr(detector, method)(images[rows]), whole[rows]), method


def test_pickle(fitted, digits):
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.anomaly_score(digits), fitted.anomaly_score(digits))
    assert np.array_equal(again.error_map(digits[:3]), fitted.error_map(digits[:3]))


# -- scores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [*SCORES, *IMAGE_SCORES])
@pytest.mark.parametrize("detector", DETECTORS)
def test_all_scores_run_on_images(detector, score):
    if detector is ConvAEDetector and score in NEEDS_POSTERIOR:
        with pytest.raises(ValueError, match="needs the posterior"):
            tiny(detector, score=score).fit(colours())
        return
    images = colours(90)
    fitted = tiny(detector, score=score).fit(images[:60])
    scores = fitted.anomaly_score(images)
    assert np.isfinite(scores).all()
    assert np.array_equal(fitted.anomaly_score(images[7:9]), scores[7:9])
    assert fitted.error_map(images).shape == images.shape


def test_error_map_is_smoothed_on_request():
    images = colours()
    detector = tiny(score="reconstruction").fit(images)
    plain, smooth = detector.error_map(images), detector.error_map(images, smooth=1.5)
    assert smooth.shape == images.shape
    np.testing.assert_allclose(smooth.sum((1, 2, 3)), plain.sum((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(smooth[0, 0], gaussian_filter(plain[0, 0], 1.5), rtol=1e-6)
    with pytest.raises(ValueError, match="smooth must be a number of pixels, 0 or more, not -1"):
        detector.error_map(images, smooth=-1)
    table = np.random.default_rng(0).normal(size=(40, 6))
    with pytest.raises(ValueError, match="smooth is for images, but the rows of X are a table"):
        tiny().fit(table).error_map(table, smooth=1)


@pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
def test_pixels_are_the_features_of_scores_and_likelihoods(likelihood):
    images = colours()
    X = images / np.float32(255)
    detector = tiny(likelihood=likelihood, score="reconstruction").fit(X)
    squares = (X - detector.reconstruct(X)) ** 2
    np.testing.assert_allclose(detector.anomaly_score(X), squares.sum((1, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(detector.error_map(X), squares, rtol=1e-3, atol=1e-6)
    elbo = tiny(likelihood=likelihood, score="elbo").fit(X)
    kl = elbo.anomaly_score(X) - elbo.error_map(X).sum((1, 2, 3))
    assert kl.min() > 0 and np.isfinite(elbo.log_likelihood(X)).all()
    assert elbo.history_["loss"].notna().all()
    scale = getattr(elbo.net_.module_.likelihood, "log_scale", None)
    assert scale is None or scale.shape == (1, 1, 3, 1, 1), "one a channel"


def test_several_scores_are_fused_by_their_smooth_maximum(digits):
    detector = tiny(score=["reconstruction", "ssim"]).fit(digits[:200])
    (fused,) = detector.score_.scores
    assert isinstance(fused, SmoothMax)
    parts = [tiny(score=name).fit(digits[:200]) for name in ("reconstruction", "ssim")]
    logs = np.log(np.stack([part.anomaly_score(digits) for part in parts], 1))
    z = (logs - fused.medians_) / fused.spreads_
    np.testing.assert_allclose(
        detector.anomaly_score(digits), np.log(np.exp(z).mean(1)), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("score", ["ssim", ["density", "local"], DescriptionLength(), Ssim()])
def test_scores_of_images_are_refused_for_tables(score):
    with pytest.raises(ValueError, match="compares images, but AEDetector takes rows of a table"):
        AEDetector(score=score).fit(np.zeros((10, 4)))


def test_a_function_gets_images(digits):
    shapes = []

    def largest(x, output, error):
        shapes.append((x.shape[1:], output.x_hat.shape[1:], error.shape[1:]))
        return (x - output.x_hat).abs().amax((1, 2, 3))

    tiny(score=[largest, Perceptual()]).fit(digits[:50])
    assert set(shapes) == {((1, 8, 8),) * 3}


# -- ensembles and warm starts --------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["bernoulli", "laplace"])
def test_members_of_an_ensemble_are_trained_as_they_would_be_alone(digits, likelihood):
    params = {"likelihood": likelihood, "score": "reconstruction", "lr": 1e-3}
    detector = tiny(n_estimators=3, **params).fit(digits)
    lone = tiny(**params).fit(digits)
    assert detector.member_scores(digits).shape == (len(digits), 3)
    assert detector.transform(digits).shape == (len(digits), 3 * detector.latent_dim_)
    first = detector.transform(digits)[:, : detector.latent_dim_]
    np.testing.assert_allclose(first, lone.transform(digits), rtol=1e-3, atol=1e-4)
    _, spread = detector.anomaly_score(digits, return_std=True)
    assert (spread > 0).all()
    np.testing.assert_allclose(
        detector.inverse_transform(detector.transform(digits)),
        detector.reconstruct(digits),
        atol=1e-5,
    )
    again = pickle.loads(pickle.dumps(detector))
    assert np.array_equal(again.anomaly_score(digits), detector.anomaly_score(digits))
    warm = detector.set_params(warm_start=True).fit(digits)
    assert warm.history_["loss"].iloc[-1] < lone.history_["loss"].iloc[-1]


def test_a_warm_start_needs_images_of_the_same_shape(digits):
    detector = tiny(warm_start=True).fit(digits)
    with pytest.raises(ValueError, match=r"'image_shape': \(1, 9, 10\)"):
        detector.fit(colours()[:, 0])


def test_early_stopping_keeps_whole_numbers():
    detector = tiny(early_stopping=True, norm="batch", max_steps=None, max_epochs=3)
    assert "valid_loss" in detector.fit(colours()).history_


# -- the company they keep ------------------------------------------------------------------


class Inverted(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return 255 - X

    def __sklearn_is_fitted__(self):
        return True


def test_pipeline_and_search_over_arrays_of_images():
    images = colours()
    pipeline = make_pipeline(Inverted(), tiny())
    assert pipeline.fit(images).predict(images).shape == (60,)
    y = np.where(np.arange(60) % 6, 1, -1)
    search = GridSearchCV(pipeline, {"convvaedetector__latent_dim": [2, 3]}, cv=2)
    search.fit(images, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_drift_is_found(fitted, digits):
    monitor = DriftMonitor(fitted, n_resamples=200, random_state=0).fit(digits[1200:1600])
    assert not monitor.test(digits[1600:]).drifted
    assert monitor.test(gaussian_noise(digits[1600:], 0.3, random_state=0)).drifted


# -- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "X, message",
    [
        (colours().astype(np.uint16), "X holds uint16"),
        (colours().astype(float), r"X holds 2\d\d in image|X holds [1-9]\d* in image"),
        (np.full((5, 8, 8), np.nan), "holds nan in image 0"),
        (np.zeros((5, 1, 1)), "images of 1 x 1 pixels, which is too small"),
        (np.zeros((5, 3, 8)), "must have at least 4"),
        ([np.zeros((8, 8)), np.zeros((8, 9))], "images of different sizes"),
        (np.zeros((0, 8, 8)), "0 sample"),
        (np.zeros((1, 8, 8)), "minimum of 2 is required"),
        (np.zeros((5, 8, 8, 8)), "may stand first or last"),
        (np.zeros((5, 7, 8, 9)), "with neither 1 to 4 channels"),
    ],
)
def test_bad_images_are_one_clear_error(X, message):
    with pytest.raises(ValueError, match=message):
        tiny().fit(X)


def test_other_images_than_those_of_fit(fitted):
    with pytest.raises(ValueError, match=r"images of 1 x 9 x 10 .* but fit saw 1 x 8 x 8"):
        fitted.predict(colours()[:, 0])


@pytest.mark.parametrize(
    "params, message",
    [
        ({"channels": ()}, "and one at least"),
        ({"channels": (0,)}, "channels=.* must hold integers of at least 1"),
        ({"output_activation": "tanh"}, "needs output_activation='sigmoid'"),
        ({"image_shape": (9, 9)}, r"image_shape=\(9, 9\) is 81 numbers"),
        ({"norm": "layer"}, "'norm' parameter"),
    ],
)
def test_bad_parameters(digits, params, message):
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(digits)


# -- they learn -----------------------------------------------------------------------------


@pytest.mark.parametrize("detector", DETECTORS)
def test_corrupted_digits_are_found(detector, fitted, digits):
    if detector is ConvAEDetector:
        fitted = detector(max_steps=150, batch_size=64, random_state=0).fit(digits[:1200])
    normal = digits[1200:]
    y = np.repeat([1, -1], len(normal))
    for corrupted, at_least in (
        (gaussian_noise(normal, 0.3, random_state=0), 0.95),
        (patch_occlusion(normal, 4, placing="centre", random_state=0), 0.75),
    ):
        assert fitted.score(np.concatenate([normal, corrupted]), y) > at_least


def test_one_digit_against_the_others():
    images, label = load_digits_images()
    zeros, others = images[label == 0], images[label != 0]
    detector = ConvVAEDetector(score="perceptual", max_steps=150, random_state=0).fit(zeros[:120])
    y = np.repeat([1, -1], [len(zeros) - 120, len(others)])
    assert detector.score(np.concatenate([zeros[120:], others]), y) > 0.95


def test_batch_norm_takes_statistics_of_training_batches_alone():
    images = colours(60)
    for stopping in ({}, {"early_stopping": True}):
        detector = tiny(norm="batch", max_steps=7, batch_size=16, **stopping).fit(images)
        norms = [m for m in detector.net_.module_.modules() if hasattr(m, "num_batches_tracked")]
        assert norms and all(m.num_batches_tracked == detector.n_steps_ for m in norms)
