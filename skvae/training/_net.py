"""The skorch net that trains a stack of members."""

import math
from itertools import repeat
from operator import itemgetter

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer, LRScheduler, PrintLog
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from tqdm.auto import tqdm

from skvae.networks import as_floats
from skvae.scores import BLOCK_ROWS, block_size
from skvae.training._autoencoder import Autoencoder, loss_parts, push_loss

# The fused update is one kernel for all parameters: it halves the cost of a small step on a CPU.
OPTIMIZERS = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "sgd": (torch.optim.SGD, {"fused": True, "momentum": 0.9}),
}
# Rows are gathered and noise is drawn for so many batches at once: few calls, little memory.
BATCHES_PER_GATHER = 16
WARM_UP_STEPS = 20
# Labelled anomalies that are drawn beside each batch, as a share of it.
PUSHED_SHARE = 0.25
FINAL_LR_FRACTION = 0.01


class AutoencoderNet(NeuralNet):
    """skorch's NeuralNet with an epoch loop for rows that are already a tensor.

    Rows are gathered and cut into views instead of passing a DataLoader, and the history holds one
    record an epoch: means over the members. Rows that are no tensor have a method ``read_ahead``,
    and are read batch by batch. Callbacks of epochs work as ever; where a callback listens to
    batches or gradients, skorch's own loop runs instead, with equal result; its batches are
    ``({"x": (n_members, batch_size, n_features), "noise": ...}, None)``. Where members have labels,
    some labelled anomalies stand behind the rows of each batch, and in place of None there may be a
    mask of the rows that are known to be normal.
    """

    def __init__(self, module, *, n_steps, show_bar, **kwargs):
        super().__init__(module, criterion=nn.Identity, train_split=None, **kwargs)
        self.n_steps = n_steps
        self.show_bar = show_bar

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    def fit_members(self, members):
        """Train on the members' own rows; ``errors_`` says whose loss stopped being finite."""
        distinct = {id(member.rows): member.rows for member in members}
        starts, start = {}, 0
        for key, rows in distinct.items():
            starts[key], start = start, start + len(rows)
        self._starts = [starts[id(member.rows)] for member in members]
        self._generators = [member.generator for member in members]
        self._use_labels(members)
        self._betas = torch.tensor([[float(member.beta)] for member in members]).to(self.device)
        self._trims = tuple(member.trim for member in members)
        self.errors_, self.epoch_losses_ = {}, []
        rows = list(distinct.values())
        rows = rows[0] if len(rows) == 1 else torch.cat(rows)
        self.fit(rows, None)
        if not self.is_over_:
            raise KeyboardInterrupt  # which skorch takes for the end of training, whoever raised it
        self._check_last_step(rows)
        self._starts = self._generators = self._labels = self._pools = None
        return self

    def _use_labels(self, members):
        """Which rows an epoch passes, and which are drawn beside its batches."""
        self._labels = [
            torch.zeros(len(each.rows)) if each.labels is None else each.labels for each in members
        ]
        self._has_known = any((labels == 1).any() for labels in self._labels)
        self._n_rows = members[0].n_learned
        self._n_pushed, self._pools = 0, None
        if self._n_rows == len(members[0].rows):
            return
        self._n_pushed = math.ceil(PUSHED_SHARE * self.batch_size)
        self._pools = [
            [torch.nonzero(mask)[:, 0] for mask in (labels != -1, labels == -1)]
            for labels in self._labels
        ]
        weights = torch.tensor([float(each.anomaly_weight) for each in members])
        self._push_weights = weights.to(self.device)

    def split(self, ensembles, settings):
        """A net for each ensemble of members, with their own networks; or the error of one."""
        autoencoders = [member.autoencoder for ensemble in ensembles for member in ensemble]
        self.module_.give_weights(autoencoders)
        nets, start = [], 0
        for ensemble in ensembles:
            own = slice(start, start + len(ensemble))
            start = own.stop
            errors = [error for i, error in self.errors_.items() if own.start <= i < own.stop]
            nets.append(errors[0] if errors else self._part(autoencoders, own, settings))
        return nets

    def _part(self, autoencoders, own, settings):
        net = AutoencoderNet(Autoencoder.stack(autoencoders[own]), **settings).initialize()
        net._betas, net._trims = self._betas[own], self._trims[own]
        net.steps_left, net.errors_, net.epoch_losses_ = 0, {}, []
        share = net.module_.network.n_members / len(autoencoders)
        for epoch, losses in zip(self.history, self.epoch_losses_, strict=True):
            net.history.new_epoch()
            net.history.record("epoch", epoch["epoch"])
            net.history.record("dur", epoch["dur"] * share)
            net._record_epoch(losses[:, own])
        return net

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train the epochs that are left: all, unless the history holds some already.

        A callback ends a training early by a KeyboardInterrupt after an epoch, when all but the
        other callbacks are done with it; ``is_over_`` tells it from the user's.
        """
        self.is_over_ = False
        super().fit_loop(X, y, self.max_epochs - len(self.history), **kwargs)
        self.is_over_ = True
        return self

    def on_epoch_begin(self, net, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        self.is_over_ = False

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        self.is_over_ = True

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        callbacks = [callback for _, callback in self.callbacks_]
        self._listens_to_batches = any(map(_listens_to_batches, callbacks))
        self.steps_left = self.n_steps
        self._sets_lr = not any(isinstance(callback, LRScheduler) for callback in callbacks)
        n_members = len(self._generators)
        what = "fit" if n_members == 1 else f"fit of {n_members}"
        self._bar = tqdm(total=self.n_steps, desc=what, unit="step", disable=not self.show_bar)

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
            rows = torch.arange(len(iterator))[None]
            self._record_loss("valid_loss", self._losses_at_mean(iterator, rows))

    def _run_training_epoch(self, iterator, step_fn, **fit_params):
        self._parts, self._sizes = [], []
        if self._listens_to_batches:
            batches = self._batches(iterator)
            super().run_single_epoch(batches, True, "train", step_fn, **fit_params)
            del self.history[-1]["batches"][:-1]
        else:
            parameters = list(self.module_.parameters())
            for batch, known in self._batches(iterator):
                for parameter in parameters:  # optimizer.zero_grad() takes ten times as long
                    parameter.grad = None
                self.get_loss(self.module_(**batch), known, batch, training=True).backward()
                self.optimizer_.step()
            self.history.new_batch()  # skorch's checkpoints look for one
        sizes = torch.tensor(self._sizes, device=self.device, dtype=torch.float32)
        losses = torch.tensordot(sizes / sizes.sum(), torch.stack(self._parts), 1)
        self.epoch_losses_.append(losses)
        self._record_epoch(losses)

    def _record_epoch(self, losses):
        """Record reconstruction, penalty and other parts of the members, one a row."""
        reconstruction, penalty, *parts = losses
        network = self.module_.network
        self._record_loss("train_loss", reconstruction + self._betas[:, 0] * penalty)
        self.history.record("reconstruction", _mean_of_finite(reconstruction))
        if network.penalty_name is not None:
            self.history.record(network.penalty_name, _mean_of_finite(penalty))
        for name, part in zip(network.part_names, parts, strict=True):
            self.history.record(name, _mean_of_finite(part))

    def _batches(self, X):
        """Batches of freshly permuted rows, each member's from its own rows and generator."""
        n_used = min(self._n_rows, self.steps_left * self.batch_size)
        own = [self._order(i, n_used) for i in range(len(self._generators))]
        order = torch.stack([start + rows for start, rows in zip(self._starts, own, strict=True)])
        columns = {"x": self._row_batches(X, order), "noise": self._noise_batches(order, X.device)}
        if not self.module_.network.noise_dims:
            del columns["noise"]
        for known, *values in zip(self._known_batches(own), *columns.values(), strict=True):
            if self._sets_lr:
                factor = lr_factor(self.n_steps - self.steps_left, self.n_steps)
                for group in self.optimizer_.param_groups:
                    group["lr"] = self.lr * factor
            batch = dict(zip(columns, values, strict=True))
            # Images are kept as they are, uint8 in most cases, until they are a batch.
            batch["x"] = as_floats(batch["x"])
            yield batch, known
            self.steps_left -= 1
            self._bar.update()

    @property
    def _width(self):
        """Rows of a batch, with the labelled anomalies behind them."""
        return self.batch_size + self._n_pushed

    def _order(self, i, n_used):
        """The rows of a member's epoch by their indices; behind those of each batch anomalies."""
        generator = self._generators[i]
        order = torch.randperm(self._n_rows, generator=generator)[:n_used]
        if self._pools is None:
            return order
        others, anomalies = self._pools[i]
        batches = others[order].split(self.batch_size)
        shape = len(batches), self._n_pushed
        drawn = anomalies[torch.randint(len(anomalies), shape, generator=generator)]
        return torch.cat([torch.cat(pair) for pair in zip(batches, drawn, strict=True)])

    def _known_batches(self, orders):
        """Of each batch the mask of rows that are known to be normal; None where there are none."""
        if not self._has_known:
            return repeat(None, math.ceil(len(orders[0]) / self._width))
        pairs = zip(self._labels, orders, strict=True)
        known = torch.stack([labels[order] == 1 for labels, order in pairs]).to(self.device)
        batches = known.split(self._width, dim=1)
        return [batch[:, : batch.shape[1] - self._n_pushed] for batch in batches]

    def _row_batches(self, X, order):
        """Rows of each batch, of shape (n_members, batch_size, ...)."""
        if torch.is_tensor(X):
            for part in order.split(self._width * BATCHES_PER_GATHER, dim=1):
                yield from _gathered(X, part).split(self._width, dim=1)
        else:
            parts = order.split(self._width, dim=1)
            batches = X.read_ahead(part.flatten() for part in parts)
            for part, rows in zip(parts, batches, strict=True):
                yield rows.unflatten(0, part.shape)

    def _noise_batches(self, order, device):
        for part in order.split(self._width * BATCHES_PER_GATHER, dim=1):
            yield from self._noise(part.shape[1], device).split(self._width, dim=1)

    def _noise(self, n_rows, device):
        """Normal draws for each row of a member; 0 in columns that only pad it."""
        network = self.module_.network
        noise = torch.zeros(network.n_members, n_rows, network.noise_width)
        for own, dim, generator in zip(noise, network.noise_dims, self._generators, strict=True):
            own[:, :dim] = torch.randn(n_rows, dim, generator=generator)
        return noise.to(device)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        (output, error), pushed = self._without_pushed(*y_pred)
        reconstruction, kl = loss_parts(output, error, self._betas, self._trims, y_true)
        if training:
            parts = [reconstruction, torch.zeros_like(reconstruction) if kl is None else kl]
            parts += [part.mean(1) for part in output.parts.values()]
            self._parts.append(torch.stack(parts).detach())
            self._sizes.append(error.shape[1])
        # A sum over members: none has a gradient of another's.
        loss = reconstruction if kl is None else reconstruction + self._betas[:, 0] * kl
        if pushed is not None:
            push = push_loss(*pushed, self._betas, loss.detach())
            loss = loss + self._push_weights * push
        return loss.sum()

    def _without_pushed(self, output, error):
        """What the module made of the rows of a batch, and of the anomalies behind them."""
        if not self._n_pushed:
            return (output, error), None
        n_rows = error.shape[1] - self._n_pushed
        before = itemgetter((slice(None), slice(n_rows)))
        behind = itemgetter((slice(None), slice(n_rows, None)))
        return (output.map(before), before(error)), (output.map(behind), behind(error))

    @torch.inference_mode()
    def _losses_at_mean(self, X, rows):
        """Loss at the posterior mean, one a member, of rows of X by indices (n_members or 1, n)."""
        total = 0
        for part in rows.split(block_size(X.shape[1:], BLOCK_ROWS), dim=1):
            x = as_floats(_gathered(X, part).to(self.device))
            reconstruction, kl = loss_parts(*self.module_(x), self._betas, self._trims)
            loss = reconstruction if kl is None else reconstruction + self._betas[:, 0] * kl
            total = total + loss * part.shape[1]
        return total / rows.shape[1]

    def _check_last_step(self, X):
        """The last step comes after the last loss that was recorded: look at one batch again."""
        rows = torch.arange(min(self._n_rows, self.batch_size))
        rows = torch.tensor(self._starts)[:, None] + rows
        self._set_training(False)  # a look must not move the statistics of a normalisation
        self._check_finite(self._losses_at_mean(X, rows))

    def _record_loss(self, name, losses):
        self._check_finite(losses)
        value = _mean_of_finite(losses)
        before = self.history[:-1]
        best = min((row[name] for row in before), default=math.inf)
        self.history.record(name, value)
        self.history.record(f"{name}_best", value < best)

    def _check_finite(self, losses):
        for i in torch.nonzero(~torch.isfinite(losses)).flatten().tolist():
            error = _not_finite(losses[i].item(), self.history[-1, "epoch"], self.lr)
            self.errors_.setdefault(i, error)
        if len(self.errors_) == len(losses):
            raise self.errors_[0]


def _gathered(X, rows):
    """Rows of X by indices of shape (n_members, n)."""
    return X.index_select(0, rows.flatten().to(X.device)).unflatten(0, rows.shape)


class _EarlyStopping(EarlyStopping):
    """skorch's, which copies weights, in a time that an interrupt of the user may fall into."""

    def on_epoch_end(self, net, **kwargs):
        net.is_over_ = False
        try:
            super().on_epoch_end(net, **kwargs)
        except KeyboardInterrupt:
            net.is_over_ = self.misses_ == self.patience
            raise
        net.is_over_ = True


def _mean_of_finite(values):
    return values[torch.isfinite(values)].mean().item()


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


def fit_autoencoders(
    ensembles,
    *,
    X_valid=None,
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
    """Train all members of all ensembles as one stack; return a skorch net for each ensemble.

    Each member is trained as it would be alone: rows, order, noise, initial weights and loss are
    its own, and the optimiser works weight by weight. So the results differ by rounding at most.

    Parameters
    ----------
    ensembles : list of lists of Member
        Members have equally many rows; their networks differ in weights and ``latent_dim`` alone.
    X_valid : tensor of shape (n_samples, ...), float32
        With it and ``patience`` training stops early, by the mean loss over the members, and the
        best weights come back.
    max_steps, max_epochs : int or None
        Training ends with whichever comes first.
    callbacks : list of skorch.callbacks.Callback
        They see the whole stack, so a stack of several ensembles has none.
    verbose : int
        0 silent, 1 a progress bar, 2 a line an epoch.

    Returns
    -------
    nets : list of AutoencoderNet or FloatingPointError
        An error for an ensemble with a member whose loss stopped being finite.
    """
    members = [member for ensemble in ensembles for member in ensemble]
    steps_per_epoch = math.ceil(members[0].n_learned / batch_size)
    n_steps = min(max_steps or math.inf, (max_epochs or math.inf) * steps_per_epoch)
    if isinstance(optimizer, str):
        optimizer, options = OPTIMIZERS[optimizer]
    else:
        options = {}
    settings = {
        "n_steps": n_steps,
        "show_bar": verbose == 1,
        "batch_size": batch_size,
        "max_epochs": math.ceil(n_steps / steps_per_epoch),
        "lr": lr,
        "optimizer": optimizer,
        "device": device,
        "verbose": 0 if verbose < 2 else 1,
        **{f"optimizer__{name}": value for name, value in options.items()},
    }
    own = []
    if X_valid is not None:
        own.append(_EarlyStopping(patience=patience, load_best=True, sink=_silent))
    if verbose >= 2:
        own.append(PrintLog())
    stack = Autoencoder.stack([member.autoencoder for member in members])
    net = AutoencoderNet(stack, callbacks=[*own, *(callbacks or [])], **settings)
    if X_valid is not None:
        net.train_split = predefined_split(Dataset(X_valid))
    try:
        net.fit_members(members)
    except FloatingPointError:  # of all members
        return [net.errors_[0]] * len(ensembles)
    if len(ensembles) == 1:
        return [net.errors_[min(net.errors_)] if net.errors_ else net]
    return net.split(ensembles, settings)


def _not_finite(loss, epoch, lr):
    return FloatingPointError(
        f"The loss became {loss} in epoch {epoch}. Lower lr (now {lr}), or scale the data: "
        "scaler='standard' brings every column to unit variance."
    )


def _silent(*args):
    pass
