"""What a drift test saw: each latent's statistic, and the scores of reference and batch."""

import numpy as np

from skvae._optional import require
from skvae.plotting._common import ANOMALY_COLOR, NORMAL_COLOR, finite_array


class DriftDisplay:
    """What a drift test saw: each latent's statistic, and the scores of reference and batch.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`. The p-values in the picture
    are adjusted for there being several tests: any at or below alpha means drift.

    Parameters
    ----------
    result : skvae.drift.DriftResult
        What ``DriftMonitor.test`` returned.
    reference_scores : array-like of shape (n_reference,)
        Anomaly scores of the reference, higher = more anomalous.
    scores : array-like of shape (n_samples,)
        Those of the batch.
    name : str, default=None
        Begins the title of the picture.

    Attributes
    ----------
    result, reference_scores, scores, name
        As given, the arrays as float64.
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        Where it was drawn: latents, then scores; the scores alone where the detector has no
        latents. These and the following exist after :meth:`plot`.
    bars_ : matplotlib BarContainer or None
        The Kolmogorov-Smirnov (KS) statistic of each latent.
    lines_ : list of matplotlib Line2D
        Share of the rows at or below each score, of the reference and of the batch.
    gap_line_ : matplotlib Line2D
        Where those two shares differ most.

    See Also
    --------
    skvae.drift.DriftMonitor : Makes the test.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from skvae.drift import DriftMonitor
    >>> from skvae.plotting import DriftDisplay
    >>> X = np.random.default_rng(0).normal(size=(600, 4))
    >>> monitor = DriftMonitor(PCA(2).fit(X[:100]), n_resamples=200, random_state=0)
    >>> display = DriftDisplay.from_estimator(monitor.fit(X[100:]), X[:50] + 3)
    >>> [ax.get_title().split(":")[0] for ax in display.axes_]
    ['Latents', 'Scores']
    """

    def __init__(self, *, result, reference_scores, scores, name=None):
        if not hasattr(result, "latent_statistics"):
            raise TypeError(
                f"result must be what DriftMonitor.test(X) returns, not {type(result).__name__}."
            )
        self.result = result
        self.reference_scores = finite_array(reference_scores, 1, "reference_scores")
        self.scores = finite_array(scores, 1, "scores")
        self.name = name

    @classmethod
    def from_estimator(cls, monitor, X, *, name=None, ax=None):
        """Test a batch with a fitted monitor and draw what it saw.

        Parameters
        ----------
        monitor : fitted DriftMonitor
            Its detector scores the batch.
        X : array-like of shape (n_samples, ...)
            The batch, as the detector takes it.
        name : str, default=None
            Begins the title. None takes the name of the detector's class.
        ax : sequence of two matplotlib Axes, or one without latents, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : DriftDisplay
            Drawn, with the result of the test in ``result``.

        Raises
        ------
        NotFittedError
            If the monitor is not fitted.
        TypeError
            If it is no monitor.
        """
        if not (hasattr(monitor, "test") and hasattr(monitor, "detector")):
            raise TypeError(
                f"{cls.__name__}.from_estimator needs a fitted skvae.drift.DriftMonitor, "
                f"not {type(monitor).__name__}."
            )
        return cls.from_predictions(
            monitor.test(X),
            -monitor.scores_,
            -np.asarray(monitor.detector.score_samples(X)),
            name=type(monitor.detector).__name__ if name is None else name,
            ax=ax,
        )

    @classmethod
    def from_predictions(cls, result, reference_scores, scores, *, name=None, ax=None):
        """Draw the result of a test that was made already.

        Parameters
        ----------
        result : skvae.drift.DriftResult
            What ``DriftMonitor.test`` returned.
        reference_scores, scores : array-like of shape (n_reference,) and (n_samples,)
            Anomaly scores, higher = more anomalous: ``-monitor.scores_`` and
            ``-detector.score_samples(X)``.
        name : str, default=None
            Begins the title of the picture.
        ax : sequence of two matplotlib Axes, or one without latents, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        display : DriftDisplay
            Drawn.

        Raises
        ------
        ValueError
            If scores are not finite.
        """
        display = cls(result=result, reference_scores=reference_scores, scores=scores, name=name)
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw the latents' statistics beside the scores.

        Parameters
        ----------
        ax : sequence of two matplotlib Axes, or one without latents, default=None
            Where to draw. None makes a new figure.

        Returns
        -------
        self : DriftDisplay

        Raises
        ------
        ValueError
            If ``ax`` is not as many axes.
        """
        has_latents = len(self.result.latent_statistics) > 0
        self.axes_ = _axes(ax, 1 + has_latents)
        self.figure_ = self.axes_[0].figure
        self.bars_ = self._plot_latents(self.axes_[0]) if has_latents else None
        self._plot_scores(self.axes_[-1])
        if ax is None:  # a figure of one's own keeps its title
            verdict = "drift" if self.result.drifted else "no drift"
            title = f"{verdict}, p = {_number(self.result.p_value)} (alpha {self.result.alpha:g})"
            self.figure_.suptitle(title if self.name is None else f"{self.name}: {title}")
        return self

    def _plot_latents(self, ax):
        from matplotlib.patches import Patch
        from matplotlib.ticker import MaxNLocator

        result = self.result
        n_latents, n_moved = len(result.latent_statistics), len(result.moved_latents)
        moved = np.isin(np.arange(n_latents), result.moved_latents)
        colors = np.where(moved, ANOMALY_COLOR, NORMAL_COLOR)
        bars = ax.bar(np.arange(n_latents), result.latent_statistics, color=colors)
        handles = [
            Patch(color=ANOMALY_COLOR, label=f"moved: {n_moved}"),
            Patch(color=NORMAL_COLOR, label=f"not shown to move: {n_latents - n_moved}"),
        ]
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        # Room above the bars, so that the legend hides none.
        ax.set_ylim(0, 1.3 * max(result.latent_statistics.max(), 1e-12))
        ax.legend(handles=handles, framealpha=1, loc="upper right", ncols=2)
        ax.set_xlabel("latent")
        ax.set_ylabel("KS statistic")
        ax.set_title(f"Latents: MMD {self._p('latent_mmd')}, KS {self._p('latent_ks')}")
        return bars

    def _plot_scores(self, ax):
        pairs = [
            ("reference", NORMAL_COLOR, "-", self.reference_scores),
            ("batch", ANOMALY_COLOR, "--", self.scores),
        ]
        self.lines_ = [
            ax.ecdf(scores, color=color, ls=style, label=f"{label}: {len(scores):,}")
            for label, color, style, scores in pairs
        ]
        where, low, high = _largest_gap(self.reference_scores, self.scores)
        (self.gap_line_,) = ax.plot(
            [where, where], [low, high], color="black", lw=2, label=f"gap {high - low:.3g}"
        )
        # One row far out would leave no room for all the others.
        limits = [np.quantile(scores, [0.005, 0.995]) for *_, scores in pairs]
        low, high = np.min(limits), np.max(limits)
        margin = 0.05 * (high - low) or 0.5
        ax.set_xlim(low - margin, high + margin)
        ax.legend(framealpha=1)
        ax.set_xlabel("anomaly score (higher = more anomalous)")
        ax.set_ylabel("share of rows at or below")
        ax.set_title(f"Scores: KS {self._p('score_ks')}")

    def _p(self, test):
        return f"p = {_number(self.result.adjusted_p_values[test])}"


def _number(p_value):
    return f"{p_value:.4f}" if p_value < 0.01 else f"{p_value:.2f}"


def _axes(ax, n_panels):
    pyplot = require("matplotlib.pyplot", extra="plot", what="A picture")
    if ax is None:
        _, axes = pyplot.subplots(
            1, n_panels, squeeze=False, figsize=(5.5 * n_panels, 4.2), layout="tight"
        )
        return axes[0]
    axes = np.ravel(ax)
    if len(axes) != n_panels:
        raise ValueError(f"ax must be {n_panels} axes, found {len(axes)}.")
    return axes


def _largest_gap(reference, batch):
    """The score at which the shares of rows at or below differ most, and the two shares."""
    values = np.union1d(reference, batch)
    shares = np.array(
        [np.searchsorted(np.sort(s), values, "right") / len(s) for s in (reference, batch)]
    )
    widest = np.argmax(np.abs(shares[0] - shares[1]))
    return values[widest], *sorted(shares[:, widest])
