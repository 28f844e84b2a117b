"""What a few labelled anomalies are worth: detectors with 1, 5, 10 and 50 of them, on ADBench.

    SKVAE_DATA=... python benchmarks/few_labels.py [--sets ...] [--seeds 3] [--out results/]

One half of a data set is trained on, anomalies among it and unlabelled, all but the few; the other
half is scored. What is beside VAEDetector gets z-scored columns and takes unlabelled rows for
normal ones, as its authors do.
"""

import argparse
import contextlib
import io
import sys
import time
from functools import lru_cache, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skvae import VAEDetector
from skvae._files import write_text
from skvae.datasets import load_adbench
from skvae.studies.adbench import subsample
from skvae.studies.baselines import PYOD, pyod_baseline
from skvae.studies.journal import Journal
from skvae.studies.report import markdown_table, percent

# Of the sets at hand, in the order of their numbers, every second one was looked at while the use
# of labels was chosen. Those of at most 100 columns with 40 anomalies or more, of 3,000 rows.
CHOSEN_ON = (
    "1_ALOI 7_Cardiotocography 19_landsat 23_mammography 27_PageBlocks 31_satimage-2 35_SpamBase "
    "47_yeast"
).split()
JUDGED_ON = "5_campaign 11_donors 25_musk 29_Pima 33_skin 41_Waveform".split()
N_LABELS = (1, 5, 10, 50)
MAX_ROWS = 3000
UNSUPERVISED = [name for name in PYOD if not name.startswith("PyOD")]


@lru_cache(maxsize=1)
def halves(name, seed):
    """Rows to train on and to score, z-scored, and labels (1 = anomaly); half of either class."""
    X, y = subsample(*load_adbench(name), MAX_ROWS)
    X, X_test, y, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=1000 + seed
    )
    scaler = StandardScaler().fit(X)
    return scaler.transform(X), scaler.transform(X_test), y, y_test


def labels(y, n_labelled, seed):
    """-1 for so many anomalies, those of fewer labels among those of more; 0 for all else."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(y == 1))
    known = np.zeros(len(y), int)
    known[order[:n_labelled]] = -1
    return known


@lru_cache(maxsize=1)
def without_labels(name, seed):
    X, X_test, _, _ = halves(name, seed)
    return VAEDetector(random_state=seed).fit(X).anomaly_score(X_test)


@lru_cache(maxsize=1)
def unsupervised_scores(name, seed):
    """Scores of the rows to train on and to score by PyOD's detectors, one a column."""
    X, X_test, _, _ = halves(name, seed)
    fitted = [pyod_baseline(each, seed).fit(X) for each in UNSUPERVISED]
    of_training = [each.training_scores_ for each in fitted]
    return np.stack(of_training, 1), np.stack([each.anomaly_score(X_test) for each in fitted], 1)


def vae(name, seed, known):
    return without_labels(name, seed)


def vae_with_labels(name, seed, known, **parameters):
    X, X_test, _, _ = halves(name, seed)
    detector = VAEDetector(train_on="labels", random_state=seed, **parameters)
    return detector.fit(X, known).anomaly_score(X_test)


def devnet(name, seed, known, balanced=False):
    from pyod.models.devnet import DevNet

    X, X_test, _, _ = halves(name, seed)
    if balanced:
        anomalies = np.resize(np.flatnonzero(known == -1), (known == 0).sum())
        rows = np.r_[np.flatnonzero(known == 0), anomalies]
        X, known = X[rows], known[rows]
    # It draws from torch's global generator, and prints every epoch.
    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
        torch.manual_seed(seed)
        return DevNet().fit(X, (known == -1).astype(int)).decision_function(X_test)


def xgbod(name, seed, known):
    from pyod.models.xgbod import XGBOD

    X, X_test, _, _ = halves(name, seed)
    detector = XGBOD(random_state=seed).fit(X, (known == -1).astype(int))
    return detector.decision_function(X_test)


def boosting_on_scores(name, seed, known):
    """XGBOD's idea without xgboost: boosted trees on the columns and on unsupervised scores."""
    X, X_test, _, _ = halves(name, seed)
    scores, scores_test = unsupervised_scores(name, seed)
    model = HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    model.fit(np.c_[X, scores], known == -1)
    return model.decision_function(np.c_[X_test, scores_test])


def forest(name, seed, known):
    X, X_test, _, _ = halves(name, seed)
    model = RandomForestClassifier(300, random_state=seed).fit(X, known == -1)
    return model.predict_proba(X_test)[:, 1]


METHODS = {
    "VAEDetector, no labels": vae,
    "VAEDetector, labels": vae_with_labels,
    "the same, with push": partial(vae_with_labels, anomaly_weight=1.0),
    "DevNet": devnet,
    # Half of each batch are labelled anomalies, as in the paper (arXiv:1911.08623), not in PyOD.
    "DevNet, balanced": partial(devnet, balanced=True),
    "XGBOD": xgbod,
    "boosting on scores": boosting_on_scores,
    "random forest": forest,
}


def run(journal, names, sets, n_labels, seeds):
    """Add what the journal lacks: a record for each set, seed, number of labels and method."""
    key = ("dataset", "seed", "n_labels", "method")
    done = {tuple(record[k] for k in key) for record in journal.records}
    for seed in range(seeds):
        for name in sets:
            _, _, y, y_test = halves(name, seed)
            # With fewer anomalies in the half there is nothing new to see.
            for n in (n for n in n_labels if n <= (y == 1).sum()):
                for method in names:
                    if (name, seed, n, method) in done:
                        continue
                    start = time.process_time()
                    scores = METHODS[method](name, seed, labels(y, n, seed))
                    record = dict(zip(key, (name, seed, n, method), strict=True))
                    record["seconds"] = time.process_time() - start
                    record["auroc"] = roc_auc_score(y_test, scores)
                    record["ap"] = average_precision_score(y_test, scores)
                    journal.add(record)
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)


def tables(results):
    """Means over sets by number of labels: AUROC / AP in percent, and CPU seconds."""
    by_set = results.groupby(["method", "n_labels", "dataset"])[["auroc", "ap", "seconds"]].mean()
    mean = by_set.groupby(["method", "n_labels"]).mean()
    shown = (mean["auroc"].map(percent) + " / " + mean["ap"].map(percent)).unstack()
    shown.columns = [f"{n} labelled" for n in shown.columns]
    shown["CPU s"] = mean["seconds"].groupby("method").mean().map("{:.1f}".format)
    return shown.loc[[m for m in METHODS if m in shown.index]].reset_index()


def wins(results):
    """Sets on which labels help VAEDetector, and on which it beats each of the others, by AP."""
    ap = results.groupby(["n_labels", "dataset", "method"])["ap"].mean().unstack()
    ours = ap.pop("VAEDetector, labels")
    won = ap.lt(ours, axis=0).groupby("n_labels").sum().T
    n_sets = ap.groupby("n_labels").size()
    won = won.apply(lambda column: column.map(lambda n: f"{n} of {n_sets[column.name]}"))
    won.columns = [f"{n} labelled" for n in won.columns]
    return won.loc[[m for m in METHODS if m in won.index]].reset_index(names="beaten by labels")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=JUDGED_ON)
    parser.add_argument("--labels", nargs="+", type=int, default=N_LABELS)
    parser.add_argument("--methods", nargs="+", choices=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder; a later run goes on from what it holds")
    arguments = parser.parse_args()
    names = arguments.methods or [m for m in METHODS if m != "XGBOD" or find_spec("xgboost")]
    journal = Journal(arguments.out and arguments.out / "few_labels.jsonl")
    run(journal, names, arguments.sets, arguments.labels, arguments.seeds)
    results = pd.DataFrame(journal.records)
    results = results[results["dataset"].isin(arguments.sets)]
    shown = [markdown_table(tables(results))]
    if {"VAEDetector, labels"} < set(results["method"]):
        shown.append(markdown_table(wins(results)))
    for name in arguments.sets:
        shown.append(f"{name}\n\n" + markdown_table(tables(results[results["dataset"] == name])))
    print("\n".join(shown))
    if arguments.out:
        write_text(arguments.out / "few_labels.csv", results.to_csv(index=False))
        write_text(arguments.out / "few_labels.md", "\n".join(shown))


if __name__ == "__main__":
    main()
