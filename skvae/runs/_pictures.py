"""Pictures of a training, drawn while it runs."""

import io

import torch

from skvae._files import replacing
from skvae.networks import as_floats
from skvae.plotting import ReconstructionDisplay, TrainingHistoryDisplay


def draw_history(path, history, name):
    """Draw the losses of the epochs so far."""
    figure = _new_figure(figsize=(7, 4.5))
    TrainingHistoryDisplay(history=history, name=name).plot(ax=figure.subplots())
    _write(path, figure)


def draw_reconstructions(path, net, images, layout, name):
    """Draw images above what the network, the mean over the members, makes of them."""
    module = net.module_
    was_training = module.training
    x = as_floats(images.to(net.device))
    with torch.inference_mode():
        output, _ = module.eval()(x)
    module.train(was_training)
    originals, reconstructions = (
        layout.arrange(each.cpu().numpy()) for each in (x, output.x_hat.mean(0))
    )
    display = ReconstructionDisplay(
        images=originals,
        reconstructions=reconstructions,
        image_shape=layout.inner_shape if layout.is_flat else None,
        name=name,
    )
    figure = _new_figure(figsize=(len(images) + 1.5, 2.6))
    display.plot(ax=figure.subplots())
    _write(path, figure)


def _new_figure(figsize):
    """A figure that no window, backend or global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, layout="constrained")


def _write(path, figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, bbox_inches="tight")
    with replacing(path) as file:
        file.write(buffer.getvalue())
