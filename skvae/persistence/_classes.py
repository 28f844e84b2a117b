"""The classes whose objects a model file may hold, by name; no other class is ever looked up."""

import inspect

import torch
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

from skvae import detectors, scores, thresholds
from skvae.base._images import ImageLayout
from skvae.classifiers import CNNClassifier
from skvae.detectors._columns import Columns
from skvae.detectors._encoding import Encoding
from skvae.detectors.fusion import Tail
from skvae.detectors.windows import Grid
from skvae.persistence._file import Refused


def _defined_in(*modules):
    return {
        each.__name__: each
        for module in modules
        for each in vars(module).values()
        if inspect.isclass(each) and each.__module__ == module.__name__
    }


MODELS = {
    each.__name__: each
    for each in (*(getattr(detectors, name) for name in detectors.__all__), CNNClassifier)
}
SCALERS = {
    each.__name__: each
    for each in (
        MaxAbsScaler,
        MinMaxScaler,
        PowerTransformer,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    )
}
# A new score or threshold of the package is among them unasked.
PARTS = {
    **_defined_in(*filter(inspect.ismodule, vars(scores).values())),
    **_defined_in(thresholds),
    **SCALERS,
    "GaussianMixture": GaussianMixture,
}
RECORDS = {each.__name__: each for each in (Columns, Encoding, Grid, ImageLayout, Tail)}
OPTIMIZERS = {
    each.__name__: each
    for each in vars(torch.optim).values()
    if inspect.isclass(each) and issubclass(each, torch.optim.Optimizer)
}


def with_state(name, state):
    """An object of a class of `PARTS` with these attributes; its ``__init__`` may not be called."""
    if name not in PARTS:
        raise Refused(f"it names the class {str(name)[:80]!r}, which skvae does not load.")
    made = PARTS[name]
    check_names(made, state)
    if not issubclass(made, BaseEstimator):
        part = made.__new__(made)
        vars(part).update(state)
        return part
    # Through the constructor, so that a parameter that is newer than the file has its default.
    params = {key: state[key] for key in inspect.signature(made).parameters if key in state}
    part = made(**params)
    part._validate_params()
    vars(part).update(state)
    return part


def check_names(made, state):
    """Refuse attributes that would take the place of what the class defines."""
    for key in state:
        own = getattr(made, key, None)
        if not key.isidentifier() or key[:2] == "__" or callable(own) or isinstance(own, property):
            raise Refused(
                f"its {made.__name__} has an attribute {key[:80]!r}, which it cannot have."
            )
