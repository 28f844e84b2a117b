"""Fits in a folder whose process is killed again and again: run by test_runs.py, in a process of
its own, because only a process of one thread can be forked.

    python fits_to_kill.py FOLDER NAME:KIND...

where KIND is SIGKILL or SIGINT, sent at random moments, or "torn": SIGKILL in the middle of a
random write. Prints a line of JSON a fit: after which epochs it was stopped, and whether it came to
the bits of a fit that nobody stopped.
"""

import hashlib
import json
import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from skorch.callbacks import EarlyStopping, Freezer, LRScheduler

from skvae import AEDetector, ConvVAEDetector, VAEDetector, fit_in_folder

ROWS = load_digits().data[:200]
IMAGES = load_digits().images[:150] / 16
TABLE = {"score": "reconstruction", "batch_size": 32, "hidden_layer_sizes": (32,)}
FITS = {
    "table": lambda: VAEDetector(max_steps=120, random_state=0, **TABLE),
    "ensemble": lambda: VAEDetector(
        n_estimators=3, optimizer="adamw", max_steps=120, random_state=1, **TABLE
    ),
    "early stopping": lambda: AEDetector(
        early_stopping=True,
        patience=2,
        validation_fraction=0.3,
        contamination=0,
        lr=0.02,
        max_steps=None,
        max_epochs=200,
        optimizer="sgd",
        likelihood="mse",
        random_state=0,
        **TABLE,
    ),
    "one cycle": lambda: VAEDetector(
        max_epochs=15,
        optimizer=torch.optim.RMSprop,
        random_state=0,
        callbacks=[
            LRScheduler(
                torch.optim.lr_scheduler.OneCycleLR,
                max_lr=0.01,
                total_steps=105,
                step_every="batch",
            ),
            EarlyStopping(monitor="train_loss", patience=3, sink=lambda text: None),
            Freezer("network.encoder*", at=4),
        ],
        **TABLE,
    ),
    "images": lambda: ConvVAEDetector(
        n_estimators=2,
        channels=(4, 8),
        hidden_layer_sizes=(16,),
        norm="batch",
        max_steps=30,
        batch_size=32,
        score="reconstruction",
        random_state=0,
    ),
}


def bits(detector):
    """Digest of all that a fit has come to, but for the time it took."""
    X = data(detector)
    parts = [value.numpy() for value in detector.net_.module_.state_dict().values()]
    parts += [detector.history_.drop(columns="duration").to_numpy()]
    parts += [detector.anomaly_score(X), detector.calibration_scores_, detector.threshold_]
    return hashlib.sha256(pickle.dumps([np.asarray(part).tobytes() for part in parts])).hexdigest()


def data(detector):
    return IMAGES if isinstance(detector, ConvVAEDetector) else ROWS


def in_child(function):
    """Process id of a fork that runs ``function``; it exits with 0, or with 3 where interrupted."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # until the child is ready for it
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        return process
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        function()
        os._exit(0)
    except KeyboardInterrupt:
        os._exit(3)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)


def fit(name, folder, before=lambda: None):
    before()
    detector = FITS[name]()
    fit_in_folder(detector, data(detector), folder=folder, every=3)
    (folder / "bits").write_text(bits(detector))


def kill_at_write(n):
    """Let a process kill itself when half of the n-th file that it writes is written."""
    replace, count = os.replace, iter(range(1, 1_000_000))

    def torn(source, target):
        if next(count) == n:
            os.truncate(source, os.path.getsize(source) // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    os.replace = torn


def stopped_again_and_again(name, folder, kind, most=3):
    """Start a fit and stop it, up to ``most`` times; then let it come to its end."""
    rng = random.Random(f"{name}, {kind}")
    start = time.monotonic()
    detector = FITS[name]()
    expected = bits(detector.fit(data(detector)))
    os.waitpid(in_child(lambda: fit(name, folder / "timed")), 0)
    seconds = time.monotonic() - start
    run, epochs = folder / "run", []
    while len(epochs) < most:
        if kind == "torn":
            n = rng.randint(1, 12)
            process = in_child(lambda n=n: fit(name, run, lambda: kill_at_write(n)))
        else:
            process = in_child(lambda: fit(name, run))
            time.sleep(rng.random() * seconds / 2)
            os.kill(process, getattr(signal, kind))
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if status == 0:
            break
        assert status == (3 if kind == "SIGINT" else -signal.SIGKILL), status
        history = run / "history.json"
        epochs.append(len(json.loads(history.read_text())) if history.exists() else 0)
    fit(name, run)
    ends = [(path / "bits").read_text() for path in (folder / "timed", run)]
    return {
        "fit": name,
        "kind": kind,
        "stopped_after": epochs,
        "n_epochs": len(detector.history_),
        "as_expected": ends == [expected, expected],
        "left": [path.name for path in run.rglob(".*")],
    }


if __name__ == "__main__":
    folder, *pairs = sys.argv[1:]
    for pair in pairs:
        name, kind = pair.split(":")
        found = stopped_again_and_again(name, Path(folder) / name / kind, kind)
        print(json.dumps(found), flush=True)
