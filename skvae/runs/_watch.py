"""The callback that writes, after each epoch, what a folder holds of a training."""

import re
import sys
from time import monotonic

import numpy as np
import torch

from skvae._files import as_json, write_text
from skvae.base._detector import history_table
from skvae.runs._checkpoint import read_checkpoint, write_checkpoint, write_weights
from skvae.runs._identity import check_same, described_detector, described_training
from skvae.runs._pictures import draw_history, draw_reconstructions
from skvae.training import Callback, resume, training_state

CHECKPOINT = "checkpoint.safetensors"
OTHERS = (
    "best.safetensors",
    "history.json",
    "model.safetensors",
    "results.json",
    "training_curves.png",
)
TORN_FILE = re.compile(rf"\.({'|'.join(map(re.escape, (CHECKPOINT, *OTHERS)))})\.[0-9]+")
TORN_PICTURE = re.compile(r"\.epoch_[0-9]{4,}\.png\.[0-9]+")
N_IMAGES = 10
# Nobody looks more often, and a picture takes longer than many an epoch.
SECONDS_BETWEEN_CURVES = 5


class Watch(Callback):
    """Goes on with what the folder holds, and writes what comes; the last of all callbacks.

    Parameters
    ----------
    detector : BaseDetector
        That is being fitted.
    folder : Path
    every : int
        Epochs from picture to picture.

    Raises
    ------
    ValueError
        If the folder holds a damaged checkpoint, that of another detector, or files of these names
        without a checkpoint.
    """

    def __init__(self, detector, folder, every):
        self.detector = detector
        self.folder = folder
        self.every = every
        self._about_detector = described_detector(detector)
        self._checkpoint = None
        if (folder / CHECKPOINT).exists():
            self._checkpoint = read_checkpoint(folder / CHECKPOINT)
            check_same(folder, self._checkpoint["detector"], self._about_detector)
        else:
            self._check_overwrites_nothing()
        self._remove_torn_files()
        self._last_drawn = -np.inf

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Begin, or go on."""
        self._about_training = described_training(net, X)
        if self._checkpoint is not None:
            check_same(self.folder, self._checkpoint["training"], self._about_training)
            resume(net, self._checkpoint["state"])
        self._images = self._sample(X)
        if self._checkpoint is not None:
            self._checkpoint = None  # it takes memory
            if self.detector.verbose:
                print(f"going on after epoch {net.history[-1, 'epoch']}", file=sys.stderr)
            self._write(net)  # what the last epoch may not have come to

    def on_epoch_end(self, net, **kwargs):
        """Write what the epoch has brought.

        The checkpoint first, so that no other file is without it. Between any two the process may
        be killed: what comes after the checkpoint is written when the training goes on.
        """
        net.is_over_ = False  # an interrupt is the user's from here on
        if net.errors_:  # the fit is going to fail, as soon as all its networks are done
            return
        content = {"detector": self._about_detector, "training": self._about_training}
        content["state"] = training_state(net)
        write_checkpoint(self.folder / CHECKPOINT, content)
        self._write(net)

    def write_history(self, history):
        """Write the losses of the epochs so far."""
        write_text(self.folder / "history.json", as_json(history.to_dict("records")))

    def draw_curves(self, history):
        """Draw them."""
        draw_history(self.folder / "training_curves.png", history, type(self.detector).__name__)
        self._last_drawn = monotonic()

    def _write(self, net):
        """Write what is beside the checkpoint of the last epoch."""
        history = history_table(net.history, net.module_.network)
        self.write_history(history)
        loss = "valid_loss" if "valid_loss" in history else "train_loss"
        if net.history[-1, f"{loss}_best"]:
            about = {name: net.history[-1, name] for name in ("epoch", loss)}
            write_weights(self.folder / "best.safetensors", net.module_, about)
        self._draw(net)

    def _draw(self, net):
        """Draw what is due after the last epoch."""
        epoch = net.history[-1, "epoch"]
        if epoch % self.every != 0:
            return
        if self._images is not None:
            path = self.folder / "reconstructions" / f"epoch_{epoch:04d}.png"
            draw_reconstructions(path, net, self._images, self.detector._layout, f"epoch {epoch}")
        if monotonic() - self._last_drawn > SECONDS_BETWEEN_CURVES:
            self.draw_curves(history_table(net.history, net.module_.network))

    def _sample(self, rows):
        """Images, evenly spread over the rows; None of a table."""
        layout = getattr(self.detector, "_layout", None)
        if layout is None or layout.is_table:
            return None
        return torch.as_tensor(rows[np.unique(np.linspace(0, len(rows) - 1, N_IMAGES, dtype=int))])

    def _check_overwrites_nothing(self):
        found = [name for name in OTHERS if (self.folder / name).exists()]
        if found:
            raise ValueError(
                f"{self.folder} holds {', '.join(found)}, which a fit would overwrite, but no "
                f"{CHECKPOINT} that it could go on with: use another folder."
            )

    def _remove_torn_files(self):
        """Remove what a writer that was killed has left beside the files."""
        for folder, torn in (
            (self.folder, TORN_FILE),
            (self.folder / "reconstructions", TORN_PICTURE),
        ):
            for path in folder.glob(".*"):
                if torn.fullmatch(path.name) and path.is_file():
                    path.unlink(missing_ok=True)
