"""
A grid search in seconds
========================

Nine candidates on five folds are 45 trainings of a network so small that nearly all their time is
overhead. `StackedGridSearchCV` trains them as one. It is scikit-learn's `GridSearchCV` in all else:
the same parameters, the same ``cv_results_``, the same scores.
"""

# %%
# The sweep
# ---------
# The data are three Gaussian blobs of 5,000 rows and 20 columns. Each of the 3 % anomalies is a
# normal row moved by 4 in a direction of its own, which is hard: that is hardly longer than the
# noise. The detector is the VAE of the textbooks: columns in [0, 1], squared error, sigmoid output.
# The pipeline's scaler is fitted fold by fold, as ever.
from time import perf_counter

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import VAEDetector, metrics
from skvae.datasets import make_blobs_with_anomalies
from skvae.model_selection import StackedGridSearchCV

X, y = make_blobs_with_anomalies(reading="F", random_state=0)
textbook = make_pipeline(
    MinMaxScaler(),
    VAEDetector(
        scaler=None,
        output_activation="sigmoid",
        likelihood="mse",
        score="reconstruction",
        contamination=0,
        random_state=0,
    ),
)
start = perf_counter()
search = StackedGridSearchCV(
    textbook,
    {"vaedetector__beta": [0.1, 1.0, 5.0], "vaedetector__latent_dim": [2, 5, 10]},
    scoring={"roc_auc": metrics.roc_auc, "ap": metrics.average_precision},
    refit="ap",
    cv=StratifiedKFold(5, shuffle=True, random_state=0),
).fit(X, y)
print(f"45 fits, their scores and the refit: {perf_counter() - start:.1f} s")
print("best:", search.best_params_)

# %%
# The grid as a heat map
# ----------------------
# A code may say more of a row the smaller ``beta`` is. A large one presses every row on the same
# point of the latent space, and the size of that space no longer matters.
table = pd.DataFrame(search.cv_results_).pivot_table(
    index="param_vaedetector__beta",
    columns="param_vaedetector__latent_dim",
    values=["mean_test_roc_auc", "mean_test_ap"],
)
titles = {"mean_test_roc_auc": "ROC AUC", "mean_test_ap": "average precision"}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (name, title) in zip(axes, titles.items(), strict=True):
    grid = table[name]
    image = ax.imshow(grid, cmap="viridis")
    middle = (grid.to_numpy().min() + grid.to_numpy().max()) / 2
    for row, values in enumerate(grid.to_numpy()):
        for column, value in enumerate(values):
            color = "white" if value < middle else "black"
            ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=color)
    ax.set_xticks(range(grid.shape[1]), grid.columns)
    ax.set_yticks(range(grid.shape[0]), grid.index)
    ax.set(title=title, xlabel="latent_dim", ylabel="beta")
    fig.colorbar(image, ax=ax, shrink=0.8)

# %%
# An ensemble as one stack
# ------------------------
# ``n_estimators`` trains several networks in the same way, and averages their scores. What they
# disagree about comes with the score.
detector = VAEDetector(n_estimators=5, random_state=0).fit(X)
scores, std = detector.anomaly_score(X[:4], return_std=True)
print("scores:", scores.round(2))
print("spread over the networks:", std.round(2))

plt.show()
