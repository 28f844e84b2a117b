"""The fully connected autoencoder, plain or variational, many members in one stack."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks._output import Network, Output

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


# Whole vectors of numbers round alike wherever they stand; the rest of a row, and products with 5
# to 10 columns, do not on some processors. So columns are padded to a multiple of this: then the
# bits of a row's score do not depend on the rows beside it, nor those of a network on its stack.
COLUMNS = 16


def n_padded(n_columns):
    """The next multiple of ``COLUMNS``."""
    return math.ceil(n_columns / COLUMNS) * COLUMNS


class StackedLinear(nn.Module):
    """Linear layers of many members as one batched product; new, it has one member.

    Weights and biases are uniform in +-1/sqrt(fan_in).
    """

    def __init__(self, in_features, out_features, generator):
        super().__init__()
        self.out_features = out_features
        bound = 1 / math.sqrt(in_features)
        n_columns = n_padded(out_features)
        if out_features % (2 * COLUMNS) == COLUMNS:
            # torch takes activations two vectors at a time and a lone last one number by number,
            # which rounds otherwise; cut from more columns, every row is treated alike.
            n_columns += COLUMNS

        def draw(*shape):
            values = (torch.rand(1, *shape, generator=generator) * 2 - 1) * bound
            # Weights of zero, whose gradients are zero: they stay as they are.
            return nn.Parameter(F.pad(values, (0, n_columns - out_features)))

        self.weight = draw(in_features, out_features)
        self.bias = draw(1, out_features)

    def forward(self, x):
        y = torch.baddbmm(self.bias, x, self.weight)
        # A slice of everything would cost the backward pass a copy.
        return y if y.shape[-1] == self.out_features else y[..., : self.out_features]


class MLPAutoencoder(Network):
    """Encoder and mirrored decoder of fully connected layers.

    New, it has one member; `skvae.training.Autoencoder.stack` makes one network of many.

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
    n_given : (int, int), default=(0, 0)
        Columns that the encoder, and the decoder, are given beside features and latents; they are
        not reconstructed.
    generator : torch.Generator
        Of the initial weights.
    n_outputs : int, default=None
        Numbers that are decoded; None is ``n_features``.
    """

    is_batched = True

    def __init__(
        self,
        n_features,
        latent_dim,
        hidden_layer_sizes,
        *,
        activation="relu",
        output_activation="identity",
        variational=True,
        n_given=(0, 0),
        generator,
        n_outputs=None,
    ):
        super().__init__()
        self.n_features = n_features
        self.n_given = n_given
        self.latent_dims = (latent_dim,)
        self.code_dim = n_padded(latent_dim)
        self.variational = variational
        self.activation = activation
        self.output_activation = output_activation
        code = 2 * latent_dim if variational else latent_dim
        down = [n_features + n_given[0], *hidden_layer_sizes, code]
        # What is given comes first, so that the latents can be padded.
        up = [n_given[1] + latent_dim, *reversed(hidden_layer_sizes), n_outputs or n_features]
        self.encoder = self._layers(down, generator)
        self.decoder = self._layers(up, generator)
        self._pad_code(latent_dim)

    @property
    def n_members(self):
        """Number of members."""
        return len(self.latent_dims)

    @property
    def latent_dim(self):
        """Number of latents, of the widest member."""
        return max(self.latent_dims)

    def _pad_code(self, latent_dim):
        """Pad mean, log-variance and what decodes them to ``code_dim`` with weights of 0.

        Such a latent has mean 0 and log-variance 0, so its KL and the gradient of it are 0; as long
        as its noise is 0 too, the decoder's weights for it have no gradient either. So it stays 0
        and changes nothing, and codes of different widths fit into one stack.
        """
        code, first = self.encoder[-1], self.decoder[0]
        missing = self.code_dim - latent_dim
        for parameter in (code.weight, code.bias):
            drawn = parameter.data[..., : code.out_features]
            halves = drawn.unflatten(-1, (1 + self.variational, latent_dim))
            parameter.data = F.pad(halves, (0, missing)).flatten(-2)
        code.out_features = code.weight.shape[-1]
        first.weight.data = F.pad(first.weight.data, (0, 0, 0, missing))

    @staticmethod
    def _layers(sizes, generator):
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        return nn.ModuleList(StackedLinear(a, b, generator) for a, b in pairs)

    def _run(self, layers, x):
        activation = ACTIVATIONS[self.activation]
        *hidden, last = layers
        for layer in hidden:
            x = activation(layer(x))
        return last(x)

    def encode(self, x):
        """Mean and log-variance (None for a plain autoencoder) of the code of each row."""
        # Rows without a member dimension are the same for every member.
        x = x.expand(self.n_members, *x.shape[-2:])
        code = self._run(self.encoder, x)
        if not self.variational:
            return code, None
        mean, log_var = code.split(self.code_dim, dim=-1)
        return mean, log_var.clamp(*LOG_VAR_RANGE)

    def given(self, x):
        """What the decoder is given of each row beside the latents; here nothing."""
        return None

    def decode(self, z, given=None):
        """Reconstruction of each code, under what is given."""
        z = F.pad(z, (0, self.code_dim - z.shape[-1]))
        z = z if given is None else torch.cat([given, z], -1)
        return ACTIVATIONS[self.output_activation](self._run(self.decoder, z))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from the posterior mean, or from ``mean + noise * std``.

        Parameters
        ----------
        x : tensor of shape (n_members, n_samples, n_features)
            The member dimension may be 1 or missing where members share their rows.
        noise : tensor of shape (n_members, n_samples, code_dim), default=None
            0 from a member's ``latent_dim`` on.
        """
        mean, log_var = self.encode(x)
        given = self.given(x)
        if not self.variational:
            return Output(self.decode(mean, given), mean[..., : self.latent_dim], given=given)
        z = mean if noise is None else torch.addcmul(mean, noise, torch.exp(0.5 * log_var))
        kl = 0.5 * ((mean.square() + log_var.exp() - log_var).sum(-1) - self.code_dim)
        return Output(
            self.decode(z, given),
            mean[..., : self.latent_dim],
            log_var[..., : self.latent_dim],
            kl,
            given=given,
        )
