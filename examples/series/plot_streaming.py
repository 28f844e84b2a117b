"""
Watching a stream
=================

Points of a record arrive a few at a time, and an alarm is wanted at once. ``score_new`` scores them
by what is known by then, and gives the bits that the whole record would have given. When the
machine restarts, a new stream begins. How late are the alarms, and how many are false?
"""

# %%
# A record of normal work, and what arrives
# -----------------------------------------
# Three sensors follow one load that goes up and down. The stream has three faults, each with its
# time.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import Conv1dVAEDetector, SlidingWindowDetector


def machine(n, rng):
    phase = np.cumsum(0.2 + 0.02 * rng.normal(size=n))
    load = np.sin(phase) + 0.4 * np.sin(2 * phase)
    X = np.column_stack([load, 0.8 * load + 0.5 * np.cos(phase), load**2])
    return X + 0.08 * rng.normal(size=X.shape)


rng = np.random.default_rng(0)
history, stream = machine(6000, rng), machine(3000, rng)
faults = {"sensor 2 drifts": 800, "all stand still": 1500, "sensor 1 is noisy": 2300}
stream[800:900, 2] += np.linspace(0, 1.5, 100)
stream[1500:1540] = stream[1500]
stream[2300:2400, 1] += 0.5 * rng.normal(size=100)
is_fault = np.zeros(len(stream), bool)
for start, length in zip(faults.values(), (100, 40, 100), strict=True):
    is_fault[start : start + length] = True

# %%
# A causal detector
# -----------------
# With ``causal=True`` a point is scored by the window that ends there. The last fifth of the
# history is held out for the threshold: one normal point in a thousand may exceed it.
detector = SlidingWindowDetector(
    Conv1dVAEDetector(max_steps=400, random_state=0),
    window=24,
    causal=True,
    percentile=99.9,
    calibration_fraction=0.2,
).fit(history)

parts = [detector.score_new(stream[i : i + 25]) for i in range(0, len(stream), 25)]
scores = np.concatenate(parts)
print(f"{len(parts)} calls; the first {np.isnan(scores).sum()} points have no score")
print(
    "as of the whole record:",
    np.array_equal(scores, detector.anomaly_score(stream), equal_nan=True),
)

# %%
# How late, how false?
# --------------------
# A window still holds a fault that has ended, so alarms just after one are no false ones.
alarms = np.flatnonzero(scores > detector.threshold_)
after = np.convolve(is_fault, np.ones(24))[: len(stream)] > 0
print(
    pd.Series(
        {name: alarms[alarms >= at][0] - at for name, at in faults.items()}, name="points late"
    )
)
false = np.mean(scores[~after & ~np.isnan(scores)] > detector.threshold_)
print(f"false alarms: {false:.2%} of points")

figure, (above, below) = plt.subplots(
    2, 1, figsize=(10, 5), sharex=True, layout="constrained", height_ratios=(3, 2)
)
for number, color in enumerate(["tab:blue", "black", "tab:gray"]):
    above.plot(stream[:, number] - 3.5 * number, lw=0.6, color=color)
above.set_yticks([0, -3.5, -7], [f"sensor {number}" for number in range(3)])
for name, at in faults.items():
    above.text(at, 3.2, name, fontsize=9)
for ax in (above, below):
    ax.fill_between(
        np.arange(3000),
        0,
        1,
        where=is_fault,
        transform=ax.get_xaxis_transform(),
        color="tab:orange",
        alpha=0.3,
        lw=0,
    )
above.set_ylim(-9, 4.6)
below.plot(scores, color="black", lw=0.7)
below.axhline(detector.threshold_, color="tab:blue", ls="--", label="threshold")
below.set(xlabel="time", ylabel="anomaly score", xlim=(0, 3000), yscale="symlog", ylim=(-3, 1000))
below.legend(loc="upper left")

# %%
# A drift is noticed when it has grown, a standstill after two points. The false alarms are twice as
# many as the threshold promises: a fifth of the history is 1,200 points, of which one exceeds it.

# %%
# A new stream
# ------------
# After ``reset_stream`` the points before are forgotten, and a new warm-up begins.
detector.reset_stream()
print(
    "after the restart:", np.isnan(detector.score_new(stream[:30])).sum(), "points without a score"
)
plt.show()
