"""The hierarchical detector: levels of latents, their KL divergences, and their collapse."""

import numpy as np
import pytest
import torch

import skvae
from skvae import HierarchicalVAEDetector, VAEDetector
from skvae.base import fit_stack
from skvae.networks import LadderAutoencoder
from skvae.scores import Part
from skvae.training import Autoencoder

TINY = {"max_steps": 5, "hidden_layer_sizes": (16, 8), "latent_dim": (3, 2), "random_state": 0}


def tiny(**params):
    return HierarchicalVAEDetector(**{**TINY, **params})


def network(level_dims=(3, 2), sizes=(16, 8), n_features=6):
    generator = torch.Generator().manual_seed(0)
    return LadderAutoencoder(n_features, level_dims, sizes, generator=generator)


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(300, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(300, 6)


# -- the network --------------------------------------------------------------------------------


def test_the_kl_of_each_level_is_that_of_its_gaussians():
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    output = network()(x)
    assert output.latent.shape == output.log_var.shape == (1, 9, 5)
    posterior = torch.distributions.Normal(output.latent, torch.exp(0.5 * output.log_var))
    prior = torch.distributions.Normal(0.0, 1.0)
    kl = torch.distributions.kl_divergence(posterior, prior)
    torch.testing.assert_close(output.parts["kl_1"], kl[..., :3].sum(-1))
    torch.testing.assert_close(output.parts["kl_2"], kl[..., 3:].sum(-1))
    torch.testing.assert_close(output.penalty, kl.sum(-1))


def test_nothing_but_latents_gets_to_the_decoder():
    module = network()
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    output = module(x)
    assert torch.equal(output.x_hat, module.decode(output.latent))
    # With the latents cut from the encoder no way is left from x to its reconstruction.
    encode = module.encode
    module.encode = lambda rows: [[each.detach() for each in part] for part in encode(rows)]
    (gradient,) = torch.autograd.grad(module(x).x_hat.sum(), x, allow_unused=True)
    assert gradient is None


def test_a_level_is_read_off_its_layer():
    module = network()
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(0))
    before = module(x)
    with torch.no_grad():
        module.encoder[1].weight.mul_(2)  # the second hidden layer
    after = module(x)
    assert torch.equal(after.latent[..., :3], before.latent[..., :3])
    assert not torch.allclose(after.latent[..., 3:], before.latent[..., 3:])


@pytest.mark.parametrize("level_dims", [(4,), (3, 2), (2, 2, 1)])
@pytest.mark.parametrize("sizes", [(8,), (16, 8), (16, 8, 4, 5)])
def test_any_number_of_levels_and_layers(level_dims, sizes):
    module = network(level_dims, sizes)
    output = module(torch.randn(7, 6))
    assert output.x_hat.shape == (1, 7, 6)
    assert list(output.parts) == [f"kl_{i + 1}" for i in range(len(level_dims))]
    output.x_hat.square().sum().backward()
    used = [each.grad is not None for each in module.decoder.parameters()]
    assert all(used)


def test_noise_moves_the_code_by_the_posterior():
    module, x = network(), torch.randn(7, 6)
    noise = torch.randn(1, 7, 5)
    output = module(x, noise)
    z = output.latent + noise * torch.exp(0.5 * output.log_var)
    torch.testing.assert_close(output.x_hat, module.decode(z))


# -- the detector -------------------------------------------------------------------------------


def test_the_history_adds_up(X):
    history = tiny(max_steps=50, beta=0.5).fit(X).history_
    assert list(history.columns) == [
        *("epoch", "loss", "reconstruction", "kl", "kl_1", "kl_2", "duration")
    ]
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + 0.5 * history["kl"])


def test_parts_are_means_over_all_rows_and_kl_over_the_trusted(X):
    history = tiny(contamination=0).fit(X).history_
    np.testing.assert_allclose(history["kl"], history["kl_1"] + history["kl_2"], rtol=1e-5)


def test_a_score_of_each_level(X):
    detector = tiny(score=Part("kl_2"), max_steps=50).fit(X)
    output = detector.net_.module_.network(
        torch.as_tensor(detector.scaler_.transform(X), dtype=torch.float32)
    )
    expected = output.parts["kl_2"][0].detach()
    np.testing.assert_allclose(detector.anomaly_score(X), expected, rtol=1e-4)
    both = tiny(score=[Part("kl_1"), "reconstruction"]).fit(X)
    assert np.isfinite(both.anomaly_score(X)).all()
    with pytest.raises(ValueError, match="reads kl_3, of which the network of Hierarchical"):
        tiny(score=Part("kl_3")).fit(X)
    with pytest.raises(ValueError, match="reads kl_1"):
        VAEDetector(score=Part("kl_1")).fit(X)


def test_it_learns(X):
    rows = np.r_[X, X[:100] + 3 * np.random.RandomState(1).randn(100, 6)]
    is_anomaly = np.arange(400) >= 300
    detector = HierarchicalVAEDetector(contamination=0, max_steps=200, random_state=0).fit(X)
    assert detector.score(rows, is_anomaly) > 0.95
    assert detector.latent_dim_ == 4 + 2


def test_stacks_and_ensembles_are_lone_fits(X):
    jobs = [
        (tiny(latent_dim=dims, random_state=seed), X, None)
        for seed in (0, 1)
        for dims in ((3, 2), (2, 3), 5)
    ]
    for (detector, _, _), (one, error, _) in zip(jobs, fit_stack(jobs), strict=True):
        assert error is None
        alone = tiny(latent_dim=detector.latent_dim, random_state=detector.random_state).fit(X)
        assert np.array_equal(one.anomaly_score(X), alone.anomaly_score(X))
    members = tiny(n_estimators=2).fit(X).net_.module_.unstack()
    assert [each.network.n_members for each in members] == [1, 1]
    assert isinstance(members[0], Autoencoder)


def test_a_model_file_holds_the_levels(X, tmp_path):
    detector = tiny(n_estimators=2, score=["density", Part("kl_1")]).fit(X)
    skvae.save(detector, tmp_path / "model")
    loaded = skvae.load(tmp_path / "model")
    assert loaded.latent_dim == (3, 2)
    assert np.array_equal(loaded.anomaly_score(X), detector.anomaly_score(X))


@pytest.mark.parametrize(
    "params, message",
    [
        ({"latent_dim": ()}, r"latent_dim=\(\) must hold integers of at least 1, and one at"),
        ({"latent_dim": (3, 0)}, r"latent_dim=\(3, 0\) must hold"),
        ({"latent_dim": (3, 2.5)}, r"latent_dim=\(3, 2.5\) must hold"),
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes=\(\) must hold"),
    ],
)
def test_sizes_that_are_none(X, params, message):
    with pytest.raises(ValueError, match=message):
        tiny(**params).fit(X)


# -- collapse -----------------------------------------------------------------------------------


def test_a_collapse_is_said(X):
    detector = tiny(beta=100, max_steps=300)
    message = r"kl_1 .*, kl_2 .* nats a latent. Lower beta \(now 100\), or take fewer latents"
    with pytest.warns(UserWarning, match=message) as caught:
        detector.fit(X)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_no_collapse_is_said_where_there_is_none(X):
    history = tiny(max_steps=300, latent_dim=(1, 1), contamination=0, beta=0.1).fit(X).history_
    assert history[["kl_1", "kl_2"]].iloc[-1].min() > 0.1


def test_after_few_steps_nothing_is_said(X):
    tiny(beta=100, max_steps=299).fit(X)
