"""A trained net built anew around its autoencoder."""

from skvae.training._net import OPTIMIZERS, AutoencoderNet


def restored_net(autoencoder, *, optimizer, **settings):
    """Net whose training is over; its history is empty.

    Parameters
    ----------
    autoencoder : Autoencoder
    optimizer : str or torch optimizer class
    **settings
        ``lr``, ``batch_size`` and ``device`` of the training.

    Returns
    -------
    net : AutoencoderNet
    """
    options = {}
    if isinstance(optimizer, str):
        optimizer, options = OPTIMIZERS[optimizer]
    settings |= {f"optimizer__{name}": value for name, value in options.items()}
    net = AutoencoderNet(
        autoencoder, n_steps=0, show_bar=False, optimizer=optimizer, verbose=0, **settings
    )
    net.initialize()
    net.steps_left, net.errors_, net.epoch_losses_ = 0, {}, []
    return net
