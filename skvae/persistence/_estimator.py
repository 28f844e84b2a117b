"""Estimators as trees: their parameters, their network, and what else they have fitted."""

import inspect

from skvae.base import BaseDetector
from skvae.classifiers import CNNClassifier
from skvae.persistence._classes import MODELS, check_names
from skvae.persistence._file import Refused
from skvae.persistence._network import network
from skvae.persistence._state import check_state
from skvae.persistence._tree import Decoder, Encoder
from skvae.training import Autoencoder, restored_net

# What an estimator derives from its net, or is told by `load`.
NOT_STATE = {"net_", "_built", "latent_dim_", "_n_features_out", "device", "device_"}


class EstimatorEncoder(Encoder):
    """An `Encoder` that knows estimators, such as the one that another holds."""

    def encode(self, value, path):
        if MODELS.get(type(value).__name__) is type(value):
            return {"model": self.model(value, f"{path}.")}
        return super().encode(value, path)

    def model(self, estimator, prefix=""):
        """The tree of an estimator, fitted or not."""
        params = estimator.get_params(deep=False)
        hidden = NOT_STATE | set(params)
        state = {key: each for key, each in vars(estimator).items() if key not in hidden}
        params.pop("device", None)
        tree = {"class": type(estimator).__name__, "params": self.attributes(params, prefix)}
        around = self.members
        if hasattr(estimator, "net_"):
            module = estimator.net_.module_
            tree["built"] = self.attributes(estimator._built, prefix)
            tree["weights"] = self.attributes(module.state_dict(), f"{prefix}net_.")
            self.members = _members(module)
        tree["state"] = self.attributes(state, prefix)
        self.members = around
        return tree


class EstimatorDecoder(Decoder):
    """A `Decoder` that knows estimators; ``device`` becomes their parameter."""

    def __init__(self, stored, device, device_):
        super().__init__(stored, device_)
        self._device_parameter = device

    def model(self, tree):
        """The estimator of a tree."""
        sections = set(tree) - {"built", "weights"}
        _require(sections == {"class", "params", "state"}, "its sections are no model's")
        name = tree["class"]
        _require(name in MODELS, f"its class {str(name)[:80]!r} is none that skvae loads")
        params = self.attributes(tree["params"])
        allowed = set(inspect.signature(MODELS[name]).parameters)
        unknown = sorted(set(params) - allowed)
        _require(not unknown, f"its parameters {unknown} are unknown to this version's {name}")
        if "device" in allowed:
            params["device"] = self._device_parameter
        estimator = MODELS[name](**params)
        estimator._validate_params()
        around = self.members
        if "built" in tree:
            self._add_net(estimator, tree)
        if "built" in tree or tree["state"]:  # else it is not fitted
            self._add_state(estimator, self.attributes(tree["state"]))
            check_state(estimator)
        self.members = around
        return estimator

    def _add_net(self, estimator, tree):
        _require(isinstance(estimator, (BaseDetector, CNNClassifier)), "its network is nobody's")
        built = self.attributes(tree["built"])
        if "scaler" in built and tree["built"]["scaler"] == tree["params"].get("scaler"):
            built["scaler"] = estimator.scaler  # which a warm start wants to be the same object
        weights = self.attributes(tree["weights"])
        module = network(estimator, built, weights, self.stored.n_bytes)
        self.members = _members(module)
        estimator.device_ = self.device
        if isinstance(estimator, CNNClassifier):
            estimator._built = built
            estimator.net_ = estimator._make_net(module, n_steps=0).initialize()
        else:
            settings = {key: getattr(estimator, key) for key in ("optimizer", "lr", "batch_size")}
            estimator._take_net(restored_net(module, device=self.device, **settings), built)

    def _add_state(self, estimator, state):
        made = type(estimator)
        check_names(made, state)
        for key in state:
            # What was fitted ends in an underscore; what does not is a constant of the class.
            constant = hasattr(made, key) and not key.endswith("_")
            known = constant or key in NOT_STATE or key in vars(estimator)
            _require(not known, f"its attribute {key!r} is not for a file to say")
        vars(estimator).update(state)

    _decoders = Decoder._decoders | {"model": model}


def _members(module):
    """The autoencoders that scores may refer to."""
    return module.unstack() if isinstance(module, Autoencoder) else []


def _require(condition, words):
    if not condition:
        raise Refused(words + ".")
