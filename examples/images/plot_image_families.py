"""
Which family of detectors for images?
=====================================

Three convolutional families, at their default scores and short trainings: an autoencoder, a
variational one, and one whose latents are codes out of a list. They learn one digit; how well do
they tell the others, and the same digit damaged?
"""

# %%
# One digit
# ---------
# Where the data home holds MNIST, these are its digits, else the small ones of scikit-learn.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConvAEDetector, ConvVAEDetector, ConvVQVAEDetector
from skvae.corruptions import gaussian_noise, patch_occlusion, rotation
from skvae.datasets import fetch_mnist, get_data_home, load_digits_images
from skvae.plotting import ReconstructionDisplay

if (get_data_home() / "mnist.npz").is_file():
    mnist = fetch_mnist()
    images, digits, side = mnist.X_train[:12_000], mnist.y_train[:12_000], 9
else:
    images, digits = load_digits_images()
    side = 3
threes = images[digits == 3]
n_train = len(threes) * 3 // 4
train, normal = threes[:n_train], threes[n_train:]
odd = {
    "other digits": images[digits != 3][:300],
    "rotated by 30": rotation(normal, 30),
    "noise": gaussian_noise(normal, 0.1, random_state=0),
    "black patch": patch_occlusion(normal, side, placing="centre", random_state=0),
}
print(f"{len(train)} images to train on, {len(normal)} normal ones to test")

# %%
# Three families
# --------------
rows, detectors = {}, {}
settings = {"contamination": 0, "max_steps": 200, "batch_size": 64, "random_state": 0}
for detector in (
    ConvAEDetector(**settings),
    ConvVAEDetector(**settings),
    ConvVQVAEDetector(n_codes=16, **settings),
):
    name = type(detector).__name__
    detector.fit(train)
    usual = detector.anomaly_score(normal)
    detectors[name] = detector
    rows[name] = {
        kind: roc_auc_score(
            np.repeat([0, 1], [len(normal), len(some)]), np.r_[usual, detector.anomaly_score(some)]
        )
        for kind, some in odd.items()
    }
table = pd.DataFrame(rows)
print(table.round(3).to_string())

figure, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
places = np.arange(len(table))
for (name, areas), marker, color in zip(
    table.items(), "os^", ["tab:blue", "tab:orange", "black"], strict=True
):
    ax.plot(areas, places, marker, color=color, ms=9, mfc="none", mew=2, label=name)
ax.axvline(0.5, color="gray", ls="--", lw=1)
ax.set_yticks(places, table.index)
ax.set(xlabel="AUROC", xlim=(0.45, 1.02), ylim=(-0.5, len(table) - 0.5))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# What each of them makes of odd images
# -------------------------------------
shown = np.stack([some[k] for some in odd.values() for k in (0, 1)])
names = [kind for kind in odd for _ in range(2)]
figure, axes = plt.subplots(3, 1, figsize=(8, 7), layout="constrained")
for ax, (name, detector) in zip(axes, detectors.items(), strict=True):
    ReconstructionDisplay.from_estimator(detector, shown, image_names=names, name=name, ax=ax)

# %%
# On MNIST codes for each place draw other digits nearly as well as threes, and damage too: what is
# drawn well is not odd by its error. The other two draw threes of everything, and find a little
# more of what is odd here.
plt.show()
