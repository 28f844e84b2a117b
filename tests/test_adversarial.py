"""The VAE that a discriminator trains against."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skvae import AdversarialAEDetector
from skvae.networks import AdversarialMLP, MLPAutoencoder


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(400, 2) @ rng.randn(2, 6) + 0.3 * rng.randn(400, 6)


@pytest.fixture
def network():
    return AdversarialMLP(6, 2, (8,), adversarial_weight=0.5, generator=generator())


def judged(network, x):
    first, last = network.discriminator
    features = torch.relu(x @ first.weight[0, :, :8] + first.bias[0, :, :8])
    return features, (features @ last.weight[0, :, :1] + last.bias[0, :, :1])[..., 0]


def test_parts_are_cross_entropy_and_distance_of_features(network):
    x = torch.randn(5, 6, generator=generator(1))
    output = network(x[None])
    features, truth = judged(network, x)
    features_hat, truth_hat = judged(network, output.x_hat[0])
    ones = torch.ones(5)
    expected = F.binary_cross_entropy_with_logits(truth, ones, reduction="none")
    expected += F.binary_cross_entropy_with_logits(truth_hat, 0 * ones, reduction="none")
    torch.testing.assert_close(output.parts["discriminator"][0], expected)
    distance = (features - features_hat).square().sum(1)
    torch.testing.assert_close(output.parts["discriminator_features"][0], distance)


def test_the_penalty_is_the_kl_divergence_and_in_training_the_game_as_well(network):
    x = torch.randn(1, 5, 6, generator=generator(1))
    plain = MLPAutoencoder(6, 2, (8,), generator=generator())
    assert torch.equal(network.eval()(x).penalty, plain(x).penalty), "the same first weights"
    output = network.train()(x)
    expected = plain(x).penalty + 0.5 * output.parts["discriminator"]
    torch.testing.assert_close(output.penalty, expected)
    assert torch.equal(output.parts["kl"], plain(x).penalty)


@pytest.mark.parametrize("batch_size", [7, 80])
def test_a_member_has_the_bits_of_the_lone_detector(X, batch_size):
    settings = {"batch_size": batch_size, "max_steps": 40, "random_state": 0}
    lone, first = (AdversarialAEDetector(n_estimators=n, **settings).fit(X) for n in (1, 2))
    assert np.array_equal(lone.transform(X), first.transform(X)[:, : lone.latent_dim_])


def test_discriminator_descends_and_autoencoder_ascends(network):
    x = torch.randn(1, 64, 6, generator=generator(1))

    def loss():
        return network(x).parts["discriminator"].mean()

    network.train()
    loss().backward()
    for part, sign in ((network.discriminator, -1), (network.decoder, 1)):
        own = {id(parameter): parameter.grad for parameter in part.parameters()}
        before = loss().item()
        with torch.no_grad():
            for parameter in part.parameters():
                parameter -= 0.1 * own[id(parameter)]
            after = loss().item()
            for parameter in part.parameters():
                parameter += 0.1 * own[id(parameter)]
        assert math.copysign(1, after - before) == sign


def test_history_and_score(X):
    detector = AdversarialAEDetector(
        score="discriminator_features", max_steps=300, contamination=0, random_state=0
    ).fit(X)
    history = detector.history_
    assert {"penalty", "kl", "discriminator", "discriminator_features"} <= set(history)
    assert history["discriminator"].iloc[0] == pytest.approx(math.log(4), abs=0.1)
    far = X[:50].copy()
    far[:, 2] += 20
    assert detector.score(np.r_[X, far], np.repeat([0, 1], [len(X), 50])) > 0.9


def test_a_discriminator_that_has_won_is_said():
    # One latent makes points of a line of 30 independent columns: that is soon seen through.
    X = np.random.RandomState(0).randn(300, 30)
    detector = AdversarialAEDetector(
        latent_dim=1, adversarial_weight=0.01, lr=0.01, max_steps=400, random_state=0
    )
    with pytest.warns(UserWarning, match="The discriminator has won: its loss fell to"):
        detector.fit(X)
