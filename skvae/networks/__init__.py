"""Networks: torch modules with ``forward(x, noise=None) -> Output`` and nothing of scikit-learn."""

from skvae.networks._list import NetworkList
from skvae.networks._output import Network, Output, as_floats
from skvae.networks.adversarial import AdversarialMLP
from skvae.networks.conditional import ConditionalMLPAutoencoder
from skvae.networks.conv import ConvAutoencoder, ConvEncoder, smallest_side
from skvae.networks.denoising import DenoisingMLP
from skvae.networks.ladder import LadderAutoencoder
from skvae.networks.mixed import MixedAutoencoder
from skvae.networks.mlp import ACTIVATIONS, COLUMNS, MLPAutoencoder, n_padded
from skvae.networks.vq import VQMLP, ConvVQ

__all__ = [
    "ACTIVATIONS",
    "AdversarialMLP",
    "COLUMNS",
    "ConditionalMLPAutoencoder",
    "ConvAutoencoder",
    "ConvEncoder",
    "ConvVQ",
    "DenoisingMLP",
    "LadderAutoencoder",
    "MLPAutoencoder",
    "MixedAutoencoder",
    "Network",
    "NetworkList",
    "Output",
    "VQMLP",
    "as_floats",
    "n_padded",
    "smallest_side",
]
