"""Training through skorch: the only place that knows it.

`fit_autoencoders` takes members - networks of one stack, each with its own rows, generator, beta
and trim - trains them as one, and returns skorch nets whose ``module_`` is an `Autoencoder`,
network and likelihood together. A lone fit is a stack of one. The rest of the package calls that
module. `training_state` and `resume` let a training go on in another process.
"""

from skorch.callbacks import Callback

from skvae.training._autoencoder import Autoencoder, Member, loss_parts
from skvae.training._net import OPTIMIZERS, fit_autoencoders, lr_factor
from skvae.training._restored import restored_net
from skvae.training._state import resume, training_state

__all__ = [
    "OPTIMIZERS",
    "Autoencoder",
    "Callback",
    "Member",
    "fit_autoencoders",
    "loss_parts",
    "lr_factor",
    "resume",
    "training_state",
    "restored_net",
]
