"""What it is worth to be told the condition: seasons, machines, and digits with their labels.

    SKVAE_DATA=... python benchmarks/conditional.py [--seeds 3] [--only seasons] [--out FOLDER]

prints a Markdown table of AUROC, mean over seeds with the lowest and the highest; and which share
of normal rows of the rare month, and of the others, is flagged at the default threshold.

- ``seasons``: six values that depend on the month, February rare. An anomaly is a row of the
  opposite season: each value is usual, only not in that month.
- ``machine``: six sensors that depend on speed and load, two numbers. An anomaly has the sensors
  of another row.
- ``wrong digit``: MNIST images with the digit that somebody wrote beside them, ten columns of 0
  and 1, which are the condition. An anomaly has a wrong digit beside it.
- ``new digit``: MNIST images; the detector is trained on nine digits, with their labels as classes,
  and gets images alone. An anomaly is the tenth. The mean is over the digits 0, 3, 6 and 9.

Images are scored by the evidence bound, tables by the default.

Beside `ConditionalVAEDetector` stand `VAEDetector`, which has the condition as columns like the
others (``with condition``) or not at all, and a control: the sum of squared z-scores in the group
of the row (the month; one of 25 by speed and load; the digit, or the best one where none is given).
"""

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConditionalVAEDetector, VAEDetector
from skvae.datasets import fetch_mnist
from skvae.studies.report import markdown_table, write_table

N_TRAIN, N_TEST, N_ANOMALIES = 4000, 2000, 200
FEBRUARY = 2
IMAGES = {
    "latent_dim": 16,
    "hidden_layer_sizes": (128, 64),
    "likelihood": "bernoulli",
    "scaler": None,
    "score": "elbo",
    "max_steps": 1500,
}
N_TRAIN_IMAGES, N_TEST_IMAGES = 5000, 1000
NEW_DIGITS = (0, 3, 6, 9)


class GroupZ:
    """Sum of squared z-scores in the group of a row, or in the best group where it is not known."""

    def fit(self, X, groups):
        self.groups_ = np.unique(groups)
        scale = 0.1 * X.std(0) + 1e-3  # for constant columns, and groups of one row
        self.means_ = np.array([X[groups == each].mean(0) for each in self.groups_])
        self.scales_ = np.array([X[groups == each].std(0) + scale for each in self.groups_])
        return self

    def anomaly_score(self, X, groups=None):
        pairs = zip(self.means_, self.scales_, strict=True)
        scores = np.stack([(((X - mean) / scale) ** 2).sum(1) for mean, scale in pairs], 1)
        if groups is None:
            return scores.min(1)
        return scores[np.arange(len(X)), np.searchsorted(self.groups_, groups)]


# -- tables: context, values and group of each row -------------------------------------------------


def seasons(rng, n):
    weights = np.ones(12)
    weights[FEBRUARY - 1] = 0.1
    month = rng.choice(12, n, p=weights / weights.sum()) + 1
    angle = 2 * np.pi * month / 12
    phases = np.linspace(0, np.pi, 6)
    values = np.cos(angle[:, None] - phases) + factors(rng, n)
    return np.c_[np.sin(angle), np.cos(angle)], values, month


def machine(rng, n):
    speed, load = rng.beta(2, 4, n), rng.beta(4, 2, n)
    curves = [speed**2, speed * load, np.sin(4 * load), np.sqrt(load), speed - load, load**3]
    values = 4 * np.stack(curves, 1) + 0.3 * factors(rng, n)
    bins = [np.clip((5 * each).astype(int), 0, 4) for each in (speed, load)]
    return np.c_[speed, load], values, 5 * bins[0] + bins[1]


def factors(rng, n):
    """Noise with three common factors, the same for all tables."""
    loadings = np.random.default_rng(0).normal(size=(3, 6))
    return rng.normal(size=(n, 3)) @ loadings / np.sqrt(3) + 0.3 * rng.normal(size=(n, 6))


def out_of_season(rng, context, values, month):
    """Rows whose values stay and whose month is half a year off."""
    return -context, values, (month + 5) % 12 + 1


def of_another_row(rng, context, values, group):
    order = np.roll(rng.permutation(len(values)), 1)
    return context, values[order], group


def table_scores(make, spoil, seed):
    rng = np.random.default_rng(seed)
    train, test = make(rng, N_TRAIN), make(rng, N_TEST)
    wrong = spoil(rng, *make(rng, N_ANOMALIES))
    context, values, group = (np.concatenate(pair) for pair in zip(test, wrong, strict=True))
    is_anomaly = np.arange(len(values)) >= N_TEST
    n_context = context.shape[1]
    scores, flagged = scored(
        train, (context, values, group), condition=list(range(n_context)), random_state=seed
    )
    row = {name: roc_auc_score(is_anomaly, each) for name, each in scores.items()}
    if make is seasons:
        for name, each in flagged.items():
            row[f"{name} flags of February"] = each[~is_anomaly & (group == FEBRUARY)].mean()
            row[f"{name} flags of other months"] = each[~is_anomaly & (group != FEBRUARY)].mean()
    return row


def scored(train, test, condition, random_state, **params):
    """Scores of the test rows by each detector, and which rows it flags."""
    params = {"contamination": 0, "random_state": random_state, **params}
    context, values, group = train
    new_context, new_values, new_group = test
    both, new_both = np.c_[context, values], np.c_[new_context, new_values]
    conditional = ConditionalVAEDetector(condition=condition, **params).fit(both)
    joint = VAEDetector(**params).fit(both)
    alone = VAEDetector(**params).fit(values)
    scores = {
        "conditional VAE": conditional.anomaly_score(new_both),
        "VAE with condition": joint.anomaly_score(new_both),
        "VAE without": alone.anomaly_score(new_values),
        "z-score in group": GroupZ().fit(values, group).anomaly_score(new_values, new_group),
    }
    flagged = {
        "conditional VAE": conditional.predict(new_both) == -1,
        "VAE with condition": joint.predict(new_both) == -1,
    }
    return scores, flagged


# -- digits --------------------------------------------------------------------------------------


def digits(rng):
    """Rows of pixels in [0, 1] and labels, of the training and of the test file."""
    mnist = fetch_mnist()
    pairs = []
    for X, y, n in (
        (mnist.X_train, mnist.y_train, N_TRAIN_IMAGES),
        (mnist.X_test, mnist.y_test, N_TEST_IMAGES),
    ):
        rows = rng.permutation(len(X))[:n]
        pairs.append((X[rows].reshape(n, -1).astype(np.float32) / 255, y[rows]))
    return pairs


def wrong_digit(seed):
    rng = np.random.default_rng(seed)
    (X, y), (X_test, y_test) = digits(rng)
    is_anomaly = np.arange(len(y_test)) < N_ANOMALIES
    told = np.where(is_anomaly, (y_test + rng.integers(1, 10, len(y_test))) % 10, y_test)
    one_hot = np.eye(10, dtype=np.float32)
    scores, _ = scored(
        (one_hot[y], X, y),
        (one_hot[told], X_test, told),
        condition=list(range(10)),
        random_state=seed,
        **IMAGES,
    )
    return {name: roc_auc_score(is_anomaly, each) for name, each in scores.items()}


def new_digit(seed):
    by_digit = []
    for digit in NEW_DIGITS:
        rng = np.random.default_rng([seed, digit])
        (X, y), (X_test, y_test) = digits(rng)
        X, y = X[y != digit], y[y != digit]
        params = {"contamination": 0, "random_state": seed, **IMAGES}
        conditional = ConditionalVAEDetector(**params).fit(X, y)
        alone = VAEDetector(**params).fit(X)
        scores = {
            "conditional VAE": conditional.anomaly_score(X_test),
            "VAE without": alone.anomaly_score(X_test),
            "z-score in group": GroupZ().fit(X, y).anomaly_score(X_test),
        }
        aucs = {name: roc_auc_score(y_test == digit, each) for name, each in scores.items()}
        print(f"seed {seed}, new digit {digit}: {aucs}", file=sys.stderr)
        by_digit.append(aucs)
    return pd.DataFrame(by_digit).mean().to_dict()


TASKS = {
    "seasons": lambda seed: table_scores(seasons, out_of_season, seed),
    "machine": lambda seed: table_scores(machine, of_another_row, seed),
    "wrong digit": wrong_digit,
    "new digit": new_digit,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=sorted(TASKS))
    parser.add_argument("--out", type=Path, help="folder for conditional.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    rows = []
    for task in [arguments.only] if arguments.only else TASKS:
        for seed in range(arguments.seeds):
            aucs = TASKS[task](seed)
            rows += [{"task": task, "seed": seed, "what": w, "value": v} for w, v in aucs.items()]
            print(f"{task}, seed {seed}: {aucs}", file=sys.stderr)
    table = pd.DataFrame(rows)
    by_task = table.groupby(["task", "what"], sort=False)["value"]
    summary = by_task.agg(["mean", "min", "max"]).round(3).reset_index()
    print(markdown_table(summary.astype(str)))
    if arguments.out:
        write_table(arguments.out / "conditional.csv", table)


if __name__ == "__main__":
    main()
