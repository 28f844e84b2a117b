"""Fully connected detectors for tables."""

from numbers import Real

from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skvae.base import BaseDetector
from skvae.base._input import SCALERS, sizes
from skvae.detectors._docs import documented
from skvae.networks import MLPAutoencoder


class _TabularDetector(BaseDetector):
    """What the detectors for tables share: a fully connected network."""

    # Steps this small are slower on two threads, and slower by far where another process computes.
    _fits_on_one_thread = True
    _network_parameters = ("hidden_layer_sizes", "activation", "output_activation")

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "scaler": [StrOptions(set(SCALERS)), HasMethods(["fit", "transform"]), None],
    }

    def _build_network(self, n_features, generator, network=MLPAutoencoder, **options):
        return network(
            n_features,
            min(self.latent_dim, n_features),
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self._output_activation,
            variational=self._variational,
            generator=generator,
            **options,
        )


DEFAULT_SCORE = ("density", "neighbors")


@documented
class AEDetector(_TabularDetector):
    """Autoencoder for tables: `VAEDetector` without a prior on the latents.

    The default in three sentences: columns are standardised, and a small network with a learned
    error scale for each column is trained for 600 batches, leaving out of each batch twice the
    share of anomalies that ``contamination`` expects. A row is then described by its latents and
    its residuals, and its score is the mean of two z-scores: how thin Gaussian mixtures over
    trusted rows are there, and how far the 10 nearest trusted rows are. The share ``contamination``
    of the training rows with the highest scores is flagged.

    Parameters
    ----------
    <latent_dim>
    <hidden_layer_sizes>
    <activation>
    <output_activation>
    <likelihood>
    <scaler>
    <contamination>
    score : str, callable, or list of them, default=("density", "neighbors")
        What makes an anomaly score of a row x, its reconstruction x_hat and its latents:

        - "reconstruction": squared error, summed over the features;
        - "standardized": the same in units of each feature's residual variance;
        - "mahalanobis": squared Mahalanobis distance of the residual;
        - "latent": squared distance of the latents from their mean, in their variances;
        - "density": negative log-density of a Gaussian mixture over [latents, residual];
        - "neighbors": mean distance to the 10 nearest trusted rows in the same space;
        - a function of ``(x, output, error)``: tensors of the scaled rows and of the error map,
          both of shape (n_samples, n_features), and an object with ``x_hat`` and ``latent``; for
          example ``lambda x, output, error: (x - output.x_hat).abs().max(1).values``. To be
          pickled it must stand in a module.

        Several are averaged as z-scores, calibrated on rows held out of the fit of each.
    <threshold>
    <percentile>
    <calibration_fraction>
    <train_on>
    <anomaly_weight>
    <max_steps>
    <max_epochs>
    <batch_size>
    <lr>
    <optimizer>
    <early_stopping>
    <validation_fraction>
    <patience>
    callbacks : list of skorch callbacks, default=None
        Instances, or (name, instance) pairs. What they may monitor is "train_loss",
        "reconstruction" and, with early stopping, "valid_loss". One that listens to batches
        or gradients makes training use skorch's slower loop.
    <device>
    <n_estimators>
    <random_state>
    <warm_start>
    <verbose>

    Attributes
    ----------
    <threshold_>
    <calibration_scores_>
    <calibration_is_held_out_>
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats a row ("mse": in squared units).
    <latent_dim_>
    <n_steps_>
    <net_>
    <scaler_>
    <error_map_scale_>
    <score_>
    <thresholder_>
    <device_>
    <n_features_in_>
    <feature_names_in_>

    See Also
    --------
    VAEDetector : With a prior, scores of the posterior, and a weight ``beta`` between the two.

    Notes
    -----
    **Labels in a search.** ``GridSearchCV`` with ``scoring="roc_auc"`` is right for {+1, -1}
    and *silently inverted* for {0, 1} with 1 = anomaly: the worst detector wins. The default
    ``scoring=None`` and the scorers of `skvae.metrics` are right for both. Its folds are neither
    shuffled nor stratified for outlier detectors, so a fold may hold no anomaly, which makes a
    score nan: pass ``cv=StratifiedKFold(shuffle=True)``.

    Values beyond 1e15, raw or scaled, are refused, because float32 cannot hold their squares.

    References
    ----------
    Hawkins, He, Williams, Baxter (2002), Outlier detection using replicator neural networks,
    DaWaK.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import AEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(500, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(500, 6)
    >>> detector = AEDetector(contamination=0.01, max_steps=200, random_state=0).fit(X)
    >>> X_new = X[:3].copy()
    >>> X_new[2, 4] += 3
    >>> detector.predict(X_new)
    array([ 1,  1, -1])
    """

    _variational = False

    def __init__(
        self,
        *,
        latent_dim=8,
        hidden_layer_sizes=(64, 32),
        activation="relu",
        output_activation=None,
        likelihood="gaussian",
        scaler="standard",
        contamination=0.1,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.output_activation = output_activation
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


@documented
class VAEDetector(_TabularDetector):
    """Variational autoencoder for tables.

    The default in three sentences: columns are standardised, and a small network with a learned
    error scale for each column is trained for 600 batches, leaving out of each batch twice the
    share of anomalies that ``contamination`` expects. A row is then described by its latents and
    its residuals, and its score is the mean of two z-scores: how thin Gaussian mixtures over
    trusted rows are there, and how far the 10 nearest trusted rows are. The share ``contamination``
    of the training rows with the highest scores is flagged.

    Parameters
    ----------
    <latent_dim>
    <hidden_layer_sizes>
    <activation>
    <output_activation>
    <beta>
    <likelihood>
    <scaler>
    <contamination>
    <score>
    <threshold>
    <percentile>
    <calibration_fraction>
    <train_on>
    <anomaly_weight>
    <max_steps>
    <max_epochs>
    <batch_size>
    <lr>
    <optimizer>
    <early_stopping>
    <validation_fraction>
    <patience>
    <callbacks>
    <device>
    <n_estimators>
    <random_state>
    <warm_start>
    <verbose>

    Attributes
    ----------
    <threshold_>
    <calibration_scores_>
    <calibration_is_held_out_>
    <history_>
    <latent_dim_>
    <n_steps_>
    <net_>
    <scaler_>
    <error_map_scale_>
    <score_>
    <thresholder_>
    <device_>
    <n_features_in_>
    <feature_names_in_>

    See Also
    --------
    AEDetector : The same without a prior.
    sklearn.ensemble.IsolationForest : Strong on contaminated tables, and fast.

    Notes
    -----
    **Labels in a search.** ``GridSearchCV`` with ``scoring="roc_auc"`` is right for {+1, -1}
    and *silently inverted* for {0, 1} with 1 = anomaly: the worst detector wins. The default
    ``scoring=None`` and the scorers of `skvae.metrics` are right for both. Its folds are neither
    shuffled nor stratified for outlier detectors, so a fold may hold no anomaly, which makes a
    score nan: pass ``cv=StratifiedKFold(shuffle=True)``.

    Values beyond 1e15, raw or scaled, are refused, because float32 cannot hold their squares.

    References
    ----------
    Kingma, Welling (2014), Auto-encoding variational Bayes, arXiv:1312.6114.
    An, Cho (2015), Variational autoencoder based anomaly detection using reconstruction
    probability, SNU Data Mining Center.
    Higgins et al. (2017), beta-VAE, ICLR.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import VAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(500, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(500, 6)
    >>> detector = VAEDetector(contamination=0.01, max_steps=200, random_state=0).fit(X)
    >>> X_new = X[:3].copy()
    >>> X_new[2, 4] += 3
    >>> detector.predict(X_new)
    array([ 1,  1, -1])
    >>> int(detector.error_map(X_new)[2].argmax())
    4
    """

    _variational = True
    _parameter_constraints: dict = {
        **_TabularDetector._parameter_constraints,
        "beta": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        latent_dim=8,
        hidden_layer_sizes=(64, 32),
        activation="relu",
        output_activation=None,
        beta=1.0,
        likelihood="gaussian",
        scaler="standard",
        contamination=0.1,
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
