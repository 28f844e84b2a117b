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
        "history": list(net.history),
        "losses": list(net.epoch_losses_),
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
    net.history.extend(state["history"])
    net.epoch_losses_.extend(losses.to(net.device) for losses in state["losses"])
    for own, callback in net.callbacks_:
        for name, value in state["callbacks"].get(own, {}).items():
            current = getattr(callback, name, None)
            if hasattr(current, "load_state_dict"):
                current.load_state_dict(value)
            else:
                setattr(callback, name, value)


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
