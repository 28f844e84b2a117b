"""What makes a network vector-quantised: codes, their averages, their revival, their rarity."""

import math

import torch
from torch.nn import functional as F

from skvae.networks._output import Output
from skvae.networks.mlp import COLUMNS, n_padded

# Of the usage, a batch.
DECAY = 0.99
# A code whose count falls below this share of an even one is dead.
DEAD_SHARE = 0.1


class Quantised:
    """Makes an autoencoder vector-quantised: its decoder sees the codes nearest to the latents.

    The latents are cut into vectors, in groups with codes of their own. Codes follow the vectors
    that they stand for by moving averages, and have no gradient; the gradient of the decoder passes
    straight through them to the encoder, and the penalty draws latents to their codes
    (arXiv:1711.00937). A code that hardly any vector takes is put on one of the batch (Dhariwal et
    al. 2020, arXiv:2005.00341, section 3); which one, the batch's noise says. A new codebook is
    dead, so the first batch fills it.

    A class that inherits from this, and then from a network that is not variational, says how
    latents are cut: vectors are tensors of shape (n_members, n_groups, n, width), indices of codes
    (n_members, n_groups, n). What they took is counted in lists, one a group, or one for each place
    that the vectors of a group may stand at.
    """

    penalty_name = "commitment"
    part_names = ("rarity",)
    # Of the codes' averages, a batch (van den Oord et al. 2017, arXiv:1711.00937, appendix A.1).
    decay = 0.99

    def _make_codebook(self, n_groups, n_codes, width, n_lists=None):
        self.register_buffer("codebook", torch.zeros(1, n_groups, n_codes, width))
        # What the codebook's averages are taken over; revived codes start with an even count.
        self.register_buffer("counts", torch.zeros(1, n_groups, n_codes))
        # Vectors that took each code, of about the last 1 / (1 - DECAY) batches.
        self.register_buffer("usage", torch.zeros(1, n_lists or n_groups, n_codes))

    @property
    def noise_dims(self):
        """Draws of a row, by which vectors are chosen to revive codes."""
        return (self.noise_width,) * self.n_members

    def _grouped(self, z):
        """Latents as vectors."""
        raise NotImplementedError

    def _codes(self, nearest):
        """Codes by their indices, side by side as the latents are."""
        raise NotImplementedError

    def _listed(self, nearest):
        """Indices by the lists that they are counted in, (n_members, n_lists, n_samples)."""
        raise NotImplementedError

    def decode(self, z):
        """Reconstruction of the codes that are nearest to the latents."""
        return super().decode(self._codes(self._nearest(self._grouped(z))))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from its codes; in training the codebook follows.

        Parameters
        ----------
        x : tensor
            As the network without codes takes it.
        noise : tensor of shape (n_members, n_samples, noise_width), default=None
            Standard normal; codes follow only where there is any.
        """
        z = self.encode(x)[0][..., : self.latent_dim]
        with torch.no_grad():
            grouped = self._grouped(z)
            if noise is not None:
                self._revive(grouped, noise.flatten(1))
            nearest = self._nearest(grouped)
            codes, listed = self._codes(nearest), self._listed(nearest)
            rarity = sum(self._rarities().gather(2, listed).unbind(1))
            if noise is not None:
                self._follow(grouped, nearest, self._count(listed))
        commitment = (z - codes).square().sum(-1)
        straight_through = codes if noise is None else z + (codes - z).detach()
        x_hat = super().decode(straight_through)
        return Output(x_hat, z, penalty=commitment, parts={"rarity": rarity})

    def probabilities(self):
        """Share of each code in its list, smoothed by one row; (n_members, n_lists, n_codes)."""
        return _shares(self.usage)

    def perplexity(self):
        """Number of evenly used codes that would be as hard to guess; (n_members, n_groups)."""
        share = _shares(self._of_groups(self.usage))
        return torch.exp(-(share * share.log()).sum(-1))

    def _rarities(self):
        # Logarithms are taken of whole vectors, see ``COLUMNS``.
        share = self.probabilities()
        missing = -share.shape[-1] % (2 * COLUMNS)
        return -F.pad(share, (0, missing), value=1.0).log()[..., : share.shape[-1]]

    def _nearest(self, grouped):
        """Index of the nearest code."""
        missing = n_padded(self.codebook.shape[2]) - self.codebook.shape[2]
        codes = F.pad(self.codebook, (0, 0, 0, missing)).flatten(0, 1)
        half_squares = F.pad(0.5 * self.codebook.square().sum(-1), (0, missing), value=math.inf)
        distances = torch.baddbmm(
            half_squares.flatten(0, 1)[:, None], grouped.flatten(0, 1), codes.mT, alpha=-1
        )
        return distances.argmin(-1).unflatten(0, grouped.shape[:2])

    def _taken(self, nearest):
        """Codes by their indices."""
        index = nearest[..., None].expand(*nearest.shape, self.codebook.shape[-1])
        return self.codebook.gather(2, index)

    def _revive(self, grouped, noise):
        """Put dead codes on vectors of the batch, in the order of the noise, (n_members, n)."""
        _, n_groups, n_codes, width = self.codebook.shape
        even = self.counts.mean(-1, keepdim=True)
        is_dead = self.counts <= DEAD_SHARE * even
        if not is_dead.any():
            return
        n_rows = grouped.shape[2]
        rows = noise.argsort(dim=1, stable=True)[:, torch.arange(n_codes) % n_rows]
        rows = rows[:, None, :, None].expand(-1, n_groups, -1, width)
        self.codebook.copy_(torch.where(is_dead[..., None], grouped.gather(2, rows), self.codebook))
        self.counts.masked_fill_(is_dead, n_rows / n_codes)

    def _follow(self, grouped, nearest, numbers):
        """Move codes and counts towards the means and the numbers of the vectors nearest to them.

        Sums are taken row by row, so that they do not depend on the members beside.
        """
        index = nearest[..., None].expand_as(grouped)
        sums = torch.zeros_like(self.codebook).scatter_add_(2, index, grouped)
        before = self.decay * self.counts
        counts = before + (1 - self.decay) * numbers
        moved = before[..., None] * self.codebook + (1 - self.decay) * sums
        self.codebook.copy_(moved / counts[..., None])
        self.counts.copy_(counts)

    def _count(self, listed):
        """Add to the usage how often each code was taken, and return that number by group."""
        ones = torch.ones_like(listed, dtype=self.usage.dtype)
        numbers = torch.zeros_like(self.usage).scatter_add_(2, listed, ones)
        self.usage.mul_(DECAY).add_(numbers)
        return self._of_groups(numbers)

    def _of_groups(self, numbers):
        """Numbers of lists, added up to those of groups."""
        return numbers.unflatten(1, (self.counts.shape[1], -1)).sum(2)


def _shares(numbers):
    rows = numbers + 1
    return rows / rows.sum(-1, keepdim=True)
