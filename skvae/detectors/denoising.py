"""The denoising autoencoder for tables."""

from numbers import Real

from sklearn.utils._param_validation import Interval

from skvae.base._input import sizes
from skvae.detectors.tabular import _TabularDetector
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import DenoisingMLP


class DenoisingAEDetector(_TabularDetector):
    """Denoising autoencoder for tables, trained and scored at many levels of noise.

    The default in three sentences: columns are standardised, and a network that is told the level
    learns to take Gaussian noise off rows, for 600 batches, leaving out of each batch twice the
    share of anomalies that ``contamination`` expects. A row's score is its squared error after
    noise was added and taken off, at six levels of noise, each feature in units of its own error
    on trusted rows at that level: where no training rows lie, noise is taken off the wrong way. The
    share ``contamination`` of the training rows with the highest scores is flagged.

    Parameters
    ----------
    latent_dim : int, default=64
        Number of latents. They may be more than the features, because it is the noise that keeps
        the network from copying.
    hidden_layer_sizes : int or sequence of int, default=(128,)
        Widths of the encoder's hidden layers; the decoder has them in reverse. ``()`` is linear.
    activation : {"relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "softplus", \
            "identity"}, default="relu"
        Of the hidden layers.
    output_activation : str or None, default=None
        Of the output, a name as in ``activation``. None takes the one that belongs to the
        likelihood: "sigmoid" for "bernoulli", else "identity".
    noise_min, noise_max : float, default=0.5, 3.0
        Least and greatest standard deviation of the noise, in units of the scaled columns: 1 is the
        deviation of a standardised column. Levels are log-uniform between them. Columns scaled
        otherwise, as by "minmax", need others.
    likelihood : {"gaussian", "mse", "laplace", "bernoulli"}, default="gaussian"
        How an error counts. "gaussian" and "laplace" learn a scale for each feature; "mse" is the
        plain squared error; "bernoulli" is the cross-entropy for values in [0, 1].
    scaler : {"standard", "minmax"}, transformer or None, default="standard"
        What is done to the columns first. A transformer must keep their number; None where the
        data are scaled already, as in a Pipeline.
    contamination : float, default=0.1
        Expected share of anomalies in the training data, in [0, 0.5]; 0 = clean. Twice that share
        of each batch, the rows of largest loss, gets no gradient; three times that share of the
        training rows, those of largest loss, is not trusted, and scores such as "density" are
        fitted on the others; and, unless ``percentile`` is given, that share of the training rows
        is flagged.
    score : str, callable, or list of them, default="denoising"
        What makes an anomaly score of a row x, its reconstruction x_hat and its latents:

        - "denoising": squared error of the row with noise, denoised, in units of each feature's own
          at that level, over 6 levels and 4 fixed draws of noise, summed over the features;
        - "reconstruction": squared error, summed over the features; this and the scores below
          see the row without noise, see Notes;
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
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores are cut, see `skvae.thresholds`. "f1" needs ``y``; "conformal" holds out 20 %
        of the rows unless ``calibration_fraction`` says otherwise, and holds for rows like those,
        so they should be normal (``train_on="normal"`` leaves labelled anomalies out). An estimator
        has ``fit(scores, y=None)`` and ``threshold_``; those of PyThresh work as well.
    percentile : float, default=None
        In (0, 100), the percentage of scores at or below the threshold; "conformal" takes
        alpha = 1 - percentile / 100. None is ``100 * (1 - contamination)``, and 95 for
        "conformal" and where the contamination is 0.
    calibration_fraction : float, default=None
        Share of the rows held out of the training for the threshold, in [0, 1). A percentile of
        training scores is optimistic: more new rows exceed it than it says. None is 0.2 for
        "conformal" and 0 else.
    <train_on>
    <anomaly_weight>
    max_steps : int or None, default=600
        Number of batches after which training ends, whatever the number of rows.
    max_epochs : int or None, default=None
        Passes through the rows after which training ends, if that comes first.
    batch_size : int, default=64
    lr : float, default=0.003
        Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine. A skorch
        ``LRScheduler`` among the callbacks takes the place of that schedule.
    optimizer : {"adam", "adamw", "sgd"} or torch optimizer class, default="adam"
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the rows and to stop once their loss has
        not improved for ``patience`` epochs; the best weights are restored, in memory. It can act
        only where ``max_steps`` leaves room for more epochs than that: set ``max_steps=None`` and
        ``max_epochs`` for large tables.
    validation_fraction : float, default=0.1
    patience : int, default=5
        In epochs.
    callbacks : list of skorch callbacks, default=None
        Instances, or (name, instance) pairs. What they may monitor is "train_loss",
        "reconstruction" and, with early stopping, "valid_loss". One that listens to batches
        or gradients makes training use skorch's slower loop.
    device : str or torch.device, default="cpu"
        "auto" takes a GPU where there is one. Networks this small are fastest on a CPU.
    n_estimators : int, default=1
        Networks of the ensemble. They differ in initial weights and order of the rows, and are
        trained together; "density" and "neighbors" are fitted for each. Their scores, brought to
        one mean and spread, are averaged. The spread over ``random_state`` falls with it; the
        quality of the ranking hardly rises. See ``anomaly_score(X, return_std=True)``.
    random_state : int, RandomState instance or None, default=None
        With an int the same data give the same bits on one machine's CPU.
    warm_start : bool, default=False
        Whether another ``fit`` goes on from the weights and the scaler of the last; ``history_``
        and ``n_steps_`` are those of the last fit.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line an epoch.

    Attributes
    ----------
    threshold_, offset_ : float
        A row is an anomaly where ``anomaly_score(X) > threshold_``; ``offset_ = -threshold_``.
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on: of held-out rows; or of the training
        rows, of 10,000 of them at most where no labels are read; or, where ``contamination`` is 0,
        of the 5,000 at most that the score was fitted on, each as if it had not been among them.
    calibration_is_held_out_ : bool
        Whether those rows were held out of the training, or given to ``set_threshold``.
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats a row ("mse": in squared units).
    latent_dim_ : int
        Number of latents.
    n_steps_ : int
        Number of batches trained on.
    net_ : skorch.NeuralNet
        Its ``module_`` holds the network and the likelihood.
    scaler_ : fitted transformer or None
    error_map_scale_ : tuple of two floats
        Ends of one scale for pictures of error maps: the 0.1 % quantile, or zero if that is lower,
        and the 99.9 % quantile of the maps of 100 training rows.
    score_ : fitted score
    thresholder_ : fitted threshold estimator
    device_ : torch.device
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only for input with column names that are strings.

    See Also
    --------
    VAEDetector : The first choice for tables.

    Notes
    -----
    **What the methods mean.** The network takes a row and a level of noise. For `reconstruct`,
    `transform`, `log_likelihood`, early stopping and the scores other than "denoising" it sees the
    row as it is, and takes off what would be noise of the least level: `reconstruct` returns what
    is left, drawn towards the training rows, and `transform` the latents of the bottleneck. The
    `error_map` of ``score="denoising"`` is the share of each feature in that score, and sums to it.

    **The source** is DDAE (Sattarov et al. 2025), which averages the norm of the error over the
    steps of a diffusion; here levels are log-uniform and weigh alike. PENDING

    Values beyond 1e15, raw or scaled, are refused, because float32 cannot hold their squares.

    References
    ----------
    Vincent, Larochelle, Bengio, Manzagol (2008), Extracting and composing robust features with
    denoising autoencoders, ICML.
    Sattarov, Schreyer, Borth (2025), Diffusion-scheduled denoising autoencoders for anomaly
    detection in tabular data, arXiv:2508.00758.
    Livernoche, Jain, Hezaveh, Ravanbakhsh (2024), On diffusion modeling for anomaly detection,
    ICLR, arXiv:2305.18593.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import DenoisingAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(500, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(500, 6)
    >>> detector = DenoisingAEDetector(contamination=0.01, max_steps=200, random_state=0).fit(X)
    >>> X_new = X[:3].copy()
    >>> X_new[2, 4] += 3
    >>> detector.predict(X_new)
    array([ 1,  1, -1])
    """

    _variational = False
    _score_parts = ("denoising",)
    _network_parameters = (*_TabularDetector._network_parameters, "noise_min", "noise_max")
    _parameter_constraints: dict = {
        **_TabularDetector._parameter_constraints,
        "noise_min": [Interval(Real, 0, None, closed="neither")],
        "noise_max": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        latent_dim=64,
        hidden_layer_sizes=(128,),
        activation="relu",
        output_activation=None,
        noise_min=0.5,
        noise_max=3.0,
        likelihood="gaussian",
        scaler="standard",
        contamination=0.1,
        score="denoising",
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
        self.noise_min = noise_min
        self.noise_max = noise_max
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

    def _check_network_parameters(self):
        super()._check_network_parameters()
        if self.noise_min > self.noise_max:
            raise ValueError(
                f"noise_min={self.noise_min:g} is above noise_max={self.noise_max:g}; the least "
                "level of noise is at most the greatest."
            )

    def _build_network(self, n_features, generator):
        return DenoisingMLP(
            n_features,
            self.latent_dim,
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self.output_activation or LIKELIHOODS[self.likelihood].activation,
            noise_min=self.noise_min,
            noise_max=self.noise_max,
            generator=generator,
        )
