"""
How sure is the score?
======================

One network is one draw: with another seed the same row may get another score. ``n_estimators``
trains several networks at once, averages their scores, and tells with ``return_std=True`` how much
they differ. Where do they disagree?
"""

# %%
# Ten networks as one
# -------------------
# The rows lie along an arc. Ten networks are trained as one stack; the time is printed beside that
# of a single one.
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skvae import VAEDetector

rng = np.random.default_rng(0)
angle = rng.uniform(0, np.pi, 800)
X = np.column_stack([np.cos(angle), np.sin(angle)]) + 0.06 * rng.normal(size=(800, 2))
settings = {"latent_dim": 1, "contamination": 0, "percentile": 99, "score": "elbo"}
seconds = {}
for n_estimators in (1, 10):
    start = perf_counter()
    detector = VAEDetector(n_estimators=n_estimators, random_state=0, **settings).fit(X)
    seconds[n_estimators] = perf_counter() - start
print("seconds to fit:", {n: round(each, 1) for n, each in seconds.items()})

# %%
# Score and doubt over the plane
# ------------------------------
# Both panels are of the same ten networks. Their spread is small on the arc, and largest far from
# it, where none of them was ever corrected.
sides = np.linspace(-2, 2, 81), np.linspace(-1.2, 2, 65)
plane = np.column_stack([each.ravel() for each in np.meshgrid(*sides)])
score, spread = detector.anomaly_score(plane, return_std=True)
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
for ax, values, title in zip(
    axes,
    (score, spread),
    ("mean score, and the threshold", "standard deviation of the ten"),
    strict=True,
):
    shown = values.reshape(65, 81)
    image = ax.pcolormesh(*sides, shown, cmap="viridis", vmax=np.quantile(shown, 0.95))
    ax.scatter(*X.T, s=2, color="white")
    ax.set(title=title, xlabel="first column", aspect="equal")
    figure.colorbar(image, ax=ax, extend="max")
axes[0].contour(*sides, score.reshape(65, 81), [detector.threshold_], colors="tab:orange")
axes[0].set_ylabel("second column")

# %%
# Verdicts that hang on the seed
# ------------------------------
# Near the threshold some networks would flag a row and others would not.
# ``member_scores`` has a column for each.
by_member = detector.member_scores(plane)
print("scores of each network:", by_member.shape)
near = pd.cut((score - detector.threshold_) / spread, [-np.inf, -3, -1, 1, 3, np.inf])
share = (by_member > detector.threshold_).mean(axis=1)
hung = pd.Series((share > 0) & (share < 1)).groupby(near, observed=True).mean()
print(
    "share of the plane where the ten are not of one mind, by distance to the threshold (spreads)"
)
print(hung.round(2).to_string())
plt.show()
