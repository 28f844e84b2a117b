"""Pictures of a training, drawn while it runs."""

import torch

from skvae._files import write_bytes
from skvae.networks import as_floats
from skvae.plotting import ReconstructionDisplay, TrainingHistoryDisplay
from skvae.plotting._common import as_png, unseen_figure

DPI = 100


def draw_history(path, history, name):
    """Draw the losses of the epochs so far."""
    figure = unseen_figure(figsize=(7, 4.5))
    TrainingHistoryDisplay(history=history, name=name).plot(ax=figure.subplots())
    write_bytes(path, as_png(figure, DPI))


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
    figure = unseen_figure(figsize=(len(images) + 1.5, 2.6))
    display.plot(ax=figure.subplots())
    write_bytes(path, as_png(figure, DPI))
