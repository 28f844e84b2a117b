"""What every network takes and returns."""

from typing import NamedTuple

import torch


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
    """

    x_hat: torch.Tensor
    latent: torch.Tensor
    log_var: torch.Tensor | None = None
    penalty: torch.Tensor | None = None

    def member(self, i):
        """Output of one member, without the member dimension."""
        return Output(*(None if part is None else part[i] for part in self))


def as_floats(x):
    """A batch of uint8 images divided by 255; floats as they are."""
    return x.float().div_(255) if x.dtype == torch.uint8 else x
