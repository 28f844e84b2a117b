"""The report folder of the study of plots."""

from pathlib import Path

import numpy as np
import pandas as pd

from skvae.studies._pictures import cells, show_mosaic
from skvae.studies.report import (
    new_figure,
    percent,
    write_figure,
    write_sections,
    write_tables,
)

TITLES = {
    "normal": "AUROC, trained on normal series",
    "mixture": "AUROC, trained on a mixture, nine tenths of it anomalous",
    "columns": "AUROC of the anomalous columns, trained on normal series",
    "alarms": "False alarms on fresh normal series, and test anomalies found, in percent",
    "cost": "CPU seconds on one thread",
}


def write_plots_report(out, tables, shown, examples, settings, seeds, minutes):
    """Write the tables as CSV and JSON, the pictures, and report.md that shows them.

    Parameters
    ----------
    out : str or path-like
    tables : dict of str to DataFrame
    shown : dict of str to DataFrame
        The same, formatted, by their titles.
    examples : list of dict
        A plot of each kind, and its map.
    settings : dict
    seeds : sequence of int
    minutes : (float, float)
        Wall and CPU time.
    """
    out = Path(out)
    write_tables(out, tables)
    write_figure(out / "examples.png", draw_examples(examples))
    write_figure(out / "auroc.png", draw_auroc(tables["auroc"]))
    write_figure(out / "columns.png", draw_columns(tables["columns"]))
    head = f"# Anomalous time series in their plots\n\n{_what_was_run(settings, seeds, minutes)}"
    write_sections(out / "report.md", head, shown, WORDS)


def _what_was_run(settings, seeds, minutes):
    quick = "Quick run: it shows that all works, its figures mean little. "
    size, wall, cpu = settings["size"], *minutes
    return (
        f"{quick if settings['quick'] else ''}Trained on {settings['n_train']:,} series, normal "
        "ones or ten kinds in equal shares; no label is used. Tested on "
        f"{settings['n_normal']:,} normal series and {settings['n_kind']:,} of each of nine kinds "
        "of anomaly (`skvae.datasets.make_time_series`); all of them synthetic, of one family, and "
        f"most anomalies strong. Plots of {size} x {size} pixels without axes, each scaled to its "
        f"range; in style *distance* tau is {settings['tau']:g} pixels. "
        f"{'Seed' if len(seeds) == 1 else 'Means over the seeds'} "
        f"{', '.join(str(seed) for seed in seeds)}. The pieces took {wall:.1f} minutes ({cpu:.1f} "
        "CPU minutes) in all.\n\n"
        "Style, window, scores and aggregates of *strip VAE* were found on other series of the "
        "same nine kinds, so they know what is looked for; and the features of series were "
        "designed knowing the kinds. Nothing was chosen by the series that are reported on.\n"
    )


WORDS = (
    "*Whole VAE, line* is the old recipe: a convolutional VAE of whole plots, drawn as lines of "
    "one pixel, scored by the squared error. It is below chance: an anomaly squeezes the rest of a "
    "plot that is scaled to its range, which leaves less ink, and so less error; *-ink* alone, "
    "without a network, does better. *Strip VAE, distance* is the repair: `WindowDetector` with "
    "the same network on strips a quarter of the plot wide, the smooth maximum of latent density "
    "and squared error as score of a strip, and top 3 and range, summed as z-scores, as score of a "
    "plot. *Neighbours of strips* is its control without a network, strips "
    "half as wide. The last four see no plot but the series.\n\n"
    "![AUROC](auroc.png)\n",
    "The same methods, trained without labels where most series are anomalous.\n",
    "Which columns of a plot hold anomalous points? The profile is the error map, summed over the "
    "rows and smoothed over five columns (of *-ink*: the ink itself); each plot of an anomalous "
    "series has an AUROC, averaged over those of a kind.\n\n"
    "![AUROC of the columns](columns.png)\n\n"
    "![A plot of each kind, and the error map of the repaired method](examples.png)\n\n"
    "*A normal plot and one of each kind: as lines, in style distance, the error map of the strip "
    "VAE, and its profile over the anomalous columns (shaded).*\n",
    "A threshold at the 90th, 95th and 99th percentile should raise 10, 5 and 1 % of false alarms. "
    "That of training scores is one of a mixture where the training was one; held-out normal "
    "series give the rate that was asked for.\n",
    "An epoch is the training set once. The old network for large plots has batch norm and 128 "
    "latents and batches of 32; it was timed on a few steps, not trained to the end.\n",
)


def plots_shown(tables):
    """Format the tables for people: means over seeds.

    Parameters
    ----------
    tables : dict of str to DataFrame
        As :func:`plots` returns them.

    Returns
    -------
    shown : dict of str to DataFrame
        Titles and tables of strings.
    """
    shown = {
        TITLES[training]: _shown_auroc(own.drop(columns="training"))
        for training, own in tables["auroc"].groupby("training", sort=False)
    }
    shown[TITLES["columns"]] = _shown_auroc(tables["columns"])
    shown[TITLES["alarms"]] = _shown_alarms(tables["alarms"])
    shown[TITLES["cost"]] = _shown_cost(tables["cost"])
    return shown


def _means(table):
    return table.drop(columns="seed").groupby("method", sort=False).mean()


def _shown_auroc(table):
    return _means(table).map("{:.3f}".format).reset_index()


def _shown_alarms(table):
    keys = ["method", "training", "fitted_on", "percentile"]
    means = table.groupby(keys, sort=False)[["false_alarms", "found"]].mean()
    cell = means["false_alarms"].map(percent) + " [" + means["found"].map(percent) + "]"
    wide = cell.unstack("percentile", sort=False).reset_index()
    wide = wide.rename(columns={"training": "trained on", "fitted_on": "percentile of"})
    return wide.rename(columns={p: f"{p}th" for p in table["percentile"].unique()})


def _shown_cost(table):
    means = table.groupby("network", sort=False).mean()
    return pd.DataFrame(
        {
            "network": means.index,
            "parameters": [f"{n:,.0f}" for n in means["parameters"]],
            "a step": [f"{s:.3g}" for s in means["seconds_a_step"]],
            "an epoch": [f"{s:.3g}" for s in means["seconds_an_epoch"]],
        }
    )


def draw_auroc(table):
    """Draw AUROC as coloured cells, a row a method, one panel a training."""
    groups = list(table.groupby("training", sort=False))
    figure = new_figure(figsize=(10, 0.34 * len(table) / table["seed"].nunique() + 1.6))
    panels = figure.subplots(len(groups), 1)
    for ax, (training, own) in zip(panels, groups, strict=True):
        cells(ax, _means(own.drop(columns="training")), TITLES[training])
    return figure


def draw_columns(table):
    """Draw AUROC of the columns as coloured cells, a row a method."""
    means = _means(table)
    figure = new_figure(figsize=(10, 0.34 * len(means) + 0.9))
    cells(figure.subplots(), means, TITLES["columns"])
    return figure


def draw_examples(examples):
    """Draw a plot of each kind: both styles, map, and its profile over the anomalous columns."""
    # One scale for all; a normal plot shows how much error is usual.
    largest = max(np.max(row["map"]) for row in examples)
    rows = [[row[key] for row in examples] for key in ("line", "distance")]
    rows.append([np.sqrt(np.asarray(row["map"]) / largest) for row in examples])
    side = np.shape(examples[0]["line"])[0]
    figure = new_figure(figsize=(1.5 * len(examples) + 1, 6.2))
    above, below = figure.subplots(2, 1, height_ratios=(3, 1))
    show_mosaic(above, rows)
    above.set_aspect("auto")  # as wide as what stands below
    names = ["line", "distance", "error map,\nsquare root"]
    above.set_yticks((side + 1) * (np.arange(len(names)) + 0.5), names)
    centres = (side + 1) * (np.arange(len(examples)) + 0.5)
    above.set_xticks(centres, [row["kind"] for row in examples])
    above.xaxis.tick_top()
    profiles = np.array([row["profile"] for row in examples])
    low, high = profiles.min(), profiles.max()
    for i, (row, profile) in enumerate(zip(examples, profiles, strict=True)):
        x = np.arange(side) + i * (side + 1)
        anomalous = x[np.array(row["mask"])]
        below.bar(anomalous, high - low, 1, low, color="#D55E00", alpha=0.25, lw=0)
        below.plot(x, profile, color="black", lw=0.9)
        below.axvline(x[-1] + 1, color="grey", lw=0.5)
    below.set(xlim=above.get_xlim(), ylim=(low, high), xticks=[], yticks=[], ylabel="profile")
    return figure
