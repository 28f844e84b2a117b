"""A fit in a folder: what it leaves, and that it goes on where it was stopped, to the same bits."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
)

from skvae import AEDetector, ConvVAEDetector, VAEDetector, fit_in_folder, load
from skvae.metrics import roc_auc
from skvae.persistence._file import write
from skvae.runs import _watch
from skvae.thresholds import Percentile
from skvae.training import _net

HERE = Path(__file__).parent
IMAGES = load_digits().images[:60] / 16
FILES = [
    "best.safetensors",
    "checkpoint.safetensors",
    "history.json",
    "model.safetensors",
    "results.json",
    "training_curves.png",
]


def rows(n=100, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(n, 6))


def of_tables(cls=VAEDetector, **params):
    """Four batches an epoch."""
    params = {"batch_size": 32, "max_epochs": 5, "score": "reconstruction", **params}
    return cls(hidden_layer_sizes=(8,), latent_dim=2, random_state=0, **params)


def of_images(**params):
    params = {"batch_size": 32, "max_epochs": 4, "score": "reconstruction", **params}
    return ConvVAEDetector(
        channels=(4,), hidden_layer_sizes=(8,), latent_dim=2, random_state=0, **params
    )


def data(detector):
    return IMAGES if isinstance(detector, ConvVAEDetector) else rows()


def state(detector):
    return {name: value.clone() for name, value in detector.net_.module_.state_dict().items()}


def assert_same_fit(one, other):
    X = data(one)
    for name, value in state(one).items():
        assert torch.equal(value, state(other)[name]), name
    assert one.history_.drop(columns="duration").equals(other.history_.drop(columns="duration"))
    assert one.threshold_ == other.threshold_
    assert one.n_steps_ == other.n_steps_
    np.testing.assert_array_equal(one.anomaly_score(X), other.anomaly_score(X))
    assert vars(one).keys() == vars(other).keys()


class Killed(BaseException):
    """What nobody catches."""


@pytest.fixture
def dies_after(monkeypatch):
    """``dies_after(n)``: the process dies, as it were, once the n-th checkpoint is written."""
    write = _watch.write_checkpoint

    def dies_after(n):
        count = iter(range(1, 1000))

        def write_and_die(path, content):
            write(path, content)
            if next(count) == n:
                raise Killed

        monkeypatch.setattr(_watch, "write_checkpoint", write_and_die)

    return dies_after


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """A file in place of each picture of the losses, which would take most of the time."""
    monkeypatch.setattr(_watch, "draw_history", lambda path, *_: path.write_bytes(b""))


# -- the folder -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [of_tables, of_images])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_the_fit_is_that_without_a_folder(make, early_stopping, tmp_path):
    alone, detector = make(early_stopping=early_stopping), make(early_stopping=early_stopping)
    X = data(alone)
    assert fit_in_folder(detector, X, folder=tmp_path / "new" / "run", every=1) is detector
    assert_same_fit(alone.fit(X), detector)
    assert detector.callbacks is None
    assert len(pickle.dumps(detector)) == pytest.approx(len(pickle.dumps(alone)), rel=0.01)
    assert_same_fit(alone, clone(detector).fit(X))


def test_files_of_a_table(tmp_path, monkeypatch):
    monkeypatch.undo()
    detector = fit_in_folder(of_tables(), rows(), folder=tmp_path, every=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == detector.history_.to_dict("records")
    np.testing.assert_array_equal(
        load(tmp_path / "model.safetensors").anomaly_score(rows()), detector.anomaly_score(rows())
    )
    curves = np.asarray(Image.open(tmp_path / "training_curves.png").convert("RGB"))
    assert curves.shape > (300, 500, 3) and len(np.unique(curves.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize("image_shape", [None, (8, 8)], ids=["images", "rows of images"])
def test_reconstructions_every_few_epochs(image_shape, tmp_path):
    X = IMAGES if image_shape is None else IMAGES.reshape(60, 64)
    fit_in_folder(of_images(image_shape=image_shape), X, folder=tmp_path, every=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "reconstructions"])
    pictures = sorted((tmp_path / "reconstructions").iterdir())
    assert [path.name for path in pictures] == ["epoch_0002.png", "epoch_0004.png"]
    first, last = (np.asarray(Image.open(path).convert("L")) for path in pictures)
    assert first.shape == last.shape and first.shape[1] > 3 * first.shape[0]
    assert (first != last).any()


def test_a_table_that_is_drawn_as_images_has_no_pictures(tmp_path):
    X = rows()
    fit_in_folder(of_images(), X, folder=tmp_path, every=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES


def test_uint8_images_of_three_channels_on_a_folder_of_their_own(tmp_path):
    X = np.random.RandomState(0).randint(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    fit_in_folder(of_images(max_epochs=1), X, folder=str(tmp_path), every=1)
    picture = np.asarray(Image.open(tmp_path / "reconstructions" / "epoch_0001.png").convert("RGB"))
    assert (picture.max(axis=2) != picture.min(axis=2)).mean() > 0.2, "in colours"


class Weights(Callback):
    """Weights after each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_epoch_end(self, net, **kwargs):
        self.seen.append({name: v.clone() for name, v in net.module_.state_dict().items()})


@pytest.mark.parametrize("early_stopping", [False, True])
def test_best_weights_are_those_of_the_lowest_loss(early_stopping, tmp_path):
    weights = Weights()
    detector = of_tables(lr=0.2, max_epochs=12, callbacks=[weights])
    detector.set_params(early_stopping=early_stopping, patience=4)
    fit_in_folder(detector, rows(), folder=tmp_path)
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == detector.history_.to_dict("records")
    loss = detector.history_["valid_loss" if early_stopping else "loss"]
    best = int(loss.argmin())
    assert best < len(loss) - 1
    stored = load_file(tmp_path / "best.safetensors")
    assert stored.keys() == weights.seen[best].keys()
    assert all(torch.equal(value, weights.seen[best][name]) for name, value in stored.items())
    with safe_open(tmp_path / "best.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()["about"])
    assert about["epoch"] == best + 1 and loss[best] in about.values()
    detector.net_.module_.load_state_dict(stored)


def test_results(tmp_path):
    X, y = np.r_[rows(), 10 + rows(5)], np.repeat([1, -1], [100, 5])
    detector = of_tables(threshold=Percentile(90), calibration_fraction=0.2)
    fit_in_folder(detector, X, y, folder=tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    params = results["detector"]
    assert params["class"] == "VAEDetector" and params["hidden_layer_sizes"] == [8]
    assert params["threshold"]["class"] == "skvae.thresholds.Percentile"
    assert params["threshold"]["parameters"]["percentile"] == 90
    assert results["threshold"] == detector.threshold_
    scores = detector.calibration_scores_
    assert results["threshold_at_percentile"]["99"] == np.percentile(scores, 99)
    assert results["n_calibration_scores"] == 21 and results["calibration_is_held_out"]
    assert results["share_of_them_flagged"] == np.mean(scores > detector.threshold_)
    assert results["n_epochs"] == 5 and results["n_steps"] == 15
    assert results["best_epoch"] == detector.history_["loss"].argmin() + 1
    assert results["last_epoch"]["kl"] == detector.history_["kl"].iloc[-1]
    metrics = results["metrics_on_data_of_fit"]
    assert metrics["roc_auc"] == roc_auc(detector, X, y)
    flagged = detector.predict(X) == -1
    assert metrics["recall"] == np.mean(flagged[100:])
    assert metrics["precision"] == np.mean(y[flagged] == -1)
    assert results["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("y", [None, np.zeros(100, int), np.arange(100)])
def test_no_metrics_without_labels_of_both_kinds(y, tmp_path):
    fit_in_folder(of_tables(max_epochs=1), rows(), y, folder=tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["metrics_on_data_of_fit"] is None


def test_names_of_classes_are_warned_of(tmp_path):
    with pytest.warns(UserWarning, match="^y holds names and not labels of anomalies"):
        fit_in_folder(of_tables(max_epochs=1), rows(), ["a", "b"] * 50, folder=tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["metrics_on_data_of_fit"] is None


def mean_error(x, output, error):
    return error.mean(-1)


def test_what_cannot_be_stored_is_warned_of_and_the_rest_is_there(tmp_path):
    with pytest.warns(UserWarning, match=r"model.safetensors was not written. .* score"):
        fit_in_folder(of_tables(score=mean_error), rows(), folder=tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [name for name in FILES if name != "model.safetensors"]


# -- going on -------------------------------------------------------------------------------


def schedule(policy, **params):
    return lambda: [LRScheduler(policy, **params), GradientNormClipping(1.0)]


def callbacks():
    return [
        Freezer("network.encoder*", at=3),
        EpochScoring(lambda net, X, y=None: len(net.history) // 2, name="pairs", on_train=True),
        ("stop", EarlyStopping(monitor="pairs", patience=6, sink=lambda text: None)),
        PrintLog(sink=lambda text: None),
    ]


FITS = {
    "adam": lambda: of_tables(),
    "adamw": lambda: of_tables(optimizer="adamw", contamination=0.0),
    "sgd": lambda: of_tables(optimizer="sgd", lr=1e-3),
    "RMSprop": lambda: of_tables(optimizer=torch.optim.RMSprop),
    "NAdam": lambda: of_tables(optimizer=torch.optim.NAdam),
    "Adagrad": lambda: of_tables(optimizer=torch.optim.Adagrad),
    "steps": lambda: of_tables(AEDetector, max_steps=17, max_epochs=None),
    "ensemble": lambda: of_tables(n_estimators=3),
    "early": lambda: of_tables(early_stopping=True, lr=0.2, patience=2, max_epochs=20),
    "one cycle": lambda: of_tables(
        callbacks=schedule(
            torch.optim.lr_scheduler.OneCycleLR, max_lr=0.01, total_steps=20, step_every="batch"
        )()
    ),
    "plateau": lambda: of_tables(
        callbacks=schedule("ReduceLROnPlateau", monitor="train_loss", patience=0, threshold=9.0)()
    ),
    "callbacks": lambda: of_tables(callbacks=callbacks(), max_epochs=9),
    "images": lambda: of_images(),
    "images, all at once": lambda: of_images(norm="batch", n_estimators=2, early_stopping=True),
}


@pytest.mark.parametrize("name", FITS)
def test_a_killed_fit_goes_on_to_the_same_bits(name, dies_after, tmp_path):
    alone = FITS[name]()
    X = data(alone)
    alone.fit(X)
    for n in range(3):
        dies_after(1 + n % 2)
        with pytest.raises(Killed):
            fit_in_folder(FITS[name](), X, folder=tmp_path)
    dies_after(0)
    detector = fit_in_folder(FITS[name](), X, folder=tmp_path)
    assert_same_fit(alone, detector)
    again = fit_in_folder(FITS[name](), X, folder=tmp_path)
    assert_same_fit(alone, again)
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == again.history_.to_dict("records")
    durations = [fit.history_["duration"].iloc[:-1].tolist() for fit in (detector, again)]
    assert durations[0] == durations[1], "nothing was trained again, but perhaps the last epoch"


def test_a_warm_start_goes_on_from_its_own_weights(dies_after, tmp_path):
    alone = of_tables(warm_start=True).fit(rows()).fit(rows())
    dies_after(2)
    detector = of_tables(warm_start=True).fit(rows())
    with pytest.raises(Killed):
        fit_in_folder(detector, rows(), folder=tmp_path)
    dies_after(0)
    assert_same_fit(alone, fit_in_folder(detector, rows(), folder=tmp_path))
    with pytest.raises(ValueError, match="initial weights is .* there and .* here"):
        fit_in_folder(detector, rows(), folder=tmp_path)


def test_pictures_that_a_kill_left_out_are_drawn_when_the_fit_goes_on(dies_after, tmp_path):
    dies_after(2)
    with pytest.raises(Killed):
        fit_in_folder(of_images(), IMAGES, folder=tmp_path, every=2)
    assert not (tmp_path / "reconstructions").exists()
    dies_after(0)
    fit_in_folder(of_images(), IMAGES, folder=tmp_path, every=2)
    assert len(list((tmp_path / "reconstructions").iterdir())) == 2


def test_a_bar_begins_where_the_training_goes_on(dies_after, tmp_path, capsys):
    dies_after(3)
    with pytest.raises(Killed):
        fit_in_folder(of_tables(), rows(), folder=tmp_path)
    dies_after(0)
    fit_in_folder(of_tables(verbose=1), rows(), folder=tmp_path)
    shown = capsys.readouterr().err
    assert "20/20" in shown and "going on after epoch 3\n" in shown


def test_kills_of_a_process_at_random_moments_and_in_the_middle_of_writes(tmp_path):
    _stop_again_and_again(tmp_path, "table:torn", "images:SIGKILL")


@pytest.mark.slow
def test_more_kills(tmp_path):
    names = ("table", "ensemble", "early stopping", "one cycle", "images")
    kinds = ("SIGKILL", "SIGINT", "torn")
    _stop_again_and_again(tmp_path, *(f"{name}:{kind}" for name in names for kind in kinds))


def _stop_again_and_again(folder, *pairs):
    command = [sys.executable, "-W", "ignore", str(HERE / "fits_to_kill.py"), str(folder), *pairs]
    settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent), "MPLBACKEND": "Agg"}
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(pairs)
    assert sum(len(fit["stopped_after"]) for fit in found) >= len(pairs)
    assert all(fit["as_expected"] and fit["left"] == [] for fit in found), found


# -- interrupts -----------------------------------------------------------------------------


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("where", ["write_text", "write_weights", "write_checkpoint"])
def test_an_interrupt_of_a_write_is_no_end_of_the_training(where, tmp_path, monkeypatch):
    alone, detector = of_tables().fit(rows()), of_tables()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_watch, where, interrupted)
        fit_in_folder(detector, rows(), folder=tmp_path)
    with pytest.raises(NotFittedError):
        detector.predict(rows())
    assert detector.callbacks is None
    assert_same_fit(alone, fit_in_folder(detector, rows(), folder=tmp_path))


def test_an_interrupt_while_early_stopping_copies_weights_is_no_end_of_the_training(monkeypatch):
    monkeypatch.setattr("skorch.callbacks.training.deepcopy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        of_tables(early_stopping=True).fit(rows())


def test_an_interrupt_before_the_first_epoch_that_is_left(dies_after, tmp_path, monkeypatch):
    dies_after(2)
    with pytest.raises(Killed):
        fit_in_folder(of_tables(), rows(), folder=tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_net.AutoencoderNet, "get_iterator", interrupted)
        fit_in_folder(of_tables(), rows(), folder=tmp_path)


class Enough(Callback):
    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


def test_a_callback_may_end_the_training(tmp_path):
    alone = of_tables(callbacks=[Enough()]).fit(rows())
    assert len(alone.history_) == 3
    for _ in range(2):
        detector = fit_in_folder(of_tables(callbacks=[Enough()]), rows(), folder=tmp_path)
        assert_same_fit(alone, detector)


class Long(Callback):
    """As if 20,000 epochs had come before the fifth, of which some recorded more than others."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) != 5:
            return
        first, losses = net.history[0], net.epoch_losses_[0]
        rows = [{**first, "epoch": i, "dur": i / 7, "batches": [{}]} for i in range(20_000)]
        rows[10] |= {"batches": [{"lr": 0.5}, {}], "note": None}
        rows[11]["note"] = "half way"
        rows[12]["train_loss"] = float("nan")
        net.history[:0] = rows
        net.epoch_losses_[:0] = [losses] * 20_000


def test_a_long_training_goes_on(tmp_path):
    detector = fit_in_folder(of_tables(callbacks=[Long()]), rows(), folder=tmp_path)
    assert len(detector.history_) == 20_005
    again = fit_in_folder(of_tables(callbacks=[Long()]), rows(), folder=tmp_path)
    assert_same_fit(detector, again)
    # Bits, types, missing values and the order of names; NaN is no equal of itself.
    assert repr(list(again.net_.history)) == repr(list(detector.net_.history))
    for own, other in zip(again.net_.epoch_losses_, detector.net_.epoch_losses_, strict=True):
        assert torch.equal(own, other)
    start = (tmp_path / "checkpoint.safetensors").read_bytes()[:8]
    assert int.from_bytes(start, "little") < 20_000, "the header does not grow with the epochs"


# -- refused --------------------------------------------------------------------------------


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OTHERS = {
    "beta": (of_tables(beta=2.0), rows(), "beta is 1.0 there and 2.0 here"),
    "class": (of_tables(AEDetector), rows(), 'class is "VAEDetector" there and "AEDetector" here'),
    "seed": (of_tables().set_params(random_state=1), rows(), "random_state is 0 there and 1 here"),
    "threshold": (
        of_tables(threshold=Percentile(90)),
        rows(),
        'threshold is "percentile" there and {"class": "skvae.thresholds.Percentile"',
    ),
    "callbacks": (of_tables(callbacks=[Enough()]), rows(), "callbacks is null there and [{"),
    "rows": (of_tables(), rows(seed=1), 'training rows is "100 x 6, '),
    "fewer rows": (of_tables(), rows(n=99), '" there and "99 x 6, '),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_is_for_one_fit(name, tmp_path):
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    before = contents(tmp_path)
    detector, X, message = OTHERS[name]
    with pytest.raises(ValueError) as error:
        fit_in_folder(clone(detector), X, folder=tmp_path)
    assert str(error.value).startswith(f"{tmp_path} holds another fit, which this one cannot go on")
    assert message in str(error.value) and "Use another folder" in str(error.value)
    assert contents(tmp_path) == before


def test_a_folder_is_for_one_version(tmp_path, monkeypatch):
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    monkeypatch.setattr("skvae.runs._identity.version", lambda name: "99.1")
    with pytest.raises(ValueError, match=r'version is ".*" there and "99\.1" here'):
        fit_in_folder(of_tables(), rows(), folder=tmp_path)


def test_rows_that_stop_the_training_early_are_data_as_well(tmp_path):
    X = rows()
    fit_in_folder(of_tables(early_stopping=True), X, folder=tmp_path)
    order = np.random.RandomState(0).permutation(100)
    with pytest.raises(ValueError, match=r"training rows|validation rows"):
        fit_in_folder(of_tables(early_stopping=True), X[order], folder=tmp_path)


def test_verbosity_and_pictures_may_differ(tmp_path, capsys):
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    fit_in_folder(of_tables(verbose=2), rows(), folder=tmp_path, every=1)


@pytest.mark.parametrize(
    "detector, options, error, message",
    [
        (
            IsolationForest(random_state=0),
            {},
            TypeError,
            "fits detectors that train a network.* got IsolationForest",
        ),
        (VAEDetector(), {}, ValueError, "random_state=None begins differently each time"),
        (of_tables(), {"every": 0}, ValueError, "every=0 must be an int of at least 1"),
        (of_tables(callbacks="all"), {}, ValueError, "'callbacks' parameter of VAEDetector"),
    ],
)
def test_refused_before_anything_is_written(detector, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        fit_in_folder(detector, rows(), folder=tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_asked_for_before_the_training(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'fit_in_folder needs .*pip install "skvae\[plot\]"'):
        fit_in_folder(of_tables(), rows(), folder=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_leaves_the_last_good_checkpoint(tmp_path):
    params = {"lr": 1e30, "optimizer": "sgd"}
    for _ in range(2):
        with pytest.raises(FloatingPointError, match="Lower lr"):
            fit_in_folder(of_tables(**params), rows(), folder=tmp_path)
    assert not (tmp_path / "results.json").exists()


def damaged(data, seed):
    """The bytes of a file with a few of them changed, or cut off."""
    rng = np.random.RandomState(seed)
    if seed % 3 == 0:
        return data[: rng.randint(len(data))]
    data = bytearray(data)
    near_the_start = rng.randint(2)
    for at in rng.randint(300 if near_the_start else len(data), size=rng.randint(1, 4)):
        data[at] ^= 1 << rng.randint(8)
    return bytes(data)


def test_a_damaged_checkpoint_is_named(tmp_path):
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    whole = path.read_bytes()
    wrong = [
        b"",
        b"\x80\x04pickle",
        whole[:-1],
        whole + b"\0",
        *(damaged(whole, s) for s in range(100)),
    ]
    for content in wrong:
        path.write_bytes(content)
        with pytest.raises(ValueError) as error:
            fit_in_folder(of_tables(), rows(), folder=tmp_path)
        assert str(error.value).startswith(f"{path} cannot be read as a checkpoint: ")
        assert str(error.value).endswith("or use another folder, and the training begins anew.")
        assert path.read_bytes() == content
    path.write_bytes(whole)
    fit_in_folder(of_tables(), rows(), folder=tmp_path)


def test_a_model_file_is_no_checkpoint(tmp_path):
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    os.replace(tmp_path / "model.safetensors", tmp_path / "checkpoint.safetensors")
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        fit_in_folder(of_tables(), rows(), folder=tmp_path)


@pytest.mark.parametrize(
    "model",
    [{"dict": []}, {"dict": [["detector", 1]]}, [], None, {"tensor": "x"}, {"list": 3, "x": 4}],
    ids=str,
)
def test_an_intact_file_of_something_else_is_no_checkpoint(model, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    write(path, model, {})
    with pytest.raises(ValueError) as error:
        fit_in_folder(of_tables(), rows(), folder=tmp_path)
    assert str(error.value).startswith(f"{path} cannot be read as a checkpoint: ")


def test_a_checkpoint_of_deep_lists_is_no_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    model = []
    for _ in range(900):
        model = [model]
    write(path, model, {})
    content = path.read_bytes()
    n = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + n].replace(b"[]", b"[" * 100_000 + b"]" * 100_000)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + n :])
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        fit_in_folder(of_tables(), rows(), folder=tmp_path)


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    torn = [".history.json.123", "reconstructions/.epoch_0002.png.77"]
    others = [
        ".gitignore",
        "notes.txt",
        ".cache.1",
        ".settings.json.1",
        ".history.json.1.old",
        ".cat.png.2",
        "reconstructions/.history.json.123",
        "reconstructions/.cat.png.2",
        "mine/.history.json.123",
        "mine/.model.safetensors.9",
        "mine/results.json",
    ]
    for folder in ("reconstructions", "mine"):
        (tmp_path / folder).mkdir()
    for name in torn + others:
        (tmp_path / name).write_text("half")
    fit_in_folder(of_tables(), rows(), folder=tmp_path)
    assert not any((tmp_path / name).exists() for name in torn)
    assert all((tmp_path / name).read_text() == "half" for name in others)


@pytest.mark.parametrize("name", [name for name in FILES if name != "checkpoint.safetensors"])
def test_no_file_is_overwritten_that_no_fit_has_written(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError) as error:
        fit_in_folder(of_tables(), rows(), folder=tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds {name}, which a fit would overwrite, but no checkpoint.safetensors that "
        "it could go on with: use another folder."
    )
    assert contents(tmp_path) == {tmp_path / name: b"mine"}


def test_what_a_kill_left_out_beside_the_checkpoint_is_written_when_the_fit_goes_on(
    dies_after, tmp_path
):
    dies_after(1)
    with pytest.raises(Killed):
        fit_in_folder(of_tables(lr=1e-3), rows(), folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]
    dies_after(1)
    with pytest.raises(Killed):
        fit_in_folder(of_tables(lr=1e-3), rows(), folder=tmp_path)
    assert len(json.loads((tmp_path / "history.json").read_text())) == 1
    with safe_open(tmp_path / "best.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["about"])["epoch"] == 1
