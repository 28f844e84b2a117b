import warnings

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from skvae import AEDetector, VAEDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import MLPAutoencoder
from skvae.scores import SCORES, _errors, make_score
from skvae.training import Autoencoder

NEEDS_POSTERIOR = ["elbo", "iwae", "reconstruction_probability"]
ADDS_UP = ["reconstruction", "standardized", "mahalanobis", "reconstruction_probability"]


def model(d=5, latent=3, hidden=(8,), likelihood="gaussian", seed=0):
    network = MLPAutoencoder(d, latent, hidden, generator=torch.Generator().manual_seed(seed))
    return Autoencoder(network, LIKELIHOODS[likelihood](d)).eval()


@torch.inference_mode()
def road(autoencoder, x):
    """What a score is called with."""
    output, error = autoencoder(x)
    return x, output.member(0), error[0]


@torch.inference_mode()
def fit(score, trusted, autoencoder, seed=0):
    return score.fit(*road(autoencoder, trusted), autoencoder, seed)


@torch.inference_mode()
def call(score, autoencoder, x, method="__call__"):
    return np.asarray(getattr(score, method)(*road(autoencoder, x)), dtype=np.float64)


def rows(n=300, d=5, seed=0):
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(9))
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) @ mixing


def arrays(autoencoder, x):
    x, output, error = road(autoencoder, x)
    residual = x - output.x_hat
    return [np.asarray(a, dtype=np.float64) for a in (x, output.latent, residual, error)]


def space(autoencoder, trusted, x):
    """Rows as [latent, residual] over their deviations on trusted rows, in numpy."""
    (x0, z0, r0, _), (_, z, r, _) = arrays(autoencoder, trusted), arrays(autoencoder, x)
    return np.concatenate([z / z0.std(0), r / np.maximum(r0.std(0), 0.01 * x0.std(0))], 1)


def test_scores_in_closed_form():
    net, trusted, new = model(), rows(), rows(9, seed=1)
    (_, z0, r0, _), (_, z, r, error) = arrays(net, trusted), arrays(net, new)
    _, output, _ = road(net, new)
    posterior = torch.distributions.Normal(output.latent, torch.exp(0.5 * output.log_var))
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    expected = {
        "reconstruction": (r**2).sum(1),
        "standardized": (r**2 / r0.var(0)).sum(1),
        "latent": ((z - z0.mean(0)) ** 2 / z0.var(0)).sum(1),
        "elbo": error.sum(1) + kl.numpy(),
    }
    for name, values in expected.items():
        actual = call(fit(make_score(name), trusted, net), net, new)
        np.testing.assert_allclose(actual, values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("d", [1, 5, 20])
def test_mahalanobis_is_that_of_numpy(d):
    net, trusted, new = model(d), rows(2000, d), rows(9, d, seed=1)
    r0, r = arrays(net, trusted)[2], arrays(net, new)[2]
    covariance = np.atleast_2d(np.cov(r0, rowvar=False))
    covariance += 1e-3 * np.trace(covariance) / d * np.eye(d)  # the ridge: a part in a thousand
    expected = np.einsum("nd,de,ne->n", r, np.linalg.inv(covariance), r)
    actual = call(fit(make_score("mahalanobis"), trusted, net), net, new)
    np.testing.assert_allclose(actual, expected, rtol=1e-2)


@pytest.mark.parametrize("name", ["standardized", "mahalanobis", "latent", "density", "neighbors"])
def test_constant_columns_and_two_trusted_rows_are_finite(name):
    net = model()
    trusted = torch.cat([rows(2)[:, :4], torch.ones(2, 1)], 1)
    score = fit(make_score(name), trusted, net)
    for x in (trusted, trusted + 1000):
        assert np.isfinite(call(score, net, x)).all()
    assert (call(score, net, trusted + 1000) > call(score, net, trusted)).all()


def linear_gaussian(width=1.0):
    """Decoder x = z W + b + noise, and the encoder that is its posterior, ``width`` times wide."""
    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=(5, 2)))[0].T * [[2.0], [0.7]]  # orthogonal rows
    b, sigma = rng.normal(size=5), 0.6
    variance = 1 / (1 + np.square(w).sum(1) / sigma**2)
    to_mean = w.T * variance / sigma**2
    net = model(5, 2, hidden=())
    as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
    encoder, decoder = net.network.encoder[0], net.network.decoder[0]
    encoder.weight.data[0, :, :2] = as_tensor(to_mean)  # mean and log-variance are 16 wide each
    encoder.weight.data[0, :, 16:18] = 0
    encoder.bias.data[0, 0, :2] = as_tensor(-b @ to_mean)
    encoder.bias.data[0, 0, 16:18] = as_tensor(np.log(variance * width**2))
    decoder.weight.data[0, :2, :5], decoder.bias.data[0, 0, :5] = as_tensor(w), as_tensor(b)
    net.likelihood.log_scale.data[:] = np.log(sigma)
    law = stats.multivariate_normal(b, w.T @ w + sigma**2 * np.eye(5))
    return net, law, torch.as_tensor(law.rvs(40, random_state=1), dtype=torch.float32), w, variance


def test_iwae_is_exact_where_the_posterior_is():
    net, law, x, *_ = linear_gaussian()
    actual = call(fit(make_score("iwae"), x, net), net, x)
    np.testing.assert_allclose(actual, -law.logpdf(x.numpy()), rtol=1e-4, atol=1e-4)


def test_iwae_tends_to_the_likelihood_where_the_posterior_is_wrong(monkeypatch):
    net, law, x, *_ = linear_gaussian(width=2.0)
    gaps = []
    for n_draws in (6, 4000):
        monkeypatch.setattr(_errors, "N_DRAWS", n_draws)
        gap = call(fit(make_score("iwae"), x, net), net, x) + law.logpdf(x.numpy())
        gaps.append(np.abs(gap).mean())
    assert gaps[0] > 0.1 and gaps[1] < 0.05


def test_iwae_is_at_most_the_sampled_elbo():
    net, x = model(), rows(200)
    score = fit(make_score("iwae"), x, net)
    _, output, _ = road(net, x)
    noise = score.draws_[:, None]
    assert noise.shape == (6, 1, 3) and torch.equal(noise[:3], -noise[3:])
    std = torch.exp(0.5 * output.log_var)
    sampled_kl = 0.5 * ((output.latent + noise * std) ** 2 - noise**2 - output.log_var).sum(2)
    probability = fit(make_score("reconstruction_probability"), x, net)  # the same draws
    elbo = call(probability, net, x) + sampled_kl.mean(0).numpy()
    assert (call(score, net, x) <= elbo + 1e-4).all()


def test_reconstruction_probability_is_the_mean_over_the_posterior(monkeypatch):
    monkeypatch.setattr(_errors, "N_DRAWS", 4000)
    net, _, x, w, variance = linear_gaussian()
    actual = call(fit(make_score("reconstruction_probability"), x, net), net, x, "error_map")
    at_mean = arrays(net, x)[3]
    expected = at_mean + 0.5 * variance @ w**2 / 0.6**2
    np.testing.assert_allclose(actual, expected, atol=0.1)


def test_density_is_the_mean_of_mixtures_of_scikit_learn():
    net, trusted, new = model(), rows(132), rows(20, seed=1)
    score = fit(make_score("density"), trusted, net, seed=3)
    columns, reference = space(net, trusted, new), space(net, trusted, trusted)
    expected = [-mixture.score_samples(columns) for mixture in score.mixtures_]
    np.testing.assert_allclose(call(score, net, new), np.mean(expected, 0), rtol=1e-5)
    # The mixture that scores a trusted row as held out is the one that was fitted without it.
    by_mixture = np.stack([-m.score_samples(reference) for m in score.mixtures_], 1)
    held_out = call(score, net, trusted, "held_out")
    left_out = np.abs(by_mixture - held_out[:, None]).argmin(1)
    assert np.bincount(left_out).tolist() == [33] * 4
    again = GaussianMixture(4, covariance_type="diag", reg_covar=1e-2, max_iter=15, random_state=3)
    for fold in range(4):  # of 99 rows each: one component for every 20
        with warnings.catch_warnings():  # 15 iterations are not always enough, and are meant
            warnings.simplefilter("ignore", ConvergenceWarning)
            again.fit(reference[left_out != fold])
        np.testing.assert_allclose(-again.score_samples(columns), expected[fold], rtol=1e-3)


def test_density_held_out_is_not_in_sample():
    net, trusted = model(), rows(200)
    score = fit(make_score("density"), trusted, net)
    held_out = call(score, net, trusted, "held_out")
    assert held_out.shape == (200,)
    fresh = call(score, net, rows(2000, seed=1))
    assert call(score, net, trusted).mean() < held_out.mean()
    assert held_out.mean() == pytest.approx(fresh.mean(), rel=0.15)


def brute_force(reference, new, k=10):
    expected = []
    for row in new:
        distances = sorted(float(np.linalg.norm(row - other)) for other in reference)
        if distances[0] < 1e-4:  # the row itself, or its twin: once
            distances = distances[1:]
        expected.append(np.mean(distances[:k]))
    return np.array(expected)


def test_neighbors_is_a_loop_over_all_rows():
    net, trusted, new = model(), rows(80), rows(20, seed=1)
    trusted[7:10] = trusted[0]  # four of a kind: three remain when one is passed over
    score = fit(make_score("neighbors"), trusted, net)
    reference = space(net, trusted, trusted)
    for x in (new, trusted):
        expected = brute_force(reference, space(net, trusted, x))
        np.testing.assert_allclose(call(score, net, x), expected, rtol=1e-5)
    np.testing.assert_array_equal(call(score, net, trusted, "held_out"), call(score, net, trusted))
    left_out = [brute_force(np.delete(reference, i, 0), reference[[i]])[0] for i in range(20, 30)]
    np.testing.assert_allclose(call(score, net, trusted)[20:30], left_out, rtol=1e-5)


def test_combined_is_the_mean_of_z_scores_calibrated_on_held_out_rows():
    net, trusted, new = model(), rows(200), rows(20, seed=1)
    names = ["density", "neighbors", "elbo"]
    combined = fit(make_score(names), trusted, net)
    z, maps = [], []
    for score in (fit(make_score(name), trusted, net) for name in names):
        held_out = call(score, net, trusted, "held_out")
        z.append((call(score, net, new) - held_out.mean()) / held_out.std())
        maps.append(call(score, net, new, "error_map") / held_out.std())
    np.testing.assert_allclose(call(combined, net, new), np.mean(z, 0), rtol=1e-6)
    np.testing.assert_allclose(call(combined, net, new, "error_map"), np.mean(maps, 0), rtol=1e-6)


def test_combined_with_a_constant_score_is_finite():
    constant = lambda x, output, error: np.zeros(len(x))  # noqa: E731
    combined = fit(make_score(["reconstruction", constant]), rows(), model())
    assert np.isfinite(call(combined, model(), rows())).all()


def detector(score, cls=VAEDetector, **params):
    params = {"hidden_layer_sizes": (8,), "latent_dim": 2, "max_steps": 20, **params}
    return cls(score=score, random_state=0, **params)


@pytest.fixture(scope="module")
def X():
    return rows(150).numpy()


def own_score(x, output, error):
    return (x - output.x_hat).square().sum(1)


@pytest.mark.parametrize(
    "score", [*SCORES, ("iwae", "neighbors", own_score)], ids=[*SCORES, "several"]
)
def test_score_of_a_row_depends_on_nothing_else(X, score):
    det = detector(score).fit(X)
    first = det.anomaly_score(X)
    assert first.shape == (150,) and first.dtype == np.float64
    assert len(np.unique(first)) > 140
    np.testing.assert_array_equal(det.anomaly_score(X), first)
    np.testing.assert_array_equal(det.anomaly_score(X[::-1])[::-1], first)
    np.testing.assert_array_equal([det.anomaly_score(X[[i]])[0] for i in range(5)], first[:5])
    np.testing.assert_array_equal(det.anomaly_score(np.tile(X, (10, 1))), np.tile(first, 10))
    far = X[:3] + 1e3 * X.std(0)
    assert det.anomaly_score(far).min() > first.max()


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
@pytest.mark.parametrize("name", ADDS_UP)
def test_error_maps_add_up_to_the_score(X, cls, name):
    if cls is AEDetector and name in NEEDS_POSTERIOR:
        with pytest.raises(ValueError, match="needs the posterior.*AEDetector"):
            detector(["density", name], cls).fit(X)
        return
    det = detector(name, cls).fit(X)
    np.testing.assert_allclose(det.error_map(X).sum(1), det.anomaly_score(X), rtol=1e-4)


@pytest.mark.parametrize("score", [*SCORES, ("density", "neighbors")], ids=str)
def test_error_map_names_the_broken_feature(X, score):
    det = detector(score, max_steps=100).fit(X)
    broken = X[:20].copy()
    broken[:, 3] += 40 * X[:, 3].std()
    assert (det.error_map(broken).argmax(1) == 3).mean() > 0.5


def test_callable_score(X):
    seen = []

    def score(x, output, error):
        seen.append((x, output, error))
        return own_score(x, output, error)

    det, named = detector(score).fit(X), detector("reconstruction").fit(X)
    np.testing.assert_array_equal(det.anomaly_score(X), named.anomaly_score(X))
    x, output, error = seen[-1]
    assert x.shape == output.x_hat.shape == error.shape == (150, 5)
    assert output.latent.shape == output.log_var.shape == (150, 2)
    assert output.penalty.shape == (150,)
    assert {x.dtype, output.x_hat.dtype, error.dtype} == {torch.float32}
    of_numpy = detector(lambda x, output, error: own_score(x, output, error).numpy()).fit(X)
    np.testing.assert_array_equal(of_numpy.anomaly_score(X), named.anomaly_score(X))
    assert det.get_params()["score"] is score


@pytest.mark.parametrize("shape", [(150, 5), (150, 1), ()], ids=str)
def test_callable_score_of_wrong_shape_is_refused(X, shape):
    with pytest.raises(ValueError, match="score"):
        detector(lambda x, output, error: error.sum() * torch.ones(shape)).fit(X)


@pytest.mark.parametrize(
    "score, found", [("elbow", "elbow"), (["elbo", "x"], "'x'"), ([], "empty")]
)
def test_unknown_score_is_refused(X, score, found):
    with pytest.raises(ValueError, match=f"score.*{found}"):
        detector(score).fit(X)
