"""All that a training must know between two epochs to go on as if it had never stopped."""

import numpy as np
import torch


def training_state(net):
    """State of a training after an epoch: nested dicts, lists and tuples of tensors and scalars.

    The tensors are the net's own, which the next step changes. Not in it are the parameters of the
    training and the rows, which `resume` must find as they were.
    """
    return {
        "module": dict(net.module_.state_dict()),
        "mode": net.module_.training,
        "trained": [parameter.requires_grad for parameter in net.module_.parameters()],
        "optimizer": net.optimizer_.state_dict(),
        "generators": [generator.get_state() for generator in net._generators],
        "steps_left": net.steps_left,
        "history": _columns(net.history),
        "losses": torch.stack(net.epoch_losses_),
        "callbacks": {name: _fitted_attributes(each) for name, each in net.callbacks_},
    }


def resume(net, state):
    """Put a net that is about to train into a state that `training_state` returned."""
    net.module_.load_state_dict(state["module"])
    net.module_.train(state["mode"])
    for parameter, is_trained in zip(net.module_.parameters(), state["trained"], strict=True):
        parameter.requires_grad_(is_trained)
    net.optimizer_.load_state_dict(state["optimizer"])
    for generator, own in zip(net._generators, state["generators"], strict=True):
        generator.set_state(own)
    net._bar.update(net.steps_left - state["steps_left"])
    net.steps_left = state["steps_left"]
    net.history.extend(_rows(state["history"]))
    net.epoch_losses_.extend(state["losses"].to(net.device))
    for own, callback in net.callbacks_:
        for name, value in state["callbacks"].get(own, {}).items():
            current = getattr(callback, name, None)
            if hasattr(current, "load_state_dict"):
                current.load_state_dict(value)
            else:
                setattr(callback, name, value)


def _columns(history):
    """A history by columns, which take little room in a file however many epochs it has.

    A column is its values and the numbers of the rows that have one. What batches recorded is a
    table of its own, of the batches of all epochs.
    """
    epochs = [{name: row[name] for name in row if name != "batches"} for row in history]
    batches = [batch for row in history for batch in row["batches"]]
    n_batches = [len(row["batches"]) for row in history]
    return {"epochs": _table(epochs), "batches": _table(batches), "n_batches": n_batches}


def _table(rows):
    table = {}
    for i, row in enumerate(rows):
        for name, value in row.items():
            numbers, values = table.setdefault(name, ([], []))
            numbers.append(i)
            values.append(value)
    return table


def _rows(columns):
    batches = [{} for _ in range(sum(columns["n_batches"]))]
    _fill(batches, columns["batches"])
    left = iter(batches)
    history = [{"batches": [next(left) for _ in range(n)]} for n in columns["n_batches"]]
    _fill(history, columns["epochs"])
    return history


def _fill(rows, table):
    for name, (numbers, values) in table.items():
        for i, value in zip(numbers, values, strict=True):
            rows[i][name] = value


def _fitted_attributes(callback):
    """What a callback has learnt: attributes that end in an underscore and are plain values.

    Of what has a state_dict, such as a scheduler of the learning rate, it is that. The others,
    such as classes, are what ``on_train_begin`` makes of the parameters.
    """
    fitted = {}
    for name, value in vars(callback).items():
        if not name.endswith("_") or isinstance(value, type):
            continue
        if hasattr(value, "state_dict"):
            fitted[name] = value.state_dict()
        elif _is_plain(value):
            fitted[name] = value
    return fitted


def _is_plain(value):
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, np.generic, torch.Tensor))
