"""The report folder of the study of shift."""

from pathlib import Path

import numpy as np
import pandas as pd

from skvae.studies._pictures import cells, show_mosaic, what_was_run
from skvae.studies._shift_drift import MONITORS
from skvae.studies.report import (
    new_figure,
    write_figure,
    write_sections,
    write_tables,
)

DEFAULT = "Conv-VAE, beta=1"
ALPHA = 0.05  # of DriftMonitor
MONITOR_NAMES = {
    "mean_score": "rise of the mean score, in sd",
    "latent_mmd": "MMD of the latents",
    "latent_ks": "largest KS of a latent",
    "score_ks": "KS of the scores",
    "drifted": "share of batches with an alarm",
}


def write_shift_report(out, tables, shown, examples, settings, seeds, minutes):
    """Write the tables as CSV and JSON, the pictures, and report.md that shows them.

    Parameters
    ----------
    out : str or path-like
    tables : dict of str to DataFrame
    shown : dict of str to DataFrame
        The same, formatted, by their titles.
    examples : list of dict
        Images of each test set and their reconstructions.
    settings : dict
    seeds : sequence of int
    minutes : (float, float)
        Wall and CPU time.
    """
    out = Path(out)
    write_tables(out, tables)
    write_figure(out / "examples.png", draw_examples(examples))
    write_figure(out / "auroc.png", draw_auroc(tables["auroc"]))
    write_figure(out / "drift.png", draw_drift(tables["drift"]))
    write_figure(out / "strengths.png", draw_strengths(tables["strengths"]))
    head = f"# Shifted digits\n\n{what_was_run(settings, seeds, minutes)}\n"
    write_sections(out / "report.md", head, shown, WORDS)


WORDS = (
    "The classifier and the detectors saw unshifted training images alone. AUROC is of the "
    "shifted test images (anomalies) against the standard ones (normal), which but for label shift "
    "are the same images. *Plain* is the summed squared error of image and reconstruction; the "
    "*default score* is that of `ConvVAEDetector()`. Patches are black; *anywhere* may lie at the "
    "border, where a patch may change no pixel at all; *centre* lies in the inner 16 x 16 of "
    "28 x 28 pixels. *rotated 3* is the control: it is interpolated as *rotated 30* is and means "
    "the same, so a score should be near .5 there (below: smoothed images are easier to "
    "reconstruct). Label shift changes no image, so no score of single images can see it.\n\n"
    "![Images of the test sets, and what the VAEs make of them](examples.png)\n\n"
    "*The same images of the test file in each row (the last: digits 0-4), and their "
    "reconstructions by the VAEs of beta 1 and of beta 4.*\n\n"
    "![AUROC](auroc.png)\n",
    "Cross-entropy (which counts the entropy of grey pixels, too) and KL divergence of the images "
    "at the posterior mean. A latent is active where its mean varies over the images by more than "
    "0.01; none active would be a collapsed posterior.\n",
    "`DriftMonitor` at alpha = .05 over the default Conv-VAE's latents and scores; its reference "
    "and the batches are images of the training file that nothing was trained on (10,000 as "
    "reference; batches are drawn anew from the rest, shifted ones from 4,000 of it, so that "
    "large ones share images; a quick run has far fewer). In the row *standard* an alarm is a "
    "false one. *drifted* is the joint decision; the other columns are "
    "the tests that it joins, adjusted: kernel MMD of the latents, largest Kolmogorov-Smirnov "
    "statistic of a latent, and that of the scores.\n\n"
    "![Power of the drift monitor](drift.png)\n",
    "Over the strengths of each corruption, strength 0 among them: the accuracy that the "
    "classifier lost on 1,000 images (200 in a quick run) against the mean score of the same "
    "images, and against the monitor's mean statistics and share of alarms over batches of 100 "
    "(50) drawn from them. Few strengths a corruption: a high correlation says that both rise "
    "together, not how well one predicts the other.\n\n"
    "![Lost accuracy against the monitors](strengths.png)\n",
)


def shift_shown(tables):
    """Format the tables for people: means over seeds.

    Parameters
    ----------
    tables : dict of str to DataFrame
        As :func:`shift` returns them.

    Returns
    -------
    shown : dict of str to DataFrame
        Titles and tables of strings.
    """
    return {
        "Accuracy of the classifier, AUROC against standard": _shown_auroc(tables),
        "Reconstruction and KL of the VAEs, means over standard test images": _shown_beta(tables),
        "Share of batches that DriftMonitor calls drifted": _shown_drift(tables["drift"]),
        "Correlation (Pearson / Spearman) with the lost accuracy": _shown_correlation(
            tables["correlation"]
        ),
    }


def _shown_auroc(tables):
    accuracy = tables["accuracy"].groupby("shift", sort=False)["accuracy"].mean()
    by_shift = tables["auroc"].groupby(["shift", "detector"], sort=False)[["plain", "default"]]
    means = by_shift.mean().unstack()
    rows = []
    for name, value in accuracy.items():
        row = {"test set": name, "CNN accuracy": f"{value:.3f}"}
        for detector in tables["auroc"]["detector"].unique():
            row[f"{detector}: plain"] = _figure(means, name, "plain", detector)
        row[f"{DEFAULT}: default score"] = _figure(means, name, "default", DEFAULT)
        rows.append(row)
    return pd.DataFrame(rows)


def _figure(means, shift, kind, detector):
    return f"{means.loc[shift, (kind, detector)]:.3f}" if shift in means.index else "-"


def _shown_beta(tables):
    means = tables["beta"].drop(columns="seed").groupby("detector", sort=False).mean()
    return pd.DataFrame(
        {
            "detector": means.index,
            "reconstruction, nats": [f"{v:.1f}" for v in means["reconstruction"]],
            "KL, nats": [f"{v:.1f}" for v in means["kl"]],
            "squared error, summed": [f"{v:.2f}" for v in means["squared_error"]],
            "active latents": [
                f"{a:g} of {n:g}" for a, n in means[["active_latents", "latents"]].to_numpy()
            ],
        }
    )


def _shown_drift(drift):
    means = drift.drop(columns="seed").groupby(["shift", "n"], sort=False).mean().reset_index()
    columns = {"batches": means["shift"], "batch size": means["n"].astype(str)}
    columns["of each"] = means["n_batches"].map("{:g}".format)
    for key in ("drifted", "latent_mmd", "latent_ks", "score_ks"):
        columns[key] = means[key].map("{:.3f}".format)
    return pd.DataFrame(columns)


def _shown_correlation(correlation):
    means = correlation.drop(columns="seed").groupby("corruption", sort=False).mean().reset_index()
    columns = {"corruption": means["corruption"], "strengths": means["n"].map("{:g}".format)}
    for monitor in MONITORS:
        pairs = means[[f"{monitor}, Pearson", f"{monitor}, Spearman"]].to_numpy()
        columns[monitor] = ["-" if p != p else f"{p:.2f} / {s:.2f}" for p, s in pairs]
    return pd.DataFrame(columns)


def draw_examples(examples):
    """Draw images of each test set beside their reconstructions."""
    n_sets, (n_images, side, _) = len(examples), np.shape(examples[0]["images"])
    figure = new_figure(figsize=(3.6 + n_images * 1.3, 0.5 * n_sets + 0.6))
    panels = figure.subplots(1, 3, sharey=True)
    for ax, key in zip(panels, ("images", "beta 1", "beta 4"), strict=True):
        show_mosaic(ax, [row[key] for row in examples])
        ax.set_title("test images" if key == "images" else f"Conv-VAE, {key.replace(' ', '=')}")
    centres = (side + 1) * (np.arange(n_sets) + 0.5) - 0.5
    panels[0].set_yticks(centres, [row["shift"] for row in examples])
    return figure


def draw_auroc(table):
    """Draw AUROC as coloured cells, a row a test set."""
    long = table.melt(["seed", "detector", "shift"], ["plain", "default"], "kind").dropna()
    long["column"] = long["detector"] + ":\n" + long["kind"]
    order = long["column"].unique()
    means = long.pivot_table("value", "shift", "column", sort=False)[order]
    figure = new_figure(figsize=(2.5 + 1.4 * means.shape[1], 1.2 + 0.45 * len(means)))
    cells(figure.subplots(), means, "AUROC, shifted against standard test images")
    return figure


def draw_drift(table):
    """Draw the share of alarms against the batch size."""
    means = table.pivot_table("drifted", "n", "shift", sort=False)
    figure = new_figure(figsize=(7, 4.5))
    ax = figure.subplots()
    for i, name in enumerate(means):
        is_clean = name == "standard"
        label = "standard (false alarms)" if is_clean else name
        # A little aside, so that curves that lie on each other are all seen.
        x = means.index.to_numpy() * 1.015 ** (i - len(means.columns) / 2)
        style = "o:" if is_clean else "o-"
        ax.plot(x, means[name], style, color="black" if is_clean else f"C{i}", label=label)
    ax.axhline(ALPHA, color="grey", lw=0.8)
    ax.set_xscale("log")
    ax.set_xticks(means.index, means.index.astype(str))
    ax.minorticks_off()
    ax.set(xlabel="images in a batch", ylabel="share of batches with an alarm", ylim=(-0.03, 1.03))
    ax.set_title(f"DriftMonitor, grey: alpha = {ALPHA}")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def draw_strengths(table):
    """Draw each monitor against the lost accuracy, a line a corruption."""
    means = table.groupby(["corruption", "strength"], sort=False).mean().reset_index()
    figure = new_figure(figsize=(3 * len(MONITORS), 3.6))
    panels = figure.subplots(1, len(MONITORS))
    for ax, monitor in zip(panels, MONITORS, strict=True):
        for i, (name, own) in enumerate(means.groupby("corruption", sort=False)):
            ax.plot(own[monitor], own["lost_accuracy"], "o-", ms=4, color=f"C{i}", label=name)
        ax.set_xlabel(MONITOR_NAMES[monitor])
    panels[0].set_ylabel("lost accuracy of the classifier")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure
