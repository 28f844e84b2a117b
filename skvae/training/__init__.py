"""Training through skorch: the only place that knows it.

`fit_autoencoders` takes members - networks of one stack, each with its own rows, generator, beta
and trim - trains them as one, and returns skorch nets whose ``module_`` is an `Autoencoder`,
network and likelihood together. A lone fit is a stack of one. The rest of the package calls that
module.
"""

from skvae.training._autoencoder import Autoencoder, Member, loss_parts
from skvae.training._net import OPTIMIZERS, fit_autoencoders, lr_factor
from skvae.training._restored import restored_net

__all__ = [
    "OPTIMIZERS",
    "Autoencoder",
    "Member",
    "fit_autoencoders",
    "loss_parts",
    "lr_factor",
    "restored_net",
]
