"""What counts as images, in which layouts, and the one error that everything else gets."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from skvae import ConvVAEDetector
from skvae.base._images import as_floats, as_images, validate_images
from skvae.classifiers import CNNClassifier


def pixels(*shape, dtype=np.float32, seed=0):
    rng = np.random.RandomState(seed)
    if dtype == np.uint8:
        return rng.randint(0, 256, shape).astype(np.uint8)
    return rng.rand(*shape).astype(dtype)


def layouts(images):
    """Name -> the same images, of shape (n, C, H, W), as a user may hold them."""
    n, n_channels, height, width = images.shape
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    held = {
        "CHW": (images, None),
        "HWC": (last, None),
        "flat CHW": (images.reshape(n, -1), (n_channels, height, width)),
        "flat HWC": (last.reshape(n, -1), (height, width, n_channels)),
        "a view": (np.moveaxis(images, 1, 3)[:, ::-1][:, ::-1], None),
        "list": (list(images), None),
    }
    if n_channels == 1:
        held["HW"] = images[:, 0], None
        held["flat HW"] = images.reshape(n, -1), (height, width)
    return held


# -- layouts --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_every_layout_is_the_same_tensor_and_comes_back(n_channels, dtype):
    images = pixels(4, n_channels, 6, 5, dtype=dtype)
    for name, (X, image_shape) in layouts(images).items():
        x, layout = as_images(X, image_shape)
        assert x.dtype == (torch.uint8 if dtype == np.uint8 else torch.float32), name
        assert np.array_equal(x.numpy(), images.astype(x.numpy().dtype)), name
        assert layout.shape == (n_channels, 6, 5)
        assert np.array_equal(layout.arrange(images), np.asarray(X)), name
        units = as_floats(x).numpy()
        assert np.allclose(layout.restore(units), np.asarray(X), atol=1e-4), name


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 3),
    n_channels=st.integers(1, 4),
    height=st.integers(5, 9),
    width=st.integers(5, 9),
    seen=st.sampled_from(["CHW", "HWC", "flat CHW", "flat HWC", "list"]),
    new=st.sampled_from(["CHW", "HWC", "list"]),
)
def test_new_images_may_come_in_another_layout(n, n_channels, height, width, seen, new):
    images = pixels(n, n_channels, height, width)
    held = layouts(images)
    _, layout = as_images(*held[seen])
    X = held[new][0]
    x, found = as_images(X, layout=layout)
    assert np.array_equal(x.numpy(), images)
    assert np.array_equal(found.arrange(images), np.asarray(X))


def test_flat_rows_are_read_in_the_order_of_fit():
    images = pixels(4, 3, 6, 5)
    for fitted_on in ("CHW", "HWC", "flat CHW", "flat HWC"):
        held = layouts(images)
        _, layout = as_images(*held[fitted_on])
        rows = held["flat " + fitted_on[-3:]][0]
        assert np.array_equal(as_images(rows, layout=layout)[0].numpy(), images)


def test_uint8_is_kept_and_converted_a_batch_at_a_time():
    X = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    x, layout = as_images(X)
    assert x.data_ptr() == X.ctypes.data, "no copy"
    assert torch.equal(as_floats(x).flatten(), torch.arange(256) / 255)
    assert np.array_equal(layout.restore(as_floats(x).numpy()).round(), X)
    floats = torch.rand(2, 1, 3, 3)
    assert as_floats(floats) is floats


def test_bool_and_other_channel_numbers():
    mask = pixels(3, 5, 5) > 0.5
    assert np.array_equal(as_images(mask)[0].numpy()[:, 0], mask.astype(np.float32))
    X = pixels(2, 12, 20, 20)
    assert as_images(X, (12, 20, 20))[1].shape == (12, 20, 20)
    assert as_images(np.moveaxis(X, 1, 3), (20, 20, 12))[1].shape == (12, 20, 20)


def test_read_only_arrays_are_left_alone(recwarn):
    X = pixels(2, 5, 5, dtype=np.uint8)
    X.flags.writeable = False
    x, _ = as_images(X)
    x += 1
    assert np.array_equal(X, pixels(2, 5, 5, dtype=np.uint8))
    assert not recwarn


# -- tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns, side", [(1, 4), (16, 4), (17, 5), (25, 5)])
def test_rows_without_a_shape_are_a_table(n_columns, side):
    X = 1000 * pixels(6, n_columns, dtype=np.float64) - 500
    x, layout = as_images(X, smallest_side=4)
    assert x.shape == (6, 1, side, side) and layout.is_table
    rows = x.reshape(6, -1)
    assert torch.equal(rows.amin(0), torch.zeros(side * side))
    assert torch.equal(rows[:, :n_columns].amax(0), torch.ones(n_columns))
    assert not rows[:, n_columns:].any()
    np.testing.assert_allclose(layout.restore(x.numpy()), X, rtol=1e-5, atol=1e-3)
    assert layout.arrange(x.numpy()).shape == X.shape
    later, same = as_images(2 * X[:2], layout=layout)
    np.testing.assert_allclose(same.restore(later.numpy()), 2 * X[:2], rtol=1e-5, atol=1e-3)


def test_constant_columns_of_a_table_stay_finite():
    x, layout = as_images(np.full((3, 4), 7.0))
    assert not x.any()
    assert np.array_equal(layout.restore(x.numpy()), np.full((3, 4), 7.0))


def test_images_after_a_table_are_refused():
    _, layout = as_images(pixels(6, 9))
    with pytest.raises(ValueError, match="fit saw a table of 9 columns, but X has shape"):
        as_images(pixels(6, 3, 3), layout=layout)


# -- one clear error ------------------------------------------------------------------------


def with_value(value, dtype=np.float32):
    X = pixels(4, 8, 8, dtype=dtype)
    X[2, 3, 3] = value
    return X


BAD = [
    (pixels(4, 8, 8, 7), None, "of shape (8, 8, 7), with neither 1 to 4 channels first nor last"),
    (pixels(4, 8, 8, 8), None, "may stand first or last"),
    (pixels(4, 2, 8, 8, 3), None, "an image of shape (2, 8, 8, 3) is none of them"),
    (with_value(1.5), None, "X holds 1.5 in image 2, but images are uint8 (0 to 255) or floats"),
    (with_value(-0.5), None, "X holds -0.5 in image 2"),
    (
        255 * pixels(4, 8, 8),
        None,
        "for example by X / X_train.max(), new images by the same number",
    ),
    (with_value(np.nan), None, "X holds nan in image 2"),
    (with_value(np.inf), None, "X holds inf in image 2"),
    (pixels(4, 1, 1), None, "X holds images of 1 x 1 pixels, which is too small: both sides"),
    (pixels(4, 1, 1, 1), None, "X holds images of 1 x 1 pixels"),
    (pixels(4, 8, 3), None, "images of 8 x 3 pixels, which is too small: both sides must have at"),
    ([np.zeros((8, 8)), np.zeros((9, 8))], None, "different sizes: (8, 8) first, (9, 8) at 1"),
    (
        np.ones((4, 8, 8), np.uint16),
        None,
        "X holds uint16; images are uint8 (0 to 255), bool, or floats",
    ),
    (np.ones((4, 64), np.int64), (8, 8), "X holds int64; images are uint8"),
    (pixels(4, 63), (8, 8), "image_shape=(8, 8) is 64 numbers, but X holds images of shape (63,)"),
    (pixels(4, 8, 9), (8, 8), "image_shape=(8, 8) is 64 numbers, but X holds images of"),
    (pixels(4, 64), (64,), "an image of shape (64,) is none of them"),
]


@pytest.mark.parametrize("X, image_shape, message", BAD)
def test_bad_images_are_one_clear_error(X, image_shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        validate_images(BaseEstimator(), X, image_shape=image_shape, smallest_side=4)


@pytest.mark.parametrize("shape", [(0, 8, 8), (0, 3, 8, 8), (0, 64)])
def test_no_images_are_an_error(shape):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        validate_images(BaseEstimator(), np.zeros(shape))


@pytest.mark.parametrize(
    "X, message",
    [
        (pixels(2, 14, 14), "images of 1 x 14 x 14 (channels x height x width), but fit saw 1 x 8"),
        (pixels(2, 3, 8, 8), "images of 3 x 8 x 8 (channels x height x width), but fit saw 1 x 8"),
        (pixels(2, 63), "X has 63 features, but BaseEstimator is expecting 64 features"),
    ],
)
def test_other_images_than_those_of_fit(X, message):
    estimator = BaseEstimator()
    _, layout = validate_images(estimator, pixels(4, 8, 8))
    with pytest.raises(ValueError, match=re.escape(message)):
        validate_images(estimator, X, layout=layout)


def test_features_are_counted_and_named():
    estimator = BaseEstimator()
    frame = pd.DataFrame(pixels(4, 16), columns=[f"pixel {i}" for i in range(16)])
    _, layout = validate_images(estimator, frame, image_shape=(4, 4))
    assert estimator.n_features_in_ == 16
    assert list(estimator.feature_names_in_) == list(frame.columns)
    assert layout.shape == (1, 4, 4) and layout.is_flat
    validate_images(estimator, pixels(4, 5, 5, 3))
    assert estimator.n_features_in_ == 75
    assert not hasattr(estimator, "feature_names_in_")


def test_labels_are_checked_along():
    X = pixels(4, 8, 8)
    images, layout, y = validate_images(BaseEstimator(), X, list("abab"))
    assert images.shape == (4, 1, 8, 8) and list(y) == list("abab")
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        validate_images(BaseEstimator(), X, [0, 1])


# -- words that help -------------------------------------------------------------------------


def test_rounding_beyond_the_range_is_no_mistake():
    images = np.random.RandomState(0).rand(20, 8, 8)
    beyond = images.copy()
    beyond[3, 2, 1], beyond[4, 0, 0] = 1 + 1e-7, -1e-7
    tensor, _ = as_images(beyond)
    assert tensor.min() == 0 and tensor.max() == 1
    with pytest.raises(ValueError, match=r"X holds 1\.00001 in image 3.*MinMaxScaler\(clip=True\)"):
        as_images(np.where(beyond > 1, 1.00001, images))


@pytest.mark.parametrize(
    "X, words",
    [
        (np.zeros((3, 8, 8), np.int64), r'use X\.astype\("uint8"\), else divide'),
        (np.zeros((3, 8, 8), complex), "X holds complex128.*Bring them to numbers first"),
        (np.full((3, 8, 8), np.inf), "X holds inf in image 0.*fill or remove it"),
    ],
)
def test_each_kind_of_wrong_numbers_gets_its_remedy(X, words):
    with pytest.raises(ValueError, match=words):
        as_images(X)


def test_rows_of_images_say_which_image_is_not_finite():
    rows = np.random.RandomState(0).rand(20, 64)
    rows[7, 5] = np.nan
    with pytest.raises(ValueError, match="X holds nan in image 7.*fill or remove it"):
        ConvVAEDetector(image_shape=(8, 8)).fit(rows)


@pytest.mark.parametrize("image_shape", [(8.0, 8.0), (-8, 8), (8,), (1, 1, 8, 8)])
@pytest.mark.parametrize("make", [ConvVAEDetector, CNNClassifier])
def test_image_shape_is_checked(make, image_shape):
    with pytest.raises(ValueError, match="image_shape=.* must hold 2 or 3 integers of at least 1"):
        make(image_shape=image_shape).fit(np.zeros((4, 64)), [0, 1, 0, 1])


def test_image_shape_may_name_the_single_channel():
    images = np.random.RandomState(0).rand(5, 8, 9).astype(np.float32)
    for image_shape in ((1, 8, 9), (8, 9, 1)):
        tensor, layout = as_images(images, image_shape)
        assert layout.axes == "HW" and np.array_equal(tensor[:, 0], images)


def test_masks_as_bytes_are_warned_of():
    masks = np.random.RandomState(0).randint(0, 2, (20, 8, 8)).astype(np.uint8)
    detector = ConvVAEDetector(max_steps=2, channels=(4,), random_state=0)
    with pytest.warns(UserWarning, match=r"holds nothing above 1.*X\.astype\(bool\)"):
        detector.fit(masks)
    detector.fit(masks.astype(bool))


def test_warm_start_from_images_to_a_table():
    images = np.random.RandomState(0).rand(20, 8, 8)
    detector = ConvVAEDetector(max_steps=2, channels=(4,), warm_start=True, random_state=0)
    detector.fit(images)
    with pytest.raises(ValueError, match="X is a table, but warm_start=True.*which saw images"):
        detector.fit(images.reshape(20, 64))
    assert np.isfinite(detector.fit(images).anomaly_score(images)).all()


def test_map_of_a_table_beyond_its_range_is_finite():
    table = np.random.RandomState(0).randn(60, 10)
    detector = ConvVAEDetector(max_steps=5, channels=(4,), random_state=0).fit(table)
    assert np.isfinite(detector.error_map(5 * table)).all()
