"""The vector-quantised autoencoders: fully connected, and convolutional with a code a place."""

import math

from torch.nn import functional as F

from skvae.networks._quantised import Quantised
from skvae.networks.conv import ConvAutoencoder
from skvae.networks.mlp import MLPAutoencoder


class VQMLP(Quantised, MLPAutoencoder):
    """Vector-quantised autoencoder: the decoder sees the codes that are nearest to the latents.

    The latents are cut into groups, each with a codebook of its own, so few codes make many
    combinations: ``n_codes ** n_groups``. How codes are learned stands in `Quantised`.

    Parameters
    ----------
    n_features, latent_dim, hidden_layer_sizes, activation, output_activation, generator
        As of `MLPAutoencoder`.
    n_groups : int
        At most so many; as many as hold ``ceil(latent_dim / n_groups)`` latents each.
    n_codes : int
        Of a group.
    """

    noise_width = 1

    def __init__(
        self,
        n_features,
        latent_dim,
        hidden_layer_sizes,
        *,
        activation="relu",
        output_activation="identity",
        n_groups,
        n_codes,
        generator,
    ):
        super().__init__(
            n_features,
            latent_dim,
            hidden_layer_sizes,
            activation=activation,
            output_activation=output_activation,
            variational=False,
            generator=generator,
        )
        width = math.ceil(latent_dim / n_groups)
        self._make_codebook(math.ceil(latent_dim / width), n_codes, width)

    def _grouped(self, z):
        """Latents of shape (n_members, n_groups, n_samples, width)."""
        _, n_groups, _, width = self.codebook.shape
        missing = n_groups * width - z.shape[-1]
        return F.pad(z, (0, missing)).unflatten(-1, (n_groups, width)).transpose(1, 2)

    def _codes(self, nearest):
        """Codes by their indices, side by side as the latents are."""
        return self._taken(nearest).transpose(1, 2).flatten(2)[..., : self.latent_dim]

    def _listed(self, nearest):
        return nearest


class ConvVQ(Quantised, ConvAutoencoder):
    """Convolutional vector-quantised autoencoder: a code for each place of the last feature maps.

    All places share one codebook; how often each code is taken is counted place by place, so that
    a code is rare where it seldom stands. How codes are learned stands in `Quantised`.

    Parameters
    ----------
    image_shape, channels, activation, output_activation, norm, attention, generator
        As of `ConvAutoencoder`.
    latent_dim : int
        Of a place; an image has as many for each of its ``n_places``.
    hidden_layer_sizes : sequence of int
        Widths of the layers between convolutions and codes, the same ones at each place.
    n_codes : int
    """

    # A batch of images has many places, so fewer batches make an average; and codes that the
    # latents leave behind, as they do when training begins, are soon taken for dead.
    decay = 0.8

    def __init__(
        self,
        image_shape,
        latent_dim,
        channels,
        hidden_layer_sizes,
        *,
        n_codes,
        generator,
        **options,
    ):
        super().__init__(
            image_shape,
            latent_dim,
            channels,
            hidden_layer_sizes,
            variational=False,
            by_place=True,
            generator=generator,
            **options,
        )
        self._make_codebook(1, n_codes, latent_dim, n_lists=self.n_places)

    @property
    def noise_width(self):
        """A draw a place."""
        return self.n_places

    def _grouped(self, z):
        return z.reshape(1, 1, -1, self.codebook.shape[-1])

    def _codes(self, nearest):
        return self._taken(nearest).view(1, -1, self.latent_dim)

    def _listed(self, nearest):
        return nearest.view(1, -1, self.n_places).transpose(1, 2)
