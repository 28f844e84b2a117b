"""Each corruption does what it says and nothing else, in every shape and dtype of image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from skvae.corruptions import (
    CORRUPTIONS,
    gaussian_noise,
    label_shift,
    noise_patch,
    patch_occlusion,
    pixel_dropout,
    rotation,
    stripes,
)
from skvae.datasets import fetch_mnist

STRENGTHS = {
    "gaussian_noise": 0.3,
    "noise_patch": 0.3,
    "patch_occlusion": 5,
    "pixel_dropout": 0.25,
    "rotation": 30,
    "stripes": 2,
}
PATCH = {"noise_patch": {"size": 4}}
every = pytest.mark.parametrize("name", CORRUPTIONS)


def pictures(n=12, height=9, width=12, seed=0):
    """Grey values of 1 to 254: no corruption of white or black can leave a pixel as it was."""
    return np.random.default_rng(seed).integers(1, 255, (n, height, width), dtype=np.uint8)


def corrupt(name, X, strength=None, **options):
    strength = STRENGTHS[name] if strength is None else strength
    options = {"random_state": 0, **PATCH.get(name, {}), **options}
    return CORRUPTIONS[name](X, strength, **options)


def test_table_names_every_corruption():
    assert {name: f.__name__ for name, f in CORRUPTIONS.items()} == {n: n for n in STRENGTHS}


# -- what all corruptions share -----------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("channel_axis", [None, 1, -1])
def test_shape_dtype_range_and_mask(name, dtype, channel_axis):
    X = pictures()
    if channel_axis is not None:
        X = np.stack([X, 255 - X, X // 2], axis=channel_axis)
    X = X if dtype == np.uint8 else (X / 255).astype(dtype)
    before = X.copy()
    X.setflags(write=False)
    corrupted, mask = corrupt(name, X, return_mask=True)
    np.testing.assert_array_equal(X, before)
    assert corrupted.shape == X.shape and corrupted.dtype == dtype
    assert corrupted.min() >= 0 and corrupted.max() <= (255 if dtype == np.uint8 else 1)
    assert mask.shape == (12, 9, 12) and mask.dtype == bool
    changed = corrupted != X
    np.testing.assert_array_equal(mask, changed if X.ndim == 3 else changed.any(axis=channel_axis))
    assert mask.any(axis=(1, 2)).all() and not np.shares_memory(corrupted, X)
    np.testing.assert_array_equal(corrupt(name, X), corrupted)


@every
def test_seed_and_global_generator(name):
    X, state = pictures(), np.random.get_state()[1].copy()
    same = corrupt(name, X, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(same, corrupt(name, X))
    assert np.array_equal(corrupt(name, X, random_state=1), same) == (name == "rotation")
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@every
def test_strength_zero_changes_nothing(name):
    X = pictures()
    corrupted, mask = corrupt(name, X, 0, return_mask=True)
    np.testing.assert_array_equal(corrupted, X)
    assert not mask.any()


@every
def test_channels_first_last_and_grey_are_corrupted_alike(name):
    X = pictures()
    grey = corrupt(name, X)
    np.testing.assert_array_equal(corrupt(name, X[:, None])[:, 0], grey)
    np.testing.assert_array_equal(corrupt(name, X[..., None])[..., 0], grey)
    np.testing.assert_array_equal(corrupt(name, np.asfortranarray(X)), grey)
    two = np.stack([X, X // 2], axis=1)
    last = np.moveaxis(corrupt(name, np.moveaxis(two, 1, -1)), -1, 1)
    np.testing.assert_array_equal(last, corrupt(name, two))


@every
def test_uint8_and_floats_are_corrupted_alike(name):
    X = pictures()
    floats = corrupt(name, X / 255)
    np.testing.assert_allclose(corrupt(name, X) / 255, floats, atol=0.501 / 255)
    np.testing.assert_allclose(corrupt(name, (X / 255).astype(np.float32)), floats, atol=1e-5)


@every
def test_axis_of_channels_is_told_where_it_cannot_be_seen(name):
    both, neither = np.zeros((2, 3, 6, 4)), np.zeros((2, 5, 6, 7))
    for X, word in ((both, "both"), (neither, "neither")):
        with pytest.raises(
            ValueError, match=f"{word} of axis 1 and -1 is at most 4 long. Set chan"
        ):
            corrupt(name, X, 1)
    strength = 1 if name != "noise_patch" else 0.1
    options = {"size": 3} if name == "noise_patch" else {}
    for X, axis, shape in ((both, 1, (2, 6, 4)), (neither, -1, (2, 5, 6))):
        _, mask = corrupt(name, X, strength, channel_axis=axis, return_mask=True, **options)
        assert mask.shape == shape
    with pytest.raises(ValueError, match="channel_axis must be 1, -1 or None; found 2"):
        corrupt(name, both, strength, channel_axis=2, **options)


@every
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((28, 28)), r"X must hold images.*found the shape \(28, 28\)"),
        (np.zeros((0, 28, 28)), r"found the shape \(0, 28, 28\)"),
        (np.zeros((2, 9, 9), dtype=np.uint16), "found uint16"),
        (np.zeros((2, 9, 9), dtype=bool), "found bool"),
        (np.full((2, 9, 9), 255.0), r"must lie in \[0, 1\]; found values from 255 to 255"),
        (np.full((2, 9, 9), -0.1), "found values from -0.1 to -0.1"),
        (np.full((2, 9, 9), np.nan), "found values from nan to nan"),
    ],
)
def test_bad_images(name, X, message):
    with pytest.raises(ValueError, match=message):
        corrupt(name, X)


X9 = np.zeros((2, 9, 12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pixel_dropout(X9, 1.5), "fraction must be a number from 0 to 1; found 1.5"),
        (lambda: pixel_dropout(X9, math.nan), "fraction must be a number from 0 to 1; found nan"),
        (lambda: gaussian_noise(X9, -1), "sd must be a number of at least 0; found -1"),
        (lambda: noise_patch(X9, "1"), "sd must be a number of at least 0; found '1'"),
        (lambda: noise_patch(X9, size=10), "size must be a whole number from 0 to 9; found 10"),
        (lambda: patch_occlusion(X9, 2.5), "size must be a whole number from 0 to 9; found 2.5"),
        (lambda: patch_occlusion(X9, value=255), "value must be a number from 0 to 1; found 255"),
        (lambda: patch_occlusion(X9, placing="x"), "placing must be 'anywhere', .* found 'x'"),
        (lambda: patch_occlusion(X9, placing=-1), "placing must be .* found -1"),
        (lambda: stripes(X9, 10), "n_stripes must be a whole number from 0 to 9; found 10"),
        (lambda: stripes(X9, direction="row"), "'rows', 'columns' or 'either'; found 'row'"),
        (lambda: rotation(X9, math.inf), "degrees must be a number; found inf"),
    ],
)
def test_bad_parameters(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -- each by itself -----------------------------------------------------------------------------


def test_dropout_has_its_rate_and_takes_all_channels():
    X = np.stack([pictures(100, 30, 30)] * 3, axis=1)
    corrupted, mask = pixel_dropout(X, 0.25, random_state=0, return_mask=True)
    assert mask.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 90_000))
    inside = np.broadcast_to(mask[:, None], X.shape)
    assert (corrupted[inside] == 0).all()
    np.testing.assert_array_equal(corrupted[~inside], X[~inside])
    assert pixel_dropout(X, 1).max() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_has_its_standard_deviation_and_is_clipped(dtype):
    white = 255 if dtype == np.uint8 else 1
    grey = np.full((2100, 8, 8), white // 2 if white == 255 else 0.5, dtype=dtype)
    noise = gaussian_noise(grey, 0.1, random_state=0).astype(float) - grey
    assert noise.std() / white == pytest.approx(0.1, rel=0.02)
    assert noise.mean() / white == pytest.approx(0, abs=0.002)
    assert len(np.unique(noise[:, 0, 0])) > 80  # batches do not repeat each other
    black = gaussian_noise(np.zeros((200, 8, 8), dtype=dtype), 0.3, random_state=0)
    assert (black == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert black.max() > 0.7 * white


def test_patch_is_a_square_of_one_value():
    X = np.full((300, 9, 12), 7, dtype=np.uint8)
    corrupted, mask = patch_occlusion(X, 4, value=0.4, random_state=0, return_mask=True)
    assert (corrupted[mask] == 102).all()
    for image in mask:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert np.ptp(rows) == np.ptp(columns) == 3
        assert image.sum() == 16


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.one_of(st.sampled_from(["anywhere", "centre"]), st.integers(0, 9)),
    st.data(),
)
def test_patches_and_stripes_keep_to_their_place(height, width, placing, data):
    length = data.draw(st.integers(1, min(height, width)))
    options = {"placing": placing, "random_state": 0, "return_mask": True}
    X = np.full((40, height, width), 0.5)
    _, patch = patch_occlusion(X, length, **options)
    assert (patch.sum(axis=(1, 2)) == length**2).all()
    _, rows = stripes(X, length, direction="rows", **options)
    assert (rows.sum(axis=1) == length).all() and (rows.all(axis=2) == rows.any(axis=2)).all()
    _, columns = stripes(X, length, direction="columns", **options)
    assert (columns.sum(axis=2) == length).all()
    for side, used in (
        (height, patch.any(axis=2)),
        (width, patch.any(axis=1)),
        (height, rows.any(axis=2)),
        (width, columns.any(axis=1)),
    ):
        wanted = {"anywhere": 0, "centre": round(side * 3 / 14)}.get(placing, placing)
        margin = min(wanted, (side - length) // 2)
        assert not used[:, :margin].any() and not used[:, side - margin :].any()


def corners(size, placing):
    X = np.ones((4000, 28, 28), dtype=np.float32)
    _, mask = patch_occlusion(X, size, placing=placing, random_state=0, return_mask=True)
    return mask.any(axis=2).argmax(axis=1), mask.any(axis=1).argmax(axis=1)


@pytest.mark.parametrize(
    ("size", "placing", "first", "last"),
    [(8, "centre", 6, 14), (10, "centre", 6, 12), (8, "anywhere", 0, 20), (16, "centre", 6, 6)],
)
def test_every_place_is_drawn_as_often(size, placing, first, last):
    for corner in corners(size, placing):
        counts = np.bincount(corner, minlength=last + 1)
        assert len(counts) == last + 1 and not counts[:first].any()
        expected = 4000 / (last - first + 1)
        assert (abs(counts[first:] - expected) < 5 * np.sqrt(expected)).all()


def test_stripes_run_through_and_either_is_half_and_half():
    X = pictures(2000, 10, 10)
    corrupted, mask = stripes(X, 2, random_state=0, return_mask=True)
    assert (corrupted[mask] == 255).all()
    in_rows = mask.all(axis=2).sum(axis=1) == 2
    in_columns = mask.all(axis=1).sum(axis=1) == 2
    assert (in_rows ^ in_columns).all() and (mask.sum(axis=(1, 2)) == 20).all()
    assert in_rows.mean() == pytest.approx(0.5, abs=0.05)
    off, _ = stripes(X, value=0, direction="rows", random_state=0, return_mask=True)
    assert ((off == 0).all(axis=2).sum(axis=1) == 1).all()
    assert stripes(X, 10, direction="columns").min() == 255


def test_mask_leaves_out_what_was_so_already():
    X = np.zeros((5, 9, 9))
    X[:, 4, 4] = 1
    _, mask = patch_occlusion(X, 9, return_mask=True)
    assert mask.sum() == 5 and mask[:, 4, 4].all()


def test_noise_patch_is_noise_in_a_square_alone():
    X = np.full((500, 12, 12), 0.5)
    noisy, mask = noise_patch(X, 0.1, size=6, random_state=0, return_mask=True)
    assert (mask.sum(axis=(1, 2)) == 36).all()
    assert (noisy[mask] - 0.5).std() == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize("quarters", [-1, 1, 2, 3, 4])
@pytest.mark.parametrize("side", [8, 9])
def test_right_angles_are_exact_and_counterclockwise(quarters, side):
    X = pictures(4, side, side)
    np.testing.assert_array_equal(rotation(X, 90 * quarters), np.rot90(X, quarters, axes=(1, 2)))


def test_rotation_is_bilinear_and_black_outside():
    # A plane stays a plane under bilinear interpolation, so inside it is known in closed form.
    rows, columns = np.mgrid[:21, :21] - 10.0
    angle = np.deg2rad(30)
    plane = lambda r, c: 0.5 + 0.01 * r + 0.02 * c  # noqa: E731
    source = (
        rows * np.cos(angle) + columns * np.sin(angle),
        columns * np.cos(angle) - rows * np.sin(angle),
    )
    inside = np.maximum(*np.abs(source)) <= 10
    outside = np.maximum(*np.abs(source)) >= 11
    rotated = rotation(plane(rows, columns)[None], 30)[0]
    np.testing.assert_allclose(rotated[inside], plane(*source)[inside], atol=1e-12)
    assert (rotated[outside] == 0).all() and outside.any()


# -- label shift --------------------------------------------------------------------------------


def test_label_shift_draws_without_replacement():
    X, y = np.arange(200).reshape(100, 2), np.arange(100) % 10
    rows, labels = label_shift(X, y, [0, 3], 15, random_state=0)
    assert rows.shape == (15, 2) and set(labels) == {0, 3}
    assert len(np.unique(rows[:, 0])) == 15
    np.testing.assert_array_equal(rows[:, 0] // 2 % 10, labels)
    again = label_shift(X, y, np.array([3, 0, 0]), 15, random_state=0)
    np.testing.assert_array_equal(again[0], rows)
    everything, _ = label_shift(X, y, [0, 3], random_state=1)
    np.testing.assert_array_equal(
        np.sort(everything[:, 0] // 2), np.flatnonzero((y == 0) | (y == 3))
    )
    names, words = label_shift(X, np.where(y < 5, "low", "high"), ["low"])
    assert len(names) == 50 and set(words) == {"low"}


@pytest.mark.parametrize(
    ("labels", "n_samples", "message"),
    [
        ([0, 11, 12], None, r"labels must stand in y; not found: \[11, 12\]"),
        ([0], 11, "n_samples must be a whole number from 1 to 10; found 11"),
        ([0], 0, "n_samples must be a whole number from 1 to 10; found 0"),
    ],
)
def test_bad_label_shift(labels, n_samples, message):
    with pytest.raises(ValueError, match=message):
        label_shift(np.zeros((100, 2)), np.arange(100) % 10, labels, n_samples)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        label_shift(np.zeros((3, 2)), [0, 1], [0])


# -- MNIST --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_on_mnist(data_home):
    X = fetch_mnist(data_home).X_test
    untouched = {}
    for placing in ("anywhere", "centre"):
        _, mask = patch_occlusion(X, placing=placing, random_state=0, return_mask=True)
        untouched[placing] = 1 - mask.any(axis=(1, 2)).mean()
    assert 0.12 < untouched["anywhere"] < 0.16 and untouched["centre"] < 0.01

    # The control that the docstring speaks of: interpolation alone looks like rotation.
    def saturated(images):
        return (images > 230).sum(axis=(1, 2)) / (images > 25).sum(axis=(1, 2))

    for degrees in (3, 30):
        scores = -np.concatenate([saturated(X), saturated(rotation(X, degrees))])
        assert roc_auc_score(np.repeat([0, 1], len(X)), scores) > 0.85
