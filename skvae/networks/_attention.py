"""Self-attention between the places of feature maps."""

import math

import torch
from torch import nn

from skvae.networks.mlp import StackedLinear

# Queries and keys are this much narrower than the maps (Zhang et al. 2019).
NARROWER = 8
# Weights between all pairs of places: an image of 32 x 32 has a million of them.
MOST_PLACES = 1024


class SelfAttention(nn.Module):
    """Feature maps plus what each place takes from all others, ``x + gate * attention(x)``.

    Weights are the softmax of the products of queries and keys over their square root of width. The
    gate is learnt and begins at 0, so that a network begins as one without attention (Zhang et al.
    2019, Self-attention GAN, arXiv:1805.08318, equations 1 to 3).
    """

    def __init__(self, n_channels, generator):
        super().__init__()
        width = max(1, n_channels // NARROWER)
        self.query = StackedLinear(n_channels, width, generator)
        self.key = StackedLinear(n_channels, width, generator)
        self.value = StackedLinear(n_channels, n_channels, generator)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        """Maps of the shape of ``x``, (n, C, H, W)."""
        n, n_channels, height, width = x.shape
        # In the order that channels_last has in memory, so that nothing is copied.
        places = x.permute(0, 2, 3, 1).reshape(1, -1, n_channels)
        query, key, value = (
            layer(places).view(n, height * width, -1)
            for layer in (self.query, self.key, self.value)
        )
        weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(query.shape[2]), 2)
        taken = (weights @ value).view(n, height, width, n_channels).permute(0, 3, 1, 2)
        return torch.addcmul(x, self.gate, taken)


def attention_layers(attention, shapes, generator):
    """A layer for each of some maps: `SelfAttention` where ``attention`` names their height.

    Parameters
    ----------
    attention : tuple of int
        Heights of feature maps, in pixels.
    shapes : list of (channels, height, width)
        Of the maps.

    Returns
    -------
    layers : ModuleList
        Identity elsewhere.

    Raises
    ------
    ValueError
        If a height is none of the maps', or their places are too many.
    """
    heights = [height for _, height, _ in shapes]
    known = f"its feature maps have the heights {', '.join(map(str, heights))}."
    for height in attention:
        if height not in heights:
            raise ValueError(f"attention={height} finds no place in this network: {known}")
        places = max(h * w for _, h, w in shapes if h == height)
        if places > MOST_PLACES:
            raise ValueError(
                f"attention={height} would compare {places} places of an image with each other, "
                f"at most {MOST_PLACES} are taken; {known}"
            )
    return nn.ModuleList(
        SelfAttention(n, generator) if height in attention else nn.Identity()
        for n, height, _ in shapes
    )
