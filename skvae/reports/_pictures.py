"""Pictures of single rows and images, and of all scores."""

import io
import warnings

import numpy as np

from skvae._optional import require
from skvae.plotting import ErrorMapDisplay, ImageErrorMapDisplay, ScoreHistogramDisplay
from skvae.plotting._common import as_png, unseen_figure
from skvae.plotting._image_error_map import PANELS
from skvae.reports._judged import map_caveat

MOST_FEATURES = 10
OF_RECONSTRUCTIONS = ("reconstruction", "difference")
_DPI = 110
_IMAGE_INCHES = (11, 2.9)
_ROW_INCHES = (7, 4)
_HISTOGRAM_INCHES = (9, 4.6)


def _png(figure):
    """The bytes of a PNG file of a figure."""
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables have it right.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        return as_png(figure, _DPI)


def image_pictures(detector, images, names):
    """For each image a PNG of original, reconstruction, difference, error map and overlay.

    The colours of the error maps mean the same in all of them, and in those of other inputs: their
    scale is that of the training.

    Yields
    ------
    picture, original, error_map : bytes
        PNG files: the whole picture; the image alone and its error map alone.
    """
    error_map = np.asarray(detector.error_map(images))
    reconstructs = hasattr(detector, "reconstruct")
    panels = PANELS if reconstructs else [each for each in PANELS if each not in OF_RECONSTRUCTIONS]
    low, high = detector.error_map_scale_
    display = ImageErrorMapDisplay(
        images=np.asarray(images),
        reconstructions=detector.reconstruct(images) if reconstructs else np.asarray(images),
        error_map=error_map,
        scores=detector.anomaly_score(images),
        threshold=detector.threshold_,
        vmin=low,
        vmax=high,
        image_names=[as_drawn(name) for name in names],
        image_shape=_image_shape(detector, images),
    )
    for i in range(len(images)):
        figure = unseen_figure(layout="tight", figsize=_IMAGE_INCHES)
        display.plot(figure.subplots(), indices=[i], panels=panels)
        figure.axes[0].set_title("")
        _say_caveat(figure, detector, "image")
        yield (
            _png(figure),
            _plain_png(display.images[i], "gray", 0, 1),
            _plain_png(display.error_map[i], "inferno", low, high),
        )


def row_picture(detector, name, errors, feature_names):
    """PNG of the errors of the features of one row, the largest on top."""
    low, high = detector.error_map_scale_
    figure = unseen_figure(layout="tight", figsize=_ROW_INCHES)
    display = ErrorMapDisplay(
        error_map=errors[None],
        feature_names=[as_drawn(each) for each in feature_names],
        row_names=[as_drawn(name)],
    )
    high = max(high, 1.05 * errors.max())
    display.plot(
        figure.subplots(), row=0, top_k=MOST_FEATURES, vmin=min(low, 1.05 * errors.min()), vmax=high
    )
    _say_caveat(figure, detector, "row")
    return _png(figure)


def _say_caveat(figure, detector, one):
    """Write above a picture what its error map does not say."""
    caveat = map_caveat(detector, one)
    if caveat:
        figure.suptitle(caveat.replace("; ", ";\n"), fontsize="small")


def histogram(detector, scores, many, is_anomaly=None):
    """PNG: the scores of the training above those of the ``many`` judged, on one axis."""
    figure = unseen_figure(layout="tight", figsize=_HISTOGRAM_INCHES)
    training = detector.calibration_scores_
    axes = figure.subplots(2, sharex=True)
    threshold = detector.threshold_
    both = np.r_[training, scores]
    scale = ScoreHistogramDisplay(scores=both, threshold=threshold)._check_plot(50, "count", "auto")
    kind = "held out of the training" if detector.calibration_is_held_out_ else "of the training"
    ScoreHistogramDisplay(scores=training, threshold=threshold, name=f"Scores {kind}").plot(
        axes[0], x_scale=scale
    )
    ScoreHistogramDisplay(
        scores=scores, is_anomaly=is_anomaly, threshold=threshold, name="Scores of this input"
    ).plot(axes[1], x_scale=scale)
    axes[0].set_xlabel("")
    for ax in axes:
        ax.set_ylabel(many)
        ax.yaxis.get_major_locator().set_params(integer=True)
        for label in ax.get_legend().get_texts():
            label.set_text(label.get_text().replace("all rows", f"all {many}"))
    return _png(figure)


def as_drawn(text):
    """Text that matplotlib draws as it stands: no formula between dollars, no odd characters."""
    text = "".join(
        each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text)
    )
    return text.replace("$", r"\$")


def _image_shape(detector, images):
    return getattr(detector, "image_shape", None) if np.ndim(images) == 2 else None


def _plain_png(pixels, cmap, low, high):
    require("matplotlib", extra="plot", what="A picture")
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    if pixels.ndim == 3:
        pixels = np.clip(pixels, 0, 1)
        if pixels.shape[2] not in (3, 4):
            pixels = pixels.mean(2)
    imsave(buffer, pixels, format="png", cmap=cmap, vmin=low, vmax=high)
    return buffer.getvalue()
