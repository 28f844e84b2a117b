"""The fully connected variational autoencoder for rows of numbers and categories, some missing."""

from functools import lru_cache
from statistics import NormalDist

import torch
from torch.nn import functional as F

from skvae.networks.mlp import MLPAutoencoder, n_padded

# Probabilities of e^-30 are beyond what any table can tell, and their sums stay in float32.
LARGEST_LOGIT = 30.0
# Cells of training rows whose standard normal draw is below are hidden: one of twenty.
HIDDEN_BELOW = NormalDist().inv_cdf(0.05)


class MixedAutoencoder(MLPAutoencoder):
    """`MLPAutoencoder` for rows of mixed kinds: numbers stay numbers, categories get a softmax.

    A row holds, side by side: numbers, 0 where missing; for each category column a one-hot code
    over its slots, all zero where missing; for each number whether it is known, 1 or 0; and for
    each category column what its value costs beside its slot, which no network sees.

    The reconstruction has probabilities in place of codes; the two last parts are copied from the
    row, so that nothing is left of them in a residual. In training, so is what is missing, and some
    more cells are hidden from the encoder, which learns to do without, once ``cells`` says what the
    cells are. After it, what is missing is filled with what a first pass expects, for a second one:
    so latents and residuals of a row with gaps lie where those of whole rows lie.

    Parameters
    ----------
    shape : tuple of int
        Number of numbers, then number of slots of each category column.
    latent_dim, hidden_layer_sizes, activation, generator
        As in `MLPAutoencoder`.

    Attributes
    ----------
    cells : tuple of int
        The cell of the table, numbered from 0, that each value of a row is of; empty for no hiding.
    """

    cells = ()

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

    @property
    def n_cells(self):
        """Number of cells that may be hidden."""
        return max(self.cells, default=-1) + 1

    @property
    def noise_dims(self):
        """A draw for each cell, which says whether it is hidden, and one for each latent."""
        return tuple(self.n_cells + dim for dim in self.latent_dims)

    @property
    def noise_width(self):
        return self.n_cells + self.code_dim

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
        """Reconstruct ``x`` from the posterior mean, or, with noise, as in training.

        Parameters
        ----------
        x : tensor of shape (n_members, n_samples, n_encoded)
        noise : tensor of shape (n_members, n_samples, n_cells + code_dim), default=None
            Standard normal: of each cell, which hides it where it is low, then of the latents.
        """
        filled = seen = x
        if noise is None:
            filled = seen = self._filled(x)
        elif self.cells:
            draws, noise = noise.split([self.n_cells, self.code_dim], -1)
            seen = torch.where(draws[..., list(self.cells)] < HIDDEN_BELOW, 0.0, x)
        output = super().forward(seen, noise)
        # A missing cell has the residual of what it was filled with, as if that had been known.
        x_hat = output.x_hat + (x - filled)
        return output._replace(x_hat=torch.where(self._is_known(filled), x_hat, x))

    def _filled(self, x):
        """Rows whose missing cells hold what the network expects, or finds most probable, there."""
        known = self._is_known(x)[..., : self.n_values]
        if known.all():
            return x
        code, _ = self.encode(x)
        numbers, *slots = self.decode(code)[..., : self.n_values].split(
            [self.n_numbers, *self.sizes], -1
        )
        codes = [F.one_hot(each.argmax(-1), each.shape[-1]) for each in slots]
        values = torch.where(known, x[..., : self.n_values], torch.cat([numbers, *codes], -1))
        beside = x[..., self.n_values + self.n_numbers :].expand(*values.shape[:-1], -1)
        return torch.cat([values, torch.ones_like(numbers), beside], -1)

    def tells_known(self):
        """Matrix of 0 and 1, (n_encoded, n_cells): ``x @ matrix`` is above 0 in known cells."""
        cells = torch.tensor(self.cells)
        matrix = F.one_hot(cells, self.n_cells).float()
        # Codes and the flags behind them; a known number may be 0, and so may what is beside.
        matrix[: self.n_numbers] = 0
        matrix[self.n_values + self.n_numbers :] = 0
        return matrix

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
