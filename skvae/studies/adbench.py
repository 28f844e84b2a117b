"""Detectors compared on the data sets of ADBench, on clean and on contaminated training data."""

import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score
from tqdm.auto import tqdm

from skvae.datasets import load_adbench
from skvae.datasets._adbench import adbench_files
from skvae.detectors import AEDetector, VAEDetector
from skvae.studies.baselines import DEEP, PYOD, NeighborsAndMixtures, TrimmedGaussian, pyod_baseline
from skvae.studies.journal import Journal
from skvae.studies.ranks import draw_ranks, rank_table
from skvae.studies.report import markdown_table, percent, write_figure, write_table, write_text

SETTINGS = {
    "S": "trained on half of the normal rows, scored on the other rows",
    "U": "fitted on all rows, anomalies among them, and scored on the same rows",
}


def default_detectors(deep_epochs=None):
    """Name the detectors that :func:`adbench` compares by default.

    Parameters
    ----------
    deep_epochs : int, default=None
        Epochs of PyOD's deep detectors, stated in their names; None means PyOD's defaults.

    Returns
    -------
    detectors : dict of str to callable
        ``factory(setting, seed)`` makes an unfitted detector with ``fit(X)`` and
        ``anomaly_score(X)``.
    """
    detectors = {
        "VAEDetector": lambda setting, seed: VAEDetector(random_state=seed, **_known(setting)),
        "VAEDetector x 5": lambda setting, seed: VAEDetector(
            n_estimators=5, random_state=seed, **_known(setting)
        ),
        "AEDetector": lambda setting, seed: AEDetector(random_state=seed, **_known(setting)),
        "neighbors + mixtures": lambda setting, seed: NeighborsAndMixtures(random_state=seed),
        "trimmed Gaussian": lambda setting, seed: TrimmedGaussian(0.2 if setting == "U" else 0),
    }
    for name in PYOD:
        shown = f"{name} ({deep_epochs} epochs)" if deep_epochs and name in DEEP else name
        # name=name: each factory keeps the name of its own turn of the loop.
        detectors[shown] = lambda setting, seed, name=name: pyod_baseline(name, seed, deep_epochs)
    return detectors


def _known(setting):
    """What a user knows of the training rows: in S that they are clean."""
    return {"contamination": 0} if setting == "S" else {}


def adbench(
    data=None,
    detectors=None,
    settings=("S", "U"),
    seeds=(0, 1, 2),
    out=None,
    max_rows=5000,
    deep_epochs=None,
    redo=(),
    progress=True,
):
    """Compare detectors on real tabular data sets.

    Data sets above ``max_rows`` are cut once to that many rows, stratified by label, with at
    least 10 anomalies kept. Setting S trains on a random half of the normal rows (seed
    1000 + ``seed``) and scores the other normal rows and all anomalies. Setting U fits on all
    rows without labels and scores the same rows; detectors with ``training_scores_`` (PyOD's
    ``decision_scores_``) are judged by those. PyOD's detectors get z-scored columns and their
    own defaults; skvae's get raw columns, their defaults, and in S ``contamination=0``.

    Parameters
    ----------
    data : str, path-like or dict, default=None
        A folder of npz files with ``X`` and ``y`` (1 = anomaly); or name -> (X, y). None means
        the folder ``adbench`` of the data home.
    detectors : dict or list of str, default=None
        ``name -> factory(setting, seed)``, which makes an unfitted detector; or names out of the
        default ones, skvae's and PyOD's; None means all of these.
    settings : sequence of {"S", "U"}, default=("S", "U")
        Which settings to run.
    seeds : sequence of int, default=(0, 1, 2)
        One split (S) and one ``random_state`` each.
    out : str or path-like, default=None
        Folder of the report. Each finished result is put into its ``results.jsonl`` at once, and
        a later run with the same folder goes on from there; failures are tried again.
    max_rows : int, default=5000
        Data sets with more rows are cut.
    deep_epochs : int, default=None
        Epochs of PyOD's deep detectors among the default ones.
    redo : sequence of str, default=()
        Detectors whose stored results are dropped first.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    results : DataFrame
        One row per data set, setting, detector and seed: auroc and ap (shares, from 0 to 1),
        fit_seconds and score_seconds (CPU time), n_train, n_test, n_features, and error (missing,
        or why the detector failed). With ``out``, everything that the folder holds.

    Raises
    ------
    FileNotFoundError
        If the folder of the data is missing or empty.
    ValueError
        If a setting or a detector is unknown, or a data file is broken.
    ImportError
        If a detector needs a package that is not installed.

    See Also
    --------
    adbench_summary : Means over data sets.

    References
    ----------
    Han, Hu, Huang, Jiang, Zhao (2022), ADBench: anomaly detection benchmark, NeurIPS,
    arXiv:2206.09426.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEDetector
    >>> from skvae.studies import adbench
    >>> rng = np.random.RandomState(0)
    >>> X = np.r_[rng.randn(200, 4), rng.randn(20, 4) + 4]
    >>> data = {"made": (X, np.repeat([0, 1], [200, 20]))}
    >>> def vae(setting, seed):
    ...     return VAEDetector(max_steps=50, random_state=seed)
    >>> results = adbench(data, {"VAE": vae}, seeds=(0,), progress=False)
    >>> results[["dataset", "setting", "detector", "auroc"]].round(2)
      dataset setting detector  auroc
    0    made       S      VAE    1.0
    1    made       U      VAE    1.0
    """
    detectors = _chosen(detectors, deep_epochs)
    redo = _names(redo, detectors)
    for setting in settings:
        if setting not in SETTINGS:
            raise ValueError(f"settings must be out of S and U; found {setting!r}")
    loaders = _loaders(data)
    journal = Journal(None if out is None else Path(out) / "results.jsonl")
    journal.drop(lambda record: record["detector"] in redo or record["error"] is not None)
    done = {_key(record) for record in journal.records}
    plan = [(setting, seed, name) for setting in settings for seed in seeds for name in detectors]
    with tqdm(total=len(loaders) * len(plan), disable=not progress, unit="fit") as bar:
        for dataset, load in loaders.items():
            rows = None
            for setting, seed, name in plan:
                bar.set_description(f"{dataset} {setting} {name}")
                record = {"dataset": dataset, "setting": setting, "detector": name, "seed": seed}
                record["max_rows"] = max_rows
                if _key(record) not in done:
                    rows = rows or subsample(*load(), max_rows)
                    journal.add(record | _run(detectors[name], setting, seed, *rows))
                bar.update()
    results = pd.DataFrame([r for r in journal.records if r["max_rows"] == max_rows])
    if out is not None and len(results):
        write_adbench_report(results, out)
    return results


def _chosen(detectors, deep_epochs):
    if isinstance(detectors, dict):
        return detectors
    known = default_detectors(deep_epochs)
    if detectors is None:
        return known
    return {name: known[name] for name in _names(detectors, known)}


def _names(asked, known):
    """Names among ``known``, of which "PyOD VAE" finds "PyOD VAE (10 epochs)" too."""
    unknown = [n for n in asked if not any(n in (k, k.split(" (")[0]) for k in known)]
    if unknown:
        raise ValueError(f"unknown detector {unknown[0]!r}; known are: {', '.join(known)}")
    return [k for k in known if k in asked or k.split(" (")[0] in asked]


def _loaders(data):
    if isinstance(data, dict):
        return {name: lambda pair=pair: pair for name, pair in data.items()}
    return {path.stem: lambda path=path: load_adbench(path) for path in adbench_files(data)}


def _key(record):
    return tuple(record[k] for k in ("dataset", "setting", "detector", "seed", "max_rows"))


def subsample(X, y, max_rows=5000):
    """Cut a data set to ``max_rows`` rows, stratified, with at least 10 anomalies kept.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    y : ndarray of shape (n_samples,)
        1 = anomaly, 0 = normal.
    max_rows : int, default=5000
        Number of rows to keep; smaller data sets are returned as they are.

    Returns
    -------
    X, y : ndarrays
        The kept rows, in their order; always the same ones.
    """
    if len(X) <= max_rows:
        return X, y
    rng = np.random.default_rng(0)
    anomalies, normals = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    wanted = max(round(max_rows * len(anomalies) / len(y)), min(10, len(anomalies)))
    kept = np.sort(
        np.concatenate(
            [
                rng.choice(anomalies, wanted, replace=False),
                rng.choice(normals, max_rows - wanted, replace=False),
            ]
        )
    )
    return X[kept], y[kept]


def split(X, y, setting, seed):
    """Divide a data set as the setting says.

    Parameters
    ----------
    X, y : ndarrays
        Rows and labels (1 = anomaly).
    setting : {"S", "U"}
        See :func:`adbench`.
    seed : int
        S draws with the seed 1000 + ``seed``; U draws nothing.

    Returns
    -------
    X_train, X_test, y_test : ndarrays
        In U, ``X_train`` and ``X_test`` are the same array.
    """
    if setting == "U":
        return X, X, y
    normals = np.random.default_rng(1000 + seed).permutation(np.flatnonzero(y == 0))
    train = np.zeros(len(y), dtype=bool)
    train[normals[: len(normals) // 2]] = True
    return X[train], X[~train], y[~train]


def _run(factory, setting, seed, X, y):
    X_train, X_test, y_test = split(X, y, setting, seed)
    sizes = {"n_train": len(X_train), "n_test": len(X_test), "n_features": X.shape[1]}
    failed = dict.fromkeys(("auroc", "ap", "fit_seconds", "score_seconds"))
    try:
        with warnings.catch_warnings():
            # PyOD's PCA divides by zero where columns depend on each other; its scores are judged
            # as they are.
            warnings.simplefilter("ignore", RuntimeWarning)
            measured = _fit_and_score(factory(setting, seed), setting, X_train, X_test)
        return sizes | _judge(y_test, *measured) | {"error": None}
    except ImportError:  # a package to install, not a failing detector
        raise
    except Exception as error:  # one failing detector must not end a study of hours
        message = str(error).strip().partition("\n")[0]
        return sizes | failed | {"error": f"{type(error).__name__}: {message}"}


def _fit_and_score(detector, setting, X_train, X_test):
    start = time.process_time()
    detector.fit(X_train)
    fitted = time.process_time()
    scores = getattr(detector, "training_scores_", None) if setting == "U" else None
    if scores is None:
        scores = detector.anomaly_score(X_test)
    return scores, fitted - start, time.process_time() - fitted


def _judge(y, scores, fit_seconds, score_seconds):
    if len(np.unique(y)) < 2:
        raise ValueError("the test rows hold one class only, so there is nothing to rank")
    limit = np.finfo(np.float64).max
    scores = np.clip(scores, -limit, limit)  # an infinite score is a rank like any other
    return {
        "auroc": float(roc_auc_score(y, scores)),
        "ap": float(average_precision_score(y, scores)),
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
    }


def adbench_summary(results):
    """Average results over data sets.

    Parameters
    ----------
    results : DataFrame
        As :func:`adbench` returns.

    Returns
    -------
    summary : DataFrame
        One row per setting and detector, best AUROC first: auroc and ap (means over data sets of
        the means over seeds), auroc_std and ap_std (spread over seeds of the mean over data
        sets; NaN for one seed), auroc_rank and ap_rank (mean ranks over data sets, 1 = best, a
        failure ranks last), fit_seconds and score_seconds, n_datasets and n_seeds that there are
        results for, and n_errors.

    See Also
    --------
    adbench : The study.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEDetector
    >>> from skvae.studies import adbench, adbench_summary
    >>> rng = np.random.RandomState(0)
    >>> X = np.r_[rng.randn(200, 4), rng.randn(20, 4) + 4]
    >>> data = {"made": (X, np.repeat([0, 1], [200, 20]))}
    >>> def vae(setting, seed):
    ...     return VAEDetector(max_steps=50, random_state=seed)
    >>> results = adbench(data, {"VAE": vae}, seeds=(0,), progress=False)
    >>> adbench_summary(results)[["setting", "detector", "auroc_rank", "n_datasets", "n_errors"]]
      setting detector  auroc_rank  n_datasets  n_errors
    0       S      VAE         1.0           1         0
    1       U      VAE         1.0           1         0
    """
    rows = []
    for setting, part in results.groupby("setting"):
        ranks = {key: rank_table(scores_table(part, key)).mean() for key in ("auroc", "ap")}
        for name, group in part.groupby("detector", sort=False):
            good = group[group["error"].isna()]
            row = {"setting": setting, "detector": name}
            for key in ("auroc", "ap"):
                row[key] = good.groupby("dataset")[key].mean().mean()
                row[f"{key}_std"] = good.groupby("seed")[key].mean().std()
                row[f"{key}_rank"] = ranks[key][name]
            row |= good[["fit_seconds", "score_seconds"]].mean().to_dict()
            row |= {"n_datasets": good["dataset"].nunique(), "n_seeds": good["seed"].nunique()}
            row["n_errors"] = int(group["error"].notna().sum())
            rows.append(row)
    summary = pd.DataFrame(rows).sort_values(["setting", "auroc"], ascending=[True, False])
    return summary.reset_index(drop=True)


def scores_table(results, key):
    """Arrange results as one row per data set, one column per detector (means over seeds)."""
    results = results.assign(**{key: pd.to_numeric(results[key])})
    return results.pivot_table(key, "dataset", "detector", dropna=False, observed=False)


def write_adbench_report(results, out):
    """Write the report folder: results.csv, summary.csv, summary.json, report.md and ranks.png."""
    out, summary = Path(out), adbench_summary(results)
    write_table(out / "results.csv", results)
    write_table(out / "summary.csv", summary)
    write_table(out / "summary.json", summary)
    write_text(out / "report.md", _markdown(results, summary))
    panels = {
        f"{setting}, {key}": scores_table(part, key.lower())
        for setting, part in results.groupby("setting")
        for key in ("AUROC", "AP")
    }
    write_figure(out / "ranks.png", draw_ranks(panels))


def adbench_shown(summary):
    """Format a summary for people: shares in percent with their spread, seconds, counts."""
    columns = {
        "detector": summary["detector"],
        "AUROC": [percent(*pair) for pair in summary[["auroc", "auroc_std"]].to_numpy()],
        "AP": [percent(*pair) for pair in summary[["ap", "ap_std"]].to_numpy()],
        "rank AUROC / AP": [
            f"{a:.1f} / {b:.1f}" for a, b in summary[["auroc_rank", "ap_rank"]].to_numpy()
        ],
        "fit + score, s": [
            f"{a:.2f} + {b:.2f}" for a, b in summary[["fit_seconds", "score_seconds"]].to_numpy()
        ],
        "data sets": summary["n_datasets"],
        "seeds": summary["n_seeds"],
        "failed": summary["n_errors"],
    }
    return pd.DataFrame(columns)


def _markdown(results, summary):
    lines = ["# Detectors on ADBench\n"]
    lines.append(
        "Mean AUROC and average precision (AP) in percent over the data sets, ± the spread over "
        "seeds; mean rank among the detectors of the table (1 = best); CPU seconds a data set.\n"
    )
    for setting, part in summary.groupby("setting"):
        lines.append(f"## Setting {setting}: {SETTINGS[setting]}\n")
        lines.append(markdown_table(adbench_shown(part)))
    failures = results[results["error"].notna()]
    if len(failures):
        columns = ["dataset", "setting", "detector", "seed", "error"]
        lines += ["## Failures\n", markdown_table(failures[columns])]
    lines.append("![Mean ranks](ranks.png)\n")
    return "\n".join(lines)
