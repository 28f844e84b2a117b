"""
A detector at the end of a pipeline
===================================

A table with categories and gaps, a ``ColumnTransformer`` that makes numbers of it, a detector, a
grid search over parameters of all of them. Everything is scikit-learn's; only the detector and the
scorer come from here.
"""

# %%
# Rides
# -----
# What a ride costs depends on its length, on the city and on the time of day. A few rides were
# billed two and a half times.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skvae import VAEDetector
from skvae.metrics import average_precision
from skvae.plotting import ScoreHistogramDisplay

rng = np.random.default_rng(0)
n = 2000
rides = pd.DataFrame(
    {
        "city": rng.choice(["Bern", "Graz", "Lyon"], n),
        "time": rng.choice(["day", "night"], n, p=[0.8, 0.2]),
        "km": rng.lognormal(1.5, 0.6, n),
    }
)
per_km = rides["city"].map({"Bern": 3.0, "Graz": 1.5, "Lyon": 2.0})
rides["minutes"] = 4 * rides["km"] ** 0.9 * rng.lognormal(0, 0.15, n)
rides["bill"] = 4 + rides["km"] * per_km * np.where(rides["time"] == "night", 1.5, 1)
rides["bill"] *= rng.lognormal(0, 0.05, n)
is_anomaly = rng.random(n) < 0.05
rides.loc[is_anomaly, "bill"] *= 2.5
rides["minutes"] = rides["minutes"].mask(rng.random(n) < 0.05)
print(rides.head(3).round(1).to_string())
X_train, X_test, y_train, y_test = train_test_split(
    rides, is_anomaly, stratify=is_anomaly, random_state=0
)

# %%
# Pipeline and search
# -------------------
# Numbers are taken as logarithms, gaps are filled, by the mean or by what similar rides have, and
# all is scaled, so the detector's own scaler is switched off. Labels are used by the search, not by
# the fits.
numbers = Pipeline(
    [("log", FunctionTransformer(np.log)), ("fill", SimpleImputer()), ("scale", StandardScaler())]
)
columns = ColumnTransformer(
    [
        ("numbers", numbers, ["km", "minutes", "bill"]),
        ("categories", OneHotEncoder(), ["city", "time"]),
    ]
)
pipeline = make_pipeline(
    columns, VAEDetector(scaler=None, contamination=0.05, max_steps=400, random_state=0)
)
search = GridSearchCV(
    pipeline,
    {
        "columntransformer__numbers__fill": [SimpleImputer(), KNNImputer()],
        "vaedetector__latent_dim": [2, 5],
        "vaedetector__score": ["density", "mahalanobis"],
    },
    scoring=average_precision,
    cv=StratifiedKFold(3, shuffle=True, random_state=0),
).fit(X_train, y_train)
table = pd.DataFrame(search.cv_results_)
table.columns = [name.rsplit("__", 1)[-1] for name in table]
shown = ["fill", "latent_dim", "score", "mean_test_score", "std_test_score"]
print(table[shown].round(3).to_string(index=False))

# %%
# Test rows
# ---------
# The display takes the search as it is.
display = ScoreHistogramDisplay.from_estimator(search, X_test, y_test, stat="percent")
display.ax_.set_title("test rows, best of the search")
print(f"average precision on the test rows: {average_precision(search, X_test, y_test):.3f}")
plt.show()
