"""`save` and `load`: what of a detector goes into the file, and what is checked on the way back."""

import inspect
import math
from importlib.metadata import version

import numpy as np
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from skvae.base._images import ImageLayout
from skvae.base._input import resolve_device
from skvae.persistence._classes import MODELS, SCALERS
from skvae.persistence._file import opened, write
from skvae.persistence._tree import Decoder, Encoder, NotStorable
from skvae.scores import Ensemble, Score
from skvae.training import Autoencoder, restored_net

PACKAGES = ("skvae", "numpy", "scikit-learn", "skorch", "torch")
SECTIONS = {"class", "versions", "params", "built", "weights", "state"}
# What a detector derives from its net, or is told by `load`.
NOT_STATE = {"net_", "_built", "latent_dim_", "_n_features_out", "device", "device_"}
MAX_LAYERS = 1000
# What an error is cut to: files may name anything.
MAX_WORDS = 600

REMEDIES = {
    "callbacks": "detector.set_params(callbacks=None) leaves them out, and no score changes.",
    "threshold": "detector.set_params(threshold=number).set_threshold(number) with "
    "number = detector.threshold_ keeps the number alone.",
}
REMEDIES["thresholder_"] = REMEDIES["threshold"]
ELSE = "pickle and joblib can store it, in a file that runs code when it is loaded."


def save(detector, path):
    """Write a fitted detector to a model file, without pickle.

    Parameters
    ----------
    detector : AEDetector, VAEDetector, ConvAEDetector or ConvVAEDetector
    path : str or path-like
        By convention it ends in ``.safetensors``. An existing file is replaced once the new one is
        complete, and its folder is made if there is none.

    Raises
    ------
    ValueError
        If a parameter or a fitted attribute is none of numbers, arrays and objects of the package:
        a score function or a callback of one's own, say. The message names it.
    sklearn.exceptions.NotFittedError
        If the detector is not fitted.

    See Also
    --------
    load : Read it back.

    Notes
    -----
    A safetensors file: weights and fitted arrays are tensors, everything else is JSON in the
    header, under ``__metadata__["skvae"]``: the version of the format, the class, its parameters,
    the versions of the libraries, the fitted attributes, and a SHA-256 digest of it all.

    Examples
    --------
    >>> import tempfile, numpy as np, skvae
    >>> X = np.random.RandomState(0).randn(200, 5)
    >>> detector = skvae.VAEDetector(max_steps=10, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skvae.save(detector, folder + "/model.safetensors")
    ...     same = skvae.load(folder + "/model.safetensors")
    >>> np.array_equal(same.anomaly_score(X), detector.anomaly_score(X))
    True
    """
    name = type(detector).__name__
    if MODELS.get(name) is not type(detector):
        raise TypeError(
            f"skvae.save stores {', '.join(sorted(MODELS))}; got {detector!r:.200}, of "
            f"{type(detector).__module__}.{name}."
        )
    check_is_fitted(detector)
    detector._validate_params()
    module = detector.net_.module_
    params = {key: each for key, each in detector.get_params(deep=False).items() if key != "device"}
    state = {
        key: each
        for key, each in vars(detector).items()
        if key not in params and key not in NOT_STATE
    }
    encoder = Encoder(module.unstack())
    try:
        model = {
            "class": name,
            "versions": {package: version(package) for package in PACKAGES},
            "params": {key: encoder.encode(each, key) for key, each in params.items()},
            "built": {key: encoder.encode(each, key) for key, each in detector._built.items()},
            "weights": {
                key: encoder.encode(each, f"net_.{key}")
                for key, each in module.state_dict().items()
            },
            "state": {key: encoder.encode(each, key) for key, each in state.items()},
        }
    except NotStorable as error:
        remedy = REMEDIES.get(error.path.partition(".")[0], ELSE)
        raise ValueError(
            f"{name} cannot be stored in a model file: {error}, and a file holds numbers, arrays "
            f"and objects of skvae alone. {remedy}"
        ) from None
    write(path, model, encoder.arrays)


def load(path, device="cpu"):
    """Read a detector that `save` wrote.

    Nothing in the file is run: it holds numbers, and names of a fixed list of classes. Its sizes
    are compared with its length before memory is taken for them. The digest in it tells damage,
    not who wrote it: somebody else's detector may be any detector.

    Parameters
    ----------
    path : str or path-like
    device : str or torch.device, default="cpu"
        Where the detector computes from now on, whatever it was trained on; it becomes its
        parameter ``device`` as well.

    Returns
    -------
    detector : AEDetector, VAEDetector, ConvAEDetector or ConvVAEDetector
        Its scores have the bits that they had when it was saved, on the same machine and versions
        of the libraries. It can be given another threshold, trained again, pickled and saved.

    Raises
    ------
    ValueError
        If the file is damaged, or no file of `save`, or of a later format; the message names it.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    save : Write it.

    Examples
    --------
    >>> import tempfile, skvae
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris(as_frame=True).data
    >>> detector = skvae.AEDetector(max_steps=10, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skvae.save(detector, folder + "/iris.safetensors")
    ...     skvae.load(folder + "/iris.safetensors").feature_names_in_[0]
    'sepal length (cm)'
    """
    device_ = resolve_device(device)
    try:
        with opened(path) as stored:
            detector = _restored(stored, device, device_)
    except OSError:
        raise
    except Exception as error:
        # A file may be wrong in more ways than are worth a message of their own.
        words = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be loaded as a model: {words:.{MAX_WORDS}}") from error
    return detector


def _restored(stored, device, device_):
    model = stored.model
    _require(isinstance(model, dict) and set(model) == SECTIONS, "its sections are no model's")
    name = model["class"]
    _require(name in MODELS, f"its class {str(name)[:80]!r} is none that skvae loads")
    decoder = Decoder(stored, device_)
    params = decoder.attributes(model["params"])
    unknown = sorted(set(params) - set(inspect.signature(MODELS[name]).parameters))
    _require(not unknown, f"its parameters {unknown} are unknown to this version's {name}")
    detector = MODELS[name](**{**params, "device": device})
    detector._validate_params()

    built = decoder.attributes(model["built"])
    if "scaler" in built and model["built"]["scaler"] == model["params"].get("scaler"):
        built["scaler"] = detector.scaler  # which a warm start wants to be the same object
    module = _network(detector, built, decoder.attributes(model["weights"]), stored.n_bytes)
    decoder.members = module.unstack()
    state = decoder.attributes(model["state"])
    _require(decoder.used == stored.names, "it holds arrays that nothing refers to")
    for key in state:
        own = hasattr(type(detector), key) or key in vars(detector) or key in NOT_STATE
        _require(key.isidentifier() and not own, f"it has no attribute {key[:80]!r}")
    vars(detector).update(state, device_=device_)
    settings = {key: getattr(detector, key) for key in ("optimizer", "lr", "batch_size")}
    detector._take_net(restored_net(module, device=device_, **settings), built)
    _check_state(detector)
    return detector


def _network(detector, built, weights, n_bytes):
    """The autoencoder that ``built`` describes, with these weights.

    It is built without memory first, so that sizes are compared with the weights that there are.
    """
    shape = built.get("image_shape", built["n_features"])
    sizes = shape if isinstance(shape, tuple) else (shape,)
    _require(
        len(sizes) in (1, 3) and all(type(size) is int and size > 0 for size in sizes),
        f"its network takes rows of shape {shape!r:.80}",
    )
    params = {key: each for key, each in built.items() if key not in ("n_features", "image_shape")}
    template = type(detector)().set_params(**params)
    template._validate_params()
    template._check_network_parameters()
    template.n_features_in_ = built["n_features"]
    _require(set(built) == set(template._architecture(shape)), "its network lacks parameters")
    n_layers = sum(np.size(params.get(key, ())) for key in ("hidden_layer_sizes", "channels"))
    _require(n_layers <= MAX_LAYERS, f"its network has {n_layers} layers")
    with torch.device("meta"):
        one = template._new_autoencoder(shape, None)
        n_numbers = params["n_estimators"] * sum(each.numel() for each in one.parameters())
        _require(
            4 * n_numbers <= n_bytes,
            f"its networks have {n_numbers} parameters, more than a file of {n_bytes} bytes holds",
        )
        more = (template._new_autoencoder(shape, None) for _ in range(params["n_estimators"] - 1))
        module = Autoencoder.stack([one, *more])
    expected = module.state_dict()
    _require(set(weights) == set(expected), "its weights are not those of its network")
    for key, each in expected.items():
        own = weights[key]
        _require(
            torch.is_tensor(own) and own.shape == each.shape and own.dtype == each.dtype,
            f"its network needs {key} of shape {tuple(each.shape)}",
        )
    module.load_state_dict(weights, assign=True)
    return module


def _check_state(detector):
    """Check what the methods of a detector take for granted of what it has fitted."""
    state, n_features = vars(detector), detector._built["n_features"]
    _require(state.get("n_features_in_") == n_features, f"it was fitted on {n_features} features")
    if "feature_names_in_" in state:
        names = state["feature_names_in_"]
        alike = isinstance(names, np.ndarray) and names.shape == (n_features,)
        _require(alike and all(isinstance(name, str) for name in names), "its names of features")
    if "scaler" in detector.get_params(deep=False):
        scaler = state.get("scaler_", False)
        _require(scaler is None or type(scaler) in SCALERS.values(), "its scaler")
        _require(scaler is None or scaler.n_features_in_ == n_features, "its scaler")
    else:
        _check_layout(state.get("_layout"), detector._built)
    score = state.get("score_")
    _require(isinstance(score, Ensemble) and isinstance(score.scores, list), "its score")
    alike = all(isinstance(each, Score) for each in score.scores)
    _require(alike and len(score.scores) == detector._built["n_estimators"], "its score")
    offset, thresholder = state.get("offset_"), state.get("thresholder_")
    _require(type(offset) is float and thresholder.threshold_ == -offset, "its threshold")
    scores = state.get("calibration_scores_")
    alike = isinstance(scores, np.ndarray) and scores.dtype == np.float64 and scores.ndim == 1
    _require(alike and "_calibration_y" in state, "its calibration scores")
    _require(isinstance(state.get("calibration_is_held_out_"), bool), "calibration_is_held_out_")
    _require(isinstance(state.get("history_"), pd.DataFrame), "its history")
    _require(type(state.get("n_steps_")) is int, "its number of steps")


def _check_layout(layout, built):
    shape, n_features = built["image_shape"], built["n_features"]
    alike = isinstance(layout, ImageLayout) and layout.axes in ("HW", "CHW", "HWC")
    _require(alike and layout.shape == shape, "its layout of images")
    _require(isinstance(layout.is_flat, bool) and isinstance(layout.is_uint8, bool), "its layout")
    if layout.low is None:
        _require(n_features == math.prod(shape), f"its images have {n_features} values")
        return
    _require(n_features <= math.prod(shape), f"its rows have {n_features} values")
    for values in (layout.low, layout.span):
        alike = isinstance(values, np.ndarray) and values.dtype == np.float64
        _require(alike and values.shape == (n_features,), "the range of its columns")


def _require(condition, words):
    if not condition:
        raise ValueError(words + ".")
