"""Fully connected detectors for tables."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from skvae.base import BaseDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import ACTIVATIONS, MLPAutoencoder


class _TabularDetector(BaseDetector):
    """What the detectors for tables share: a fully connected network."""

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "output_activation": [StrOptions(set(ACTIVATIONS)), None],
    }

    def _build_network(self, n_features, generators):
        sizes = self.hidden_layer_sizes
        return MLPAutoencoder(
            n_features,
            min(self.latent_dim, n_features),
            (sizes,) if isinstance(sizes, Integral) else tuple(sizes),
            activation=self.activation,
            output_activation=self.output_activation or LIKELIHOODS[self.likelihood].activation,
            variational=self._variational,
            generators=generators,
        )


DEFAULT_SCORE = ("density", "neighbors")


class AEDetector(_TabularDetector):
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
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose


class VAEDetector(_TabularDetector):
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
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
