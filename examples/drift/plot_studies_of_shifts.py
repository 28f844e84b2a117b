"""
Studies of shifts and corruptions, in small
===========================================

``shift`` asks who notices that images have changed, a classifier or detectors beside it;
``robustness`` asks which corruptions detectors find, and where. Both take MNIST and minutes. With
``quick=True`` they take scikit-learn's digits and short trainings, which shows what they return;
the figures mean little. In full they are the commands ``skvae study shift`` and ``robustness``.
"""

# %%
# Shift
# -----
# A dictionary of tables: the classifier's accuracy, the detectors' AUROC, alarms of the drift
# monitor for single batches, and what comes with more and more of a corruption.
import matplotlib.pyplot as plt
import numpy as np

from skvae.studies import robustness, shift

shifted = shift(quick=True, n_train=400, n_test=150, progress=False)
print({name: table.shape for name, table in shifted.items()})
print(shifted["accuracy"][["shift", "accuracy", "n_images"]].round(3).to_string(index=False))
alarms = shifted["drift"].query("n == 50").set_index("shift")
print(alarms[["drifted", "latent_mmd", "latent_ks", "score_ks"]].round(2).to_string())

# %%
# Robustness
# ----------
corrupted = robustness(quick=True, n_train=400, n_test=100, progress=False)
print({name: table.shape for name, table in corrupted.items()})
areas = corrupted["auroc"].pivot(index="corruption", columns="detector", values="default")
print(areas.round(3).to_string())

# %%
# In one picture
# --------------
# On the left, what each shift costs the classifier, and in how many of its batches of 50 images the
# monitor alarms. On the right, how well two detectors tell corrupted images from whole ones.
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
accuracy = shifted["accuracy"].set_index("shift")["accuracy"]
places = np.arange(len(accuracy))
left.plot(accuracy, places, "o", color="tab:blue", ms=8, label="accuracy of the classifier")
left.plot(
    alarms.loc[accuracy.index, "drifted"],
    places,
    "s",
    color="tab:orange",
    ms=8,
    mfc="none",
    mew=2,
    label="batches with an alarm",
)
left.set_yticks(places, accuracy.index)
left.set(xlabel="share", xlim=(-0.03, 1.03), title="shift")
left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.15), ncols=2, fontsize=9)
places = np.arange(len(areas))
for (name, some), marker, color in zip(
    areas.items(), "os", ["tab:blue", "tab:orange"], strict=True
):
    right.plot(some, places, marker, color=color, ms=8, mfc="none", mew=2, label=name)
right.set_yticks(places, areas.index)
right.set(xlabel="AUROC, default score", xlim=(-0.03, 1.03), title="robustness")
right.axvline(0.5, color="black", ls="--", lw=1)
right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.15), ncols=2, fontsize=9)

# %%
# The monitor alarms where the classifier suffers, and hardly where it does not: at a rotation by 3
# degrees, and at no shift. It alarms at digits 0 to 4 as well, which cost the classifier nothing.
plt.show()
