"""Peak memory of a sweep and of a folder of images, each measured in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

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


N_IMAGES = 20_000
# Larger images would take longer. What grows with them is the batch that is trained on.
SIDE = 96
FOLDER_PROGRAM = """
import resource, sys, time

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

import torch
idle = peak()
import numpy as np
from skvae import ConvVAEDetector
from skvae.datasets import load_image_folder
times = [time.perf_counter()]
folder = load_image_folder(sys.argv[1], size=96, max_bytes_in_memory=0)
times.append(time.perf_counter())
detector = ConvVAEDetector(max_epochs=1, max_steps=None, random_state=0).fit(folder)
times.append(time.perf_counter())
assert folder._images is None and detector.n_steps_ == -(-len(folder) // 128)
assert np.isfinite(detector.anomaly_score(folder)).all()
times.append(time.perf_counter())
print(f"{peak() - idle:.2f} GiB over {idle:.2f} at the peak, {len(folder)} images")
print("load, fit, score:", np.diff(times).round(1), "s")
"""


@pytest.mark.slow
def test_a_folder_of_20_000_images_stays_under_one_and_a_half_gib(tmp_path):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 200, SIDE)[:, None] + np.zeros(SIDE)
    for i in range(N_IMAGES):
        image = np.roll(ramp, rng.integers(SIDE), axis=0) + rng.normal(0, 9, (SIDE, SIDE))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{i:05}.jpg")
    command = [sys.executable, "-c", FOLDER_PROGRAM, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert float(done.stdout.split()[0]) < 1.5
