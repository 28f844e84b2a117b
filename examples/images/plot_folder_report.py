"""
From a folder of images to a report
===================================

A folder holds images that are fine, another one images to be judged. A detector learns the first,
``write_report`` judges the second, and leaves a folder with pictures, a table and a page for
people.
"""

# %%
# A folder
# --------
# Where the data home holds slices of brain MRI, they are the images: trained on slices without a
# tumour. Else a folder is made of scikit-learn's digits, and anything but a zero is an anomaly.
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from skvae import ConvVAEDetector
from skvae.datasets import (
    ImageFolder,
    get_data_home,
    load_digits_images,
    load_image,
    load_image_folder,
)
from skvae.plotting import ReconstructionDisplay, ScoreHistogramDisplay
from skvae.reports import judge_image, write_report

temporary = TemporaryDirectory()
out = Path(temporary.name)


def digits_in_folders(path):
    images, digits = load_digits_images()
    for number, (image, digit) in enumerate(zip(images, digits, strict=True)):
        part = "test" if digit or number % 4 == 0 else "train"
        place = path / part / f"digit_{digit}"
        if digit == 0 or number % 10 == 0:
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{number:04}.png")
    return path


if (get_data_home() / "brain_mri").is_dir():
    path, good, size = get_data_home() / "brain_mri", "no_tumor", 64
else:
    path, good, size = digits_in_folders(out / "digits"), "digit_0", 8
folder = load_image_folder(path, size=size)
assert isinstance(folder, ImageFolder)
print(folder.shape, folder.classes)
train = folder.subset((folder.parts == "train") & (folder.labels == good))
test = folder.subset(folder.parts == "test")
print(len(train), "images to train on,", len(test), "to judge")

# %%
# Training and report
# -------------------
# An image file is decoded when it is asked for. The report is written into a temporary folder here.
detector = ConvVAEDetector(
    score="hog_neighbors",
    contamination=0,
    percentile=95,
    max_steps=300,
    batch_size=64,
    random_state=0,
).fit(train)
predictions = write_report(
    detector, test, out / "report", y=test.labels != good, groups=test.labels, top_k=4
)
for written in sorted((out / "report").rglob("*")):
    if written.is_file():
        print(written.relative_to(out), f"{written.stat().st_size / 1000:.0f} kB")
print(predictions.groupby(test.labels)["is_anomaly"].agg(["size", "mean"]).round(2).to_string())
auroc = roc_auc_score(test.labels != good, predictions["anomaly_score"])
print(f"AUROC {auroc:.3f}")
ScoreHistogramDisplay.from_predictions(
    test.labels != good, predictions["anomaly_score"], threshold=detector.threshold_
)

# %%
# Of the digits nearly all that are no zero lie above the threshold, the 95th percentile of the
# training images. Slices of brains are harder: those with a tumour tend to higher scores, but the
# threshold is too high for most of them, and no other one parts the two.

# %%
# One image
# ---------
# ``judge_image`` takes a file, prepares it as the training images were, and draws the picture that
# the report holds of each image.
odd = int(predictions["anomaly_score"].to_numpy().argmax())
file = path / str(test.files[odd])
verdict, score = judge_image(detector, file, picture=out / "judged.png")
print(test.files[odd], "anomaly" if verdict else "normal", f"score {score:.2f}")
figure, ax = plt.subplots(figsize=(10, 2.6), layout="constrained")
ax.imshow(plt.imread(out / "judged.png"))
ax.axis("off")

# %%
# What the network sees
# ---------------------
# ``load_image`` prepares a file as the folder does. Small networks draw blurred images: the score
# here compares histograms of gradients of an image with those of the training, and not pixels.
files = [path / str(each) for each in test.files[:: len(test) // 6][:6]]
images = np.stack([load_image(each, **folder.preparation) for each in files])
ReconstructionDisplay.from_estimator(
    detector, images, image_names=[each.parent.name.removesuffix("_tumor") for each in files]
)
temporary.cleanup()
plt.show()
