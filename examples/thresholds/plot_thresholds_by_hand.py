"""
Thresholds for the scores of any detector
=========================================

The thresholds are small estimators on one-dimensional scores, higher = more anomalous. They know
nothing of networks: here they cut the scores of scikit-learn's isolation forest.
"""

# %%
# Scores
# ------
# Three parts: to train on, to set the threshold on, and to look at later. scikit-learn's
# ``score_samples`` is higher for normal rows, hence the sign.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest

from skvae.datasets import make_blobs_with_anomalies
from skvae.thresholds import F1, Conformal, Fixed, Percentile

X, y = make_blobs_with_anomalies(8000, anomaly_fraction=0.05, reading="F", random_state=0)
forest = IsolationForest(random_state=0).fit(X[:2000])
held_out, y_held_out = -forest.score_samples(X[2000:5000]), y[2000:5000]
later, y_later = -forest.score_samples(X[5000:]), y[5000:]

# %%
# Four of them
# ------------
# ``Percentile`` and ``Conformal`` bound the false alarms, and are fitted on normal rows; the latter
# leaves anomalies out where it is given labels, and corrects for the finite number of rows. ``F1``
# needs labels of both kinds. ``Fixed`` is a number that somebody knows.
thresholds = {
    "Percentile(95)": Percentile(95).fit(held_out[y_held_out == 0]),
    "Conformal(alpha=0.01)": Conformal(alpha=0.01).fit(held_out, y_held_out),
    "F1()": F1().fit(held_out, y_held_out),
    "Fixed(0.5)": Fixed(0.5).fit(held_out),
}
table = pd.DataFrame(
    {
        name: {
            "threshold_": each.threshold_,
            "false alarms (%)": 100 * np.mean(later[y_later == 0] > each.threshold_),
            "anomalies found (%)": 100 * np.mean(later[y_later == 1] > each.threshold_),
        }
        for name, each in thresholds.items()
    }
).T
print(table.round(3).to_string())

# %%
# Where they cut
# --------------
# The share of later rows above each possible threshold: a threshold trades one curve for the other.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for kind, color, label in ((0, "tab:blue", "normal rows"), (1, "tab:orange", "anomalies")):
    scores = np.sort(later[y_later == kind])
    ax.step(
        scores, 100 - 100 * np.arange(1, len(scores) + 1) / len(scores), color=color, label=label
    )
for style, (name, each) in zip([":", "--", "-.", "-"], thresholds.items(), strict=True):
    ax.axvline(each.threshold_, color="black", ls=style, lw=1, label=name)
ax.set(xlabel="anomaly score of the forest", ylabel="rows above the threshold (%)")
ax.legend()
plt.show()
