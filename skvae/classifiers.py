"""CNNClassifier: a small convolutional network as a scikit-learn classifier."""

import math
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PrintLog
from torch import nn
from tqdm.auto import tqdm

from skvae.base._images import as_floats, check_image_shape, validate_images
from skvae.base._input import holds_sizes, one_thread, resolve_device, sizes, unchanged_if_it_fails
from skvae.networks import ACTIVATIONS, ConvEncoder
from skvae.networks.conv import smallest_side
from skvae.scores import block_size, padded
from skvae.training import OPTIMIZERS, lr_factor

__all__ = ["CNNClassifier"]


class _Batches:
    """Each time it is iterated an epoch of batches in a new order, until the steps are used up."""

    def __init__(self, net, X, y):
        self.net, self.X, self.y = net, X, y

    def __iter__(self):
        net = self.net
        order = torch.randperm(len(self.X), generator=net.generator)
        for rows in order[: net.steps_left * net.batch_size].split(net.batch_size):
            for group in net.optimizer_.param_groups:
                group["lr"] = net.lr * lr_factor(net.n_steps - net.steps_left, net.n_steps)
            yield self.X[rows].to(net.device), self.y[rows].to(net.device)
            net.steps_left -= 1
            net.bar.update()


class _ClassifierNet(NeuralNet):
    """skorch's net on images that are one tensor: no DataLoader, a record an epoch."""

    def __init__(self, module, *, generator, n_steps, show_bar, **kwargs):
        super().__init__(module, criterion=nn.CrossEntropyLoss, train_split=None, **kwargs)
        self.generator = generator
        self.n_steps = n_steps
        self.show_bar = show_bar

    @property
    def _default_callbacks(self):
        return [("epoch_timer", EpochTimer())]

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        self.steps_left = self.n_steps
        self.bar = tqdm(total=self.n_steps, desc="fit", unit="step", disable=not self.show_bar)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        super().on_train_end(net, X, y, **kwargs)
        self.bar.close()
        self.bar = None
        self.optimizer_.zero_grad()  # gradients would double the size of a pickle

    def get_iterator(self, dataset, training=False):
        return _Batches(self, dataset.X, dataset.y)

    def infer(self, x, **fit_params):
        return self.module_(as_floats(x))[0]

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if not training:
            return
        sizes = np.array(self.history[-1, "batches", :, "train_batch_size"])
        loss = float(sizes @ self.history[-1, "batches", :, "train_loss"] / sizes.sum())
        if not math.isfinite(loss):
            epoch = self.history[-1, "epoch"]
            raise FloatingPointError(
                f"The loss became {loss} in epoch {epoch}. Lower lr (now {self.lr})."
            )
        self.history.record("train_loss", loss)
        del self.history[-1]["batches"][:-1]


class CNNClassifier(ClassifierMixin, BaseEstimator):
    """A small convolutional network that names the class of an image.

    Convolutions of stride 2, a fully connected layer and a softmax, trained by cross-entropy for
    a fixed number of batches.

    Parameters
    ----------
    image_shape : tuple, default=None
        (height, width), (channels, height, width) or (height, width, channels): what a row of X
        holds. Not needed where X is an array of images. Rows without it are a table of any
        numbers, whose columns are scaled to [0, 1] and filled up to a square.
    channels : int or sequence of int, default=(32, 64)
        Output channels of each convolution. Each halves the sides of the image.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Widths of the fully connected layers between the convolutions and the classes.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", \
            "identity"}, default="relu"
        Of the hidden layers.
    norm : {"batch", "group"} or None, default="batch"
        Normalisation after each convolution.
    max_steps : int or None, default=2000
        Number of batches after which training ends, whatever the number of images.
    max_epochs : int or None, default=None
        Passes through the images after which training ends, if that comes first.
    batch_size : int, default=64
        Images of a step.
    lr : float, default=0.003
        Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine.
    optimizer : {"adam", "adamw", "sgd"} or torch optimizer class, default="adam"
        What makes a step of a gradient.
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    random_state : int, RandomState instance or None, default=None
        With an int the same data give the same bits on one machine's CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line an epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    history_ : DataFrame
        A row an epoch: epoch, loss in nats an image, and duration in seconds.
    n_steps_ : int
        Number of batches trained on.
    net_ : skorch.NeuralNet
        Its ``module_`` is the network.
    device_ : torch.device
        Where the network is.
    n_features_in_ : int
        Numbers an image holds.
    feature_names_in_ : ndarray of str
        Only for rows with column names that are strings.

    See Also
    --------
    ScreenThenClassify : A detector screens, and this names what it flags.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import CNNClassifier
    >>> digits = load_digits()
    >>> X, y = digits.images / 16, digits.target
    >>> classifier = CNNClassifier(max_steps=200, random_state=0).fit(X[:1400], y[:1400])
    >>> classifier.score(X[1400:], y[1400:]) > 0.9
    True
    """

    _parameter_constraints: dict = {
        "image_shape": ["array-like", None],
        "channels": ["array-like", Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "norm": [StrOptions({"batch", "group"}), None],
        "max_steps": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        image_shape=None,
        channels=(32, 64),
        hidden_layer_sizes=(128,),
        activation="relu",
        norm="batch",
        max_steps=2000,
        max_epochs=None,
        batch_size=64,
        lr=3e-3,
        optimizer="adam",
        device="cpu",
        random_state=None,
        verbose=0,
    ):
        self.image_shape = image_shape
        self.channels = channels
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.norm = norm
        self.max_steps = max_steps
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y):
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
            Images: uint8, which are divided by 255, or floats in [0, 1].
        y : array-like of shape (n,)
            Labels of any kind.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For images or labels that cannot be trained on, naming what was found.
        FloatingPointError
            If the loss stops being finite.
        """
        with unchanged_if_it_fails(self), one_thread:  # by whose number sums are rounded
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        self._check_parameters_agree()
        images, self._layout, y = validate_images(
            self, X, y, self.image_shape, smallest_side=smallest_side(sizes(self.channels))
        )
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self._built = self._architecture(images.shape[1:], len(self.classes_))
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        self.device_ = resolve_device(self.device)
        self.net_ = self._train(images, torch.as_tensor(labels), seed)
        self.n_steps_ = self.net_.n_steps - self.net_.steps_left
        rows = [
            {"epoch": row["epoch"], "loss": row["train_loss"], "duration": row["dur"]}
            for row in self.net_.history
        ]
        self.history_ = pd.DataFrame(rows)

    def _check_parameters_agree(self):
        if self.max_steps is None and self.max_epochs is None:
            raise ValueError("max_steps and max_epochs are both None: training would never end.")
        check_image_shape(self.image_shape)
        for name in ("channels", "hidden_layer_sizes"):
            value = getattr(self, name)
            if not holds_sizes(value) or (name == "channels" and not sizes(value)):
                raise ValueError(f"{name}={value!r} must hold integers of at least 1.")

    def _architecture(self, image_shape, n_classes):
        """What the network is built by."""
        return {
            "image_shape": tuple(image_shape),
            "out_features": n_classes,
            "channels": sizes(self.channels),
            "hidden_layer_sizes": sizes(self.hidden_layer_sizes),
            "activation": self.activation,
            "norm": self.norm,
        }

    def _train(self, images, labels, seed):
        generator = torch.Generator().manual_seed(seed)
        module = ConvEncoder(**self._built, generator=generator)
        steps_per_epoch = math.ceil(len(images) / self.batch_size)
        n_steps = min(self.max_steps or math.inf, (self.max_epochs or math.inf) * steps_per_epoch)
        n_epochs = math.ceil(n_steps / steps_per_epoch)
        net = self._make_net(module, n_steps, max_epochs=n_epochs, generator=generator)
        net.fit(images, labels)
        if net.steps_left:  # skorch takes an interrupt for the end of training
            raise KeyboardInterrupt
        return net

    def _make_net(self, module, n_steps, max_epochs=1, generator=None):
        optimizer, options = self.optimizer, {}
        if isinstance(optimizer, str):
            optimizer, options = OPTIMIZERS[optimizer]
        return _ClassifierNet(
            module,
            generator=generator,
            n_steps=n_steps,
            show_bar=self.verbose == 1,
            batch_size=self.batch_size,
            max_epochs=max_epochs,
            lr=self.lr,
            optimizer=optimizer,
            callbacks=[PrintLog()] if self.verbose >= 2 else [],
            device=self.device_,
            verbose=int(self.verbose >= 2),
            **{f"optimizer__{name}": value for name, value in options.items()},
        )

    def predict_proba(self, X):
        """Probability of each class.

        Parameters
        ----------
        X : array-like of images
            Of the shape seen in ``fit``, in any layout.

        Returns
        -------
        probabilities : ndarray of float64 of shape (n, n_classes)
            In the order of ``classes_``.

        Raises
        ------
        ValueError
            If ``X`` does not hold images of that shape.
        """
        check_is_fitted(self)
        images, _ = validate_images(self, X, layout=self._layout)
        module = self.net_.module_.eval()
        parts = []
        with torch.inference_mode():
            size = block_size(images.shape[1:])
            for part in images.split(size):
                x = padded(as_floats(part.to(self.device_)), size)
                parts.append(module(x)[0, : len(part)].double().softmax(1))
        return torch.cat(parts).cpu().numpy()

    def predict(self, X):
        """Most probable class of each image.

        Parameters
        ----------
        X : array-like of images
            Of the shape seen in ``fit``, in any layout.

        Returns
        -------
        y : ndarray of shape (n,)
            Labels among ``classes_``.

        Raises
        ------
        ValueError
            If ``X`` does not hold images of that shape.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]
