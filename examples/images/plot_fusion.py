"""
An image and a table in one verdict
===================================

Each part of a batch comes with a picture and a few measurements. ``FusionDetector`` fits a detector
for each, makes tail probabilities of their scores, and adds up the logarithms. Does that find what
one of them alone does not see, and what is invisible to both?
"""

# %%
# Pictures and measurements
# -------------------------
# A row holds the 64 pixels of a digit, and two measurements of it, taken from the picture: how much
# ink there is, and how wide the digit is, in units of their own. A third of the anomalies has a
# stripe in the picture, another third a wrong measurement. Of the last third picture and
# measurements are as usual, but belong to two different digits.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from skvae import ConvAEDetector, FusionDetector, VAEDetector
from skvae.corruptions import stripes
from skvae.datasets import load_digits_images

images, _ = load_digits_images()
rng = np.random.default_rng(0)


def table_row(images):
    ink = images.mean(axis=(1, 2)) / 255
    columns = images.mean(axis=1)
    width = (columns * np.abs(np.arange(8) - 3.5)).sum(axis=1) / columns.sum(axis=1)
    noise = rng.normal(size=(len(images), 2))
    return np.c_[1000 * ink + 5 * noise[:, 0], 5 + width + 0.05 * noise[:, 1]]


def rows(images, table):
    return np.hstack([images.reshape(len(images), -1) / 255, table])


X = rows(images, table_row(images))
train, normal, others = np.split(rng.permutation(len(X)), [1000, 1300])
striped, mismeasured, mixed = np.array_split(others, 3)
wrong = table_row(images[mismeasured])
wrong[:, 1] += 0.5
kinds = {
    "stripe": rows(stripes(images[striped], 1, random_state=0), table_row(images[striped])),
    "measurement": rows(images[mismeasured], wrong),
    "mixed up": rows(images[mixed], table_row(images[np.roll(mixed, 1)])),
}

# %%
# A detector for each part
# ------------------------
# As in scikit-learn's ``ColumnTransformer``, each detector is named, and given its columns. A fifth
# of the rows is held out for the tail probabilities and the threshold.
fusion = FusionDetector(
    [
        (
            "picture",
            ConvAEDetector(image_shape=(8, 8), contamination=0, max_steps=300, random_state=0),
            slice(0, 64),
        ),
        ("table", VAEDetector(contamination=0, random_state=0), [64, 65]),
    ],
    calibration_fraction=0.2,
    random_state=0,
).fit(X[train])

parts = {
    "picture": lambda some: -fusion.named_detectors_["picture"].score_samples(some[:, :64]),
    "table": lambda some: -fusion.named_detectors_["table"].score_samples(some[:, 64:]),
    "fusion": fusion.anomaly_score,
}
table = pd.DataFrame(
    {
        name: {
            kind: roc_auc_score(
                np.repeat([0, 1], [len(normal), len(some)]), np.r_[score(X[normal]), score(some)]
            )
            for kind, some in kinds.items()
        }
        for name, score in parts.items()
    }
)
print(table.round(3).to_string())
print(f"false alarms: {np.mean(fusion.predict(X[normal]) == -1):.1%}")

# %%
# Who says so?
# ------------
# ``shares`` splits the score of a row among the parts. Each point is a row, and the dashed line is
# the threshold of their sum.
figure, ax = plt.subplots(figsize=(6, 4.4), layout="constrained")
groups = {"normal": X[normal], **kinds}
for (name, some), marker, color in zip(
    groups.items(), ".^sx", ["tab:gray", "tab:blue", "tab:orange", "black"], strict=True
):
    shares = np.asarray(fusion.shares(some))
    ax.plot(*shares.T, marker, color=color, ms=5, label=name, alpha=0.7)
line = np.linspace(0, fusion.threshold_)
ax.plot(line, fusion.threshold_ - line, "k--", label="threshold")
ax.set(xlabel="share of the picture (nats)", ylabel="share of the table (nats)")
ax.set(xscale="symlog", yscale="symlog", xlim=(-0.1, None), ylim=(-0.1, None))
ax.legend(loc="upper right")

# %%
# Stripes are found by the picture and wrong measurements by the table, and the fusion finds both
# about as well as the part that sees them. What is mixed up stays unfound: each part is usual by
# itself, and how they go together no part has learned.
plt.show()
