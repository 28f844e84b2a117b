"""Histogram of anomaly scores, normal against anomalous, with the threshold."""

import numpy as np

from skvae.metrics import anomaly_labels
from skvae.plotting._common import (
    ANOMALY_COLOR,
    NORMAL_COLOR,
    anomaly_scores,
    array_with_gaps,
    axes_or_new,
    label_array,
    set_title,
    unwrap,
)


class ScoreHistogramDisplay:
    """Histogram of anomaly scores, normal against anomalous, with the threshold.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    scores : array-like of shape (n_samples,)
        Anomaly scores, higher = more anomalous, as ``anomaly_score`` returns them. NaN stands for
        a row without one, such as a point of a series beside a gap: it is left out, and the legend
        says how many are.
    is_anomaly : array-like of bool of shape (n_samples,), default=None
        True for an anomaly. None draws one histogram of all the scores.
    threshold : float, default=None
        A score above it is flagged as an anomaly. None draws no line.
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    scores, is_anomaly, threshold, name
        As given, the arrays as float64 and bool.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    bin_edges_ : ndarray of shape (bins + 1,)
        Edges of the bins that all the histograms share.
    bars_ : list of matplotlib BarContainer
        Normal and anomalous, or all the scores.
    threshold_line_ : matplotlib Line2D or None
        None where there is no threshold.

    See Also
    --------
    skvae.VAEDetector.set_threshold : Changes the threshold.
    sklearn.metrics.RocCurveDisplay : What other thresholds would give.

    Examples
    --------
    >>> from skvae.plotting import ScoreHistogramDisplay
    >>> display = ScoreHistogramDisplay(
    ...     scores=[0.1, 0.2, 0.3, 2.0], is_anomaly=[False, False, False, True], threshold=1.0
    ... ).plot(bins=5)
    >>> [text.get_text() for text in display.ax_.get_legend().get_texts()]
    ['normal: 3, 0.0 % flagged', 'anomalous: 1, 100.0 % flagged', 'threshold 1']
    """

    def __init__(self, *, scores, is_anomaly=None, threshold=None, name=None):
        self.scores = array_with_gaps(scores, 1, "scores")
        self.is_anomaly = label_array(is_anomaly, len(self.scores))
        self.threshold = threshold
        self.name = name

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, name=None, ax=None, **plot_parameters):
        """Score ``X`` with a fitted detector and draw the histogram.

        Parameters
        ----------
        estimator : fitted outlier detector
            A detector of skvae or of scikit-learn, also inside a pipeline or a search.
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples,), default=None
            Labels, {+1, -1} with -1 an anomaly, or {0, 1} or bool with 1 an anomaly.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ScoreHistogramDisplay
            Drawn, with the threshold of the detector.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If the labels cannot be read or do not fit ``X``.
        """
        detector, X, _ = unwrap(estimator, X)
        threshold = getattr(detector, "threshold_", None)
        if threshold is None and hasattr(detector, "offset_"):
            threshold = -detector.offset_
        return cls.from_predictions(
            y,
            anomaly_scores(detector, X, cls.__name__),
            threshold=None if threshold is None else float(np.squeeze(threshold)),
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **plot_parameters,
        )

    @classmethod
    def from_predictions(
        cls, y_true, scores, *, threshold=None, name=None, ax=None, **plot_parameters
    ):
        """Draw the histogram of scores that are there already.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or None
            Labels, {+1, -1} with -1 an anomaly, or {0, 1} or bool with 1 an anomaly.
        scores : array-like of shape (n_samples,)
            Anomaly scores, higher = more anomalous.
        threshold : float, default=None
            A score above it is flagged as an anomaly.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ScoreHistogramDisplay
            Drawn.

        Raises
        ------
        ValueError
            If scores are infinite or all NaN, or the labels cannot be read or do not fit them.

        Examples
        --------
        >>> from skvae.plotting import ScoreHistogramDisplay
        >>> display = ScoreHistogramDisplay.from_predictions(
        ...     [1, 1, -1], [-0.4, 0.1, 3.0], threshold=1.5
        ... )
        >>> display.is_anomaly
        array([False, False,  True])
        """
        labels = None if y_true is None else anomaly_labels(y_true)
        display = cls(scores=scores, is_anomaly=labels, threshold=threshold, name=name)
        return display.plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, bins=50, stat="count", x_scale="auto"):
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        bins : int, default=50
            Number of bins, shared by normal and anomalous, equally wide on the axis.
        stat : {"count", "percent"}, default="count"
            Height of the bars: rows, or per cent of the rows of that class, which lets a few
            anomalies be seen beside many normal rows.
        x_scale : {"auto", "linear", "log", "symlog"}, default="auto"
            Scale of the score axis. "auto" is linear unless the scores have a long tail, and then
            "log" where every score is positive, else "symlog" (linear around 0).

        Returns
        -------
        self : ScoreHistogramDisplay

        Raises
        ------
        ValueError
            If a parameter is not one of those above, or ``x_scale="log"`` meets scores <= 0.
        """
        x_scale = self._check_plot(bins, stat, x_scale)
        ax = axes_or_new(ax)
        ax.set_xscale(x_scale, **self._scale_parameters(x_scale))
        self.bin_edges_ = self._edges(ax, bins)
        self.bars_ = []
        for label, color, scores in self._groups():
            n_missing = np.count_nonzero(np.isnan(scores))
            scores = scores[~np.isnan(scores)]
            heights = np.histogram(scores, self.bin_edges_)[0].astype(float)
            if stat == "percent" and len(scores):
                heights *= 100 / len(scores)
            self.bars_.append(
                ax.bar(
                    self.bin_edges_[:-1],
                    heights,
                    width=np.diff(self.bin_edges_),
                    align="edge",
                    color=color,
                    alpha=0.6,
                    label=self._legend(label, scores, n_missing),
                )
            )
        self.threshold_line_ = None
        if self.threshold is not None:
            self.threshold_line_ = ax.axvline(
                self.threshold, color="black", ls="--", label=f"threshold {self.threshold:.4g}"
            )
        ax.set_xlabel("anomaly score (higher = more anomalous)")
        ax.set_ylabel("rows" if stat == "count" else "rows of the class (%)")
        drawn = self.bars_ + ([] if self.threshold is None else [self.threshold_line_])
        ax.legend(handles=drawn, framealpha=1)
        set_title(ax, self.name)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _check_plot(self, bins, stat, x_scale):
        """Check the parameters of ``plot`` and return the scale to use."""
        if not isinstance(bins, int | np.integer) or bins < 1:
            raise ValueError(f"bins must be a whole number of at least 1, not {bins!r}.")
        if stat not in ("count", "percent"):
            raise ValueError(f"stat must be 'count' or 'percent', not {stat!r}.")
        if x_scale not in ("auto", "linear", "log", "symlog"):
            raise ValueError(
                f"x_scale must be 'auto', 'linear', 'log' or 'symlog', not {x_scale!r}."
            )
        positive = self._range()[0] > 0
        if x_scale == "log" and not positive:
            raise ValueError(
                f"x_scale='log' needs positive scores, but the lowest score or threshold is "
                f"{self._range()[0]:.4g}; use 'symlog'."
            )
        if x_scale != "auto":
            return x_scale
        low, middle, high = np.nanquantile(self.scores, [0.05, 0.5, 1.0])
        # One row far out would leave all the others in a single bar.
        if high - middle <= 20 * (middle - low):
            return "linear"
        return "log" if positive else "symlog"

    def _range(self):
        """Lowest and highest value that must be on the axis."""
        values = self.scores if self.threshold is None else [*self.scores, self.threshold]
        return np.nanmin(values), np.nanmax(values)

    def _scale_parameters(self, x_scale):
        if x_scale != "symlog":
            return {}
        return {"linthresh": 5 * np.nanmedian(np.abs(self.scores)) or 1.0}  # the bulk is linear

    def _edges(self, ax, bins):
        low, high = np.nanmin(self.scores), np.nanmax(self.scores)
        if low == high:  # all the scores are equal: one bin around them
            low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
        scale = ax.xaxis.get_transform()
        edges = scale.inverted().transform(np.linspace(*scale.transform([low, high]), bins + 1))
        edges[0], edges[-1] = low, high  # rounding must not lose the extreme rows
        return edges

    def _groups(self):
        if self.is_anomaly is None:
            return [("all rows", NORMAL_COLOR, self.scores)]
        return [
            ("normal", NORMAL_COLOR, self.scores[~self.is_anomaly]),
            ("anomalous", ANOMALY_COLOR, self.scores[self.is_anomaly]),
        ]

    def _legend(self, label, scores, n_missing):
        text = f"{label}: {len(scores):,}"
        if self.threshold is not None and len(scores):
            text += f", {100 * np.mean(scores > self.threshold):.1f} % flagged"
        return f"{text} ({n_missing:,} without a score)" if n_missing else text
