"""
Heat in January: anomalies in their context
===========================================

A temperature of 20 degrees is normal in July and odd in January. ``ConditionalVAEDetector`` is told
which columns are context: they are never judged, and the others are judged by what is usual under
them. Beside it stands a detector that takes the month for a column like any other.
"""

# %%
# Twenty years of days
# --------------------
# Temperature and humidity follow the year. The month goes round, December is next to January, so it
# is given as a sine and a cosine. In winter the station was closed on most days: of every thirty
# winter days, the record holds one.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConditionalVAEDetector, VAEDetector


def weather(day, rng):
    warmth = -np.cos(2 * np.pi * (day - 15) / 365)
    return pd.DataFrame(
        {
            "sine": np.sin(2 * np.pi * day / 365),
            "cosine": np.cos(2 * np.pi * day / 365),
            "temperature": 10 + 10 * warmth + 2 * rng.normal(size=len(day)),
            "humidity": 65 - 15 * warmth + 3 * rng.normal(size=len(day)),
        }
    )


def is_winter(day):
    return (day < 60) | (day >= 335)


rng = np.random.default_rng(0)
recorded = np.tile(np.arange(365), 20)
recorded = recorded[~is_winter(recorded) | (rng.random(len(recorded)) < 1 / 30)]
X = weather(recorded, rng)
print(f"{len(X)} days, {is_winter(recorded).sum()} of them in winter")

# %%
# Out of season
# -------------
# The anomalies are days like any others, shown under another day of the year, a quarter to three
# quarters of a year away. No value is out of its range.
day = rng.integers(365, size=2000)
normal = weather(day, rng)
moved = weather((day + rng.integers(91, 274, size=2000)) % 365, rng)
moved[["sine", "cosine"]] = normal[["sine", "cosine"]]
X_new = pd.concat([normal, moved], ignore_index=True)
is_anomaly = np.repeat([False, True], 2000)
winter = np.tile(is_winter(day), 2)

context = ["sine", "cosine"]
settings = {"contamination": 0, "percentile": 99, "random_state": 0}
detectors = {
    "with context": ConditionalVAEDetector(condition=context, **settings).fit(X),
    "day as any column": VAEDetector(**settings).fit(X),
    "without the day": VAEDetector(**settings).fit(X.drop(columns=context)),
}
flagged, rows = {}, {}
for name, detector in detectors.items():
    some = X_new[detector.feature_names_in_]
    flagged[name] = detector.predict(some) == -1
    rows[name] = {
        "AUROC": roc_auc_score(is_anomaly, detector.anomaly_score(some)),
        "anomalies found": flagged[name][is_anomaly].mean(),
        "false alarms in winter": flagged[name][~is_anomaly & winter].mean(),
        "false alarms else": flagged[name][~is_anomaly & ~winter].mean(),
    }
print(pd.DataFrame(rows).T.round(3).to_string())

# %%
# What is flagged
# ---------------
# Each point is a new day; the anomalies are all over the picture, the normal days on the curve.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, (name, by) in zip(axes, flagged.items(), strict=True):
    for which, color, label in ((~by, "tab:blue", "not flagged"), (by, "tab:orange", "flagged")):
        at = np.tile(day, 2)[which]
        ax.scatter(at, X_new["temperature"][which], s=3, color=color, label=label)
    ax.set(title=name, xlabel="day of the year")
axes[0].set_ylabel("temperature (degrees)")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", markerscale=4)

# %%
# With the day, as context or as a column, a day out of season is found; without it hardly any. The
# difference between the two is the winter. As a column like any other the rare day itself is odd,
# and one normal winter day in six is flagged. As context it is not judged, and one in a hundred is.
plt.show()
