"""The fully connected autoencoder that takes noise of a known level off its rows."""

import math

import torch
from torch.nn import functional as F

from skvae.networks._output import Output
from skvae.networks.mlp import COLUMNS, MLPAutoencoder

# What the encoder is told of the level: cosines of so many frequencies.
N_FREQUENCIES = 8
# The level is computed in columns enough that all of it are whole vectors, see ``COLUMNS``.
LEVEL_COLUMNS = 2 * COLUMNS


class DenoisingMLP(MLPAutoencoder):
    """Noise-conditional denoising autoencoder: rows with noise in, rows without it out.

    A row ``x`` and noise ``e`` of level ``s`` come in as ``(x + s * e) / sqrt(1 + s**2)``, which
    has the variance 1 of a standardised ``x``, with cosines of ``s`` beside it. Levels are
    log-uniform between the least and the greatest. There is no way past the latents, but they may
    be more than the features: it is the noise that keeps the network from copying.

    Parameters
    ----------
    n_features, latent_dim, hidden_layer_sizes, activation, output_activation, generator
        As of `MLPAutoencoder`.
    noise_min, noise_max : float
        Least and greatest standard deviation of the noise, in units of the rows.
    """

    def __init__(
        self,
        n_features,
        latent_dim,
        hidden_layer_sizes,
        *,
        activation="relu",
        output_activation="identity",
        noise_min,
        noise_max,
        generator,
    ):
        super().__init__(
            n_features,
            latent_dim,
            hidden_layer_sizes,
            activation=activation,
            output_activation=output_activation,
            variational=False,
            n_given=(N_FREQUENCIES, 0),
            generator=generator,
        )
        self.noise_min = noise_min
        self.noise_max = noise_max

    @property
    def noise_dims(self):
        """A draw for each feature, and one for the level."""
        return (self.noise_width,) * self.n_members

    @property
    def noise_width(self):
        return self.n_features + 1

    def _level(self, draw):
        """Level, factor and cosines that a standard normal draw stands for."""
        draw = draw.expand(*draw.shape[:-1], LEVEL_COLUMNS).contiguous()
        share = 0.5 + 0.5 * torch.erf(draw * math.sqrt(0.5))  # uniform in [0, 1]
        log_min, log_max = math.log(self.noise_min), math.log(self.noise_max)
        level = torch.exp(log_min + (log_max - log_min) * share)
        factor = torch.rsqrt(1 + level.square())
        frequency = torch.arange(1, LEVEL_COLUMNS + 1, device=draw.device)
        cosines = torch.cos(math.pi * frequency * share)
        return level[..., :1], factor[..., :1], cosines[..., :N_FREQUENCIES]

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from ``x`` with noise.

        Parameters
        ----------
        x : tensor of shape (n_members, n_samples, n_features)
            The member dimension may be 1 or missing where members share their rows.
        noise : tensor of shape (n_members, n_samples, n_features + 1), default=None
            Standard normal; the last column says the level, by its quantile. The first two
            dimensions may be 1. Without noise nothing is added, and what would be noise of the
            least level is taken off.
        """
        if noise is None:
            noise = F.pad(x.new_zeros(1, 1, self.n_features), (0, 1), value=-math.inf)
        level, factor, cosines = self._level(noise[..., self.n_features :])
        noisy = (x + level * noise[..., : self.n_features]) * factor
        cosines = cosines.expand(*noisy.shape[:-1], N_FREQUENCIES)
        code, _ = self.encode(torch.cat([noisy, cosines], -1))
        return Output(self.decode(code), code[..., : self.latent_dim])
