"""The study of plots: anomalous time series, found in images of their line plots."""

import time
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.stats import rankdata
from sklearn.utils import check_random_state

from skvae.datasets import TIME_SERIES_KINDS, make_time_series, render_plots
from skvae.detectors import ConvVAEDetector
from skvae.studies._images import auroc, rounded
from skvae.studies._pieces import Pieces
from skvae.studies._plots_methods import OLD, REPAIRED, methods, series_features
from skvae.studies._plots_report import plots_shown, write_plots_report

NORMAL, *ANOMALIES = TIME_SERIES_KINDS
TRAININGS = ("normal", "mixture")
LOCATED = (
    OLD,
    "whole VAE, distance",
    "-ink, line",
    "PCA-100, distance",
    "strip VAE, line",
    REPAIRED,
)
PERCENTILES = (90, 95, 99)
# Of the profile that says which columns are anomalous, in columns.
SMOOTHING = 5

FULL = {
    "n_train": 1781,
    "n_calibration": 2000,
    "n_fresh": 4000,
    "n_normal": 1000,
    "n_kind": 200,
    "size": 64,
    "tau": 3.0,
    "channels": [16, 32, 64, 64],
    "steps_whole": 560,
    "steps_strips": 1160,
    "cost_size": 224,
    "cost_channels": [32, 64, 128, 256, 512],
}
QUICK = FULL | {
    "n_train": 120,
    "n_calibration": 100,
    "n_fresh": 100,
    "n_normal": 40,
    "n_kind": 8,
    "size": 32,
    "tau": 1.5,
    "channels": [8, 16],
    "steps_whole": 30,
    "steps_strips": 60,
    "cost_size": 32,
    "cost_channels": [8, 16],
}


def plots(seeds=(0,), out=None, quick=False, progress=True):
    """Look for anomalous time series in images of their line plots.

    Series with nine kinds of anomaly, as :func:`skvae.datasets.make_time_series` draws them, are
    plotted by :func:`skvae.datasets.render_plots` in 64 x 64 pixels, each scaled to its range.
    Detectors are trained on normal series alone, or without labels on a mixture of all ten kinds in
    equal shares, nine tenths of it anomalous. The old recipe is a VAE of whole plots, drawn as thin
    lines, and its squared error. The repair is `WindowDetector` on strips of 16 columns of
    plots in style "distance", with the density of latents and the error of a VAE as score. Beside
    them stand controls without a network, and detectors that see the series themselves.

    Style, window, scores and aggregates were found on other series of the same nine kinds, so they
    know what is looked for; nothing was chosen by the series that are reported on.

    Parameters
    ----------
    seeds : sequence of int, default=(0,)
        One draw of series, and one ``random_state`` of all that is trained, each.
    out : str or path-like, default=None
        Folder of the report. Each finished piece is kept there at once, and a later run with the
        same folder and settings goes on from there.
    quick : bool, default=False
        Few series, small plots, short trainings: seconds. Its figures mean little.
    progress : bool, default=True
        Whether to show a progress bar.

    Returns
    -------
    tables : dict of str to DataFrame
        - "auroc": of anomalous against normal test series, a row a seed, training and method: a
          column a kind, and their mean;
        - "columns": AUROC of anomalous against other columns of a plot, averaged over the plots of
          a kind, for methods trained on normal series: as "auroc";
        - "alarms": false_alarms, the share of fresh normal series above the percentile of the
          scores of training or of held-out normal series (``fitted_on``), and found, that of test
          anomalies; a row a seed, training, method, fitted_on and percentile;
        - "cost": CPU seconds a step and an epoch, of the old network for plots of 224 x 224 pixels
          in three channels (batches of 32) and of the small ones.

    Raises
    ------
    ValueError
        If ``out`` holds another study.

    See Also
    --------
    skvae.datasets.make_time_series : The series.
    skvae.datasets.render_plots : Their plots.
    skvae.WindowDetector : The repair.

    Examples
    --------
    A quick run, of half a minute:

    .. code-block:: python

        from skvae.studies import plots

        tables = plots(quick=True, out="results/plots")
        print(tables["auroc"])

    ``skvae study plots --quick`` does the same from a shell.
    """
    settings = {"study": "plots", "quick": bool(quick)} | (QUICK if quick else FULL)
    plan = [(seed, *piece) for seed in seeds for piece in _plan()]
    with Pieces(out, settings, len(plan), progress) as pieces:
        benches = {seed: Bench(settings, seed) for seed in seeds}
        for seed, part, key in plan:
            pieces.compute(part, partial(getattr(benches[seed], part), **key), seed=seed, **key)
    tables = {part: pieces.table(part) for part in ("auroc", "columns", "alarms", "cost")}
    if out is not None:
        examples = [row for row in pieces.rows("examples") if row["seed"] == seeds[0]]
        write_plots_report(
            out, tables, plots_shown(tables), examples, settings, seeds, pieces.minutes
        )
    return tables


def _plan():
    """Table, which is the method of `Bench`, and arguments of each piece, by detector."""
    yield "cost", {}
    for training in TRAININGS:
        for name in methods():
            yield "auroc", {"training": training, "method": name}
            if name in (OLD, REPAIRED):
                yield "alarms", {"training": training, "method": name}
            if training == "normal" and name in LOCATED:
                yield "columns", {"method": name}
            if training == "normal" and name == REPAIRED:
                yield "examples", {}


class Series(NamedTuple):
    """Series, their kinds, and masks of the anomalous points."""

    values: np.ndarray
    kinds: np.ndarray
    masks: np.ndarray


class Bench:
    """The pieces of one seed, and what they share, made when first asked for."""

    def __init__(self, settings, seed):
        self._settings, self._seed = settings, seed
        self._plots, self._fitted = {}, {}

    @cached_property
    def _series(self):
        """Parts of the data by name; they share no series."""
        rng = check_random_state(self._seed)

        def draw(n, kind):
            return Series(*make_time_series(n, kind, random_state=rng))

        n = self._settings
        parts = {training: draw(n["n_train"], training) for training in TRAININGS}
        parts["calibration"] = draw(n["n_calibration"], NORMAL)
        parts["fresh"] = draw(n["n_fresh"], NORMAL)
        test = [draw(n["n_normal"], NORMAL), *(draw(n["n_kind"], kind) for kind in ANOMALIES)]
        parts["test"] = Series(*(np.concatenate(arrays) for arrays in zip(*test, strict=True)))
        return parts

    def _seen(self, part, method):
        """What a method sees of a part of the data."""
        sees, values = methods()[method].sees, self._series[part].values
        if (part, sees) not in self._plots:
            if sees == "series":
                seen = values
            elif sees == "features":
                seen = series_features(values)
            else:
                size, tau = self._settings["size"], self._settings["tau"]
                seen = render_plots(values, size, style=sees, tau=tau)
            self._plots[part, sees] = seen
        return self._plots[part, sees]

    def _estimator(self, training, method):
        if (training, method) not in self._fitted:
            estimator = methods()[method].make(self._settings, self._seed)
            self._fitted = {(training, method): estimator.fit(self._seen(training, method))}
        return self._fitted[training, method]

    def _scores(self, training, method, part):
        return -self._estimator(training, method).score_samples(self._seen(part, method))

    def auroc(self, training, method):
        scores, kinds = self._scores(training, method, "test"), self._series["test"].kinds
        normal = scores[kinds == NORMAL]
        return _with_mean({kind: auroc(normal, scores[kinds == kind]) for kind in ANOMALIES})

    def columns(self, method):
        series = self._series["test"]
        is_anomaly = series.kinds != NORMAL
        X = self._seen("test", method)[is_anomaly]
        profiles = column_profiles(self._estimator("normal", method).error_map(X))
        areas = column_auroc(columns_of(series.masks[is_anomaly], X.shape[2]), profiles)
        kinds = series.kinds[is_anomaly]
        return _with_mean({kind: float(np.nanmean(areas[kinds == kind])) for kind in ANOMALIES})

    def alarms(self, training, method):
        parts = {part: self._scores(training, method, part) for part in ("fresh", "test")}
        found = parts["test"][self._series["test"].kinds != NORMAL]
        rows = []
        for part, fitted_on in ((training, "training"), ("calibration", "held-out normal")):
            scores = self._scores(training, method, part)
            for percentile in PERCENTILES:
                threshold = np.percentile(scores, percentile)
                rows.append(
                    {
                        "fitted_on": fitted_on,
                        "percentile": percentile,
                        "false_alarms": float((parts["fresh"] > threshold).mean()),
                        "found": float((found > threshold).mean()),
                    }
                )
        return rows

    def cost(self):
        """CPU seconds of the old network for large plots, and of the small ones."""
        settings = self._settings
        large = ConvVAEDetector(
            latent_dim=128,
            channels=settings["cost_channels"],
            hidden_layer_sizes=(),
            norm="batch",
            likelihood="mse",
            score="reconstruction",
            batch_size=32,
            lr=1e-4,
        )
        side = settings["cost_size"]
        plots = render_plots(self._series["normal"].values[:32], side)
        small = methods()[OLD].make(settings, self._seed)
        return [
            {"network": f"old, {side} x {side} x 3"} | self._cost(large, np.stack([plots] * 3, 1)),
            {"network": OLD} | self._cost(small, self._seen("normal", OLD)[:32]),
        ]

    def _cost(self, detector, X):
        detector.set_params(random_state=self._seed)
        seconds = {}
        for n_steps in (1, 1, 4):  # the first one warms up
            start = time.process_time()
            detector.set_params(max_steps=n_steps).fit(X)
            seconds[n_steps] = time.process_time() - start
        a_step = (seconds[4] - seconds[1]) / 3
        n_steps = -(-self._settings["n_train"] // detector.batch_size)
        return {
            "parameters": sum(p.numel() for p in detector.net_.module_.parameters()),
            "seconds_a_step": a_step,
            "seconds_an_epoch": a_step * n_steps,
        }

    def examples(self):
        """A plot of each kind in both styles, and where the repaired method sees the anomaly."""
        series, styles = self._series["test"], {"line": OLD, "distance": REPAIRED}
        first = [int(np.flatnonzero(series.kinds == kind)[0]) for kind in TIME_SERIES_KINDS]
        plots = {style: self._seen("test", method)[first] for style, method in styles.items()}
        estimator = self._estimator("normal", REPAIRED)
        maps = estimator.error_map(plots["distance"])
        masks = columns_of(series.masks[first], maps.shape[2])
        profiles = column_profiles(maps)
        return [
            {
                "kind": kind,
                "line": rounded(plots["line"][i] / 255),
                "distance": rounded(plots["distance"][i] / 255),
                "map": rounded(maps[i], 5),
                "profile": rounded(profiles[i], 5),
                "mask": masks[i].tolist(),
            }
            for i, kind in enumerate(TIME_SERIES_KINDS)
        ]


def _with_mean(by_kind):
    return {"mean": float(np.mean(list(by_kind.values())))} | by_kind


def columns_of(masks, width):
    """Which columns of a plot hold anomalous points.

    Parameters
    ----------
    masks : ndarray of bool of shape (n, length)
    width : int
        Of the plot, in pixels.

    Returns
    -------
    columns : ndarray of bool of shape (n, width)
    """
    x = np.linspace(0, width, masks.shape[1])
    holds = (x[:, None] >= np.arange(width)) & (x[:, None] <= np.arange(1, width + 1))
    return masks.astype(int) @ holds.astype(int) > 0


def column_profiles(maps):
    """Sums of error maps (n, H, W) over their rows, smoothed: (n, W)."""
    return uniform_filter1d(maps.astype(np.float64).sum(1), SMOOTHING, axis=1)


def column_auroc(columns, profiles):
    """AUROC of the anomalous columns of each plot against its others; nan where there is one class.

    Parameters
    ----------
    columns : ndarray of bool of shape (n, W)
    profiles : ndarray of shape (n, W)

    Returns
    -------
    areas : ndarray of shape (n,)
    """
    n_anomalous = columns.sum(1)
    ranks = (rankdata(profiles, axis=1) * columns).sum(1)
    pairs = n_anomalous * (columns.shape[1] - n_anomalous)
    with np.errstate(invalid="ignore"):
        return (ranks - n_anomalous * (n_anomalous + 1) / 2) / np.where(pairs, pairs, np.nan)
