"""
What are a few labels worth?
============================

Somebody has looked at a few alarms and says: these are anomalies. ``train_on="labels"`` keeps known
anomalies out of the training, and corrects the score by them. How many does it take until that
helps with those that nobody has labelled?
"""

# %%
# A table with a few known anomalies
# ----------------------------------
# Where the data home holds ADBench, these are its cardiograms; else the tumours of scikit-learn's
# breast cancer data, of which malignant ones are thinned out to be rare.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from skvae import VAEDetector
from skvae.datasets import get_data_home, load_adbench
from skvae.metrics import is_of_few, known_labels

if (get_data_home() / "adbench").is_dir():
    X, is_anomaly = load_adbench("Cardiotocography")
else:
    X, is_benign = load_breast_cancer(return_X_y=True)
    kept = np.flatnonzero((is_benign == 1) | (np.arange(len(X)) % 3 == 0))
    X, is_anomaly = X[kept], 1 - is_benign[kept]
print(f"{len(X)} rows, {X.shape[1]} columns, {is_anomaly.mean():.0%} of them anomalies")

# %%
# What labels look like
# ---------------------
# A known anomaly is -1, and everything that nobody has looked at is 0; +1 would be known to be
# normal. That is another convention than {0, 1}, so it is checked and never guessed.
X_train, X_test, y_train, y_test = train_test_split(
    X, is_anomaly, test_size=0.4, stratify=is_anomaly, random_state=0
)


def labels_of_few(n_known, seed):
    y = np.zeros(len(X_train), int)
    known = np.random.default_rng(seed).permutation(np.flatnonzero(y_train))[:n_known]
    y[known] = -1
    return y


y = known_labels(labels_of_few(10, 0))
print("values:", np.unique(y), "of few:", is_of_few(y), "known anomalies:", (y == -1).sum())

# %%
# More and more labels
# --------------------
# Three draws of the labels each. The test rows are others, and all their labels only judge.
numbers = [0, 3, 10, 30]
rows = []
for seed in range(3):
    for n_known in numbers:
        detector = VAEDetector(random_state=seed)
        if n_known:
            detector.set_params(train_on="labels").fit(X_train, labels_of_few(n_known, seed))
        else:
            detector.fit(X_train)
        precision = average_precision_score(y_test, detector.anomaly_score(X_test))
        rows.append({"draw": seed, "known": n_known, "average precision": precision})
table = pd.DataFrame(rows).pivot(index="known", columns="draw", values="average precision")
print(table.round(3).to_string())

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
places = np.arange(len(numbers))
ax.plot(places, table, "o", color="tab:blue", alpha=0.6)
ax.plot(places, table.mean(axis=1), "-", color="black", label="mean of three draws")
ax.axhline(y_test.mean(), color="tab:orange", ls="--", label="score at random")
ax.set_xticks(places, numbers)
ax.set(xlabel="known anomalies", ylabel="average precision, test rows", ylim=(0, 1))
ax.legend(loc="center right")

# %%
# On the cardiograms ten labels are worth a lot, and thirty hardly more than ten. Three depend on
# which three they are: known anomalies help to find their like, and there may be other kinds.
plt.show()
