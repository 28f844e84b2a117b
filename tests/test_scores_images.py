import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from skimage.feature import hog as skimage_hog
from skimage.metrics import structural_similarity
from sklearn.mixture import GaussianMixture
from torch import nn

from skvae.networks import Output
from skvae.scores import (
    BLOCK_IMAGES,
    IMAGE_SCORE,
    IMAGE_SCORES,
    DescriptionLength,
    FeatureDensity,
    FeatureNeighbors,
    Local,
    Perceptual,
    Relative,
    Score,
    SmoothMax,
    Ssim,
    hog,
    ssim_map,
)
from skvae.scores._features import Nearest, _Subspace
from skvae.scores._image_features import hog_cell

SIZES = [(1, 28, 28), (3, 17, 30), (1, 8, 8), (2, 3, 5)]


def images(n, channels=1, height=28, width=28, seed=0):
    """Bright bars on black, blurred by noise."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.2 * torch.rand(n, channels, height, width, generator=generator)
    for image, column in zip(x, torch.randint(width, (n,), generator=generator), strict=True):
        image[:, :, column] += 0.8
    return x


def road(x, latent_dim=4, seed=5):
    """What a score is called with, for a "network" that blurs."""
    x_hat = (x + x.roll(1, -1) + x.roll(1, -2)) / 3
    weight = torch.randn(
        x[0].numel(), latent_dim, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )
    latent = (x.flatten(1).double()[:, None] * weight.T).sum(2).float()
    return x, Output(x_hat, latent), (x - x_hat).square()


def fitted(score, trusted, seed=0):
    return score.fit(*road(trusted), None, seed)


def call(score, x, method="__call__"):
    return np.asarray(getattr(score, method)(*road(x)), dtype=np.float64)


def make(name):
    if name == "default":
        return SmoothMax([IMAGE_SCORES[part]() for part in IMAGE_SCORE])
    return IMAGE_SCORES[name]()


NAMES = [*IMAGE_SCORES, "default"]


# -- features against scikit-image ---------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 28, 28), (2, 17, 30), (1, 11, 12)])
def test_ssim_is_that_of_scikit_image(size):
    x, y = images(5, *size), images(5, *size, seed=1)
    y = 0.7 * x + 0.3 * y
    actual = ssim_map(x, y).numpy()
    for i, channel in np.ndindex(5, size[0]):
        _, expected = structural_similarity(
            x[i, channel].double().numpy(),
            y[i, channel].double().numpy(),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        np.testing.assert_allclose(actual[i, channel], expected, atol=2e-3)
        assert np.abs(actual[i, channel] - expected).mean() < 2e-5


@pytest.mark.parametrize("size", SIZES)
def test_hog_is_that_of_scikit_image(size):
    x = images(5, *size)
    cell = hog_cell(*size[1:])
    n_cells = [side // cell for side in size[1:]]
    block = min(3, *n_cells)
    for image, actual in zip(x, hog(x), strict=True):
        expected = skimage_hog(
            np.moveaxis(image.double().numpy(), 0, -1),
            orientations=9,
            pixels_per_cell=(cell, cell),
            cells_per_block=(block, block),
            block_norm="L2-Hys",
            feature_vector=False,
            channel_axis=-1,
        )
        down, across = expected.shape[:2]
        expected = expected.transpose(4, 2, 3, 0, 1).reshape(-1, down, across)
        np.testing.assert_allclose(actual.numpy(), expected, atol=2e-5)


def test_cells_grow_with_the_image():
    assert [hog_cell(s, s) for s in (1, 2, 8, 28, 32, 64, 256)] == [1, 2, 2, 4, 4, 8, 32]


def test_features_of_any_number_of_images_have_the_same_bits():
    x = images(2 * BLOCK_IMAGES + 9)
    y = x.roll(1, -1)
    for function in (hog, lambda x: ssim_map(x, y[: len(x)])):
        whole = function(x)
        assert torch.equal(whole[:9], function(x[:9]))
    assert torch.equal(hog(x)[100:], hog(x[100:]))
    assert torch.equal(ssim_map(x, y)[100:], ssim_map(x[100:], y[100:]))


# -- all scores ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_no_neighbour_changes_a_bit(name):
    score = fitted(make(name), images(120))
    x = images(BLOCK_IMAGES + 37, seed=1)
    x = torch.cat([x, images(5)])  # trusted ones among them
    x, output, error = road(x)
    whole = np.asarray(score(x, output, error))
    assert whole.shape == (len(x),) and np.isfinite(whole).all()
    for rows in (slice(0, 1), slice(30, 41), slice(len(x) - 7, None)):
        part = Output(output.x_hat[rows], output.latent[rows])
        np.testing.assert_array_equal(np.asarray(score(x[rows], part, error[rows])), whole[rows])
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    mixed = Output(output.x_hat[order], output.latent[order])
    np.testing.assert_array_equal(np.asarray(score(x[order], mixed, error[order])), whole[order])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_of_image_is_finite_and_has_a_map(name, size):
    score = fitted(make(name), images(60, *size))
    for x in (images(4, *size, seed=1), torch.zeros(2, *size), torch.ones(2, *size)):
        assert np.isfinite(call(score, x)).all()
        error_map = call(score, x, "error_map")
        assert error_map.shape == x.shape and (error_map >= -1e-6).all()
    assert call(score, images(60, *size), "held_out").shape == (60,)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trusted", [torch.zeros(10, 1, 8, 8), images(2, 1, 8, 8), images(9)])
def test_few_or_constant_trusted_images(name, trusted):
    score = fitted(make(name), trusted)
    assert np.isfinite(call(score, images(3, *trusted.shape[1:], seed=1))).all()
    assert np.isfinite(call(score, trusted, "held_out")).all()


@pytest.mark.parametrize("name", NAMES)
def test_seeds_pickles_and_the_global_generators(name):
    trusted, x = images(300), images(5, seed=1)
    state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    score = fitted(make(name), trusted)
    expected = call(score, x)
    np.testing.assert_array_equal(call(fitted(make(name), trusted), x), expected)
    np.testing.assert_array_equal(call(pickle.loads(pickle.dumps(score)), x), expected)
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)


def test_trusted_images_are_scored_as_if_they_had_not_been_there():
    trusted, new = images(600), images(600, seed=1)
    for name in ("hog_density", "latent_density", "hog_neighbors", "local", "default"):
        score = fitted(make(name), trusted)
        held_out, fresh = np.median(call(score, trusted, "held_out")), call(score, new)
        low, high = np.quantile(fresh, [0.3, 0.7])
        assert low < held_out < high, name


# -- each score in closed form -------------------------------------------------------------------


def test_scores_of_one_image_in_closed_form():
    x = images(6)
    x_, x_hat = (t.double().numpy() for t in (x, road(x)[1].x_hat))
    cross_entropy = -(x_ * np.log(x_hat) + (1 - x_) * np.log(1 - x_hat))
    entropy = -(x_ * np.log(x_) + (1 - x_) * np.log(1 - x_))
    axes = (1, 2, 3)
    np.testing.assert_allclose(call(DescriptionLength(), x), cross_entropy.sum(axes), rtol=1e-5)
    output = road(x)[1]._replace(penalty=torch.arange(6.0))
    scores = DescriptionLength()(x, output, None)
    np.testing.assert_allclose(scores, cross_entropy.sum(axes) + np.arange(6), rtol=1e-5)
    divergence = call(DescriptionLength(), x, "error_map")
    np.testing.assert_allclose(divergence, cross_entropy - entropy, atol=1e-5)
    ssim = 1 - ssim_map(x, road(x)[1].x_hat).double().numpy()
    np.testing.assert_allclose(call(Ssim(), x), ssim.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(call(Ssim(), x, "error_map"), ssim, rtol=1e-6)
    expected = ssim.mean(axes) / (x_.mean(axes) + 0.02)
    np.testing.assert_allclose(call(Relative(Ssim()), x), expected, rtol=1e-5)


def test_certain_and_wrong_pixels_cost_a_bounded_number_of_nats():
    x = torch.ones(1, 1, 4, 4)
    for value in (0.0, -3.0):  # a linear network may leave [0, 1]
        scores = DescriptionLength()(x, Output(torch.full_like(x, value), None), None)
        np.testing.assert_allclose(scores, -16 * np.log(1e-6), rtol=1e-5)


def test_perfect_reconstructions_score_zero():
    x = images(3)
    perfect = Output(x, None)
    for score in (Ssim(), Relative(Ssim()), Perceptual()):
        np.testing.assert_allclose(np.asarray(score(x, perfect, None)), 0, atol=1e-5)
    assert DescriptionLength().error_map(x, perfect, None).max() < 1e-6


def test_local_divides_by_the_scores_of_the_latent_neighbours():
    trusted, x = images(200), images(7, seed=1)
    score = fitted(Local(Ssim(), n_neighbors=5), trusted)
    z0, z = (road(t)[1].latent.double().numpy() for t in (trusted, x))
    scale = z0.std(0)
    distances = np.linalg.norm((z[:, None] - z0) / scale, axis=2)
    nearest = np.argsort(distances, axis=1)[:, :5]
    usual = call(Ssim(), trusted)
    np.testing.assert_allclose(call(score, x), call(Ssim(), x) / usual[nearest].mean(1), rtol=1e-5)
    # A trusted image is no neighbour of its own.
    distances = np.linalg.norm((z0[:, None] - z0) / scale, axis=2)
    nearest = np.argsort(distances, axis=1)[:, 1:6]
    expected = usual / usual[nearest].mean(1)
    np.testing.assert_allclose(call(score, trusted, "held_out"), expected, rtol=1e-5)
    np.testing.assert_allclose(call(score, trusted), expected, rtol=1e-5)


def test_nearest_passes_over_the_row_itself_once():
    reference = np.array([[0.0], [0.0], [1.0], [3.0]])
    neighbors, distances = Nearest(reference, 2)(np.array([[0.0], [2.9]]))
    np.testing.assert_allclose(distances, [[0, 1], [0.1, 1.9]])
    assert neighbors[1].tolist() == [3, 2]
    assert Nearest(reference, 20)(reference)[1].shape == (4, 3)


def test_perceptual_takes_modules_and_functions():
    x = images(4, 3)
    x_hat = road(x)[1].x_hat
    torch_state = torch.random.get_rng_state()
    module = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.Dropout(0.5))
    torch.random.set_rng_state(torch_state)
    with torch.inference_mode():
        score = Perceptual(module)
        actual = call(score, x)
        assert not module.training
        squares = (module(x) - module(x_hat)).square()
        np.testing.assert_allclose(actual, squares.sum((1, 2, 3)), rtol=1e-4)
        assert call(score, x, "error_map").shape == x.shape
    flat = Perceptual(lambda x: x.flatten(1))
    np.testing.assert_allclose(call(flat, x), (x - x_hat).square().sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(call(flat, x, "error_map"), (x - x_hat).square())
    np.testing.assert_allclose(
        call(Perceptual(), x), (hog(x) - hog(x_hat)).square().sum((1, 2, 3)), rtol=1e-5
    )


@pytest.mark.parametrize("score", [Perceptual, FeatureDensity, FeatureNeighbors])
def test_unknown_features(score):
    message = "features='sift' is neither 'hog' nor a torch module or function of images."
    with pytest.raises(ValueError, match=message):
        call(fitted(score("sift"), images(20)), images(3))


def flat_features(x):
    return x.flatten(1)


def test_density_is_that_of_its_mixtures():
    """In a space of few features nothing is projected away, and nats are nats up to a scale."""
    trusted, x = images(1000, 1, 2, 3), images(50, 1, 2, 3, seed=1)
    score = fitted(FeatureDensity(flat_features), trusted)
    rows = score._coordinates(trusted.flatten(1).double().numpy())
    assert rows.shape == (1000, 6)
    np.testing.assert_allclose(rows.var(0).mean(), 1)
    expected = []
    for fold in range(4):
        mixture = GaussianMixture(2, reg_covar=1e-3, max_iter=40, random_state=0)
        mixture.fit(rows[score._fold != fold])
        new = score._coordinates(x.flatten(1).double().numpy())
        expected.append(
            -np.log(
                sum(
                    weight * multivariate_normal(mean, covariance).pdf(new)
                    for weight, mean, covariance in zip(
                        mixture.weights_, mixture.means_, mixture.covariances_, strict=True
                    )
                )
            )
        )
    np.testing.assert_allclose(call(score, x), np.mean(expected, 0), rtol=1e-6)


def test_what_a_subspace_leaves_over_is_the_residual_of_principal_components():
    trusted, x = images(300, 1, 6, 6), images(9, 1, 6, 6, seed=1)
    rows, new = (t.flatten(1).double().numpy() for t in (trusted, x))
    _, _, components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    centred = new - rows.mean(0)
    inside, left = _Subspace(rows, 4, 0)(new)
    np.testing.assert_allclose(np.abs(inside), np.abs(centred @ components[:4].T), atol=1e-8)
    np.testing.assert_allclose(left, (centred**2).sum(1) - (inside**2).sum(1), rtol=1e-6)


def test_density_of_many_features_keeps_what_lies_outside_the_components():
    """Noise that no leading component sees must not pass."""
    trusted = images(800)
    score = fitted(FeatureDensity(flat_features), trusted)
    assert score._coordinates(trusted[:5].flatten(1).double().numpy()).shape == (5, 128)
    noise = 0.3 * torch.randn(50, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    x = images(50, seed=1)
    assert call(score, x + noise).min() > call(score, x).max()


class Given(Score):
    """Scores that are written in the first pixel."""

    def __init__(self, positive):
        self.positive = positive

    def __call__(self, x, output, error):
        return x[:, 0, 0, 0]


def test_smooth_max_in_closed_form():
    trusted = images(400)
    fused = fitted(SmoothMax([Given(True), Given(False)]), trusted)
    low, median, high = np.quantile(trusted[:, 0, 0, 0].double(), [0.16, 0.5, 0.84])
    x = images(9, seed=1)
    value = x[:, 0, 0, 0].double().numpy()
    first = np.log(value / median) / (np.log(high / low) / 2)
    second = (value - median) / ((high - low) / 2)
    expected = np.log((np.exp(first) + np.exp(second)) / 2)
    np.testing.assert_allclose(call(fused, x), expected, rtol=1e-3, atol=1e-3)
    # One part that stands out suffices, however many others do not.
    x[:, 0, 0, 0] = 1e4
    np.testing.assert_allclose(
        call(fused, x), (1e4 - median) / ((high - low) / 2) - np.log(2), rtol=1e-5
    )


def test_map_of_the_default_adds_those_of_its_parts_and_shows_a_patch():
    trusted, x = images(200), images(3, seed=1)
    score = fitted(make("default"), trusted)
    expected = 0
    for part in (Ssim(), DescriptionLength()):
        scale = np.quantile(call(part, trusted, "error_map"), 0.995)
        expected = expected + call(part, x, "error_map") / scale
    np.testing.assert_allclose(call(score, x, "error_map"), expected, rtol=1e-5)
    x, output, error = road(x)
    x = x.clone()
    x[:, :, 4:10, 4:10] = 1
    error_map = np.asarray(score.error_map(x, output, error))
    inside = error_map[:, :, 4:10, 4:10].mean()
    assert inside > 10 * np.median(error_map)


def test_contrast_does_not_change_the_features_of_shape():
    x = images(5)
    np.testing.assert_allclose(hog(x), hog(0.5 * x), atol=1e-3)
