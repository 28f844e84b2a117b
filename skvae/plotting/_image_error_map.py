"""Where images are anomalous: originals, reconstructions and what differs, in one colour scale."""

import numpy as np

from skvae.base._images import smoothed
from skvae.base._road import map_scale
from skvae.plotting._common import (
    ANOMALY_COLOR,
    anomaly_scores,
    axes_or_new,
    beyond,
    finite_array,
    needed,
    set_title,
    unwrap,
)
from skvae.plotting._images import (
    check_indices,
    check_names,
    darkened,
    drawable,
    drawable_difference,
    image_arrays,
    like_images,
    mask_array,
    outline,
    picture_title,
    pixel_maps,
    shape_for,
    tile,
)

PANELS = ("original", "reconstruction", "difference", "error map", "overlay")
_MOST_IMAGES = 10  # drawn unasked
_INCHES = 1.3  # width of an image
# Sky blue, which none of the colour scales holds: seen on black, grey, white, red and yellow.
_MASK_COLOR = "#56B4E9"


class ImageErrorMapDisplay:
    r"""Where images are anomalous: a row for each image, in one colour scale for the whole set.

    A row shows the original, its reconstruction, their difference, the error map, and the error
    map over the original, which is darkened for it. The anomaly score and the threshold stand
    beside it, and the true mask is outlined where it is known. Make one with
    :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    images : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
        Of uint8, or floats in [0, 1]; rows of numbers need ``image_shape``.
    reconstructions : array-like of the shape of ``images``
        In the units of ``images``: 0 to 255 where these are uint8.
    error_map : array-like of shape (n, H, W) or of the shape of ``images``
        One number a pixel, higher = more anomalous, as ``error_map`` of a detector returns it.
        Channels are summed.
    masks : array-like of bool of shape (n, H, W), default=None
        True where a pixel is known to be anomalous.
    scores : array-like of shape (n,), default=None
        Anomaly scores, higher = more anomalous.
    threshold : float, default=None
        Scores above it are anomalies.
    reference_map : array-like of shape (n_reference, H, W) or as ``error_map``, default=None
        Error maps, such as those of training images, that fix the ends of the colour scale. None
        takes ``error_map``.
    vmin, vmax : float, default=None
        Ends of the colour scale. None takes, of all pixels of the reference, the 0.1 % quantile
        or zero, whichever is lower, and the 99.9 % quantile. Pass those of one display to another
        to compare the two.
    smooth : float, default=0
        Standard deviation in pixels of a Gaussian that smooths the error map and that of the
        reference; the sum over an image stays. 0 does not smooth.
    image_names : sequence of str of length n, default=None
        None writes the position of the image.
    image_shape : tuple, default=None
        (H, W), (C, H, W) or (H, W, C).
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    images, reconstructions : ndarray of float64 of shape (n, H, W) or (n, H, W, C)
        In [0, 1], as far as the reconstructions are.
    error_map : ndarray of float64 of shape (n, H, W)
        Smoothed.
    masks, scores, threshold, image_names, name
        As given, the arrays as bool and float64.
    vmin, vmax : float
        Ends of the colour scale.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    panels_ : dict of str to matplotlib AxesImage
        Each column of the picture is one image: all rows have the same colour scale.
    outlines_ : list of matplotlib LineCollection
        Of the masks, one for each column that shows them.
    colorbars_ : dict of str to matplotlib Colorbar
        Of "difference" (of grey images) and "error map".

    See Also
    --------
    ReconstructionDisplay : Many images above their reconstructions.
    skvae.metrics.pixel_roc_auc : How well error maps find masks.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.plotting import ImageErrorMapDisplay
    >>> images = np.random.default_rng(0).random((2, 8, 8))
    >>> display = ImageErrorMapDisplay.from_predictions(
    ...     images, images / 2, (images / 2) ** 2, scores=[1.0, 7.0], threshold=5.0
    ... )
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['image 0\nscore 1\nthreshold 5\nnormal', 'image 1\nscore 7\nthreshold 5\nanomaly']
    """

    def __init__(
        self,
        *,
        images,
        reconstructions,
        error_map,
        masks=None,
        scores=None,
        threshold=None,
        reference_map=None,
        vmin=None,
        vmax=None,
        smooth=0.0,
        image_names=None,
        image_shape=None,
        name=None,
    ):
        self.images, layout = image_arrays(images, image_shape)
        self.reconstructions = like_images(reconstructions, layout, "reconstructions")
        self.error_map = smoothed(pixel_maps(error_map, layout, "error_map"), smooth, (1, 2))
        self.masks = None if masks is None else mask_array(masks, self.images.shape[:3])
        self.scores = None if scores is None else finite_array(scores, 1, "scores")
        self.threshold = threshold
        self.image_names = check_names(image_names, len(self.images))
        self.name = name
        self._check_lengths()
        if reference_map is None:
            reference = self.error_map
        else:
            reference = smoothed(pixel_maps(reference_map, layout, "reference_map"), smooth, (1, 2))
        self.vmin, self.vmax = _limits(reference, vmin, vmax)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        masks=None,
        X_ref=None,
        vmin=None,
        vmax=None,
        smooth=0.0,
        image_names=None,
        image_shape=None,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Draw images, ``reconstruct`` and ``error_map`` of them, and their scores.

        Parameters
        ----------
        estimator : fitted detector of skvae
            Also inside a pipeline or a search; the images are then those that the detector sees.
        X : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
            Of uint8, or floats in [0, 1].
        masks : array-like of bool of shape (n, H, W), default=None
            True where a pixel is known to be anomalous.
        X_ref : array-like like ``X``, default=None
            Images whose error maps fix the colour scale, such as those of the training: every
            picture drawn with the same ones has the same scale. None takes ``X``.
        vmin, vmax : float, default=None
            Ends of the colour scale, as in :class:`ImageErrorMapDisplay`.
        smooth : float, default=0
            Standard deviation in pixels of a Gaussian that smooths the error maps.
        image_names : sequence of str of length n, default=None
            None writes the position of the image.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where X holds rows of numbers. None takes that of the
            detector.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ImageErrorMapDisplay
            Drawn.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the estimator has no ``error_map`` or no ``reconstruct``.
        ValueError
            If X holds no images, or the masks do not fit them.
        """
        detector, seen, _ = unwrap(estimator, X)
        error_map = needed(detector, "error_map", cls.__name__)
        reference_map = None if X_ref is None else error_map(unwrap(estimator, X_ref)[1])
        return cls.from_predictions(
            seen,
            needed(detector, "reconstruct", cls.__name__)(seen),
            error_map(seen),
            masks=masks,
            scores=anomaly_scores(detector, seen, cls.__name__),
            threshold=getattr(detector, "threshold_", None),
            reference_map=reference_map,
            vmin=vmin,
            vmax=vmax,
            smooth=smooth,
            image_names=image_names,
            image_shape=image_shape or shape_for(detector, seen),
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **plot_parameters,
        )

    @classmethod
    def from_predictions(
        cls,
        images,
        reconstructions,
        error_map,
        *,
        masks=None,
        scores=None,
        threshold=None,
        reference_map=None,
        vmin=None,
        vmax=None,
        smooth=0.0,
        image_names=None,
        image_shape=None,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Draw images, reconstructions and error maps that are there already.

        Parameters
        ----------
        images, reconstructions, error_map : array-like of images
            As in :class:`ImageErrorMapDisplay`, and so are all others to ``name``.
        masks : array-like of bool of shape (n, H, W), default=None
            True where a pixel is known to be anomalous.
        scores : array-like of shape (n,), default=None
            Anomaly scores, higher = more anomalous.
        threshold : float, default=None
            Scores above it are anomalies.
        reference_map : array-like of images, default=None
            Error maps that fix the ends of the colour scale.
        vmin, vmax : float, default=None
            Ends of the colour scale.
        smooth : float, default=0
            Standard deviation in pixels of a Gaussian that smooths the error maps.
        image_names : sequence of str of length n, default=None
            None writes the position of the image.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where images are rows of numbers.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ImageErrorMapDisplay
            Drawn.

        Raises
        ------
        ValueError
            If there are no images, or what is given does not fit them.
        """
        display = cls(
            images=images,
            reconstructions=reconstructions,
            error_map=error_map,
            masks=masks,
            scores=scores,
            threshold=threshold,
            reference_map=reference_map,
            vmin=vmin,
            vmax=vmax,
            smooth=smooth,
            image_names=image_names,
            image_shape=image_shape,
            name=name,
        )
        return display.plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, indices=None, panels=PANELS, cmap="inferno"):
        """Draw a row of panels for each image.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        indices : sequence of int, default=None
            Positions of the images to draw. None draws the first 10. The colour scale does not
            depend on it.
        panels : sequence of str, default=all, in this order
            Columns: "original", "reconstruction", "difference" (original - reconstruction, from
            -1 to 1), "error map", "overlay".
        cmap : str or Colormap, default="inferno"
            Colours of the error map.

        Returns
        -------
        self : ImageErrorMapDisplay

        Raises
        ------
        ValueError
            If there is no such image or panel.
        """
        indices = check_indices(indices, len(self.images), _MOST_IMAGES)
        unknown = [panel for panel in panels if panel not in PANELS]
        if unknown or not len(panels) or len(set(panels)) < len(panels):
            raise ValueError(
                f"panels must be some of {', '.join(PANELS)}, each once, but are {list(panels)}."
            )
        n_drawn, (height, width) = len(indices), self.images.shape[1:3]
        gap = 1 + height // 10
        left, bottom = 1.12 * width * np.arange(len(panels)), n_drawn * (height + gap) - gap
        right = left[-1] + width
        ax = axes_or_new(ax, figsize=np.array([right, bottom]) * _INCHES / width + (1.6, 2.0))

        self.panels_, self.colorbars_, self.outlines_ = {}, {}, []
        for panel, x in zip(panels, left, strict=True):
            where = {"extent": (x, x + width, bottom, 0), "interpolation": "nearest"}
            self.panels_[panel] = self._draw_panel(ax, panel, indices, gap, cmap, where)
            if self.masks is not None and panel in ("original", "overlay"):
                self._draw_outlines(ax, indices, x, height + gap)
            x, y = x + 0.08 * width, -0.18 * width  # 0.16 of the width free: ends have numbers
            below = np.array([x, y, 0.84 * width, 0.08 * width]) / [right, bottom, right, bottom]
            self._draw_colorbar(ax, panel, below)
        ax.set(xlim=(0, right), ylim=(bottom, 0))
        ax.set_xticks(left + width / 2, panels)
        ax.set_yticks(np.arange(n_drawn) * (height + gap) + height / 2, self._row_texts(indices))
        ax.tick_params(length=0, labeltop=True, labelbottom=False)
        for label, i in zip(ax.get_yticklabels(), indices, strict=True):
            label.set_color(ANOMALY_COLOR if self._is_anomaly(i) else "black")
        ax.spines[:].set_visible(False)
        if self.outlines_:
            below = {"loc": "upper left", "bbox_to_anchor": (0, -0.05 * width / bottom)}
            ax.legend([self.outlines_[0]], ["true mask"], frameon=False, borderpad=0, **below)
        set_title(ax, picture_title(self.name, n_drawn, len(self.images)))
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_panel(self, ax, panel, indices, gap, cmap, where):
        def draw(arrays, **parameters):
            return ax.imshow(tile(arrays, 1, (gap, 0)), **where, **parameters)

        images = drawable(self.images[indices])
        reconstructions = drawable(self.reconstructions[indices])
        grey = {"cmap": "gray", "vmin": 0, "vmax": 1}
        if panel == "original":
            return draw(images, **grey)
        if panel == "reconstruction":
            return draw(reconstructions, **grey)
        if panel == "difference":
            return draw(
                drawable_difference(images, reconstructions), cmap="RdBu_r", vmin=-1, vmax=1
            )
        errors = self.error_map[indices]
        scale = {"cmap": cmap, "vmin": self.vmin, "vmax": self.vmax}
        if panel == "error map":
            return draw(errors, **scale)
        draw(darkened(images), **grey)
        # The root lets the middle of the scale be seen as well.
        opacity = np.sqrt(np.clip((errors - self.vmin) / (self.vmax - self.vmin), 0, 1))
        return draw(errors, alpha=np.nan_to_num(tile(opacity, 1, (gap, 0))), **scale)

    def _draw_colorbar(self, ax, panel, below):
        image, extend = self.panels_[panel], "neither"
        if panel == "difference" and image.get_array().ndim == 3:
            middle = (below[0] + below[2] / 2, below[1] + below[3])
            text = "grey: no\ndifference"
            ax.text(*middle, text, transform=ax.transAxes, ha="center", va="top")
            return
        if panel == "difference":
            label = "original \N{MINUS SIGN}\nreconstruction"
        elif panel == "error map":
            label = "error of\neach pixel"
            extend = beyond(self.error_map, self.vmin, self.vmax)
        else:
            return
        bar = ax.figure.colorbar(
            image, cax=ax.inset_axes(below), orientation="horizontal", label=label, extend=extend
        )
        bar.ax.locator_params(nbins=3)
        self.colorbars_[panel] = bar

    def _draw_outlines(self, ax, indices, left, step):
        from matplotlib.collections import LineCollection

        edges = [outline(self.masks[i], left, row * step) for row, i in enumerate(indices)]
        lines = LineCollection(np.concatenate(edges), colors=_MASK_COLOR, linewidths=1.2)
        self.outlines_.append(ax.add_collection(lines))

    def _is_anomaly(self, i):
        return (
            self.scores is not None
            and self.threshold is not None
            and (self.scores[i] > self.threshold)
        )

    def _row_texts(self, indices):
        """What stands beside each image: its name, its score, the threshold, what follows."""
        texts = []
        for i in indices:
            lines = [f"image {i}" if self.image_names is None else self.image_names[i]]
            if self.scores is not None:
                lines.append(f"score {self.scores[i]:.4g}")
            if self.scores is not None and self.threshold is not None:
                lines.append(f"threshold {self.threshold:.4g}")
                lines.append("anomaly" if self._is_anomaly(i) else "normal")
            texts.append("\n".join(lines))
        return texts

    def _check_lengths(self):
        for what in ("reconstructions", "error_map", "scores"):
            values = getattr(self, what)
            if values is not None and len(values) != len(self.images):
                raise ValueError(f"{what} has {len(values)} entries for {len(self.images)} images.")


def _limits(reference, vmin, vmax):
    """Ends of the colour scale: a few pixels of the reference may lie beyond them."""
    low, high = map_scale(reference)
    vmin = low if vmin is None else float(vmin)
    if vmax is None:
        vmax = high if high > vmin else vmin + 1.0
    if vmin >= vmax:
        raise ValueError(f"vmin={vmin:.4g} must be below vmax={vmax:.4g}.")
    return vmin, float(vmax)
