import math
import re

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
)

from skvae import AEDetector, VAEDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import MLPAutoencoder
from skvae.training import Autoencoder, Member, fit_autoencoders


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(0)
    return rng.normal(size=(100, 2)) @ rng.normal(size=(2, 6)) + 0.1 * rng.normal(size=(100, 6))


def detector(cls=VAEDetector, **params):
    params = {"batch_size": 32, "max_steps": 20, "score": "reconstruction", **params}
    return cls(hidden_layer_sizes=(8,), latent_dim=2, random_state=0, **params)


def state(det_or_net):
    net = getattr(det_or_net, "net_", det_or_net)
    return {name: value.clone() for name, value in net.module_.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def autoencoder(generator):
    network = MLPAutoencoder(6, 2, (8,), generator=generator)
    return Autoencoder(network, LIKELIHOODS["gaussian"](6))


class Recorder(Callback):
    """Listens to everything; ``hooks`` counts the calls."""

    def __init__(self):
        self.hooks, self.lr, self.weights = {}, [], []

    def _count(self, hook):
        self.hooks[hook] = self.hooks.get(hook, 0) + 1

    def on_train_end(self, net, **kwargs):
        self._count("train_end")

    def on_epoch_end(self, net, **kwargs):
        self._count("epoch_end")
        self.weights.append(state(net))

    def on_batch_end(self, net, batch, training, **kwargs):
        assert training
        self._count(f"batch_end of {batch[0]['x'].shape[1]}")
        self.lr.append(net.optimizer_.param_groups[0]["lr"])

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self._count("grad_computed")
        assert all(parameter.grad is not None for _, parameter in named_parameters)


def recorder_of(det):
    """The detector's callbacks are used as they are, not copied."""
    return det.callbacks[0]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cls": AEDetector, "contamination": 0},
        {"batch_size": 33, "max_steps": 11},  # a last batch of one row, and a last epoch cut short
        {"early_stopping": True, "max_epochs": 4},
        {"optimizer": "adamw"},
        {"optimizer": "sgd", "lr": 1e-3},
        {"optimizer": torch.optim.RMSprop},
    ],
    ids=str,
)
def test_both_loops_end_in_the_same_bits(X, params):
    class Nothing(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    own, skorchs = detector(**params).fit(X), detector(callbacks=[Nothing()], **params).fit(X)
    assert (own.net_._listens_to_batches, skorchs.net_._listens_to_batches) == (False, True)
    assert same(state(own), state(skorchs))
    assert own.n_steps_ == skorchs.n_steps_
    columns = own.history_.columns.drop("duration")
    assert own.history_[columns].equals(skorchs.history_[columns])


def test_the_loop_is_that_of_plain_torch(X):
    """Adam, a fresh order each epoch, one draw of noise a row, warm-up and cosine: no more."""
    x = torch.as_tensor(X, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    module = autoencoder(generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01, fused=True)
    for step in range(8):
        if step % 4 == 0:
            order = torch.randperm(100, generator=generator)
            noise = torch.zeros(1, 100, 16)
            noise[0, :, :2] = torch.randn(100, 2, generator=generator)
        rows = slice(step % 4 * 32, step % 4 * 32 + 32)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / 8))
        optimizer.param_groups[0]["lr"] = 0.01 * cosine
        optimizer.zero_grad()
        output, error = module(x[order[rows]], noise[:, rows])
        (error.sum(-1) + 0.5 * output.penalty).mean().backward()
        optimizer.step()
    generator = torch.Generator().manual_seed(0)
    member = Member(autoencoder(generator), x, generator, beta=0.5)
    (net,) = fit_autoencoders([[member]], max_steps=8, batch_size=32, lr=0.01)
    for name, value in state(net).items():
        torch.testing.assert_close(value, module.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "max_steps, max_epochs, n_steps, n_epochs",
    [(10, None, 10, 3), (None, 2, 8, 2), (10, 2, 8, 2), (3, 5, 3, 1), (1, 1, 1, 1)],
)
def test_steps_or_epochs_whichever_ends_first(X, max_steps, max_epochs, n_steps, n_epochs):
    det = detector(max_steps=max_steps, max_epochs=max_epochs, callbacks=[Recorder()]).fit(X)
    assert det.n_steps_ == n_steps == recorder_of(det).hooks["grad_computed"]
    assert det.history_["epoch"].tolist() == list(range(1, n_epochs + 1))


def test_training_needs_an_end(X):
    with pytest.raises(ValueError, match="max_steps and max_epochs are both None"):
        detector(max_steps=None).fit(X)


def test_learning_rate_warms_up_and_falls_as_a_cosine(X):
    lr = recorder_of(detector(max_steps=100, lr=0.01, callbacks=[Recorder()]).fit(X)).lr
    warm_up = [0.01 * (step + 1) / 11 for step in range(10)]  # a tenth of the steps, 20 at most
    cosine = [0.5 * (1 + math.cos(math.pi * step / 90)) for step in range(90)]
    np.testing.assert_allclose(lr, warm_up + [0.01 * (0.01 + 0.99 * c) for c in cosine])
    lr = recorder_of(detector(max_steps=400, lr=0.01, callbacks=[Recorder()]).fit(X)).lr
    np.testing.assert_allclose(lr[:21], [0.01 * min(1, (step + 1) / 21) for step in range(21)])
    assert max(lr) == 0.01 and lr[-1] == pytest.approx(1e-4, rel=0.01)


def test_every_kind_of_hook_is_called(X):
    det = detector(max_epochs=2, callbacks=[Recorder()]).fit(X)
    batches = {"grad_computed": 8, "batch_end of 32": 6, "batch_end of 4": 2}
    assert recorder_of(det).hooks == {"train_end": 1, "epoch_end": 2, **batches}


def test_schedule_of_the_user_replaces_ours(X):
    callbacks = [Recorder(), LRScheduler("StepLR", step_size=1, gamma=0.1)]
    det = detector(max_epochs=3, lr=0.01, callbacks=callbacks).fit(X)
    np.testing.assert_allclose(recorder_of(det).lr, [0.01] * 4 + [0.001] * 4 + [0.0001] * 4)


def test_gradients_can_be_clipped(X):
    params = {"optimizer": "sgd", "lr": 0.01}
    start = state(detector(lr=1e-30, max_steps=1).fit(X))
    moved = []
    for callbacks in (None, [GradientNormClipping(1e-6)]):
        end = state(detector(callbacks=callbacks, **params).fit(X))
        moved.append(max((end[name] - start[name]).abs().max().item() for name in start))
    assert moved[0] > 0.01 and moved[1] < 1e-5


def test_callbacks_of_skorch(X):
    log = []
    callbacks = [
        Freezer("network.encoder*"),
        EpochScoring(lambda net, X, y=None: 7.0, name="seven", on_train=True),
        ("named", PrintLog(sink=log.append)),
        EarlyStopping(monitor="seven", patience=2, sink=log.append),
    ]
    det = detector(max_epochs=9, callbacks=callbacks).fit(X)
    assert len(det.history_) < 9 and "seven" in log[0]
    start = state(detector(lr=1e-30, max_steps=1).fit(X))
    frozen = [name for name, value in state(det).items() if torch.equal(value, start[name])]
    assert frozen and all("encoder" in name for name in frozen)


def test_checkpoint_of_skorch(X, tmp_path):
    callbacks = [Checkpoint(monitor="train_loss_best", dirname=tmp_path)]
    det = detector(callbacks=callbacks).fit(X)
    assert (tmp_path / "params.pt").exists()
    assert np.isfinite(det.anomaly_score(X)).all()


@pytest.mark.parametrize("patience, stops", [(2, True), (1000, False)])
def test_early_stopping_restores_the_best_weights(X, patience, stops):
    noise = np.random.default_rng(0).normal(size=(40, 6))  # nothing to learn, so soon overfitted
    det = detector(early_stopping=True, validation_fraction=0.3, patience=patience)
    det.set_params(hidden_layer_sizes=(64,), beta=0.0, lr=0.01, max_steps=150, contamination=0)
    det.set_params(callbacks=[Recorder()]).fit(noise)
    valid_loss = det.history_["valid_loss"].to_numpy()
    best = int(valid_loss.argmin())
    assert best < len(valid_loss) - 1
    assert same(state(det), recorder_of(det).weights[best])
    assert len(valid_loss) == (best + 1 + patience if stops else 150)
    assert det.n_steps_ == len(valid_loss)  # 28 rows are one batch
    assert recorder_of(det).hooks["batch_end of 28"] == len(valid_loss)


EXPLODE = {"lr": 1e30, "optimizer": "sgd", "max_steps": 200}


def test_non_finite_loss_names_the_epoch_and_leaves_nothing(X):
    det = detector(**EXPLODE)
    with pytest.raises(FloatingPointError, match=r"nan in epoch \d.*Lower lr.*1e\+30.*scaler"):
        det.fit(X)
    with pytest.raises(NotFittedError):
        det.predict(X)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("wider", [False, True])
def test_failed_refit_leaves_the_earlier_fit_whole(X, warm_start, wider):
    det = detector(warm_start=warm_start).fit(X)
    before = det.anomaly_score(X)
    with pytest.raises((FloatingPointError, ValueError)):
        det.set_params(**EXPLODE).fit(np.c_[X, X] if wider else X)
    np.testing.assert_array_equal(det.anomaly_score(X), before)


def test_weights_that_explode_in_the_last_step_are_named(X):
    with pytest.raises(FloatingPointError, match="epoch 1"):
        detector(**{**EXPLODE, "max_steps": 1}).fit(X)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end"])
def test_keyboard_interrupt_is_no_error_of_ours(X, hook):
    def interrupt(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt

    det = detector(callbacks=[type("Interrupt", (Callback,), {hook: interrupt})()])
    try:
        det.fit(X)
    except KeyboardInterrupt:
        return
    assert det.history_.notna().all(axis=None)


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_history(X, cls, early_stopping):
    history = detector(cls, early_stopping=early_stopping, max_epochs=3).fit(X).history_
    expected = ["epoch", "loss", "reconstruction"]
    expected += ["kl"] * (cls is VAEDetector) + ["valid_loss"] * early_stopping + ["duration"]
    assert history.columns.tolist() == expected
    assert history["epoch"].tolist() == [1, 2, 3]
    assert (history["duration"] > 0).all()
    penalty = history["kl"] if cls is VAEDetector else 0
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + penalty)


def test_history_is_the_mean_over_all_rows(X):
    det = detector(AEDetector, likelihood="mse", contamination=0, lr=1e-30, max_epochs=1).fit(X)
    assert det.history_["loss"][0] == pytest.approx(det.anomaly_score(X).mean(), rel=1e-5)
    det = detector(beta=3.0, score="elbo", contamination=0, lr=1e-30, max_epochs=1).fit(X)
    kl = det.history_["kl"][0]
    assert det.history_["loss"][0] == pytest.approx(det.history_["reconstruction"][0] + 3 * kl)
    assert kl > 0


def test_loss_falls_and_warm_start_goes_on_from_there(X):
    det = detector(max_steps=200, lr=0.01, warm_start=True).fit(X)
    first = det.history_["loss"]
    assert first.iloc[-1] < first.iloc[0] - 1
    again = det.fit(X).history_["loss"]
    assert again.iloc[0] < first.iloc[0] - 1


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_verbose(X, capsys, verbose):
    det = detector(verbose=verbose, early_stopping=True).fit(X)
    out, err = capsys.readouterr()
    if verbose == 0:
        assert out == err == ""
    if verbose == 1:
        assert out == "" and re.search(r"fit: 100%.*20/20", err)
    if verbose == 2:
        header, _, *lines = out.strip().splitlines()
        assert header.split()[:4] == ["epoch", "kl", "reconstruction", "train_loss"]
        assert len(lines) == len(det.history_)
        last = dict(zip(header.split(), lines[-1].split(), strict=True))
        for column, name in (("loss", "train_loss"), ("reconstruction",) * 2, ("kl", "kl")):
            shown = float(re.sub(r"\x1b\[\d+m", "", last[name]))
            assert shown == pytest.approx(det.history_[column].iloc[-1], abs=1e-4)
