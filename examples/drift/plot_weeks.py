"""
A table that changes over weeks
===============================

A detector has been fitted, and rows come in week after week. Single rows look as normal as ever,
and yet the table drifts: something wears out, or other customers come. ``DriftMonitor`` tests each
week's rows against a reference. When does it notice, and what?
"""

# %%
# Pumps
# -----
# Five readings of pumps that depend on load and temperature. From week 8 on one sensor ages, a
# little more each week. From week 20 on it is repaired, and there are more pumps at high load.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import VAEDetector
from skvae.drift import DriftMonitor, DriftResult
from skvae.plotting import DriftDisplay


def readings(n, rng, week=0):
    load = rng.beta(2, 2, n) if week < 20 else rng.beta(4, 2, n)
    outside = rng.normal(size=n)
    noise = 0.1 * rng.normal(size=(n, 5))
    flow, current = 2 * load, load**2 + 0.3 * load
    bearing, oil = load + 0.5 * outside, 0.4 * load + outside
    frame = pd.DataFrame(
        {"flow": flow, "current": current, "bearing": bearing, "oil": oil, "outside": outside}
    )
    frame += noise
    if 8 <= week < 20:
        frame["bearing"] += 0.015 * (week - 7)
    return frame


rng = np.random.default_rng(0)
detector = VAEDetector(latent_dim=3, contamination=0, percentile=99, random_state=0).fit(
    readings(2000, rng)
)

# %%
# A reference, and thirty weeks
# -----------------------------
# The reference must be rows that the detector was not trained on. Each week brings 150 rows, and
# the false-alarm rate of a week is 1 %.
monitor = DriftMonitor(detector, alpha=0.01, n_resamples=1000, random_state=0)
monitor.fit(readings(2000, rng))
weeks = [readings(150, rng, week) for week in range(1, 31)]
results = [monitor.test(some) for some in weeks]
assert all(isinstance(result, DriftResult) for result in results)
table = pd.DataFrame(
    {
        "flagged rows": [np.mean(detector.predict(some) == -1) for some in weeks],
        "p-value": [result.p_value for result in results],
        "drifted": [result.drifted for result in results],
        **{
            test: [result.adjusted_p_values[test] for result in results]
            for test in results[0].statistics
        },
    },
    index=pd.RangeIndex(1, 31, name="week"),
)
print(table.iloc[[0, 6, 9, 12, 15, 18, 19, 29]].round(3).to_string())
print("alarms before week 8:", int(table["drifted"].loc[:7].sum()))
print("first alarm of the ageing sensor: week", table["drifted"].loc[8:19].idxmax())

# %%
# By rows and by weeks
# --------------------
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
above.plot(table.index, 100 * table["flagged rows"], "o-", color="black", ms=4)
above.set(ylabel="rows flagged (%)", ylim=(0, 30))
for test, marker, color in zip(
    results[0].statistics, "os^", ["tab:blue", "tab:orange", "black"], strict=True
):
    below.plot(table.index, table[test], marker, color=color, ms=5, mfc="none", label=test)
below.axhline(monitor.alpha, color="black", ls="--", lw=1, label="alpha")
below.set(yscale="log", ylabel="adjusted p-value", xlabel="week")
below.legend(loc="lower left", fontsize=8)
for ax in (above, below):
    ax.axvspan(7.5, 19.5, color="tab:orange", alpha=0.15, lw=0)
    ax.axvspan(19.5, 30.5, color="tab:blue", alpha=0.15, lw=0)
above.text(13.5, 28, "sensor ages", ha="center", va="top")
above.text(25, 28, "more load", ha="center", va="top")

# %%
# The ageing sensor is noticed some weeks after it began, by scores and latents, when hardly more
# rows are flagged than before. More pumps at high load are noticed at once, by the latents, and the
# share of flagged rows stays as it was: no single pump is odd.

# %%
# What moved?
# -----------
# The last week: the load shows in the latents, and not in the scores.
print(results[-1].to_frame().round(3).to_string())
DriftDisplay.from_estimator(monitor, weeks[-1])
plt.show()
