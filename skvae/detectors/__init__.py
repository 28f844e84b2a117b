"""Detectors, one small file a family."""

from skvae.detectors.conditional import ConditionalVAEDetector
from skvae.detectors.hierarchical import HierarchicalVAEDetector
from skvae.detectors.images import ConvAEDetector, ConvVAEDetector
from skvae.detectors.tabular import AEDetector, VAEDetector
from skvae.detectors.windows import WindowDetector

__all__ = [
    "AEDetector",
    "ConditionalVAEDetector",
    "ConvAEDetector",
    "ConvVAEDetector",
    "HierarchicalVAEDetector",
    "VAEDetector",
    "WindowDetector",
]
