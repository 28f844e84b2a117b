"""The base of all detectors: the scikit-learn contract and the road from rows to decisions."""

from skvae.base._detector import BaseDetector

__all__ = ["BaseDetector"]
