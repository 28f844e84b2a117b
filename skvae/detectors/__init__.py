"""Detectors, one small file a family."""

from skvae.detectors.adversarial import AdversarialAEDetector
from skvae.detectors.conditional import ConditionalVAEDetector
from skvae.detectors.denoising import DenoisingAEDetector
from skvae.detectors.fusion import FusionDetector
from skvae.detectors.hierarchical import HierarchicalVAEDetector
from skvae.detectors.images import ConvAEDetector, ConvVAEDetector
from skvae.detectors.mixed import MixedVAEDetector
from skvae.detectors.series import Conv1dVAEDetector
from skvae.detectors.sliding_windows import SlidingWindowDetector
from skvae.detectors.tabular import AEDetector, VAEDetector
from skvae.detectors.vq import VQVAEDetector
from skvae.detectors.vq_images import ConvVQVAEDetector
from skvae.detectors.windows import WindowDetector

__all__ = [
    "AEDetector",
    "AdversarialAEDetector",
    "ConditionalVAEDetector",
    "Conv1dVAEDetector",
    "ConvAEDetector",
    "ConvVAEDetector",
    "ConvVQVAEDetector",
    "DenoisingAEDetector",
    "FusionDetector",
    "HierarchicalVAEDetector",
    "MixedVAEDetector",
    "SlidingWindowDetector",
    "VAEDetector",
    "VQVAEDetector",
    "WindowDetector",
]
