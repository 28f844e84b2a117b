"""The hierarchical detector for tables: several levels of latents."""

import warnings
from numbers import Integral

from sklearn.utils._param_validation import Interval

from skvae.base._input import holds_sizes, sizes
from skvae.detectors._docs import documented
from skvae.detectors.tabular import DEFAULT_SCORE, VAEDetector
from skvae.networks import LadderAutoencoder

# A latent whose KL divergence is less says nothing of the row; in a short training none does yet.
MIN_NATS, MIN_STEPS = 0.01, 300


@documented
class HierarchicalVAEDetector(VAEDetector):
    """Variational ladder autoencoder for tables: latents on two or three levels.

    As `VAEDetector`, but some latents are read off an early layer of the encoder and others off a
    later one, and the decoder takes them in at the layer of the same depth: what is near the data
    and what is abstract need not share one code. Nothing passes from encoder to decoder but the
    latents, each of which costs its KL divergence, so that no short way reconstructs an anomaly
    unlearned.

    It is here for completeness. On seven tables of ADBench it never beat `VAEDetector` by more than
    seeds differ, and it lost clearly on one (``benchmarks/stability.py``).

    Parameters
    ----------
    latent_dim : int or sequence of int, default=(4, 2)
        Number of latents of each level, nearest the data first; of each level at most the number of
        features is used.
    hidden_layer_sizes : int or sequence of int, default=(64, 32)
        Widths of the encoder's hidden layers, at least one; the decoder has them in reverse. The
        last level is read off the last layer, the one before it off the layer before; the last
        width is repeated for levels that find no layer.
    <activation>
    <output_activation>
    <beta>
    <likelihood>
    <scaler>
    <contamination>
    score : str, callable, Score, or list of them, default=("density", "neighbors")
        As of `VAEDetector`; the latents of all levels stand side by side. Also
        ``skvae.scores.Part("kl_2")``, the KL divergence of level 2, and so for each level.
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
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, kl, and kl_1, kl_2, ... of the levels,
        valid_loss (with early stopping) and duration in seconds. In nats a row ("mse": in squared
        units).
    latent_dim_ : int
        Number of latents of all levels together; `transform` has them level by level.
    <threshold_>
    <calibration_scores_>
    <calibration_is_held_out_>
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
    VAEDetector : One level, and the better choice for most tables.

    Notes
    -----
    Two designs are known as ladders. That of Sønderby et al. makes the prior of a level depend on
    the level above; its lowest level alone can explain the data, and the others then say nothing.
    Here each level has the prior N(0, 1) and its own depth in the network (Zhao, Song and Ermon),
    so that the evidence bound, ``score="iwae"`` and decoding are those of a plain VAE.

    A level whose KL divergence is below 0.01 nats a latent has collapsed, which is said by a
    warning at the end of ``fit``. It is mostly the last, where the first has latents enough for all
    there is to say: so the default has fewer of them than that of `VAEDetector`. On the same tables
    a level collapses in one fit of seven, with (8, 4) in two of five.

    References
    ----------
    Zhao, Song, Ermon (2017), Learning hierarchical features from deep generative models, ICML,
    arXiv:1702.08658.
    Sønderby et al. (2016), Ladder variational autoencoders, NeurIPS, arXiv:1602.02282.

    Examples
    --------
    >>> import numpy as np
    >>> from skvae import HierarchicalVAEDetector
    >>> rng = np.random.RandomState(0)
    >>> X = rng.randn(500, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(500, 6)
    >>> detector = HierarchicalVAEDetector(
    ...     latent_dim=(2, 2), contamination=0.01, max_steps=200, random_state=0
    ... ).fit(X)
    >>> X_new = X[:3].copy()
    >>> X_new[2, 4] += 3
    >>> detector.predict(X_new)
    array([ 1,  1, -1])
    >>> [name for name in detector.history_ if name.startswith("kl")]
    ['kl', 'kl_1', 'kl_2']
    """

    _network_parameters = ("latent_dim", *VAEDetector._network_parameters)
    _parameter_constraints: dict = {
        **VAEDetector._parameter_constraints,
        "latent_dim": ["array-like", Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        latent_dim=(4, 2),
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
        super().__init__(
            latent_dim=latent_dim,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            output_activation=output_activation,
            beta=beta,
            likelihood=likelihood,
            scaler=scaler,
            contamination=contamination,
            score=score,
            threshold=threshold,
            percentile=percentile,
            calibration_fraction=calibration_fraction,
            train_on=train_on,
            anomaly_weight=anomaly_weight,
            max_steps=max_steps,
            max_epochs=max_epochs,
            batch_size=batch_size,
            lr=lr,
            optimizer=optimizer,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            callbacks=callbacks,
            device=device,
            n_estimators=n_estimators,
            random_state=random_state,
            warm_start=warm_start,
            verbose=verbose,
        )

    @property
    def _score_parts(self):
        return tuple(f"kl_{level + 1}" for level in range(len(sizes(self.latent_dim))))

    def _check_network_parameters(self):
        super()._check_network_parameters()
        for name in ("latent_dim", "hidden_layer_sizes"):
            value = getattr(self, name)
            if not holds_sizes(value) or not sizes(value):
                raise ValueError(
                    f"{name}={value!r} must hold integers of at least 1, and one at least."
                )

    def _finish(self, plan, X, y, net):
        super()._finish(plan, X, y, net)
        if self.n_steps_ >= MIN_STEPS:
            self._warn_of_collapse()

    def _warn_of_collapse(self):
        network = self.net_.module_.network
        levels = zip(network.part_names, network.level_dims, strict=True)
        nats = {name: self.history_[name].iloc[-1] / n_latents for name, n_latents in levels}
        collapsed = [f"{name} {each:.2g}" for name, each in nats.items() if each < MIN_NATS]
        if collapsed:
            warnings.warn(
                f"A level of latents collapsed, so that it says nothing of a row: "
                f"{', '.join(collapsed)} nats a latent. Lower beta (now {self.beta:g}), or take "
                f"fewer latents or levels (now latent_dim={self.latent_dim!r}).",
                UserWarning,
                stacklevel=4,
            )

    def _build_network(self, n_features, generator):
        return LadderAutoencoder(
            n_features,
            [min(dim, n_features) for dim in sizes(self.latent_dim)],
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            output_activation=self._output_activation,
            generator=generator,
        )
