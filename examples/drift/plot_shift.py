"""
Who notices that the images have changed?
=========================================

A classifier answers whatever it is asked, and says nothing when its images are no longer those it
was trained on. We train one on small digits, and a variational autoencoder beside it; then we
rotate the digits, add noise, cover a part, or send some digits only. Does the classifier suffer,
and does the autoencoder notice, by single images or by batches?

The same on MNIST, with more detectors, is the command ``skvae study shift``.
"""

# %%
# A classifier and a detector
# ---------------------------
# Both are trained on the same 700 images. Another 500 are the reference of the drift monitor, which
# must not have seen the training images, and the others are what comes in later.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import CNNClassifier, ConvVAEDetector
from skvae.corruptions import gaussian_noise, label_shift, patch_occlusion, rotation
from skvae.datasets import load_digits_images
from skvae.drift import DriftMonitor
from skvae.plotting import DriftDisplay

X, y = load_digits_images()
order = np.random.default_rng(0).permutation(len(X))
train, reference, later = np.split(order, [700, 1200])
classifier = CNNClassifier(max_steps=250, random_state=0).fit(X[train], y[train])
detector = ConvVAEDetector(contamination=0, max_steps=300, random_state=0).fit(X[train])
print(f"{len(later)} images later, accuracy {classifier.score(X[later], y[later]):.3f}")

# %%
# The shifts
# ----------
# The rotation by 3 degrees is a control. It is interpolated as the one by 30 is, and so it is
# smoother than the original, but it means the same: a detector that calls it strange looks at the
# pixels and not at the digit.
images, digits = X[later], y[later]
sets = {
    "standard": (images, digits),
    "rotated 30": (rotation(images, 30), digits),
    "rotated 3 (control)": (rotation(images, 3), digits),
    "noise sd 0.3": (gaussian_noise(images, 0.3, random_state=0), digits),
    "occluded 3x3": (patch_occlusion(images, 3, placing="centre", random_state=0), digits),
    "digits 0-4": label_shift(images, digits, [0, 1, 2, 3, 4], random_state=0),
}
figure, panels = plt.subplots(len(sets), 8, figsize=(7, 6), layout="constrained")
for row, (name, (shifted, _)) in zip(panels, sets.items(), strict=True):
    for ax, image in zip(row, shifted, strict=False):
        ax.imshow(image, cmap="gray")
        ax.axis("off")
    row[0].set_title(name, loc="left", fontsize=9)

# %%
# Image by image
# --------------
# AUROC of the shifted images against the standard ones: by the plain reconstruction error, the
# squared error of image and reconstruction summed, and by the detector's default score.


def plain_error(some):
    return np.square((detector.reconstruct(some) - some.astype(float)) / 255).sum(axis=(1, 2))


def against_standard(score, some):
    labels = np.repeat([0, 1], [len(images), len(some)])
    return roc_auc_score(labels, np.r_[score(images), score(some)])


table = pd.DataFrame.from_dict(
    {
        name: {
            "accuracy of the classifier": classifier.score(*shifted),
            "AUROC, plain error": against_standard(plain_error, shifted[0]),
            "AUROC, default score": against_standard(detector.anomaly_score, shifted[0]),
        }
        for name, shifted in sets.items()
    },
    orient="index",
)
print(table.round(3).to_string())

# %%
# Smooth images are easier to reconstruct, so the plain error likes rotated images better than
# it should, as the control shows. And no image of a 3 is strange because there are no more 7s: of
# single images, label shift cannot be seen at all.

# %%
# Batch by batch
# --------------
# ``DriftMonitor`` compares the latents and the scores of a batch with those of a reference, at a
# false-alarm rate of 5 %. The table says in which share of 30 batches it alarmed, in all and by
# each of its tests.
monitor = DriftMonitor(detector, n_resamples=500, random_state=0).fit(X[reference])
rows = {}
for name, (shifted, _) in sets.items():
    for n in (20, 50):
        rng = np.random.default_rng(0)
        batches = [shifted[rng.choice(len(shifted), n, replace=False)] for _ in range(30)]
        results = [monitor.test(batch) for batch in batches]
        rows[name, n] = {"alarms": np.mean([result.drifted for result in results])}
        for test in results[0].statistics:
            p_values = np.array([result.adjusted_p_values[test] for result in results])
            rows[name, n][test] = np.mean(p_values <= monitor.alpha)
alarms = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["batches", "images"])
print(alarms.round(2).to_string())

# %%
# Noise shows in the scores first. Label shift shows in no score at all, but in the latents, once
# there are enough images. Here is a batch of 150: what moved?
DriftDisplay.from_estimator(monitor, sets["digits 0-4"][0][:150])
plt.show()
