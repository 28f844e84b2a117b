"""Training through skorch: the only file that knows it.

`fit_autoencoder` takes rows and settings and returns a trained skorch net whose ``module_`` is an
`Autoencoder` (network and likelihood together). The rest of the package calls that module alone.
"""

import math

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, LRScheduler, PrintLog
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from tqdm.auto import tqdm

# The fused update is one kernel for all parameters: it halves the cost of a small step on a CPU.
OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
}
BATCHES_PER_GATHER = 256
WARM_UP_STEPS = 20
FINAL_LR_FRACTION = 0.01


class Autoencoder(nn.Module):
    """A network and its likelihood: rows in, ``(Output, error map)`` out."""

    def __init__(self, network, likelihood):
        super().__init__()
        self.network = network
        self.likelihood = likelihood

    def forward(self, x, noise=None):
        output = self.network(x, noise)
        return output, self.likelihood(x, output.x_hat)


def loss_parts(output, error, beta, trim=0.0):
    """Reconstruction and KL part of the loss of a batch, each summed over members.

    The error is summed over features and the KL over latents; only samples are averaged. Of each
    batch the share ``trim`` with the largest loss is left out, so it gets no gradient.
    """
    if not trim:
        n_rows = error.shape[1]
        kl = None if output.penalty is None else output.penalty.sum() / n_rows
        return error.sum() / n_rows, kl
    reconstruction, kl = error.sum(-1), output.penalty
    loss = reconstruction.detach() if kl is None else (reconstruction + beta * kl).detach()
    # Rounded first: 50 * (1 - 0.42) is 29.000000000000004 to a computer.
    n_kept = max(1, math.ceil(round(loss.shape[1] * (1 - trim), 9)))
    kept = loss.topk(n_kept, dim=1, largest=False, sorted=False).indices
    reconstruction = reconstruction.gather(1, kept)
    kl = None if kl is None else kl.gather(1, kept)
    return reconstruction.mean(1).sum(), None if kl is None else kl.mean(1).sum()


class AutoencoderNet(NeuralNet):
    """skorch's NeuralNet with an epoch loop for rows that are already a tensor.

    An epoch of rows is gathered and cut into views instead of passing a DataLoader, and the
    history holds one record an epoch. Callbacks of epochs work as ever; where a callback listens
    to batches or gradients, skorch's own loop runs instead, with equal result.
    """

    def __init__(self, module, *, generator, beta, trim, n_steps, show_bar, **kwargs):
        super().__init__(module, criterion=nn.Identity, train_split=None, **kwargs)
        self.generator = generator
        self.beta = beta
        self.trim = trim
        self.n_steps = n_steps
        self.show_bar = show_bar

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        callbacks = [callback for _, callback in self.callbacks_]
        self._listens_to_batches = any(map(_listens_to_batches, callbacks))
        self.steps_left = self.n_steps
        self._sets_lr = not any(isinstance(callback, LRScheduler) for callback in callbacks)
        self._bar = tqdm(total=self.n_steps, desc="fit", unit="step", disable=not self.show_bar)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        super().on_train_end(net, X, y, **kwargs)
        self._bar.close()
        self._bar = self._parts = None
        self.optimizer_.zero_grad()  # gradients would double the size of a pickle

    def get_iterator(self, dataset, training=False):
        return dataset.X.to(self.device)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        self._set_training(training)
        if training:
            self._run_training_epoch(iterator, step_fn, **fit_params)
        else:
            self._record_loss("valid_loss", self._validation_loss(iterator))

    def _run_training_epoch(self, iterator, step_fn, **fit_params):
        self._parts = []
        if self._listens_to_batches:
            pairs = ((x, None) for x in self._batches(iterator))
            super().run_single_epoch(pairs, True, "train", step_fn, **fit_params)
            del self.history[-1]["batches"][:-1]
        else:
            parameters = list(self.module_.parameters())
            for x in self._batches(iterator):
                for parameter in parameters:  # optimizer.zero_grad() takes ten times as long
                    parameter.grad = None
                self.get_loss(self.infer(x), None, x, training=True).backward()
                self.optimizer_.step()
            self.history.new_batch()  # skorch's checkpoints look for one
        n_rows = torch.tensor([n for _, n in self._parts], device=self.device)
        parts = torch.stack([torch.stack(part) for part, _ in self._parts], 1)
        reconstruction, *kl = (parts @ (n_rows / n_rows.sum())).tolist()
        kl = kl[0] if kl else 0.0
        self._record_loss("train_loss", reconstruction + self.beta * kl)
        self.history.record("reconstruction", reconstruction)
        if self.module_.network.variational:
            self.history.record("kl", kl)

    def _batches(self, X):
        """Views of freshly permuted rows, gathered some hundred batches at a time."""
        n_rows = self.steps_left * self.batch_size
        order = torch.randperm(len(X), generator=self.generator)[:n_rows].to(X.device)
        for part in order.split(self.batch_size * BATCHES_PER_GATHER):
            for x in X[part].split(self.batch_size):
                if self._sets_lr:
                    factor = lr_factor(self.n_steps - self.steps_left, self.n_steps)
                    for group in self.optimizer_.param_groups:
                        group["lr"] = self.lr * factor
                yield x
                self.steps_left -= 1
                self._bar.update()

    def infer(self, x, **fit_params):
        network = self.module_.network
        noise = None
        if network.variational and self.module_.training:
            shape = (network.n_members, len(x), network.latent_dim)
            noise = torch.randn(shape, generator=self.generator).to(x.device)
        return self.module_(x, noise)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        reconstruction, kl = loss_parts(*y_pred, self.beta, self.trim)
        parts = [reconstruction] if kl is None else [reconstruction, kl]
        if training:
            self._parts.append(([part.detach() for part in parts], len(X)))
        return reconstruction if kl is None else reconstruction + self.beta * kl

    @torch.inference_mode()
    def _validation_loss(self, X, block=1024):
        """Loss of the held-out rows at the posterior mean, so that epochs can be compared."""
        total = sum(self.get_loss(self.infer(x), None, x).item() * len(x) for x in X.split(block))
        return total / len(X)

    def _record_loss(self, name, value):
        if not math.isfinite(value):
            raise _not_finite(value, self.history[-1, "epoch"], self.lr)
        best = min((row[name] for row in self.history[:-1]), default=math.inf)
        self.history.record(name, value)
        self.history.record(f"{name}_best", value < best)


def _listens_to_batches(callback):
    hooks = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in hooks)


def lr_factor(step, n_steps):
    """Factor of the learning rate: a linear warm-up, then a cosine that ends at 1 %."""
    warm_up = min(WARM_UP_STEPS, n_steps // 10)
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    done = (step - warm_up) / (n_steps - warm_up)
    return FINAL_LR_FRACTION + (1 - FINAL_LR_FRACTION) * 0.5 * (1 + math.cos(math.pi * done))


def fit_autoencoder(
    module,
    X,
    *,
    X_valid=None,
    generator,
    beta=1.0,
    trim=0.0,
    max_steps=600,
    max_epochs=None,
    batch_size=64,
    lr=3e-3,
    optimizer="adam",
    patience=None,
    callbacks=None,
    device="cpu",
    verbose=0,
):
    """Train ``module`` on the rows of ``X`` and return the skorch net that holds it.

    Parameters
    ----------
    module : Autoencoder
    X, X_valid : tensors of shape (n_samples, ...), float32
        With ``X_valid`` and ``patience`` training stops early and the best weights come back.
    generator : torch.Generator
        Of the order of the rows and of the noise.
    trim : float
        Share of each batch, the rows of largest loss, that gets no gradient.
    max_steps, max_epochs : int or None
        Training ends with whichever comes first.
    verbose : int
        0 silent, 1 a progress bar, 2 a line an epoch.

    Raises
    ------
    FloatingPointError
        If the loss stops being finite.
    """
    steps_per_epoch = math.ceil(len(X) / batch_size)
    n_steps = min(max_steps or math.inf, (max_epochs or math.inf) * steps_per_epoch)
    if isinstance(optimizer, str):
        optimizer, options = OPTIMIZERS[optimizer]
    else:
        options = {}
    own = []
    if X_valid is not None:
        own.append(EarlyStopping(patience=patience, load_best=True, sink=_silent))
    if verbose >= 2:
        own.append(PrintLog())
    net = AutoencoderNet(
        module,
        generator=generator,
        beta=beta,
        trim=trim,
        n_steps=n_steps,
        show_bar=verbose == 1,
        batch_size=batch_size,
        max_epochs=math.ceil(n_steps / steps_per_epoch),
        lr=lr,
        optimizer=optimizer,
        callbacks=[*own, *(callbacks or [])],
        device=device,
        verbose=0 if verbose < 2 else 1,
        **{f"optimizer__{name}": value for name, value in options.items()},
    )
    if X_valid is not None:
        net.train_split = predefined_split(Dataset(X_valid))
    net.fit(X, None)
    if not net.history or "dur" not in net.history[-1]:
        # skorch takes any interrupt for the end of training, because its EarlyStopping raises one;
        # but that one comes when an epoch is complete.
        raise KeyboardInterrupt
    # The last step comes after the last loss that was recorded.
    last = net._validation_loss(X[:1024].to(device))
    if not math.isfinite(last):
        raise _not_finite(last, net.history[-1, "epoch"], lr)
    return net


def _not_finite(loss, epoch, lr):
    return FloatingPointError(
        f"The loss became {loss} in epoch {epoch}. Lower lr (now {lr}), or scale the data: "
        "scaler='standard' brings every column to unit variance."
    )


def _silent(*args):
    pass
