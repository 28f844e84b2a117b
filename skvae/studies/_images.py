"""What the studies of images share: data, corruptions with their placing, detectors, figures."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from skvae.corruptions import (
    gaussian_noise,
    noise_patch,
    patch_occlusion,
    pixel_dropout,
    rotation,
    stripes,
)
from skvae.datasets import fetch_mnist, load_digits_images
from skvae.detectors import ConvAEDetector, ConvVAEDetector, VAEDetector

STANDARD = "standard"
CONTROL = "rotated 3 (control)"
# Of the 1,797 digits of 8 x 8.
QUICK_TRAIN, QUICK_TEST = 900, 250
FULL_TRAIN, FULL_TEST = 20_000, 4000
# Fewer and smaller batches than by default: the digits are 8 x 8.
QUICK_TRAINING = {"max_steps": 400, "batch_size": 64, "lr": 0.01}


class ImageData(NamedTuple):
    """Images (n, H, W), uint8, and their digits.

    ``X_stream`` comes from the same people as ``X_train``, and nothing is trained on it.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_stream: np.ndarray
    y_stream: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @property
    def side(self):
        return self.X_train.shape[1]


def settings_of(study, data, quick, n_train, n_test):
    """Check the numbers of images and fill in those of None; returns the settings of a study.

    Raises
    ------
    ValueError
        If there are not so many images.
    """
    train, test = (QUICK_TRAIN, QUICK_TEST) if quick else (FULL_TRAIN, FULL_TEST)
    most = {"n_train": 1200 if quick else 40_000, "n_test": 300 if quick else 10_000}
    sizes = {
        "n_train": train if n_train is None else n_train,
        "n_test": test if n_test is None else n_test,
    }
    for name, value in sizes.items():
        if not 100 <= value <= most[name]:
            raise ValueError(
                f"{name} must be from 100 to {most[name]} images of "
                f"{'the 8 x 8 digits' if quick else 'MNIST'}; found {value}."
            )
    folder = None if data is None or quick else str(Path(data).resolve())
    return {"study": study, "data": folder, "quick": bool(quick), **sizes}


def load_image_data(data, settings, seed):
    """Draw the images of one seed.

    MNIST: training and stream from its training file, and the test images from its test file. The
    small digits: all three from one file.

    Parameters
    ----------
    data : str, path-like or None
        Folder of ``mnist.npz``; None means the data home.
    settings : dict
        As :func:`settings_of` returns them.
    seed : int
        Seed of the draw.

    Returns
    -------
    data : ImageData
    """
    n_train, n_test = settings["n_train"], settings["n_test"]
    rng = np.random.default_rng(seed)
    if settings["quick"]:
        X, y = load_digits_images()
        order = rng.permutation(len(X))
        train, test, stream = np.split(order, [n_train, n_train + n_test])
        return ImageData(X[train], y[train], X[stream], y[stream], X[test], y[test])
    mnist = fetch_mnist(data)
    train, stream = np.split(rng.permutation(len(mnist.X_train)), [n_train])
    test = rng.permutation(len(mnist.X_test))[:n_test]
    return ImageData(
        *(mnist.X_train[train], mnist.y_train[train]),
        *(mnist.X_train[stream], mnist.y_train[stream]),
        *(mnist.X_test[test], mnist.y_test[test]),
    )


# -- corruptions -----------------------------------------------------------------------------------


def pixels_of(side, of_28):
    """Translate a length in pixels of MNIST to images of another side."""
    return max(1, round(of_28 * side / 28))


def corruptions_of(side):
    """Name the corruptions of the studies; the names say where patches and lines are placed.

    Parameters
    ----------
    side : int
        Of the images, in pixels; patches are scaled with it.

    Returns
    -------
    corruptions : dict of str to callable
        ``function(X, random_state=..., return_mask=...)``.
    """
    small, large, margin = (pixels_of(side, n) for n in (8, 10, 8))
    lines = f"lines {margin} to {side - margin - 1}"
    off = {"value": 0.0, "placing": margin}
    return {
        "noise sd 0.3": partial(gaussian_noise, sd=0.3),
        "rotated 30": partial(rotation, degrees=30),
        CONTROL: partial(rotation, degrees=3),
        f"occluded {small}x{small} anywhere": partial(patch_occlusion, size=small),
        f"occluded {small}x{small} centre": partial(patch_occlusion, size=small, placing="centre"),
        f"occluded {large}x{large} centre": partial(patch_occlusion, size=large, placing="centre"),
        "dropout 25 %": partial(pixel_dropout, fraction=0.25),
        "stripe on, anywhere": partial(stripes, n_stripes=1),
        f"stripe off, {lines}": partial(stripes, n_stripes=1, **off),
        f"noise sd 0.3 in {small}x{small} anywhere": partial(noise_patch, sd=0.3, size=small),
    }


class Family(NamedTuple):
    """A corruption at several strengths."""

    function: object
    parameter: str
    strengths: tuple
    options: dict

    def corrupt(self, X, strength, random_state):
        options = {self.parameter: strength, **self.options}
        return self.function(X, random_state=random_state, **options)


def families_of(side):
    """Name the corruptions whose strength is swept.

    Parameters
    ----------
    side : int
        Of the images, in pixels.

    Returns
    -------
    families : dict of str to Family
        Strengths rise.
    """
    small, margin = pixels_of(side, 8), pixels_of(side, 8)
    sizes = tuple(sorted({pixels_of(side, n) for n in (4, 6, 8, 10, 12, 16)}))
    counts = (1, 2, 3, 4) if side < 20 else (1, 2, 3, 4, 6)
    return {
        "noise": Family(gaussian_noise, "sd", (0.05, 0.1, 0.2, 0.3, 0.5, 0.8), {}),
        "rotation": Family(rotation, "degrees", (3, 10, 20, 30, 45, 60), {}),
        "occlusion anywhere": Family(patch_occlusion, "size", sizes, {}),
        "occlusion centre": Family(patch_occlusion, "size", sizes, {"placing": "centre"}),
        "dropout": Family(pixel_dropout, "fraction", (0.05, 0.1, 0.25, 0.5, 0.75), {}),
        "stripes on": Family(stripes, "n_stripes", counts, {}),
        "stripes off": Family(stripes, "n_stripes", counts, {"value": 0.0, "placing": margin}),
        "noise patch": Family(noise_patch, "sd", (0.1, 0.2, 0.3, 0.5, 0.8), {"size": small}),
    }


# -- detectors and their figures -------------------------------------------------------------------


class Fitted(dict):
    """Detectors by name, each made and fitted when it is first asked for.

    Parameters
    ----------
    factories : dict of str to callable
        Without arguments, make an unfitted detector.
    X : ndarray of shape (n, H, W)
        What to fit them on.
    """

    def __init__(self, factories, X):
        super().__init__()
        self._factories, self._X = factories, X

    def __missing__(self, name):
        detector = self._factories[name]()
        self[name] = detector.fit(as_seen(detector, self._X))
        return self[name]


def conv_vae(settings, seed, **parameters):
    """Make the default convolutional VAE; the images it is trained on are known to be clean."""
    return _conv(ConvVAEDetector, settings, seed, parameters)


def conv_ae(settings, seed, **parameters):
    """Make the default convolutional autoencoder, told that its images are clean."""
    return _conv(ConvAEDetector, settings, seed, parameters)


def _conv(kind, settings, seed, parameters):
    quick = QUICK_TRAINING if settings["quick"] else {}
    return kind(**({"random_state": seed} | quick | parameters))


def fc_vae(settings, seed):
    """Make a fully connected VAE for flat images, as large and as long trained as is usual."""
    return VAEDetector(
        latent_dim=16,
        hidden_layer_sizes=(256, 128),
        likelihood="bernoulli",
        scaler=None,
        contamination=0,
        score="reconstruction",
        random_state=seed,
        **({"max_steps": 500} if settings["quick"] else {"max_steps": 3000}),
    )


def as_floats(X):
    """Turn uint8 images into float32 ones in [0, 1]; floats stay."""
    return X.astype(np.float32) / 255 if X.dtype == np.uint8 else X


def as_seen(detector, X):
    """Images as the detector takes them: flat rows of floats for one that is made for tables."""
    if isinstance(detector, VAEDetector):
        return as_floats(X).reshape(len(X), -1)
    return X


def reconstructions(detector, X):
    """What a detector makes of uint8 images: (n, H, W), in [0, 1]."""
    return detector.reconstruct(as_seen(detector, as_floats(X))).reshape(X.shape)


def plain_map(detector, X):
    """Squared error of each pixel, in [0, 1]: (n, H, W)."""
    return np.square(as_floats(X) - reconstructions(detector, X), dtype=np.float64)


def plain_score(detector, X):
    """Plain reconstruction error: the squared errors of an image, summed."""
    return plain_map(detector, X).sum(axis=(1, 2))


def nats_of(detector, X):
    """Reconstruction term and KL divergence of each image, in nats.

    Parameters
    ----------
    detector : fitted variational detector of one network, of likelihood "bernoulli"
    X : ndarray of shape (n, H, W), uint8

    Returns
    -------
    reconstruction, kl : ndarray of shape (n,)
        Cross-entropy of pixels and reconstruction at the posterior mean, summed over the pixels;
        and the divergence of the posterior from the prior.
    """
    rows = detector._validate(as_seen(detector, as_floats(X)))
    nats = detector._by_block(
        lambda x, output, error: torch.stack([error[0].flatten(1).sum(1), output.penalty[0]], 1),
        rows,
    )
    return nats[:, 0], nats[:, 1]


def auroc(normal, anomalous):
    """AUROC of the scores of anomalous images against those of normal ones."""
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    return float(roc_auc_score(labels, np.r_[normal, anomalous]))


def rounded(images, decimals=3):
    """Arrays as nested lists short enough for JSON."""
    return np.round(np.asarray(images, dtype=np.float64), decimals).tolist()
