"""The fully connected autoencoder, plain or variational, many members in one stack."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks._output import Output

ACTIVATIONS = {
    "relu": torch.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "identity": nn.Identity(),
}

# exp(log_var) must stay finite in float32 whatever a row of a billion standard deviations does.
LOG_VAR_RANGE = (-20.0, 20.0)


# Products with 5 to 10 columns round by the position of a row in its block on some processors;
# whole vectors of columns do not, so scoring pads the columns to a multiple of this.
COLUMNS = 16


class StackedLinear(nn.Module):
    """``n_members`` linear layers as one batched product.

    Each member draws its weights from its own generator, so a member of a stack starts as the
    lone network of the same seed does. Weights and biases are uniform in +-1/sqrt(fan_in).
    """

    def __init__(self, in_features, out_features, generators):
        super().__init__()
        bound = 1 / math.sqrt(in_features)

        def draw(*shape):
            members = [torch.rand(shape, generator=generator) for generator in generators]
            return nn.Parameter((torch.stack(members) * 2 - 1) * bound)

        self.weight = draw(in_features, out_features)
        self.bias = draw(1, out_features)

    def forward(self, x):
        missing = -self.weight.shape[2] % COLUMNS
        if self.training or not missing:
            return torch.baddbmm(self.bias, x, self.weight)
        weight, bias = F.pad(self.weight, (0, missing)), F.pad(self.bias, (0, missing))
        return torch.baddbmm(bias, x, weight)[..., :-missing]


class MLPAutoencoder(nn.Module):
    """Encoder and mirrored decoder of fully connected layers.

    Parameters
    ----------
    n_features, latent_dim : int
    hidden_layer_sizes : sequence of int
        Widths of the encoder's hidden layers; the decoder has them in reverse.
    activation, output_activation : str
        Names in ``ACTIVATIONS``.
    variational : bool
        Whether the code is a Gaussian posterior (Kingma and Welling 2014, arXiv:1312.6114)
        or a point.
    generators : sequence of torch.Generator
        One a member; their number is the number of members.
    """

    def __init__(
        self,
        n_features,
        latent_dim,
        hidden_layer_sizes,
        *,
        activation="relu",
        output_activation="identity",
        variational=True,
        generators,
    ):
        super().__init__()
        self.n_features = n_features
        self.latent_dim = latent_dim
        self.n_members = len(generators)
        self.variational = variational
        self.activation = activation
        self.output_activation = output_activation
        code = 2 * latent_dim if variational else latent_dim
        down = [n_features, *hidden_layer_sizes, code]
        up = [latent_dim, *reversed(hidden_layer_sizes), n_features]
        self.encoder = self._layers(down, generators)
        self.decoder = self._layers(up, generators)

    @staticmethod
    def _layers(sizes, generators):
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        return nn.ModuleList(StackedLinear(a, b, generators) for a, b in pairs)

    def _run(self, layers, x):
        activation = ACTIVATIONS[self.activation]
        *hidden, last = layers
        for layer in hidden:
            x = activation(layer(x))
        return last(x)

    def encode(self, x):
        """Mean and log-variance (None for a plain autoencoder) of the code of each row."""
        if x.ndim == 2:  # the same rows for every member
            x = x.expand(self.n_members, *x.shape)
        code = self._run(self.encoder, x)
        if not self.variational:
            return code, None
        mean, log_var = code.split(self.latent_dim, dim=-1)
        return mean, log_var.clamp(*LOG_VAR_RANGE)

    def decode(self, z):
        """Reconstruction of each code."""
        return ACTIVATIONS[self.output_activation](self._run(self.decoder, z))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from the posterior mean, or from ``mean + noise * std``."""
        mean, log_var = self.encode(x)
        if not self.variational:
            return Output(self.decode(mean), mean)
        z = mean if noise is None else torch.addcmul(mean, noise, torch.exp(0.5 * log_var))
        kl = 0.5 * ((mean.square() + log_var.exp() - log_var).sum(-1) - self.latent_dim)
        return Output(self.decode(z), mean, log_var, kl)
