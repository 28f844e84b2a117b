"""skvae: anomaly detection with variational autoencoders as scikit-learn estimators."""

from skvae.classifiers import CNNClassifier
from skvae.detectors import (
    AdversarialAEDetector,
    AEDetector,
    ConditionalVAEDetector,
    Conv1dVAEDetector,
    ConvAEDetector,
    ConvVAEDetector,
    ConvVQVAEDetector,
    DenoisingAEDetector,
    FusionDetector,
    HierarchicalVAEDetector,
    MixedVAEDetector,
    SlidingWindowDetector,
    VAEDetector,
    VQVAEDetector,
    WindowDetector,
)
from skvae.persistence import load, save
from skvae.runs import fit_in_folder
from skvae.screening import ScreenThenClassify

__version__ = "0.1.0"

__all__ = [
    "AEDetector",
    "AdversarialAEDetector",
    "CNNClassifier",
    "ConditionalVAEDetector",
    "Conv1dVAEDetector",
    "ConvAEDetector",
    "ConvVAEDetector",
    "ConvVQVAEDetector",
    "DenoisingAEDetector",
    "FusionDetector",
    "HierarchicalVAEDetector",
    "MixedVAEDetector",
    "ScreenThenClassify",
    "SlidingWindowDetector",
    "VAEDetector",
    "VQVAEDetector",
    "WindowDetector",
    "fit_in_folder",
    "load",
    "save",
]
