"""The vector-quantised detector of images: a code a place, their rarity, and the road."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

import skvae
from skvae import ConvAEDetector, ConvVQVAEDetector
from skvae.datasets import load_digits_images
from skvae.detectors._codes import attainable
from skvae.networks import ConvAutoencoder, ConvVQ
from skvae.scores import DescriptionLength

TINY = {
    "channels": (4,),
    "hidden_layer_sizes": (8,),
    "latent_dim": 3,
    "n_codes": 6,
    "max_steps": 20,
    "batch_size": 32,
    "random_state": 0,
}


def detector(**params):
    return ConvVQVAEDetector(**TINY | params)


@pytest.fixture(scope="module")
def digits():
    images, _ = load_digits_images()
    return images[np.random.RandomState(0).permutation(len(images))] / 255


@pytest.fixture(scope="module")
def fitted(digits):
    return detector(max_steps=100).fit(digits[:300])


def network(image_shape=(2, 6, 9), filled=True, **options):
    generator = torch.Generator().manual_seed(0)
    net = ConvVQ(image_shape, 3, (4,), (8,), n_codes=5, generator=generator, **options)
    if filled:
        net.codebook.copy_(0.1 * torch.randn(net.codebook.shape, generator=generator))
        net.counts.fill_(4.0)
    return net


def batch(net, n=16):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(1, n, *net.image_shape, generator=generator)
    return images, torch.randn(1, n, net.noise_width, generator=generator)


# -- places -----------------------------------------------------------------------------------


def test_each_place_has_the_code_nearest_to_its_latents():
    net = network()
    x, _ = batch(net)
    assert net.n_places == 3 * 5  # 6 x 9, padded to 6 x 10
    assert net.latent_dim == net.latent_dims[0] == 45 and net.noise_dims == (15,)
    assert net.codebook.shape == (1, 1, 5, 3) and net.usage.shape == (1, 15, 5)
    output = net(x)
    places = output.latent.view(16, 15, 3)
    nearest = (places[:, :, None] - net.codebook[0, 0]).square().sum(-1).argmin(-1)
    codes = net.codebook[0, 0][nearest]
    torch.testing.assert_close(output.penalty[0], (places - codes).square().sum((1, 2)))
    expected = ConvAutoencoder.decode(net, codes.reshape(1, 16, 45))
    assert torch.equal(output.x_hat, expected)
    assert torch.equal(net.decode(output.latent), expected)
    assert output.x_hat.shape == (1, 16, 2, 6, 9)


def test_latents_stand_place_by_place_from_the_top_left():
    net = network((1, 8, 8))
    x, _ = batch(net, 1)
    changed = x.clone()
    changed[..., -2:, -2:] = 0
    moved = (net(x).latent != net(changed).latent).view(4, 4, 3).any(-1)
    # A convolution of kernel 4, stride 2 and padding 1 sees a pixel more on each side.
    assert moved.nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_places_pass_the_same_layers():
    net = network((1, 8, 8))
    flat = torch.full((1, 1, 1, 8, 8), 0.5)
    latents = net(flat).latent.view(4, 4, 3)
    torch.testing.assert_close(latents[1, 1], latents[2, 2])
    assert not torch.allclose(latents[0, 0], latents[1, 1]), "the padding is seen at the edge"


def test_gradients_reach_the_encoder_through_the_codes():
    net = network()
    x, noise = batch(net)
    net(x, noise).x_hat.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.encoder.parameters())
    assert not any(buffer.requires_grad for buffer in net.buffers())


def test_codes_follow_places_and_are_counted_by_place():
    net = network()
    x, noise = batch(net)
    before = net.codebook[0, 0].clone()
    places = net(x).latent.detach().view(-1, 3)
    nearest = (places[:, None] - before).square().sum(-1).argmin(-1)
    net(x, noise)
    for code in range(5):
        own = places[nearest == code]
        count = 0.8 * 4 + 0.2 * len(own)
        moved = (0.8 * 4 * before[code] + 0.2 * own.sum(0)) / count
        torch.testing.assert_close(net.codebook[0, 0, code], moved)
        taken = (nearest.view(16, 15) == code).sum(0)
        assert torch.equal(net.usage[0, :, code], taken.float())


def test_the_first_batch_fills_the_codebook_from_its_places():
    net = network(filled=False)
    x, noise = batch(net)
    places = net(x).latent.detach().view(-1, 3)
    net._revive(places[None, None], noise.flatten(1))
    assert torch.equal(net.codebook[0, 0], places[noise.flatten().argsort()[:5]])


# -- rarity -----------------------------------------------------------------------------------


def test_rarity_is_that_of_the_codes_where_they_stand():
    net = network()
    net.usage.copy_(torch.arange(75.0).reshape(1, 15, 5))
    x, _ = batch(net)
    places = net(x).latent.detach().view(16, 15, 3)
    nearest = (places[:, :, None] - net.codebook[0, 0]).square().sum(-1).argmin(-1)
    share = np.arange(1.0, 76).reshape(15, 5)
    share /= share.sum(1, keepdims=True)
    expected = -np.log(share[np.arange(15), nearest]).sum(1)
    np.testing.assert_allclose(net(x).parts["rarity"][0], expected, rtol=1e-5)
    overall = np.arange(75.0).reshape(15, 5).sum(0) + 1
    perplexity = np.exp(entropy(overall))
    np.testing.assert_allclose(net.perplexity(), [[perplexity]], rtol=1e-5)


def test_a_usual_patch_at_an_unusual_place_is_rare():
    rng = np.random.RandomState(0)
    X = 0.05 * rng.rand(300, 12, 12)
    X[:, :4] += 0.8  # a bar on top
    fitted = detector(score="rarity", channels=(4, 8), max_steps=150).fit(X)
    assert fitted.anomaly_score(X[:50, ::-1]).min() > fitted.anomaly_score(X).max()


def test_description_length_tells_codes_as_well_as_pixels(fitted, digits):
    with torch.inference_mode():
        ((x, output, error),) = fitted._blocks(fitted._validate(digits[:20]))
        own = output.member(0)
        without = own._replace(parts={}, penalty=None)
        score = DescriptionLength()
        difference = score(x, own, error[0]) - score(x, without, error[0])
    np.testing.assert_allclose(difference, own.parts["rarity"], rtol=1e-4)
    assert (difference > 1).all()


# -- the road ---------------------------------------------------------------------------------


def test_history_perplexity_and_latents(fitted, digits):
    assert list(fitted.history_.columns) == [
        "epoch", "loss", "reconstruction", "commitment", "rarity", "duration"
    ]  # fmt: skip
    last = fitted.history_.iloc[-1]
    assert last["loss"] == pytest.approx(last["reconstruction"] + 0.25 * last["commitment"])
    assert fitted.perplexity_.shape == (1, 1) and 2 < fitted.perplexity_ < 6
    assert last["rarity"] < 16 * math.log(6)
    assert fitted.latent_dim_ == 16 * 3
    Z = fitted.transform(digits[:5])
    assert Z.shape == (5, 48) and len(fitted.get_feature_names_out()) == 48
    reconstructed = fitted.reconstruct(digits[:5])
    np.testing.assert_allclose(fitted.inverse_transform(Z), reconstructed, rtol=1e-5)


def test_what_it_says_of_an_image_does_not_depend_on_those_beside(fitted, digits):
    for method in (fitted.anomaly_score, fitted.transform, fitted.error_map, fitted.reconstruct):
        expected = method(digits[:300])
        assert np.array_equal(method(digits[7:9]), expected[7:9])
        assert np.array_equal(method(digits[299:300]), expected[299:])


def test_an_ensemble_has_the_codebooks_of_its_members(digits, fitted, tmp_path):
    X = digits[:200]
    of_two = detector(n_estimators=2, norm="batch").fit(X)
    lone = detector(norm="batch").fit(X)
    first, second = of_two.net_.module_.network.networks
    for name, value in lone.net_.module_.network.state_dict().items():
        assert torch.equal(first.state_dict()[name], value), name
    assert not torch.equal(first.codebook, second.codebook)
    assert of_two.perplexity_.shape == (2, 1)
    assert of_two.perplexity_[0] == lone.perplexity_
    np.testing.assert_array_equal(of_two.transform(X)[:, :48], lone.transform(X))
    skvae.save(of_two, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), of_two.anomaly_score(X))
    np.testing.assert_array_equal(loaded.perplexity_, of_two.perplexity_)


@pytest.mark.parametrize(
    "params",
    [
        {"norm": "group", "attention": 4},
        {"likelihood": "gaussian", "contamination": 0.1},
        {"hidden_layer_sizes": (), "channels": (3, 5), "activation": "silu"},
        {"early_stopping": True, "batch_size": 7, "n_codes": 40},
    ],
)
def test_parameters(digits, params):
    assert np.isfinite(detector(**params).fit(digits[:100]).anomaly_score(digits[:100])).all()


def test_a_warm_start_keeps_the_codebook(digits):
    X = digits[:200]
    fitted = detector(warm_start=True, max_steps=60, lr=1e-6).fit(X)
    before = fitted.net_.module_.network.codebook.clone()
    after = fitted.fit(X).net_.module_.network.codebook
    assert (after - before).abs().median() < 0.1 * before.abs().median()
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        fitted.set_params(n_codes=7).fit(X)


def test_it_finds_what_is_no_digit(digits):
    rng = np.random.RandomState(0)
    fitted = ConvVQVAEDetector(max_steps=300, random_state=0).fit(digits[:1200])
    noisy = np.clip(digits[1200:] + 0.4 * rng.randn(*digits[1200:].shape), 0, 1)
    y = np.repeat([1, -1], len(noisy))
    assert fitted.score(np.r_[digits[1200:], noisy], y) > 0.97


# -- codes that die ---------------------------------------------------------------------------


def test_dying_codes_are_said(digits):
    words = r"The codes are dying: by perplexity the training uses \d\.\d of 20 codes"
    with pytest.warns(UserWarning, match=words):
        # The biases of the network are larger than such pixels by far, so all latents are alike.
        detector(n_codes=20, score="reconstruction").fit(1e-12 * digits[:100])


def test_images_of_few_patches_have_no_dying_codes():
    X = np.zeros((60, 8, 8))
    X[::2, :4, :4] = 1
    detector(n_codes=64, max_steps=30).fit(X)


def test_attainable_perplexity():
    rows = np.arange(64)[:, None]
    assert attainable(rows, 16) == pytest.approx(16)
    assert attainable(rows, 100) == pytest.approx(64)
    assert attainable(np.repeat([[0], [1], [2]], [50, 25, 25], axis=0), 9) == pytest.approx(
        np.exp(entropy([2, 1, 1]))
    )
    # Half of the rows are equal: they have one code, the others share the other 4 evenly.
    half = np.r_[np.full(100, -1), np.arange(100)][:, None]
    assert attainable(half, 5) == pytest.approx(np.exp(entropy([4, 1, 1, 1, 1])))


def test_other_networks_of_images_know_no_rarity(digits):
    with pytest.raises(ValueError, match="reads rarity, of which the network of ConvAEDetector"):
        ConvAEDetector(score="rarity").fit(digits)
