"""
Where to draw the line: percentile, F1 or conformal
===================================================

A detector gives every row a score. A threshold makes an alarm of it, and it is a step of its own:
``set_threshold`` moves it on a fitted detector without training again. We compare three ways to
choose it by the false alarms that they really cause.
"""

# %%
# One detector
# ------------
# It is trained on 400 normal rows. Two more sets are kept apart to choose thresholds on: normal
# rows, and rows with labels. The last set stands for the future: 20,000 normal rows and some
# anomalies, which are hard to tell from them.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import VAEDetector
from skvae.datasets import make_blobs_with_anomalies
from skvae.plotting import ScoreHistogramDisplay

X, y = make_blobs_with_anomalies(24_400, anomaly_fraction=0.06, reading="F", random_state=0)
normal, anomalous = X[y == 0], X[y == 1]
X_train, X_calibration = normal[:400], normal[400:1400]
X_labelled = np.vstack([normal[1400:2400], anomalous[:50]])
y_labelled = np.repeat([1, -1], [1000, 50])
X_future, X_future_anomalous = normal[2400:22_400], anomalous[50:]

detector = VAEDetector(contamination=0, random_state=0).fit(X_train)

# %%
# Three thresholds, and one that deceives
# ---------------------------------------
# We want 5 % false alarms. A percentile of the *training* scores is what many take, and it promises
# too much: the network has seen these rows, and fits them better than new ones. The same percentile
# of held-out rows keeps the promise. So does the conformal threshold, which adds a correction for
# the finite number of rows, so that the promise holds on average for any data and any detector. F1
# promises nothing about false alarms: it weighs them against the anomalies found, at the share of
# anomalies that the labelled rows happen to have.
settings = {
    "percentile, training rows": {"threshold": "percentile", "X": X_train},
    "percentile, held-out rows": {"threshold": "percentile", "X": X_calibration},
    "conformal, held-out rows": {"threshold": "conformal", "X": X_calibration},
    "f1, labelled rows": {"threshold": "f1", "X": X_labelled, "y": y_labelled},
}
rows = {}
for name, setting in settings.items():
    detector.set_threshold(**setting, percentile=95)
    rows[name] = {
        "threshold": detector.threshold_,
        "false alarms (%)": 100 * np.mean(detector.predict(X_future) == -1),
        "anomalies found (%)": 100 * np.mean(detector.predict(X_future_anomalous) == -1),
    }
table = pd.DataFrame(rows).T
print(table.round(2))

# %%
# The future, and where each threshold cuts it
# --------------------------------------------
X_all = np.vstack([X_future, X_future_anomalous])
y_all = np.repeat([1, -1], [len(X_future), len(X_future_anomalous)])
display = ScoreHistogramDisplay.from_predictions(
    y_all, detector.anomaly_score(X_all), stat="percent"
)
styles = [":", "--", "-.", "-"]
for style, (name, threshold) in zip(styles, table["threshold"].items(), strict=True):
    display.ax_.axvline(threshold, color="black", ls=style, label=name)
display.ax_.legend()

# %%
# Conformal p-values
# ------------------
# Held-out rows also give every row a p-value: the share of normal rows that look at least as
# strange. Normal rows have p-values spread evenly between 0 and 1, so that at any level alpha a
# share alpha of them lies below it, as closely as 1,000 calibration rows allow: 0.7 percentage
# points, one standard deviation, at 5 %.
detector.set_threshold("conformal", X_calibration)
p_values = detector.p_values(X_future)
for alpha in (0.01, 0.05, 0.1):
    print(f"p <= {alpha:<4}: {100 * np.mean(p_values <= alpha):5.2f} % of future normal rows")

_, ax = plt.subplots()
ax.hist(p_values, bins=20, weights=np.full(len(p_values), 100 / len(p_values)))
ax.axhline(5, color="black", ls="--", label="evenly spread")
ax.set_xlabel("conformal p-value")
ax.set_ylabel("normal rows (%)")
ax.legend()
plt.show()
