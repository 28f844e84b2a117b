"""What every network takes and returns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import nn


class Output(NamedTuple):
    """What a network makes of a batch; shapes carry a leading member dimension.

    Attributes
    ----------
    x_hat : tensor of shape (n_members, n_samples, n_features)
        Reconstruction, in the units of the (scaled) input.
    latent : tensor of shape (n_members, n_samples, latent_dim)
        Latent code; for a variational network the mean of the posterior.
    log_var : tensor of shape (n_members, n_samples, latent_dim) or None
        Log-variance of the posterior; None where there is no posterior.
    penalty : tensor of shape (n_members, n_samples) or None
        What the loss adds, times ``beta``: the KL divergence from the prior, summed over the
        latents, in nats; None where there is no posterior.
    parts : dict of str to tensor of shape (n_members, n_samples)
        What else the network says of each row, such as the KL divergence of one level of latents:
        the history shows their means, and scores may read them.
    given : tensor of shape (n_members, n_samples, n_given) or None
        What ``decode`` needs beside latents, such as a class; None where latents are all.
    """

    x_hat: torch.Tensor
    latent: torch.Tensor
    log_var: torch.Tensor | None = None
    penalty: torch.Tensor | None = None
    parts: Mapping[str, torch.Tensor] = MappingProxyType({})
    given: torch.Tensor | None = None

    @property
    def tensors(self):
        """All tensors that are there, in one order."""
        *fields, parts, given = self
        return [each for each in (*fields, *parts.values(), given) if each is not None]

    def map(self, function):
        """``function`` of each tensor, as an output."""

        def mapped(tensor):
            return None if tensor is None else function(tensor)

        *fields, parts, given = self
        fields = [mapped(field) for field in fields]  # first, as in ``tensors``
        parts = {name: function(each) for name, each in parts.items()}
        return Output(*fields, parts, mapped(given))

    def member(self, i):
        """Output of one member, without the member dimension."""
        return self.map(lambda tensor: tensor[i])

    def where(self, mask, other):
        """Tensors of this output in rows of a mask, (n_members, n_samples); else another's."""
        pairs = zip(self.tensors, other.tensors, strict=True)
        chosen = iter([torch.where(like(mask, own), own, another) for own, another in pairs])
        return self.map(lambda _: next(chosen))

    @staticmethod
    def joined(outputs, dim):
        """Outputs of one kind as one, joined along a dimension."""
        first = outputs[0]
        tensors = iter(
            [torch.cat(parts, dim) for parts in zip(*(o.tensors for o in outputs), strict=True)]
        )
        return first.map(lambda _: next(tensors))


def like(mask, values):
    """A mask of rows with as many dimensions as values of these rows."""
    return mask.reshape(*mask.shape, *(1 for _ in values.shape[mask.ndim :]))


class Network(nn.Module):
    """Base of the networks: what training and scoring ask of one.

    ``forward(x, noise=None)`` takes rows, with a leading member dimension or shared by all members,
    and returns an `Output`; ``decode(z)`` makes reconstructions of latents. In training mode
    ``noise`` holds standard normal draws. A network keeps no number of its own that training does
    not set by gradients, unless it is a buffer.

    Attributes
    ----------
    n_members : int
    latent_dims : tuple of int
        Number of latents of each member.
    latent_dim, code_dim : int
        Number of latents of the widest member; the same padded, as it is in memory.
    is_batched : bool
        Whether parameters and buffers have a leading member dimension, so that members of equal
        ``code_dim`` can be stacked.
    penalty_name : str or None
        What the history calls ``Output.penalty``; None where there is none.
    part_names : tuple of str
        The keys of ``Output.parts``.
    """

    part_names = ()

    @property
    def penalty_name(self):
        return "kl" if self.variational else None

    @property
    def noise_dims(self):
        """Normal draws that each row of a training batch gets, one number a member; () for none."""
        return self.latent_dims if self.variational else ()

    @property
    def noise_width(self):
        """Columns of the tensor of noise; those beyond a member's ``noise_dims`` are 0."""
        return self.code_dim


def as_floats(x):
    """A batch of uint8 images divided by 255; floats as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x
