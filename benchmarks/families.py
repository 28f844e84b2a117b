"""How the families of detectors for tables rank on real data, beside PyOD's.

    SKVAE_DATA=... python benchmarks/families.py [--part choices] [--out results/]

prints two Markdown tables for each setting of `skvae.studies.adbench`: means over the data sets,
and AUROC set by set, with the spread over seeds. The sets are those of ADBench with odd numbers,
300 to 7,000 rows and at most 200 columns, cut to 5,000 rows. They were parted by their numbers
before anything was measured: whatever was chosen for a detector was chosen on ``choices``, those
of the form 4n + 1; ``reported``, 4n + 3, were not looked at before.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import pandas as pd

from skvae import AEDetector, DenoisingAEDetector, VAEDetector, VQVAEDetector
from skvae.datasets import load_adbench
from skvae.studies.adbench import adbench, adbench_shown, adbench_summary
from skvae.studies.baselines import pyod_baseline
from skvae.studies.report import markdown_table, percent, write_table, write_text

PARTS = {
    "choices": ("25_musk", "29_Pima", "37_Stamps", "41_Waveform"),
    "reported": (
        "7_Cardiotocography",
        "19_landsat",
        "27_PageBlocks",
        "31_satimage-2",
        "35_SpamBase",
        "43_WDBC",
        "47_yeast",
    ),
}

# Name -> class and parameters: another family is one line more.
FAMILIES = {
    "VAEDetector": (VAEDetector, {}),
    "AEDetector": (AEDetector, {}),
    "DenoisingAEDetector": (DenoisingAEDetector, {}),
    "VQVAEDetector": (VQVAEDetector, {}),
}
PYOD = ("KNN", "KNN mean", "IForest")


def factories(names):
    """``factory(setting, seed)`` of each name; of all, in one order, if there are none."""
    known = {name: _family(*family) for name, family in FAMILIES.items()}
    known |= {name: _pyod(name) for name in PYOD}
    return {name: known[name] for name in names or known}


def _family(cls, params):
    def make(setting, seed):
        clean = {"contamination": 0} if setting == "S" else {}
        return cls(**{"random_state": seed, **clean, **params})

    return make


def _pyod(name):
    return lambda setting, seed: pyod_baseline(name, seed)


def by_set(results):
    """AUROC in percent, a row a data set and a column a detector."""
    table = {"data set": results["dataset"].unique()}
    for name, own in results.groupby("detector", sort=False):
        auroc = own.groupby("dataset", sort=False)["auroc"].agg(["mean", "std"])
        table[name] = [percent(*auroc.loc[each]) for each in table["data set"]]
    return pd.DataFrame(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--part", choices=PARTS, default="reported")
    parser.add_argument("--detectors", nargs="*", metavar="NAME", help="these alone")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-rows", type=int, default=5000)
    parser.add_argument("--out", type=Path, help="folder for families.md, families.csv")
    args = parser.parse_args()
    results = adbench(
        {name: load_adbench(name) for name in PARTS[args.part]},
        factories(args.detectors),
        seeds=range(args.seeds),
        max_rows=args.max_rows,
    )
    lines = []
    for setting, own in results.groupby("setting", sort=False):
        summary = adbench_summary(own)
        lines += [f"## {args.part}, setting {setting}\n", markdown_table(adbench_shown(summary))]
        lines.append(markdown_table(by_set(own)))
    text = "\n".join(lines)
    print(text)
    if args.out:
        write_text(args.out / "families.md", text)
        write_table(args.out / "families.csv", results)


if __name__ == "__main__":
    main()
