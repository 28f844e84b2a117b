"""skvae: anomaly detection with variational autoencoders as scikit-learn estimators."""

from skvae.classifiers import CNNClassifier
from skvae.detectors import AEDetector, ConvAEDetector, ConvVAEDetector, VAEDetector
from skvae.persistence import load, save
from skvae.runs import fit_in_folder

__version__ = "0.1.0"

__all__ = [
    "AEDetector",
    "CNNClassifier",
    "ConvAEDetector",
    "ConvVAEDetector",
    "VAEDetector",
    "fit_in_folder",
    "load",
    "save",
]
