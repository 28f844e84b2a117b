import math

import numpy as np
import pytest
import torch
from scipy import stats

from skvae import AEDetector, VAEDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import MLPAutoencoder, Output
from skvae.training import Autoencoder, loss_parts


def tensors(n=7, d=4, members=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator)
    return x, torch.randn(members, n, d, generator=generator)


def likelihood(name, n_features=4, log_scale=None):
    module = LIKELIHOODS[name](n_features)
    if log_scale is not None:
        values = torch.as_tensor(log_scale).expand(-1, 1, n_features)
        module.log_scale.data = torch.nn.functional.pad(values, (0, 16 - n_features))
    return module


@pytest.mark.parametrize("name, law", [("gaussian", stats.norm), ("laplace", stats.laplace)])
def test_learned_scale_is_the_density_of_scipy(name, law):
    x, x_hat = tensors(members=3)
    log_scale = torch.linspace(-2, 2, 12).reshape(3, 1, 4)  # another scale for each member
    error = likelihood(name, log_scale=log_scale)(x, x_hat)
    assert error.shape == (3, 7, 4)
    expected = -law.logpdf(x.numpy(), x_hat.numpy(), np.exp(log_scale.numpy()))
    np.testing.assert_allclose(error.detach().numpy(), expected, rtol=2e-5, atol=1e-5)


def test_mse_is_the_squared_error():
    x, x_hat = tensors(members=2)
    error = likelihood("mse")(x, x_hat)
    np.testing.assert_allclose(error.numpy(), (x.numpy() - x_hat.numpy()) ** 2, rtol=1e-6)


def test_bernoulli_is_the_mass_of_scipy_and_cross_entropy_between():
    rate = torch.linspace(0.01, 0.99, 8).reshape(1, 2, 4)
    for value in (0.0, 1.0):
        error = likelihood("bernoulli")(torch.full((2, 4), value), rate)
        expected = -stats.bernoulli.logpmf(int(value), rate.numpy().astype(float))
        np.testing.assert_allclose(error.numpy(), expected, rtol=1e-5)
    grey, p = 0.3, rate.numpy().astype(float)
    error = likelihood("bernoulli")(torch.full((2, 4), grey), rate)
    np.testing.assert_allclose(
        error.numpy(), -grey * np.log(p) - (1 - grey) * np.log(1 - p), rtol=1e-5
    )


def test_bernoulli_and_its_gradient_are_those_of_torch():
    rate = torch.rand(50, 4, generator=torch.Generator().manual_seed(0))
    rate[:2] = torch.tensor([0.0, 1.0])[:, None]  # certain, and half of them wrong
    x = torch.linspace(0, 1, 4).expand(50, 4)
    rates = [rate.clone().requires_grad_() for _ in range(2)]
    errors = [
        likelihood("bernoulli")(x, rates[0]),
        torch.nn.functional.binary_cross_entropy(rates[1], x, reduction="none"),
    ]
    weights = torch.arange(200.0).view(50, 4)
    for error in errors:
        (error * weights).sum().backward()
    torch.testing.assert_close(*errors, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(*(each.grad for each in rates), rtol=1e-5, atol=1e-6)
    assert all(torch.isfinite(each.grad).all() for each in rates)


def test_bernoulli_outside_its_range_is_the_nearer_bound_and_finite():
    rate = torch.tensor([[[0.0, 1.0, 0.2]]])
    module = likelihood("bernoulli", 3)
    error = module(torch.tensor([[5.0, -5.0, -1e9]]), rate)
    assert torch.equal(error, module(torch.tensor([[1.0, 0.0, 0.0]]), rate))
    assert torch.isfinite(error).all()
    assert error[0, 0, 0] > 50  # sure and wrong


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_scale_stays_between_one_percent_and_e4(name):
    x, x_hat = tensors()
    for log_scale, bound in ((-50.0, -4.6), (50.0, 4.0)):
        error = likelihood(name, log_scale=[[[log_scale]]])(x, x_hat)
        assert torch.equal(error, likelihood(name, log_scale=[[[bound]]])(x, x_hat))


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_error_falls_as_the_reconstruction_comes_near(name):
    x = torch.full((1, 4), 1.0)
    far, near = (likelihood(name)(x, torch.full((1, 1, 4), v)) for v in (0.2, 0.9))
    assert (near < far).all()


@pytest.mark.parametrize(
    "name, best",
    [
        ("gaussian", lambda r: np.sqrt(np.mean(r**2, axis=0))),
        ("laplace", lambda r: np.mean(np.abs(r), axis=0)),
    ],
)
def test_best_scale_is_the_maximum_of_likelihood(name, best):
    x, x_hat = tensors(n=200)
    scale = best((x - x_hat[0]).numpy())
    module = likelihood(name, log_scale=np.log(scale)[None, None])
    module(x, x_hat).mean(1).sum().backward()
    np.testing.assert_allclose(module.log_scale.grad.numpy(), 0, atol=1e-5)
    worse = likelihood(name, log_scale=np.log(scale)[None, None] + 0.1)
    assert worse(x, x_hat).sum() > module(x, x_hat).sum()


def test_training_finds_the_scale_of_each_feature():
    # Independent columns and one latent, which takes the widest: the others remain as noise.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) * [0.3, 1.0, 3.0]
    det = AEDetector(
        latent_dim=1,
        hidden_layer_sizes=(),
        scaler=None,
        contamination=0,
        score="reconstruction",
        lr=0.02,
        max_steps=500,
        random_state=0,
    ).fit(X)
    scale = det.net_.module_.likelihood.scale()[0].exp().detach().numpy().ravel()
    residual = (X - det.reconstruct(X)).std(0)
    np.testing.assert_allclose(scale[:2], residual[:2], rtol=0.05)
    np.testing.assert_allclose(scale[:2], [0.3, 1.0], rtol=0.1)


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_likelihood_in_a_detector(name):
    X = np.random.default_rng(0).random((60, 4))
    det = VAEDetector(
        hidden_layer_sizes=(8,),
        latent_dim=2,
        max_steps=15,
        likelihood=name,
        scaler="minmax",
        score="elbo",
        random_state=0,
    ).fit(X)
    assert np.isfinite(det.anomaly_score(X)).all()
    assert det.error_map(X).shape == X.shape
    assert (det.net_.module_.network.output_activation == "sigmoid") == (name == "bernoulli")
    if name == "bernoulli":  # a sigmoid's range, in the units of X, is that of the training data
        x_hat = det.reconstruct(X * 100)
        assert ((x_hat >= X.min(0)) & (x_hat <= X.max(0))).all()


def test_bernoulli_refuses_to_train_outside_its_range():
    X = np.random.default_rng(0).normal(size=(60, 4))
    with pytest.raises(ValueError, match=r"\[0, 1\].*scaler='minmax'"):
        VAEDetector(likelihood="bernoulli").fit(X)


def test_output_activation_replaces_that_of_the_likelihood():
    X = np.random.default_rng(0).random((60, 4))
    params = {"hidden_layer_sizes": (8,), "max_steps": 5, "random_state": 0, "scaler": None}
    det = AEDetector(
        likelihood="mse", output_activation="sigmoid", score="reconstruction", **params
    )
    x_hat = det.fit(X).reconstruct(X * 1e6)
    assert ((x_hat >= 0) & (x_hat <= 1)).all()


def test_kl_is_that_of_torch():
    members = [
        Autoencoder(
            MLPAutoencoder(4, 3, (8,), generator=torch.Generator().manual_seed(seed)),
            likelihood("mse"),
        )
        for seed in (0, 1)
    ]
    x = 3 * tensors(n=9)[0]
    output, _ = Autoencoder.stack(members)(x)
    posterior = torch.distributions.Normal(output.latent, torch.exp(0.5 * output.log_var))
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    assert output.penalty.shape == (2, 9)
    torch.testing.assert_close(output.penalty, kl.sum(-1), rtol=1e-5, atol=1e-6)
    assert (output.penalty > 0).all()


def test_kl_stays_finite_far_out():
    network = MLPAutoencoder(4, 3, (8,), generator=torch.Generator().manual_seed(0))
    output = network(torch.full((2, 4), 1e15))
    assert torch.isfinite(output.penalty).all()


def test_point_code_has_no_penalty():
    generator = torch.Generator().manual_seed(0)
    output = MLPAutoencoder(4, 3, (8,), variational=False, generator=generator)(tensors()[0])
    assert output.penalty is None and output.log_var is None


def autoencoder():
    network = MLPAutoencoder(6, 2, (8,), generator=torch.Generator().manual_seed(1))
    return Autoencoder(network, likelihood("gaussian", 6))


def loss_case(members=2, n=10, d=3):
    generator = torch.Generator().manual_seed(0)
    error = torch.rand(members, n, d, generator=generator).requires_grad_()
    kl = torch.rand(members, n, generator=generator).requires_grad_()
    return error, kl, Output(x_hat=error, latent=kl, log_var=kl, penalty=kl)


def test_loss_sums_features_and_averages_samples_alone():
    error, kl, output = loss_case()
    reconstruction, penalty = loss_parts(output, error, beta=0.5)
    torch.testing.assert_close(reconstruction, error.sum((1, 2)) / 10)  # one a member
    torch.testing.assert_close(penalty, kl.sum(1) / 10)
    reconstruction, penalty = loss_parts(Output(error, kl), error, beta=0.0, trims=(0.2, 0.2))
    assert penalty is None


@pytest.mark.parametrize("trim, n_kept", [(0.2, 8), (0.25, 8), (0.5, 5), (0.95, 1)])
def test_trimmed_rows_get_no_gradient(trim, n_kept):
    error, kl, output = loss_case()
    reconstruction, penalty = loss_parts(output, error, beta=2.0, trims=(trim, trim))
    (reconstruction + 2.0 * penalty).sum().backward()
    loss = (error.sum(-1) + 2.0 * kl).detach()
    kept = loss <= loss.sort(dim=1).values[:, [n_kept - 1]]  # each member trims its own
    assert (kept.sum(1) == n_kept).all()
    torch.testing.assert_close(kl.grad, 2.0 * kept / n_kept)
    torch.testing.assert_close(error.grad, kept[..., None].expand(2, 10, 3) / n_kept)
    assert (error.grad[~kept] == 0).all() and (kl.grad[~kept] == 0).all()


def test_a_trimmed_row_of_infinite_loss_is_left_out():
    error = torch.tensor([[[1.0], [3.0], [math.inf]]], requires_grad=True)
    reconstruction, _ = loss_parts(Output(error, error), error, 0.0, (0.4,))
    assert reconstruction.item() == 2.0
    reconstruction.sum().backward()
    assert error.grad.flatten().tolist() == [0.5, 0.5, 0.0]


def test_each_member_has_its_own_beta_and_trim():
    error, kl, output = loss_case()
    beta = torch.tensor([[0.5], [3.0]])
    parts = loss_parts(output, error, beta, (0.0, 0.5))
    for i, trims in enumerate([(), (0.5,)]):
        own = loss_parts(output.map(lambda p, i=i: p[i : i + 1]), error[i : i + 1], beta[i], trims)
        torch.testing.assert_close([part[i] for part in parts], [part[0] for part in own])


def test_trimming_a_network_is_training_without_the_rows():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 6, generator=generator)
    x[3] += 100
    grads = []
    for rows, trim in ((x, 0.1), (torch.cat([x[:3], x[4:]]), 0.0)):
        module = autoencoder()
        reconstruction, kl = loss_parts(*module(rows), 1.0, (trim,))
        (reconstruction + kl).backward()
        grads.append([p.grad for p in module.parameters()])
        assert all((g != 0).any() for g in grads[-1])
    torch.testing.assert_close(*grads)


def test_gradient_of_the_kl_reaches_the_encoder_alone():
    module = autoencoder()
    loss_parts(*module(torch.ones(4, 6)), 1.0)[1].sum().backward()
    assert all((p.grad != 0).any() for p in module.network.encoder.parameters())
    assert all(p.grad is None for p in module.network.decoder.parameters())
