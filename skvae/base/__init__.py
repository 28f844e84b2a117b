"""The base of all detectors: the scikit-learn contract and the road from rows to decisions."""

from skvae.base._detector import BaseDetector
from skvae.base._stack import Fit, fit_stack

__all__ = ["BaseDetector", "Fit", "fit_stack"]
