"""The fully connected VAE with a discriminator of its reconstructions."""

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks.mlp import COLUMNS, MLPAutoencoder


class _ReverseGradient(torch.autograd.Function):
    """The identity, whose gradient changes its sign (Ganin, Lempitsky 2015, arXiv:1409.7495)."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def _softplus(x):
    """Softplus of each number in two whole vectors of its own, so that all of them round alike.

    torch takes vectors two at a time, and a last one without a partner number by number.
    """
    return F.softplus(x[..., None].expand(*x.shape, 2 * COLUMNS).contiguous())[..., 0]


class AdversarialMLP(MLPAutoencoder):
    """`MLPAutoencoder` whose reconstructions a discriminator is to tell from rows, and cannot.

    The discriminator has the encoder's hidden layers. Its loss is added to the penalty, and its
    gradient is reversed where it enters the reconstruction: one optimiser lets the discriminator
    descend and the autoencoder ascend, each at every step.

    ``Output.parts`` holds "kl", the divergence alone, "discriminator", the cross-entropy in nats
    (log 4 where it tells nothing, 0 where it knows all), and "discriminator_features", the squared
    distance of its features, the last hidden layer, of a row and of its reconstruction.

    Parameters
    ----------
    n_features, latent_dim, hidden_layer_sizes, activation, output_activation, generator
        As of `MLPAutoencoder`.
    adversarial_weight : float
        Of the discriminator's loss beside the KL divergence.
    """

    penalty_name = "penalty"
    part_names = ("kl", "discriminator", "discriminator_features")

    def __init__(
        self, n_features, latent_dim, hidden_layer_sizes, *, adversarial_weight, generator, **params
    ):
        super().__init__(n_features, latent_dim, hidden_layer_sizes, generator=generator, **params)
        self.adversarial_weight = adversarial_weight
        self.discriminator = self._layers([n_features, *hidden_layer_sizes, 1], generator)

    def forward(self, x, noise=None):
        output = super().forward(x, noise)
        x = x.expand_as(output.x_hat)
        features, truth = self._judged(x)
        features_hat, truth_hat = self._judged(_ReverseGradient.apply(output.x_hat))
        loss = _softplus(-truth) + _softplus(truth_hat)
        distance = (features - features_hat).detach().square().sum(-1)
        penalty = output.penalty
        if self.training:  # what a discriminator thinks is no part of the likelihood
            penalty = penalty + self.adversarial_weight * loss
        parts = {"kl": output.penalty, "discriminator": loss, "discriminator_features": distance}
        return output._replace(penalty=penalty, parts=parts)

    def _judged(self, x):
        """Features of the rows, and the logit that they are rows and no reconstructions."""
        *hidden, last = self.discriminator
        features = self._run([*hidden, nn.Identity()], x)
        return features, last(features).squeeze(-1)
