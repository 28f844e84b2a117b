"""Files of a folder that show the same picture."""

import hashlib
import math
from collections import defaultdict
from functools import partial

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

SIDE = 32
# Thumbnails that are compared with all others at once.
BLOCK = 1024


def duplicate_pairs(folder, thumbnails, near):
    """Pairs of images that are alike; see `ImageFolder.duplicates`.

    Parameters
    ----------
    folder : ImageFolder
    thumbnails : ndarray of shape (n, SIDE, SIDE), uint8
    near : float
    """
    first, twin = _same_bytes([folder.path / path for path in folder._paths])
    exact = pd.DataFrame({"i": first, "j": twin, "distance": 0.0, "mirrored": False})
    # Copies are compared with others through the first of them.
    distinct = np.setdiff1d(np.arange(len(folder)), twin)
    close = _close_pairs(thumbnails[distinct], near)
    close[["i", "j"]] = distinct[close[["i", "j"]].to_numpy()]
    pairs = pd.concat([exact.assign(exact=True), close.assign(exact=False)], ignore_index=True)
    pairs = pairs.sort_values(["i", "j"], ignore_index=True)
    i, j = pairs["i"].to_numpy(), pairs["j"].to_numpy()
    return pd.DataFrame(
        {
            "file": folder.files[i],
            "twin": folder.files[j],
            "part": folder.parts[i],
            "twin_part": folder.parts[j],
            "exact": pairs["exact"],
            "mirrored": pairs["mirrored"],
            "distance": pairs["distance"],
            "group": _groups(i, j, len(folder)),
        }
    )


def _same_bytes(paths):
    """Indices of files, and of later ones that hold the same bytes."""
    by_digest = defaultdict(list)
    for at, path in enumerate(paths):
        digest = hashlib.blake2b()
        with open(path, "rb") as file:
            for part in iter(partial(file.read, 1 << 20), b""):
                digest.update(part)
        by_digest[digest.digest()].append(at)
    pairs = [(same[0], twin) for same in by_digest.values() for twin in same[1:]]
    return np.array(pairs, dtype=int).reshape(-1, 2).T


def _close_pairs(thumbnails, near):
    """Pairs i < j whose distance, as they are or with one of them mirrored, is below ``near``."""
    rows, mirrored = (_standardised(each) for each in (thumbnails, thumbnails[:, :, ::-1]))
    found = [np.empty((0, 4))]
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        plain, turned = (1 - block @ other[start:].T for other in (rows, mirrored))
        distance = np.minimum(plain, turned).clip(0)  # rounding may come to less
        i, j = np.nonzero(np.triu(distance < near, k=1))
        is_mirrored = turned[i, j] < plain[i, j]
        found.append(np.column_stack([start + i, start + j, distance[i, j], is_mirrored]))
    pairs = pd.DataFrame(np.concatenate(found), columns=["i", "j", "distance", "mirrored"])
    return pairs.astype({"i": int, "j": int, "mirrored": bool})


def _standardised(images):
    """Images as rows of mean 0 and length 1; those of one colour as rows of zeros."""
    rows = images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float32)
    rows -= rows.mean(1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def _groups(i, j, n):
    """A number for each pair; pairs that share an image, in steps if need be, have the same."""
    links = coo_matrix((np.ones(len(i)), (i, j)), shape=(n, n))
    _, component = connected_components(links, directed=False)
    return np.unique(component[i], return_inverse=True)[1]
