"""
Studies of images, in small
===========================

The studies of images take MNIST, plots of series, or slices of brain MRI, and minutes to hours.
With ``quick=True`` they take small images and short trainings: that shows that they run, and what
they return, and the figures mean little. In full they are the commands ``skvae study oneclass``,
``plots`` and ``brain``; some of their baselines are PyOD's.
"""

# %%
# One digit against all others
# ----------------------------
# Trained on one digit at a time, and scored on images of all of them.
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from skvae.datasets import get_data_home
from skvae.studies import brain, oneclass, plots

digits = oneclass(quick=True, progress=False).pivot(index="method", columns="digit", values="auroc")
print(digits.round(3).to_string())

# %%
# Plots of time series
# --------------------
# A dictionary of tables. One of them says how well nine kinds of anomaly are found, by detectors
# that were trained on normal series.
tables = plots(quick=True, progress=False)
print({name: table.shape for name, table in tables.items()})
of_normal = tables["auroc"].query("training == 'normal'")
kinds = of_normal.set_index("method").drop(columns=["seed", "training"])
print(kinds.round(2).to_string())

# %%
# Slices of brain MRI
# -------------------
# The study takes any folder with ``train/no_tumor``, ``test/no_tumor`` and other classes in
# ``test``. Where the data home has none, drawn ones stand in for it: a head, and a bright spot for
# a tumour.


def drawn_slices(path):
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    for place, n in (("train/no_tumor", 80), ("test/no_tumor", 30), ("test/drawn_tumor", 30)):
        (path / place).mkdir(parents=True)
        for number in range(n):
            a, b = rng.uniform(18, 28, 2)
            head = np.hypot((x - 32) / a, (y - 32) / b)
            image = 90.0 * (head < 1) + 90 * (abs(head - 1) < 0.12)
            if place == "test/drawn_tumor":
                spot_x, spot_y = rng.uniform(22, 42, 2)
                image[np.hypot(x - spot_x, y - spot_y) < 5] = 220
            image += 8 * rng.normal(size=image.shape)
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(
                path / place / f"{number}.png"
            )


with TemporaryDirectory() as temporary:
    slices = get_data_home() / "brain_mri"
    if not slices.is_dir():
        slices = Path(temporary, "slices")
        drawn_slices(slices)
    found = brain(slices, seeds=(0,), quick=True, progress=False)
found = found.pivot(index="method", columns="tumour", values="auroc")
print(found.round(3).to_string())

# %%
# In one picture
# --------------
# Each point is one AUROC: of a digit, of a kind of anomalous series, of a kind of tumour. The bar
# is their mean.
panels = {
    "oneclass": digits,
    "plots": kinds.drop(columns="mean"),
    "brain": found.filter(like="_tumor"),
}
heights = [len(table) + 1 for table in panels.values()]
figure, axes = plt.subplots(3, 1, figsize=(8, 10), layout="constrained", height_ratios=heights)
for ax, (study, table) in zip(axes, panels.items(), strict=True):
    for place, (_, areas) in enumerate(table.iterrows()):
        ax.plot(areas, [place] * len(areas), "o", color="tab:blue", mfc="none", ms=4)
        ax.plot(areas.mean(), place, "|", color="black", ms=11, mew=3)
    ax.set_yticks(range(len(table)), table.index, fontsize=8)
    ax.axvline(0.5, color="tab:orange", ls="--")
    ax.set(title=study, xlim=(0, 1.02), ylim=(-0.8, len(table) - 0.2))
axes[-1].set_xlabel("AUROC (dashed: score at random)")

# %%
# Digits of 8 x 8 pixels are easily told apart. A whole plot is hard for a short training, and true
# slices of MRI, of which tumours are a small part, are hard for all of them: to count dark pixels
# does as well as the best. Drawn tumours are easy for most, and not found by darkness.
plt.show()
