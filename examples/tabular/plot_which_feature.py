"""
Which feature made the row anomalous?
=====================================

An alarm is worth more with a reason. ``error_map`` splits the error of a row over its columns: how
badly each one fits what the others lead the network to expect. With a DataFrame in, the columns
keep their names.
"""

# %%
# A machine and its sensors
# -------------------------
# Load and outside temperature drive everything that the seven sensors of a pump show.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import VAEDetector
from skvae.plotting import ErrorMapDisplay


def sensors(n, rng):
    load = rng.uniform(0.2, 1.0, n)
    outside = rng.normal(15, 6, n)
    noise = rng.normal(size=(n, 7))
    return pd.DataFrame(
        {
            "outside_C": outside + 0.3 * noise[:, 0],
            "inlet_C": 4 + 0.8 * outside + 0.3 * noise[:, 6],
            "speed_rpm": 3000 * load + 40 * noise[:, 1],
            "current_A": 4 + 16 * load**2 + 0.4 * noise[:, 2],
            "flow_m3h": 50 * load + 1.0 * noise[:, 3],
            "bearing_C": 20 + outside + 30 * load + 1.0 * noise[:, 4],
            "vibration_mms": 1 + 2 * load + 0.1 * noise[:, 5],
        }
    )


rng = np.random.default_rng(0)
X_train = sensors(2000, rng)
detector = VAEDetector(latent_dim=2, contamination=0, percentile=99.5, random_state=0).fit(X_train)

# %%
# Two faults
# ----------
# A hot bearing, and a blocked pipe: the pump turns fast and hardly anything flows. Each value by
# itself is within the range of the training data, so no limit on a single sensor would notice.
X_new = sensors(12, rng)
X_new.index = [f"hour {hour}" for hour in range(12)]
hot, blocked = "hour 4", "hour 9"
X_new.loc[hot, ["speed_rpm", "current_A", "flow_m3h", "vibration_mms"]] = [1200, 6.6, 20, 1.8]
X_new.loc[hot, ["outside_C", "inlet_C", "bearing_C"]] = [10, 12, 55]
X_new.loc[blocked, ["speed_rpm", "current_A", "flow_m3h", "vibration_mms"]] = [2400, 14.2, 15, 2.6]
X_new.loc[blocked, ["outside_C", "inlet_C", "bearing_C"]] = [16, 16.8, 60]
inside = (X_new >= X_train.min()) & (X_new <= X_train.max())
print("every value in the range of the training data:", bool(inside.all(axis=None)))
print("flagged:", list(X_new.index[detector.predict(X_new) == -1]))

# %%
# The error of each sensor
# ------------------------
# ``set_output`` gives DataFrames.
detector.set_output(transform="pandas")
errors = detector.error_map(X_new)
print(errors.round(1).to_string())
print(errors.loc[[hot, blocked]].idxmax(axis=1))

# %%
# As a heat map, the faults stand out, each in its column.
ErrorMapDisplay.from_estimator(detector, X_new)

# %%
# And row by row, with the same scale for both, as bars.
_, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
display = ErrorMapDisplay(error_map=errors, feature_names=errors.columns, row_names=errors.index)
for ax, row in zip(axes, [hot, blocked], strict=True):
    display.plot(ax=ax, row=errors.index.get_loc(row), top_k=7)
plt.show()
