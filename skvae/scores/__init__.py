"""Scores: what the network makes of a row, turned into one number, higher = more anomalous.

A score is called with ``(x, output, error)``: the scaled rows of shape (n_samples, n_features),
the network's `Output` of one member, and the likelihood's error map of the shape of
``x``; all float32 tensors. Rows of image detectors have the shape (n_samples, channels, height,
width). It returns a tensor or array of shape (n_samples,). A function of that
signature is a score. Those that learn something of the training rows first are classes with
``fit``; the rows that they are fitted on are trusted to be normal.

What scores of the package learn is numbers, arrays, tensors, and objects of classes of this room:
model files can hold that. Tensors of float32 lie on the device of the rows, all else on the CPU.
"""

from copy import deepcopy

from skvae.scores._base import FunctionScore, Part, Score
from skvae.scores._blocks import BLOCK_IMAGES, BLOCK_ROWS, block_size, by_rows, padded, row_sums
from skvae.scores._denoising import Denoising
from skvae.scores._errors import (
    Elbo,
    Iwae,
    Latent,
    Mahalanobis,
    Reconstruction,
    ReconstructionProbability,
    Standardized,
)
from skvae.scores._features import FeatureDensity, FeatureNeighbors, ImageScore, Perceptual
from skvae.scores._fusion import Combined, Ensemble, SmoothMax
from skvae.scores._gaps import GapCorrected
from skvae.scores._image_features import hog, ssim_map
from skvae.scores._images import DescriptionLength, Local, Relative, Ssim
from skvae.scores._labelled import Labelled
from skvae.scores._latent_residual import Density, Neighbors, fit_mixture

__all__ = [
    "BLOCK_IMAGES",
    "BLOCK_ROWS",
    "Combined",
    "Denoising",
    "Density",
    "DescriptionLength",
    "Elbo",
    "Ensemble",
    "FeatureDensity",
    "FeatureNeighbors",
    "FunctionScore",
    "GapCorrected",
    "IMAGE_SCORE",
    "IMAGE_SCORES",
    "ImageScore",
    "Iwae",
    "Labelled",
    "Latent",
    "Local",
    "Mahalanobis",
    "NETWORK_SCORES",
    "Neighbors",
    "Part",
    "Perceptual",
    "Reconstruction",
    "ReconstructionProbability",
    "Relative",
    "SCORES",
    "Score",
    "SmoothMax",
    "Ssim",
    "Standardized",
    "block_size",
    "by_rows",
    "fit_mixture",
    "hog",
    "make_score",
    "padded",
    "row_sums",
    "ssim_map",
]

# For every detector; those of images count pixels as features.
SCORES = {
    "reconstruction": Reconstruction,
    "standardized": Standardized,
    "mahalanobis": Mahalanobis,
    "elbo": Elbo,
    "iwae": Iwae,
    "reconstruction_probability": ReconstructionProbability,
    "latent": Latent,
    "density": Density,
    "neighbors": Neighbors,
}

# For detectors of images alone.
IMAGE_SCORES = {
    "ssim": Ssim,
    "description_length": DescriptionLength,
    "relative": lambda: Relative(Ssim()),
    "local": lambda: Local(Relative(Ssim())),
    "perceptual": Perceptual,
    "latent_density": lambda: FeatureDensity("latent"),
    "latent_neighbors": lambda: FeatureNeighbors("latent"),
    "hog_density": FeatureDensity,
    "hog_neighbors": FeatureNeighbors,
}

# For detectors whose networks know what they read.
NETWORK_SCORES = {
    "denoising": Denoising,
    "discriminator_features": lambda: Part("discriminator_features"),
    "rarity": lambda: Part("rarity"),
}

# What an image looks like against what the network makes of it, among its like; its shape against
# the shapes of the training; and its pixels one by one.
IMAGE_SCORE = ("local", "hog_density", "description_length")


def make_score(score, fuse=Combined):
    """The score that a name, a function, or a list of them, which ``fuse`` joins, stands for."""
    if isinstance(score, str):
        names = SCORES | IMAGE_SCORES | NETWORK_SCORES
        if score not in names:
            raise ValueError(f"score={score!r} is unknown; choose among {sorted(names)}.")
        return names[score]()
    if isinstance(score, (list, tuple)):
        if not score:
            raise ValueError("score is empty; name at least one score.")
        return fuse([make_score(part, fuse) for part in score])
    if isinstance(score, Score):
        return deepcopy(score)
    if not callable(score):
        raise ValueError(
            f"score={score!r} is none of a name, a function of (x, output, error), a Score, or a "
            "list of them."
        )
    return FunctionScore(score)
