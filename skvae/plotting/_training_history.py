"""The losses of a training, epoch by epoch."""

from itertools import cycle, repeat

import numpy as np
import pandas as pd

from skvae.plotting._common import axes_or_new, needed, set_title, unwrap

# Column of history_, colour, line style. The colours stay apart without red and green.
_LINES = (
    ("loss", "black", "-"),
    ("reconstruction", "#0072B2", "-"),
    ("kl", "#D55E00", "-"),
    ("valid_loss", "black", ":"),
)
_LABELS = {"kl": "KL", "valid_loss": "validation loss"}
# Of what else a network says of itself: other penalties, parts of the KL divergence.
_MORE = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")


class TrainingHistoryDisplay:
    """The losses of a training, epoch by epoch.

    Make one with :meth:`from_estimator`.

    Parameters
    ----------
    history : DataFrame
        One row an epoch, as ``history_`` of a detector: the columns ``epoch`` and ``loss``, and
        any of ``reconstruction``, ``kl``, ``valid_loss`` and others. Losses are means over the
        rows of data, summed over features; of ``duration`` there is no line.
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    history, name
        As given.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    lines_ : dict of str to matplotlib Line2D
        The line of each column drawn.

    See Also
    --------
    skvae.fit_in_folder : Draws it while the training goes on.

    Examples
    --------
    >>> import pandas as pd
    >>> from skvae.plotting import TrainingHistoryDisplay
    >>> history = pd.DataFrame(
    ...     {"epoch": [1, 2], "loss": [5.0, 3.0], "reconstruction": [4.0, 2.5], "kl": [1.0, 0.5]}
    ... )
    >>> display = TrainingHistoryDisplay(history=history).plot()
    >>> [line.get_label() for line in display.lines_.values()]
    ['loss, last 3', 'reconstruction, last 2.5', 'KL, last 0.5']
    """

    def __init__(self, *, history, name=None):
        if not isinstance(history, pd.DataFrame):
            raise TypeError(
                "history must be a DataFrame, as `history_` of a fitted detector, "
                f"not {type(history).__name__}."
            )
        missing = [column for column in ("epoch", "loss") if column not in history]
        if missing or history.empty:
            raise ValueError(
                "history needs the columns 'epoch' and 'loss' and at least one row, but has the "
                f"columns {list(history.columns)} and {len(history)} rows."
            )
        self.history = history
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, *, name=None, ax=None, **plot_parameters):
        """Draw the ``history_`` of a fitted detector.

        Parameters
        ----------
        estimator : fitted detector of skvae
            Also inside a pipeline or a search.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : TrainingHistoryDisplay
            Drawn.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the estimator keeps no ``history_``.
        """
        detector, _, _ = unwrap(estimator)
        name = type(detector).__name__ if name is None else name
        history = needed(detector, "history_", cls.__name__)
        return cls(history=history, name=name).plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, y_scale="linear"):
        """Draw a line for each loss in the history.

        With a validation loss, a thin vertical line marks its lowest epoch.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        y_scale : {"linear", "log", "symlog"}, default="linear"
            Scale of the loss axis. Losses with a learned variance can be negative, which "log"
            cannot show.

        Returns
        -------
        self : TrainingHistoryDisplay

        Raises
        ------
        ValueError
            If ``y_scale`` is none of these, or "log" meets a loss <= 0.
        """
        if y_scale not in ("linear", "log", "symlog"):
            raise ValueError(f"y_scale must be 'linear', 'log' or 'symlog', not {y_scale!r}.")
        lines = self._lines()
        lowest = self.history[[column for column, _, _ in lines]].min().min()
        if y_scale == "log" and lowest <= 0:
            raise ValueError(
                f"y_scale='log' needs positive losses, but the lowest is {lowest:.4g}; "
                "use 'symlog'."
            )
        ax = axes_or_new(ax)
        from matplotlib.ticker import MaxNLocator

        epochs = self.history["epoch"].to_numpy()
        marker = "o" if len(epochs) <= 20 else None  # a single epoch would be an invisible line
        self.lines_ = {}
        for column, color, style in lines:
            values = self.history[column].to_numpy(dtype=float)
            label = f"{_LABELS.get(column, column)}, last {values[-1]:.4g}"
            (self.lines_[column],) = ax.plot(
                epochs, values, color=color, ls=style, marker=marker, ms=4, label=label
            )
        self._mark_best_epoch(ax, epochs)
        ax.set_yscale(y_scale)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss per row (summed over features)")
        ax.legend(framealpha=1)
        set_title(ax, self.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _lines(self):
        """Column, colour and style of each line."""
        known = {"epoch", "duration", *(column for column, _, _ in _LINES)}
        others = [column for column in self.history if column not in known]
        more = zip(others, cycle(_MORE), repeat("--"), strict=False)
        return [line for line in _LINES if line[0] in self.history] + list(more)

    def _mark_best_epoch(self, ax, epochs):
        if "valid_loss" not in self.history:
            return
        valid = self.history["valid_loss"].to_numpy(dtype=float)
        if np.isfinite(valid).any():
            best = epochs[np.nanargmin(valid)]
            ax.axvline(best, color="grey", lw=0.8, label=f"lowest validation loss, epoch {best}")
