"""Learning is proven: gradients, a falling loss, and values that a closed form knows."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from skvae import AEDetector, VAEDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import MLPAutoencoder
from skvae.training import Autoencoder, loss_parts


@pytest.fixture(scope="module")
def X():
    """Two hidden dimensions in ten, and some noise."""
    rng = np.random.RandomState(0)
    return rng.randn(1000, 2) @ rng.randn(2, 10) + 0.3 * rng.randn(1000, 10)


def autoencoder(likelihood="gaussian", variational=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    network = MLPAutoencoder(10, 3, (8, 6), variational=variational, generator=generator)
    return Autoencoder(network, LIKELIHOODS[likelihood](10))


@pytest.mark.parametrize("likelihood", list(LIKELIHOODS))
@pytest.mark.parametrize("variational", [True, False])
def test_every_weight_receives_gradient(X, likelihood, variational):
    model = autoencoder(likelihood, variational)
    x = torch.as_tensor(X[:64], dtype=torch.float32)
    if likelihood == "bernoulli":
        x = torch.sigmoid(x)
        model.network.output_activation = "sigmoid"
    noise = torch.zeros(1, 64, 16)
    noise[..., :3] = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    reconstruction, kl = loss_parts(*model(x, noise if variational else None), beta=1.0)
    (reconstruction + (kl if variational else 0)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_gradient_of_the_kl_reaches_the_encoder_and_not_the_decoder(X):
    model = autoencoder()
    _, kl = loss_parts(*model(torch.as_tensor(X[:64], dtype=torch.float32)), beta=1.0)
    assert kl > 0
    kl.backward()
    for name, parameter in model.named_parameters():
        if name.startswith("network.encoder"):
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert parameter.grad is None, name


@pytest.mark.parametrize("detector", [VAEDetector, AEDetector])
@pytest.mark.parametrize("likelihood", ["mse", "gaussian", "laplace"])
def test_loss_falls_and_scores_are_distinct(X, detector, likelihood):
    fitted = detector(likelihood=likelihood, max_steps=300, random_state=0).fit(X)
    loss = fitted.history_["loss"]
    assert loss.iloc[-1] < loss.iloc[0] - 1
    assert len(np.unique(fitted.anomaly_score(X))) == len(X)


def test_the_history_adds_up(X):
    history = VAEDetector(beta=0.5, max_steps=100, random_state=0).fit(X).history_
    assert list(history.columns) == ["epoch", "loss", "reconstruction", "kl", "duration"]
    assert list(history["epoch"]) == list(range(1, 8))
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + 0.5 * history["kl"])
    assert (history["kl"] > 0).all() and (history["duration"] > 0).all()


def test_beta_pulls_the_posterior_to_the_prior(X):
    def kl(beta):
        fitted = VAEDetector(beta=beta, max_steps=300, random_state=0).fit(X)
        return fitted.history_["kl"].iloc[-1], fitted.transform(X).var(0).sum()

    (free, free_var), (bound, bound_var) = kl(0.0), kl(5.0)
    assert free > 5 * bound
    assert free_var > bound_var


def test_outliers_stand_out_and_the_error_map_points_at_the_feature(X):
    detector = VAEDetector(contamination=0, random_state=0).fit(X)
    rows = X[:200].copy()
    feature = np.arange(200) % 10
    rows[np.arange(200), feature] += 6 * X.std(0)[feature]
    assert detector.score(np.r_[X, rows], np.arange(1200) >= 1000) > 0.97
    assert (detector.error_map(rows).argmax(1) == feature).mean() > 0.9


def test_contaminated_rows_are_left_out():
    """A tight cluster of 8 % is learned by a trusting detector, and not by a trimming one."""
    rng = np.random.RandomState(0)
    X = np.r_[rng.randn(920, 10), 4 + 0.1 * rng.randn(80, 10)]
    y = np.arange(1000) >= 920
    assert VAEDetector(contamination=0.1, random_state=0).fit(X).score(X, y) > 0.99
    trusting = VAEDetector(contamination=0, random_state=0).fit(X)
    assert trusting.score(X, y) < 0.9


@pytest.fixture(scope="module")
def linear():
    """A linear VAE, and the probabilistic PCA that it should find."""
    rng = np.random.RandomState(1)
    loadings = np.linalg.qr(rng.randn(6, 2))[0] * [3.0, 2.0]
    X = rng.randn(4000, 2) @ loadings.T + 0.5 * rng.randn(4000, 6)
    X -= X.mean(0)
    detector = VAEDetector(
        latent_dim=2,
        hidden_layer_sizes=(),
        scaler=None,
        contamination=0,
        score="elbo",
        max_steps=4000,
        batch_size=128,
        lr=1e-2,
        random_state=0,
    ).fit(X)
    return X, detector, PCA(2).fit(X)


def test_linear_vae_reaches_the_likelihood_of_probabilistic_pca(linear):
    """For a linear decoder the bound is tight (Lucas et al. 2019, arXiv:1911.02469)."""
    X, detector, pca = linear
    # score="elbo" takes the error at the posterior mean; the bound averages over the posterior,
    # which adds half the decoder's variance over sigma^2.
    module = detector.net_.module_
    decoder = module.network.decoder[0].weight[0, :2, :6].detach().numpy()
    sigma = module.likelihood.scale()[0].detach().numpy().ravel()
    output, _ = module(torch.as_tensor(X[:1], dtype=torch.float32))
    variance = output.log_var.detach().exp().numpy().ravel()
    spread = 0.5 * ((variance[:, None] * decoder**2) / np.exp(2 * sigma)).sum()
    bound = -(detector.anomaly_score(X).mean() + spread)
    assert bound == pytest.approx(pca.score(X), abs=0.05)
    assert np.exp(sigma) == pytest.approx(np.full(6, np.sqrt(pca.noise_variance_)), rel=0.05)


def test_linear_vae_spans_the_principal_plane(linear):
    X, detector, pca = linear
    decoder = detector.net_.module_.network.decoder[0].weight[0, :2, :6].detach().numpy()
    cosines = np.linalg.svd(np.linalg.qr(decoder.T)[0].T @ pca.components_.T)[1]
    assert cosines.min() > 0.995


def test_latents_and_reconstructions_of_probabilistic_pca(linear):
    """The posterior mean shrinks: x_hat is the projection times (1 - noise / eigenvalue)."""
    X, detector, pca = linear
    shrink = 1 - pca.noise_variance_ / pca.explained_variance_
    expected = (X @ pca.components_.T * shrink) @ pca.components_
    got = detector.reconstruct(X)
    assert np.sqrt(np.mean((got - expected) ** 2)) < 0.1
    np.testing.assert_allclose(detector.inverse_transform(detector.transform(X)), got, atol=1e-5)


def test_reconstructions_are_in_the_units_of_the_data(X):
    shifted = 1000 + 50 * X
    detector = VAEDetector(contamination=0, random_state=0).fit(shifted)
    error = detector.reconstruct(shifted) - shifted
    assert np.mean(error**2) < 0.25 * shifted.var(0).mean()
