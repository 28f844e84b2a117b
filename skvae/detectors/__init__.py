"""Detectors, one small file a family."""

from skvae.detectors.fusion import FusionDetector
from skvae.detectors.images import ConvAEDetector, ConvVAEDetector
from skvae.detectors.mixed import MixedVAEDetector
from skvae.detectors.tabular import AEDetector, VAEDetector
from skvae.detectors.windows import WindowDetector

__all__ = [
    "AEDetector",
    "ConvAEDetector",
    "ConvVAEDetector",
    "FusionDetector",
    "MixedVAEDetector",
    "VAEDetector",
    "WindowDetector",
]
