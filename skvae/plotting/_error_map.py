"""Which features make a row anomalous: a heat map of many rows, or the bars of one."""

from itertools import count

import numpy as np
from sklearn.utils import get_tags

from skvae.plotting._common import (
    NORMAL_COLOR,
    array_with_gaps,
    axes_or_new,
    beyond,
    needed,
    set_title,
    unwrap,
)
from skvae.plotting._image_error_map import ImageErrorMapDisplay

_MOST_TICKS = 25  # more names than this would overlap
_LABEL = "error of each feature"
_GAP_COLOR = "0.8"


class ErrorMapDisplay:
    """Which features make a row anomalous: a heat map of many rows, or the bars of one.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    error_map : array-like of shape (n_samples, n_features)
        An error for each feature of each row, as ``error_map`` of a detector returns it. Which
        scores it sums to is said there. NaN stands for a cell without one, such as the gap of a
        series: it is grey, and the colour bar says how many are.
    feature_names : sequence of str of length n_features, default=None
        None writes ``x0``, ``x1``, ...
    row_names : sequence of length n_samples, default=None
        None writes the number of the row.
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    error_map, feature_names, row_names, name
        The first as float64, the names as lists of str.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    image_ : matplotlib AxesImage or None
        The heat map; its array is ``error_map``.
    colorbar_ : matplotlib Colorbar or None
    bars_ : matplotlib BarContainer or None
        The bars of a single row, the largest first.

    See Also
    --------
    ImageErrorMapDisplay : The pictures for images, which :meth:`from_estimator` draws of images.

    Examples
    --------
    >>> from skvae.plotting import ErrorMapDisplay
    >>> display = ErrorMapDisplay(
    ...     error_map=[[0.1, 9.0, 2.0]], feature_names=["age", "income", "height"]
    ... ).plot(top_k=2)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['income', 'height']
    """

    def __init__(self, *, error_map, feature_names=None, row_names=None, name=None):
        self.error_map = array_with_gaps(error_map, 2, "error_map")
        n_rows, n_features = self.error_map.shape
        self.feature_names = _names(feature_names, n_features, "feature_names", "x")
        self.row_names = _names(row_names, n_rows, "row_names", "")
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, *, name=None, ax=None, **plot_parameters):
        """Draw ``estimator.error_map(X)``, of images as :class:`ImageErrorMapDisplay` does.

        Parameters
        ----------
        estimator : fitted detector of skvae
            Also inside a pipeline or a search; the features are then those that the detector
            sees.
        X : array-like of shape (n_samples, n_features)
            Rows to explain. The columns and the index of a DataFrame name features and rows. Series
            of several channels, (n_samples, n_channels, length), have a row for each channel.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`; for images to :meth:`ImageErrorMapDisplay.from_estimator`.

        Returns
        -------
        display : ErrorMapDisplay or ImageErrorMapDisplay
            Drawn. The second where X holds images: in more than two dimensions, or as rows of a
            detector whose ``image_shape`` is set.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the estimator has no ``error_map``.
        """
        detector, seen, feature_names = unwrap(estimator, X)
        is_series = get_tags(detector).input_tags.three_d_array and np.ndim(seen) == 3
        has_images = np.ndim(seen) > 2 or getattr(detector, "image_shape", None) is not None
        if has_images and not is_series:
            return ImageErrorMapDisplay.from_estimator(
                estimator, X, name=name, ax=ax, **plot_parameters
            )
        error_map, row_names = needed(detector, "error_map", cls.__name__)(seen), _index(X)
        if is_series:
            n_series, n_channels, length = np.shape(error_map)
            error_map = np.reshape(error_map, (-1, length))
            pairs = [(i, channel) for i in range(n_series) for channel in range(n_channels)]
            row_names = [f"series {i}, channel {channel}" for i, channel in pairs]
            feature_names = range(length)
        elif np.ndim(error_map) == 1:  # the points of one series
            error_map = error_map[:, None]
        return cls.from_predictions(
            error_map,
            feature_names=feature_names,
            row_names=row_names,
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **plot_parameters,
        )

    @classmethod
    def from_predictions(
        cls,
        error_map,
        *,
        feature_names=None,
        row_names=None,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Draw an error map that is there already.

        Parameters
        ----------
        error_map : array-like or DataFrame of shape (n_samples, n_features)
            A DataFrame names features and rows, where names are not given.
        feature_names : sequence of str of length n_features, default=None
            None takes those of the DataFrame, or writes ``x0``, ``x1``, ...
        row_names : sequence of length n_samples, default=None
            None takes the index of the DataFrame, or writes the number of the row.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ErrorMapDisplay
            Drawn.

        Raises
        ------
        ValueError
            If the map is not two-dimensional, is infinite or all NaN, or the names do not fit it.

        Examples
        --------
        >>> import pandas as pd
        >>> from skvae.plotting import ErrorMapDisplay
        >>> display = ErrorMapDisplay.from_predictions(
        ...     pd.DataFrame({"age": [0.1, 2.0], "income": [9.0, 0.3]}, index=["Ann", "Bob"])
        ... )
        >>> display.feature_names, display.row_names
        (['age', 'income'], ['Ann', 'Bob'])
        """
        if np.ndim(error_map) > 2:
            raise ValueError(
                f"This map has the shape {np.shape(error_map)}; ImageErrorMapDisplay draws maps of "
                "images, and from_estimator those of series."
            )
        if hasattr(error_map, "columns"):
            feature_names = error_map.columns if feature_names is None else feature_names
            row_names = _index(error_map) if row_names is None else row_names
        display = cls(
            error_map=error_map, feature_names=feature_names, row_names=row_names, name=name
        )
        return display.plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, row=None, top_k=10, vmin=None, vmax=None, cmap="viridis"):
        """Draw the heat map of all the rows, or the bars of one row.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        row : int, default=None
            Position of the row whose bars to draw. None draws the heat map, or the bars where
            the map has one row only.
        top_k : int, default=10
            Number of bars: the features that add most.
        vmin, vmax : float, default=None
            Ends of the colour scale, or of the axis of the bars. None takes the lowest and the
            highest value of the whole map (and 0, for bars). Give the same to several pictures to
            compare them.
        cmap : str or Colormap, default="viridis"
            Colours of the heat map.

        Returns
        -------
        self : ErrorMapDisplay

        Raises
        ------
        ValueError
            If there is no such row, or ``top_k`` is below 1, or ``vmin`` is above ``vmax``.
        """
        n_rows = len(self.error_map)
        if row is None and n_rows == 1:
            row = 0
        if row is not None and not -n_rows <= row < n_rows:
            raise ValueError(f"row={row}, but the error map has {n_rows} rows, counted from 0.")
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k!r}.")
        limits = (
            np.nanmin(self.error_map) if vmin is None else vmin,
            np.nanmax(self.error_map) if vmax is None else vmax,
        )
        if limits[0] > limits[1]:
            raise ValueError(f"vmin={limits[0]} must not be above vmax={limits[1]}.")
        ax = axes_or_new(ax)
        self.image_ = self.colorbar_ = self.bars_ = None
        if row is None:
            self._plot_image(ax, limits, cmap)
        else:
            self._plot_bars(ax, row, top_k, vmin, vmax, limits)
        set_title(ax, self.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _plot_image(self, ax, limits, cmap):
        self.image_ = ax.imshow(
            self.error_map,
            vmin=limits[0],
            vmax=limits[1],
            cmap=cmap,
            aspect="auto",
            interpolation="nearest",
        )
        n_gaps = np.count_nonzero(np.isnan(self.error_map))
        if n_gaps:
            ax.set_facecolor(_GAP_COLOR)  # seen where there is nothing to draw
        self.colorbar_ = ax.figure.colorbar(
            self.image_,
            ax=ax,
            label=f"{_LABEL} (grey: {n_gaps:,} without one)" if n_gaps else _LABEL,
            extend=beyond(self.error_map, *limits),
        )
        ticks = _ticks(len(self.feature_names))
        ax.set_xticks(ticks, [self.feature_names[i] for i in ticks], rotation=90)
        ticks = _ticks(len(self.row_names))
        ax.set_yticks(ticks, [self.row_names[i] for i in ticks])
        ax.set_xlabel("feature")
        ax.set_ylabel("row")

    def _plot_bars(self, ax, row, top_k, vmin, vmax, limits):
        errors = self.error_map[row]
        n_known = np.count_nonzero(~np.isnan(errors))
        top = np.argsort(-errors, kind="stable")[: min(top_k, n_known)]  # NaN comes last
        self.bars_ = ax.barh(range(len(top)), errors[top], color=NORMAL_COLOR)
        ax.set_yticks(range(len(top)), [self.feature_names[i] for i in top])
        ax.invert_yaxis()  # the largest on top
        ax.axvline(0, color="black", lw=0.8)
        ax.set_xlim(
            1.05 * min(limits[0], 0) if vmin is None else vmin,
            1.05 * max(limits[1], 0) or 1.0 if vmax is None else vmax,  # a map of zeros: 0 to 1
        )
        ax.set_xlabel(_LABEL)
        shown = "" if len(top) == len(errors) else f" ({len(top)} largest of {len(errors)}"
        if n_known < len(errors):
            shown += f", {len(errors) - n_known} without an error"
        ax.set_ylabel(f"feature{shown + ')' if shown else ''}")
        if not ax.get_title():
            prefix = "" if self.name is None else f"{self.name}, "
            row_name = self.row_names[row]
            ax.set_title(f"{prefix}row {row_name}" if row_name.isdigit() else prefix + row_name)


def _index(rows):
    """Return the index of a DataFrame, else None (a list has an ``index``, which is a method)."""
    return getattr(rows, "index", None) if hasattr(rows, "columns") else None


def _names(names, n, what, prefix):
    if names is None:
        return [f"{prefix}{i}" for i in range(n)]
    names = [str(name) for name in names]
    if len(names) != n:
        raise ValueError(f"{what} must be {n} names, to fit the error map, but are {len(names)}.")
    return names


def _ticks(n):
    """Return at most ``_MOST_TICKS`` positions of ``n``, in steps of 1, 2, 5, 10, 20, ..."""
    steps = (digit * 10**power for power in count() for digit in (1, 2, 5))
    return range(0, n, next(step for step in steps if n <= step * _MOST_TICKS))
