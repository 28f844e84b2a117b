"""How well error maps find the anomalous pixels; public in `skvae.metrics`."""

import warnings

import numpy as np
from scipy import ndimage
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve


def pixel_roc_auc(masks, maps):
    """Area under the ROC curve over the pixels of all images together.

    Large regions count more than small ones; `aupro` weighs regions alike.

    Parameters
    ----------
    masks : array-like of shape (n, H, W)
        The truth: bool, or 0 and 1; True or 1 for an anomalous pixel.
    maps : array-like of shape (n, H, W)
        One finite number a pixel, higher = more anomalous, such as an error map.

    Returns
    -------
    auc : float
        In [0, 1], higher is better, .5 for random maps; nan, with a warning, where the masks
        hold one class.

    Raises
    ------
    ValueError
        If the shapes differ, or the values are other ones.

    See Also
    --------
    aupro : Weighs regions alike.

    Examples
    --------
    >>> from skvae.metrics import pixel_roc_auc
    >>> pixel_roc_auc([[[0, 0], [0, 1]]], [[[0.1, 0.2], [0.4, 0.3]]])
    0.666...
    """
    masks, maps = _check(masks, maps)
    if not _both_classes(masks, "pixel_roc_auc"):
        return float("nan")
    return float(roc_auc_score(masks.ravel(), maps.ravel()))


def pixel_average_precision(masks, maps):
    """Average precision over the pixels of all images together.

    Parameters
    ----------
    masks : array-like of shape (n, H, W)
        The truth: bool, or 0 and 1; True or 1 for an anomalous pixel.
    maps : array-like of shape (n, H, W)
        One finite number a pixel, higher = more anomalous, such as an error map.

    Returns
    -------
    ap : float
        In [0, 1], higher is better, the share of anomalous pixels for random maps; nan, with a
        warning, where the masks hold one class.

    Raises
    ------
    ValueError
        If the shapes differ, or the values are other ones.

    See Also
    --------
    aupro : Weighs regions alike.

    Examples
    --------
    >>> from skvae.metrics import pixel_average_precision
    >>> pixel_average_precision([[[0, 0], [0, 1]]], [[[0.1, 0.2], [0.4, 0.3]]])
    0.5
    """
    masks, maps = _check(masks, maps)
    if not _both_classes(masks, "pixel_average_precision"):
        return float("nan")
    return float(average_precision_score(masks.ravel(), maps.ravel()))


def aupro(masks, maps, *, limit=0.3):
    """Area under the per-region overlap curve, up to a false positive rate.

    The curve shows, for every threshold, the share of a region's pixels above it, averaged over
    all regions, against the share of all normal pixels above it. A region is a set of anomalous
    pixels of one image that touch, at a corner as well.

    Parameters
    ----------
    masks : array-like of shape (n, H, W)
        The truth: bool, or 0 and 1; True or 1 for an anomalous pixel.
    maps : array-like of shape (n, H, W)
        One finite number a pixel, higher = more anomalous, such as an error map.
    limit : float, default=0.3
        The false positive rate up to which the curve is integrated, in (0, 1].

    Returns
    -------
    aupro : float
        The area divided by ``limit``: in [0, 1], higher is better, ``limit / 2`` for random maps;
        nan, with a warning, where the masks hold one class.

    Raises
    ------
    ValueError
        If the shapes differ, or the values or the limit are other ones.

    See Also
    --------
    pixel_roc_auc : Weighs pixels alike.

    References
    ----------
    P. Bergmann, K. Batzner, M. Fauser, D. Sattlegger, C. Steger, The MVTec Anomaly Detection
    Dataset: A Comprehensive Real-World Dataset for Unsupervised Anomaly Detection, International
    Journal of Computer Vision 129 (2021), 1038-1059.

    Examples
    --------
    >>> from skvae.metrics import aupro
    >>> masks = [[[1, 0, 0, 1, 1, 1]]]
    >>> aupro(masks, [[[0.9, 0.1, 0.2, 0.8, 0.7, 0.6]]])
    1.0
    >>> aupro(masks, [[[0.0, 0.1, 0.2, 0.8, 0.7, 0.6]]])  # one of the two regions is missed
    0.5
    """
    masks, maps = _check(masks, maps)
    if not 0 < limit <= 1:
        raise ValueError(f"limit must be above 0 and at most 1; found {limit!r}.")
    if not _both_classes(masks, "aupro"):
        return float("nan")
    # The mean over regions of the share found is a true positive rate in which every pixel counts
    # one part of its region: so the curve is a weighted ROC curve.
    weights = 1 / _region_sizes(masks)
    false_positive_rate, overlap, _ = roc_curve(
        masks.ravel(), maps.ravel(), sample_weight=weights.ravel()
    )
    return float(_area_up_to(limit, false_positive_rate, overlap) / limit)


def _region_sizes(masks):
    """Size of the region that a pixel belongs to; 1 for the normal ones."""
    touching = np.zeros((3, 3, 3), dtype=bool)
    touching[1] = True  # the eight neighbours in the same image
    regions, _ = ndimage.label(masks, structure=touching)
    sizes = np.bincount(regions.ravel())
    sizes[0] = 1
    return sizes[regions]


def _area_up_to(limit, x, y):
    below = np.searchsorted(x, limit, side="right")
    x_end, y_end = np.append(x[:below], limit), np.append(y[:below], np.interp(limit, x, y))
    return auc(x_end, y_end)


def _check(masks, maps):
    masks, maps = np.asarray(masks), np.asarray(maps)
    if masks.ndim != 3 or masks.shape != maps.shape or masks.size == 0:
        raise ValueError(
            "masks and maps must be of the same shape (n, H, W), and not empty; "
            f"found {masks.shape} and {maps.shape}."
        )
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise ValueError(
            "masks must be bool, or 0 and 1 (1 = anomalous pixel); found values from "
            f"{masks.min()} to {masks.max()}. The masks come first, the maps second."
        )
    if not np.isfinite(maps).all():
        raise ValueError("maps must be finite; found NaN or infinity.")
    return masks.astype(bool), maps


def _both_classes(masks, what):
    if masks.any() and not masks.all():
        return True
    warnings.warn(
        f"{what} needs normal and anomalous pixels, but all are "
        f"{'anomalous' if masks.any() else 'normal'}: the result is nan.",
        UndefinedMetricWarning,
        stacklevel=3,
    )
    return False
