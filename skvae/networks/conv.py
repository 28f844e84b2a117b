"""The convolutional autoencoder, plain or variational, and the encoder that classifiers share."""

import math
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from skvae.networks._attention import attention_layers
from skvae.networks._output import Network, Output
from skvae.networks.mlp import ACTIVATIONS, LOG_VAR_RANGE, StackedLinear

# A stride that divides the kernel covers every pixel equally often: no checkerboard.
KERNEL, STRIDE, PADDING = 4, 2, 1
NORMS = (None, "batch", "group")
LARGEST_GROUP_COUNT = 8
# Before an activation weights are uniform in +-sqrt(6 / fan_in), which keeps the variance through
# rectified layers (He et al. 2015, arXiv:1502.01852). With +-1/sqrt(fan_in) the ten layers of an
# autoencoder pass hardly anything on at first, and training lags far behind.
GAIN = math.sqrt(6)
# Nothing else reads what goes into these activations, so they may overwrite it.
IN_PLACE = ACTIVATIONS | {"relu": torch.relu_}


class Steps(NamedTuple):
    """Kernel, stride and padding of convolutions, each (down, across)."""

    kernel: tuple
    stride: tuple
    padding: tuple


OF_IMAGES = Steps((KERNEL, KERNEL), (STRIDE, STRIDE), (PADDING, PADDING))
# A series is an image of one row.
OF_SERIES = Steps((1, KERNEL), (1, STRIDE), (0, PADDING))


def _steps(image_shape):
    return OF_SERIES if image_shape[1] == 1 else OF_IMAGES


def smallest_side(channels):
    """Pixels that a side of an image must have, so that each convolution can halve it."""
    return STRIDE ** len(channels)


def _draw(shape, fan_in, generator, gain=1.0):
    """A parameter uniform in +-gain/sqrt(fan_in)."""
    bound = gain / math.sqrt(fan_in)
    return nn.Parameter((torch.rand(shape, generator=generator) * 2 - 1) * bound)


class HalvingConv(nn.Module):
    """A convolution of kernel 4 and stride 2: a channel of h x w becomes h/2 x w/2."""

    def __init__(self, n_in, n_out, generator, steps=OF_IMAGES):
        super().__init__()
        self.steps = steps
        fan_in = n_in * math.prod(steps.kernel)
        self.weight = _draw((n_out, n_in, *steps.kernel), fan_in, generator, GAIN)
        self.bias = _draw((n_out,), fan_in, generator)

    def forward(self, x):
        return F.conv2d(x, self.weight, self.bias, self.steps.stride, self.steps.padding)


class DoublingConv(nn.Module):
    """A transposed convolution of kernel 4 and stride 2: a channel of h x w becomes 2h x 2w."""

    def __init__(self, n_in, n_out, generator, gain=1.0, steps=OF_IMAGES):
        super().__init__()
        self.steps = steps
        # What reaches one pixel.
        fan_in = n_in * math.prod(steps.kernel) // math.prod(steps.stride)
        self.weight = _draw((n_in, n_out, *steps.kernel), fan_in, generator, gain)
        self.bias = _draw((n_out,), fan_in, generator)

    def forward(self, x):
        kernel, stride, padding = self.steps
        if self.weight.shape[1] > 1:
            return F.conv_transpose2d(x, self.weight, self.bias, stride, padding)
        # The same map as a product and a fold: faster with one output channel, and only then,
        # because a transposed convolution computes that one in a block of many.
        n, n_in, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, n_in) @ self.weight.view(n_in, -1)
        columns = rows.view(n, height * width, -1).transpose(1, 2)
        size = (stride[0] * height, stride[1] * width)
        return F.fold(columns, size, kernel, padding=padding, stride=stride) + self.bias


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes no statistics of a single image.

    A training batch of one image, such as the last of an epoch, is normalised by the running
    statistics, as in scoring, and leaves them as they are.
    """

    def forward(self, x):
        if self.training and len(x) == 1:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def _norm(kind, n_channels):
    if kind == "batch":
        return BatchNorm(n_channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(LARGEST_GROUP_COUNT, n_channels), n_channels)
    if kind is None:
        return nn.Identity()
    raise ValueError(f"norm={kind!r} is none of {NORMS}.")


def _connected(sizes, generator):
    """Fully connected layers, with the gain of layers before an activation."""
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    layers = nn.ModuleList(StackedLinear(a, b, generator) for a, b in pairs)
    with torch.no_grad():
        for layer in layers:
            layer.weight.mul_(GAIN)
    return layers


def _padded_shape(image_shape, channels):
    """Channels, and sides rounded up to what can be halved once a convolution.

    The height of a series stays 1, and its length may be less than the smallest side.
    """
    n_channels, *sides = image_shape
    smallest = smallest_side(channels)
    if sides[0] == 1:
        return n_channels, 1, smallest * math.ceil(sides[1] / smallest)
    if min(sides) < smallest:
        raise ValueError(
            f"Images of {sides[0]} x {sides[1]} are too small for channels={tuple(channels)}: each "
            f"of the {len(channels)} convolutions halves the sides, so {smallest} x {smallest} is "
            "the smallest size. Use fewer channels, or enlarge the images."
        )
    return n_channels, *(smallest * math.ceil(side / smallest) for side in sides)


def _map_shapes(padded_shape, channels):
    """(channels, height, width) of the feature maps after each halving."""
    _, height, width = padded_shape
    down, across = _steps(padded_shape).stride
    sides = ((height // down**i, width // across**i) for i in range(1, len(channels) + 1))
    return [(n, *side) for n, side in zip(channels, sides, strict=True)]


class ConvEncoder(nn.Module):
    """Convolutions, then fully connected layers: images to rows of ``out_features`` numbers.

    Parameters
    ----------
    image_shape : (channels, height, width)
    out_features : int
    channels : sequence of int
        Output channels of each 4x4 convolution of stride 2.
    hidden_layer_sizes : sequence of int
        Widths of the fully connected layers between the convolutions and the output.
    activation : str
        A name in ``ACTIVATIONS``.
    norm : {None, "batch", "group"}
        Normalisation after each convolution; "batch" is `BatchNorm`, "group" has up to 8 groups.
    attention : tuple of int, default=()
        Heights of the feature maps that `SelfAttention` follows.
    by_place : bool, default=False
        Whether the fully connected layers see each place of the last feature maps alone, and all
        in the same way: ``out_features`` are then those of a place, and stand place by place.
    generator : torch.Generator
        Every weight is drawn from it.

    Raises
    ------
    ValueError
        If the images are smaller than the convolutions need.
    """

    def __init__(
        self,
        image_shape,
        out_features,
        channels,
        hidden_layer_sizes,
        *,
        activation,
        norm,
        attention=(),
        by_place=False,
        generator,
    ):
        super().__init__()
        n_channels, self.height, self.width = _padded_shape(image_shape, channels)
        self.activation = activation
        widths = [n_channels, *channels]
        self.convolutions = nn.ModuleList(
            HalvingConv(a, b, generator, _steps(image_shape))
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.norms = nn.ModuleList(_norm(norm, n) for n in channels)
        shapes = _map_shapes((n_channels, self.height, self.width), channels)
        self.attention = attention_layers(attention, shapes, generator)
        self.n_places = math.prod(shapes[-1][1:])
        self.n_flat = channels[-1] if by_place else math.prod(shapes[-1])
        self.connected = _connected([self.n_flat, *hidden_layer_sizes], generator)
        n_last = [self.n_flat, *hidden_layer_sizes][-1]
        self.connected.append(StackedLinear(n_last, out_features, generator))

    def forward(self, x):
        """Rows of shape (1, n, out_features) of images of shape (n, C, H, W)."""
        activation = IN_PLACE[self.activation]
        x = self._padded(x)
        layers = zip(self.convolutions, self.norms, self.attention, strict=True)
        for convolution, norm, attend in layers:
            x = attend(activation(norm(convolution(x))))
        # In the order that channels_last has in memory, so that nothing is copied.
        n_images, x = len(x), x.permute(0, 2, 3, 1).reshape(1, -1, self.n_flat)
        *hidden, last = self.connected
        for layer in hidden:
            x = activation(layer(x))
        return last(x).reshape(1, n_images, -1)

    def _padded(self, x):
        """A copy with zeros on the right and at the bottom, channels last in memory.

        Always a copy, because one channel has several strides that mean the same, and convolutions
        choose their kernel, and with it the rounding, by the strides.
        """
        n, n_channels, height, width = x.shape
        padded = x.new_zeros(n, self.height, self.width, n_channels)
        padded[:, :height, :width] = x.permute(0, 2, 3, 1)
        return padded.permute(0, 3, 1, 2)


class ConvDecoder(nn.Module):
    """The mirror of `ConvEncoder`: codes of shape (1, n, latent_dim) to images.

    ``by_place`` they have ``latent_dim`` numbers for each place of the first feature maps.
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        channels,
        hidden_layer_sizes,
        *,
        activation,
        output_activation,
        norm,
        attention=(),
        by_place=False,
        generator,
    ):
        super().__init__()
        shapes = _map_shapes(_padded_shape(image_shape, channels), channels)[::-1]
        n_first, height, width = shapes[0]
        self.image_size = tuple(image_shape[1:])
        self.first_shape = height, width, n_first
        self.activation = activation
        self.output_activation = output_activation
        self.latent_dim = latent_dim
        n_flat = n_first if by_place else math.prod(self.first_shape)
        sizes = [latent_dim, *reversed(hidden_layer_sizes), n_flat]
        self.connected = _connected(sizes, generator)
        widths, steps = list(reversed(channels)), _steps(image_shape)
        self.convolutions = nn.ModuleList(
            DoublingConv(a, b, generator, GAIN, steps)
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.convolutions.append(DoublingConv(widths[-1], image_shape[0], generator, steps=steps))
        self.norms = nn.ModuleList(_norm(norm, n) for n in widths[1:])
        self.attention = attention_layers(attention, shapes, generator)

    def forward(self, z):
        """Images of shape (n, C, H, W), cropped to the size of the input."""
        activation = IN_PLACE[self.activation]
        z = z.reshape(1, -1, self.latent_dim)
        for layer in self.connected:
            z = activation(layer(z))
        x = z.reshape(-1, *self.first_shape).permute(0, 3, 1, 2)
        *inner, last = self.convolutions
        *attends, attend_last = self.attention
        for attend, convolution, norm in zip(attends, inner, self.norms, strict=True):
            x = activation(norm(convolution(attend(x))))
        x = attend_last(x)
        height, width = self.image_size
        return ACTIVATIONS[self.output_activation](last(x)[:, :, :height, :width])


class ConvAutoencoder(Network):
    """Convolutional encoder and mirrored decoder, for images of any size, and for series.

    Sides that cannot be halved once a convolution are padded with zeros on the right and at the
    bottom, and the reconstruction is cropped to the image. Inside, the channels stand last in
    memory, which is the faster order on a CPU.

    Parameters
    ----------
    image_shape : (channels, height, width)
        Of height 1 they are series, of any length.
    latent_dim : int
    channels : sequence of int, default=(16, 32)
        Output channels of each 4x4 convolution of stride 2, of series 1x4; the decoder has them in
        reverse.
    hidden_layer_sizes : sequence of int, default=(128,)
        Widths of the fully connected layers between convolutions and code.
    activation, output_activation : str
        Names in ``ACTIVATIONS``.
    norm : {None, "batch", "group"}, default=None
        Normalisation after each convolution but the last. With "batch" a training batch of one
        image is normalised by the running statistics.
    attention : tuple of int, default=()
        Heights of the feature maps, of encoder and decoder, that `SelfAttention` follows.
    variational : bool, default=True
        Whether the code is a Gaussian posterior (Kingma and Welling 2014, arXiv:1312.6114)
        or a point.
    by_place : bool, default=False
        Whether each place of the last feature maps has ``latent_dim`` latents of its own, and the
        fully connected layers see it alone, instead of one code for the whole image.
    generator : torch.Generator
        Every weight is drawn from it.

    Raises
    ------
    ValueError
        If the images are smaller than the convolutions need.
    """

    n_members = 1
    # Grouped convolutions of many members take longer than the members one after another.
    is_batched = False

    def __init__(
        self,
        image_shape,
        latent_dim,
        channels=(16, 32),
        hidden_layer_sizes=(128,),
        *,
        activation="relu",
        output_activation="sigmoid",
        norm=None,
        attention=(),
        variational=True,
        by_place=False,
        generator,
    ):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.variational = variational
        shared = {"activation": activation, "norm": norm, "attention": attention}
        shared |= {"by_place": by_place, "generator": generator}
        code = 2 * latent_dim if variational else latent_dim
        self.encoder = ConvEncoder(image_shape, code, channels, hidden_layer_sizes, **shared)
        self.decoder = ConvDecoder(
            image_shape,
            latent_dim,
            channels,
            hidden_layer_sizes,
            output_activation=output_activation,
            **shared,
        )
        self.n_places = self.encoder.n_places if by_place else 1
        self.latent_dim = self.code_dim = latent_dim * self.n_places
        self.latent_dims = (self.latent_dim,)

    def encode(self, x):
        """Mean and log-variance (None for a plain autoencoder) of the code of each image.

        Parameters
        ----------
        x : tensor of shape (n, C, H, W) or (1, n, C, H, W), float32

        Returns
        -------
        mean, log_var : tensors of shape (1, n, latent_dim)
        """
        code = self.encoder(x[0] if x.ndim == 5 else x)
        if not self.variational:
            return code, None
        mean, log_var = code.split(self.latent_dim, dim=-1)
        return mean, log_var.clamp(*LOG_VAR_RANGE)

    def decode(self, z):
        """Images of shape (1, n, C, H, W) of codes of shape (1, n, latent_dim)."""
        return self.decoder(z)[None]

    def forward(self, x, noise=None):
        """Reconstruct ``x`` from the posterior mean, or from ``mean + noise * std``."""
        mean, log_var = self.encode(x)
        if not self.variational:
            return Output(self.decode(mean), mean)
        z = mean if noise is None else torch.addcmul(mean, noise, torch.exp(0.5 * log_var))
        kl = 0.5 * ((mean.square() + log_var.exp() - log_var).sum(-1) - self.latent_dim)
        return Output(self.decode(z), mean, log_var, kl)
