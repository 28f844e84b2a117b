"""
What has the network learned? Its latent space as a picture
===========================================================

A convolutional autoencoder describes each image by a few numbers, its latents. Projected on their
two first principal components they are a map of the images: what is alike lies side by side. Where
do anomalies lie on it?
"""

# %%
# Digits without a nine
# ---------------------
# Where the data home holds MNIST, these are its digits, else the small ones of scikit-learn. The
# network sees no nine in its training.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score

from skvae import ConvVAEDetector
from skvae.datasets import fetch_mnist, get_data_home, load_digits_images
from skvae.plotting import LatentSpaceDisplay, ReconstructionDisplay

if (get_data_home() / "mnist.npz").is_file():
    mnist = fetch_mnist()
    images, digits, n_steps = mnist.X_train[:4000], mnist.y_train[:4000], 200
else:
    (images, digits), n_steps = load_digits_images(), 1000
half = len(images) // 2
train = np.flatnonzero(digits[:half] != 9)
X, y = images[half : half + 600], digits[half : half + 600]
detector = ConvVAEDetector(
    score=["latent_neighbors", "reconstruction"], contamination=0, max_steps=n_steps, random_state=0
).fit(images[train])

# %%
# A map of the images
# -------------------
# Thumbnails stand in the places of their points, with a frame in the colour of their digit.
LatentSpaceDisplay.from_estimator(detector, X, y, images=X, name="latent means, by digit")

# %%
# Where the nines are
# -------------------
# The same places, with the nines in another colour, and what the anomaly score makes of them.
print(f"AUROC of the nines: {roc_auc_score(y == 9, detector.anomaly_score(X)):.3f}")
LatentSpaceDisplay.from_estimator(detector, X, y == 9, name="latent means, anomaly: a nine")

# %%
# Drawn back
# ----------
# What the decoder makes of digits that it knows, and of nines. Those lie among fours and sevens on
# the map, and are drawn no worse than other digits: an anomaly that looks like what was learned is
# not far from it in the latents, nor has it a large error.
shown = np.r_[np.flatnonzero(y != 9)[:5], np.flatnonzero(y == 9)[:5]]
ReconstructionDisplay.from_estimator(detector, X[shown], image_names=y[shown].astype(str))
plt.show()
