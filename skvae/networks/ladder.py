"""The fully connected autoencoder with several levels of latents."""

import torch
from torch import nn

from skvae.networks._output import Network, Output
from skvae.networks.mlp import ACTIVATIONS, LOG_VAR_RANGE, StackedLinear


class LadderAutoencoder(Network):
    """Variational ladder autoencoder (Zhao, Song and Ermon 2017, arXiv:1702.08658).

    Level 1, nearest the data, is read off an early hidden layer of the encoder, each further level
    off a later one. The decoder starts from the last level and takes in the others on its way out.
    Nothing but samples of the posteriors gets from the encoder to the decoder.

    New, it has one member; `skvae.training.Autoencoder.stack` makes one network of many.

    Parameters
    ----------
    n_features : int
    level_dims : sequence of int
        Number of latents of each level, nearest the data first.
    hidden_layer_sizes : sequence of int
        Widths of the encoder's hidden layers, one at least; the decoder has them in reverse. The
        last levels are read off the last layers; the last width is repeated for levels that find
        no layer.
    activation, output_activation : str
        Names in ``ACTIVATIONS``.
    generator : torch.Generator
        Of the initial weights.
    """

    is_batched = True
    variational = True

    def __init__(
        self,
        n_features,
        level_dims,
        hidden_layer_sizes,
        *,
        activation="relu",
        output_activation="identity",
        generator,
    ):
        super().__init__()
        self.level_dims = tuple(level_dims)
        self.code_dim = sum(self.level_dims)
        self.latent_dims = (self.code_dim,)
        self.activation = activation
        self.output_activation = output_activation
        n_missing = max(0, len(self.level_dims) - len(hidden_layer_sizes))
        sizes = [*hidden_layer_sizes, *hidden_layer_sizes[-1:] * n_missing]
        # Hidden layers that come before that of the first level.
        self.n_before = len(sizes) - len(self.level_dims)

        def layer(n_in, n_out):
            return StackedLinear(n_in, n_out, generator)

        self.encoder = nn.ModuleList(map(layer, [n_features, *sizes[:-1]], sizes))
        self.posteriors = nn.ModuleList(
            layer(size, 2 * dim)
            for size, dim in zip(sizes[self.n_before :], self.level_dims, strict=True)
        )
        # The layer that makes a hidden layer of the width of a level's, of it and those behind it.
        n_in = list(self.level_dims)
        for level, size in enumerate(sizes[self.n_before + 1 :]):
            n_in[level] += size
        self.merges = nn.ModuleList(map(layer, n_in, sizes[self.n_before :]))
        out = [*sizes[: self.n_before + 1][::-1], n_features]
        self.decoder = nn.ModuleList(map(layer, out[:-1], out[1:]))

    @property
    def n_members(self):
        """Number of members."""
        return len(self.latent_dims)

    @property
    def latent_dim(self):
        """Number of latents of all levels together."""
        return self.code_dim

    @property
    def part_names(self):
        """The KL divergence of each level."""
        return tuple(f"kl_{level + 1}" for level in range(len(self.level_dims)))

    def encode(self, x):
        """Means and log-variances of the code of each row, each a list of the levels'."""
        activation = ACTIVATIONS[self.activation]
        # Rows without a member dimension are the same for every member.
        hidden, layers = x.expand(self.n_members, *x.shape[-2:]), []
        for layer in self.encoder:
            hidden = activation(layer(hidden))
            layers.append(hidden)
        codes = [
            head(hidden)
            for head, hidden in zip(self.posteriors, layers[self.n_before :], strict=True)
        ]
        means, log_vars = zip(*(code.chunk(2, dim=-1) for code in codes), strict=True)
        return list(means), [log_var.clamp(*LOG_VAR_RANGE) for log_var in log_vars]

    def decode(self, z):
        """Reconstruction of codes, in which the levels stand side by side."""
        activation = ACTIVATIONS[self.activation]
        hidden = None
        levels = zip(z.split(self.level_dims, dim=-1), self.merges, strict=True)
        for own, merge in reversed(list(levels)):
            both = own if hidden is None else torch.cat([own, hidden], -1)
            hidden = activation(merge(both))
        *layers, last = self.decoder
        for layer in layers:
            hidden = activation(layer(hidden))
        return ACTIVATIONS[self.output_activation](last(hidden))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from the posterior means, or from ``mean + noise * std``.

        Parameters
        ----------
        x : tensor of shape (n_members, n_samples, n_features)
            The member dimension may be 1 or missing where members share their rows.
        noise : tensor of shape (n_members, n_samples, code_dim), default=None
        """
        means, log_vars = self.encode(x)
        levels = zip(self.part_names, means, log_vars, strict=True)
        kls = {
            name: 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum(-1)
            for name, mean, log_var in levels
        }
        mean, log_var = torch.cat(means, -1), torch.cat(log_vars, -1)
        z = mean if noise is None else torch.addcmul(mean, noise, torch.exp(0.5 * log_var))
        return Output(self.decode(z), mean, log_var, sum(kls.values()), kls)
