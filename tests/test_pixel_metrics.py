"""Pixel metrics against scikit-learn, the definition spelled out, and cases worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, roc_auc_score

from skvae.metrics import aupro, pixel_average_precision, pixel_roc_auc

METRICS = [pixel_roc_auc, pixel_average_precision, aupro]


@pytest.fixture(scope="module")
def pixels():
    rng = np.random.default_rng(0)
    masks = rng.random((6, 9, 7)) < 0.15
    return masks, rng.normal(size=masks.shape) + masks


def overlap_curve(masks, maps):
    """The definition: for every threshold, each image and each region by itself."""
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        above = maps >= threshold
        rates.append(above[~masks].mean())
        shares = []
        for mask, flagged in zip(masks, above, strict=True):
            regions, n = ndimage.label(mask, structure=np.ones((3, 3)))
            shares += [flagged[regions == k].mean() for k in range(1, n + 1)]
        overlaps.append(np.mean(shares))
    return np.array(rates), np.array(overlaps)


def area(x, y, limit):
    """Trapezoids, the last one cut at the limit."""
    total = 0.0
    for x0, x1, y0, y1 in zip(x[:-1], x[1:], y[:-1], y[1:], strict=True):
        if x0 >= limit or x0 == x1:
            continue
        end = min(x1, limit)
        total += (end - x0) * (y0 + (y0 + (y1 - y0) * (end - x0) / (x1 - x0))) / 2
    return total / limit


def test_flat_metrics_are_scikit_learns(pixels):
    masks, maps = pixels
    flat = masks.ravel(), maps.ravel()
    assert pixel_roc_auc(masks, maps) == roc_auc_score(*flat)
    assert pixel_average_precision(masks, maps) == average_precision_score(*flat)
    assert 0.6 < pixel_roc_auc(masks, maps) < 0.9


def test_aupro_of_regions_of_one_pixel_is_the_roc_auc(pixels):
    masks = np.zeros((4, 9, 9), dtype=bool)
    masks[:, 1::2, 1::2] = True  # none touches another
    maps = np.random.default_rng(1).normal(size=masks.shape) + masks
    assert aupro(masks, maps, limit=1.0) == pytest.approx(pixel_roc_auc(masks, maps), abs=1e-12)
    # scikit-learn standardises the partial area a as (1 + (a - low) / (high - low)) / 2, with
    # low = limit**2 / 2 and high = limit (McClish 1989).
    standardised = roc_auc_score(masks.ravel(), maps.ravel(), max_fpr=0.3)
    partial = 0.045 + (2 * standardised - 1) * (0.3 - 0.045)
    assert aupro(masks, maps) == pytest.approx(partial / 0.3, abs=1e-12)


images = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)


@settings(max_examples=150, deadline=None)
@given(st.data(), images, st.sampled_from([0.05, 0.3, 0.5, 1.0]))
def test_aupro_is_its_definition(data, shape, limit):
    masks = data.draw(hnp.arrays(bool, shape))
    assume(masks.any() and not masks.all())
    maps = data.draw(hnp.arrays(np.float64, shape, elements=st.integers(-3, 3)))  # many ties
    expected = area(*overlap_curve(masks, maps), limit)
    assert aupro(masks, maps, limit=limit) == pytest.approx(expected, abs=1e-12)


def test_aupro_by_hand():
    # Regions of 1 and 3 pixels, 4 normal pixels. From the top: region B 1/3 (PRO 1/6), a normal
    # pixel (FPR 1/4), region A (PRO 2/3), a normal pixel (FPR 1/2), and so on.
    masks = np.array([[[1, 0, 0, 1, 1, 1, 0, 0]]])
    maps = np.array([[[6.0, 7.0, 5.0, 8.0, 4.0, 3.0, 2.0, 1.0]]])
    whole = (1 / 6) / 4 + (2 / 3) / 4 + 1 / 4 + 1 / 4
    assert aupro(masks, maps, limit=1.0) == pytest.approx(whole)
    assert aupro(masks, maps, limit=0.25) == pytest.approx(1 / 6)
    assert aupro(masks, maps, limit=0.5) == pytest.approx((1 / 6 + 2 / 3) / 2)
    assert aupro(masks, maps, limit=0.3) == pytest.approx((1 / 24 + 0.05 * 2 / 3) / 0.3)


def test_constant_and_perfect_and_worst_maps(pixels):
    masks, _ = pixels
    constant = np.zeros(masks.shape)
    assert aupro(masks, constant) == pytest.approx(0.15)  # limit / 2
    assert pixel_roc_auc(masks, constant) == 0.5
    assert pixel_average_precision(masks, constant) == pytest.approx(masks.mean())
    for metric in METRICS:
        assert metric(masks, masks.astype(float)) == pytest.approx(1.0)
    assert aupro(masks, ~masks) == 0.0


def test_regions_touch_at_corners_and_never_across_images():
    masks = np.zeros((2, 2, 2), dtype=bool)
    masks[0] = np.eye(2)  # one region of two pixels
    masks[1, 0, 0] = True  # lies under a pixel of the first image, but is another region
    maps = np.zeros(masks.shape)
    maps[0, 0, 0] = 1.0
    # PRO is (1/2 + 0) / 2 before any normal pixel is flagged, then one step to (1, 1).
    assert aupro(masks, maps, limit=1.0) == pytest.approx((0.25 + 1) / 2)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 50), st.floats(-5, 5))
def test_only_the_order_of_the_maps_counts(scale, shift):
    rng = np.random.default_rng(2)
    masks = rng.random((3, 5, 5)) < 0.3
    maps = rng.permutation(masks.size).reshape(masks.shape).astype(float)
    order = rng.permutation(3)
    for metric in METRICS:
        value = metric(masks, maps)
        assert metric(masks, np.arctan(scale * (maps / 75) + shift)) == value
        assert metric(masks[order], maps[order]) == pytest.approx(value, abs=1e-12)
        assert metric(masks[:, ::-1], maps[:, ::-1]) == pytest.approx(value, abs=1e-12)


def test_masks_in_every_spelling(pixels):
    masks, maps = pixels
    for metric in METRICS:
        value = metric(masks, maps)
        assert isinstance(value, float)
        for same in (masks.astype(np.uint8), masks.astype(float), masks.tolist()):
            assert metric(same, maps) == value


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(("value", "found"), [(0, "normal"), (1, "anomalous")])
def test_one_class_gives_nan(metric, value, found):
    message = f"{metric.__name__} needs normal and anomalous pixels, but all are {found}"
    with pytest.warns(UndefinedMetricWarning, match=message) as caught:
        assert math.isnan(metric(np.full((1, 2, 2), value), np.ones((1, 2, 2))))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("metric", METRICS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("masks", "maps", "message"),
    [
        (np.ones((2, 2)), np.ones((2, 2)), r"same shape \(n, H, W\).*found \(2, 2\) and \(2, 2\)"),
        (np.ones((1, 2, 2)), np.ones((2, 2, 2)), r"found \(1, 2, 2\) and \(2, 2, 2\)"),
        (np.ones((0, 2, 2)), np.ones((0, 2, 2)), "not empty"),
        (np.full((1, 2, 2), 255), np.ones((1, 2, 2)), "found values from 255 to 255"),
        (np.full((1, 2, 2), 0.3), np.eye(2)[None], "The masks come first, the maps second"),
        (np.eye(2)[None], np.full((1, 2, 2), np.nan), "maps must be finite"),
        (np.eye(2)[None], np.full((1, 2, 2), np.inf), "maps must be finite"),
    ],
)
def test_bad_input(metric, masks, maps, message):
    with pytest.raises(ValueError, match=message):
        metric(masks, maps)


@pytest.mark.parametrize("limit", [0, -1, 1.1, math.nan])
def test_bad_limit(pixels, limit):
    with pytest.raises(ValueError, match=f"limit must be above 0 and at most 1; found {limit}"):
        aupro(*pixels, limit=limit)
