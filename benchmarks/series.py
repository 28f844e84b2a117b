"""Which points of a time series are anomalous: nine kinds of anomaly, PyOD's detectors beside ours.

    python benchmarks/series.py [--seeds 3] [--out results/] [--quick]

Each seed has 50 normal series to train on and 30 of each kind to judge, of 200 points, from
``skvae.datasets.make_time_series``. The AUROC ranks the points of a series; the figure of a kind is
the mean over its series. Everybody has windows of 40 points, the longest season there is, and else
its defaults. Nothing was chosen by the anomalies. Points without a score rank last.
"""

import argparse
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from skvae import Conv1dVAEDetector, SlidingWindowDetector, VAEDetector
from skvae._files import write_text
from skvae.datasets import TIME_SERIES_KINDS, make_time_series
from skvae.studies.report import markdown_table, write_table

WINDOW = 40
SLOW = 10  # series for those that take many minutes on all 50
KINDS = TIME_SERIES_KINDS[1:]


class Distance(OutlierMixin, BaseEstimator):
    """Negated distance to the fifth nearest training row."""

    def fit(self, X, y=None):
        self.neighbors_ = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(X)
        return self

    def score_samples(self, X):
        return -self.neighbors_.kneighbors(X)[0][:, -1]


def z_score(train):
    return lambda x: np.abs(x - x.mean()) / x.std()


def moving_z_score(train):
    def score(x):
        before = np.lib.stride_tricks.sliding_window_view(x[:-1], WINDOW)
        z = np.abs(x[WINDOW:] - before.mean(1)) / (before.std(1) + 1e-9)
        return np.r_[np.full(WINDOW, np.nan), z]

    return score


def sliding(detector, **params):
    return lambda train: SlidingWindowDetector(detector, WINDOW, **params).fit(list(train))


def by_score(made):
    return lambda train: made(train).anomaly_score


def by_map(made):
    return lambda train: made(train).error_map


def pyod(detector, n_series=None):
    """PyOD's take one series: the normal ones follow each other without a gap."""
    return lambda train: detector.fit(train[:n_series].ravel()).decision_function


def matrix_profile(train):
    """It judges the series that it is fitted on, and never sees normal ones."""
    from pyod.models.ts_matrix_profile import MatrixProfile

    return lambda x: MatrixProfile(window_size=WINDOW).fit(x).decision_scores_


def methods(seed, quick):
    from pyod.models.iforest import IForest
    from pyod.models.knn import KNN
    from pyod.models.ts_kshape import KShape
    from pyod.models.ts_lstm import LSTMAD
    from pyod.models.ts_od import TimeSeriesOD
    from pyod.models.ts_sand import SAND
    from pyod.models.ts_spectral_residual import SpectralResidual

    short = {"max_steps": 20} if quick else {}
    vae = VAEDetector(contamination=0, random_state=seed, **short)
    conv = Conv1dVAEDetector(random_state=seed, **short)
    plain = Conv1dVAEDetector(score="reconstruction", random_state=seed, **short)
    window = {"window_size": WINDOW}
    epochs = 1 if quick else 5  # of 50 by default, which take a quarter of an hour
    return {
        "VAEDetector": by_score(sliding(vae)),
        "Conv1dVAEDetector": by_score(sliding(conv)),
        "Conv1dVAEDetector, causal": by_score(sliding(conv, causal=True)),
        "Conv1dVAEDetector, map": by_map(sliding(conv)),
        "Conv1dVAEDetector, squared error": by_score(sliding(plain)),
        "Conv1dVAEDetector, squared error, map": by_map(sliding(plain)),
        "control: IsolationForest": by_score(sliding(IsolationForest(random_state=seed))),
        "control: 5th neighbour": by_score(sliding(Distance())),
        "control: z-score": z_score,
        "control: moving z-score": moving_z_score,
        "PyOD TimeSeriesOD, IForest": pyod(TimeSeriesOD(IForest(random_state=seed), **window)),
        "PyOD TimeSeriesOD, KNN": pyod(TimeSeriesOD(KNN(), **window)),
        f"PyOD LSTMAD, {epochs} epochs": pyod(LSTMAD(**window, epochs=epochs)),
        "PyOD KShape": pyod(KShape(**window, random_state=seed), SLOW),
        "PyOD SAND": pyod(SAND(**window, random_state=seed), SLOW),
        "PyOD SpectralResidual": pyod(SpectralResidual()),
        "PyOD MatrixProfile": matrix_profile,
    }


def auroc(scores, mask):
    known = np.nan_to_num(scores, nan=-np.inf)
    lowest = known[np.isfinite(known)].min()
    return roc_auc_score(mask, np.maximum(known, lowest - 1))


def judged(method, train, tests):
    """AUROC of each kind, and CPU seconds of training and scoring."""
    start = time.process_time()
    score = method(train)
    fitted = time.process_time()
    row = {
        kind: np.mean([auroc(score(x), mask) for x, mask in zip(X, masks, strict=True)])
        for kind, (X, masks) in tests.items()
    }
    done = time.process_time()
    return {
        "mean": np.mean(list(row.values())),
        **row,
        "fit": fitted - start,
        "score": done - fitted,
    }


def tables(results, n_seeds):
    """Means over the seeds, and the spread of the mean over the kinds."""
    by_method = results.groupby("method", sort=False)
    means = by_method.mean(numeric_only=True).drop(columns="seed")
    shown = means[["mean", *KINDS]].map("{:.3f}".format)
    if n_seeds > 1:
        shown["mean"] += by_method["mean"].std().map(" ± {:.3f}".format)
    shown[["fit", "score"]] = means[["fit", "score"]].map("{:.1f} s".format)
    return shown.reset_index()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="folder for series.md and series.csv; goes on")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to show that it works")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n_train, n_test = (4, 2) if arguments.quick else (50, 30)
    SlidingWindowDetector(VAEDetector(max_steps=2)).fit(np.arange(99.0))  # what comes once
    known = pd.DataFrame(columns=["method", "seed"])
    stored = arguments.out and arguments.out / "series.csv"
    if stored and stored.exists():
        known = pd.read_csv(stored)
    rows = known.to_dict("records")
    done = {(row["method"], row["seed"]) for row in rows}
    for seed in range(arguments.seeds):
        train, _, _ = make_time_series(n_train, "normal", random_state=3000 + seed)
        tests = {
            kind: make_time_series(n_test, kind, random_state=100 * seed + i)[::2]
            for i, kind in enumerate(KINDS)
        }
        for name, method in methods(seed, arguments.quick).items():
            if (name, seed) in done:
                continue
            torch.manual_seed(seed)  # PyOD's networks draw from the global generator
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyOD's
                row = judged(method, train, tests)
            rows.append({"method": name, "seed": seed, **row})
            if stored:
                write_table(stored, pd.DataFrame(rows).round(6))
            print(f"seed {seed}, {name}: {row['mean']:.3f}", file=sys.stderr, flush=True)
    table = markdown_table(tables(pd.DataFrame(rows), arguments.seeds))
    print(table)
    if stored:
        write_text(stored.with_suffix(".md"), table)


if __name__ == "__main__":
    main()
