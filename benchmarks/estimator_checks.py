"""Count how scikit-learn's estimator checks end for skvae's detectors and for PyOD's VAE.

python benchmarks/estimator_checks.py
"""

import warnings
from collections import Counter

from pyod.models.vae import VAE
from sklearn.utils.estimator_checks import check_estimator

from skvae import AEDetector, VAEDetector

DETECTORS = {
    "VAEDetector": VAEDetector(max_steps=3),
    "AEDetector": AEDetector(max_steps=3),
    "PyOD VAE": VAE(epoch_num=1, verbose=0),
}

if __name__ == "__main__":
    for name, detector in DETECTORS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = check_estimator(detector, on_fail=None, on_skip=None)
        counts = Counter(result["status"] for result in results)
        print(f"{name}: " + ", ".join(f"{n} {status}" for status, n in counts.items()))
