"""
PyOD's detectors in scikit-learn, and the other way round
=========================================================

``FromPyOD`` makes a scikit-learn outlier detector of any of PyOD's, so that both stand in one
comparison and one pipeline. ``ToPyOD`` makes a PyOD detector of one of this package or of
scikit-learn, for what PyOD does with detectors: probabilities, and combinations of scores.
"""

# %%
# One comparison
# --------------
# Where the data home holds ADBench, this is its table of page layouts; else the tumours of
# scikit-learn's breast cancer data, of which malignant ones are thinned out to be rare.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from pyod.models.combination import average, maximization
from pyod.models.ecod import ECOD
from pyod.models.knn import KNN
from pyod.utils.utility import standardizer
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import VAEDetector
from skvae.datasets import get_data_home, load_adbench
from skvae.interop.pyod import FromPyOD, ToPyOD

if (get_data_home() / "adbench").is_dir():
    X, y = load_adbench("PageBlocks")
else:
    X, is_benign = load_breast_cancer(return_X_y=True)
    kept = np.flatnonzero((is_benign == 1) | (np.arange(len(X)) % 5 == 0))
    X, y = X[kept], 1 - is_benign[kept]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
detectors = {
    "VAEDetector": VAEDetector(random_state=0),
    "ECOD": FromPyOD(ECOD()),
    "KNN": make_pipeline(StandardScaler(), FromPyOD(KNN())),
}
for name, detector in detectors.items():
    flagged = detector.fit(X_train).predict(X_test) == -1
    found, false = flagged[y_test == 1].mean(), flagged[y_test == 0].mean()
    print(f"{name}: {found:.0%} found, {false:.0%} false alarms")

# %%
# One interface, one picture
# --------------------------
scores = {name: -detector.score_samples(X_test) for name, detector in detectors.items()}
figure, ax = plt.subplots(figsize=(5.5, 4.6), layout="constrained")
for (name, score), style in zip(scores.items(), ["-", "--", ":"], strict=True):
    RocCurveDisplay.from_predictions(
        y_test, score, name=name, ax=ax, curve_kwargs={"ls": style, "lw": 2}
    )

# %%
# The other way round
# -------------------
# As a PyOD detector, the same VAE has ``labels_`` of its training rows and probabilities, and PyOD
# combines it with others.
ours = ToPyOD(VAEDetector(random_state=0), contamination=0.1).fit(X_train)
print("flagged in training:", ours.labels_.sum(), "of", len(X_train))
probability = pd.Series(ours.predict_proba(X_test)[:, 1], name="probability")
print(probability.groupby(np.where(y_test == 1, "anomalies", "normal")).mean().round(4).to_string())
both = np.column_stack([ours.decision_function(X_test), scores["KNN"]])
both = standardizer(both)
table = pd.Series(
    {name: roc_auc_score(y_test, score) for name, score in scores.items()}
    | {
        "mean of VAE and KNN": roc_auc_score(y_test, average(both)),
        "larger of VAE and KNN": roc_auc_score(y_test, maximization(both)),
    },
    name="AUROC",
)
print(table.round(3).to_string())

# %%
# The three are close together on this table, and neither combination is better than the better of
# its two.
plt.show()
