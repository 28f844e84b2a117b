"""Displays of images hold what they were given, draw exactly that, and share one scale."""

import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skvae import ConvVAEDetector
from skvae.corruptions import patch_occlusion
from skvae.datasets import load_digits_images
from skvae.plotting import (
    ErrorMapDisplay,
    ImageErrorMapDisplay,
    LatentSpaceDisplay,
    ReconstructionDisplay,
)
from skvae.plotting._images import outline, tile
from skvae.plotting._thumbnails import _spread

matplotlib = pytest.importorskip("matplotlib")
plt = pytest.importorskip("matplotlib.pyplot")

GREY = np.random.default_rng(0).random((3, 5, 4))
COLOR = np.random.default_rng(1).random((3, 5, 4, 3))
ERROR = np.random.default_rng(2).random((3, 5, 4))
CALLS = [  # every display from plain arrays, as a function of ax
    lambda ax: ImageErrorMapDisplay.from_predictions(GREY, GREY / 2, ERROR, ax=ax),
    lambda ax: ReconstructionDisplay.from_predictions(COLOR, COLOR / 2, ax=ax),
    lambda ax: LatentSpaceDisplay.from_predictions(None, np.eye(3), images=GREY, ax=ax),
]


class ImagePCA(BaseEstimator):
    """A detector of images, or of rows of pixels, that takes no training."""

    def __init__(self, image_shape=None):
        self.image_shape = image_shape

    def fit(self, X, y=None):
        self.white_ = 255 if X.dtype == np.uint8 else 1
        self.pca_ = PCA(4, random_state=0).fit(self._rows(X))
        self.threshold_ = float(np.quantile(self.anomaly_score(X), 0.95))
        return self

    def _rows(self, X):
        return X.reshape(len(X), -1) / self.white_

    def transform(self, X):
        return self.pca_.transform(self._rows(X))

    def reconstruct(self, X):
        return self.pca_.inverse_transform(self.transform(X)).reshape(X.shape) * self.white_

    def error_map(self, X):
        return ((X - self.reconstruct(X)) / self.white_) ** 2

    def anomaly_score(self, X):
        return self.error_map(X).reshape(len(X), -1).sum(axis=1)


@pytest.fixture(scope="module")
def digits():
    return load_digits_images()[0][:300]


@pytest.fixture(scope="module")
def detector(digits):
    return ImagePCA().fit(digits)


@pytest.fixture(scope="module")
def conv(digits):
    """Fitted on images, and on rows of pixels."""
    parameters = {"channels": (4, 8), "latent_dim": 3, "max_steps": 10, "random_state": 0}
    return {
        None: ConvVAEDetector(**parameters).fit(digits[:64]),
        (8, 8): ConvVAEDetector(image_shape=(8, 8), **parameters).fit(digits[:64].reshape(64, 64)),
    }


def image_rows(panel, n, height):
    """The images that a panel shows, one below the other, without the gaps."""
    array = np.asarray(panel.get_array())
    step = (len(array) - height) // (n - 1) if n > 1 else height
    return np.stack([array[i * step : i * step + height] for i in range(n)])


def row_texts(display):
    return [label.get_text() for label in display.ax_.get_yticklabels()]


# All displays


@pytest.mark.parametrize("call", CALLS)
def test_draws_on_the_axes_it_is_given_and_on_no_other(call):
    figure, ax = plt.subplots()
    ax.set_title("mine")
    display = call(ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert ax.get_title() == "mine"


@pytest.mark.parametrize("call", CALLS)
def test_makes_one_figure_and_leaves_the_global_settings(call, caplog):
    before = matplotlib.rcParams.copy()
    display = call(None)
    display.figure_.canvas.draw()
    assert plt.get_fignums() == [display.figure_.number]
    assert matplotlib.rcParams == before
    assert not caplog.records, "matplotlib logs limits that it cannot keep"


@pytest.mark.parametrize("call", CALLS)
def test_missing_matplotlib_names_the_extra(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skvae\[plot\]"'):
        call(None)


@pytest.mark.parametrize("display", [ImageErrorMapDisplay, ReconstructionDisplay])
def test_other_estimators_are_refused(display, digits):
    with pytest.raises(NotFittedError):
        display.from_estimator(ImagePCA(), digits)
    with pytest.raises(TypeError, match="`(error_map|reconstruct)`.*PCA"):
        display.from_estimator(PCA(2).fit(digits.reshape(300, -1)), digits)
    assert not plt.get_fignums()


LAYOUTS = [
    (lambda grey, _: grey, None, "grey"),
    (lambda grey, _: grey[:, None], None, "grey"),
    (lambda grey, _: grey[..., None], None, "grey"),
    (lambda grey, _: grey.reshape(3, -1), (5, 4), "grey"),
    (lambda _, color: color, None, "color"),
    (lambda _, color: np.moveaxis(color, 3, 1), None, "color"),
    (lambda _, color: np.moveaxis(color, 3, 1).reshape(3, -1), (3, 5, 4), "color"),
]


@pytest.mark.parametrize(("arrange", "image_shape", "kind"), LAYOUTS)
@pytest.mark.parametrize("in_uint8", [False, True])
def test_any_layout_gives_the_same_picture(arrange, image_shape, kind, in_uint8):
    units = 255 if in_uint8 else 1
    grey, color = (np.round(a * 255) if in_uint8 else a for a in (GREY, COLOR))
    dtype = np.uint8 if in_uint8 else np.float64
    images = arrange(grey.astype(dtype), color.astype(dtype))
    halves = arrange(grey / 2, color / 2)
    expected = {"grey": grey, "color": color}[kind] / units
    display = ReconstructionDisplay(images=images, reconstructions=halves, image_shape=image_shape)
    np.testing.assert_allclose(display.images, expected, rtol=1e-6)
    np.testing.assert_allclose(display.reconstructions, expected / 2, rtol=1e-6)

    errors = arrange(ERROR, np.stack([ERROR, 2 * ERROR, 3 * ERROR], axis=3))
    display = ImageErrorMapDisplay(
        images=images, reconstructions=halves, error_map=errors, image_shape=image_shape
    )
    factor = {"grey": 1, "color": 6}[kind]  # channels are summed
    np.testing.assert_allclose(display.error_map, factor * ERROR, rtol=1e-6)
    plain = ImageErrorMapDisplay(
        images=images, reconstructions=halves, error_map=ERROR, image_shape=image_shape
    )
    np.testing.assert_array_equal(plain.error_map, ERROR)


# ImageErrorMapDisplay


def test_panels_are_the_arrays():
    display = ImageErrorMapDisplay.from_predictions(GREY, GREY[::-1], ERROR, vmax=0.5)
    panels = {name: image_rows(panel, 3, 5) for name, panel in display.panels_.items()}
    assert list(panels) == ["original", "reconstruction", "difference", "error map", "overlay"]
    np.testing.assert_array_equal(panels["original"], GREY)
    np.testing.assert_array_equal(panels["reconstruction"], GREY[::-1])
    np.testing.assert_allclose(panels["difference"], GREY - GREY[::-1])
    np.testing.assert_array_equal(panels["error map"], ERROR)
    np.testing.assert_array_equal(panels["overlay"], ERROR)
    alpha = display.panels_["overlay"].get_alpha()[:5]
    np.testing.assert_allclose(alpha, np.sqrt(np.minimum(ERROR[0] / 0.5, 1)))
    assert display.panels_["difference"].get_clim() == (-1, 1)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(panels)


def test_pixels_of_the_drawn_picture():
    """A black, a white and a grey pixel, and the brightest error, each in its place on paper."""
    images = np.array([[[0.0, 1.0], [0.4, 0.0]]])
    errors = np.array([[[0.0, 9.0], [0.0, 0.0]]])
    display = ImageErrorMapDisplay.from_predictions(
        images, images, errors, vmax=9.0, panels=["original", "error map"], cmap="gray"
    )
    display.figure_.canvas.draw()
    paper = np.asarray(display.figure_.canvas.buffer_rgba())

    def shown(x, y):
        column, row = display.ax_.transData.transform((x, y)).astype(int)
        return tuple(paper[len(paper) - 1 - row, column, :3])

    corners = [(0.5, 0.5), (1.5, 0.5), (0.5, 1.5), (1.5, 1.5)]
    assert [shown(x, y)[0] for x, y in corners] == [0, 255, 102, 0]
    left = display.panels_["error map"].get_extent()[0]
    assert [shown(left + x, y)[0] for x, y in corners] == [0, 255, 0, 0]


def test_one_scale_for_the_set_kept_from_the_reference(detector, digits):
    occluded = patch_occlusion(digits[:6], 4, random_state=0)
    reference = detector.error_map(digits)
    first, second = (
        ImageErrorMapDisplay.from_estimator(detector, X, X_ref=digits)
        for X in (digits[:4], occluded)
    )
    assert first.vmin == second.vmin == 0
    assert first.vmax == second.vmax == np.quantile(reference, 0.999)
    for display in (first, second):
        for panel in ("error map", "overlay"):
            assert display.panels_[panel].get_clim() == (first.vmin, first.vmax)
        assert display.colorbars_["error map"].vmax == first.vmax
    few = second.plot(indices=[2])
    assert few.panels_["error map"].get_clim() == (first.vmin, first.vmax), "also of one image"
    alone = ImageErrorMapDisplay.from_estimator(detector, occluded)
    assert alone.vmax == np.quantile(alone.error_map, 0.999)
    handed = ImageErrorMapDisplay.from_estimator(detector, digits[:2], vmax=alone.vmax)
    assert handed.vmax == alone.vmax


def test_bar_points_on_where_errors_lie_beyond_it():
    beyond = ImageErrorMapDisplay.from_predictions(GREY, GREY, ERROR, vmax=0.2)
    assert beyond.colorbars_["error map"].extend == "max"
    within = ImageErrorMapDisplay.from_predictions(GREY, GREY, ERROR, vmax=2)
    assert within.colorbars_["error map"].extend == "neither"


def test_scale_of_negative_and_of_equal_errors():
    negative = ImageErrorMapDisplay(images=GREY, reconstructions=GREY, error_map=ERROR - 3)
    assert negative.vmin == np.quantile(ERROR - 3, 0.001)
    assert negative.vmax == np.quantile(ERROR - 3, 0.999)
    equal = ImageErrorMapDisplay.from_predictions(GREY, GREY, np.zeros_like(ERROR))
    assert (equal.vmin, equal.vmax) == (0, 1)


def test_smoothing_keeps_the_sum_and_smooths_the_reference_alike(detector, digits):
    plain = ImageErrorMapDisplay.from_estimator(detector, digits[:3], X_ref=digits)
    smooth = ImageErrorMapDisplay.from_estimator(detector, digits[:3], X_ref=digits, smooth=1.5)
    expected = [gaussian_filter(error, 1.5) for error in plain.error_map]
    np.testing.assert_allclose(smooth.error_map, expected)
    np.testing.assert_allclose(smooth.error_map.sum((1, 2)), smooth.scores)
    reference = [gaussian_filter(error, 1.5) for error in detector.error_map(digits)]
    assert smooth.vmax == pytest.approx(np.quantile(reference, 0.999))
    np.testing.assert_array_equal(smooth.scores, plain.scores)


def test_score_threshold_and_verdict_stand_beside_each_image(detector, digits):
    noise = np.random.default_rng(0).integers(0, 256, (1, 8, 8), dtype=np.uint8)
    X = np.concatenate([digits[:1], noise])
    display = ImageErrorMapDisplay.from_estimator(detector, X, image_names=["clean", "noise"])
    scores, threshold = detector.anomaly_score(X), detector.threshold_
    assert row_texts(display) == [
        f"clean\nscore {scores[0]:.4g}\nthreshold {threshold:.4g}\nnormal",
        f"noise\nscore {scores[1]:.4g}\nthreshold {threshold:.4g}\nanomaly",
    ]
    assert display.ax_.get_title() == "ImagePCA"
    assert row_texts(display.plot(indices=[1]))[0].startswith("noise")
    plain = ImageErrorMapDisplay.from_predictions(GREY, GREY, ERROR)
    assert row_texts(plain) == ["image 0", "image 1", "image 2"]
    on_the_edge = ImageErrorMapDisplay.from_predictions(
        GREY[:1], GREY[:1], ERROR[:1], scores=[5.0], threshold=5.0
    )
    assert row_texts(on_the_edge)[0].endswith("normal"), "as predict decides"


def test_masks_are_outlined_on_the_original_and_the_overlay():
    masks = np.zeros((3, 5, 4), dtype=bool)
    masks[1, 2, 1] = True
    display = ImageErrorMapDisplay.from_predictions(GREY, GREY, ERROR, masks=masks)
    original, overlay = (lines.get_segments() for lines in display.outlines_)
    left = display.panels_["overlay"].get_extent()[0]
    np.testing.assert_allclose(np.subtract(overlay, original), np.full((4, 2, 2), (left, 0)))
    (x0, y0), (x1, y1) = np.min(original, (0, 1)), np.max(original, (0, 1))
    assert (x0, y0 - (5 + 1), x1, y1 - (5 + 1)) == (1, 2, 2, 3)  # the second row, a gap of 1
    assert [t.get_text() for t in display.ax_.get_legend().get_texts()] == ["true mask"]
    integers = ImageErrorMapDisplay(
        images=GREY, reconstructions=GREY, error_map=ERROR, masks=masks.astype(int)
    )
    np.testing.assert_array_equal(integers.masks, masks)
    assert display.plot(panels=["error map"]).outlines_ == []
    empty = ImageErrorMapDisplay.from_predictions(GREY, GREY, ERROR, masks=np.zeros_like(masks))
    empty.figure_.canvas.draw()


def test_outline_runs_around_pixels():
    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    edges = outline(ring, left=10)
    assert len(edges) == 12 + 4
    np.testing.assert_array_equal(np.abs(np.diff(edges, axis=1)).sum(2), 1)  # each a pixel long
    assert edges.min() == 0 and edges[..., 0].min() == 10 and edges[..., 0].max() == 13


def test_colours_are_drawn_in_colour_and_their_difference_around_grey():
    display = ImageErrorMapDisplay.from_predictions(COLOR, COLOR[::-1], ERROR)
    original = image_rows(display.panels_["original"], 3, 5)
    np.testing.assert_array_equal(original[..., :3], COLOR)
    assert (original[..., 3] == 1).all() and display.panels_["original"].get_array()[5, 0, 3] == 0
    difference = image_rows(display.panels_["difference"], 3, 5)[..., :3]
    np.testing.assert_allclose(difference, 0.5 + (COLOR - COLOR[::-1]) / 2)
    assert set(display.colorbars_) == {"error map"}


def test_many_channels_are_drawn_as_their_mean():
    images = np.random.default_rng(0).random((2, 7, 9, 8))
    display = ImageErrorMapDisplay.from_predictions(
        images, images, np.ones((2, 9, 8)), image_shape=(7, 9, 8)
    )
    np.testing.assert_allclose(image_rows(display.panels_["original"], 2, 9), images.mean(axis=1))


def test_ten_of_many_are_drawn_and_the_title_says_so(detector, digits):
    display = ImageErrorMapDisplay.from_estimator(detector, digits)
    assert len(row_texts(display)) == 10 and len(display.images) == 300
    assert display.ax_.get_title() == "ImagePCA: 10 of 300 images"


def test_error_map_display_hands_images_on(detector, digits):
    display = ErrorMapDisplay.from_estimator(detector, digits[:2], smooth=1, panels=["error map"])
    assert isinstance(display, ImageErrorMapDisplay) and list(display.panels_) == ["error map"]
    rows = digits.reshape(300, 64)
    by_shape = ImagePCA(image_shape=(8, 8)).fit(rows)
    display = ErrorMapDisplay.from_estimator(by_shape, rows[:2])
    np.testing.assert_allclose(display.images, digits[:2] / 255)
    assert type(ErrorMapDisplay.from_estimator(ImagePCA().fit(rows), rows)) is ErrorMapDisplay


def test_images_are_those_that_the_detector_sees(digits):
    pipeline = make_pipeline(FunctionTransformer(lambda X: 255 - X), ImagePCA()).fit(digits)
    display = ImageErrorMapDisplay.from_estimator(pipeline, digits[:2], X_ref=digits)
    np.testing.assert_allclose(display.images, (255 - digits[:2]) / 255)
    assert display.vmax == np.quantile(pipeline[-1].error_map(255 - digits), 0.999)


@pytest.mark.parametrize(
    ("image_shape", "arrange"),
    [
        (None, lambda X: X),
        (None, lambda X: X[:, None]),
        (None, lambda X: X[..., None] / 255),
        ((8, 8), lambda X: X.reshape(-1, 64)),
        ((8, 8), lambda X: X[:, None]),  # fitted on rows, asked for another layout
    ],
)
def test_pictures_of_a_convolutional_detector(conv, digits, image_shape, arrange):
    detector, X = conv[image_shape], arrange(digits[:4])
    display = ErrorMapDisplay.from_estimator(detector, X, X_ref=arrange(digits[:20]))
    np.testing.assert_allclose(display.images, digits[:4] / 255, rtol=1e-6)
    reconstructed = detector.reconstruct(X).reshape(4, 8, 8) / (255 if X.dtype == np.uint8 else 1)
    np.testing.assert_allclose(display.reconstructions, reconstructed, rtol=1e-6)
    np.testing.assert_array_equal(display.error_map, detector.error_map(X).reshape(4, 8, 8))
    np.testing.assert_array_equal(display.scores, detector.anomaly_score(X))
    assert display.threshold == detector.threshold_
    rows = ReconstructionDisplay.from_estimator(detector, X)
    np.testing.assert_array_equal(rows.reconstructions, display.reconstructions)
    latent = LatentSpaceDisplay.from_estimator(detector, X, images=X)
    np.testing.assert_array_equal(latent.images, display.images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": GREY[0]}, r"with image_shape=.*shape is \(5, 4\) and image_shape is None"),
        ({"images": GREY[:0]}, "non-empty"),
        ({"images": GREY * 300}, "uint8 .* or floats in"),
        ({"images": np.full((3, 5, 4), np.nan)}, "holds nan in image 0"),
        ({"reconstructions": GREY[:, :4]}, r"shape of the images, \(5, 4\) each, but have \(4, 4"),
        ({"reconstructions": GREY[:2]}, "reconstructions has 2 entries for 3 images"),
        ({"reconstructions": GREY * np.inf}, "reconstructions must be finite, but 60 of 60"),
        ({"error_map": ERROR[:, :4]}, "each pixel of the images, 5 x 4, or"),
        ({"error_map": ERROR[:2]}, "error_map has 2 entries for 3 images"),
        ({"reference_map": ERROR[:, 1:]}, "reference_map must have one number for each pixel"),
        ({"masks": ERROR}, "masks must be bool, or 0 and 1"),
        ({"masks": ERROR[:2] > 1}, r"masks must have the shape \(3, 5, 4\), but have \(2, 5, 4\)"),
        ({"masks": ERROR[:, :4] > 1}, r"masks .* but have \(3, 4, 4\)"),
        ({"scores": [1.0]}, "scores has 1 entries for 3 images"),
        ({"image_names": ["a"]}, "image_names must be 3 names, but are 1"),
        ({"smooth": -1}, "smooth must be a number of pixels, 0 or more, not -1"),
        ({"smooth": np.nan}, "0 or more, not nan"),
        ({"vmax": 0.0}, "vmin=0 must be below vmax=0"),
        ({"vmin": 2.0, "vmax": 1.0}, "vmin=2 must be below vmax=1"),
        ({"indices": [3]}, r"positions of images, 0 to 2, but are \[3\]"),
        ({"indices": [-1]}, r"but are \[-1\]"),
        ({"indices": []}, "positions of images"),
        ({"indices": [0.5]}, "positions of images"),
        ({"panels": ["heat"]}, r"panels must be some of original, .*, but are \['heat'\]"),
        ({"panels": []}, "panels must be some of"),
    ],
)
def test_bad_input_is_named_and_leaves_no_figure(change, message):
    given = {"images": GREY, "reconstructions": GREY, "error_map": ERROR} | change
    with pytest.raises(ValueError, match=message):
        ImageErrorMapDisplay.from_predictions(**given)
    assert not plt.get_fignums()


# ReconstructionDisplay


def test_originals_stand_above_reconstructions(detector, digits):
    display = ReconstructionDisplay.from_estimator(detector, digits[:12], n_columns=10)
    canvas = np.asarray(display.image_.get_array())
    pair = 8 + 1 + 8  # a gap of a pixel
    reconstructed = detector.reconstruct(digits[:12]) / 255
    for i, (top, left) in {0: (0, 0), 9: (0, 81), 10: (pair + 2, 0), 11: (pair + 2, 9)}.items():
        original = canvas[top : top + 8, left : left + 8]
        np.testing.assert_allclose(original, digits[i] / 255)
        below = canvas[top + 9 : top + 17, left : left + 8]
        np.testing.assert_allclose(below, np.clip(reconstructed[i], 0, 1))
    assert np.isnan(canvas[pair + 2 :, 18:]).all(), "what is left of the last row stays empty"
    assert display.image_.get_clim() == (0, 1)
    assert row_texts(display) == ["original", "reconstruction"] * 2
    assert display.ax_.get_title() == "ImagePCA"


def test_names_stand_above_the_images_that_are_drawn():
    display = ReconstructionDisplay.from_predictions(
        GREY, GREY, image_names=["a", "b", "c"], indices=[2, 0]
    )
    texts = sorted(display.ax_.texts, key=lambda text: text.get_position()[0])
    assert [text.get_text() for text in texts] == ["c", "a"]
    assert display.ax_.get_title() == "2 of 3 images"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reconstructions": GREY[:2]}, "2 reconstructions for 3 images"),
        ({"n_columns": 0}, "n_columns must be at least 1, not 0"),
        ({"indices": [7]}, "positions of images"),
    ],
)
def test_bad_reconstructions_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        ReconstructionDisplay.from_predictions(**{"images": GREY, "reconstructions": GREY} | change)
    assert not plt.get_fignums()


@pytest.mark.parametrize("n", [1, 3, 4, 5])
def test_tiles_are_in_reading_order(n):
    images = np.arange(n)[:, None, None] * np.ones((1, 2, 3))
    image = tile(images, 2, (1, 2))
    rows = -(-n // 2)
    assert image.shape == (3 * rows - 1, 8)
    found = image[::3, [0, 5]].ravel()
    np.testing.assert_array_equal(found[:n], np.arange(n))
    assert np.isnan(found[n:]).all()
    assert np.isnan(image[:, 3:5]).all() and np.isnan(image[2::3]).all()


# LatentSpaceDisplay


def test_thumbnails_are_the_images_at_their_points_and_never_overlap(detector, digits):
    display = LatentSpaceDisplay.from_estimator(detector, digits, images=digits)
    assert 10 < len(display.thumbnails_) < 300
    boxes = []
    for i, thumbnail in display.thumbnails_.items():
        np.testing.assert_allclose(thumbnail.get_array(), digits[i] / 255)
        left, right, bottom, top = thumbnail.get_extent()
        np.testing.assert_allclose(
            [(left + right) / 2, (bottom + top) / 2], display.coordinates[i], atol=1e-12
        )
        boxes.append((left, bottom, right, top))
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    display.figure_.canvas.draw()
    # Not distorted, not cut off.
    box = next(iter(display.thumbnails_.values())).get_window_extent()
    assert box.width == pytest.approx(box.height)
    (x0, x1), (y0, y1) = display.ax_.get_xlim(), display.ax_.get_ylim()
    boxes = np.array(boxes)
    assert x0 < boxes[:, 0].min() and boxes[:, 2].max() < x1
    assert y0 < boxes[:, 1].min() and boxes[:, 3].max() < y1


def test_frames_have_the_colours_of_the_points(detector, digits):
    y = np.arange(300) % 2
    display = LatentSpaceDisplay.from_estimator(detector, digits, y, images=digits)
    colors = [points.get_facecolor()[0, :3] for points in display.points_]
    for i, frame in zip(display.thumbnails_, display.ax_.patches, strict=True):
        np.testing.assert_allclose(frame.get_edgecolor()[:3], colors[y[i]])
    display = LatentSpaceDisplay.from_estimator(detector, digits, images=digits)
    colors = display.points_[0].to_rgba(display.scores)
    for i, frame in zip(display.thumbnails_, display.ax_.patches, strict=True):
        np.testing.assert_allclose(frame.get_edgecolor(), colors[i])


def test_size_of_thumbnails_and_their_shape():
    latent = np.random.default_rng(0).normal(size=(3, 2))
    display = LatentSpaceDisplay.from_predictions(None, latent, images=COLOR, thumbnail_size=0.1)
    left, right, bottom, top = next(iter(display.thumbnails_.values())).get_extent()
    longest = 0.1 * np.ptp(display.coordinates, axis=0).max()
    assert (right - left, top - bottom) == pytest.approx((0.8 * longest, longest))  # 4 x 5 pixels
    assert LatentSpaceDisplay.from_predictions(None, latent).thumbnails_ == {}


def test_thumbnails_of_points_that_are_all_one():
    display = LatentSpaceDisplay.from_predictions(None, np.ones((3, 2)), images=GREY)
    assert len(display.thumbnails_) == 1
    display.figure_.canvas.draw()


def test_points_are_spread_and_none_that_fits_is_left_out():
    points = np.random.default_rng(0).random((200, 2))
    chosen = _spread(points, 0.2)
    gaps = np.abs(points[:, None] - points[chosen]).max(axis=2)
    assert (gaps.min(axis=1) < 0.2).all(), "every point is near a chosen one"
    between = gaps[chosen] + np.eye(len(chosen))
    assert between.min() >= 0.2
    assert chosen[0] == np.linalg.norm(points - points.mean(axis=0), axis=1).argmax()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"images": GREY[:2]}, "2 coordinates and 2 images for 3 rows"),
        ({"images": GREY, "n_components": 3}, "3 coordinates and 3 images"),
        ({"images": GREY.reshape(3, -1)}, "with image_shape="),
        ({"images": GREY, "thumbnail_size": 0}, "between 0 and 1, not 0"),
    ],
)
def test_bad_images_of_the_latent_space_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        LatentSpaceDisplay.from_predictions(None, np.eye(3), **parameters)
    assert not plt.get_fignums()
