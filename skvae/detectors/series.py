"""A convolutional detector for series, such as windows of time series."""

import math
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from skvae.base import BaseDetector
from skvae.base._input import (
    SCALERS,
    holds_sizes,
    naming_the_column,
    scaled,
    shape_of,
    sizes,
)
from skvae.detectors._docs import documented
from skvae.detectors.tabular import DEFAULT_SCORE
from skvae.networks import ConvAutoencoder
from skvae.scores import block_size


@documented
class Conv1dVAEDetector(BaseDetector):
    """Convolutional variational autoencoder for series of one length, such as windows.

    The default in three sentences: channels are standardised, and a small convolutional network
    with a learned error scale for each channel is trained for 600 batches. A series is then
    described by its latents and its residuals, and its score is the mean of two z-scores: how thin
    Gaussian mixtures over trusted series are there, and how far the 10 nearest trusted series are.
    Series whose score exceeds that of 95 % of the trusted ones, scored as if they were new, are
    flagged.

    A sample is a series: X has the shape (n, channels, length), or (n, length) for one channel.
    `SlidingWindowDetector` cuts long series into such, and scores every time point.

    Parameters
    ----------
    latent_dim : int, default=8
        Number of latents.
    channels : sequence of int, default=(16, 32)
        Output channels of each convolution over 4 points in steps of 2; the decoder has them in
        reverse. The length is filled up with zeros to what can be halved so often.
    hidden_layer_sizes : int or sequence of int, default=(64,)
        Widths of the fully connected layers between convolutions and latents; the decoder has them
        in reverse.
    <activation>
    <output_activation>
    beta : float, default=1.0
        Weight of the KL divergence: the error is summed over points and channels, the KL over
        latents, and only samples are averaged, so 1 is the evidence lower bound.
    likelihood : {"gaussian", "mse", "laplace", "bernoulli"}, default="gaussian"
        How an error counts. "gaussian" and "laplace" learn a scale for each channel; "mse" is the
        plain squared error; "bernoulli" is the cross-entropy for values in [0, 1].
    scaler : {"standard", "minmax"}, transformer or None, default="standard"
        What is done to the values first. It sees a row for each point of each series, a column for
        each channel, and must keep the number of columns.
    contamination : float, default=0.0
        Expected share of anomalies in the training series, in [0, 0.5]; 0 = clean. Twice that share
        of each batch, the series of largest loss, gets no gradient; three times that share of them
        is not trusted, and scores such as "density" are fitted on the others; and, unless
        ``percentile`` is given, that share of the training series is flagged.
    score : str, callable, or list of them, default=("density", "neighbors")
        What makes an anomaly score, as in `VAEDetector`, whose features are points here. A function
        gets series of shape (n, channels, 1, length). Several are averaged as z-scores.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores are cut, as in `VAEDetector`.
    <percentile>
    calibration_fraction : float, default=None
        Share of the series held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else.
    <train_on>
    <anomaly_weight>
    max_steps : int or None, default=600
        Number of batches after which training ends, whatever the number of series.
    max_epochs : int or None, default=None
        Passes through the series after which training ends, if that comes first.
    <batch_size>
    <lr>
    <optimizer>
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the series and to stop once their loss has
        not improved for ``patience`` epochs; the best weights are restored, in memory.
    <validation_fraction>
    <patience>
    callbacks : list of skorch callbacks, default=None
        Instances, or (name, instance) pairs, as in `VAEDetector`.
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one.
    n_estimators : int, default=1
        Networks of the ensemble; ten take ten times the time of one. Their scores, calibrated, are
        averaged. See ``anomaly_score(X, return_std=True)``.
    <random_state>
    <warm_start>
    <verbose>

    Attributes
    ----------
    threshold_, offset_ : float
        A series is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on, as in `VAEDetector`.
    calibration_is_held_out_ : bool
        Whether those series were held out of the training, or given to ``set_threshold``.
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, kl, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats a series ("mse": in squared units).
    <latent_dim_>
    <n_steps_>
    <net_>
    scaler_ : fitted transformer or None
        Its columns are the channels.
    error_map_scale_ : tuple of two floats
        Ends of one scale for pictures of error maps, whose channels are summed: the 0.1 % quantile,
        or zero if that is lower, and the 99.9 % quantile of the maps of 100 training series.
    <score_>
    <thresholder_>
    <device_>
    n_features_in_ : int
        Numbers a series holds, channels times length.
    <feature_names_in_>

    See Also
    --------
    SlidingWindowDetector : Scores of the time points of long series, by their windows.
    VAEDetector : Fully connected, for tables.

    Notes
    -----
    Error maps and reconstructions have the shape of X; `inverse_transform` returns (n, length) for
    one channel and (n, channels, length) for more. Convolutions share their weights over time, yet
    the layers after them know where in the series something stands: it is no failure of the
    detector that a shifted series can be an anomaly. Cut windows at every offset where it should
    not be.

    References
    ----------
    Kingma, Welling (2014), Auto-encoding variational Bayes, arXiv:1312.6114.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import Conv1dVAEDetector
    >>> rng = np.random.RandomState(0)
    >>> phase = rng.uniform(0, 6, (500, 1))
    >>> X = np.sin(phase + 0.4 * np.arange(32)) + 0.1 * rng.randn(500, 32)
    >>> detector = Conv1dVAEDetector(max_steps=200, random_state=0).fit(X[:400])
    >>> still = X[400:].copy()
    >>> still[:, 16:24] = still[:, [16]]  # the value is held for eight points
    >>> detector.score(np.r_[X[400:], still], np.repeat([1, -1], 100)) > 0.95
    True
    >>> detector.error_map(still).shape
    (100, 32)
    """

    _variational = True
    _fits_on_one_thread = True
    _network_parameters = ("channels", "hidden_layer_sizes", "activation", "output_activation")

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "channels": ["array-like", Interval(Integral, 1, None, closed="left")],
        "beta": [Interval(Real, 0, None, closed="left")],
        "scaler": [StrOptions(set(SCALERS)), HasMethods(["fit", "transform"]), None],
    }

    def __init__(
        self,
        *,
        latent_dim=8,
        channels=(16, 32),
        hidden_layer_sizes=(64,),
        activation="relu",
        output_activation=None,
        beta=1.0,
        likelihood="gaussian",
        scaler="standard",
        contamination=0.0,
        score=DEFAULT_SCORE,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
        train_on="all",
        anomaly_weight=0.0,
        max_steps=600,
        max_epochs=None,
        batch_size=64,
        lr=3e-3,
        optimizer="adam",
        early_stopping=False,
        validation_fraction=0.1,
        patience=5,
        callbacks=None,
        device="cpu",
        n_estimators=1,
        random_state=None,
        warm_start=False,
        verbose=0,
    ):
        self.latent_dim = latent_dim
        self.channels = channels
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
        self.beta = beta
        self.likelihood = likelihood
        self.scaler = scaler
        self.contamination = contamination
        self.score = score
        self.threshold = threshold
        self.percentile = percentile
        self.calibration_fraction = calibration_fraction
        self.train_on = train_on
        self.anomaly_weight = anomaly_weight
        self.max_steps = max_steps
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimizer = optimizer
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.device = device
        self.n_estimators = n_estimators
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    # Validated series are an array of shape (n, channels, 1, length): images of one row, which all
    # that is made for images takes.

    def _check_network_parameters(self):
        super()._check_network_parameters()
        if not holds_sizes(self.channels) or not sizes(self.channels):
            raise ValueError(
                f"channels={self.channels!r} must hold integers of at least 1, and one at least."
            )

    def _validate_rows(self, X):
        rows = self._validated(X, reset=True, ensure_min_samples=2)
        self._check_goes_on(rows)
        self._check_magnitude(rows, rows)
        return rows

    def _read(self, X):
        check_is_fitted(self)
        return self._validated(X, self._built["image_shape"], reset=False), shape_of(X)[1:]

    def _validated(self, X, shape=None, **options):
        """Rows of that shape, (channels, 1, length); None is the shape that X has."""
        if len(shape_of(X)) == 3:
            X = np.asarray(X)
            n_channels, length = X.shape[1:]
            if shape is not None and shape != (n_channels, 1, length):
                raise ValueError(
                    f"X holds series of {n_channels} channels and {length} points, but fit saw "
                    f"{shape[0]} channels and {shape[2]} points."
                )
            shape = n_channels, 1, length
            X = X.reshape(len(X), n_channels * length)
        with naming_the_column(X):
            rows = validate_data(self, X, dtype=[np.float64, np.float32], **options)
        return rows.reshape(len(rows), *(shape or (1, 1, rows.shape[1])))

    def _check_magnitude(self, values, X):
        super()._check_magnitude(values.reshape(len(X), -1), X.reshape(len(X), -1))

    def _input_shape(self, X):
        return tuple(X.shape[1:])

    @property
    def _block_size(self):
        return block_size(self._built["image_shape"])

    # The scaler has a row for each point of each series, and a column for each channel.

    def _fit_scaler(self, X):
        super()._fit_scaler(_as_points(X))

    def _rows_to_train(self, X, labels):
        labels = None if labels is None else np.repeat(labels, X.shape[3])  # one a point
        return _as_series(super()._rows_to_train(_as_points(X), labels), X.shape)

    def _network_rows(self, X):
        x = _as_series(scaled(_as_points(X), self.scaler_, self._module_device), X.shape)
        self._check_magnitude(x, X)
        return x

    def _arranged(self, values, layout):
        return values.reshape(len(values), *layout)

    def _restored(self, x_hat, layout=None):
        points = super()._restored(_as_points(x_hat))
        n, n_channels, _, length = x_hat.shape
        if layout is None:
            layout = (length,) if n_channels == 1 else (n_channels, length)
        return _as_series(points, x_hat.shape).reshape(n, *layout)

    def _stacks_with(self, plan):
        """None: convolutions of many networks as one take longer than one after another."""
        return None

    def _architecture(self, shape):
        return super()._architecture(self.n_features_in_) | {"image_shape": shape}

    def _build_network(self, shape, generator):
        return ConvAutoencoder(
            shape,
            min(self.latent_dim, math.prod(shape)),
            sizes(self.channels),
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self._output_activation,
            variational=self._variational,
            generator=generator,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _as_points(series):
    """Series of shape (n, channels, 1, length) as (n * length, channels)."""
    n, n_channels, _, length = series.shape
    return series.reshape(n, n_channels, length).swapaxes(1, 2).reshape(n * length, n_channels)


def _as_series(points, shape):
    """What `_as_points` made of series of that shape, as it was; in one order of memory."""
    n, n_channels, _, length = shape
    series = points.reshape(n, length, n_channels).swapaxes(1, 2).reshape(shape)
    return series.contiguous() if torch.is_tensor(series) else series
