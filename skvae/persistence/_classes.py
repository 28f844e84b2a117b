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
from skvae.base import BaseDetector
from skvae.classifiers import CNNClassifier


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
OPTIMIZERS = {
    each.__name__: each
    for each in vars(torch.optim).values()
    if inspect.isclass(each) and issubclass(each, torch.optim.Optimizer)
}


def state_of(part):
    """Attributes of an object of `PARTS`."""
    return dict(vars(part))


def with_state(name, state):
    """An object of `PARTS` by the name of its class and its attributes."""
    made = _known(name)
    _check_names(made, state)
    if issubclass(made, BaseEstimator):
        own = made._get_param_names()
        part = made(**{key: state.pop(key) for key in own if key in state})
        part._validate_params()
    else:
        part = made.__new__(made)
    vars(part).update(state)
    return part


def _known(name):
    if name not in PARTS:
        raise ValueError(f"it names the class {str(name)[:80]!r}, which skvae does not load.")
    return PARTS[name]


def _check_names(made, state):
    """Refuse attributes that would stand in the way of what the class defines."""
    for name in state:
        own = inspect.getattr_static(made, name, None)
        if not name.isidentifier() or name.startswith("__") or callable(own) or isinstance(own, property):
            raise ValueError(f"its {made.__name__} has the attribute {name[:80]!r}, which no {made.__name__} has.")
