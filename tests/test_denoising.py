"""The denoising detector: its network and its score against closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from skvae import DenoisingAEDetector, VAEDetector
from skvae.base import fit_stack
from skvae.networks import DenoisingMLP
from skvae.scores import Denoising

TINY = {"hidden_layer_sizes": (8,), "latent_dim": 4, "max_steps": 8, "batch_size": 16}


def rows(n=200, d=6, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(n, 2) @ rng.randn(2, d) + 0.1 * rng.randn(n, d)


def detector(**params):
    return DenoisingAEDetector(**{**TINY, "random_state": 0, **params})


def network(n_features=3, noise_min=0.1, noise_max=10.0):
    return DenoisingMLP(
        n_features,
        4,
        (8,),
        noise_min=noise_min,
        noise_max=noise_max,
        generator=torch.Generator().manual_seed(0),
    )


# -- the network ------------------------------------------------------------------------------


@pytest.mark.parametrize("quantile, level", [(0.0, 0.1), (0.25, 10**-0.5), (0.5, 1.0), (1.0, 10.0)])
def test_levels_are_log_uniform(quantile, level):
    draw = torch.special.ndtri(torch.tensor([[[quantile]]]))
    found, factor, cosines = network()._level(draw)
    assert found.item() == pytest.approx(level, rel=1e-5)
    assert factor.item() == pytest.approx(1 / math.hypot(1, level), rel=1e-5)
    expected = np.cos(math.pi * np.arange(1, 9) * quantile)
    np.testing.assert_allclose(cosines[0, 0], expected, atol=1e-5)


def test_the_encoder_sees_rows_with_noise_of_unit_variance_and_the_level():
    net, seen = network(), []
    net.encode = lambda x: seen.append(x) or (torch.zeros(1, 50_000, net.code_dim), None)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 50_000, 3, generator=generator)
    noise = torch.randn(1, 50_000, 4, generator=generator)
    net(x, noise)
    assert seen[0].shape == (1, 50_000, 3 + 8)
    assert seen[0][..., :3].var(1).numpy() == pytest.approx(1.0, abs=0.03)
    level, factor, cosines = net._level(noise[..., 3:])
    assert torch.equal(seen[0][..., :3], (x + level * noise[..., :3]) * factor)
    assert torch.equal(seen[0][..., 3:], cosines)


def test_without_noise_the_level_is_the_least_one():
    net, x = network(), torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    lowest = torch.tensor([0.0, 0.0, 0.0, -20.0]).expand(1, 5, 4)
    assert net._level(lowest[..., 3:])[0].unique().item() == pytest.approx(0.1)
    assert torch.equal(net(x).x_hat, net(x, lowest).x_hat)


def test_noise_of_one_row_is_shared_by_all():
    net, x = network(), torch.randn(1, 32, 3, generator=torch.Generator().manual_seed(0))
    noise = torch.tensor([[[0.3, -1.0, 0.5, 1.2]]])
    assert torch.equal(net(x, noise).x_hat, net(x, noise.expand(1, 32, 4)).x_hat)


def test_a_linear_gaussian_table_is_denoised_nearly_as_well_as_can_be():
    """The best denoiser of a normal row of covariance S at level s is S (S + s^2)^-1."""
    X = rows(2000)
    fitted = detector(
        hidden_layer_sizes=(32,), latent_dim=16, max_steps=600, batch_size=64, contamination=0
    ).fit(X)
    x = torch.as_tensor(fitted.scaler_.transform(X), dtype=torch.float32)
    covariance = torch.cov(x.T)
    net = fitted.net_.module_.network
    generator = torch.Generator().manual_seed(0)
    for quantile in (0.25, 0.5, 0.75):
        noise = torch.randn(1, len(x), 7, generator=generator)
        noise[..., 6] = torch.special.ndtri(torch.tensor(quantile))
        level = (0.5 * 6**quantile) ** 2
        best = covariance @ torch.linalg.inv(covariance + level * torch.eye(6))
        noisy = x + math.sqrt(level) * noise[0, :, :6]
        with torch.inference_mode():
            own = (net(x[None], noise).x_hat[0] - x).square().sum(1).mean()
        least = (noisy @ best - x).square().sum(1).mean()
        assert 0.95 * least < own < 1.4 * least


# -- the score --------------------------------------------------------------------------------


def test_trusted_rows_score_the_number_of_features_and_maps_sum_to_scores():
    X = rows()
    fitted = detector(contamination=0).fit(X)
    scores = fitted.anomaly_score(X)
    assert scores.mean() == pytest.approx(6, rel=1e-4)
    np.testing.assert_allclose(fitted.error_map(X).mean(0), 1, rtol=1e-4)
    np.testing.assert_allclose(fitted.error_map(X).sum(1), scores, rtol=1e-5)


def test_draws_are_antithetic_and_of_the_members_own_seed():
    fitted = detector(n_estimators=2).fit(rows())
    one, other = (score.noise_ for score in fitted.score_.scores)
    assert one.shape == (6, 4, 7)
    assert torch.equal(one[:, :2, :6], -one[:, 2:, :6])
    assert torch.equal(one[:, :, 6], other[:, :, 6])
    assert not torch.equal(one, other)
    quantiles = torch.special.ndtr(one[:, 0, 6])
    np.testing.assert_allclose(quantiles, (np.arange(6) + 0.5) / 6, rtol=1e-5)


def test_every_level_counts_alike():
    X = rows()
    fitted = detector(contamination=0).fit(X)
    (score,) = fitted.score_.scores
    x = torch.as_tensor(fitted.scaler_.transform(X), dtype=torch.float32)
    with torch.inference_mode():
        by_level = torch.stack(list(score._by_level(x))) / score.scale_[:, None].square()
    np.testing.assert_allclose(by_level.mean(1), 1, rtol=1e-4)


def test_rows_off_the_plane_stand_out_in_their_column():
    X = rows(500)
    fitted = detector(
        hidden_layer_sizes=(32,), latent_dim=16, max_steps=300, batch_size=64, contamination=0
    ).fit(X[:400])
    X_new = X[400:].copy()
    X_new[:50, 4] += 3
    is_anomaly = np.arange(100) < 50
    assert roc_auc_score(is_anomaly, fitted.anomaly_score(X_new)) > 0.97
    assert np.mean(fitted.error_map(X_new[:50]).argmax(1) == 4) > 0.9


# -- the road ---------------------------------------------------------------------------------


def test_members_of_a_stack_are_lone_fits_to_the_bit():
    X = rows(49)
    base = detector(contamination=0.1)
    changes = [{}, {"latent_dim": 9}, {"contamination": 0.0}, {"random_state": 3}]
    jobs = [(clone(base).set_params(**own), X, None) for own in changes]
    lone = [clone(each).fit(X) for each, _, _ in jobs]
    for own, fit in zip(lone, fit_stack(jobs), strict=True):
        assert fit.error is None
        np.testing.assert_array_equal(fit.detector.anomaly_score(X), own.anomaly_score(X))
        assert fit.detector.history_.drop(columns="duration").equals(
            own.history_.drop(columns="duration")
        )


def test_latents_may_be_more_than_the_features():
    fitted = detector(latent_dim=20).fit(rows())
    assert fitted.latent_dim_ == 20
    assert fitted.transform(rows()).shape == (200, 20)


def test_without_noise_there_is_a_reconstruction_that_other_scores_see():
    fitted = detector(score=("standardized", "density", "denoising"), contamination=0).fit(rows())
    assert np.isfinite(fitted.anomaly_score(rows())).all()
    np.testing.assert_allclose(
        fitted.inverse_transform(fitted.transform(rows())), fitted.reconstruct(rows()), rtol=1e-6
    )


def test_log_likelihood_is_that_of_the_reconstruction():
    fitted = detector(likelihood="mse", scaler=None, contamination=0).fit(rows())
    expected = -np.square(rows() - fitted.reconstruct(rows())).sum(1)
    np.testing.assert_allclose(fitted.log_likelihood(rows()), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: detector(noise_min=2.0, noise_max=1.0),
            "noise_min=2 is above noise_max=1; the least level of noise is at most the greatest.",
        ),
        (
            lambda: VAEDetector(score="denoising"),
            "score='denoising' reads denoising, of which the network of VAEDetector knows "
            "nothing; use another score.",
        ),
        (lambda: detector(score=["density", Denoising(), "elbo"]), "needs the posterior"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError) as error:
        make().fit(rows())
    assert message in str(error.value)
