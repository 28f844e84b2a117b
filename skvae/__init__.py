"""skvae: anomaly detection with variational autoencoders as scikit-learn estimators."""

from skvae.detectors import AEDetector, VAEDetector

__version__ = "0.1.0"

__all__ = ["AEDetector", "VAEDetector"]
