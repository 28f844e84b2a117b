"""Uploaded files as models and samples; nothing that is uploaded is ever unpickled."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import skvae
from skvae._optional import require
from skvae.datasets import load_image

IMAGE_TYPES = ["png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp"]
TABLE_TYPES = ["csv", "parquet"]
# More is the business of a folder or a script than that of a page.
MOST_IMAGES = 1000
MOST_ROWS = 50_000


def load_uploaded_model(content):
    """The detector in the bytes of a ``.safetensors`` file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(content)
        return skvae.load(path)


def image_shape(detector):
    """(channels, height, width) of the images of a detector; None for one of tables."""
    layout = getattr(detector, "_layout", None)
    return None if layout is None or layout.is_table else layout.shape


def preparation(detector):
    """Size and colour in which images are read for a detector of images.

    Those of its training where it was trained on a folder of images; else what its arrays were.
    """
    kept = getattr(detector, "image_preparation_", None)
    if kept is not None:
        return kept
    n_channels, *size = image_shape(detector)
    if n_channels not in (1, 3):
        raise ValueError(
            f"This model takes images of {n_channels} channels, and files hold grey or RGB ones."
        )
    return {"size": tuple(size), "color": "grey" if n_channels == 1 else "rgb"}


def read_images(detector, files):
    """Names, images of shape (n, C, H, W), uint8, and the (name, reason) of unreadable files."""
    prepared = preparation(detector)
    names, images, problems = [], [], []
    for file in files[:MOST_IMAGES]:
        try:
            images.append(load_image(file, **prepared))
            names.append(file.name)
        except ValueError as error:
            problems.append((file.name, str(error)))
    problems += [
        (file.name, f"not read: the page takes {MOST_IMAGES:,} images at a time")
        for file in files[MOST_IMAGES:]
    ]
    return names, np.array(images, dtype=np.uint8), problems


def read_table(detector, files):
    """Names, frame of the columns that a detector takes, and the (name, reason) of what is wrong."""
    (file,) = files or [None]
    if file is None:
        return [], pd.DataFrame(), []
    try:
        rows = pd.read_csv(file) if file.name.lower().endswith(".csv") else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        return [], pd.DataFrame(), [(file.name, str(error))]
    return [f"row {i + 1}" for i in range(len(rows))], rows, []
