"""Uploaded files as models and samples; nothing that is uploaded is ever unpickled."""

import re
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd

import skvae
from skvae._optional import require
from skvae.base import BaseDetector
from skvae.datasets import load_image, load_table

IMAGE_TYPES = ["png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp"]
TABLE_TYPES = ["csv", "parquet"]
# More is the business of a folder or a script than that of a page.
MOST_IMAGES = 1000
MOST_IMAGE_BYTES = 1 << 28
MOST_ROWS = 10_000
MOST_TABLE_BYTES = 1 << 27
# A few rows may take as many times the memory of the pages that they are in.
ROWS_TO_WEIGH = 8


class Samples(NamedTuple):
    """What was uploaded.

    Attributes
    ----------
    kind : str
        What the names are of: "file" or "row".
    names : list of str
    X : ndarray of uint8 of shape (n, C, H, W), or DataFrame of n rows
    problems : list of (str, str)
        Name of what cannot be judged, and why.
    """

    kind: str
    names: list
    X: object
    problems: list

    def label(self, name):
        """What a sample of that name is called on the page."""
        return name if self.kind == "file" else f"{self.kind} {name}"


def load_model(path, name):
    """The detector of a model file; errors call it ``name``."""
    try:
        detector = skvae.load(path)
    except (OSError, ValueError) as error:
        raise ValueError(str(error).replace(str(path), name)) from error
    if isinstance(
        detector, (skvae.WindowDetector, skvae.FusionDetector, skvae.SlidingWindowDetector)
    ):
        kind = type(detector).__name__
        instead = "skvae predict" if kind == "WindowDetector" else "Python"
        raise ValueError(f"{name}: the app does not show {kind}: use {instead}.")
    if not isinstance(detector, BaseDetector):
        raise ValueError(f"{name} holds a {type(detector).__name__}, which finds no anomalies.")
    if image_shape(detector) is not None:
        preparation(detector)  # refuses images that no file holds
    return detector


def load_uploaded_model(file):
    """The detector of an uploaded model file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(file.getbuffer())
        return load_model(path, file.name)


def image_shape(detector):
    """(channels, height, width) of the images of a detector; None for one of tables."""
    layout = getattr(detector, "_layout", None)
    return None if layout is None or layout.is_table else layout.shape


def preparation(detector):
    """Size and colour in which images are read for a detector of images.

    Those of its training where it was trained on a folder of images; else what its arrays were.
    """
    if detector.image_preparation_ is not None:
        return detector.image_preparation_
    n_channels, *size = image_shape(detector)
    if n_channels not in (1, 3):
        raise ValueError(
            f"This model takes images of {n_channels} channels, and files hold grey or RGB ones."
        )
    return {"size": tuple(size), "color": "grey" if n_channels == 1 else "rgb"}


def read_images(detector, files):
    """`Samples` of image files, prepared as those of the training were."""
    prepared = preparation(detector)
    most = min(MOST_IMAGES, MOST_IMAGE_BYTES // detector.n_features_in_)
    names, images, problems = [], [], []
    for file in files[:most]:
        try:
            # Of a copy, since pillow closes what it has read.
            images.append(load_image(BytesIO(file.getbuffer()), **prepared))
            names.append(file.name)
        except ValueError as error:
            problems.append((file.name, str(error)))
    left = f"not read, since the page takes {most:,} images at a time: use skvae predict"
    problems += [(file.name, left) for file in files[most:]]
    return Samples("file", names, np.array(images, dtype=np.uint8), problems)


def read_table(detector, files):
    """`Samples` of the rows of one file, with the columns that the detector takes."""
    (file,) = files
    with TemporaryDirectory() as folder:
        path = Path(folder, "table").with_suffix(Path(file.name).suffix.lower())
        path.write_bytes(file.getbuffer())
        try:
            if path.suffix == ".parquet":
                _check_parquet(path)
            table = load_table(path, columns=getattr(detector, "feature_names_in_", None))
            X = _columns(detector, table.data)
        except (OSError, ValueError) as error:
            reason = str(error).replace(str(path), "the table")
            reason = re.sub(r" \(--[^)]*\)", "", reason)  # options of the command line
            return Samples("file", [], pd.DataFrame(), [(file.name, reason)])
    names = np.array([str(name) for name in X.index], dtype=object)
    problems = [(names[i], reason) for i, reason in table.gaps.items()]
    is_whole = np.ones(len(names), dtype=bool)
    is_whole[list(table.gaps)] = False
    return Samples("row", names[is_whole].tolist(), X[is_whole], problems)


def _check_parquet(path):
    """Refuse a Parquet file of too much before it is read whole.

    A small one may hold billions of rows, or one long text over and over.
    """
    parquet = require("pyarrow.parquet", extra="cli", what="Reading Parquet files")
    with parquet.ParquetFile(path) as file:
        _check_few(file.metadata.num_rows)
        groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
        n_bytes = sum(group.total_byte_size for group in groups)  # as pages, decompressed
        if n_bytes <= MOST_TABLE_BYTES:
            n_bytes = 0
            for batch in file.iter_batches(batch_size=ROWS_TO_WEIGH):
                n_bytes += batch.nbytes
                if n_bytes > MOST_TABLE_BYTES:
                    break
    if n_bytes > MOST_TABLE_BYTES:
        raise ValueError(
            f"it holds more than {MOST_TABLE_BYTES >> 20} MiB, which is too much for the page: "
            "leave columns out, or use skvae predict."
        )


def _columns(detector, data):
    """The rows as the detector takes them, with names of columns where it knows some."""
    _check_few(len(data))
    if data.shape[1] != detector.n_features_in_:
        raise ValueError(
            f"it has {data.shape[1]} columns, and the model takes {detector.n_features_in_}."
        )
    named = hasattr(detector, "feature_names_in_")
    return data if named else data.set_axis(range(data.shape[1]), axis=1)


def _check_few(n_rows):
    if n_rows > MOST_ROWS:
        raise ValueError(
            f"it has {n_rows:,} rows, and the page takes {MOST_ROWS:,}: use skvae predict."
        )
