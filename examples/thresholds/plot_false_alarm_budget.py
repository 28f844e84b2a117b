"""
A budget for false alarms
=========================

A thousand rows come in each day, and somebody has time to look at a few. Conformal p-values say how
rare a score is among normal rows, and the procedure of Benjamini and Hochberg turns them into a
list of which at most a stated share is false, on average. Does it keep that promise?
"""

# %%
# A detector with held-out rows
# -----------------------------
# ``threshold="conformal"`` holds rows out of the training; p-values are ranks among their scores.
# The more rows are held out, the smaller a p-value can be: with 6,000 of them, 1/6001 at the least.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from skvae import VAEDetector
from skvae.datasets import make_blobs_with_anomalies

X, y = make_blobs_with_anomalies(
    60_000, anomaly_fraction=0.04, reading="E", shift=1.2, random_state=0
)
normal, anomalous = X[y == 0], X[y == 1]
detector = VAEDetector(
    contamination=0,
    threshold="conformal",
    calibration_fraction=0.75,
    random_state=0,
).fit(normal[:8000])
print(f"{len(detector.calibration_scores_)} rows held out")

# %%
# Forty days
# ----------
# Each day brings 980 normal rows and 20 anomalies. A fixed level of 5 % flags some fifty normal
# rows whatever comes; the budget adapts to what there is to find.
rng = np.random.default_rng(0)
labels = np.repeat([False, True], [980, 20])
fixed, budgets = "p <= 0.05", [0.05, 0.1, 0.2]
rows = []
for _ in range(40):
    some = rng.choice(np.arange(8000, len(normal)), 980, replace=False)
    others = rng.choice(len(anomalous), 20, replace=False)
    p_values = detector.p_values(np.vstack([normal[some], anomalous[others]]))
    adjusted = false_discovery_control(p_values)
    flagged = {fixed: p_values <= 0.05} | {f"budget {q:.0%}": adjusted <= q for q in budgets}
    for rule, by in flagged.items():
        false = (by & ~labels).sum()
        rows.append(
            {
                "rule": rule,
                "flagged": by.sum(),
                "false among them": false / max(by.sum(), 1),
                "anomalies found": (by & labels).sum() / 20,
            }
        )
days = pd.DataFrame(rows)
print(days.groupby("rule").mean().round(3).to_string())

# %%
# What the list costs
# -------------------
# Each point is a day.
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
rules = [f"budget {q:.0%}" for q in budgets] + [fixed]
for ax, column in zip(axes, ["false among them", "anomalies found"], strict=True):
    for place, rule in enumerate(rules):
        values = days.loc[days["rule"] == rule, column]
        ax.plot(
            place + rng.uniform(-0.2, 0.2, len(values)), values, ".", color="tab:blue", alpha=0.6
        )
        ax.plot([place - 0.3, place + 0.3], [values.mean()] * 2, color="black", lw=2)
    ax.set_xticks(range(len(rules)), rules)
    ax.set(ylabel=f"share: {column}", ylim=(-0.03, 1.03))
for place, q in enumerate(budgets):
    axes[0].plot([place - 0.4, place + 0.4], [q, q], color="tab:orange", ls="--", lw=2)
axes[0].set_title("orange: the budget")
axes[1].set_title("black: mean of the days")

# %%
# On average over the days each list keeps to its budget; single days do not. The price is anomalies
# that stay unfound: these are hard to tell from normal rows, and a budget of 5 % is mostly an empty
# list. A level of 5 % finds most of them, in a list of which three quarters are false.
plt.show()
