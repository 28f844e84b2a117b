"""Detectors, one small file a family."""

from skvae.detectors.tabular import AEDetector, VAEDetector

__all__ = ["AEDetector", "VAEDetector"]
