"""How much of what labels would choose is found without labels."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import ShuffleSplit
from tqdm.auto import tqdm

from skvae import metrics
from skvae.detectors import VAEDetector
from skvae.model_selection import StackedGridSearchCV
from skvae.studies.adbench import SETTINGS, _loaders, split, subsample
from skvae.studies.journal import Journal
from skvae.studies.report import markdown_table, percent, write_table, write_text

GRID = {"beta": [0.1, 1.0, 5.0], "latent_dim": [2, 5, 10]}
SCORES = {"default": ("density", "neighbors"), "reconstruction": "reconstruction"}
RUN = ("dataset", "setting", "seed", "score", "max_rows")
CRITERIA = {
    "likelihood": "held-out likelihood",
    "pool_auc": "AUC of held-out rows against the test rows, unlabelled (AUCp)",
    "stability": "agreement of two networks",
}


def selection(
    data=None,
    settings=("S", "U"),
    seeds=(0, 1, 2),
    out=None,
    max_rows=5000,
    grid=None,
    n_estimators=2,
    max_steps=600,
    progress=True,
):
    """Choose among candidates by criteria without labels, and by labels, on real data sets.

    Every candidate of the grid is trained on three quarters of the training rows and judged three
    ways: by each criterion on the last quarter; and by the labels of the test rows, which no
    criterion sees. Data sets and settings are those of :func:`skvae.studies.adbench`. In U no row
    is known to be normal, so ``pool_auc`` does not apply; in S its pool is the test rows without
    their labels: it has seen the rows that it is judged on, and the other criteria have not.

    Parameters
    ----------
    data : str, path-like or dict, default=None
        As in :func:`skvae.studies.adbench`.
    settings : sequence of {"S", "U"}, default=("S", "U")
        Which settings to run.
    seeds : sequence of int, default=(0, 1, 2)
        One split and one ``random_state`` each.
    out : str or path-like, default=None
        Folder of the report; a later run with the same folder goes on where a killed one was.
    max_rows : int, default=5000
        Data sets with more rows are cut.
    grid : dict, default=None
        Parameters of the candidates; None is beta in {0.1, 1, 5} and latent_dim in {2, 5, 10}.
    n_estimators : int, default=2
        Networks of a candidate, for ``stability``.
    max_steps : int, default=600
        Of a training.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    results : DataFrame
        One row per data set, setting, seed, score and candidate: its parameters, its auroc and ap
        on the test rows, and the criteria (missing where one does not apply).

    Raises
    ------
    FileNotFoundError
        If the folder of the data is missing or empty.
    ValueError
        If a data file is broken, or ``out`` holds the records of something else.

    See Also
    --------
    selection_summary : What each criterion recovers.
    skvae.metrics.held_out_likelihood : One of the criteria.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.studies import selection
    >>> rng = np.random.RandomState(0)
    >>> X = np.r_[rng.randn(100, 4), rng.randn(10, 4) + 4]
    >>> results = selection(
    ...     {"made": (X, np.repeat([0, 1], [100, 10]))},
    ...     settings=["U"],
    ...     seeds=[0],
    ...     grid={"beta": [0.1, 1]},
    ...     max_steps=20,
    ...     progress=False,
    ... )
    >>> results[["score", "beta"]]
                score  beta
    0         default   0.1
    1         default   1.0
    2  reconstruction   0.1
    3  reconstruction   1.0
    """
    loaders = _loaders(data)
    journal = Journal(None if out is None else Path(out) / "results.jsonl")
    setup = {"grid": grid or GRID, "n_estimators": n_estimators, "max_steps": max_steps}
    done = {tuple(record["run"]) for record in journal.records if record["setup"] == setup}
    plan = [(setting, seed, score) for setting in settings for seed in seeds for score in SCORES]
    with tqdm(total=len(loaders) * len(plan), disable=not progress, unit="search") as bar:
        for dataset, load in loaders.items():
            rows = None
            for setting, seed, score in plan:
                bar.set_description(f"{dataset} {setting} {score}")
                run = [dataset, setting, seed, score, max_rows]
                if tuple(run) not in done:
                    rows = rows or subsample(*load(), max_rows)
                    detector = VAEDetector(
                        score=SCORES[score],
                        contamination=0 if setting == "S" else 0.1,
                        n_estimators=n_estimators,
                        max_steps=max_steps,
                        random_state=seed,
                    )
                    candidates = _search(detector, grid or GRID, setting, seed, *rows)
                    journal.add({"run": run, "setup": setup, "candidates": candidates})
                bar.update()
    results = _frame([record for record in journal.records if record["setup"] == setup])
    if out is not None and len(results):
        _write_report(results, out)
    return results


def _search(detector, grid, setting, seed, X, y):
    """Criteria and quality of each candidate."""
    X_train, X_test, y_test = split(X, y, setting, seed)
    scoring = {
        "likelihood": metrics.held_out_likelihood,
        "stability": metrics.stability,
        "auroc": partial(_labelled, metric=roc_auc_score, X_test=X_test, y_test=y_test),
        "ap": partial(_labelled, metric=average_precision_score, X_test=X_test, y_test=y_test),
    }
    if setting == "S":
        scoring["pool_auc"] = metrics.pool_auc(X_test)
    cv = ShuffleSplit(1, test_size=0.25, random_state=seed)
    search = StackedGridSearchCV(
        detector, grid, scoring=scoring, cv=cv, refit=False, error_score="raise"
    ).fit(X_train)
    found = {name: search.cv_results_[f"split0_test_{name}"] for name in scoring}
    return [
        {"params": params, **{name: float(values[i]) for name, values in found.items()}}
        for i, params in enumerate(search.cv_results_["params"])
    ]


def _labelled(estimator, X, y=None, *, metric, X_test, y_test):
    return metric(y_test, -estimator.score_samples(X_test))


def _frame(records):
    rows = []
    for record in records:
        run = dict(zip(RUN, record["run"], strict=True))
        for candidate in record["candidates"]:
            found = {key: value for key, value in candidate.items() if key != "params"}
            rows.append(run | candidate["params"] | found)
    return pd.DataFrame(rows)


def selection_summary(results, quality="auroc"):
    """Compare what each criterion chooses with what labels would have chosen.

    Parameters
    ----------
    results : DataFrame
        As :func:`selection` returns.
    quality : {"auroc", "ap"}, default="auroc"
        By which measure the test rows judge a candidate.

    Returns
    -------
    summary : DataFrame
        One row per setting, score and criterion; shares, as means over data sets and seeds:
        ``random``, the mean candidate; ``chosen``, the criterion's (the mean over ties); ``best``,
        the best on the test rows themselves, which labels of other rows would not quite find;
        ``chosen_std``, the spread over seeds; ``recovered``, (chosen - random) / (best - random);
        ``correlation``, the mean rank correlation of criterion and quality over the candidates.

    See Also
    --------
    selection : The study.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.studies import selection, selection_summary
    >>> rng = np.random.RandomState(0)
    >>> X = np.r_[rng.randn(100, 4), rng.randn(10, 4) + 4]
    >>> results = selection(
    ...     {"made": (X, np.repeat([0, 1], [100, 10]))},
    ...     settings=["U"],
    ...     seeds=[0],
    ...     grid={"beta": [0.1, 1]},
    ...     max_steps=20,
    ...     progress=False,
    ... )
    >>> selection_summary(results)[["score", "criterion"]]
                score   criterion
    0         default  likelihood
    1         default   stability
    2  reconstruction  likelihood
    3  reconstruction   stability
    """
    rows = []
    for (setting, score), part in results.groupby(["setting", "score"]):
        for name in CRITERIA:
            if name not in part or part[name].isna().all():
                continue
            searches = [search for _, search in part.groupby(["dataset", "seed"])]
            table = pd.DataFrame([_choice(search, name, quality) for search in searches])
            means = table.drop(columns="seed").mean()
            to_gain = means["best"] - means["random"]
            gain = (means["chosen"] - means["random"]) / to_gain if to_gain > 0 else np.nan
            spread = table.groupby("seed")["chosen"].mean().std()
            rows.append(
                {"setting": setting, "score": score, "criterion": name}
                | means.to_dict()
                | {"chosen_std": spread, "recovered": gain, "n_searches": len(searches)}
            )
    return pd.DataFrame(rows)


def _choice(search, name, quality):
    values, qualities = search[name].to_numpy(), search[quality].to_numpy()
    ranked = len(set(values)) > 1 and len(set(qualities)) > 1
    return {
        "seed": search["seed"].iloc[0],
        "random": qualities.mean(),
        "chosen": qualities[values == np.nanmax(values)].mean(),
        "best": qualities.max(),
        "correlation": spearmanr(values, qualities).statistic if ranked else np.nan,
    }


def selection_shown(summary):
    """Format a summary for people, in percent."""
    return pd.DataFrame(
        {
            "score": summary["score"],
            "criterion": [CRITERIA[name] for name in summary["criterion"]],
            "mean candidate": [percent(value) for value in summary["random"]],
            "chosen": [percent(*pair) for pair in summary[["chosen", "chosen_std"]].to_numpy()],
            "best on the test rows": [percent(value) for value in summary["best"]],
            "recovered": [f"{100 * value:.0f} %" for value in summary["recovered"]],
            "rank correlation": [f"{value:.2f}" for value in summary["correlation"]],
        }
    )


def _write_report(results, out):
    out = Path(out)
    write_table(out / "results.csv", results)
    lines = [
        "# Choosing without labels\n",
        "Mean over data sets and seeds, in percent, ± the spread over seeds. A criterion that "
        "chose blindly would reach the mean candidate and recover 0 %; one that knew the labels of "
        "the test rows, 100 %.\n",
    ]
    for quality, name in (("auroc", "AUROC"), ("ap", "average precision")):
        summary = selection_summary(results, quality)
        write_table(out / f"summary_{quality}.csv", summary)
        for setting, part in summary.groupby("setting"):
            lines.append(f"## {name}, {setting}: {SETTINGS[setting]}\n")
            lines.append(markdown_table(selection_shown(part)))
    write_text(out / "report.md", "\n".join(lines))
