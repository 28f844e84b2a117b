"""
How strong must a corruption be?
================================

``CORRUPTIONS`` names what can be done to images to make anomalies of them. Each takes a strength,
and 0 changes nothing. We draw them, and ask from which strength on a detector notices.
"""

# %%
# All of them, weak to strong
# ---------------------------
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConvVAEDetector
from skvae.corruptions import CORRUPTIONS
from skvae.datasets import load_digits_images

X, _ = load_digits_images()
train, test = np.split(np.random.default_rng(0).permutation(len(X)), [1400])
images = X[test]
strengths = {
    "gaussian_noise": [0.05, 0.1, 0.2, 0.4],
    "noise_patch": [0.1, 0.25, 0.5, 1.0],
    "patch_occlusion": [1, 2, 3, 4],
    "pixel_dropout": [0.02, 0.05, 0.1, 0.25],
    "rotation": [5, 15, 30, 60],
    "stripes": [1, 2, 3, 4],
}
assert set(strengths) == set(CORRUPTIONS)


def corrupted(name, strength):
    return CORRUPTIONS[name](images, strength, random_state=0)


figure, panels = plt.subplots(6, 5, figsize=(5.2, 6.4), layout="constrained")
for row, (name, some) in zip(panels, strengths.items(), strict=True):
    for ax, strength in zip(row, [0, *some], strict=True):
        ax.imshow(corrupted(name, strength)[3], cmap="gray", vmin=0, vmax=255)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(f"{strength:g}", fontsize=8)
    row[0].set_ylabel(name.replace("_", "\n"), fontsize=8)

# %%
# From which strength on?
# -----------------------
# Trained on clean digits. AUROC of corrupted test digits against the same digits as they are.
detector = ConvVAEDetector(contamination=0, max_steps=400, random_state=0).fit(X[train])
clean = detector.anomaly_score(images)
labels = np.repeat([0, 1], len(images))
table = pd.DataFrame(
    {
        name: [
            roc_auc_score(labels, np.r_[clean, detector.anomaly_score(corrupted(name, strength))])
            for strength in some
        ]
        for name, some in strengths.items()
    },
    index=["weak", "", " ", "strong"],
)
print(table.T.round(3).to_string())
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, areas), marker in zip(table.items(), "o^sDvP", strict=True):
    ax.plot(range(4), areas, marker=marker, label=name)
ax.axhline(0.5, color="black", ls="--", lw=1, label="score at random")
ax.set_xticks(range(4), ["weak", "", "", "strong"])
ax.set(xlabel="strength, as drawn above", ylabel="AUROC", ylim=(0.45, 1.02))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))

# %%
# Black patches and dropped pixels are noticed last: much of a digit is black already, and what is
# covered there has not changed.
plt.show()
