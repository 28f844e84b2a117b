"""Networks: torch modules with ``forward(x, noise=None) -> Output`` and nothing of scikit-learn."""

from skvae.networks._list import NetworkList
from skvae.networks._output import Network, Output, as_floats
from skvae.networks.conv import ConvAutoencoder, ConvEncoder, smallest_side
from skvae.networks.mixed import MixedAutoencoder
from skvae.networks.mlp import ACTIVATIONS, COLUMNS, MLPAutoencoder, n_padded

__all__ = [
    "ACTIVATIONS",
    "COLUMNS",
    "ConvAutoencoder",
    "ConvEncoder",
    "MLPAutoencoder",
    "MixedAutoencoder",
    "Network",
    "NetworkList",
    "Output",
    "as_floats",
    "n_padded",
    "smallest_side",
]
