"""A folder of image files as an array whose rows are decoded when they are asked for."""

import os
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from numbers import Integral, Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skvae._optional import require
from skvae.datasets._decoding import BadImage, check_preparation, decoded
from skvae.datasets._duplicates import SIDE, duplicate_pairs

# First folders of a path that say what its images are for; the others name their kind.
PARTS = ("train", "test", "val", "valid", "validation")
# Beside them, masks of the anomalies (MVTec AD): pictures, but not of anything to be learnt.
MASKS = "ground_truth"
SHOWN_PROBLEMS = 3
# Links to links may lead to one folder in more ways than there is time to go.
MOST_WAYS = 100


class Problem(NamedTuple):
    """A file or folder that was skipped, and why."""

    file: str
    reason: str


class ImageFolder:
    """Images of a folder: an array of shape (n, channels, height, width), uint8, on disk.

    Made by `load_image_folder`. An index - a number, a slice, a mask or an array of numbers - gives
    an ndarray of the images, decoded then. `subset` gives another `ImageFolder` instead.

    Parameters
    ----------
    path : Path
        The folder.
    paths : list of Path
        Its images, relative to it, in order.
    problems : list of (file, reason)
        Files that were skipped, and folders: those that cannot be read, and links in circles.
    preparation : dict
        How images are prepared, as arguments of `load_image_folder`: size and color.
    n_workers : int
        Threads that decode.
    images : ndarray of shape (n, channels, height, width), uint8, default=None
        The images, if they are decoded already.

    Attributes
    ----------
    path, problems, preparation, n_workers
        As above.
    files : ndarray of str of shape (n,)
        Relative to ``path``, with forward slashes, in order.
    labels : ndarray of str of shape (n,)
        The folder that an image lies in, without the part: a class, or "" in a flat folder.
    parts : ndarray of str of shape (n,)
        "train", "test", "val", "valid" or "validation" where that is the first folder, else "".
    classes : tuple of str
        The different labels, sorted.

    See Also
    --------
    load_image_folder : Makes it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skvae.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as path:
    ...     for part in ("train", "test"):
    ...         Path(path, part).mkdir()
    ...         Image.new("L", (60, 40), 200).save(Path(path, part, "0.png"))
    ...     folder = load_image_folder(path, size=28)
    >>> folder.shape, folder[0].shape
    ((2, 1, 28, 28), (1, 28, 28))
    >>> folder.subset(folder.parts == "train").files
    array(['train/0.png'], dtype='<U11')
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, path, paths, problems, preparation, n_workers, images=None):
        self.path = path
        self.problems = problems
        self.preparation = preparation
        self.n_workers = n_workers
        self._paths = paths
        self._images = images
        self.files = _as_strings(_shown(each) for each in paths)
        places = [_part_and_label(each) for each in paths]
        self.parts = _as_strings(part for part, _ in places)
        self.labels = _as_strings(label for _, label in places)
        self.classes = tuple(np.unique(self.labels).tolist())

    @property
    def shape(self):
        """(n, channels, height, width)."""
        n_channels = 1 if self.preparation["color"] == "grey" else 3
        return (len(self._paths), n_channels, *self.preparation["size"])

    @property
    def nbytes(self):
        """Bytes of all images, once decoded."""
        return int(np.prod(self.shape))

    def __len__(self):
        return len(self._paths)

    def __repr__(self):
        skipped = f", {len(self.problems)} skipped" if self.problems else ""
        return f"<ImageFolder {str(self.path)!r}: {self.shape}, uint8{skipped}>"

    def __getitem__(self, index):
        rows = self._rows(index)
        if rows.ndim == 0:
            return self[[rows]][0]
        if self._images is not None:
            return self._images[rows]
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for at, image in enumerate(self._decode(rows)):
            if isinstance(image, BadImage):
                raise OSError(f"{self.path / self._paths[rows[at]]} has changed: {image}.")
            images[at] = image
        return images

    def __array__(self, dtype=None, copy=None):
        images = self[:]
        return images if dtype is None else images.astype(dtype, copy=False)

    def subset(self, index):
        """Some of the images, as another `ImageFolder`; nothing is decoded.

        Parameters
        ----------
        index : slice, mask or array of int
            For example ``folder.parts == "train"``.

        Returns
        -------
        folder : ImageFolder
            In the order of ``index``, with all of ``problems``.

        Raises
        ------
        IndexError
            If ``index`` is a single number, or beyond the images.
        """
        rows = self._rows(index)
        if rows.ndim == 0:
            raise IndexError(
                f"subset takes a slice, a mask or an array of numbers; found {index!r}. One image "
                "is folder[number]."
            )
        return ImageFolder(
            self.path,
            [self._paths[row] for row in rows],
            self.problems,
            self.preparation,
            self.n_workers,
            None if self._images is None else self._images[rows],
        )

    def duplicates(self, near=0.01):
        """Find images that show the same picture, for example in training and test alike.

        Files of the same bytes are exact duplicates. Images are near duplicates if their distance
        is small: 1 - correlation of the grey values of their thumbnails of 32 x 32 pixels, or of
        one of them mirrored left to right. It is 0 for the same picture, about 1 for unrelated
        ones, and does not change with brightness and contrast, nor with ``preparation``. On MRI
        slices of the brain a JPEG of low quality, half the size, or 30 % more contrast came to
        less than 0.01; different slices were further apart, but for a few neighbours. Images of a
        single colour correlate with nothing: their distance is 1 to all others, and to each other.

        Parameters
        ----------
        near : float, default=0.01
            Distance below which images are near duplicates; 0 finds the exact ones alone. Larger
            values find shifted and cropped copies (0.1 for a crop by 2 %) and more and more pairs
            that are only similar: look at them.

        Returns
        -------
        pairs : DataFrame
            A row a pair, in the order of ``files``: file, twin, part, twin_part, exact, mirrored,
            distance, group. Pairs that hang together, over several steps if need be, have the same
            number of ``group``. Of exact copies only the first is compared with other images, and
            it makes one pair with each of the others.

        Raises
        ------
        ValueError
            If ``near`` is out of [0, 1).

        Examples
        --------
        Images of the test part that stand in the training part as well, of a folder with both::

            pairs = folder.duplicates()
            leaks = pairs[pairs["part"] != pairs["twin_part"]]
        """
        if not _is_number(near, Real) or not 0 <= near < 1:
            raise ValueError(f"near must be a distance in [0, 1); found {near!r}.")
        preparation = {"size": [SIDE, SIDE], "color": "grey"}
        small = ImageFolder(self.path, self._paths, [], preparation, self.n_workers)
        return duplicate_pairs(self, small[:][:, 0], near)

    def _rows(self, index):
        rows = np.asarray(np.arange(len(self))[index])
        if rows.ndim > 1:
            raise IndexError(
                "A folder takes a number, a slice, a mask or an array of numbers as an index; this "
                f"one gives images in the shape {rows.shape}. folder[:] is an array that takes any."
            )
        return rows

    def _decode(self, rows):
        """Image, or `BadImage`, of each row, in order; a few are decoded ahead."""
        files = [self.path / self._paths[row] for row in rows]
        size, color = tuple(self.preparation["size"]), self.preparation["color"]

        def images_or_reasons(some):
            return [_image_or_reason(file, size, color) for file in some]

        if self.n_workers == 1:
            yield from map(_image_or_reason, files, repeat(size), repeat(color))
            return
        ahead = IMAGES_A_TASK * TASKS_AHEAD * self.n_workers
        with ThreadPoolExecutor(self.n_workers) as pool:
            for part in _cut(files, ahead):
                for images in pool.map(images_or_reasons, _cut(part, IMAGES_A_TASK)):
                    yield from images


# Threads are given several images at a time, because to hand over one takes as long as to decode
# a small one; and so many tasks are done before the first image is used.
IMAGES_A_TASK = 16
TASKS_AHEAD = 4


def _cut(values, size):
    return [values[start : start + size] for start in range(0, len(values), size)]


def _image_or_reason(file, size, color):
    try:
        return decoded(file, size, color)
    except BadImage as reason:
        return reason


def load_image_folder(
    path, size=(224, 224), color="grey", n_workers=2, max_bytes_in_memory=1 << 28
):
    """Open a folder of images as an array that is decoded row by row, when it is needed.

    Every file below the folder is an image of it, in the order of the sorted paths; hidden files
    are passed over. The usual layouts are understood by the names of the folders:

    - flat: ``*.png``;
    - a folder for each class: ``no_tumor/*.jpg``, ``glioma_tumor/*.jpg``;
    - ``train`` and ``test`` (or ``val``), flat or with classes in them;
    - MVTec AD: ``train/good/*.png``, ``test/good``, ``test/scratch``; the masks in
      ``ground_truth`` are left out.

    All images are prepared alike: turned upright (EXIF), brought to grey or RGB and to 8 bits, and
    resized to ``size`` whatever their proportions, by averaging. Images of 16 bits are divided by
    257, floats are multiplied by 255; what is transparent shows white; of several frames the first
    counts. Formats are BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF and WebP.

    Links to files and folders are followed, also out of the folder: an image that is reached in two
    ways stands there twice.

    Every file is decoded once here. One that cannot be - truncated, empty, of more than 67 million
    pixels, no image at all - is skipped, and named with the reason in ``problems`` and in a
    warning; so are folders that cannot be read, and links to a folder that they lie in.

    Parameters
    ----------
    path : str or path-like
        The folder.
    size : int or (height, width), default=(224, 224)
        In pixels; one number stands for both. `skvae fit` takes 64 unless it is told otherwise.
    color : {"grey", "rgb"}, default="grey"
        What the channels hold.
    n_workers : int, default=2
        Threads that decode.
    max_bytes_in_memory : int, default=2**28
        Images stay decoded in memory if all of them together take no more than that; else they are
        decoded each time.

    Returns
    -------
    folder : ImageFolder
        The X of any detector of images, which reads it part by part; a `WindowDetector` keeps the
        windows that it is trained on in memory. Its ``preparation`` is kept by a detector as
        ``image_preparation_``: open folders of new images by
        ``load_image_folder(path, **detector.image_preparation_)``.

    Raises
    ------
    OSError
        If there is no such folder.
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    load_image : One image file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> from skvae.datasets import load_image_folder
    >>> with tempfile.TemporaryDirectory() as path:
    ...     for name in ("good", "scratch"):
    ...         Path(path, "test", name).mkdir(parents=True)
    ...         Image.new("L", (60, 40), 200).save(Path(path, "test", name, "0.png"))
    ...     folder = load_image_folder(path, size=(20, 30))
    ...     print(folder.shape, folder.files[1], folder.labels, folder.parts)
    ...     print(folder[0].max())
    (2, 1, 20, 30) test/scratch/0.png ['good' 'scratch'] ['test' 'test']
    200
    """
    require("PIL", extra="images", what="load_image_folder")
    size, color = check_preparation(size, color)
    if not _is_number(n_workers, Integral) or n_workers < 1:
        raise ValueError(f"n_workers must be a whole number of at least 1; found {n_workers!r}.")
    if not _is_number(max_bytes_in_memory, Real) or not max_bytes_in_memory >= 0:
        raise ValueError(
            "max_bytes_in_memory must be a number of bytes, 0 or more; found "
            f"{max_bytes_in_memory!r}."
        )
    path = Path(path).expanduser().absolute()
    if not path.is_dir():
        kind = NotADirectoryError if path.exists() else FileNotFoundError
        raise kind(f"no folder {path}: name a folder that holds image files.")
    preparation = {"size": list(size), "color": color}
    paths, problems = _paths_below(path)
    found = ImageFolder(path, paths, problems, preparation, n_workers)
    return _without_bad_files(found, max_bytes_in_memory)


def _is_number(value, kind):
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))


def _without_bad_files(found, max_bytes):
    """The images that can be decoded, kept in memory if they are few; a warning of the others."""
    kept = np.empty(found.shape, np.uint8) if found.nbytes <= max_bytes else None
    good, problems = [], list(found.problems)
    for row, image in enumerate(found._decode(range(len(found)))):
        if isinstance(image, BadImage):
            problems.append(Problem(str(found.files[row]), str(image)))
            continue
        if kept is not None:
            kept[len(good)] = image
        good.append(row)
    paths = [found._paths[row] for row in good]
    images = None if kept is None else kept[: len(good)]
    if problems:
        named = "; ".join(f"{file} ({reason})" for file, reason in problems[:SHOWN_PROBLEMS])
        more = ", ..." if len(problems) > SHOWN_PROBLEMS else ""
        warnings.warn(
            f"{found.path}: {len(good)} images were found, and {len(problems)} files or folders "
            f"cannot be used and were skipped: {named}{more}. The attribute problems holds all.",
            UserWarning,
            stacklevel=3,
        )
    elif not good:
        warnings.warn(f"{found.path} holds no files.", UserWarning, stacklevel=3)
    return ImageFolder(found.path, paths, problems, found.preparation, found.n_workers, images)


def _paths_below(root):
    """Relative paths of all files that are not hidden, sorted, and folders that are skipped."""
    paths, problems = [], []

    def unreadable(error):
        if error.filename == os.fspath(root):
            raise error
        problems.append(Problem(_shown(os.path.relpath(error.filename, root)), error.strerror))

    above, ways = {os.path.dirname(root): ()}, Counter()
    for folder, folders, files in os.walk(root, onerror=unreadable, followlinks=True):
        place = Path(folder).relative_to(root).parts
        if place[:1] == (MASKS,):
            folders.clear()
            continue
        real = os.path.realpath(folder)
        ancestors = above[os.path.dirname(folder)]
        is_circle = real in ancestors
        ways[real] += not is_circle
        if is_circle or ways[real] > MOST_WAYS:
            reason = "a link to a folder that it lies in" if is_circle else "one link of too many"
            problems.append(Problem(_shown(Path(*place)), reason))
            folders.clear()
            continue
        above[folder] = (*ancestors, real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [(*place, name) for name in files if not name.startswith(".")]
    return [Path(*names) for names in sorted(paths)], problems


def _part_and_label(path):
    names = [_shown(name) for name in path.parts[:-1]]
    part = names.pop(0) if names and names[0].lower() in PARTS else ""
    return part.lower(), "/".join(names)


def _shown(path):
    """A path as text that can be written anywhere, whatever bytes a file name is made of."""
    return os.fsencode(Path(path).as_posix()).decode("utf-8", "backslashreplace")


def _as_strings(values):
    values = list(values)
    return np.array(values) if values else np.array([], dtype=str)
