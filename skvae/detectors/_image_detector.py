"""What the detectors for images share."""

import warnings
from contextlib import nullcontext
from numbers import Integral

import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skvae.base import BaseDetector
from skvae.base._images import (
    check_image_shape,
    check_same_preparation,
    smoothed,
    table_as_images,
    table_layout,
    table_shape,
    validate_images,
)
from skvae.base._input import holds_sizes, naming_the_column, sizes
from skvae.base._lazy import LazyImages, is_lazy
from skvae.networks import ConvAutoencoder, as_floats, smallest_side
from skvae.scores import SmoothMax, block_size


class ImageDetector(BaseDetector):
    """What the detectors for images share: a convolutional network, and layouts for scales.

    Validated rows are a tensor of shape (n, channels, height, width), uint8 or float32; or a table,
    an array, that is brought to images when it is trained on or scored.
    """

    _fits_on_one_thread = True
    _takes_images = True
    _fuse = SmoothMax
    _network_parameters = (
        "channels",
        "hidden_layer_sizes",
        "norm",
        "attention",
        "activation",
        "output_activation",
    )

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "image_shape": ["array-like", None],
        "channels": ["array-like", Interval(Integral, 1, None, closed="left")],
        "norm": [StrOptions({"batch", "group"}), None],
        "attention": ["array-like", Interval(Integral, 1, None, closed="left"), None],
    }

    def error_map(self, X, smooth=0.0):
        """Error of each pixel: where an image is unusual, as far as its score can be divided.

        Parameters
        ----------
        X : array-like of images
            As in ``fit``, of the same size.
        smooth : float, default=0.0
            Standard deviation, in pixels, of a Gaussian that smooths the map of each image; the
            sum over an image stays. 0 does not smooth.

        Returns
        -------
        error_map : ndarray of the shape of X
            Higher = more unusual at that pixel. What it has to do with the anomaly score depends
            on ``score``:

            - With ``score="reconstruction"``, "standardized", "mahalanobis" or
              "reconstruction_probability" the pixels of an image sum to its anomaly score.
            - The maps of "ssim", "perceptual" and "description_length" are what the score sums or
              averages, the last one without KL divergence and the entropy of grey pixels;
              "relative" and "local" have that of their SSIM, before they divide a whole image.
            - A list of scores, such as the default, has the sum of their maps, each in units of
              what only 0.5 % of the pixels of trusted images exceed.
            - What is taken from latents or features of a whole image belongs to no pixel. A score
              of these alone has the error map of the likelihood, as "iwae" and functions do.

            Images as rows with column names give a DataFrame after
            ``set_output(transform="pandas")``.

        Raises
        ------
        ValueError
            If ``smooth`` is negative, or X is a table, whose columns are no neighbours.
        """
        rows, layout = self._read(X)
        if smooth and layout.is_table:
            raise ValueError(
                "smooth is for images, but the rows of X are a table; give image_shape if they are "
                "images, or leave smooth out."
            )
        maps = smoothed(self._error_maps(rows), smooth, axes=(2, 3))
        return self._contained(self._arranged(maps, layout), X)

    def _check_network_parameters(self):
        super()._check_network_parameters()
        if not holds_sizes(self.channels) or not sizes(self.channels):
            raise ValueError(
                f"channels={self.channels!r} must hold integers of at least 1, and one at least."
            )
        if self.attention is not None and not holds_sizes(self.attention):
            raise ValueError(f"attention={self.attention!r} must hold integers of at least 1.")
        check_image_shape(self.image_shape)

    def _validate_rows(self, X):
        rows, layout = self._validated(X, image_shape=self.image_shape, min_samples=2)
        is_table = layout is None
        if self._goes_on and is_table != self._layout.is_table:
            kinds = ("a table", "images") if is_table else ("images", "a table")
            raise ValueError(
                f"X is {kinds[0]}, but warm_start=True goes on with the network of the last fit, "
                f"which saw {kinds[1]}. Use a new detector, or warm_start=False."
            )
        if not is_table:
            self._layout = layout
            if not is_lazy(X) and rows.dtype == torch.uint8 and rows.max() <= 1:
                warnings.warn(
                    "X is uint8, which counts to 255, but holds nothing above 1: all its images "
                    "are black. If they are masks use X.astype(bool).",
                    UserWarning,
                    stacklevel=4,
                )
        self.image_preparation_ = dict(X.preparation) if is_lazy(X) else None
        self._check_goes_on(rows)
        return rows

    def _read(self, X):
        check_is_fitted(self)
        if is_lazy(X):
            check_same_preparation(X.preparation, self.image_preparation_)
        return self._validated(X, layout=self._layout)

    def _validated(self, X, **options):
        if is_lazy(X):
            _, layout = self._validated(X[:2], **options)
            return LazyImages(X), layout
        with naming_the_column(X) if getattr(X, "ndim", 0) == 2 else nullcontext():
            return validate_images(
                self, X, smallest_side=self._smallest_side, keep_table=True, **options
            )

    @property
    def _smallest_side(self):
        return smallest_side(sizes(self.channels))

    def _input_shape(self, X):
        if X.ndim == 2:
            return table_shape(X.shape[1], self._smallest_side)
        return tuple(X.shape[1:])

    def _fit_scaler(self, X):
        """Images have their scale; a table is given one."""
        if X.ndim == 2 and not self._goes_on:
            self._layout = table_layout(X, self._smallest_side)

    def _rows_to_train(self, X, labels):
        return X if isinstance(X, LazyImages) else self._as_images(X).contiguous()

    @property
    def _block_size(self):
        return block_size(self._layout.shape)

    def _network_blocks(self, X):
        """One block after another, because images are large; those on disk are read ahead."""
        size = self._block_size
        blocks = (slice(start, start + size) for start in range(0, len(X), size))
        parts = (
            X.read_ahead(blocks) if isinstance(X, LazyImages) else (X[block] for block in blocks)
        )
        for part in parts:
            yield self._network_rows(part)

    def _network_rows(self, X):
        # In one order of memory, by which computations round, whatever the layout of X.
        return as_floats(self._as_images(X).to(self._module_device)).contiguous()

    def _as_images(self, X):
        if X.ndim > 2:
            return X
        return table_as_images(X, self._layout, getattr(self, "feature_names_in_", None))

    def _arranged(self, values, layout):
        return layout.arrange(values)

    def _restored(self, x_hat, layout=None):
        return (layout or self._layout).restore(x_hat)

    def _stacks_with(self, plan):
        """None: convolutions of many networks as one take longer than one after another."""
        return None

    def _architecture(self, shape):
        names = ("latent_dim", *self._network_parameters, "likelihood", "n_estimators")
        shape = {"n_features": self.n_features_in_, "image_shape": shape}
        return shape | {name: getattr(self, name) for name in names}

    def _build_network(self, shape, generator):
        return ConvAutoencoder(
            shape,
            self.latent_dim,
            sizes(self.channels),
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self.output_activation or "sigmoid",
            norm=self.norm,
            attention=() if self.attention is None else sizes(self.attention),
            variational=self._variational,
            generator=generator,
        )
