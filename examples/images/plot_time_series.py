"""
Anomalies in pictures of time series
====================================

Somebody sends line plots of sensors, as images, and asks which of them are odd. The recipe that is
tried first, an autoencoder of the images and its squared error, does worse than a coin. We see why,
and what helps: draw the lines so that near misses count little, and look at strips of the plot
instead of all of it.

The same with more series, controls and detectors of the raw series is the command
``skvae study plots``.
"""

# %%
# Series and plots
# ----------------
# Normal series are seasonal and noisy; nine kinds of anomaly are put into such series, and a mask
# says where. ``render_plots`` draws thousands of plots a second, without a display, each scaled to
# its own range as plotting libraries do.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConvVAEDetector, WindowDetector
from skvae.datasets import TIME_SERIES_KINDS, make_time_series, render_plots

train, _, _ = make_time_series(1000, "normal", random_state=0)
test, kinds, masks = make_time_series(1000, random_state=1)
X_train, X_test = render_plots(train), render_plots(test)

first = [np.flatnonzero(kinds == kind)[0] for kind in TIME_SERIES_KINDS]
figure, panels = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
for ax, i in zip(panels.flat, first, strict=True):
    ax.imshow(X_test[i], cmap="gray")
    ax.set_title(kinds[i])
    ax.axis("off")

# %%
# The recipe that is tried first
# ------------------------------
# A variational autoencoder learns normal plots, and the squared error is the score.
network = {
    "channels": (16, 32, 64, 64),
    "hidden_layer_sizes": (),
    "latent_dim": 32,
    "likelihood": "mse",
    "batch_size": 64,
    "random_state": 0,
}
whole = ConvVAEDetector(score="reconstruction", max_steps=150, **network).fit(X_train)


def by_kind(scores):
    normal = scores[kinds == "normal"]
    areas = {}
    for kind in TIME_SERIES_KINDS[1:]:
        both = np.r_[normal, scores[kinds == kind]]
        areas[kind] = roc_auc_score(np.arange(len(both)) >= len(normal), both)
    return {"mean": np.mean(list(areas.values())), **areas}


table = {
    "whole plots, squared error": by_kind(whole.anomaly_score(X_test)),
    "the less ink, the odder": by_kind(-X_test.mean(axis=(1, 2))),
}
print(pd.DataFrame.from_dict(table, orient="index").round(2).to_string())

# %%
# The error is below .5, worse than chance, on many kinds, and no network at all does better by
# counting white pixels. A spike, a trend or a shifted level squeezes the rest of the curve, so
# there is less to draw, and less to reconstruct. And the network has learned hardly more than the
# mean plot: to draw a thin line one pixel too high costs twice as much as not to draw it.

# %%
# What helps
# ----------
# In style "distance" pixels shine by how near the line is, so that a near miss costs little.
# ``WindowDetector`` trains its detector on strips, and scores a plot by its three oddest strips and
# by how unlike they are; a strip's score asks for density of latents as well as for the error.
G_train = render_plots(train, style="distance")
G_test = render_plots(test, style="distance")
strips = WindowDetector(
    ConvVAEDetector(score=["latent_density", "reconstruction"], max_steps=600, **network),
    window_shape=(None, 16),
    flip="both",  # a normal series backwards or upside down is as normal
    aggregate=("top", "range"),
    random_state=0,
).fit(G_train)
table["strips"] = by_kind(strips.anomaly_score(G_test))
print(pd.DataFrame.from_dict(table, orient="index").round(2).to_string())

# %%
# Where is it?
# ------------
# The error map of a plot is the mean over the strips that hold a pixel. Added up, it is a profile
# of the columns: here it stands beside the truth.
maps = strips.error_map(G_test[first])
figure, panels = plt.subplots(2, 10, figsize=(12, 3), layout="constrained", height_ratios=(2, 1))
x = np.linspace(0, 64, test.shape[1])
highest = maps.sum(axis=1).max()
for (above, below), i, error in zip(panels.T, first, maps, strict=True):
    above.imshow(G_test[i], cmap="gray")
    above.set_title(kinds[i], fontsize=9)
    above.axis("off")
    below.plot(np.arange(64) + 0.5, error.sum(axis=0), color="black", lw=1)
    below.fill_between(x, highest * masks[i], color="tab:orange", alpha=0.4)
    below.set(xlim=(0, 64), ylim=(0, highest), xticks=[], yticks=[])

# %%
# How many false alarms?
# ----------------------
# A threshold at the 95th percentile of normal plots that nothing was trained on lets about 5 % of
# other normal plots through.
held_out, fresh = (
    render_plots(make_time_series(500, "normal", random_state=seed)[0], style="distance")
    for seed in (2, 3)
)
strips.set_threshold("percentile", held_out, percentile=95)
alarms = {
    "fresh normal plots": (strips.predict(fresh) == -1).mean(),
    "anomalous plots": (strips.predict(G_test[kinds != "normal"]) == -1).mean(),
}
print({name: f"{share:.1%} called anomalous" for name, share in alarms.items()})
plt.show()
