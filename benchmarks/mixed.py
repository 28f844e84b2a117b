"""Tables of mixed kinds of columns: MixedVAEDetector beside detectors on one-hot columns.

    python benchmarks/mixed.py [--seeds 3] [--missing 0.0 0.1] [--out FILE.csv]
    SKVAE_DATA=... python benchmarks/mixed.py --real
    python benchmarks/mixed.py --gaps

Generated rows are of four classes, which nobody is told: a class has its own frequencies of three
categories, two booleans and a season, and its own mean of six numbers, which vary along two
directions in all classes. Real rows are of ADBench: one-hot columns are made categories again, and
columns of few whole numbers are taken for categories. All train on normal rows, 1,500 generated
ones or half of the real ones, and score others.

The baselines see what most people would give them: missing numbers replaced by the median and
categories by the most frequent one, numbers standardised, categories one-hot (unseen ones all
zero), dates as a number of days. Printed is AUROC, the mean over the seeds and the lowest and the
highest; with --gaps, the share of new normal rows that `MixedVAEDetector`, trained on rows without
a gap, flags where so many of their cells are missing.
"""

import argparse
import sys
from time import process_time

import numpy as np
import pandas as pd
from pyod.models.ecod import ECOD
from pyod.models.knn import KNN
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skvae import MixedVAEDetector, VAEDetector
from skvae.datasets import get_data_home
from skvae.interop.pyod import FromPyOD
from skvae.studies.report import markdown_table

ANOMALIES = ("combination", "number", "category", "unseen", "far")
N_TRAIN, N_NORMAL, N_ANOMALIES = 1500, 600, 120
N_CLASSES, N_NUMBERS, NOISE = 4, 6, 0.3
MAX_REAL = 3000


class Generator:
    """Tables of one structure, which is drawn from the seed."""

    def __init__(self, seed):
        rng = self.rng = np.random.default_rng(seed)
        self.weights = rng.dirichlet(np.full(N_CLASSES, 5.0))
        self.levels = [rng.dirichlet(np.full(n, 0.3), N_CLASSES) for n in (4, 8, 12)]
        self.truths = rng.uniform(0.05, 0.95, (2, N_CLASSES))
        self.seasons = rng.uniform(0, 365, N_CLASSES)
        self.means = rng.normal(0, 1.5, (N_CLASSES, N_NUMBERS))
        self.loadings = rng.normal(0, 1, (2, N_NUMBERS))

    def table(self, n, anomaly=None):
        rng = self.rng
        own = rng.choice(N_CLASSES, n, p=self.weights)
        other = (own + rng.integers(1, N_CLASSES, n)) % N_CLASSES
        of_numbers = other if anomaly == "combination" else own
        spread = 4.0 if anomaly == "far" else 1.0
        numbers = self.means[of_numbers] + spread * rng.normal(size=(n, 2)) @ self.loadings
        numbers += NOISE * rng.normal(size=numbers.shape)
        if anomaly == "number":
            signs = rng.choice([-1, 1], n)
            numbers[np.arange(n), rng.integers(N_NUMBERS, size=n)] += 5 * NOISE * signs
        frame = pd.DataFrame(numbers, columns=[f"number {i}" for i in range(N_NUMBERS)])
        for i, levels in enumerate(self.levels):
            of_level = other if anomaly == "category" and i > 0 else own
            drawn = [rng.choice(levels.shape[1], p=levels[each]) for each in of_level]
            frame[f"category {i}"] = np.array(list("abcdefghijkl"), dtype=object)[drawn]
        for i, truths in enumerate(self.truths):
            frame[f"boolean {i}"] = rng.random(n) < truths[own]
        days = self.seasons[own] + rng.normal(0, 25, n) + 365.2425 * rng.integers(0, 3, n)
        frame["date"] = pd.Timestamp("2021-01-01") + pd.to_timedelta(days.round(), "D")
        if anomaly == "unseen":
            column = rng.integers(len(self.levels), size=n)
            for i in range(len(self.levels)):
                frame.loc[column == i, f"category {i}"] = "new"
        return frame


def with_missing(frame, share, rng):
    if not share:
        return frame
    frame = frame.copy()
    for name in frame:
        if frame[name].dtype == bool:
            frame[name] = frame[name].astype("boolean")
        frame.loc[rng.random(len(frame)) < share, name] = None
    return frame


def as_days(frame):
    return frame.apply(lambda dates: (dates - pd.Timestamp("2020-01-01")) / pd.Timedelta(days=1))


def as_floats(frame):
    return frame.astype("float64")


def one_hot():
    """What the baselines see."""
    of = make_column_selector
    number = [SimpleImputer(strategy="median"), StandardScaler()]
    category = [
        FunctionTransformer(lambda frame: frame.astype(object).where(frame.notna(), np.nan)),
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    ]
    return ColumnTransformer(
        [
            ("number", make_pipeline(*number), of(dtype_include="number")),
            (
                "boolean",
                make_pipeline(FunctionTransformer(as_floats), *number),
                of(dtype_include=["bool", "boolean"]),
            ),
            (
                "date",
                make_pipeline(FunctionTransformer(as_days), *number),
                of(dtype_include="datetime"),
            ),
            ("category", make_pipeline(*category), of(dtype_include=["object", "category"])),
        ]
    )


def methods(seed):
    vae = {"contamination": 0, "random_state": seed}
    return {
        "MixedVAEDetector": MixedVAEDetector(**vae),
        "VAEDetector": make_pipeline(one_hot(), VAEDetector(**vae)),
        "VAEDetector, 1,500 steps": make_pipeline(one_hot(), VAEDetector(**vae, max_steps=1500)),
        "VAEDetector, elbo": make_pipeline(one_hot(), VAEDetector(**vae, score="elbo")),
        "IsolationForest": make_pipeline(one_hot(), IsolationForest(random_state=seed)),
        "ECOD": make_pipeline(one_hot(), FromPyOD(ECOD())),
        "KNN": make_pipeline(one_hot(), FromPyOD(KNN())),
    }


def generated(seed, share):
    """Training rows, and by kind of anomaly test rows and which of them are anomalies."""
    generator = Generator(seed)
    rng = np.random.default_rng([seed, 1])
    train = with_missing(generator.table(N_TRAIN), share, rng)
    normal = with_missing(generator.table(N_NORMAL), share, rng)
    tests = {}
    for anomaly in ANOMALIES:
        odd = with_missing(generator.table(N_ANOMALIES, anomaly), share, rng)
        tests[anomaly] = (
            pd.concat([normal, odd], ignore_index=True),
            np.arange(N_NORMAL + N_ANOMALIES) >= N_NORMAL,
        )
    return train, tests


def without_one_hot(X):
    """A frame in which runs of one-hot columns are one category again."""
    is_binary = [set(np.unique(column)) <= {0, 1} for column in X.T]
    frame, i = {}, 0
    while i < X.shape[1]:
        end = i
        total = np.zeros(len(X))
        while end < X.shape[1] and is_binary[end] and total.max() <= 1:
            total += X[:, end]
            end += 1
            if (total == 1).all() and end - i > 1:
                break
        if end - i > 1 and (total == 1).all():
            names = np.array([f"level {k}" for k in range(end - i)], dtype=object)
            frame[f"category {i}"] = names[X[:, i:end].argmax(1)]
            i = end
        else:
            frame[f"column {i}"] = X[:, i]
            i += 1
    return pd.DataFrame(frame)


def real(name, seed):
    """Half of the normal rows to train on; the others and the anomalies to test."""
    stored = np.load(next((get_data_home() / "adbench").glob(f"*_{name}.npz")))
    frame, y = without_one_hot(stored["X"]), stored["y"].astype(bool)
    for column in frame.columns:
        values = frame[column]
        if values.dtype == object:
            continue
        n_values = values.nunique()
        if n_values == 2:
            frame[column] = values == values.max()
        elif n_values <= 10 and len(frame) > 10 * n_values:
            frame[column] = values.astype(str).astype(object)
    rng = np.random.default_rng(seed)
    normal, odd = rng.permutation(np.flatnonzero(~y)), rng.permutation(np.flatnonzero(y))
    half = min(len(normal) // 2, MAX_REAL)
    rows = np.concatenate([normal[half : half + MAX_REAL], odd[:MAX_REAL]])
    return frame.iloc[normal[:half]], {name: (frame.iloc[rows], y[rows])}


def measured(make, seeds, label):
    for seed in seeds:
        train, tests = make(seed)
        for name, detector in methods(seed).items():
            start = process_time()
            detector.fit(train)
            seconds = process_time() - start
            for test, (X, is_anomaly) in tests.items():
                auc = roc_auc_score(is_anomaly, -detector.score_samples(X))
                key = {"data": label, "test": test, "method": name, "seed": seed}
                yield key | {"auroc": 100 * auc, "cpu_s": seconds}
            print(f"{label}, seed {seed}, {name}: {seconds:.1f} CPU s", file=sys.stderr)


def gap_alarms(seeds):
    """Share of normal rows flagged, in percent, by the number of their missing cells."""
    for seed in seeds:
        generator, rng = Generator(seed), np.random.default_rng([seed, 2])
        train, normal = generator.table(N_TRAIN), generator.table(N_TRAIN)
        boolean = [name for name in normal if normal[name].dtype == bool]
        for contamination in (0, 0.1):
            detector = MixedVAEDetector(contamination=contamination, random_state=seed).fit(train)
            row = {"contamination": contamination, "seed": seed}
            for n_missing in range(4):
                gone = rng.random(normal.shape).argsort(1).argsort(1) < n_missing
                rows = normal.astype(dict.fromkeys(boolean, "boolean")).mask(gone)
                row[f"{n_missing} missing"] = 100 * (detector.predict(rows) == -1).mean()
            yield row


def spread_of(values):
    return f"{values.mean():.1f} ({values.min():.1f}-{values.max():.1f})"


def summary(results):
    table = results.pivot_table(
        index="method", columns=["data", "test"], values="auroc", aggfunc=spread_of, sort=False
    )
    table.columns = [", ".join(names) if names[0] != names[1] else names[0] for names in table]
    table["fit, CPU s"] = results.groupby("method")["cpu_s"].mean().round(1)
    return table.reset_index().astype(str)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--missing", type=float, nargs="+", default=[0.0, 0.1])
    parser.add_argument("--real", action="store_true", help="ADBench in place of generated tables")
    parser.add_argument("--gaps", action="store_true", help="false alarms by number of gaps")
    parser.add_argument("--out", help="CSV file for the single results")
    arguments = parser.parse_args()
    seeds, results = range(arguments.seeds), []
    if arguments.gaps:
        alarms = pd.DataFrame(gap_alarms(seeds)).drop(columns="seed")
        table = alarms.groupby("contamination").agg(spread_of).reset_index()
        print(markdown_table(table.astype(str)))
        return
    if arguments.real:
        for name in ("campaign", "donors", "Hepatitis", "Lymphography"):
            results += measured(lambda seed, name=name: real(name, seed), seeds, name)
    else:
        for share in arguments.missing:
            label = f"{share:.0%} missing"
            results += measured(lambda seed, share=share: generated(seed, share), seeds, label)
    results = pd.DataFrame(results)
    if arguments.out:
        results.to_csv(arguments.out, index=False)
    print(markdown_table(summary(results)))


if __name__ == "__main__":
    main()
