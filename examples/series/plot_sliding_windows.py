"""
When did the machine act up?
============================

Two sensors of a machine, a record of some thousand points, and the question when something was
unusual. ``SlidingWindowDetector`` lets a detector learn windows of the record, scores every time
point by the windows that hold it, and says which channel is to blame.
"""

# %%
# A record
# --------
# Both sensors follow one cycle, at a speed that drifts. In the last third one of them sticks, the
# other has a short spike, the two fall out of step for a while, and some values are missing.
import matplotlib.pyplot as plt
import numpy as np

from skvae import Conv1dVAEDetector, SlidingWindowDetector

rng = np.random.default_rng(0)
n, start = 6000, 4000
drift = np.convolve(rng.normal(size=n + 199), np.ones(200) / 200, mode="valid")
phase = np.cumsum(0.25 * (1 + 0.5 * drift))
lag = np.zeros(n)
lag[5400:5500] = 1.2  # out of step
X = np.column_stack([np.sin(phase), np.sin(2 * phase + 0.5 - lag)])
X += 0.08 * rng.normal(size=X.shape)
X[4500:4516, 0] = X[4500, 0]  # stuck
X[4900, 1] += 1.5  # a spike
X[5100:5130, 0] = np.nan  # missing
faults = {"stuck": slice(4500, 4516), "spike": slice(4900, 4901), "out of step": slice(5400, 5500)}

# %%
# Scores
# ------
# The detector learns the record before, in which nothing is known to be wrong. The last quarter of
# that is held out for the threshold, which one in 200 normal points may exceed.
detector = SlidingWindowDetector(
    Conv1dVAEDetector(random_state=0), window=32, percentile=99.5, calibration_fraction=0.25
)
detector.fit(X[:start])
scores, maps = detector.anomaly_score(X), detector.error_map(X)
flagged = detector.predict(X) == -1
for name, where in faults.items():
    blamed = np.nanmean(maps[where], axis=0).argmax()
    print(f"{name}: {flagged[where].mean():.0%} of its points flagged, sensor {blamed} blamed")
near = np.zeros(n, bool)
for where in faults.values():
    near[where.start - 31 : where.stop + 31] = True
print(f"elsewhere: {flagged[start:][~near[start:]].mean():.1%} flagged")
print(f"without a score: {np.isnan(scores).sum()} points, the gap")

# %%
# A point next to a fault shares windows with it, and so the scores rise before the fault begins;
# the map is sharper. Where a value is missing there is no score, and ``predict`` says +1. Out of
# step, each sensor by itself is as ever, and the blame falls on both.
shown = slice(start, n)
t = np.arange(n)[shown]
figure, (above, middle, below) = plt.subplots(
    3, 1, figsize=(10, 6), sharex=True, layout="constrained", height_ratios=(3, 2, 1)
)
for channel, shift in ((0, 2.2), (1, -1.5)):
    above.plot(t, X[shown, channel] + shift, lw=0.7, label=f"sensor {channel}")
above.set(yticks=[], ylabel="values, shifted")
above.legend(loc="lower left", ncols=2, frameon=False)
middle.plot(t, scores[shown], color="black", lw=0.8)
middle.axhline(detector.threshold_, color="tab:red", lw=0.8, ls="--", label="threshold")
middle.set_ylabel("anomaly score")
middle.legend(loc="upper left", frameon=False)
for name, where in faults.items():
    for ax in (above, middle):
        ax.axvspan(where.start - 4, where.stop + 4, color="tab:orange", alpha=0.3, lw=0)
    above.text(where.start, 4.0, name, fontsize=9)
above.set_ylim(-4.2, 4.6)
below.imshow(
    maps[shown].T,
    aspect="auto",
    interpolation="nearest",
    extent=(start, n, 1.5, -0.5),
    vmax=np.nanquantile(maps[shown], 0.995),
    cmap="magma",
)
below.set(yticks=[0, 1], yticklabels=["sensor 0", "sensor 1"], xlabel="time", xlim=(start, n))

# %%
# As points arrive
# ----------------
# At the time itself only the windows that end by then are known. With ``causal=True`` a point has
# the score of the window that ends there, and ``score_new`` gives it as points arrive: the same
# bits that the whole record has afterwards. Those scores need their own threshold, and no training.
detector.set_params(causal=True).set_threshold("percentile", X[3000:start])
stream = np.concatenate([detector.score_new(X[i : i + 50]) for i in range(start, n, 50)])
print("warm-up:", int(np.isnan(stream[:100]).sum()), "points")
print("as afterwards:", np.array_equal(stream, detector.anomaly_score(X[start:]), equal_nan=True))
for name, where in faults.items():
    alarms = start + np.flatnonzero(stream > detector.threshold_)
    alarms = alarms[(alarms >= where.start) & (alarms < where.stop + 31)]
    print(f"{name}: first alarm {alarms[0] - where.start} points after its start")
plt.show()
