"""The study of one class: detectors trained on a single digit, before all the others."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from skvae.studies._images import (
    as_floats,
    auroc,
    conv_ae,
    load_image_data,
    plain_score,
    settings_of,
)
from skvae.studies._pictures import cells, what_was_run
from skvae.studies._pieces import Pieces
from skvae.studies.report import markdown_table, new_figure, write_figure, write_tables, write_text

DIGITS = tuple(range(10))
N_COMPONENTS = 25
# 600 batches are 13 passes through the images of one digit; the score of HOG asks no network.
TRAINING = {"max_steps": 600}
HOG = "hog_neighbors"
# Published means over the ten digits; their protocols differ in details.
PUBLISHED = (
    "Published means, by other protocols: deep convolutional AE .90, Deep SVDD .948, OCGAN .975."
)


def oneclass(data=None, seeds=(0,), out=None, quick=False, n_test=None, progress=True):
    """Train on one digit, and score a test set of all ten.

    Ten runs, a digit each: trained on all the training images of that digit, scored on test images
    of all digits, of which the others count as anomalies. Compared are:

    - "HOG neighbours": ``ConvAEDetector(score="hog_neighbors", max_steps=600)``, the documented
      configuration for this task;
    - "AE error": the squared error of the same detector's reconstructions, summed;
    - "PCA-25 error": the squared error of a reconstruction by 25 principal components, without a
      network.

    Parameters
    ----------
    data : str or path-like, default=None
        Folder of ``mnist.npz``; None means the data home, see :func:`skvae.datasets.fetch_mnist`.
    seeds : sequence of int, default=(0,)
        One ``random_state`` of the detectors, and one draw of test images, each.
    out : str or path-like, default=None
        Folder of the report. Each finished digit is kept there at once, and a later run with the
        same folder and settings goes on from there.
    quick : bool, default=False
        Take scikit-learn's digits of 8 x 8 and short trainings: under a minute.
    n_test : int, default=None
        Number of test images; None means the 10,000 of MNIST's test file, or 300 of the digits.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    results : DataFrame
        A row a seed, digit and method: auroc, n_train.

    Raises
    ------
    OSError
        If MNIST is neither stored nor can be downloaded.
    ValueError
        If there are not so many images, or ``out`` holds another study.

    See Also
    --------
    skvae.ConvAEDetector : The detector.

    Examples
    --------
    A quick run, of about a minute, on digits that need no download:

    .. code-block:: python

        from skvae.studies import oneclass

        results = oneclass(quick=True, out="results/oneclass")
        print(results.groupby("method")["auroc"].mean())

    ``skvae study oneclass --quick`` does the same from a shell.
    """
    n_test = (300 if quick else 10_000) if n_test is None else n_test
    settings = settings_of("oneclass", data, quick, None, n_test)
    plan = [(seed, digit) for seed in seeds for digit in DIGITS]
    with Pieces(out, settings, len(plan), progress) as pieces:
        for seed, digit in plan:
            run = partial(_run, data, settings, seed, digit)
            pieces.compute("auroc", run, seed=seed, digit=digit)
    results = pieces.table("auroc")
    if out is not None:
        _write_report(results, settings, seeds, pieces.minutes, Path(out))
    return results


def _run(data, settings, seed, digit):
    images = load_image_data(data, settings, seed)
    # Training and stream are one here: nothing else needs images that are not trained on.
    X = np.concatenate([images.X_train, images.X_stream])
    y = np.concatenate([images.y_train, images.y_stream])
    X, is_other = X[y == digit], images.y_test != digit
    training = {} if settings["quick"] else TRAINING
    detector = conv_ae(settings, seed, score=HOG, **training).fit(X)
    rows, test_rows = (as_floats(part).reshape(len(part), -1) for part in (X, images.X_test))
    pca = PCA(N_COMPONENTS, random_state=seed).fit(rows)
    pca_error = np.square(test_rows - pca.inverse_transform(pca.transform(test_rows))).sum(1)
    scores = {
        "HOG neighbours": detector.anomaly_score(images.X_test),
        "AE error": plain_score(detector, images.X_test),
        f"PCA-{N_COMPONENTS} error": pca_error,
    }
    return [
        {"method": name, "auroc": auroc(own[~is_other], own[is_other]), "n_train": len(X)}
        for name, own in scores.items()
    ]


def oneclass_shown(results):
    """Format results for people: digits downwards, methods across, and the mean; means over seeds.

    Parameters
    ----------
    results : DataFrame
        As :func:`oneclass` returns.

    Returns
    -------
    shown : DataFrame
        Of strings.
    """
    table = _table(results).map("{:.3f}".format)
    return table.reset_index(names="trained on")


def _table(results):
    table = results.pivot_table("auroc", "digit", "method", sort=False)
    table.index = [f"{digit}" for digit in table.index]
    return pd.concat([table, table.mean().to_frame("mean").T])


def _write_report(results, settings, seeds, minutes, out):
    write_tables(out, {"results": results})
    figure = new_figure(figsize=(7, 5))
    ax = figure.subplots()
    cells(ax, _table(results), "AUROC of the other digits")
    ax.set_ylabel("trained on")
    write_figure(out / "oneclass.png", figure)
    what = what_was_run(settings | {"n_train": None}, seeds, minutes)
    write_text(
        out / "report.md",
        f"# One digit against the others\n\n{what}\nTrained on all training images of one digit; "
        "AUROC of the test images of the other nine digits against those of that digit. *HOG "
        'neighbours* is `ConvAEDetector(score="hog_neighbors", max_steps=600)`; '
        "*AE error* the summed squared error of the same detector's reconstructions; "
        f"*PCA-{N_COMPONENTS} error* that of {N_COMPONENTS} principal components. {PUBLISHED}\n\n"
        f"{markdown_table(oneclass_shown(results))}\n![AUROC](oneclass.png)\n",
    )
