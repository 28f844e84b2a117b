"""What the study of brain MRI makes of its results: summaries, tables, pictures, a report."""

import numpy as np
import pandas as pd

from skvae.studies._pictures import show_mosaic
from skvae.studies.report import (
    markdown_table,
    new_figure,
    write_figure,
    write_tables,
    write_text,
)

OURS, CONTROL, OTHER = "skvae", "control", "PyOD"
ALL = "all tumours"
APART = "all, look-alikes left out"
DOCUMENTED = "HOG neighbours"
JUDGED = "AUROC of tumours against no tumour"
CHOSEN = "The choice: AUROC of corrupted slices without a tumour"
# Told apart by people who do not see red and green, and in grey print.
COLORS = {OURS: "#0072B2", CONTROL: "#7F7F7F", OTHER: "#E69F00"}


def brain_summary(results):
    """Means over the seeds.

    Parameters
    ----------
    results : DataFrame
        As :func:`brain` returns.

    Returns
    -------
    summary : DataFrame
        A row a method and tumour: kind, auroc, spread (standard deviation over the seeds, nan for
        one), standard_error, n_seeds. Best first within a kind.
    """
    by = results.groupby(["kind", "method", "tumour"], sort=False)
    summary = by.agg(
        auroc=("auroc", "mean"),
        spread=("auroc", "std"),
        standard_error=("standard_error", "mean"),
        n_seeds=("auroc", "size"),
    ).reset_index()
    best = summary[summary["tumour"] == ALL].set_index("method")["auroc"]
    kinds = {kind: i for i, kind in enumerate((OURS, CONTROL, OTHER))}
    key = pd.DataFrame({"kind": summary["kind"].map(kinds), "all": -summary["method"].map(best)})
    order = key.sort_values(["kind", "all"], kind="stable").index
    return summary.loc[order].reset_index(drop=True)


def brain_shown(results):
    """Format results for people: a row a method, the tumours across.

    Parameters
    ----------
    results : DataFrame
        As :func:`brain` returns.

    Returns
    -------
    tables : dict of str to DataFrame
        Of strings: the judgement, and the choice.
    """
    summary = brain_summary(results)
    cells = summary["auroc"].map("{:.3f}".format)
    several = summary["spread"].notna()
    cells[several] += summary["spread"].map(" ± {:.3f}".format)[several]
    shown = summary.assign(cell=cells).pivot(
        index=["kind", "method"], columns="tumour", values="cell"
    )
    rows = summary[["kind", "method"]].drop_duplicates()
    columns = summary["tumour"].unique()
    shown = shown.loc[list(rows.itertuples(index=False, name=None)), columns].reset_index()
    error = summary[summary["tumour"] == ALL]["standard_error"].map("{:.3f}".format)
    shown["standard error (all)"] = error.to_numpy()
    choice = results.attrs["choice"].pivot_table("auroc", "score", "corruption", sort=False)
    choice.insert(0, "mean", choice.mean(axis=1))
    choice = choice.sort_values("mean", ascending=False).map("{:.3f}".format)
    return {
        JUDGED: shown,
        CHOSEN: choice.reset_index(names="score"),
    }


def write_report(out, results, extremes, folder, settings, seeds, minutes):
    """Write the tables as CSV and JSON, the pictures, and report.md that shows them.

    Parameters
    ----------
    out : Path
    results : DataFrame
        As :func:`brain` returns.
    extremes : dict of str to ndarray of shape (n, 1, H, W), uint8
        Test images of the highest and lowest scores, by the name of their row.
    folder : ImageFolder
    settings : dict
    seeds : sequence of int
    minutes : (float, float)
        Wall and CPU time.
    """
    write_tables(out, {"results": results, "choice": results.attrs["choice"]})
    summary = brain_summary(results)
    write_figure(out / "auroc.png", draw_auroc(summary))
    write_figure(out / "extremes.png", draw_extremes(extremes))
    shown = brain_shown(results)
    wall, cpu = minutes
    counts = ", ".join(f"{n} {name}" for name, n in settings["test"].items())
    text = (
        f"# Brain MRI: trained on slices without a tumour\n\n"
        f"{'Quick run: it shows that all works, its figures mean little. ' * settings['quick']}"
        f"Trained on {settings['train']} slices of `train/no_tumor` alone, judged on the "
        f"slices of `test`: {counts}. Seeds {', '.join(map(str, seeds))}; the pieces took "
        f"{wall:.1f} minutes ({cpu:.1f} CPU minutes) in all.\n\n{_leaks(folder)}\n\n"
        f"## {JUDGED}\n\n{WORDS}\n{markdown_table(shown[JUDGED])}\n![AUROC](auroc.png)\n\n"
        f"![Test images of the highest and lowest scores](extremes.png)\n\n{CAUTION}\n\n"
        f"## {CHOSEN}\n\n{WORDS_OF_CHOICE}\n{markdown_table(shown[CHOSEN])}"
    )
    write_text(out / "report.md", text)


WORDS = (
    f"*{DOCUMENTED}* is the documented configuration: "
    '`ConvVAEDetector(score="hog_neighbors", max_steps=300, batch_size=64)` on '
    "`load_image_folder(path, size=64)`, the mean distance to the three nearest training slices in "
    "histograms of oriented gradients. It asks no network, so it has no spread over the seeds, and "
    "it is hardly more than the control of one nearest neighbour. The other rows of skvae are the "
    "same detector with another `score`; *squared error* is the textbook VAE. PyOD's detectors run "
    "at their defaults on z-scored pixels. *Standardised* is each image at mean 0 and standard "
    "deviation 1; *darkness* is the mean intensity with its sign turned, which shows how far the "
    "brightness of a slice alone tells the classes apart. ± is the standard deviation over the "
    "seeds; the standard error is that of the "
    "draw of test slices (DeLong et al. 1988), and differences of less than two of them say "
    "little. *Look-alikes* are test slices nearer than .05 (`folder.duplicates`) to one of the "
    "training, without a tumour in most cases; they make the task easier.\n"
)
CAUTION = (
    "What stands out need not be the tumour: the classes differ in the plane and the height of the "
    "slice, the age of the patients and the machine as well, and no patient numbers exist, so "
    "slices of one patient may stand on both sides of the split. Nothing here shows that lesions "
    "are found; the tumours of the lowest scores, in the last row of the picture, are those that "
    "were missed."
)
WORDS_OF_CHOICE = (
    "The score was chosen by this table, which knows neither a tumour nor a test image (that HOG "
    "features stand in it at all owes to an earlier trial on tumour slices): slices of "
    "`train/no_tumor` in folds, near duplicates on one side; those held out are corrupted, and "
    "the corrupted ones are told from what they were. Means over the folds; first row: what was "
    "taken.\n"
)


def _leaks(folder):
    """Say in a sentence or two what the check for duplicates finds."""
    pairs = folder.duplicates()
    across = pairs[(pairs["part"] == "test") != (pairs["twin_part"] == "test")]
    text = (
        f"The check for duplicates (`folder.duplicates()`) finds {len(pairs) - len(across)} pairs "
        f"within the parts train and test, and {len(across)} across them, of whatever class"
    )
    if len(across) == 0:
        return f"{text}."
    named = "; ".join(f"{a} and {b}" for a, b in across[["file", "twin"]].to_numpy()[:6])
    more = "; ..." if len(across) > 6 else ""
    return f"{text}: {named}{more}."


def draw_auroc(summary):
    """Draw the AUROC of each method with its standard error, a panel a tumour."""
    tumours = summary["tumour"].unique()
    methods = summary["method"].unique()
    figure = new_figure(figsize=(4 + 2.2 * len(tumours), 1 + 0.28 * len(methods)))
    panels = np.atleast_1d(figure.subplots(1, len(tumours), sharey=True))
    for ax, tumour in zip(panels, tumours, strict=True):
        own = summary[summary["tumour"] == tumour]
        for kind, rows in own.groupby("kind", sort=False):
            at = [list(methods).index(method) for method in rows["method"]]
            ax.errorbar(
                rows["auroc"],
                at,
                xerr=rows["standard_error"],
                fmt="o",
                color=COLORS[kind],
                label=kind,
            )
        ax.axvline(0.5, color="black", lw=0.8, ls=":")
        ax.set_title(tumour, fontsize=10)
        ax.set_xlim(0, 1)
        ax.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(methods)), methods)
    panels[0].invert_yaxis()
    figure.supxlabel("AUROC against no tumour, ± one standard error of the test slices", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def draw_extremes(extremes):
    """Draw test images of the highest and lowest scores, a row each."""
    n_images = min(len(images) for images in extremes.values())
    rows = [images[:n_images, 0] / 255 for images in extremes.values()]
    figure = new_figure(figsize=(2.2 + n_images, 0.6 + len(rows)))
    ax = figure.subplots()
    show_mosaic(ax, rows)
    side = np.shape(rows)[2] + 1
    ax.set_yticks(side * (np.arange(len(rows)) + 0.5) - 0.5, list(extremes))
    ax.set_title(f"Test slices by the score of {DOCUMENTED}", fontsize=10)
    return figure
