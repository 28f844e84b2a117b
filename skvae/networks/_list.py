"""Networks that no batched product runs as one: each takes its turn."""

import torch
from torch import nn

from skvae.networks._output import Network, Output


class NetworkList(Network):
    """Networks of one member each as one network of many; equal in all but their weights."""

    def __init__(self, networks):
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.n_members = len(networks)
        first = networks[0]
        self.variational, self.part_names = first.variational, first.part_names
        self.latent_dim, self.code_dim = first.latent_dim, first.code_dim
        self.latent_dims = (self.latent_dim,) * self.n_members

    @property
    def penalty_name(self):
        return self.networks[0].penalty_name

    @property
    def noise_dims(self):
        return self.networks[0].noise_dims * self.n_members

    @property
    def noise_width(self):
        return self.networks[0].noise_width

    def _parts(self, x):
        """Each member's rows; those without a member dimension, or with one of 1, are shared."""
        return x.expand(self.n_members, *x.shape[-4:]).split(1)

    def decode(self, z):
        """Images of shape (n_members, n, C, H, W) of codes of shape (n_members, n, latent_dim)."""
        pairs = zip(self.networks, z.split(1), strict=True)
        return torch.cat([network.decode(code) for network, code in pairs])

    def forward(self, x, noise=None):
        """Each member's reconstruction of its rows, as the networks' own ``forward``."""
        noise = [None] * self.n_members if noise is None else noise.split(1)
        triples = zip(self.networks, self._parts(x), noise, strict=True)
        return Output.joined([network(rows, draws) for network, rows, draws in triples], dim=0)
