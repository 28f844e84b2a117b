"""What ``fit``, ``predict`` and ``explain`` are given: a folder, an image, a table, an npz file."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skvae.cli._shown import note
from skvae.datasets import load_image_folder, load_table
from skvae.datasets._tables import TABLE_SUFFIXES
from skvae.metrics import anomaly_labels
from skvae.reports._one import read_image

# More labels than this are no groups to count by.
MOST_GROUPS = 50


class Input(NamedTuple):
    """Rows or images, and what is known of them.

    Attributes
    ----------
    X : DataFrame, ndarray or ImageFolder
    labels : ndarray or None
        As the file or the folders say; bool, True for an anomaly, where the normal one was named.
    groups : ndarray of str or None
    gaps : dict of int to str
        Rows of a table that hold no numbers somewhere, and where.
    names : list of str or None
        Of images in an array.
    """

    X: Any
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    gaps: dict | None = None
    names: list | None = None

    @property
    def is_table(self):
        return self.X.ndim == 2

    def is_anomaly(self, read=anomaly_labels):
        """The labels as they are read, None where there are none; or say what is to be done."""
        if self.labels is None:
            return None
        try:
            return read(self.labels)
        except ValueError as error:
            raise ValueError(f"{error} Name the normal label: --normal LABEL.") from None


def read_to_fit(
    path, *, size, color, n_workers, drop, index, label, normal, header, kinds=None, verbose=0
):
    """Read what a detector is to be trained on; ``kinds`` as `load_table` takes them."""
    path = Path(path).expanduser()
    if not path.is_dir():
        _check_is_table(path)
        names = {"drop": drop, "index": index, "label": label, "normal": normal}
        table = load_table(path, **names, header=header, kinds=kinds)
        return _of_table(table, named=_has_names(table.data))
    _refuse(path, drop=drop, index=index, label=label)
    folder = _open_folder(path, verbose, size=size, color=color, n_workers=n_workers)
    if "train" in folder.parts:
        folder = folder.subset(folder.parts == "train")
    if not len(folder):
        raise ValueError(f"{path} holds no images that can be read.")
    if normal is None and len(folder.classes) > 1:
        note(
            f"training on all of {', '.join(folder.classes)}, as if all of them were normal; "
            "--normal NAME trains on one of them."
        )
    return _of_folder(folder, normal)


def read_to_judge(path, detector, *, n_workers, drop, index, label, normal, header, verbose=0):
    """Read what a fitted detector is to judge, prepared as for its training."""
    path = Path(path).expanduser()
    names = getattr(detector, "feature_names_in_", None)
    preparation = getattr(detector, "image_preparation_", None)
    if path.is_dir():
        if preparation is None:
            raise ValueError(
                f"{path} is a folder, but this model was not trained on image files: it takes "
                f"{takes(detector)}."
            )
        _refuse(path, drop=drop, index=index, label=label)
        folder = _open_folder(path, verbose, **preparation, n_workers=n_workers)
        return _of_folder(folder, normal)
    if preparation is None:
        _check_is_table(path)
    elif path.suffix.lower() not in TABLE_SUFFIXES:
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {path}.")
        return Input(read_image(detector, path)[None], names=[path.name])
    elif path.suffix.lower() != ".npz":
        raise ValueError(f"{path} is a table, but this model takes {takes(detector)}.")
    table = load_table(
        path,
        drop=drop,
        index=index,
        label=label,
        normal=normal,
        header=header,
        columns=names,
        kinds=getattr(detector, "column_kinds_", None),
    )
    if table.left_out:
        note(f"columns that the model does not know are left out: {', '.join(table.left_out)}.")
    return _of_table(table, named=names is not None)


def takes(detector):
    """What a fitted detector takes, in words."""
    preparation = getattr(detector, "image_preparation_", None)
    if preparation is not None:
        height, width = preparation["size"]
        return f"{preparation['color']} images, brought to {height} x {width} pixels"
    layout = getattr(detector, "_layout", None)
    if layout is not None and not layout.is_table:
        channels, height, width = layout.shape
        return f"arrays of images, {channels} x {height} x {width} (channels x height x width)"
    return f"tables of {detector.n_features_in_} columns"


def takes_many(detector):
    """What a fitted detector takes: "images" or "rows"."""
    return "rows" if takes(detector).startswith("tables") else "images"


def _open_folder(path, verbose, **options):
    if verbose:
        note(f"reading the images of {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the problems, which are told below
        folder = load_image_folder(path, **options)
    if folder.problems:
        file, reason = folder.problems[0]
        note(
            f"{len(folder.problems)} of {len(folder) + len(folder.problems)} files are left out, "
            f"such as {file}: {reason}."
        )
    return folder


def _of_folder(folder, normal):
    groups = np.array(
        [
            f"{part}/{label}".strip("/")
            for part, label in zip(folder.parts, folder.labels, strict=True)
        ]
    )
    labels = None
    if normal is not None:
        if normal not in folder.classes:
            raise ValueError(
                f"{folder.path} has no folder {normal!r} of normal images; it has "
                f"{', '.join(folder.classes) or 'none'}."
            )
        labels = folder.labels != normal
    return Input(folder, labels, groups if len(set(groups)) > 1 else None)


def _of_table(table, named):
    X = table.data
    if not named and hasattr(X, "columns"):
        X = X.set_axis(range(X.shape[1]), axis=1)
    return Input(X, table.target, gaps=table.gaps if X.ndim == 2 else None)


def _has_names(data):
    return hasattr(data, "columns") and all(isinstance(name, str) for name in data.columns)


def _check_is_table(path):
    if path.suffix.lower() not in TABLE_SUFFIXES and path.exists():
        raise ValueError(
            f"{path} is no folder of images, and no table, whose name would end in "
            f"{', '.join(TABLE_SUFFIXES)}."
        )
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {path}.")


def _refuse(path, **options):
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise ValueError(f"{path} is a folder of images: {given[0]} is for tables.")
