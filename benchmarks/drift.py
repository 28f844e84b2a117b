"""How often DriftMonitor alarms on MNIST: batches that have not drifted, and batches that have.

    SKVAE_DATA=... python benchmarks/drift.py [--seeds 3] [--clean 1000] [--drifted 200]

A fully connected VAE is trained on 10,000 images of the training file. The reference are 10,000
others of that file, and clean batches are drawn from the 40,000 that are left, each with its own
seed; so are the drifted ones. The official test file was written by other people.
"""

import argparse
import sys

import numpy as np
import pandas as pd
from scipy.ndimage import rotate

from skvae import VAEDetector
from skvae.datasets import get_data_home
from skvae.drift import DriftMonitor
from skvae.studies.report import markdown_table

N_TRAIN, N_REFERENCE = 10_000, 10_000


class Looked:
    """Latents and scores that are computed already: all the columns but the last, and the last."""

    def transform(self, X):
        return X[:, :-1]

    def score_samples(self, X):
        return X[:, -1]


def rotated(images, degrees):
    turned = rotate(images, degrees, axes=(1, 2), reshape=False, order=1)
    return np.clip(turned, 0, 1)


def seen(detector, images):
    rows = images.reshape(len(images), -1)
    return np.c_[detector.transform(rows), detector.score_samples(rows)].astype(np.float64)


def pools(seed):
    """The reference, and what batches are drawn from, as the detector sees them."""
    stored = np.load(get_data_home() / "mnist.npz")
    order = np.random.default_rng(seed).permutation(60_000)
    images = stored["X_train"][order].astype(np.float32) / 255
    labels = stored["y_train"][order]
    detector = VAEDetector(
        latent_dim=16,
        hidden_layer_sizes=(256, 64),
        likelihood="bernoulli",
        scaler=None,
        contamination=0,
        score="elbo",
        max_steps=3000,
        random_state=seed,
    ).fit(images[:N_TRAIN].reshape(N_TRAIN, -1))
    others = images[N_TRAIN + N_REFERENCE :]
    clean = seen(detector, others)
    some = others[:4000]
    noise = np.random.default_rng(seed).normal(0, 0.1, some.shape).astype(np.float32)
    return seen(detector, images[N_TRAIN : N_TRAIN + N_REFERENCE]), {
        "clean": clean,
        "test file": seen(detector, stored["X_test"].astype(np.float32) / 255),
        "digits 0-4": clean[labels[N_TRAIN + N_REFERENCE :] < 5],
        "rotated 30": seen(detector, rotated(some, 30)),
        "rotated 3 (control)": seen(detector, rotated(some, 3)),
        "noise 0.1": seen(detector, np.clip(some + noise, 0, 1)),
    }


def alarm_rates(monitor, pool, n, n_batches, key):
    """Share of batches with an alarm: of all the tests, and of each joint p-value."""
    results = []
    for batch in range(n_batches):
        rows = np.random.default_rng([key, n, batch]).choice(len(pool), n, replace=False)
        results.append(monitor.test(pool[rows]))
    rates = {"drifted": np.mean([r.drifted for r in results])}
    for name in results[0].statistics:
        rates[name] = np.mean([r.adjusted_p_values[name] <= monitor.alpha for r in results])
    return rates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--clean", type=int, default=1000, help="clean batches of each size")
    parser.add_argument("--drifted", type=int, default=200, help="drifted batches of each size")
    arguments = parser.parse_args()
    table = []
    for seed in range(arguments.seeds):
        reference, drawn_from = pools(seed)
        monitor = DriftMonitor(Looked(), random_state=seed).fit(reference)
        for name, pool in drawn_from.items():
            n_batches = arguments.clean if name == "clean" else arguments.drifted
            for n in (20, 100, 500):
                rates = alarm_rates(monitor, pool, n, n_batches, key=seed)
                table.append({"batches": name, "n": n, "seed": seed, **rates})
                print(f"seed {seed}, {name}, n={n}: {rates['drifted']:.3f}", file=sys.stderr)
    rates = pd.DataFrame(table).drop(columns="seed").groupby(["batches", "n"], sort=False)
    lowest, highest = rates["drifted"].min(), rates["drifted"].max()
    table = rates.mean().assign(lowest=lowest, highest=highest).round(3).reset_index()
    print(markdown_table(table.astype(str)))


if __name__ == "__main__":
    main()
