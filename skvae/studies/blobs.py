"""The textbook study: a VAE on Gaussian blobs with a few anomalies, beside PyOD's detectors."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler
from tqdm.auto import tqdm

from skvae.datasets import make_blobs_with_anomalies
from skvae.detectors import VAEDetector
from skvae.plotting import ScoreHistogramDisplay
from skvae.studies.baselines import DEEP, pyod_baseline
from skvae.studies.report import (
    markdown_table,
    new_figure,
    percent,
    write_figure,
    write_table,
    write_text,
)
from skvae.thresholds import F1

DEFAULT = "VAEDetector (default)"
BETAS, LATENT_DIMS = (0.1, 1.0, 5.0), (2, 5, 10)
BASELINES = ("IForest", "KNN", "LOF", "ECOD", "PCA", *DEEP)


def blobs(
    readings="A",
    n_seeds=1,
    grid=True,
    baselines=True,
    out=None,
    progress=True,
    n_samples=5000,
    deep_epochs=None,
):
    """Compare detectors on blobs with anomalies.

    The data are those of :func:`skvae.datasets.make_blobs_with_anomalies`, 20 features with 3 %
    anomalies, split 80/20 with the same share of anomalies in both parts, so that the training
    part is contaminated, and scaled to [0, 1] over the training part. Compared are:

    - ``VAEDetector()`` as it is;
    - the textbook VAE (sigmoid output, squared error + beta * KL, the summed squared error as
      score, nothing trimmed) for every beta in {0.1, 1, 5} and latent_dim in {2, 5, 10};
    - PyOD's IForest, KNN, LOF, ECOD, PCA, VAE and AutoEncoder at their defaults, on z-scored
      columns.

    The threshold of F1 is chosen on the training part alone: the one of the largest F1 over its
    scores and labels. All else is trained without labels.

    Parameters
    ----------
    readings : str or sequence of str, default="A"
        Readings of "shifted by +4.0", such as ``"ABCDE"``.
    n_seeds : int, default=1
        Seeds 0, 1, ... of data, split and detectors.
    grid : bool, default=True
        Whether to run the nine textbook VAEs.
    baselines : bool, default=True
        Whether to run PyOD's detectors.
    out : str or path-like, default=None
        Folder for results.csv, summary.csv, summary.json, report.md and blobs.png.
    progress : bool, default=True
        Whether to show a progress bar.
    n_samples : int, default=5000
        Rows of each data set, both parts together.
    deep_epochs : int, default=None
        Epochs of PyOD's VAE and AutoEncoder, stated in their names; None means PyOD's defaults.

    Returns
    -------
    results : DataFrame
        One row per reading, seed and detector: beta and latent_dim (of the textbook VAEs),
        auroc, ap and f1 on the test part (shares, from 0 to 1), threshold (in the units of the
        anomaly score), fit_seconds and score_seconds (CPU time; scoring is of the test part).

    Raises
    ------
    ValueError
        If a reading is unknown.
    ImportError
        If baselines are wanted and PyOD is not installed.

    See Also
    --------
    blobs_summary : Means over seeds.

    Examples
    --------
    >>> from skvae.studies import blobs
    >>> results = blobs(n_samples=400, grid=False, baselines=False, progress=False)
    >>> results[["reading", "detector", "auroc"]].round(2)
      reading               detector  auroc
    0       A  VAEDetector (default)    1.0
    """
    for reading in readings:
        make_blobs_with_anomalies(100, reading=reading)  # a typo shows now, not after an hour
    detectors = blobs_detectors(grid, baselines, deep_epochs)
    records, drawn = [], None
    with tqdm(total=len(readings) * n_seeds * len(detectors), disable=not progress) as bar:
        for reading in readings:
            for seed in range(n_seeds):
                parts = blobs_split(reading, seed, n_samples)
                for name, (parameters, make) in detectors.items():
                    bar.set_description(f"reading {reading}, seed {seed}, {name}")
                    record, scores = _run(make(seed), *parts)
                    named = {"reading": reading, "seed": seed, "detector": name}
                    records.append(named | parameters | record)
                    if drawn is None and name == DEFAULT:
                        drawn = (parts[-1], scores, record["threshold"], reading)
                    bar.update()
    results = pd.DataFrame(records)
    if out is not None:
        _write_report(results, drawn, out)
    return results


def blobs_detectors(grid=True, baselines=True, deep_epochs=None):
    """Name the detectors that :func:`blobs` compares.

    Parameters
    ----------
    grid, baselines, deep_epochs
        As in :func:`blobs`.

    Returns
    -------
    detectors : dict of str to (dict, callable)
        The parameters to report, and ``factory(seed)``.
    """
    detectors = {DEFAULT: (_grid_point(), lambda seed: VAEDetector(random_state=seed))}
    if grid:
        for beta in BETAS:
            for latent_dim in LATENT_DIMS:
                point = _grid_point(beta, latent_dim)
                # point=point: each factory keeps the point of its own turn of the loop.
                detectors[f"textbook VAE, beta={beta:g}, latent_dim={latent_dim}"] = (
                    point,
                    lambda seed, point=point: textbook_vae(**point, random_state=seed),
                )
    for name in BASELINES if baselines else ():
        shown = f"{name} ({deep_epochs} epochs)" if deep_epochs and name in DEEP else name
        detectors[shown] = (
            _grid_point(),
            lambda seed, name=name: pyod_baseline(name, seed, deep_epochs),
        )
    return detectors


def _grid_point(beta=None, latent_dim=None):
    return {"beta": beta, "latent_dim": latent_dim}


def textbook_vae(beta, latent_dim, random_state=None):
    """Make the VAE of the textbooks: min-max scaling, sigmoid, squared error, no trimming.

    Parameters
    ----------
    beta : float
        Weight of the KL.
    latent_dim : int
        Number of latents.
    random_state : int, RandomState instance or None, default=None
        Its seed.

    Returns
    -------
    detector : VAEDetector
        Unfitted.
    """
    return VAEDetector(
        beta=beta,
        latent_dim=latent_dim,
        scaler="minmax",
        output_activation="sigmoid",
        likelihood="mse",
        score="reconstruction",
        contamination=0,
        random_state=random_state,
    )


def blobs_split(reading, seed, n_samples=5000):
    """Make one data set of the study, split and scaled.

    Parameters
    ----------
    reading : str
        Reading of the shift.
    seed : int
        Seed of data and split.
    n_samples : int, default=5000
        Rows of both parts together.

    Returns
    -------
    X_train, X_test, y_train, y_test : ndarrays
        Columns in [0, 1] over the training part; 1 = anomaly.
    """
    X, y = make_blobs_with_anomalies(n_samples, reading=reading, random_state=seed)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, stratify=y, random_state=seed
    )
    scaler = MinMaxScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def _run(detector, X_train, X_test, y_train, y_test):
    start = time.process_time()
    detector.fit(X_train)
    fitted = time.process_time()
    scores = detector.anomaly_score(X_test)
    scored = time.process_time()
    train_scores = getattr(detector, "training_scores_", None)
    if train_scores is None:
        train_scores = detector.anomaly_score(X_train)
    threshold = F1().fit(train_scores, y_train).threshold_
    record = {
        "auroc": float(roc_auc_score(y_test, scores)),
        "ap": float(average_precision_score(y_test, scores)),
        "f1": float(f1_score(y_test, scores > threshold, zero_division=0)),
        "threshold": threshold,
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
    }
    return record, scores


def blobs_summary(results):
    """Average results over seeds.

    Parameters
    ----------
    results : DataFrame
        As :func:`blobs` returns.

    Returns
    -------
    summary : DataFrame
        One row per reading and detector, in the order of the study: the means over seeds, and
        auroc_std, ap_std and f1_std, their spread (NaN for one seed).

    See Also
    --------
    blobs : The study.

    Examples
    --------
    >>> import pandas as pd
    >>> from skvae.studies import blobs_summary
    >>> columns = ["reading", "detector", "auroc", "ap", "f1", "fit_seconds", "score_seconds"]
    >>> rows = [["A", "VAE", 0.9, 0.5, 0.5, 1.0, 0.1], ["A", "VAE", 0.8, 0.6, 0.4, 1.0, 0.1]]
    >>> summary = blobs_summary(pd.DataFrame(rows, columns=columns))
    >>> summary[["detector", "auroc", "auroc_std"]].round(3)
      detector  auroc  auroc_std
    0      VAE   0.85      0.071
    """
    groups = results.groupby(["reading", "detector"], sort=False)
    summary = groups[["auroc", "ap", "f1", "fit_seconds", "score_seconds"]].mean()
    spread = groups[["auroc", "ap", "f1"]].std().add_suffix("_std")
    return summary.join(spread).reset_index()


def blobs_shown(summary):
    """Format a summary for people: percent with spread, and seconds."""
    columns = {"reading": summary["reading"], "detector": summary["detector"]}
    for key in ("auroc", "ap", "f1"):
        pairs = summary[[key, f"{key}_std"]].to_numpy()
        columns[key.upper()] = [percent(*pair) for pair in pairs]
    columns["fit, s"] = [f"{seconds:.2f}" for seconds in summary["fit_seconds"]]
    columns["score, s"] = [f"{seconds:.3f}" for seconds in summary["score_seconds"]]
    return pd.DataFrame(columns)


def _write_report(results, drawn, out):
    out, summary = Path(out), blobs_summary(results)
    write_table(out / "results.csv", results)
    write_table(out / "summary.csv", summary)
    write_table(out / "summary.json", summary)
    write_text(out / "report.md", _markdown(summary))
    write_figure(out / "blobs.png", _draw(summary, *drawn))


def _markdown(summary):
    return (
        "# Blobs with anomalies\n\n"
        "AUROC, average precision (AP) and F1 on the test part in percent, means over seeds, ± "
        "their spread; CPU seconds to fit the training part and to score the test part. The "
        "threshold of F1 is the one of the largest F1 on the training part. The training part is "
        "contaminated. The readings of the shift are those of "
        "`skvae.datasets.make_blobs_with_anomalies`.\n\n"
        f"{markdown_table(blobs_shown(summary))}\n"
        "![AUROC and AP, and the scores of the default detector](blobs.png)\n"
    )


def _draw(summary, y, scores, threshold, reading):
    """Draw the table as coloured cells, beside the scores of the default detector."""
    ap = summary.pivot(index="detector", columns="reading", values="ap")
    ap = ap.loc[summary["detector"].unique(), summary["reading"].unique()]
    auroc = summary.pivot(index="detector", columns="reading", values="auroc")
    figure = new_figure(figsize=(8 + ap.shape[1], 2.2 + 0.3 * len(ap)))
    table, histogram = figure.subplots(1, 2, width_ratios=[1 + ap.shape[1], 5])
    table.imshow(ap, aspect="auto", cmap="cividis", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(ap.to_numpy()):
        text = f"{auroc.loc[ap.index[row], ap.columns[column]]:.3f} / {value:.3f}"
        color = "white" if value < 0.5 else "black"
        table.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    table.set_yticks(range(len(ap)), ap.index)
    table.set_xticks(range(ap.shape[1]), ap.columns)
    table.set_xlabel("reading of the shift")
    table.set_title("AUROC / AP on the test part (colour: AP)", loc="right")
    ScoreHistogramDisplay.from_predictions(y, scores, threshold=threshold, ax=histogram)
    histogram.set_title(f"{DEFAULT}, reading {reading}")
    return figure
