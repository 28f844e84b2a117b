"""What a detector makes of images: the originals above their reconstructions."""

import numpy as np

from skvae.plotting._common import axes_or_new, needed, set_title, unwrap
from skvae.plotting._images import (
    check_indices,
    check_names,
    drawable,
    image_arrays,
    like_images,
    picture_title,
    shape_for,
    tile,
)

_MOST_IMAGES = 20  # drawn unasked
_INCHES = 1.0  # width of an image


class ReconstructionDisplay:
    """What a detector makes of images: the originals above their reconstructions.

    Make one with :meth:`from_estimator` or :meth:`from_predictions`.

    Parameters
    ----------
    images : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
        Of uint8, or floats in [0, 1]; rows of numbers need ``image_shape``.
    reconstructions : array-like of the shape of ``images``
        In the units of ``images``: 0 to 255 where these are uint8.
    image_names : sequence of str of length n, default=None
        What to write above each image.
    image_shape : tuple, default=None
        (H, W), (C, H, W) or (H, W, C).
    name : str, default=None
        Title of the picture.

    Attributes
    ----------
    images, reconstructions : ndarray of float64 of shape (n, H, W) or (n, H, W, C)
        In [0, 1], as far as the reconstructions are.
    image_names, name
        As given.
    ax_, figure_ : matplotlib Axes and Figure
        Where it was drawn. These and the following exist after :meth:`plot`.
    image_ : matplotlib AxesImage
        All that is drawn, grey or RGBA. Grey goes from black, 0, to white, 1.

    See Also
    --------
    ImageErrorMapDisplay : Where and by how much they differ.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae.plotting import ReconstructionDisplay
    >>> images = np.random.default_rng(0).random((3, 8, 8))
    >>> display = ReconstructionDisplay.from_predictions(images, images / 2)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['original', 'reconstruction']
    """

    def __init__(self, *, images, reconstructions, image_names=None, image_shape=None, name=None):
        self.images, layout = image_arrays(images, image_shape)
        self.reconstructions = like_images(reconstructions, layout, "reconstructions")
        if len(self.reconstructions) != len(self.images):
            raise ValueError(
                f"There are {len(self.reconstructions)} reconstructions for "
                f"{len(self.images)} images."
            )
        self.image_names = check_names(image_names, len(self.images))
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        image_names=None,
        image_shape=None,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Draw images and ``estimator.reconstruct`` of them.

        Parameters
        ----------
        estimator : fitted detector of skvae
            Also inside a pipeline or a search; the images are then those that the detector sees.
        X : array-like of shape (n, H, W), (n, C, H, W), (n, H, W, C) or (n, n_features)
            Of uint8, or floats in [0, 1].
        image_names : sequence of str of length n, default=None
            What to write above each image.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where X holds rows of numbers. None takes that of the
            detector.
        name : str, default=None
            Title of the picture. None writes the name of the detector's class.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ReconstructionDisplay
            Drawn.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        TypeError
            If the estimator has no ``reconstruct``.
        ValueError
            If X holds no images.
        """
        detector, X, _ = unwrap(estimator, X)
        return cls.from_predictions(
            X,
            needed(detector, "reconstruct", cls.__name__)(X),
            image_names=image_names,
            image_shape=image_shape or shape_for(detector, X),
            name=type(detector).__name__ if name is None else name,
            ax=ax,
            **plot_parameters,
        )

    @classmethod
    def from_predictions(
        cls,
        images,
        reconstructions,
        *,
        image_names=None,
        image_shape=None,
        name=None,
        ax=None,
        **plot_parameters,
    ):
        """Draw images and reconstructions that are there already.

        Parameters
        ----------
        images, reconstructions : array-like of images
            As in :class:`ReconstructionDisplay`.
        image_names : sequence of str of length n, default=None
            What to write above each image.
        image_shape : tuple, default=None
            (H, W), (C, H, W) or (H, W, C), where images are rows of numbers.
        name : str, default=None
            Title of the picture.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        **plot_parameters
            Passed to :meth:`plot`.

        Returns
        -------
        display : ReconstructionDisplay
            Drawn.

        Raises
        ------
        ValueError
            If there are no images, or the reconstructions do not fit them.
        """
        display = cls(
            images=images,
            reconstructions=reconstructions,
            image_names=image_names,
            image_shape=image_shape,
            name=name,
        )
        return display.plot(ax=ax, **plot_parameters)

    def plot(self, ax=None, *, indices=None, n_columns=10):
        """Draw originals above reconstructions, ``n_columns`` side by side.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw. None makes a new figure.
        indices : sequence of int, default=None
            Positions of the images to draw. None draws the first 20.
        n_columns : int, default=10
            Most images side by side; what remains goes below.

        Returns
        -------
        self : ReconstructionDisplay

        Raises
        ------
        ValueError
            If there is no such image, or ``n_columns`` is below 1.
        """
        indices = check_indices(indices, len(self.images), _MOST_IMAGES)
        if n_columns < 1:
            raise ValueError(f"n_columns must be at least 1, not {n_columns!r}.")
        n_columns = min(n_columns, len(indices))
        height, width = self.images.shape[1:3]
        gap, column_gap = 1 + height // 20, 1 + width // 20
        row_gap = 2 + height // (10 if self.image_names is None else 4)  # room for names
        arrays = [drawable(array)[indices] for array in (self.images, self.reconstructions)]
        pairs = np.stack([tile(pair, 1, (gap, 0)) for pair in np.stack(arrays, axis=1)])
        canvas = tile(pairs, n_columns, (row_gap, column_gap))

        sides = np.add(canvas.shape[1::-1], (0, row_gap)) * _INCHES / width
        ax = axes_or_new(ax, figsize=sides + (1.3, 0.5))
        self.image_ = ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        tops = np.arange(0, len(canvas), pairs.shape[1] + row_gap) - 0.5
        middles = tops[:, None] + height / 2 + (0, height + gap)
        ax.set_xticks([])
        ax.set_yticks(middles.ravel(), ["original", "reconstruction"] * len(tops))
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        if self.image_names is not None:
            ax.set_ylim(len(canvas) - 0.5, -row_gap)
            for position, i in enumerate(indices):
                row, column = divmod(position, n_columns)
                x, y = column * (width + column_gap) + (width - 1) / 2, tops[row] - height / 40
                ax.text(x, y, self.image_names[i], ha="center", va="bottom", size=8)
        set_title(ax, picture_title(self.name, len(indices), len(self.images)))
        self.ax_, self.figure_ = ax, ax.figure
        return self
