"""What seeds change, and how often a training goes wrong aloud, on tables of ADBench.

    SKVAE_DATA=... python benchmarks/stability.py [--seeds 10] [--out FOLDER]

prints a Markdown table: AUROC of detectors with their defaults, mean over seeds with standard
deviation, lowest and highest, and in how many fits a warning said that latents collapsed or a
discriminator won. The tables are those in the data home of 1,000 to 10,000 rows and 100 columns at
most, cut to 2,000 rows; trained and scored on all rows, anomalies among them.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import AdversarialAEDetector, HierarchicalVAEDetector, VAEDetector
from skvae.datasets import iter_adbench
from skvae.studies.adbench import subsample
from skvae.studies.report import markdown_table, write_table

ROWS, COLUMNS, MAX_ROWS = (1000, 10_000), 100, 2000
DETECTORS = {
    "VAE": VAEDetector,
    "hierarchical": HierarchicalVAEDetector,
    "adversarial": AdversarialAEDetector,
}


def measured(make, X, y, seed):
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector = make(random_state=seed).fit(X)
    seconds = time.process_time() - start
    warned = any("collapsed" in str(each.message) or "won" in str(each.message) for each in caught)
    auc = roc_auc_score(y, detector.anomaly_score(X))
    return {"auroc": auc, "warned": warned, "cpu_seconds": seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, help="folder for stability.csv")
    arguments = parser.parse_args()
    rows = []
    for name, X, y in iter_adbench():
        if not ROWS[0] <= len(X) <= ROWS[1] or X.shape[1] > COLUMNS:
            continue
        X, y = subsample(X, y, MAX_ROWS)
        for seed in range(arguments.seeds):
            for detector, make in DETECTORS.items():
                row = {"table": name, "seed": seed, "detector": detector}
                rows.append(row | measured(make, X, y, seed))
                print(rows[-1], file=sys.stderr)
    runs = pd.DataFrame(rows)
    by_table = runs.groupby(["table", "detector"], sort=False)
    shown = by_table["auroc"].agg(["mean", "std", "min", "max"]).round(3)
    shown["warned"] = by_table["warned"].sum()
    shown["cpu_seconds"] = by_table["cpu_seconds"].mean().round(2)
    print(markdown_table(shown.reset_index().astype(str)))
    if arguments.out:
        write_table(arguments.out / "stability.csv", runs)


if __name__ == "__main__":
    main()
