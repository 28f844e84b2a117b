"""
Studies of tables, in small
===========================

A study runs many detectors on many data sets, returns a DataFrame, and can write a report folder.
On all the data they take hours; here they run on little, to show what they return. The same on
everything are the commands ``skvae study adbench``, ``blobs``, ``selection`` and ``families``.
"""

# %%
# Which detector? adbench and blobs
# ---------------------------------
# ``adbench`` takes named tables, or all those of the data home. Setting S trains on normal rows, U
# on all of them, anomalies among them.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer

from skvae.datasets import get_data_home, load_adbench, make_blobs_with_anomalies
from skvae.studies import (
    adbench,
    adbench_summary,
    blobs,
    blobs_summary,
    families,
    families_summary,
    selection,
    selection_summary,
)

if (get_data_home() / "adbench").is_dir():
    tables = {name: load_adbench(name) for name in ("Hepatitis", "wine", "vertebral")}
else:
    X, is_benign = load_breast_cancer(return_X_y=True)
    kept = np.flatnonzero((is_benign == 1) | (np.arange(len(X)) % 5 == 0))
    tables = {
        "breast cancer": (X[kept], 1 - is_benign[kept]),
        "blobs": make_blobs_with_anomalies(400, 6, anomaly_fraction=0.1, random_state=0),
    }
results = adbench(tables, detectors=["VAEDetector", "IForest", "KNN"], seeds=(0,), progress=False)
summary = adbench_summary(results)
print(summary[["setting", "detector", "auroc", "auroc_rank", "ap"]].round(3).to_string(index=False))

# %%
# ``blobs`` draws its data itself; here without PyOD's detectors beside the VAE.
of_blobs = blobs_summary(
    blobs(readings="AF", n_samples=1000, grid=False, baselines=False, progress=False)
)
print(of_blobs[["reading", "detector", "auroc", "ap", "f1"]].round(3).to_string(index=False))

# %%
# Which parameters? selection
# ---------------------------
# Candidates are chosen by criteria without labels, and compared with what labels would have chosen.
chosen = selection_summary(
    selection(tables, settings=("S",), seeds=(0,), max_steps=150, progress=False)
)
shown = ["score", "criterion", "random", "chosen", "best"]
print(chosen[shown].round(3).to_string(index=False))

# %%
# Which family? families
# ----------------------
# In quick mode its tables are blobs and its images small; it has every family of detectors.
of_families = families_summary(
    families(detectors=["VAE", "AE", "KNN"], seeds=(0,), quick=True, progress=False)
)
print(of_families[["domain", "family", "auroc"]].round(3).to_string(index=False))

# %%
# In one picture
# --------------
# AUROC of each table, in both settings. Three small tables and one seed decide nothing.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
for ax, setting in zip(axes, ("S", "U"), strict=True):
    by_table = results[results["setting"] == setting].pivot(
        index="dataset", columns="detector", values="auroc"
    )
    places = np.arange(len(by_table))
    for (name, values), marker, color in zip(
        by_table.items(), "os^", ["tab:blue", "tab:orange", "black"], strict=True
    ):
        ax.plot(values, places, marker, color=color, ms=8, mfc="none", mew=2, label=name)
    ax.set_yticks(places, by_table.index)
    ax.set(
        xlim=(0, 1.02), ylim=(-0.5, len(places) - 0.5), xlabel="AUROC", title=f"setting {setting}"
    )
    ax.axvline(0.5, color="gray", lw=1, ls="--")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right")
plt.show()
