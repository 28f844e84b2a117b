"""The study of families: every kind of detector on every kind of data, and what it costs."""

import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skvae.datasets import (
    TIME_SERIES_KINDS,
    get_data_home,
    load_adbench,
    load_image_folder,
    make_blobs_with_anomalies,
    make_time_series,
    render_plots,
)
from skvae.datasets._adbench import adbench_files
from skvae.detectors import (
    AdversarialAEDetector,
    AEDetector,
    ConvAEDetector,
    ConvVAEDetector,
    ConvVQVAEDetector,
    DenoisingAEDetector,
    HierarchicalVAEDetector,
    MixedVAEDetector,
    VAEDetector,
    VQVAEDetector,
    WindowDetector,
)
from skvae.studies._images import (
    CONTROL,
    as_floats,
    auroc,
    corruptions_of,
    load_image_data,
)
from skvae.studies._pictures import cells
from skvae.studies._pieces import Pieces
from skvae.studies.adbench import split, subsample
from skvae.studies.baselines import pyod_baseline
from skvae.studies.report import markdown_table, new_figure, write_figure, write_tables, write_text

# A new family is one line here: of tables, which see images as flat rows of pixels, or of images.
ROWS = {
    "VAE": VAEDetector,
    "AE": AEDetector,
    "hierarchical": HierarchicalVAEDetector,
    "adversarial": AdversarialAEDetector,
    "denoising": DenoisingAEDetector,
    "vector-quantised": VQVAEDetector,
    "mixed": MixedVAEDetector,
}
ATTENTION, WINDOWS = "convolutional VAE + attention", "windows of a convolutional VAE"
IMAGES = {
    "convolutional VAE": ConvVAEDetector,
    "convolutional AE": ConvAEDetector,
    "convolutional VQ-VAE": ConvVQVAEDetector,
    ATTENTION: ConvVAEDetector,
    WINDOWS: ConvVAEDetector,
}
CONTROLS = ("IForest", "KNN")

# Too wide for a comparison that everybody can repeat: a fit takes minutes.
LEFT_OUT = ("17_InternetAds",)
DIGITS = (0, 3, 6, 9)
FULL = {
    "max_rows": 2000,
    "n_train": 5000,
    "n_test": 1000,
    "n_plots": 1781,
    "n_kind": 50,
    "plot_size": 64,
    "slice_size": 64,
}
QUICK = FULL | {
    "max_rows": 300,
    "n_train": 300,
    "n_test": 120,
    "n_plots": 100,
    "n_kind": 5,
    "plot_size": 16,
}
QUICK_TRAINING = {"max_steps": 20, "batch_size": 32}


class Case(NamedTuple):
    """A training set, a test set, and what a user knows of the training."""

    X_train: np.ndarray
    X_test: np.ndarray
    is_anomaly: np.ndarray
    known: dict


CLEAN = {"contamination": 0}


def families(data=None, detectors=None, seeds=range(3), out=None, quick=False, progress=True):
    """Compare every family of detectors at its defaults on tables, digits, plots and brain slices.

    The domains are

    - "tables, clean" and "tables, contaminated": 20 tables of ADBench as in :func:`adbench`, of
      2,000 rows at most;
    - "one digit": MNIST, trained on 0, 3, 6 or 9, among the test images of all;
    - "shifted digits": trained on 5,000 images of MNIST; each of nine corruptions of 1,000 test
      images against these images as they are;
    - "plots": line plots of time series (style "distance", 64 x 64), trained on 1,781 normal ones;
      each of nine kinds of anomaly against normal ones;
    - "brain MRI": slices of 64 x 64, trained on those without a tumour.

    Detectors know whether their training data are clean, and nothing else. Those of tables see
    images as flat rows of pixels; windows are strips of a quarter of the width, and attention is
    between the places of the smallest feature maps. `ConditionalVAEDetector` without a condition is
    `VAEDetector`, and so is not among them. IForest and KNN of PyOD, on standardised columns, are
    controls.

    Parameters
    ----------
    data : str or path-like, default=None
        Folder with ``adbench``, ``mnist.npz`` and ``brain_mri``; None means the data home, see
        :func:`skvae.datasets.get_data_home`.
    detectors : sequence of str, default=None
        Names of families; None means all.
    seeds : sequence of int, default=range(3)
        One split or draw of the data, and one ``random_state``, each.
    out : str or path-like, default=None
        Folder of the report. Each finished piece is kept there at once, and a later run with the
        same folder and settings goes on from there.
    quick : bool, default=False
        Blobs, the digits of 8 x 8 and small plots, short trainings, no slices: a minute.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    results : DataFrame
        A row a domain, family, seed and case (a table, a digit, a corruption, a kind): auroc, and
        fit_seconds, the CPU time of a fit.

    Raises
    ------
    OSError
        If the data are not there.
    ValueError
        If a name is no family, or ``out`` holds another study.

    See Also
    --------
    families_summary : Means over cases and seeds.

    Examples
    --------
    A quick run, of a minute or two, on data that need no download:

    .. code-block:: python

        from skvae.studies import families, families_summary

        results = families(quick=True, seeds=[0], out="results/families")
        print(families_summary(results))

    ``skvae study families --quick`` does the same from a shell.
    """
    known = [*ROWS, *IMAGES, *CONTROLS]
    names = known if detectors is None else list(detectors)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown family {name!r}; known are: {', '.join(known)}")
    home = None if quick else get_data_home() if data is None else Path(data)
    settings = {"study": "families", "data": None if quick else str(home.resolve())}
    settings |= {"quick": bool(quick)} | (QUICK if quick else FULL)
    domains = {name: own for name, own in DOMAINS.items() if not (quick and name == "brain MRI")}
    plan = [
        (domain, seed, name)
        for domain in domains
        for seed in seeds
        for name in names
        if not (domain in TABLES and name in IMAGES)
    ]
    with Pieces(out, settings, len(plan), progress) as pieces:
        for domain, seed, name in plan:
            run = partial(_run, domains[domain], home, settings, seed, name)
            pieces.compute("auroc", run, domain=domain, family=name, seed=seed)
    results = pieces.table("auroc")
    if out is not None:
        _write_report(results, settings, seeds, pieces.minutes, Path(out))
    return results


def _run(cases, home, settings, seed, name):
    """Rows of one family on the cases of one domain."""
    rows, fitted = [], None
    for case_name, case in cases(home, settings, seed):
        seen = partial(_seen, is_image=name in IMAGES)
        if fitted is None or fitted[0] is not case.X_train:  # many cases may share a training
            start = time.process_time()
            side = case.X_train.shape[-1]
            detector = _detector(name, case.known, settings["quick"], seed, side)
            detector.fit(seen(case.X_train))
            fitted = case.X_train, detector, time.process_time() - start
        _, detector, seconds = fitted
        scores = detector.anomaly_score(seen(case.X_test))
        area = auroc(scores[~case.is_anomaly], scores[case.is_anomaly])
        rows.append({"case": case_name, "auroc": area, "fit_seconds": seconds})
    return rows


def _detector(name, known, quick, seed, side):
    if name in CONTROLS:
        return pyod_baseline(name, seed)
    options = {"random_state": seed} | (QUICK_TRAINING if quick else {})
    if name == ATTENTION:
        options["attention"] = side // 4  # of the last maps
    detector = (ROWS | IMAGES)[name](**options, **known)
    if name == WINDOWS:
        strips = None, max(side // 4, 4)
        return WindowDetector(detector, window_shape=strips, random_state=seed, **known)
    return detector


def _seen(X, is_image):
    """Images as they are, or as flat rows of pixels; rows of a table as they are."""
    return X if is_image or X.ndim == 2 else as_floats(X).reshape(len(X), -1)


# -- domains: each yields names and cases ----------------------------------------------------------


def _tables(home, settings, seed, setting):
    if settings["quick"]:
        X, y = make_blobs_with_anomalies(n_samples=settings["max_rows"], random_state=seed)
        tables = {"blobs": lambda: (X, y)}
    else:
        paths = [p for p in adbench_files(home / "adbench") if p.stem not in LEFT_OUT]
        tables = {path.stem: partial(load_adbench, path) for path in paths}
    for name, load in tables.items():
        X, y = subsample(*load(), settings["max_rows"])
        X_train, X_test, y_test = split(X, y, setting, seed)
        yield name, Case(X_train, X_test, y_test == 1, CLEAN if setting == "S" else {})


def _images(home, settings, seed):
    return load_image_data(home, settings, seed)


def _one_digit(home, settings, seed):
    images = _images(home, settings, seed)
    for digit in DIGITS:
        X = images.X_train[images.y_train == digit]
        yield str(digit), Case(X, images.X_test, images.y_test != digit, CLEAN)


def _shifted_digits(home, settings, seed):
    images = _images(home, settings, seed)
    is_shifted = np.arange(2 * len(images.X_test)) >= len(images.X_test)
    for name, corrupt in corruptions_of(images.side).items():
        if name == CONTROL:  # it should not be noticed
            continue
        shifted = corrupt(as_floats(images.X_test), random_state=seed)
        X_test = np.concatenate([as_floats(images.X_test), shifted])
        yield name, Case(images.X_train, X_test, is_shifted, CLEAN)


def _plots(home, settings, seed):
    rng = np.random.RandomState(seed)

    def draw(n, kind):
        series = make_time_series(n, kind, random_state=rng)[0]
        return render_plots(series, settings["plot_size"], style="distance", tau=3.0)

    normal, *kinds = TIME_SERIES_KINDS
    X, X_normal = draw(settings["n_plots"], normal), draw(5 * settings["n_kind"], normal)
    for kind in kinds:
        X_test = np.concatenate([X_normal, draw(settings["n_kind"], kind)])
        yield kind, Case(X, X_test, np.arange(len(X_test)) >= len(X_normal), CLEAN)


def _slices(home, settings, seed):
    folder = load_image_folder(home / "brain_mri", size=settings["slice_size"])
    is_test, is_normal = folder.parts == "test", folder.labels == "no_tumor"
    X, X_test = folder.subset(~is_test & is_normal)[:], folder.subset(is_test)[:]
    yield "tumour", Case(X, X_test, ~is_normal[is_test], CLEAN)


TABLES = {
    "tables, clean": partial(_tables, setting="S"),
    "tables, contaminated": partial(_tables, setting="U"),
}
DOMAINS = TABLES | {
    "one digit": _one_digit,
    "shifted digits": _shifted_digits,
    "plots": _plots,
    "brain MRI": _slices,
}


# -- the report ------------------------------------------------------------------------------------


def families_summary(results):
    """Means over cases, and over seeds with their spread.

    Parameters
    ----------
    results : DataFrame
        As :func:`families` returns.

    Returns
    -------
    summary : DataFrame
        A row a domain and family: auroc, spread (standard deviation over seeds; nan for one) and
        fit_seconds.

    See Also
    --------
    families : The study.

    Examples
    --------
    >>> import pandas as pd
    >>> from skvae.studies import families_summary
    >>> columns = ["domain", "family", "seed", "case", "auroc", "fit_seconds"]
    >>> rows = [["plots", "VAE", 0, "spike", 0.8, 2.0], ["plots", "VAE", 1, "spike", 0.9, 2.0]]
    >>> families_summary(pd.DataFrame(rows, columns=columns)).round(3)
      domain family  auroc  spread  fit_seconds
    0  plots    VAE   0.85   0.071          2.0
    """
    keys = ["domain", "family"]
    by_seed = results.groupby([*keys, "seed"], sort=False)[["auroc", "fit_seconds"]].mean()
    by_family = by_seed.groupby(keys, sort=False)
    summary = by_family.mean()
    summary.insert(1, "spread", by_family["auroc"].std())
    return summary.reset_index()


def families_shown(summary):
    """Format a summary for people: families downwards, domains across.

    Parameters
    ----------
    summary : DataFrame
        As :func:`families_summary` returns.

    Returns
    -------
    tables : dict of str to DataFrame
        Of strings, "AUROC" and "CPU seconds of a fit".
    """
    spread = summary["spread"].map(lambda each: "" if each != each else f" ± {each:.3f}")
    texts = summary.assign(
        auroc=summary["auroc"].map("{:.3f}".format) + spread,
        fit_seconds=summary["fit_seconds"].map("{:.2f}".format),
    )
    titles = {"auroc": "AUROC", "fit_seconds": "CPU seconds of a fit"}
    return {
        title: _across(texts, column).fillna("-").reset_index() for column, title in titles.items()
    }


def _across(summary, column):
    table = summary.pivot(index="family", columns="domain", values=column)
    families, domains = (summary[key].unique() for key in ("family", "domain"))
    return table.loc[families, domains].rename_axis(columns=None)


def _write_report(results, settings, seeds, minutes, out):
    summary = families_summary(results)
    write_tables(out, {"results": results, "summary": summary})
    table = _across(summary, "auroc")
    figure = new_figure(figsize=(2 + 1.4 * table.shape[1], 1.2 + 0.4 * len(table)))
    cells(figure.subplots(), table, "AUROC, mean over the cases of a domain")
    write_figure(out / "families.png", figure)
    wall, cpu = minutes
    shown = families_shown(summary)
    quick = "Quick run, its figures mean little. " if settings["quick"] else ""
    write_text(
        out / "report.md",
        f"# Families of detectors\n\n{quick}Every detector at its defaults, knowing only whether "
        f"its training data are clean. Means over the cases of a domain and the seeds "
        f"{', '.join(map(str, seeds))}; ± is the standard deviation over seeds. The pieces took "
        f"{wall:.1f} minutes ({cpu:.1f} CPU minutes).\n\n## AUROC\n\n"
        f"{markdown_table(shown['AUROC'])}\n![AUROC](families.png)\n\n## CPU seconds of a fit\n\n"
        f"{markdown_table(shown['CPU seconds of a fit'])}",
    )
