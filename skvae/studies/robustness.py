"""The study of robustness: which corruptions detectors of images find and localise, and when."""

from functools import cached_property, partial

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from skvae.metrics import pixel_average_precision, pixel_roc_auc
from skvae.studies._images import (
    CONTROL,
    Fitted,
    auroc,
    conv_ae,
    conv_vae,
    corruptions_of,
    families_of,
    load_image_data,
    plain_map,
    plain_score,
    reconstructions,
    rounded,
    settings_of,
)
from skvae.studies._pieces import Pieces
from skvae.studies._robustness_report import KINDS, robustness_shown, write_robustness_report

VAE, CAE = "Conv-VAE", "CAE"
LATENT_DIMS = (2, 4, 8, 16, 32)
SHARES = (0.0, 0.01, 0.05, 0.1, 0.2)
N_TEST = 2000  # of MNIST
N_LOCALISED, N_STRENGTH, N_SHOWN = 500, 1000, 3
FALSE_POSITIVE_RATES = np.linspace(0, 1, 101)


def robustness(
    data=None,
    seeds=(0,),
    out=None,
    quick=False,
    n_train=None,
    n_test=None,
    progress=True,
):
    """Corrupt test digits in many ways, and see which corruptions detectors find, and where.

    The detectors, `ConvVAEDetector` and `ConvAEDetector` (the CAE) at their defaults, are trained
    on clean digits; test images as they are count as normal, and the same ones corrupted as
    anomalies. Each is judged by its default score and by the plain one, the squared error of
    image and reconstruction summed. Sweeps change one thing each: the latents of the CAE, the share
    of corrupted images in its training, and the strength of the corruption.

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
        Numbers of images to train on and to test on; None means 20,000 and 2,000 of MNIST, or 900
        and 250 of the digits.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    tables : dict of str to DataFrame
        With the columns seed, corruption, plain and default (AUROC, shares from 0 to 1), and:

        - "auroc": a row a detector;
        - "bottleneck": a row a latent_dim of the CAE;
        - "contamination": a row a share of corrupted images in the training of the CAE, and told:
          whether it got that share as its ``contamination``, or 0;
        - "strength": a row a strength, found by the Conv-VAE;
        - "pixels": instead of the AUROC of images, pixel_auroc and pixel_ap of a detector's map
          (plain or default) against a truth, the pixels that really changed or the whole region of
          the patch or line, and the share of these anomalous_pixels;
        - "changed": instead of figures of a detector, what a corruption did to the test images:
          changed_pixels and unchanged_images (shares), and mean_change of a pixel (of 1);
        - "roc": false_positive_rate and true_positive_rate, for each detector and score.

    Raises
    ------
    OSError
        If MNIST is neither stored nor can be downloaded.
    ValueError
        If there are not so many images, or ``out`` holds another study.

    See Also
    --------
    skvae.corruptions.patch_occlusion : One of the corruptions.
    skvae.metrics.pixel_roc_auc : How maps are judged.

    Examples
    --------
    A quick run, of a minute or two, on digits that need no download:

    .. code-block:: python

        from skvae.studies import robustness

        tables = robustness(quick=True, out="results/robustness")
        print(tables["auroc"])

    ``skvae study robustness --quick`` does the same from a shell.
    """
    n_test = N_TEST if n_test is None and not quick else n_test
    settings = settings_of("robustness", data, quick, n_train, n_test)
    plan = [(seed, *piece) for seed in seeds for piece in _plan(settings)]
    with Pieces(out, settings, len(plan), progress) as pieces:
        benches = {seed: Bench(data, settings, seed) for seed in seeds}
        for seed, part, key in plan:
            pieces.compute(part, partial(getattr(benches[seed], part), **key), seed=seed, **key)
    tables = {"auroc": pieces.table("curves").drop(columns=list(KINDS_OF_CURVE.values()))}
    for part in ("bottleneck", "contamination", "strength", "pixels", "changed"):
        tables[part] = pieces.table(part)
    tables["roc"] = _long_curves(pieces.rows("curves"))
    if out is not None:
        first = {
            part: [row for row in pieces.rows(part) if row["seed"] == seeds[0]]
            for part in ("examples", "statistics")
        }
        shown = robustness_shown(tables)
        write_robustness_report(out, tables, shown, first, settings, seeds, pieces.minutes)
    return tables


KINDS_OF_CURVE = {kind: f"true_positive_rates_{kind}" for kind in KINDS}


def _plan(settings):
    """Table and arguments of each piece, those that share a detector together."""
    side = 8 if settings["quick"] else 28
    yield "statistics", {}
    yield "changed", {}
    for name in (VAE, CAE):
        yield "curves", {"detector": name}
        yield "pixels", {"detector": name, "truth": "changed"}
        yield "pixels", {"detector": name, "truth": "region"}
    for name in families_of(side):
        yield "strength", {"corruption": name}
    yield "examples", {}
    for latent_dim in LATENT_DIMS:
        yield "bottleneck", {"latent_dim": latent_dim}
    for share in SHARES:
        for told in (False, True) if share else (False,):
            yield "contamination", {"share": share, "told": told}


class Bench:
    """The pieces of one seed, and what they share, made when first asked for."""

    def __init__(self, data, settings, seed):
        self._folder, self._settings, self._seed = data, settings, seed

    @cached_property
    def _data(self):
        return load_image_data(self._folder, self._settings, self._seed)

    @cached_property
    def _detectors(self):
        settings, seed = self._settings, self._seed
        factories = {VAE: lambda: conv_vae(settings, seed), CAE: lambda: conv_ae(settings, seed)}
        return Fitted(factories, self._data.X_train)

    @cached_property
    def _corrupted(self):
        """Corrupted test images and masks, by the name of the corruption."""
        return {
            name: corrupt(self._data.X_test, random_state=self._seed, return_mask=True)
            for name, corrupt in corruptions_of(self._data.side).items()
        }

    def statistics(self):
        """What the training and the test images are, as JSON holds it."""
        data = self._data
        described = {
            "training": _describe(data.X_train, data.y_train),
            "test": _describe(data.X_test, data.y_test),
        }
        return {"images": described}

    def changed(self):
        X = self._data.X_test
        rows = []
        for name, (images, mask) in self._corrupted.items():
            change = np.abs(images.astype(float) - X) / 255
            rows.append(
                {
                    "corruption": name,
                    "changed_pixels": float(mask.mean()),
                    "unchanged_images": float(np.mean(~mask.any(axis=(1, 2)))),
                    "mean_change": float(change.mean()),
                }
            )
        return rows

    def curves(self, detector):
        fitted, clean = self._detectors[detector], self._data.X_test
        normal, rows = _scores(fitted, clean), []
        for name, (images, _) in self._corrupted.items():
            scores = _scores(fitted, images)
            row = {"corruption": name}
            for kind in KINDS:
                row[kind] = auroc(normal[kind], scores[kind])
                row[KINDS_OF_CURVE[kind]] = _curve(normal[kind], scores[kind])
            rows.append(row)
        return rows

    @cached_property
    def _regions(self):
        """Masks of whole patches and lines: what the same draws change in images of grey."""
        grey = np.full_like(self._data.X_test, 128)
        return {
            name: corruptions_of(self._data.side)[name](
                grey, random_state=self._seed, return_mask=True
            )[1]
            for name in _localised(self._data.side)
        }

    def pixels(self, detector, truth):
        fitted, rows = self._detectors[detector], []
        for name in _localised(self._data.side):
            images, mask = (array[:N_LOCALISED] for array in self._corrupted[name])
            if truth == "region":
                mask = self._regions[name][:N_LOCALISED]
            maps = {"plain": plain_map(fitted, images), "default": _default_map(fitted, images)}
            for kind, values in maps.items():
                row = {"corruption": name, "map": kind}
                row["pixel_auroc"] = pixel_roc_auc(mask, values)
                row["pixel_ap"] = pixel_average_precision(mask, values)
                rows.append(row | {"anomalous_pixels": float(mask.mean())})
        return rows

    def strength(self, corruption):
        fitted, clean = self._detectors[VAE], self._data.X_test[:N_STRENGTH]
        family = families_of(self._data.side)[corruption]
        normal, rows = _scores(fitted, clean), []
        for strength in family.strengths:
            scores = _scores(fitted, family.corrupt(clean, strength, self._seed))
            row = {"strength": float(strength)}
            rows.append(row | {kind: auroc(normal[kind], scores[kind]) for kind in KINDS})
        return rows

    def bottleneck(self, latent_dim):
        detector = conv_ae(self._settings, self._seed, latent_dim=latent_dim)
        if latent_dim == conv_ae(self._settings, self._seed).latent_dim:
            return self._judged(self._detectors[CAE])
        return self._judged(detector.fit(self._data.X_train))

    def contamination(self, share, told):
        if share == 0:
            return self._judged(self._detectors[CAE])
        given = {"contamination": share} if told else {}
        detector = conv_ae(self._settings, self._seed, **given)
        return self._judged(detector.fit(self._contaminated(share)))

    def _contaminated(self, share):
        """Training images of which a share is corrupted, by all corruptions in equal parts."""
        X = self._data.X_train.copy()
        n = round(share * len(X))
        corruptions = [c for k, c in corruptions_of(self._data.side).items() if k != CONTROL]
        rows = np.random.default_rng([self._seed, 1]).permutation(len(X))[:n]
        for i, (part, corrupt) in enumerate(
            zip(np.array_split(rows, len(corruptions)), corruptions, strict=True)
        ):
            if len(part):
                X[part] = corrupt(X[part], random_state=1000 + 100 * self._seed + i)
        return X

    def _judged(self, detector):
        normal, rows = _scores(detector, self._data.X_test), []
        for name, (images, _) in self._corrupted.items():
            scores = _scores(detector, images)
            row = {"corruption": name}
            rows.append(row | {kind: auroc(normal[kind], scores[kind]) for kind in KINDS})
        return rows

    def examples(self):
        """Some images corrupted, their maps and masks; and the fixed ends of the maps' colours."""
        fitted, clean = self._detectors[VAE], self._data.X_test
        ends = {
            "plain": _usual_end(plain_map(fitted, clean[:N_LOCALISED])),
            "default": _usual_end(_default_map(fitted, clean[:N_LOCALISED])),
        }
        rows = []
        for name in _localised(self._data.side):
            images, masks = self._corrupted[name]
            shown = np.flatnonzero(masks.any(axis=(1, 2)))[:N_SHOWN]
            images, masks = images[shown], masks[shown]
            arrays = {
                "original": clean[shown] / 255,
                "corrupted": images / 255,
                "reconstruction": reconstructions(fitted, images),
                "plain map": plain_map(fitted, images) / ends["plain"],
                "default map": _default_map(fitted, images) / ends["default"],
                "changed pixels": masks,
            }
            rows.append({"corruption": name} | {k: rounded(v) for k, v in arrays.items()})
        return rows


def _describe(X, y):
    digits, counts = np.unique(y, return_counts=True)
    return {
        "n_images": len(X),
        "shape": list(X.shape[1:]),
        "dtype": str(X.dtype),
        "mean": float(X.mean() / 255),
        "std": float(X.std() / 255),
        "share_of_black_pixels": float(np.mean(X == 0)),
        "share_of_white_pixels": float(np.mean(X == 255)),
        "n_duplicates": len(X) - len(np.unique(X.reshape(len(X), -1), axis=0)),
        "images_of_each_digit": dict(
            zip(digits.astype(str).tolist(), counts.tolist(), strict=True)
        ),
    }


def _scores(detector, X):
    return {"plain": plain_score(detector, X), "default": detector.anomaly_score(X)}


def _default_map(detector, X):
    return np.asarray(detector.error_map(X)).reshape(X.shape)


def _usual_end(maps):
    """The value below which 99.5 % of the pixels of clean images lie."""
    return float(np.quantile(maps, 0.995))


def _localised(side):
    """Names of the corruptions that change a part of the image."""
    return [k for k in corruptions_of(side) if " in " in k or k.startswith(("occluded", "stripe"))]


def _curve(normal, anomalous):
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    false, true, _ = roc_curve(labels, np.r_[normal, anomalous])
    return rounded(np.interp(FALSE_POSITIVE_RATES, false, true), 5)


def _long_curves(rows):
    parts = []
    for row in rows:
        for kind, column in KINDS_OF_CURVE.items():
            named = {key: row[key] for key in ("seed", "detector", "corruption")}
            rates = {
                "false_positive_rate": FALSE_POSITIVE_RATES,
                "true_positive_rate": row[column],
            }
            parts.append(pd.DataFrame(named | {"score": kind} | rates))
    return pd.concat(parts, ignore_index=True)
