"""The recorded results as tables for people: those of the README and of the documentation.

``python benchmarks/tables.py`` prints them; ``--write README.md`` puts them between the marks of
the README, such as ``<!-- adbench: ... -->``. Nothing is measured here.
"""

import argparse
import re
from pathlib import Path

import pandas as pd

from skvae.studies._brain_report import APART
from skvae.studies.families import families_shown
from skvae.studies.report import markdown_table

RESULTS = Path(__file__).parent / "results"
# The README shows only these rows.
SHORT = {
    "blobs": [
        "VAEDetector (default)",
        "textbook VAE, beta=0.1, latent_dim=10",
        "textbook VAE, beta=5, latent_dim=10",
        "IForest",
        "PCA",
        "PyOD AutoEncoder",
        "KNN",
        "ECOD",
        "PyOD VAE",
        "LOF",
    ],
    "brain": [
        "HOG neighbours",
        "default",
        "squared error",
        "HOG, nearest neighbour",
        "darkness",
        "PCA-80 error, standardised",
        "nearest neighbour, standardised",
        "IForest",
        "PyOD VAE",
    ],
    "plots": [
        "whole VAE, line",
        "strip VAE, line",
        "strip VAE, distance",
        "-ink, line",
        "PCA-100, distance",
        "neighbours of strips, line",
        "values, neighbours",
        "features, neighbours",
    ],
}
CORRUPTIONS = {"plain": "squared error", "default": "default score"}


def read(name):
    """A recorded table."""
    return pd.read_csv(RESULTS / f"{name}.csv")


def decimals(values):
    """Three decimals, and nothing where nothing was measured."""
    return values.map(lambda each: "-" if each != each else f"{each:.3f}")


def mean_and_spread(groups):
    """Three decimals of the mean, and of the standard deviation where there are several."""
    spread = groups.std().map(lambda each: "" if each != each else f" ± {each:.3f}")
    return decimals(groups.mean()) + spread


def across(shown):
    """Strings by (row, column) as a table, both in the order in which they come."""
    shown = shown.reset_index(name="shown")
    index, column, _ = shown.columns
    table = shown.pivot(index=index, columns=column, values="shown").fillna("-")
    table = table.loc[shown[index].unique(), shown[column].unique()]
    return table.rename_axis(columns=None).reset_index()


def adbench():
    """AUROC / average precision in percent, and the seconds of a fit."""
    results = read("adbench")
    points = (100 * results[["auroc", "ap"]]).map("{:.1f}".format)
    results["shown"] = points["auroc"] + " / " + points["ap"]
    results["seconds"] = results["fit_seconds"].map("{:.2f}".format)
    clean, contaminated = (
        results[results["setting"] == setting].set_index("detector") for setting in "SU"
    )
    table = pd.DataFrame({"clean": clean["shown"], "contaminated": contaminated["shown"]})
    table["CPU s, clean / contaminated"] = clean["seconds"] + " / " + contaminated["seconds"]
    return table.loc[clean.index].reset_index()


def blobs():
    """The textbook example, best first."""
    results = read("blobs").sort_values(["auroc", "ap"], ascending=False, kind="stable")
    points = (100 * results[["auroc", "ap"]]).map("{:.1f}".format)
    shown = points["auroc"] + " / " + points["ap"]
    return pd.DataFrame({"detector": results["detector"], "AUROC / AP": shown})


def robustness():
    """The convolutional VAE, corruption by corruption."""
    results = read("robustness")
    results = results[results["detector"] == "Conv-VAE"].rename(columns=CORRUPTIONS)
    shown = results[list(CORRUPTIONS.values())].apply(decimals)
    return pd.concat([results["corruption"], shown], axis=1)


def shift():
    """Every network of the study, by the squared error and by the default score."""
    results = read("shift").rename(columns=CORRUPTIONS)
    table = results.melt(["detector", "shift"], list(CORRUPTIONS.values())).dropna()
    table["method"] = table["detector"] + ", " + table["variable"]
    return across(decimals(table.set_index(["method", "shift"])["value"]))


def drift():
    """How often whole batches were said to have moved, by their size."""
    results = read("shift_drift").set_index(["shift", "n"])["drifted"]
    table = across(decimals(results))
    return table.rename(columns=lambda name: f"{name} images" if name != "shift" else name)


def oneclass():
    """One digit against all others."""
    results = read("oneclass").groupby(["digit", "method"], sort=False)["auroc"]
    return across(decimals(results.mean())).astype(str)


def brain():
    """Slices with a tumour against slices without one."""
    results = read("brain")
    results = results[results["tumour"] != APART]
    groups = results.groupby(["method", "tumour"], sort=False)["auroc"]
    table = across(mean_and_spread(groups))
    return table.rename(columns=lambda name: name.removesuffix("_tumor"))


def plots():
    """Time series in their plots: whole plots, and the columns of an anomaly."""
    by_training = mean_and_spread(read("plots").groupby(["method", "training"], sort=False)["mean"])
    table = across(by_training).set_index("method")
    table = table.rename(columns={"normal": "trained on normal", "mixture": "trained on a mixture"})
    columns = mean_and_spread(read("plots_columns").groupby("method")["mean"])
    return table.assign(columns=columns).fillna("-").reset_index()


def selection():
    """What criteria without labels choose, and what they recover."""
    results = read("selection")
    criteria = {
        "likelihood": "held-out likelihood",
        "pool_auc": "AUCp, an unlabelled pool",
        "stability": "agreement of two networks",
    }
    rows = []
    for score, own in results.groupby("score"):
        for words, column in (
            ("a candidate drawn blindly", "random"),
            ("best on the test rows", "best"),
        ):
            of_setting = own.groupby("setting")[column].first()
            rows.append([score, words, *(f"{100 * of_setting[s]:.1f}" for s in "SU")])
        by = own.set_index(["criterion", "setting"])
        for criterion, words in criteria.items():
            cells = [
                "{:.1f} ({:.0f} %)".format(*(100 * by.loc[(criterion, s), ["chosen", "recovered"]]))
                if (criterion, s) in by.index
                else "-"
                for s in "SU"
            ]
            rows.append([score, words, *cells])
    return pd.DataFrame(rows, columns=["score", "criterion", "clean", "contaminated"])


def families():
    """Every family on every kind of data."""
    return families_shown(read("study_families"))["AUROC"]


def families_cost():
    """CPU seconds of a fit of each."""
    return families_shown(read("study_families"))["CPU seconds of a fit"]


def series():
    """Points of time series, by kind of anomaly."""
    results = read("series").drop(columns=["seed", "fit", "score"])
    return results.groupby("method", sort=False).mean().apply(decimals).reset_index()


def mixed():
    """Tables of mixed kinds of columns; AUROC in percent."""
    results = read("mixed")
    results["case"] = results["test"].where(
        ~results["data"].str.endswith("missing"), results["test"] + ", " + results["data"]
    )
    groups = results.groupby(["case", "method"], sort=False)["auroc"]
    return across(groups.mean().map("{:.1f}".format))


def conditional():
    """What it is worth to be told the condition."""
    results = read("conditional")
    results = results[~results["what"].str.contains(" flags of ")]
    return across(mean_and_spread(results.groupby(["what", "task"], sort=False)["value"]))


def few_labels():
    """AUROC / average precision in percent by the number of labelled anomalies."""
    results = read("few_labels").groupby(["method", "n_labels"], sort=False)[["auroc", "ap"]].mean()
    points = (100 * results).map("{:.1f}".format)
    table = across(points["auroc"] + " / " + points["ap"])
    return table.rename(columns=lambda name: f"{name} labelled" if name != "method" else name)


def stability():
    """Means over tables and ten seeds, and what seeds change."""
    results = read("stability")
    by_table = results.groupby(["detector", "table"], sort=False)["auroc"]
    table = pd.DataFrame({"AUROC": by_table.mean(), "spread over seeds": by_table.std()})
    return table.groupby("detector", sort=False).mean().apply(decimals).reset_index()


def measured(name):
    """What a benchmark of speed printed: the claim, both sides, the ratio and its target."""
    return read(name).drop(columns="value").fillna("-")


TABLES = {
    "adbench": adbench,
    "blobs": blobs,
    "robustness": robustness,
    "shift": shift,
    "drift": drift,
    "oneclass": oneclass,
    "brain": brain,
    "plots": plots,
    "selection": selection,
    "families": families,
    "families_cost": families_cost,
    "series": series,
    "mixed": mixed,
    "conditional": conditional,
    "few_labels": few_labels,
    "stability": stability,
    "speed": lambda: measured("speed"),
    "images": lambda: measured("images"),
    "sweeps": lambda: measured("sweeps"),
}


def with_tables(text):
    """The text with each table that stands below a mark replaced by the recorded one."""

    def renewed(match):
        mark, name = match.group(1), match.group(2)
        table = TABLES[name]()
        rows = SHORT.get(name)
        if rows is not None:
            table = table.set_index(table.columns[0]).loc[rows].reset_index()
        return f"{mark}{markdown_table(table)}"

    pattern = r"(<!-- (\w+): compared with (?:(?!<!--|^\|).)*?)(?:^\|[^\n]*\n)+"
    return re.sub(pattern, renewed, text, flags=re.MULTILINE | re.DOTALL)


def main():
    """Print all tables, or renew those of a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="README.md", help="renew its tables")
    path = parser.parse_args().write
    if path is None:
        for name, table in TABLES.items():
            print(f"## {name}\n\n{markdown_table(table())}")
    else:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_tables(text), encoding="utf-8")


if __name__ == "__main__":
    main()
