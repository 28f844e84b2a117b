"""The latent means of a detector in two or three dimensions."""

import math

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.utils.validation import column_or_1d

from skvae.metrics import anomaly_labels
from skvae.plotting._common import (
    ANOMALY_COLOR,
    NORMAL_COLOR,
    anomaly_scores,
    axes_or_new,
    finite_array,
    label_array,
    needed,
    set_title,
    unwrap,
)
from skvae.plotting._images import drawable, image_arrays, shape_for
from skvae.plotting._thumbnails import draw_thumbnails

# Those of one marker, and then of the next: so 80 classes can be told apart.
_CLASS_COLORS = [f"C{i}" for i in range(10)]
_CLASS_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
_MISSING_COLOR = "0.5"
# Names of more classes than this stand beside the picture, so many in a column.
_LEGEND_ROWS = 20


class LatentSpaceDisplay:
    """The latent means of a detector, projected on their first two or three principal components.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    coordinates : array-like of shape (n_samples, 1), (n_samples, 2) or (n_samples, 3)
        Projected latent means. One column is drawn against the score or, without scores, the
        number of the row.
    explained_variance_ratio : array-like of shape (n_columns,)
        Share of the variance of the latent means along each coordinate, in [0, 1].
    is_anomaly : array-like of bool of shape (n_samples,), default=None
        True for an anomaly.
    classes : array-like of shape (n_samples,), default=None
        Labels of any other kind, such as digits, at most 80 distinct ones. None, NaN and pandas.NA
        are drawn as grey crosses, "missing".
    scores : array-like of shape (n_samples,), default=None
        Anomaly scores, higher = more anomalous.
    images : array-like of shape (n_samples, H, W), (n_samples, C, H, W), (n_samples, H, W, C) or \
(n_samples, n_features), default=None
        What the points stand for, to draw some of them in their places: uint8 or floats in [0, 1].
        Rows of numbers need ``image_shape``. Two coordinates only.
    image_shape : tuple, default=None
        (H, W), (C, H, W) or (H, W, C).
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    coordinates, explained_variance_ratio, is_anomaly, classes, scores, images, name
        As given, the arrays as float64 and bool; images in [0, 1], channels last.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    points_ : list of matplotlib PathCollection
        Normal and anomalous points, or those of each class, or all of them.
    colorbar_ : matplotlib Colorbar or None
        Of the scores.
    thumbnails_ : dict of int to matplotlib AxesImage
        Position in ``images`` to the thumbnail drawn of it.

    See Also
    --------
    skvae.VAEDetector.transform : The latent means.

    Examples
    --------
    >>> from skvae.plotting import LatentSpaceDisplay
    >>> display = LatentSpaceDisplay(
    ...     coordinates=[[0.0, 1.0], [1.0, 0.0]], explained_variance_ratio=[0.7, 0.2]
    ... ).plot()
    >>> display.ax_.get_xlabel()
    'PC 1 of the latent means (70 % of variance)'
    """

    def __init__(
        self,
        *,
        coordinates,
        explained_variance_ratio,
        is_anomaly=None,
        classes=None,
        scores=None,
        images=None,
        image_shape=None,
        name=None,
    ):
        self.coordinates = finite_array(coordinates, 2, "coordinates")
        n_rows, n_columns = self.coordinates.shape
        self.explained_variance_ratio = finite_array(
            explained_variance_ratio, 1, "explained_variance_ratio"
        )
        if n_columns > 3 or len(self.explained_variance_ratio) != n_columns:
            raise ValueError(
                "coordinates must have 1, 2 or 3 columns and explained_variance_ratio a value "
                f"for each, but they have the shapes {self.coordinates.shape} and "
                f"{self.explained_variance_ratio.shape}."
            )
        self.is_anomaly = label_array(is_anomaly, n_rows)
        self.classes = None if classes is None else column_or_1d(_as_objects(classes))
        if self.classes is not None:
            self._check_classes(n_rows)
        self.scores = None if scores is None else finite_array(scores, 1, "scores")
        if self.scores is not None and len(self.scores) != n_rows:
            raise ValueError(f"There are {len(self.scores)} scores for {n_rows} rows.")
        self.images = None if images is None else image_arrays(images, image_shape)[0]
        if self.images is not None and (len(self.images) != n_rows or n_columns != 2):
            raise ValueError(
                "images can be drawn at two coordinates, one image for each row, but there are "
                f"{n_columns} coordinates and {len(self.images)} images for {n_rows} rows."
            )
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        images=None,
        image_shape=None,
        n_components=2,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Encode ``X`` with a fitted detector, project the latent means and draw them.

        Parameters
        ----------
        estimator : fitted detector of skvae
            Also inside a pipeline or a search.
        X : array-like of shape (n_samples, n_features), or images
            Rows to encode.
        y : array-like of shape (n_samples,), default=None
            Labels, {+1, -1} with -1 an anomaly, or {0, 1} or bool with 1 an anomaly; or classes
            of any other kind. They colour the points; without them the anomaly score does.
        images : array-like of images, default=None
            What the points stand for, as in :class:`LatentSpaceDisplay`; ``images=X`` where X holds
            images.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where images are rows of numbers. None takes that of the
            detector.
        n_components : {2, 3}, default=2
            Number of axes of the picture.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw, with ``projection="3d"`` for three components. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : LatentSpaceDisplay
            Drawn.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If there are fewer than two rows, or ``n_components=3`` and fewer latent dimensions, or
            ``y`` holds more than 80 classes.
        """
        detector, X, _ = unwrap(estimator, X)
        return cls.from_predictions(
            y,
            needed(detector, "transform", cls.__name__)(X),
            scores=anomaly_scores(detector, X, cls.__name__),
            images=images,
            image_shape=image_shape or shape_for(detector, images),
            n_components=n_components,
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **plot_parameters,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true,
        latent,
        *,
        scores=None,
        images=None,
        image_shape=None,
        n_components=2,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Project latent means that are there already and draw them.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or None
            As ``y`` of :meth:`from_estimator`.
        latent : array-like of shape (n_samples, latent_dim)
            Latent means, as ``transform`` returns them.
        scores : array-like of shape (n_samples,), default=None
            Anomaly scores, higher = more anomalous.
        images : array-like of images, default=None
            What the points stand for, as in :class:`LatentSpaceDisplay`.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where images are rows of numbers.
        n_components : {2, 3}, default=2
            Number of axes of the picture.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Where to draw, with ``projection="3d"`` for three components. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : LatentSpaceDisplay
            Drawn.

        Raises
        ------
        ValueError
            If there are fewer than two rows, or ``n_components=3`` and fewer latent dimensions.

        Examples
        --------
        >>> import numpy as np
        >>> from skvae.plotting import LatentSpaceDisplay
        >>> latent = np.random.default_rng(0).normal(size=(50, 4))
        >>> display = LatentSpaceDisplay.from_predictions(None, latent, n_components=3)
        >>> display.coordinates.shape
        (50, 3)
        """
        latent = finite_array(latent, 2, "The latent means")
        n_rows, latent_dim = latent.shape
        if n_components not in (2, 3):
            raise ValueError(f"n_components must be 2 or 3, not {n_components!r}.")
        if n_components == 3 and latent_dim < 3:
            raise ValueError(
                f"n_components=3 needs at least 3 latent dimensions, found {latent_dim}; "
                "use n_components=2."
            )
        if n_rows < n_components:
            raise ValueError(f"n_components={n_components} needs as many rows, found {n_rows}.")
        pca = PCA(min(n_components, latent_dim), svd_solver="full")
        with np.errstate(invalid="ignore"):  # latent means that are all equal explain 0 / 0
            coordinates = pca.fit_transform(latent)
        display = cls(
            coordinates=coordinates,
            explained_variance_ratio=np.nan_to_num(pca.explained_variance_ratio_),
            scores=scores,
            images=images,
            image_shape=image_shape,
            name=name,
            **_labels(y_true),
        )
        return display.plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, color_by="auto", thumbnail_size=0.07, **scatter_parameters):
        """Draw the points, and thumbnails of some of them where there are images.

        Thumbnails have frames in the colour of their point. They are spread over the picture,
        beginning with the point farthest from the centre, until no more fit without overlap.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, with ``projection="3d"`` for three coordinates. None makes a new figure.
        color_by : {"auto", "label", "score", None}, default="auto"
            What colours the points. "auto" takes labels if there are any, else scores if there
            are any. The colours of scores end at their 99th percentile.
        thumbnail_size : float, default=0.07
            Longer side of a thumbnail, as a share of the longer side of the picture.
        **scatter_parameters
            Passed to ``ax.scatter``, such as ``s`` and ``alpha``.

        Returns
        -------
        self : LatentSpaceDisplay

        Raises
        ------
        ValueError
            If ``color_by`` asks for what is not held, ``thumbnail_size`` is not between 0 and 1,
            or ``ax`` has the wrong projection.
        """
        color_by = self._check_color_by(color_by)
        if not 0 < thumbnail_size < 1:
            raise ValueError(f"thumbnail_size must be between 0 and 1, not {thumbnail_size!r}.")
        is_3d = self.coordinates.shape[1] == 3
        if ax is not None and (ax.name == "3d") != is_3d:
            raise ValueError(
                f"{self.coordinates.shape[1]} coordinates cannot be drawn on an axes with the "
                f"projection {ax.name!r}; "
                + ("make it with projection='3d'." if is_3d else "give a plain one.")
            )
        figsize = None if self.images is None else (8.0, 6.4)  # larger: room for thumbnails
        ax = axes_or_new(ax, "3d" if is_3d else None, figsize)
        if is_3d:
            ax.locator_params(nbins=5)  # the numbers along slanted axes run into each other
        columns, labels = self._columns_and_labels()
        alpha = 1.0 if color_by == "score" else 0.7  # see-through points would not match the bar
        scatter_parameters = {"s": 15, "alpha": alpha} | scatter_parameters
        self.points_, self.colorbar_ = [], None
        if color_by == "label":
            self._scatter_by_label(ax, columns, scatter_parameters)
        elif color_by == "score":
            self._scatter_by_score(ax, columns, scatter_parameters)
        else:
            self.points_.append(ax.scatter(*columns.T, color=NORMAL_COLOR, **scatter_parameters))
        ax.set(**dict(zip(("xlabel", "ylabel", "zlabel"), labels, strict=False)))
        self.thumbnails_ = {}
        if self.images is not None:
            self.thumbnails_ = draw_thumbnails(
                ax, self.coordinates, drawable(self.images), self._colors(color_by), thumbnail_size
            )
        set_title(ax, self.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _colors(self, color_by):
        """Return the colour of each point."""
        if color_by == "score":
            return self.points_[0].to_rgba(self.scores)
        if color_by == "label" and self.classes is not None:
            codes = self._codes()[0]
            colors = np.array(_CLASS_COLORS, dtype=object)[codes % len(_CLASS_COLORS)]
            return np.where(codes < 0, _MISSING_COLOR, colors)
        is_anomaly = self.is_anomaly if color_by == "label" else np.zeros(len(self.coordinates))
        return np.where(is_anomaly, ANOMALY_COLOR, NORMAL_COLOR)

    def _check_classes(self, n_rows):
        if len(self.classes) != n_rows:
            raise ValueError(f"There are {len(self.classes)} classes for {n_rows} rows.")
        n_classes, most = len(self._codes()[1]), len(_CLASS_COLORS) * len(_CLASS_MARKERS)
        if n_classes > most:
            raise ValueError(
                f"The labels hold {n_classes} distinct values, of which {most} at most can be told "
                "apart: join some, or leave them out, so that the scores colour the points."
            )

    def _check_color_by(self, color_by):
        labels = self.is_anomaly if self.classes is None else self.classes
        held = {"label": labels, "score": self.scores, None: True}
        if color_by == "auto":
            return next(kind for kind, values in held.items() if values is not None)
        if color_by not in held:
            raise ValueError(
                f"color_by must be 'auto', 'label', 'score' or None, not {color_by!r}."
            )
        if held[color_by] is None:
            raise ValueError(f"color_by={color_by!r}, but this display holds no {color_by}s.")
        return color_by

    def _columns_and_labels(self):
        """Return what is drawn along each axis and what is written there."""
        # The slanted axes of a 3-D picture have no room for more.
        what = "" if self.coordinates.shape[1] == 3 else " of the latent means"
        labels = [
            f"PC {i}{what} ({100 * ratio:.0f} % of variance)"
            for i, ratio in enumerate(self.explained_variance_ratio, start=1)
        ]
        if len(labels) > 1:
            return self.coordinates, labels
        if self.scores is not None:
            second, label = self.scores, "anomaly score (higher = more anomalous)"
        else:
            second, label = np.arange(len(self.coordinates)), "row"
        return np.column_stack([self.coordinates, second]), [*labels, label]

    def _codes(self):
        """The number of the class of each row, -1 where it is missing, and the classes."""
        codes, classes = pd.factorize(self.classes)
        try:
            order = np.argsort(classes, kind="stable")
        except TypeError:  # numbers among text
            order = np.argsort([str(each) for each in classes], kind="stable")
        rank = np.append(np.argsort(order), -1)
        return rank[codes], classes[order]

    def _groups(self):
        """Label, colour, marker and rows of each colour of points."""
        if self.classes is not None:
            codes, classes = self._codes()
            if (codes < 0).any():
                yield "missing", _MISSING_COLOR, "x", codes < 0
            for i, label in enumerate(classes):
                marker, color = divmod(i, len(_CLASS_COLORS))
                yield label, _CLASS_COLORS[color], _CLASS_MARKERS[marker], codes == i
            return
        yield "normal", NORMAL_COLOR, "o", ~self.is_anomaly
        yield "anomalous", ANOMALY_COLOR, "^", self.is_anomaly  # drawn last, hence on top

    def _scatter_by_label(self, ax, columns, parameters):
        for label, color, marker, rows in self._groups():
            points = ax.scatter(
                *columns[rows].T,
                color=color,
                marker=marker,
                label=f"{label}: {rows.sum():,}",
                **parameters,
            )
            self.points_.append(points)
        ax.legend(framealpha=1, **_beside(len(self.points_)))

    def _scatter_by_score(self, ax, columns, parameters):
        order = np.argsort(self.scores, kind="stable")  # the highest scores on top
        # One row far out would leave all the others in a single colour.
        limits = {"vmin": self.scores.min(), "vmax": np.quantile(self.scores, 0.99)}
        self.points_.append(
            ax.scatter(*columns[order].T, c=self.scores[order], **limits, **parameters)
        )
        self.colorbar_ = ax.figure.colorbar(
            self.points_[0],
            ax=ax,
            extend="max",
            label="anomaly score (higher = more anomalous)",
            pad=0.15 if ax.name == "3d" else 0.05,
            shrink=0.7 if ax.name == "3d" else 1.0,
        )


def _beside(n_names):
    """Where a legend stands: of many names beside the picture."""
    if n_names <= _LEGEND_ROWS:
        return {}
    n_columns = math.ceil(n_names / _LEGEND_ROWS)
    return {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "ncols": n_columns}


def _as_objects(labels):
    """Labels as they are: an array of text would hold a missing one as "nan"."""
    labels = np.asarray(labels, dtype=object)
    return labels if pd.isna(labels).any() else np.asarray(labels.tolist())


def _labels(y):
    """Labels as the parameter that holds such ones."""
    if y is None:
        return {}
    y = _as_objects(y)
    if y.dtype == object:
        return {"classes": y}
    try:
        return {"is_anomaly": anomaly_labels(y)}
    except ValueError:
        return {"classes": y}
