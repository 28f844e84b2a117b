"""
A fit that survives a kill
==========================

A training that takes hours may be stopped half way by a power cut. ``fit_in_folder`` keeps all that
it needs to go on; the same call goes on from the last complete epoch, and ends in the same bits as
if nobody had stopped it. Here we stop one on purpose.
"""

# %%
# A table in a file
# -----------------
# ``load_table`` keeps the names of columns and rows.
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_wine
from skorch.callbacks import Callback

from skvae import VAEDetector, fit_in_folder, load, save
from skvae.datasets import load_table
from skvae.plotting import TrainingHistoryDisplay

temporary = TemporaryDirectory()
folder = Path(temporary.name)
load_wine(as_frame=True).frame.to_csv(folder / "wine.csv")
table = load_table(folder / "wine.csv", label="target", drop=["Unnamed: 0"])
print(table.data.shape, list(table.data.columns[:3]), "...")

# %%
# Stopped, and gone on with
# -------------------------
# A callback that ends the training with an error in epoch 20 stands for the power cut. It
# listens to the ends of epochs alone and keeps nothing, so the numbers are those of a fit without
# it.


class PowerCut(Callback):
    is_due = True

    def on_epoch_end(self, net, **kwargs):
        if PowerCut.is_due and len(net.history) == 20:
            raise RuntimeError("power cut")


detector = VAEDetector(contamination=0, callbacks=[PowerCut()], random_state=0)
run = folder / "run"
try:
    fit_in_folder(detector, table.data, folder=run)
except RuntimeError as error:
    n_stored = len(pd.read_json(run / "history.json"))
    print(
        f"{error}: {n_stored} epochs are stored, in", *sorted(path.name for path in run.iterdir())
    )

PowerCut.is_due = False
fit_in_folder(detector, table.data, folder=run)
print(f"gone on with to epoch {len(detector.history_)}")

# %%
# The same bits
# -------------
# Beside it stands a fit that nobody stopped and that no folder knows of.
undisturbed = VAEDetector(contamination=0, random_state=0).fit(table.data)
scores = detector.anomaly_score(table.data)
print("same scores:", np.array_equal(scores, undisturbed.anomaly_score(table.data)))
display = TrainingHistoryDisplay.from_estimator(detector, name="one fit, in two parts")
display.ax_.axvline(n_stored, color="black", ls="--")
display.ax_.annotate(
    "stopped here", (n_stored, 0.4), (1.2 * n_stored, 0.4), xycoords=("data", "axes fraction")
)

# %%
# A file that holds no code
# -------------------------
# The folder holds the fitted detector as well. ``save`` writes one anywhere, in the format of
# safetensors, and ``load`` runs nothing that a file says.
save(undisturbed, folder / "wine.safetensors")
for path in (folder / "wine.safetensors", run / "model.safetensors"):
    print(path.name, np.array_equal(load(path).anomaly_score(table.data), scores))
temporary.cleanup()
plt.show()
