"""DriftMonitor: is a batch still from where the reference was?

Two-sample tests on what a fitted detector sees, its latents and its scores: another mixture of the
classes moves the latents, another look of the rows mostly the scores.
"""

from skvae.drift._monitor import DriftMonitor
from skvae.drift._result import DriftResult

__all__ = ["DriftMonitor", "DriftResult"]
