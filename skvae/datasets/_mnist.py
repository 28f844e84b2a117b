"""MNIST, from the data home or the net, and small digits that need neither."""

import gzip
import hashlib
import http.client
import re
import urllib.request
import zipfile
import zlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from skvae._files import replacing
from skvae.datasets._home import get_data_home

# Each holds the four files of the original distribution, gzipped.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
# Name of the array -> name of the file, and the sha256 of what is in it once unzipped, so that it
# does not matter how a mirror compressed it. The files are in the IDX format: a header of 4 bytes
# (0, 0, 8 = uint8, number of axes), each axis's length in 4 bytes, then the values.
FILES = {
    "X_train": (
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    "y_train": (
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    "X_test": (
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    "y_test": (
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
TIMEOUT = 30  # seconds without an answer until the next mirror is tried


def fetch_mnist(data_home=None):
    """Load MNIST, handwritten digits of 28 x 28 pixels; download it where it is not stored.

    It is read from ``mnist.npz`` in the data home: the arrays ``X_train``, ``y_train``, ``X_test``
    and ``y_test``, or with a small x, as Keras stores them. Where there is no such file, the
    original files (11 MB) are downloaded, checked by their sha256, and stored there.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The data home; see :func:`get_data_home`.

    Returns
    -------
    mnist : :class:`~sklearn.utils.Bunch`
        With ``X_train`` (60000, 28, 28) and ``X_test`` (10000, 28, 28), uint8, 0 = background and
        255 = ink; ``y_train`` and ``y_test``, int64, the digits 0 to 9. In the original order.

    Raises
    ------
    OSError
        If it is neither stored nor can be downloaded; the message says what to do.
    ValueError
        If the stored file cannot be read or holds something else.

    See Also
    --------
    load_digits_images : Small digits that need no download.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
    recognition, Proceedings of the IEEE 86 (1998), 2278-2324.

    Examples
    --------
    >>> from skvae.datasets import fetch_mnist
    >>> mnist = fetch_mnist()  # doctest: +SKIP
    >>> mnist.X_train.shape  # doctest: +SKIP
    (60000, 28, 28)
    """
    path = get_data_home(data_home) / "mnist.npz"
    if not path.is_file():
        _store(_download(path), path)
    return _read(path)


def load_digits_images():
    """Load the small digits that come with scikit-learn, as images.

    A stand-in for MNIST that needs no download.

    Returns
    -------
    X : ndarray of shape (1797, 8, 8), uint8
        0 = background, 255 = ink; scikit-learn's 17 grey levels, 0 to 16, times 255/16.
    y : ndarray of shape (1797,), int64
        The digits 0 to 9.

    See Also
    --------
    fetch_mnist : The large ones.

    Examples
    --------
    >>> from skvae.datasets import load_digits_images
    >>> X, y = load_digits_images()
    >>> X.shape, X.dtype.name, int(X.max())
    ((1797, 8, 8), 'uint8', 255)
    """
    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target.astype(np.int64)


def _read(path):
    # Pickled arrays are refused: loading one would run code out of a data file.
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {re.sub("^x_", "X_", key): stored[key] for key in stored}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not a readable npz file ({error})") from error
    for key, shape in _shapes().items():
        if key not in arrays:
            raise ValueError(f"{path} lacks the array {key}; it has: {', '.join(arrays) or 'none'}")
        if arrays[key].shape != shape or arrays[key].dtype.kind not in "iu":
            raise ValueError(
                f"{path}: {key} of MNIST is whole numbers of the shape {shape}; "
                f"found {arrays[key].dtype} of the shape {arrays[key].shape}"
            )
    images = {key: arrays[key].astype(np.uint8, copy=False) for key in ("X_train", "X_test")}
    labels = {key: arrays[key].astype(np.int64) for key in ("y_train", "y_test")}
    return Bunch(**images, **labels)


def _shapes():
    sizes = {"train": 60_000, "test": 10_000}
    images = {f"X_{part}": (n, 28, 28) for part, n in sizes.items()}
    return images | {f"y_{part}": (n,) for part, n in sizes.items()}


def _download(path):
    failures = []
    for mirror in MIRRORS:
        try:
            return {key: _download_array(mirror, *file) for key, file in FILES.items()}
        except (OSError, http.client.HTTPException, EOFError, ValueError, zlib.error) as error:
            failures.append(f"{mirror} ({error})")
    raise OSError(
        f"MNIST is not in {path.parent}, and could not be downloaded: {'; '.join(failures)}. "
        "Put a file mnist.npz with the arrays X_train, y_train, X_test and y_test into that "
        "folder, or name the folder that holds one by data_home= or the environment variable "
        "SKVAE_DATA. skvae.datasets.load_digits_images() needs no file."
    )


def _download_array(mirror, name, sha256):
    with urllib.request.urlopen(f"{mirror}{name}.gz", timeout=TIMEOUT) as response:
        content = gzip.decompress(response.read())
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{name} has the sha256 {found}, not {sha256}")
    n_axes = content[3]
    shape = np.frombuffer(content, ">u4", count=n_axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes).reshape(shape)


def _store(arrays, path):
    # Whole or not at all, so that a break leaves no half a file that the next call would read.
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)
