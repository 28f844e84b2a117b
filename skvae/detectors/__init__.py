"""Detectors, one small file a family."""

from skvae.detectors.images import ConvAEDetector, ConvVAEDetector
from skvae.detectors.tabular import AEDetector, VAEDetector

__all__ = ["AEDetector", "ConvAEDetector", "ConvVAEDetector", "VAEDetector"]
