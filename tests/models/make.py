"""Write the model files of this folder: once for each format, never again.

python -m tests.models.make
"""

import json
from pathlib import Path

import numpy as np

import skvae
from skvae.persistence._file import FORMAT

TINY = {"max_steps": 20, "latent_dim": 2, "hidden_layer_sizes": (4,), "random_state": 0}


def write(name, detector, X):
    stem = Path(__file__).parent / f"{name}_format{FORMAT}"
    if stem.with_suffix(".safetensors").exists():
        raise SystemExit(f"{stem.name} is kept as it is, so that it tells what old files hold.")
    detector.fit(X[:-2])
    skvae.save(detector, stem.with_suffix(".safetensors"))
    content = {
        "X": X.tolist(),
        "scores": detector.anomaly_score(X).tolist(),
        "labels": detector.predict(X).tolist(),
    }
    stem.with_suffix(".json").write_text(json.dumps(content))


def main():
    rng = np.random.RandomState(0)
    X = rng.randn(24, 2) @ rng.randn(2, 3) + 0.1 * rng.randn(24, 3)
    X[-2:] += 5
    write("table", skvae.VAEDetector(threshold="conformal", percentile=80, **TINY), X.round(2))

    X = np.zeros((24, 4, 4))
    X[:, 1:3] = rng.uniform(0.5, 1, (24, 2, 1))
    X[-2:] = rng.uniform(0, 1, (2, 4, 4))
    score = ["local", "iwae", "hog_neighbors"]
    write("images", skvae.ConvVAEDetector(channels=(2,), score=score, **TINY), X.round(2))


if __name__ == "__main__":
    main()
