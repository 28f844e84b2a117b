"""
A few anomalies among three blobs
=================================

A table of 5,000 rows and 20 columns holds three Gaussian blobs and, somewhere among them, 3 % of
rows from a fourth cluster, the anomalies. A variational autoencoder (VAE) is trained on all of it,
anomalies included. We search its two parameters, draw its ROC and precision-recall curves, choose
the threshold of the largest F1, and put detectors of PyOD beside it on the same split.
"""

# %%
# The data
# --------
# The anomalies have their mean at +4 in every column. Both parts of the split hold the same share
# of them.
import matplotlib.pyplot as plt
import pandas as pd
from pyod.models.ecod import ECOD
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.lof import LOF
from pyod.models.pca import PCA
from sklearn.metrics import (
    PrecisionRecallDisplay,
    RocCurveDisplay,
    average_precision_score,
    f1_score,
    roc_auc_score,
)
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import VAEDetector
from skvae.datasets import make_blobs_with_anomalies
from skvae.interop.pyod import FromPyOD
from skvae.metrics import average_precision
from skvae.plotting import (
    LatentSpaceDisplay,
    ScoreHistogramDisplay,
    TrainingHistoryDisplay,
)

X, y = make_blobs_with_anomalies(n_samples=5000, n_features=20, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
print(f"{X_train.shape[0]} rows to train on, {y_train.sum()} of them anomalies")

# %%
# A grid search over a pipeline
# -----------------------------
# This is the VAE of the textbooks: columns scaled to [0, 1], a sigmoid at the output, and the
# squared error summed over the columns as loss and as score. ``contamination=0`` switches off what
# skvae does by default about anomalies in the training data.
#
# The labels take part only in choosing ``beta``, ``latent_dim`` and the threshold, never in
# training. The folds are stratified because a fold without an anomaly cannot be scored, and the
# scorer is skvae's because scikit-learn's ``scoring="roc_auc"`` and ``"average_precision"`` take
# the labels {0, 1} the wrong way round for outlier detectors.
textbook = make_pipeline(
    MinMaxScaler(),
    VAEDetector(
        scaler=None,
        output_activation="sigmoid",
        likelihood="mse",
        score="reconstruction",
        threshold="f1",
        contamination=0,
        random_state=0,
    ),
)
search = GridSearchCV(
    textbook,
    {"vaedetector__beta": [0.1, 1.0, 5.0], "vaedetector__latent_dim": [2, 5, 10]},
    scoring=average_precision,
    cv=StratifiedKFold(2, shuffle=True, random_state=0),
).fit(X_train, y_train)
table = pd.DataFrame(search.cv_results_).pivot_table(
    index="param_vaedetector__beta",
    columns="param_vaedetector__latent_dim",
    values="mean_test_score",
)
print("average precision over the folds")
print(table.round(3))
print("best:", search.best_params_)

# %%
# A large ``beta`` presses every row on the same point of the latent space: the decoder answers with
# the mean of all blobs, and the score is the distance to that mean.

# %%
# Histograms and the threshold of the largest F1
# ----------------------------------------------
# The threshold was fitted on the training rows; the histograms are of the test rows.
display = ScoreHistogramDisplay.from_estimator(search, X_test, y_test, stat="percent")
display.ax_.set_title("textbook VAE, test rows")
predicted = search.predict(X_test) == -1
print(f"F1 on the test rows: {f1_score(y_test, predicted):.3f}")

# %%
# PyOD on the same split
# ----------------------
# All of them see no labels, and are told that 3 % of the training rows are anomalies: their
# threshold is the 97th percentile of the training scores. PyOD's detectors get the columns scaled
# to [0, 1]; beside the textbook VAE stands skvae's default one, which takes the columns as they
# are.
detectors = {
    type(detector).__name__: make_pipeline(MinMaxScaler(), FromPyOD(detector)).fit(X_train)
    for detector in (
        ECOD(contamination=0.03),
        IForest(contamination=0.03, random_state=0),
        KNN(contamination=0.03),
        LOF(contamination=0.03),
        PCA(contamination=0.03, random_state=0),
    )
}
detectors["textbook VAE"] = search
detectors["default VAE"] = VAEDetector(contamination=0.03, random_state=0).fit(X_train)
scores = {name: -detector.score_samples(X_test) for name, detector in detectors.items()}
comparison = pd.DataFrame.from_dict(
    {
        name: {
            "AUC-ROC": roc_auc_score(y_test, scores[name]),
            "average precision": average_precision_score(y_test, scores[name]),
            "F1": f1_score(y_test, detector.predict(X_test) == -1),
        }
        for name, detector in detectors.items()
    },
    orient="index",
)
print(comparison.sort_values("average precision").round(3))

# %%
# The 120 anomalies of the training part form a tight cluster of their own. To a detector by
# neighbours they look at home there, and LOF and KNN miss them. ECOD looks at one column at a time,
# and in each of them +4 is a usual value.

# %%
# ROC and precision-recall curves
# -------------------------------
# Scikit-learn draws them from labels (1 = anomaly) and anomaly scores (higher = more anomalous).
# The curves without a fault lie on each other, along the edges.
_, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for name, score in scores.items():
    RocCurveDisplay.from_predictions(y_test, score, name=name, ax=left)
    PrecisionRecallDisplay.from_predictions(y_test, score, name=name, ax=right)
left.set_title("ROC")
right.set_title("Precision and recall")
right.legend(loc="upper right")

# %%
# Inside the VAE
# --------------
# The losses of the training of the default VAE, and its latent space, in two and three principal
# components: three blobs, and the anomalies.
vae = detectors["default VAE"]
TrainingHistoryDisplay.from_estimator(vae)
LatentSpaceDisplay.from_estimator(vae, X_test, y_test)
LatentSpaceDisplay.from_estimator(vae, X_test, y_test, n_components=3)
plt.show()
