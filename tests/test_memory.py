"""Peak memory of a sweep, measured in a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, time
import numpy as np
from skvae import VAEDetector
from skvae.model_selection import StackedGridSearchCV

def first_rows(estimator, X, y=None):
    return estimator.score_samples(X[:1000]).mean()

X = np.random.default_rng(0).normal(size=(1_000_000, 20))
detector = VAEDetector(max_steps=30, score="reconstruction", random_state=0)
grid = {"beta": [0.1, 1, 5], "latent_dim": [2, 5, 10]}
start = time.perf_counter()
search = StackedGridSearchCV(detector, grid, cv=5, scoring=first_rows, refit=False).fit(X)
seconds = time.perf_counter() - start
assert np.isfinite(search.cv_results_["mean_test_score"]).all()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"{peak:.2f} GiB at the peak, {seconds:.0f} s")
"""


@pytest.mark.slow
def test_a_sweep_over_a_million_rows_stays_under_four_gib():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert float(done.stdout.split()[0]) < 4
