"""
Which corruptions are found, and where?
=======================================

A convolutional autoencoder learns what small digits look like. Then we damage other digits: pixels
drop out, lines are switched on, a patch goes black or noisy. How well does it tell damaged from
whole digits, which pixels does it blame, and how much does the size of its bottleneck matter?

The same on MNIST, with more sweeps, is the command ``skvae study robustness``.
"""

# %%
# Corruptions
# -----------
# Each takes a strength and a seed, and returns on request which pixels it really changed: a black
# pixel that is covered with black is not among them.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import RocCurveDisplay, roc_auc_score

from skvae import ConvAEDetector
from skvae.corruptions import (
    gaussian_noise,
    noise_patch,
    patch_occlusion,
    pixel_dropout,
    stripes,
)
from skvae.datasets import load_digits_images
from skvae.metrics import pixel_average_precision, pixel_roc_auc
from skvae.plotting import ImageErrorMapDisplay

X, y = load_digits_images()
order = np.random.default_rng(0).permutation(len(X))
train, test = np.split(order, [1200])
images = X[test]
corrupted, masks = {}, {}
for name, corrupt, strength, options in (
    ("noise", gaussian_noise, 0.3, {}),
    ("dropout", pixel_dropout, 0.25, {}),
    ("line on", stripes, 1, {}),
    ("black patch", patch_occlusion, 3, {"placing": "centre"}),
    ("noisy patch", noise_patch, 0.5, {"size": 3, "placing": "centre"}),
):
    corrupted[name], masks[name] = corrupt(
        images, strength, random_state=0, return_mask=True, **options
    )

# %%
# ROC curves
# ----------
# Trained on whole digits alone. Whole test digits are the normal ones, and the same digits damaged
# are the anomalies.
detector = ConvAEDetector(contamination=0, max_steps=400, random_state=0).fit(X[train])


def plain_map(detector, some):
    return np.square((detector.reconstruct(some) - some.astype(float)) / 255)


def plain_error(detector, some):
    return plain_map(detector, some).sum(axis=(1, 2))


def default_score(detector, some):
    return detector.anomaly_score(some)


scores = {"plain reconstruction error": plain_error, "default score": default_score}
labels = np.repeat([0, 1], len(images))
_, panels = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
for ax, (title, score) in zip(panels, scores.items(), strict=True):
    normal = score(detector, images)
    for name, some in corrupted.items():
        both = np.r_[normal, score(detector, some)]
        RocCurveDisplay.from_predictions(labels, both, name=name, ax=ax)
    ax.set_title(title)

# %%
# Where is the damage?
# --------------------
# The first image that each corruption changed, with the changed pixels outlined. The colour scale
# is one for all, and whole digits fix it.
maps = {
    "plain": lambda some: plain_map(detector, some),
    "default": lambda some: detector.error_map(some),
}
first = {name: np.flatnonzero(mask.any(axis=(1, 2)))[0] for name, mask in masks.items()}
ImageErrorMapDisplay.from_estimator(
    detector,
    np.stack([corrupted[name][i] for name, i in first.items()]),
    masks=np.stack([masks[name][i] for name, i in first.items()]),
    X_ref=images,
    image_names=list(first),
)

# %%
# In figures: over all pixels, how well does the map tell the changed ones?
table = {
    (name, kind): {
        "pixel AUROC": pixel_roc_auc(masks[name], make(corrupted[name])),
        "average precision": pixel_average_precision(masks[name], make(corrupted[name])),
        "share of changed pixels": masks[name].mean(),
    }
    for name in ("line on", "black patch", "noisy patch")
    for kind, make in maps.items()
}
print(pd.DataFrame.from_dict(table, orient="index").round(3).to_string())

# %%
# Most of the default map is structural similarity, whose window is as large as one of these images:
# here it is blurred, and the plain map is often the better one. On the larger images of MNIST it is
# the other way round.

# %%
# The bottleneck
# --------------
# Few latents reconstruct all images badly, many reconstruct the damage as well. The table holds the
# AUROC of the plain error.
sweep = {}
for latent_dim in (2, 4, 8, 16, 32):
    other = ConvAEDetector(
        latent_dim=latent_dim,
        score="reconstruction",
        contamination=0,
        max_steps=200,
        random_state=0,
    ).fit(X[train])
    normal = plain_error(other, images)
    sweep[latent_dim] = {
        name: roc_auc_score(labels, np.r_[normal, plain_error(other, some)])
        for name, some in corrupted.items()
    }
sweep = pd.DataFrame.from_dict(sweep, orient="index")
print(sweep.round(3).to_string())
ax = sweep.plot(marker="o", logx=True, ylabel="AUROC, plain error", xlabel="latents")
ax.set_xticks(sweep.index, sweep.index.astype(str))
ax.minorticks_off()
plt.show()
