"""`save` and `load`."""

from importlib import import_module
from pathlib import Path

from sklearn.utils.validation import check_is_fitted

from skvae.base._input import resolve_device
from skvae.persistence._classes import MODELS
from skvae.persistence._estimator import EstimatorDecoder, EstimatorEncoder
from skvae.persistence._file import Refused, opened, write
from skvae.persistence._tree import NotStorable

PACKAGES = ("skvae", "numpy", "sklearn", "skorch", "torch")
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
    detector : detector of skvae, or CNNClassifier
        Those of a `WindowDetector`, a `SlidingWindowDetector` or a `FusionDetector` must be of
        skvae as well.
    path : str or path-like
        By convention it ends in ``.safetensors``. An existing file is replaced once the new one is
        complete, whatever it holds, as by `numpy.save`; its folder is made if there is none.

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
    encoder = EstimatorEncoder()
    try:
        model = encoder.model(detector)
    except NotStorable as error:
        remedy = REMEDIES.get(error.path.partition(".")[0], ELSE)
        raise ValueError(
            f"{name} cannot be stored in a model file: {error}, and a file holds numbers, arrays "
            f"and objects of skvae alone. {remedy}"
        ) from None
    versions = {each: str(import_module(each).__version__) for each in PACKAGES}
    write(path, {"versions": versions, **model}, encoder.arrays)


def load(path, device="cpu"):
    """Read a detector that `save` wrote.

    Nothing in the file is run: it holds numbers, and names of a fixed list of classes. Its sizes
    are compared with its length before memory is taken for them. The digest in it tells damage,
    not who wrote it: somebody else's detector may be any detector.

    Parameters
    ----------
    path : str or path-like
        The model file.
    device : str or torch.device, default="cpu"
        Where the detector computes from now on, whatever it was trained on; it becomes its
        parameter ``device`` as well.

    Returns
    -------
    detector : detector of skvae, or CNNClassifier
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
    whole_name = f"{path}.safetensors"
    if not Path(path).exists() and Path(whole_name).exists():
        raise FileNotFoundError(f"no file {path}, but {whole_name}: give its whole name.")
    try:
        with opened(path) as stored:
            decoder = EstimatorDecoder(stored, device, device_)
            stored.model.pop("versions")
            detector = decoder.model(stored.model)
            if not stored.model["state"]:
                raise Refused("its detector is not fitted.")
            if decoder.used != stored.names:
                raise Refused("it holds arrays that nothing refers to.")
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} cannot be loaded as a model: {_words(error)}") from error
    return detector


def _words(error):
    """What is wrong with a file; it can be wrong in more ways than are worth words of their own."""
    words = str(error)
    if not isinstance(error, Refused):
        words = f"it was damaged, or skvae.save did not write it ({type(error).__name__}: {words})."
    return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]} ..."
