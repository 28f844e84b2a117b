"""Networks: torch modules with ``forward(x, noise=None) -> Output`` and nothing of scikit-learn."""

from skvae.networks._output import Output
from skvae.networks.mlp import ACTIVATIONS, COLUMNS, MLPAutoencoder, n_padded

__all__ = ["ACTIVATIONS", "COLUMNS", "MLPAutoencoder", "Output", "n_padded"]
