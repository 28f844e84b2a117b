"""The fully connected variational autoencoder for rows of numbers and categories, some missing."""

from functools import lru_cache

import torch
from torch.nn import functional as F

from skvae.networks.mlp import MLPAutoencoder, n_padded

# Probabilities of e^-30 are beyond what any table can tell, and their sums stay in float32.
LARGEST_LOGIT = 30.0


class MixedAutoencoder(MLPAutoencoder):
    """`MLPAutoencoder` for rows of mixed kinds: numbers stay numbers, categories get a softmax.

    A row holds, side by side: numbers, 0 where missing; for each category column a one-hot code
    over its slots, all zero where missing; for each number whether it is known, 1 or 0; and for
    each category column what its value costs beside its slot, which no network sees.

    The reconstruction has probabilities in place of codes; what is missing, and the two last parts,
    are copied from the row, so that nothing is left of them in a residual.

    Parameters
    ----------
    shape : tuple of int
        Number of numbers, then number of slots of each category column.
    latent_dim, hidden_layer_sizes, activation, generator
        As in `MLPAutoencoder`.
    """

    def __init__(self, shape, latent_dim, hidden_layer_sizes, *, activation, generator):
        n_numbers, *sizes = shape
        n_values = n_numbers + sum(sizes)
        super().__init__(
            n_values,
            latent_dim,
            hidden_layer_sizes,
            activation=activation,
            n_given=(n_numbers, 0),
            generator=generator,
        )
        self.n_numbers, self.sizes, self.n_values = n_numbers, tuple(sizes), n_values
        # Weights that say that a number is missing begin at zero, and stay there where none was.
        self.encoder[0].weight.data[:, n_values:] = 0

    def encode(self, x):
        """Mean and log-variance of the code of each row."""
        values, known = x[..., : self.n_values], x[..., self.n_values :][..., : self.n_numbers]
        return super().encode(torch.cat([values, 1 - known], -1))

    def decode(self, z, given=None):
        """Numbers and probabilities of each code; the other parts of a row are 0."""
        values = super().decode(z, given)
        if self.sizes:
            numbers, logits = values.split([self.n_numbers, sum(self.sizes)], -1)
            values = torch.cat([numbers, slot_softmax(logits, self.sizes)], -1)
        return F.pad(values, (0, self.n_numbers + len(self.sizes)))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from the posterior mean, or from ``mean + noise * std``."""
        output = super().forward(x, noise)
        return output._replace(x_hat=torch.where(self._is_known(x), output.x_hat, x))

    def _is_known(self, x):
        known = x[..., self.n_values :][..., : self.n_numbers] > 0
        if self.sizes:
            codes = x[..., self.n_numbers : self.n_values]
            known = torch.cat([known, slot_sums(codes, self.sizes) > 0], -1)
        return F.pad(known, (0, self.n_numbers + len(self.sizes)))


def slot_softmax(logits, sizes):
    """Softmax of each category column's slots, which stand side by side."""
    exponentials = logits.clamp(-LARGEST_LOGIT, LARGEST_LOGIT).exp()
    return exponentials / slot_sums(exponentials, sizes)


def slot_sums(values, sizes):
    """Sum over the slots of each category column, at each of them."""
    return (values @ _same_column(sizes, values.device))[..., : values.shape[-1]]


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # a tensor that scoring made first could not be trained with
def _same_column(sizes, device):
    """1 where two slots are of one column; padded, as products of networks are, to round alike."""
    column = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    same = (column[:, None] == column).float()
    return F.pad(same, (0, n_padded(len(column)) - len(column))).to(device)
