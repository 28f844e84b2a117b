"""
A table of numbers, categories, dates and gaps
==============================================

Tables are seldom all numbers. ``MixedVAEDetector`` takes a DataFrame as it is: each column counts
by the likelihood of its kind, missing cells count nothing, and the error map says which cell is
odd.
"""

# %%
# Deliveries
# ----------
# What a parcel weighs depends on the goods, what it costs on weight and express, and offices are
# open by day. A tenth of the cells is missing.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import MixedVAEDetector
from skvae.plotting import ErrorMapDisplay

GOODS = {"book": 0.6, "shoes": 1.2, "lamp": 3.0, "chair": 9.0}


def deliveries(n, rng):
    goods = rng.choice(list(GOODS), n, p=[0.4, 0.3, 0.2, 0.1])
    kg = np.array([GOODS[each] for each in goods]) * rng.lognormal(0, 0.15, n)
    express = rng.random(n) < 0.3
    minutes = rng.integers(365, size=n) * 1440 + rng.normal(13 * 60, 110, n)
    return pd.DataFrame(
        {
            "goods": goods,
            "log_kg": np.log(kg),
            "express": express,
            "price": 4 + kg * np.where(express, 2.0, 1.0) + 0.3 * rng.normal(size=n),
            "posted": pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes.round(), unit="min"),
        }
    )


rng = np.random.default_rng(0)
X = deliveries(3000, rng)
X = X.mask(rng.random(X.shape) < 0.1).astype({"express": "boolean"})
print(X.head(4).to_string())
detector = MixedVAEDetector(contamination=0, percentile=99, random_state=0).fit(X)
print(dict(zip(X.columns, detector.column_kinds_, strict=True)))

# %%
# Odd ones
# --------
# Eight ordinary deliveries, of which four are changed in one cell each: a chair that weighs as much
# as a book, a book at the price of a chair, a parcel posted in the middle of the night, and goods
# that nobody has sent before. Of the last one the price is missing.
new = deliveries(8, np.random.default_rng(1)).astype({"express": "boolean"})
new.loc[1, ["goods", "log_kg", "express", "price"]] = ["chair", np.log(0.6), False, 4.6]
new.loc[3, ["goods", "log_kg", "express", "price"]] = ["book", np.log(0.6), False, 20.0]
new.loc[5, "posted"] = pd.Timestamp("2024-06-12 02:30")
new.loc[6, "goods"] = "piano"
new.loc[7, "price"] = np.nan
names = [
    "usual 0",
    "light chair",
    "usual 2",
    "dear book",
    "usual 4",
    "at night",
    "piano",
    "no price",
]
new.index = names
flagged = detector.predict(new) == -1
print("flagged:", list(new.index[flagged]))

# %%
# Which cell?
# -----------
# Categories and numbers are in one unit, nats, so they stand in one picture; the colours end at 20.
# Goods that were never seen are odder than anything else by far. A missing cell has no error.
detector.set_output(transform="pandas")
print(detector.error_map(new).round(1).to_string())
ErrorMapDisplay.from_estimator(detector, new, vmin=0, vmax=20)
plt.show()
