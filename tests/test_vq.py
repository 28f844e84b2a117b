"""The vector-quantised detector: codes, their averages, their revival and their rarity."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone

import skvae
from skvae import VAEDetector, VQVAEDetector
from skvae.base import fit_stack
from skvae.networks import VQMLP, MLPAutoencoder
from skvae.networks._quantised import DECAY

TINY = {"hidden_layer_sizes": (8,), "n_codes": 8, "max_steps": 8, "batch_size": 16}


def rows(n=200, d=6, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(n, 2) @ rng.randn(2, d) + 0.1 * rng.randn(n, d)


def detector(**params):
    return VQVAEDetector(**{**TINY, "random_state": 0, **params})


def network(latent_dim=4, n_groups=2, n_codes=5, filled=True):
    generator = torch.Generator().manual_seed(0)
    net = VQMLP(3, latent_dim, (8,), n_groups=n_groups, n_codes=n_codes, generator=generator)
    if filled:
        net.codebook.copy_(torch.randn(net.codebook.shape, generator=generator))
        net.counts.fill_(4.0)
    return net


def batch(n=32):
    generator = torch.Generator().manual_seed(1)
    shapes = (1, n, 3), (1, n, 1)
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def latents(net, x):
    return net.encode(x)[0][..., : net.latent_dim]


# -- codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "latent_dim, n_groups, shape",
    [
        (8, 4, (4, 2)),
        (8, 3, (3, 3)),
        (5, 4, (3, 2)),
        (2, 4, (2, 1)),
        (1, 4, (1, 1)),
        (7, 1, (1, 7)),
    ],
)
def test_latents_are_cut_into_groups(latent_dim, n_groups, shape):
    net = network(latent_dim, n_groups)
    assert net.codebook.shape == (1, shape[0], 5, shape[1])
    x, _ = batch()
    z = latents(net, x)
    grouped = net._grouped(z)
    assert grouped.shape == (1, shape[0], 32, shape[1])
    assert torch.equal(grouped.transpose(1, 2).flatten(2)[..., :latent_dim], z)


@pytest.mark.parametrize("latent_dim, n_groups", [(4, 2), (5, 4), (7, 1)])
def test_each_group_takes_its_nearest_code(latent_dim, n_groups):
    net = network(latent_dim, n_groups)
    grouped = net._grouped(latents(net, batch()[0]))
    distances = (grouped[:, :, :, None] - net.codebook[:, :, None]).square().sum(-1)
    assert torch.equal(net._nearest(grouped), distances.argmin(-1))


def test_the_decoder_sees_codes_alone():
    net = network()
    x, _ = batch(200)
    output = net(x)
    codes = net._codes(net._nearest(net._grouped(latents(net, x))))
    assert torch.equal(output.x_hat, MLPAutoencoder.decode(net, codes))
    assert torch.equal(output.x_hat, net.decode(output.latent))
    assert len(output.x_hat[0].unique(dim=0)) <= 25
    assert torch.equal(output.latent, latents(net, x))


def test_penalty_is_the_squared_distance_from_the_codes():
    net = network()
    x, _ = batch()
    z = latents(net, x)
    codes = net._codes(net._nearest(net._grouped(z)))
    np.testing.assert_allclose(
        net(x).penalty.detach(), (z - codes).square().sum(-1).detach(), rtol=1e-6
    )


def test_gradients_pass_straight_through_the_codes():
    net = network()
    x, noise = batch()
    z = latents(net, x).detach().requires_grad_()
    net.encode = lambda x: (z, None)
    codes = net._codes(net._nearest(net._grouped(z))).requires_grad_()
    (expected,) = torch.autograd.grad(MLPAutoencoder.decode(net, codes).square().sum(), codes)
    (commitment,) = torch.autograd.grad(net(x).penalty.sum(), z)
    torch.testing.assert_close(commitment, 2 * (z - codes))
    (found,) = torch.autograd.grad(net(x, noise).x_hat.square().sum(), z)
    torch.testing.assert_close(found, expected)
    assert not any(buffer.requires_grad for buffer in net.buffers())


# -- averages and revival ---------------------------------------------------------------------


def test_codes_follow_the_means_of_their_latents():
    net = network()
    x, noise = batch()
    grouped = net._grouped(latents(net, x)).detach()
    before, nearest = net.codebook.clone(), net._nearest(grouped)
    net(x, noise)
    for group in range(2):
        for code in range(5):
            own = grouped[0, group][nearest[0, group] == code]
            count = DECAY * 4 + (1 - DECAY) * len(own)
            moved = DECAY * 4 * before[0, group, code] + (1 - DECAY) * own.sum(0)
            assert net.counts[0, group, code].item() == pytest.approx(count, rel=1e-5)
            assert net.usage[0, group, code].item() == len(own)
            torch.testing.assert_close(net.codebook[0, group, code], moved / count)


def test_nothing_moves_without_noise():
    net = network()
    before = [buffer.clone() for buffer in net.buffers()]
    net(batch()[0])
    assert all(map(torch.equal, before, net.buffers()))


def test_the_first_batch_fills_the_codebook_in_the_order_of_its_noise():
    net = network(filled=False)
    x, noise = batch()
    first = latents(net, x)[0, noise[0, :, 0].argsort()[:5]]
    net._revive(net._grouped(latents(net, x)), noise[..., 0])
    assert torch.equal(net.codebook[0].transpose(0, 1).flatten(1), first)
    assert torch.equal(net.counts, torch.full((1, 2, 5), 32 / 5))


def test_a_code_that_hardly_any_row_takes_is_revived_and_no_other():
    net = network()
    net.counts[0, 1, 3] = 0.07 * 4
    net.counts[0, 0, 2] = 0.9
    before = net.codebook.clone()
    x, noise = batch()
    grouped = net._grouped(latents(net, x)).detach()
    net._revive(grouped, noise[..., 0])
    changed = (net.codebook != before).any(-1)
    assert changed.nonzero().tolist() == [[0, 1, 3]]
    assert torch.equal(net.codebook[0, 1, 3], grouped[0, 1, noise[0, :, 0].argsort()[3]])
    assert net.counts[0, 1, 3].item() == pytest.approx(32 / 5)


def test_more_codes_than_rows_of_a_batch():
    net = network(n_codes=50, filled=False)
    x, noise = batch(4)
    net(x, noise)
    assert all(torch.isfinite(buffer).all() for buffer in net.buffers())


# -- rarity -----------------------------------------------------------------------------------


def test_rarity_sums_what_the_codes_say():
    net = network()
    net.usage.copy_(torch.arange(10.0).reshape(1, 2, 5))
    x, _ = batch()
    nearest = net._nearest(net._grouped(latents(net, x)))[0]
    first, second = np.arange(1, 6) / 15, np.arange(6, 11) / 40
    expected = -np.log(first[nearest[0]]) - np.log(second[nearest[1]])
    np.testing.assert_allclose(net(x).parts["rarity"][0], expected, rtol=1e-5)
    perplexity = [np.exp(-np.sum(p * np.log(p))) for p in (first, second)]
    np.testing.assert_allclose(net.perplexity()[0], perplexity, rtol=1e-5)


def test_the_rarer_a_cluster_the_rarer_its_rows():
    rng = np.random.RandomState(0)
    sizes = [320, 60, 20]
    X = np.repeat(3 * rng.randn(3, 4), sizes, axis=0)
    fitted = detector(max_steps=200, score="rarity", contamination=0).fit(X)
    ends = np.cumsum(sizes) - 1
    frequent, rare, rarest = fitted.anomaly_score(X)[ends]
    assert frequent < rare < rarest


def test_history_and_perplexity():
    fitted = detector(max_steps=60).fit(rows())
    assert list(fitted.history_.columns) == [
        "epoch", "loss", "reconstruction", "commitment", "rarity", "duration"
    ]  # fmt: skip
    last = fitted.history_.iloc[-1]
    assert last["loss"] == pytest.approx(last["reconstruction"] + 0.25 * last["commitment"])
    assert fitted.perplexity_.shape == (1, 3)
    guessed = fitted.perplexity_.prod()
    assert math.exp(last["rarity"]) == pytest.approx(guessed, rel=0.3)
    assert not hasattr(detector(), "perplexity_")


def test_dying_codes_are_said():
    words = r"The codes are dying: by perplexity the training uses 1\.\d of 8 codes"
    with pytest.warns(UserWarning, match=words):
        # The biases of the network are larger than such rows by far, so all latents are alike.
        detector(scaler=None, max_steps=100).fit(1e-12 * rows())


def test_few_rows_that_differ_are_no_dying_codes():
    X = np.repeat(rows(3), [100, 50, 50], axis=0)
    detector(n_codes=64, max_steps=300).fit(X)


# -- the road ---------------------------------------------------------------------------------


def test_members_of_a_stack_are_lone_fits_to_the_bit():
    X = rows(49)
    base = detector(max_steps=40, n_codes=10)
    changes = [
        {"beta": 1.0},
        {"latent_dim": 3},
        {"latent_dim": 3, "random_state": 2},
        {"contamination": 0.0},
        {"random_state": 3},
    ]
    jobs = [(clone(base).set_params(**own), X, None) for own in changes]
    lone = [clone(each).fit(X) for each, _, _ in jobs]
    for own, fit in zip(lone, fit_stack(jobs), strict=True):
        assert fit.error is None
        weights = fit.detector.net_.module_.state_dict()
        for name, value in own.net_.module_.state_dict().items():
            assert torch.equal(weights[name], value), name
        np.testing.assert_array_equal(fit.detector.anomaly_score(X), own.anomaly_score(X))
        assert fit.detector.history_.drop(columns="duration").equals(
            own.history_.drop(columns="duration")
        )


def test_an_ensemble_has_the_codebooks_of_its_members(tmp_path):
    X = rows()
    fitted = detector(n_estimators=3, max_steps=30).fit(X)
    lone = detector(max_steps=30).fit(X)
    one, *others = fitted.net_.module_.unstack()
    assert torch.equal(one.network.codebook, lone.net_.module_.network.codebook)
    assert not torch.equal(one.network.codebook, others[0].network.codebook)
    assert fitted.perplexity_.shape == (3, 3)
    skvae.save(fitted, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), fitted.anomaly_score(X))
    np.testing.assert_array_equal(loaded.perplexity_, fitted.perplexity_)


def test_a_warm_start_keeps_the_codebook():
    X = rows()
    fitted = detector(warm_start=True, max_steps=60, lr=1e-6).fit(X)
    before = fitted.net_.module_.network.codebook.clone()
    fitted.fit(X)
    after = fitted.net_.module_.network.codebook
    assert (after - before).abs().median() < 0.1 * before.abs().median()


class Died(Exception):
    pass


def test_a_training_that_died_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from skvae.runs import _fit

    X = rows()
    expected = detector(max_steps=60).fit(X)
    on_epoch_end = _fit.Watch.on_epoch_end

    def dying(self, net, **kwargs):
        on_epoch_end(self, net, **kwargs)
        if len(net.history) == 2:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(_fit.Watch, "on_epoch_end", dying)
        with pytest.raises(Died):
            skvae.fit_in_folder(detector(max_steps=60), X, folder=tmp_path)
    fitted = skvae.fit_in_folder(detector(max_steps=60), X, folder=tmp_path)
    for name, value in expected.net_.module_.state_dict().items():
        assert torch.equal(fitted.net_.module_.state_dict()[name], value), name
    np.testing.assert_array_equal(fitted.anomaly_score(X), expected.anomaly_score(X))


def test_log_likelihood_is_that_of_the_reconstruction():
    fitted = detector(likelihood="mse", scaler=None, contamination=0).fit(rows())
    expected = -np.square(rows() - fitted.reconstruct(rows())).sum(1)
    np.testing.assert_allclose(fitted.log_likelihood(rows()), expected, rtol=1e-4)


def test_other_networks_know_no_rarity():
    with pytest.raises(ValueError, match="reads rarity, of which the network of VAEDetector"):
        VAEDetector(score="rarity").fit(rows())
