"""The fully connected autoencoder of what is in a row, given some columns and the class."""

import torch

from skvae.networks.mlp import MLPAutoencoder


class ConditionalMLPAutoencoder(MLPAutoencoder):
    """Encoder and decoder that are told what the row is reconstructed under.

    A row holds its columns and, behind them, its class as zeros and a one. The encoder sees all of
    it; the decoder gets, beside the latents, the class and the columns that are context, and
    reconstructs the other columns (Sohn, Lee and Yan 2015, with the prior N(0, 1) under every
    condition). In ``x_hat`` stand all columns, those of the context as they were given.

    Parameters
    ----------
    n_columns, latent_dim : int
    hidden_layer_sizes : sequence of int
    context : sequence of int
        Columns that are given.
    n_classes : int
    **options
        As of `MLPAutoencoder`.
    """

    def __init__(
        self, n_columns, latent_dim, hidden_layer_sizes, *, context=(), n_classes=0, **options
    ):
        scored = [column for column in range(n_columns) if column not in context]
        n_given = (len(context) + n_classes,) * 2
        super().__init__(len(scored), latent_dim, hidden_layer_sizes, n_given=n_given, **options)
        self.n_columns = n_columns
        self.context = list(context)
        # Where each column of x_hat stands in what was decoded, followed by the context.
        places = {column: place for place, column in enumerate([*scored, *context])}
        self.places = [places[column] for column in range(n_columns)]

    def given(self, x):
        """The context and the class of each row, shape (n_members, n_samples, n_given)."""
        if self.n_given == (0, 0):
            return None
        parts = [x[..., self.context], x[..., self.n_columns :]]
        return torch.cat(parts, -1).expand(self.n_members, -1, -1)

    def decode(self, z, given=None):
        """Reconstruction of each code under what is given."""
        decoded = super().decode(z, given)
        if not self.context:
            return decoded
        return torch.cat([decoded, given[..., : len(self.context)]], -1)[..., self.places]
