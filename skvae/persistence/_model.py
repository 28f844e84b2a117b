"""`save` and `load`: what of an estimator goes into the file, and how it is put together again."""

import inspect
from importlib import import_module

from sklearn.utils.validation import check_is_fitted

from skvae.base._input import resolve_device
from skvae.classifiers import CNNClassifier
from skvae.persistence._classes import MODELS, check_names
from skvae.persistence._file import Refused, opened, write
from skvae.persistence._network import network
from skvae.persistence._state import check_state
from skvae.persistence._tree import Decoder, Encoder, NotStorable
from skvae.training import Autoencoder, restored_net

PACKAGES = ("skvae", "numpy", "sklearn", "skorch", "torch")
SECTIONS = {"class", "versions", "params", "built", "weights", "state"}
# What a detector derives from its net, or is told by `load`.
NOT_STATE = {"net_", "_built", "latent_dim_", "_n_features_out", "device", "device_"}
# A file may make an error as long as it likes.
MAX_WORDS = 300

REMEDIES = {
    "callbacks": "detector.set_params(callbacks=None) leaves them out, and no score changes.",
    "threshold": "detector.set_params(threshold=number).set_threshold(number) with "
    "number = detector.threshold_ keeps the number alone.",
}
REMEDIES["thresholder_"] = REMEDIES["threshold"]
ELSE = "pickle and joblib can store it, in a file that runs code when it is loaded."


def save(detector, path):
    """Write a fitted detector, or classifier, to a model file, without pickle.

    Parameters
    ----------
    detector : AEDetector, VAEDetector, ConvAEDetector, ConvVAEDetector or CNNClassifier
    path : str or path-like
        By convention it ends in ``.safetensors``. An existing file is replaced once the new one is
        complete, and its folder is made if there is none.

    Raises
    ------
    TypeError
        If the detector is of another class, such as a Pipeline or a class of one's own.
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
    encoder = Encoder(_members(module))
    try:
        model = {
            "class": name,
            "versions": {each: str(import_module(each).__version__) for each in PACKAGES},
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
    detector : AEDetector, VAEDetector, ConvAEDetector, ConvVAEDetector or CNNClassifier
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
        raise ValueError(f"{path} cannot be loaded as a model: {_words(error)}") from error
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
    estimator = MODELS[name](**{**params, "device": device})
    estimator._validate_params()

    built = decoder.attributes(model["built"])
    if "scaler" in built and model["built"]["scaler"] == model["params"].get("scaler"):
        built["scaler"] = estimator.scaler  # which a warm start wants to be the same object
    module = network(estimator, built, decoder.attributes(model["weights"]), stored.n_bytes)
    decoder.members = _members(module)
    state = decoder.attributes(model["state"])
    _require(decoder.used == stored.names, "it holds arrays that nothing refers to")
    check_names(MODELS[name], state)
    for key in state:
        # What was fitted ends in an underscore; a constant of the class is not for a file to say.
        constant = hasattr(MODELS[name], key) and not key.endswith("_")
        known = constant or key in NOT_STATE or key in vars(estimator)
        _require(not known, f"its attribute {key!r} is not for a file to say")
    vars(estimator).update(state, device_=device_, _built=built)
    if isinstance(estimator, CNNClassifier):
        estimator.net_ = estimator._make_net(module, n_steps=0).initialize()
    else:
        settings = {key: getattr(estimator, key) for key in ("optimizer", "lr", "batch_size")}
        estimator._take_net(restored_net(module, device=device_, **settings), built)
    check_state(estimator)
    return estimator


def _words(error):
    """What is wrong with a file; it can be wrong in more ways than are worth words of their own."""
    words = str(error)
    if not isinstance(error, Refused):
        words = f"it was damaged, or skvae.save did not write it ({type(error).__name__}: {words})."
    return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]} ..."


def _members(module):
    """The autoencoders that scores may refer to."""
    return module.unstack() if isinstance(module, Autoencoder) else []


def _require(condition, words):
    if not condition:
        raise Refused(words + ".")
