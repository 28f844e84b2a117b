"""The network of a model file, whose size is compared with its weights before it takes memory."""

from numbers import Integral

import numpy as np
import torch

from skvae.classifiers import CNNClassifier
from skvae.networks import ConvEncoder
from skvae.persistence._file import Refused
from skvae.training import Autoencoder

MAX_LAYERS = 1000
# What a network may be built for, the first that it has.
SHAPES = ("image_shape", "encoded_shape", "n_features")


def network(estimator, built, weights, n_bytes):
    """The module that ``built`` describes, with these weights.

    Parameters
    ----------
    estimator : CNNClassifier or BaseDetector
        Of the class that it is for.
    built : dict
        What its ``_architecture`` returned.
    weights : dict of str to tensor
        Those of its ``state_dict``.
    n_bytes : int
        Length of the file.

    Raises
    ------
    Refused
        If they do not belong together. Other errors where ``built`` describes no network at all.
    """
    sizes = ("hidden_layer_sizes", "channels", "image_shape", "n_features", "out_features")
    for name in sizes:
        check_sizes(name, built.get(name, ()))
    if "encoded_shape" in built:
        _check_encoded_shape(built["encoded_shape"])
    with torch.device("meta"):  # where tensors have a shape and no memory
        if isinstance(estimator, CNNClassifier):
            module = ConvEncoder(**built, generator=None)
        else:
            module = _of_detector(estimator, built, n_bytes)
    expected = module.state_dict()
    if set(weights) != set(expected):
        raise Refused("its weights are not those of its network.")
    for name, each in expected.items():
        own = weights[name]
        if not torch.is_tensor(own) or (own.shape, own.dtype) != (each.shape, each.dtype):
            raise Refused(f"its network needs {name} of shape {tuple(each.shape)}.")
    module.load_state_dict(weights, assign=True)
    return module


def check_sizes(name, sizes):
    """Refuse what is no integer of at least 1, or a sequence of a few of them."""
    sizes = np.atleast_1d(np.asarray(sizes, dtype=object))
    are_sizes = all(isinstance(size, Integral) and size >= 1 for size in sizes)
    if len(sizes) > MAX_LAYERS or not are_sizes:
        raise Refused(f"its {name} is none of at most {MAX_LAYERS} integers of at least 1.")


def _check_encoded_shape(shape):
    """Refuse what is no number of numbers, and numbers of slots of each column of categories."""
    are_sizes = isinstance(shape, tuple) and all(type(size) is int for size in shape)
    if (
        not are_sizes
        or not shape
        or shape[0] < 0
        or min(shape[1:], default=2) < 2
        or not any(shape)
    ):
        raise Refused("its encoded_shape is none that a table can have.")


def _of_detector(detector, built, n_bytes):
    shape = next(built[name] for name in SHAPES if name in built)
    fitted = (*SHAPES, *detector._built_by)
    params = {key: each for key, each in built.items() if key not in fitted}
    template = type(detector)().set_params(**params)
    for name in detector._built_by:
        setattr(template, name, built[name])
    template._validate_params()
    template._check_network_parameters()
    template.n_features_in_ = built["n_features"]
    # A parameter that is newer than the file has its default.
    described = template._architecture(shape)
    if not set(built) <= set(described):
        raise Refused("its network is described in too many words.")
    built.update(described)
    member = template._new_autoencoder(shape, None)
    n_numbers = built["n_estimators"] * sum(each.numel() for each in member.parameters())
    if n_numbers > n_bytes:
        raise Refused(f"its networks have {n_numbers} parameters, but it has {n_bytes} bytes.")
    more = [template._new_autoencoder(shape, None) for _ in range(built["n_estimators"] - 1)]
    return Autoencoder.stack([member, *more])
