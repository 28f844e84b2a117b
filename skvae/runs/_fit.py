"""fit_in_folder: a fit that leaves its course in a folder, and goes on where it was stopped."""

import warnings
from numbers import Integral
from pathlib import Path

import numpy as np

from skvae._optional import require
from skvae.base import BaseDetector
from skvae.runs._results import save_model, write_results
from skvae.runs._watch import Watch


def fit_in_folder(detector, X, y=None, *, folder, every=5):
    """Fit a detector in a folder: to watch it while it trains, and to go on where it was stopped.

    The same call again, with the same detector, data and folder, goes on from the last complete
    epoch, whatever stopped the first: an interrupt, an error, ``kill -9`` or a power cut. On a CPU
    it ends in the same bits as a fit that nobody stopped, and as ``detector.fit(X, y)``. Once a fit
    is complete, the same call trains at most the epoch that stopped it early; it computes score and
    threshold from the stored weights.

    The folder holds, each file replaced as a whole:

    - ``history.json``: the rows of ``history_``, after each epoch;
    - ``best.safetensors``: the weights of the epoch of lowest loss, the validation's where there is
      one, as ``net_.module_.load_state_dict`` takes them;
    - ``checkpoint.safetensors``: all that the training needs to go on after its last epoch;
    - ``training_curves.png``: the losses; drawn every few epochs, seconds apart, and at the end;
    - ``reconstructions/epoch_0005.png``: of images, ten of the training above what the network
      makes of them, every few epochs;
    - ``model.safetensors``: the fitted detector, for `skvae.load`;
    - ``results.json``: written last: parameters, losses, threshold, and thresholds at other
      percentiles; with labels in ``y``, metrics on the data of ``fit`` as well; versions. Its
      numbers are what a fit that nobody stopped writes, but for the seconds.

    Parameters
    ----------
    detector : detector of skvae
        Fitted in place. Its ``random_state`` must be an int. Of its ``callbacks`` what they keep
        in attributes that end in an underscore goes on as well, as that of skorch's own does;
        those of your own classes may keep elsewhere what must not be lost.
    X : array-like
        As ``detector.fit`` takes it.
    y : array-like of shape (n_samples,), default=None
        As ``detector.fit`` takes it; labels of anomalies are also what metrics are computed by.
    folder : str or path-like
        Made, with its parents, where it is missing. One folder is for one fit at a time.
    every : int, default=5
        Epochs from picture to picture.

    Returns
    -------
    detector : the same object
        Fitted.

    Raises
    ------
    ValueError
        If the folder holds a fit of another detector, of other parameters, or on other rows; if
        its checkpoint is damaged; if it holds files of these names and no checkpoint; or for what
        ``detector.fit`` refuses.
    ImportError
        If matplotlib is not installed.

    Warns
    -----
    UserWarning
        If a parameter, such as a function of your own, cannot be stored in ``model.safetensors``;
        or if ``y`` holds names of classes.

    See Also
    --------
    skvae.save : Writes a fitted detector alone.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAEDetector, fit_in_folder
    >>> detector = VAEDetector(max_steps=20, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     detector = fit_in_folder(detector, load_iris().data, folder=folder)
    ...     print(sorted(path.name for path in Path(folder).glob("*.json")))
    ['history.json', 'results.json']
    """
    _check(detector, every)
    _warn_of_names(y)
    require("matplotlib", extra="plot", what="fit_in_folder")
    watch = Watch(detector, Path(folder), every)
    callbacks = detector.callbacks
    detector.callbacks = [*(callbacks or []), watch]
    try:
        detector.fit(X, y)
    finally:
        detector.callbacks = callbacks
    _forget(detector.net_, watch)
    # A callback that ends the training keeps its last epoch from those after it.
    watch.write_history(detector.history_)
    watch.draw_curves(detector.history_)
    save_model(watch.folder, detector)
    write_results(watch.folder, detector, X, y)
    return detector


def _check(detector, every):
    if not isinstance(detector, BaseDetector):
        raise TypeError(
            "fit_in_folder fits detectors that train a network of their own, such as VAEDetector "
            f"and ConvVAEDetector, but got {type(detector).__name__}."
        )
    detector._validate_params()
    if not isinstance(detector.random_state, Integral):
        raise ValueError(
            f"random_state={detector.random_state!r} begins differently each time, so that no fit "
            "could go on with another: give the detector an int, such as random_state=0."
        )
    if not isinstance(every, Integral) or every < 1:
        raise ValueError(f"every={every!r} must be an int of at least 1.")


def _warn_of_names(y):
    if y is not None and np.asarray(y).dtype.kind in "OUS":
        warnings.warn(
            "y holds names and not labels of anomalies (bool, {0, 1} or {+1, -1}), so that "
            'results.json will hold no metrics; y != "good", say, makes labels of them.',
            UserWarning,
            stacklevel=3,
        )


def _forget(net, callback):
    """The fitted detector is to be that of ``detector.fit``."""
    net.callbacks = [each for each in net.callbacks if each is not callback]
    net.callbacks_ = [pair for pair in net.callbacks_ if pair[1] is not callback]
