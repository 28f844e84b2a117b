"""skvae: anomaly detection with variational autoencoders as scikit-learn estimators."""

from skvae.classifiers import CNNClassifier
from skvae.detectors import (
    AEDetector,
    ConvAEDetector,
    ConvVAEDetector,
    FusionDetector,
    MixedVAEDetector,
    VAEDetector,
    WindowDetector,
)
from skvae.persistence import load, save
from skvae.runs import fit_in_folder
from skvae.screening import ScreenThenClassify

__version__ = "0.1.0"

__all__ = [
    "AEDetector",
    "CNNClassifier",
    "ConvAEDetector",
    "ConvVAEDetector",
    "FusionDetector",
    "MixedVAEDetector",
    "ScreenThenClassify",
    "VAEDetector",
    "WindowDetector",
    "fit_in_folder",
    "load",
    "save",
]
