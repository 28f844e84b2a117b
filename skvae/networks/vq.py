"""The fully connected autoencoder whose latents are snapped to learned codes."""

import math

import torch
from torch.nn import functional as F

from skvae.networks._output import Output
from skvae.networks.mlp import COLUMNS, MLPAutoencoder, n_padded

# Of the moving averages, a batch (van den Oord et al. 2017, arXiv:1711.00937, appendix A.1).
DECAY = 0.99
# A code whose count falls below this share of an even one is dead.
DEAD_SHARE = 0.1


class VQMLP(MLPAutoencoder):
    """Vector-quantised autoencoder: the decoder sees the codes that are nearest to the latents.

    The latents are cut into groups, each with a codebook of its own, so few codes make many
    combinations: ``n_codes ** n_groups``. Codes follow the latents that they stand for by moving
    averages, and have no gradient; the gradient of the decoder passes straight through them to the
    encoder, and the penalty draws latents to their codes (arXiv:1711.00937). A code that hardly any
    row takes is put on the latents of a row of the batch (Dhariwal et al. 2020, arXiv:2005.00341,
    section 3); which row, the batch's noise says. A new codebook is dead, so the first batch fills
    it.

    Parameters
    ----------
    n_features, latent_dim, hidden_layer_sizes, activation, output_activation, generator
        As of `MLPAutoencoder`.
    n_groups : int
        At most so many; as many as hold ``ceil(latent_dim / n_groups)`` latents each.
    n_codes : int
        Of a group.
    """

    penalty_name = "commitment"
    part_names = ("rarity",)
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
        shape = (1, math.ceil(latent_dim / width), n_codes)
        self.register_buffer("codebook", torch.zeros(*shape, width))
        # What the codebook's averages are taken over; revived codes start with an even count.
        self.register_buffer("counts", torch.zeros(shape))
        # Rows that took each code, of about the last 1 / (1 - DECAY) batches.
        self.register_buffer("usage", torch.zeros(shape))

    @property
    def noise_dims(self):
        """A draw a row, by which rows are chosen to revive codes."""
        return (self.noise_width,) * self.n_members

    def probabilities(self):
        """Share of each code in its group, smoothed by one row; (n_members, n_groups, n_codes)."""
        rows = self.usage + 1
        return rows / rows.sum(-1, keepdim=True)

    def perplexity(self):
        """Number of evenly used codes that would be as hard to guess; (n_members, n_groups)."""
        share = self.probabilities()
        return torch.exp(-(share * share.log()).sum(-1))

    def _rarities(self):
        # Logarithms are taken of whole vectors, see ``COLUMNS``.
        share = self.probabilities()
        missing = -share.shape[-1] % (2 * COLUMNS)
        return -F.pad(share, (0, missing), value=1.0).log()[..., : share.shape[-1]]

    def _grouped(self, z):
        """Latents of shape (n_members, n_groups, n_samples, width)."""
        _, n_groups, _, width = self.codebook.shape
        missing = n_groups * width - z.shape[-1]
        return F.pad(z, (0, missing)).unflatten(-1, (n_groups, width)).transpose(1, 2)

    def _nearest(self, grouped):
        """Index of the nearest code, of shape (n_members, n_groups, n_samples)."""
        missing = n_padded(self.codebook.shape[2]) - self.codebook.shape[2]
        codes = F.pad(self.codebook, (0, 0, 0, missing)).flatten(0, 1)
        half_squares = F.pad(0.5 * self.codebook.square().sum(-1), (0, missing), value=math.inf)
        distances = torch.baddbmm(
            half_squares.flatten(0, 1)[:, None], grouped.flatten(0, 1), codes.mT, alpha=-1
        )
        return distances.argmin(-1).unflatten(0, grouped.shape[:2])

    def _codes(self, nearest):
        """Codes by their indices, side by side as the latents are."""
        index = nearest[..., None].expand(*nearest.shape, self.codebook.shape[-1])
        codes = self.codebook.gather(2, index).transpose(1, 2).flatten(2)
        return codes[..., : self.latent_dim]

    def decode(self, z):
        """Reconstruction of the codes that are nearest to the latents."""
        return super().decode(self._codes(self._nearest(self._grouped(z))))

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from its codes; in training the codebook follows.

        Parameters
        ----------
        x : tensor of shape (n_members, n_samples, n_features)
            The member dimension may be 1 or missing where members share their rows.
        noise : tensor of shape (n_members, n_samples, 1), default=None
            Standard normal; codes follow only where there is any.
        """
        z = self.encode(x)[0][..., : self.latent_dim]
        with torch.no_grad():
            grouped = self._grouped(z)
            if noise is not None:
                self._revive(grouped, noise[..., 0])
            nearest = self._nearest(grouped)
            codes = self._codes(nearest)
            rarity = sum(self._rarities().gather(2, nearest).unbind(1))
            if noise is not None:
                self._follow(grouped, nearest)
        commitment = (z - codes).square().sum(-1)
        straight_through = codes if noise is None else z + (codes - z).detach()
        x_hat = super().decode(straight_through)
        return Output(x_hat, z, penalty=commitment, parts={"rarity": rarity})

    def _revive(self, grouped, noise):
        """Put dead codes on latents of rows of the batch, taken in the order of the noise."""
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

    def _follow(self, grouped, nearest):
        """Move codes and counts towards the means and the numbers of the latents nearest to them.

        Sums are taken row by row, so that they do not depend on the members beside.
        """
        with_ones = F.pad(grouped, (0, 1), value=1.0)
        index = nearest[..., None].expand_as(with_ones)
        sums = with_ones.new_zeros(*self.counts.shape, with_ones.shape[-1])
        sums.scatter_add_(2, index, with_ones)
        sums, numbers = sums[..., :-1], sums[..., -1]
        before = DECAY * self.counts
        counts = before + (1 - DECAY) * numbers
        moved = before[..., None] * self.codebook + (1 - DECAY) * sums
        self.codebook.copy_(moved / counts[..., None])
        self.counts.copy_(counts)
        self.usage.mul_(DECAY).add_(numbers)
