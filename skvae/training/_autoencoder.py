"""A network with its likelihood, alone or as a stack of members, and the loss of a batch."""

import math
from copy import deepcopy
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import torch
from torch import nn

from skvae.networks import NetworkList


class Autoencoder(nn.Module):
    """A network and its likelihood: rows in, ``(Output, error map)`` out."""

    def __init__(self, network, likelihood):
        super().__init__()
        self.network = network
        self.likelihood = likelihood

    def forward(self, x, noise=None):
        output = self.network(x, noise)
        return output, self.likelihood(x, output.x_hat)

    @classmethod
    def stack(cls, autoencoders):
        """Autoencoder of the members of several, which differ in weights and latent_dim alone."""
        if len(autoencoders) == 1:
            return autoencoders[0]
        if not autoencoders[0].network.is_batched:
            network = NetworkList([each.network for each in autoencoders])
            return cls(network, _stacked([each.likelihood for each in autoencoders]))
        stacked = _stacked(autoencoders)
        dims = (each.network.latent_dims for each in autoencoders)
        stacked.network.latent_dims = tuple(chain.from_iterable(dims))
        return stacked

    def unstack(self):
        """Each member, as an autoencoder of one."""
        dims = self.network.latent_dims
        if len(dims) == 1:
            return [self]
        if isinstance(self.network, NetworkList):
            likelihoods = [deepcopy(self.likelihood) for _ in dims]
            _give_weights(self.likelihood, likelihoods)
            return [
                Autoencoder(*pair) for pair in zip(self.network.networks, likelihoods, strict=True)
            ]
        members = [_copy_with_these_weights(self) for _ in dims]
        for member, dim in zip(members, dims, strict=True):
            member.network.latent_dims = (dim,)
        self.give_weights(members)
        return members

    def give_weights(self, members):
        """Copy each member's weights to an autoencoder of one."""
        _give_weights(self, members)


def _copy_with_these_weights(module):
    """A copy whose parameters share the memory of the module's, until they are given others.

    Memory would else grow with the square of the number of members.
    """
    return deepcopy(
        module,
        {id(each): nn.Parameter(each.data, each.requires_grad) for each in module.parameters()},
    )


def _stacked(modules):
    """A copy of the first with the weights of all, in a leading dimension."""
    stacked = deepcopy(modules[0])
    tensors = zip(*(_tensors(each) for each in modules), strict=True)
    for tensor, own in zip(_tensors(stacked), tensors, strict=True):
        tensor.data = torch.cat([part.data for part in own])
    return stacked


def _tensors(module):
    return chain(module.parameters(), module.buffers())


def _give_weights(stacked, modules):
    for i, module in enumerate(modules):
        for own, of_all in zip(_tensors(module), _tensors(stacked), strict=True):
            own.data = of_all.data[i : i + 1].clone()


class Member(NamedTuple):
    """What a network of a stack is trained on, and how.

    Attributes
    ----------
    autoencoder : Autoencoder
        Of one member.
    rows : tensor of shape (n_samples, ...)
        Members of a stack have equally many; a tensor that several share is kept once.
    generator : torch.Generator
        Of the order of the rows and of the noise.
    beta : float
        Weight of the network's penalty.
    trim : float
        Share of each batch, the rows of largest loss, that gets no gradient.
    labels : tensor of int64 of shape (n_samples,), default=None
        -1 for rows whose loss is pushed up, 1 for rows that are never trimmed, 0 for the others, as
        None is for all. Members of a stack have equally many of -1, or at least of the others.
    anomaly_weight : float
        Weight of the push.
    """

    autoencoder: Autoencoder
    rows: torch.Tensor
    generator: torch.Generator
    beta: float = 1.0
    trim: float = 0.0
    labels: torch.Tensor | None = None
    anomaly_weight: float = 1.0

    @property
    def n_learned(self):
        """Rows that an epoch passes: all but labelled anomalies."""
        return len(self.rows) if self.labels is None else int((self.labels != -1).sum())


def loss_parts(output, error, beta, trims=(), known=None):
    """Reconstruction and KL part of each member's loss of a batch, each of shape (n_members,).

    The error is summed over features and the KL over latents; only samples are averaged. Of each
    batch the share ``trim`` with the largest loss is left out, so it gets no gradient.

    Parameters
    ----------
    output : Output
    error : tensor of shape (n_members, n_samples, ...)
    beta : float or tensor of shape (n_members, 1)
    trims : tuple of float
        One a member; empty for none.
    known : bool tensor of shape (n_members, n_samples), default=None
        Rows that are never left out, nor counted among those of largest loss.
    """
    reconstruction, kl = error.flatten(2).sum(2), output.penalty
    weights = 1 / reconstruction.shape[1]
    if any(trims):
        loss = (reconstruction if kl is None else reconstruction + beta * kl).detach()
        # Ties are broken and parts are summed by the order of the rows, so that a member's bits do
        # not depend on what others trim.
        if known is not None:
            loss = loss.masked_fill(known, -math.inf)
        order = loss.argsort(dim=1, stable=True)
        by_rank = _trimmed_weights(trims, loss.shape[1], loss.device)
        weights = torch.zeros_like(loss).scatter_(1, order, by_rank)
        if known is not None:
            kept = (weights > 0) | known
            weights = kept / kept.sum(1, keepdim=True)
        # Left out, not multiplied by zero, which would make nan of what is infinite.
        left_out = weights == 0
        reconstruction = reconstruction.masked_fill(left_out, 0)
        kl = None if kl is None else kl.masked_fill(left_out, 0)
    parts = reconstruction, kl
    return tuple(None if part is None else (part * weights).sum(1) for part in parts)


def push_loss(output, error, beta, reference):
    """Hinge by which the loss of labelled anomalies falls short of a margin, shape (n_members,).

    The mean of ``max(0, reference + n_features - loss)``: the margin loss of outlier exposure for
    densities (Hendrycks, Mazeika, Dietterich 2019, arXiv:1812.04606), a nat a feature. It is
    bounded, so no anomaly is pushed for ever. Deep SAD (Ruff et al. 2020, arXiv:1906.02694) pushes
    by the inverse of a squared distance, which a loss in nats, which may be negative, has not.

    Parameters
    ----------
    output, error, beta
        As in `loss_parts`.
    reference : tensor of shape (n_members,)
        The loss of other rows, without gradient.
    """
    loss = error.flatten(2).sum(2)
    if output.penalty is not None:
        loss = loss + beta * output.penalty
    return (reference[:, None] + error[0, 0].numel() - loss).clamp(min=0).mean(1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # a tensor that scoring made first could not be trained with
def _trimmed_weights(trims, n_rows, device):
    """Weights of a batch's rows, smallest loss first: equal for those that stay, then 0."""
    # Rounded first: 50 * (1 - 0.42) is 29.000000000000004 to a computer.
    n_kept = [max(1, math.ceil(round(n_rows * (1 - trim), 9))) for trim in trims]
    n_kept = torch.tensor(n_kept, device=device)[:, None]
    return (torch.arange(n_rows, device=device) < n_kept) / n_kept
