"""
What labels may look like, and a search that chooses the worst
==============================================================

scikit-learn's outlier detectors call an anomaly -1. Most files call it 1. scikit-learn's own
scorers take the larger label for the good one, and so, with labels in {0, 1}, a search with
``scoring="roc_auc"`` prefers the worst detector, and nothing says so. The scorers of
``skvae.metrics`` read both conventions.
"""

# %%
# One table, one search, two scorers
# ----------------------------------
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from skvae import VAEDetector
from skvae.datasets import make_blobs_with_anomalies
from skvae.metrics import (
    anomaly_labels,
    average_precision,
    f1,
    is_of_few,
    known_labels,
    roc_auc,
    two_class_labels,
)

X, y = make_blobs_with_anomalies(1500, 10, anomaly_fraction=0.05, reading="F", random_state=0)
detector = VAEDetector(score="reconstruction", max_steps=200, random_state=0)
search = GridSearchCV(
    detector,
    {"latent_dim": [1, 2, 4, 8], "beta": [0.1, 5.0]},
    scoring={
        "sklearn": "roc_auc",
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "f1": f1,
    },
    refit="roc_auc",
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
).fit(X, y)
results = pd.DataFrame(search.cv_results_).filter(regex="^(param_|mean_test)")
results.columns = [name.removeprefix("mean_test_").removeprefix("param_") for name in results]
print(results.round(3).to_string())
for scorer in ("sklearn", "roc_auc"):
    best = results.loc[results[scorer].idxmax()]
    print(f"chosen by {scorer}: latent_dim {best.latent_dim:.0f}, beta {best.beta}")

# %%
# The same detectors, in reverse
# ------------------------------
# Each point is a candidate. With these labels scikit-learn's scorer gives one minus the area, and
# its highest point is the lowest of all. The labels {+1, -1} would have brought the two together.
figure, ax = plt.subplots(figsize=(5.5, 4.2), layout="constrained")
ax.plot(results["roc_auc"], results["sklearn"], "o", color="tab:blue")
for scorer, marker, label in (
    ("sklearn", "X", "its choice"),
    ("roc_auc", "*", "choice of skvae's"),
):
    best = results.loc[results[scorer].idxmax()]
    ax.plot(
        best["roc_auc"],
        best["sklearn"],
        marker,
        ms=15,
        color="tab:orange",
        mec="black",
        label=label,
    )
ax.set(xlabel="skvae.metrics.roc_auc", ylabel='scoring="roc_auc", labels {0, 1}')
ax.legend()

# %%
# What is accepted
# ----------------
# ``anomaly_labels`` decides, and refuses what it cannot tell. Nothing but ones could be either.
for labels in ([1, 1, -1], [0, 0, 1], [False, False, True], [1, 1, 1], [0, 1, 2]):
    try:
        print(labels, "->", anomaly_labels(labels))
    except ValueError as error:
        print(labels, "->", str(error).split(".")[0])

# %%
# Labels of a few rows, 0 for unknown, are a third convention, for ``train_on="labels"`` and for
# scorers. ``known_labels`` checks them, and ``is_of_few`` tells whether that is what they are.
few = np.zeros(6, int)
few[[1, 4]] = -1
print(few, "of few:", is_of_few(few), "checked:", known_labels(few))
print("as a scorer reads them:", two_class_labels(few, "my metric"))
try:
    known_labels([0, 0, 1])
except ValueError as error:
    print(error)
plt.show()
