"""The report folder of the study of robustness."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from skvae.studies._pictures import show_mosaic, what_was_run
from skvae.studies.report import (
    new_figure,
    write_figure,
    write_sections,
    write_tables,
    write_text,
)

KINDS = {"plain": "plain squared error", "default": "default score"}
UNITS = {
    "noise": "sd",
    "rotation": "degrees",
    "occlusion": "side of the patch, pixels",
    "dropout": "share of the pixels",
    "stripes": "lines",
}
COLUMNS = (
    "original",
    "corrupted",
    "reconstruction",
    "plain map",
    "default map",
    "changed pixels",
)


def write_robustness_report(out, tables, shown, first, settings, seeds, minutes):
    """Write the tables as CSV and JSON, the pictures, and report.md that shows them.

    Parameters
    ----------
    out : str or path-like
    tables : dict of str to DataFrame
    shown : dict of str to DataFrame
        The same, formatted, by their titles.
    first : dict of str to list of dict
        Of the first seed: examples of maps, and statistics of the data.
    settings : dict
    seeds : sequence of int
    minutes : (float, float)
        Wall and CPU time.
    """
    out = Path(out)
    write_tables(out, tables)
    write_text(out / "statistics.json", json.dumps(first["statistics"], indent=1) + "\n")
    write_figure(out / "roc.png", draw_roc(tables["roc"], tables["auroc"]))
    write_figure(out / "maps.png", draw_maps(first["examples"]))
    for name, x in (("bottleneck", "latent_dim"), ("contamination", "share")):
        write_figure(out / f"{name}.png", draw_sweep(tables[name], x, X_LABELS[x]))
    write_figure(out / "strength.png", draw_strength(tables["strength"]))
    head = f"# Corrupted digits\n\n{what_was_run(settings, seeds, minutes)}\n"
    write_sections(out / "report.md", head, shown, WORDS)


X_LABELS = {"latent_dim": "latents", "share": "share of corrupted training images"}
WORDS = (
    "Test images as they are count as normal, the same ones corrupted as anomalies. In each cell: "
    "AUROC of the plain score (summed squared error of image and reconstruction) / of the default "
    "score. Patches and lines are placed as their names say, at random for each image: *anywhere* "
    "may lie at the border, *centre* lies in the inner 16 x 16 of 28 x 28 pixels. *rotated 3* is a "
    "control: it is interpolated as *rotated 30* is and means the same, so a score should be near "
    ".5 there.\n\n![ROC curves](roc.png)\n",
    "On the test images. An image without a change cannot be told from its original: it counts as "
    "an anomaly all the same, and bounds the AUROC that can be reached.\n\nThe images themselves "
    "are described in `statistics.json`.\n",
    "Over all pixels of 500 corrupted test images together. Anomalous are either the pixels that "
    "really *changed*, or the whole *region* of the patch or line, also where black was covered "
    "with black. A random map has the AUROC .5 and the share of anomalous pixels as average "
    "precision.\n\n![Maps](maps.png)\n\n"
    "*The first three test images that each corruption changed. One colour scale for each kind of "
    "map: its end is the value below which 99.5 % of the pixels of clean images lie, so brightest "
    "is what is rare in clean images.*\n",
    "Otherwise the default CAE: plain / default score.\n\n![Bottleneck](bottleneck.png)\n",
    "The corrupted training images are as the corrupted test images are, all of the corruptions "
    "above but the control in equal parts. *Not told*: `contamination=0`, the detector takes all "
    "its images for clean. *Told*: it gets the share as its `contamination`. Plain / default "
    "score.\n\n![Contamination](contamination.png)\n",
    "Strengths are sd of the noise, degrees, sides of patches in pixels, the share of pixels "
    "dropped and the number of lines.\n\n![Strength](strength.png)\n",
)


def robustness_shown(tables):
    """Format the tables for people: means over seeds.

    Parameters
    ----------
    tables : dict of str to DataFrame
        As :func:`robustness` returns them.

    Returns
    -------
    shown : dict of str to DataFrame
        Titles and tables of strings.
    """
    told = {False: "not told", True: "told"}
    contamination = tables["contamination"].assign(
        share=[
            f"{share:.0%}" + (f", {told[flag]}" if share else "")
            for share, flag in tables["contamination"][["share", "told"]].to_numpy()
        ]
    )
    return {
        "AUROC of corrupted against clean images": _wide(tables["auroc"], "detector"),
        "What the corruptions changed": _shown_changed(tables["changed"]),
        "Pixel AUROC / average precision of the maps": _shown_pixels(tables["pixels"]),
        "Bottleneck: AUROC of the CAE by the number of latents": _wide(
            tables["bottleneck"], "latent_dim"
        ),
        "Contamination: AUROC of the CAE by the share of corrupted training images": _wide(
            contamination, "share"
        ),
        "Strength: AUROC of the Conv-VAE": _shown_strength(tables["strength"]),
    }


def _wide(table, column):
    """Corruptions downwards, detectors across, plain / default score in each cell."""
    means = table.groupby(["corruption", column], sort=False)[list(KINDS)].mean()
    pairs = means.apply(lambda row: f"{row['plain']:.3f} / {row['default']:.3f}", axis=1).unstack()
    pairs = pairs.loc[table["corruption"].unique(), table[column].unique()]
    pairs.columns = [f"{column} {name}" if column == "latent_dim" else name for name in pairs]
    return pairs.rename_axis(index="plain / default").reset_index()


def _shown_changed(table):
    means = table.drop(columns="seed").groupby("corruption", sort=False).mean()
    return pd.DataFrame(
        {
            "corruption": means.index,
            "changed pixels": [f"{v:.1%}" for v in means["changed_pixels"]],
            "images without a change": [f"{v:.1%}" for v in means["unchanged_images"]],
            "mean change of a pixel": [f"{v:.3f}" for v in means["mean_change"]],
        }
    )


def _shown_pixels(table):
    rows = []
    for name in table["corruption"].unique():
        for truth, own in table[table["corruption"] == name].groupby("truth", sort=False):
            row = {"corruption": name, "truth": truth}
            row["share"] = f"{own['anomalous_pixels'].mean():.1%}"
            means = own.groupby(["detector", "map"], sort=False)[["pixel_auroc", "pixel_ap"]].mean()
            for (detector, kind), values in means.iterrows():
                figures = f"{values['pixel_auroc']:.3f} / {values['pixel_ap']:.3f}"
                row[f"{detector}: {kind}"] = figures
            rows.append(row)
    return pd.DataFrame(rows)


def _shown_strength(table):
    means = table.groupby(["corruption", "strength"], sort=False)[list(KINDS)].mean().reset_index()
    columns = {"corruption": means["corruption"], "strength": means["strength"].map("{:g}".format)}
    for kind in KINDS:
        columns[kind] = means[kind].map("{:.3f}".format)
    return pd.DataFrame(columns)


def draw_roc(curves, figures):
    """Draw ROC curves, a panel a detector and score, a colour a corruption."""
    detectors = curves["detector"].unique()
    figure = new_figure(figsize=(9.5, 4.3 * len(detectors)))
    panels = figure.subplots(len(detectors), 2, squeeze=False, sharex=True, sharey=True)
    means = figures.groupby(["detector", "corruption"], sort=False)[list(KINDS)].mean()
    for row, detector in zip(panels, detectors, strict=True):
        for ax, (kind, title) in zip(row, KINDS.items(), strict=True):
            own = curves[(curves["detector"] == detector) & (curves["score"] == kind)]
            for i, (name, curve) in enumerate(own.groupby("corruption", sort=False)):
                mean = curve.groupby("false_positive_rate")["true_positive_rate"].mean()
                label = f"{means.loc[(detector, name), kind]:.3f}  {name}"
                style = ":" if "control" in name else "-"
                ax.plot(mean.index, mean, style, color=f"C{i}", lw=1.3, label=label)
            ax.axline((0, 0), slope=1, color="grey", lw=0.5)
            ax.set_title(f"{detector}, {title}")
            ax.legend(title="AUROC", fontsize=7, title_fontsize=7, loc="lower right")
            ax.set(xlabel="false positive rate", ylabel="true positive rate")
            ax.label_outer()
    return figure


def draw_maps(examples):
    """Draw images, maps and masks, a row a corruption and a block of columns a kind."""
    n_shown, side, _ = np.shape(examples[0]["original"])
    figure = new_figure(figsize=(2.2 + 0.55 * n_shown * len(COLUMNS), 0.6 * len(examples) + 0.6))
    panels = figure.subplots(1, len(COLUMNS), sharey=True)
    for ax, column in zip(panels, COLUMNS, strict=True):
        rows = [row[column] for row in examples]
        show_mosaic(ax, rows, cmap="inferno" if column.endswith("map") else "gray")
        ax.set_title(column, fontsize=9)
    centres = (side + 1) * (np.arange(len(examples)) + 0.5) - 0.5
    panels[0].set_yticks(centres, [row["corruption"] for row in examples])
    return figure


def draw_sweep(table, x, label):
    """Draw AUROC against ``x``, a colour a corruption, their mean in black."""
    figure = new_figure(figsize=(11, 4.2))
    panels = figure.subplots(1, 2, sharey=True)
    styles = {False: "o-"} if "told" not in table else {False: "o-", True: "s--"}
    for ax, (kind, title) in zip(panels, KINDS.items(), strict=True):
        for told, style in styles.items():
            own = table
            if "told" in table:
                # The clean training belongs to both lines.
                own = table[(table["told"] == told) | (table[x] == 0)]
            means = own.pivot_table(kind, x, "corruption", sort=False).sort_index()
            places = np.arange(len(means))
            for i, name in enumerate(means):
                named = name if told is False else None
                ax.plot(places, means[name], style, color=f"C{i}", lw=1, ms=3, label=named)
            faithful = means.drop(columns=[c for c in means if "control" in c]).mean(axis=1)
            ax.plot(places, faithful, style, color="black", lw=2.5, label=_mean_label(table, told))
            ax.set_xticks(places, [f"{v:g}" for v in means.index])
        ax.axhline(0.5, color="grey", lw=0.5)
        ax.set(title=f"CAE, {title}", xlabel=label, ylabel="AUROC")
        ax.label_outer()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8)
    return figure


def _mean_label(table, told):
    words = "mean, without control"
    return words if "told" not in table else f"{words}, {'told' if told else 'not told'}"


def draw_strength(table):
    """Draw AUROC against the strength, a panel a corruption."""
    names = table["corruption"].unique()
    figure = new_figure(figsize=(11, 2.5 * -(-len(names) // 4) + 0.4))
    panels = figure.subplots(-(-len(names) // 4), 4, sharey=True, squeeze=False).ravel()
    means = table.groupby(["corruption", "strength"], sort=False)[list(KINDS)].mean()
    for ax, name in zip(panels, names, strict=False):
        own = means.loc[name]
        for kind, title in KINDS.items():
            ax.plot(own.index, own[kind], "o-", ms=4, label=title)
        ax.axhline(0.5, color="grey", lw=0.5)
        ax.set(title=name, xlabel=UNITS[name.split()[0]])
    for ax in panels[len(names) :]:
        ax.remove()
    for ax in panels[::4]:
        ax.set_ylabel("AUROC")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
