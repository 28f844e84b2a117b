"""The study of shift: a classifier on shifted digits, and what detectors beside it notice."""

from functools import cached_property, partial

import numpy as np

from skvae.classifiers import CNNClassifier
from skvae.corruptions import label_shift
from skvae.studies._images import (
    CONTROL,
    STANDARD,
    Fitted,
    as_seen,
    auroc,
    conv_ae,
    conv_vae,
    corruptions_of,
    families_of,
    fc_vae,
    load_image_data,
    nats_of,
    pixels_of,
    plain_score,
    reconstructions,
    rounded,
    settings_of,
)
from skvae.studies._pieces import Pieces
from skvae.studies._shift_drift import CLEAN, Watch, batch_sizes, correlations
from skvae.studies._shift_report import DEFAULT, shift_shown, write_shift_report

LABEL_SHIFT = "digits 0-4"
FEW_LABELS = (0, 1, 2, 3, 4)
N_SHOWN = 8


def shift(
    data=None,
    seeds=(0,),
    out=None,
    quick=False,
    n_train=None,
    n_test=None,
    progress=True,
):
    """Shift the digits of a test set, and ask who notices: a classifier, or detectors beside it.

    Trained on unshifted images alone are a `CNNClassifier` and four detectors: a convolutional
    autoencoder, a fully connected VAE, and convolutional VAEs of beta 1 (the default one) and 4.
    The test sets are the standard one; the same images rotated by 30 degrees, with Gaussian noise
    of sd 0.3, with a black patch anywhere and in the centre; images of the digits 0 to 4 alone; and
    as a control the images rotated by 3 degrees, which are interpolated alike and mean the same.

    Nothing is chosen by test images: each detector has the parameters it is made with.

    Parameters
    ----------
    data : str or path-like, default=None
        Folder of ``mnist.npz``; None means the data home, see :func:`skvae.datasets.fetch_mnist`.
    seeds : sequence of int, default=(0,)
        One draw of images, and one ``random_state`` of all that is trained, each.
    out : str or path-like, default=None
        Folder of the report. Each finished piece is kept there at once, and a later run with the
        same folder and settings goes on from there.
    quick : bool, default=False
        Take scikit-learn's digits of 8 x 8 and short trainings: under a minute.
    n_train, n_test : int, default=None
        Numbers of images to train on and to test on; None means 20,000 and 4,000 of MNIST, or 900
        and 250 of the digits.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    tables : dict of str to DataFrame
        - "accuracy": of the classifier, a row a seed and test set;
        - "auroc": of shifted against standard images, a row a seed, detector and test set; plain,
          by the summed squared error, and default, by the default score (of the default VAE);
        - "beta": means over standard test images, a row a seed and VAE: reconstruction and kl in
          nats, squared_error, and active_latents, whose means vary by more than 0.01;
        - "drift": a row a seed, test set and batch size: the share of batches in which
          `DriftMonitor` alarms, in all and by each of its tests; for "standard" that is the
          false-alarm rate;
        - "strengths": a row a seed, corruption and strength: lost_accuracy of the classifier, the
          rise of the mean score in standard deviations, and mean statistics of the monitor;
        - "correlation": of lost_accuracy with each monitor over the strengths, by seed.

    Raises
    ------
    OSError
        If MNIST is neither stored nor can be downloaded.
    ValueError
        If there are not so many images, or ``out`` holds another study.

    See Also
    --------
    skvae.corruptions.rotation : One of the shifts.
    skvae.drift.DriftMonitor : What alarms.

    Examples
    --------
    A quick run, of a minute or two, on digits that need no download:

    .. code-block:: python

        from skvae.studies import shift

        tables = shift(quick=True, out="results/shift")
        print(tables["auroc"])

    ``skvae study shift --quick`` does the same from a shell.
    """
    settings = settings_of("shift", data, quick, n_train, n_test)
    plan = [(seed, *piece) for seed in seeds for piece in _plan(settings)]
    with Pieces(out, settings, len(plan), progress) as pieces:
        benches = {seed: Bench(data, settings, seed) for seed in seeds}
        for seed, part, method, key in plan:
            pieces.compute(part, partial(getattr(benches[seed], method), **key), seed=seed, **key)
    tables = {part: pieces.table(part) for part in ("accuracy", "auroc", "beta", "drift")}
    tables["strengths"] = pieces.table("strengths")
    tables["correlation"] = correlations(tables["strengths"])
    if out is not None:
        examples = [row for row in pieces.rows("examples") if row["seed"] == seeds[0]]
        shown = shift_shown(tables)
        write_shift_report(out, tables, shown, examples, settings, seeds, pieces.minutes)
    return tables


def _plan(settings):
    """Table, method of `Bench` and arguments of each piece, those of one detector together."""
    side = 8 if settings["quick"] else 28
    yield "accuracy", "accuracy", {}
    for name in detectors_of(settings, 0):
        yield "auroc", "auroc", {"detector": name}
        if "VAE" in name:
            yield "beta", "beta", {"detector": name}
    for name in (CLEAN, *shifts_of(side)):
        for n in batch_sizes(settings):
            yield "drift", "drift", {"shift": name, "n": n}
    for name in families_of(side):
        yield "strengths", "strengths", {"corruption": name}
    yield "examples", "examples", {}


def shifts_of(side):
    """Name the shifted test sets that are made image by image, the control among them."""
    small = pixels_of(side, 8)
    patches = [f"occluded {small}x{small} {placing}" for placing in ("anywhere", "centre")]
    names = ["rotated 30", CONTROL, "noise sd 0.3", *patches]
    return {name: corruptions_of(side)[name] for name in names} | {LABEL_SHIFT: None}


def detectors_of(settings, seed):
    """Name the detectors of the study: factories of unfitted ones."""
    plain = {"score": "reconstruction"}
    return {
        DEFAULT: lambda: conv_vae(settings, seed),
        "Conv-VAE, beta=4": lambda: conv_vae(settings, seed, beta=4.0, **plain),
        "FC-VAE": lambda: fc_vae(settings, seed),
        "CAE": lambda: conv_ae(settings, seed, **plain),
    }


class Bench:
    """The pieces of one seed, and what they share, made when first asked for."""

    def __init__(self, data, settings, seed):
        self._folder, self._settings, self._seed = data, settings, seed

    @cached_property
    def _data(self):
        return load_image_data(self._folder, self._settings, self._seed)

    @cached_property
    def _detectors(self):
        return Fitted(detectors_of(self._settings, self._seed), self._data.X_train)

    @cached_property
    def _classifier(self):
        training = {"max_steps": 250} if self._settings["quick"] else {}
        classifier = CNNClassifier(random_state=self._seed, **training)
        return classifier.fit(self._data.X_train, self._data.y_train)

    @cached_property
    def _watch(self):
        return Watch(
            self._detectors[DEFAULT], self._classifier, self._data, self._settings, self._seed
        )

    @cached_property
    def _test_sets(self):
        """Images and digits of each test set; those of most shifts are the standard images."""
        X, y = self._data.X_test, self._data.y_test
        sets = {STANDARD: (X, y)}
        for name, corrupt in shifts_of(self._data.side).items():
            if name == LABEL_SHIFT:
                sets[name] = label_shift(X, y, FEW_LABELS, random_state=self._seed)
            else:
                sets[name] = corrupt(X, random_state=self._seed), y
        return sets

    def accuracy(self):
        return [
            {"shift": name, "accuracy": float(self._classifier.score(X, y)), "n_images": len(X)}
            for name, (X, y) in self._test_sets.items()
        ]

    def auroc(self, detector):
        fitted = self._detectors[detector]
        scorers = {"plain": plain_score}
        if detector == DEFAULT:
            scorers["default"] = lambda fitted, X: fitted.anomaly_score(X)
        scores = {
            name: {kind: scorer(fitted, X) for kind, scorer in scorers.items()}
            for name, (X, _) in self._test_sets.items()
        }
        standard = scores.pop(STANDARD)
        return [
            {"shift": name} | {kind: auroc(standard[kind], own[kind]) for kind in scorers}
            for name, own in scores.items()
        ]

    def beta(self, detector):
        fitted, X = self._detectors[detector], self._data.X_test
        nats, kl = nats_of(fitted, X)
        variances = np.var(fitted.transform(as_seen(fitted, X)), axis=0)
        return {
            "beta": float(fitted.beta),
            "reconstruction": float(nats.mean()),
            "kl": float(kl.mean()),
            "squared_error": float(plain_score(fitted, X).mean()),
            "active_latents": int(np.sum(variances > 0.01)),
            "latents": len(variances),
        }

    def drift(self, shift, n):
        few = np.isin(self._watch.y_pool, FEW_LABELS)
        if shift in (CLEAN, LABEL_SHIFT):
            pool = self._watch.pool[few] if shift == LABEL_SHIFT else self._watch.pool
        else:
            pool = self._watch.shifted(shift, shifts_of(self._data.side)[shift])
        return self._watch.alarm_rates(pool, n, clean=shift == CLEAN)

    def strengths(self, corruption):
        return self._watch.strengths(families_of(self._data.side)[corruption])

    def examples(self):
        """Some images of each test set, and what the VAEs of beta 1 and 4 make of them."""
        rows = []
        for name, (X, _) in self._test_sets.items():
            shown = X[:N_SHOWN]
            row = {"shift": name, "images": rounded(shown / 255)}
            for key, detector in (("beta 1", DEFAULT), ("beta 4", "Conv-VAE, beta=4")):
                row[key] = rounded(reconstructions(self._detectors[detector], shown))
            rows.append(row)
        return rows
