"""BaseDetector: parameters, and the fit of scaler, network, score and threshold, in that order.

What a fit does once the network is trained stands in `_score_fit`, what a fitted detector does with
rows in `_road`, and what follows from their scores in `_decisions`. A fit has three steps, so that
`_stack` can train the networks of many detectors as one: ``_prepare``, training, ``_finish``.
"""

import math
from contextlib import nullcontext
from copy import deepcopy
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from skvae.base._decisions import THRESHOLD_CONSTRAINTS, DecisionMixin, check_no_class
from skvae.base._input import (
    fit_scaler,
    holds_sizes,
    naming_the_column,
    one_thread,
    resolve_device,
    scaled,
    taken,
    unchanged_if_it_fails,
)
from skvae.base._road import RoadMixin
from skvae.base._score_fit import ScoreFitMixin
from skvae.likelihoods import LIKELIHOODS
from skvae.metrics import anomaly_labels, known_labels
from skvae.networks import ACTIVATIONS
from skvae.scores import (
    IMAGE_SCORES,
    NETWORK_SCORES,
    SCORES,
    Combined,
    make_score,
)
from skvae.training import OPTIMIZERS, Autoencoder, Member, fit_autoencoders


class Plan(NamedTuple):
    """What a detector has settled before the training: rows by their indices, seeds, networks."""

    train: np.ndarray
    anomalies: np.ndarray  # labelled ones to learn from, which are not among those of train
    held_out: np.ndarray
    is_normal: np.ndarray
    seeds: list
    members: list
    x_valid: torch.Tensor | None


class BaseDetector(
    ScoreFitMixin,
    DecisionMixin,
    ClassNamePrefixFeaturesOutMixin,
    RoadMixin,
    OutlierMixin,
    BaseEstimator,
):
    """What all detectors share; a subclass has the constructor and ``_build_network``."""

    _parameter_constraints: dict = {
        "latent_dim": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "output_activation": [StrOptions(set(ACTIVATIONS)), None],
        "likelihood": [StrOptions(set(LIKELIHOODS))],
        **THRESHOLD_CONSTRAINTS,
        "score": [StrOptions({*SCORES, *IMAGE_SCORES, *NETWORK_SCORES}), list, tuple, callable],
        "train_on": [StrOptions({"all", "normal", "labels"})],
        "anomaly_weight": [Interval(Real, 0, None, closed="left")],
        "max_steps": [Interval(Integral, 1, None, closed="left"), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
    }

    _fits_on_one_thread = False
    _takes_images = False
    # Fitted attributes that the network is built by, beside the parameters and the features.
    _built_by = ()
    # What the network says of each row that can be a score.
    _score_parts = ()
    _fuse = Combined

    # -- training ---------------------------------------------------------------------------

    def fit(self, X, y=None):
        """Train the network, fit the score on trusted rows, and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At least 2 rows of finite numbers.
        y : array-like of shape (n_samples,), default=None
            Labels in {+1, -1} (-1 = anomaly), or {0, 1} or bool (1 = anomaly). Read by
            ``threshold="f1"``, by an own threshold estimator and by ``train_on="normal"``; else
            ignored. With ``train_on="labels"``: -1 for known anomalies, +1 for known normal rows,
            0 for all others.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For input that cannot be trained on, naming what was found.
        FloatingPointError
            If the loss stops being finite.
        """
        with unchanged_if_it_fails(self):
            with one_thread if self._fits_on_one_thread else nullcontext():
                X, y = self._validate_fit(X, y)
                plan = self._prepare(X, y)
                (net,) = fit_autoencoders([plan.members], **self._training(plan))
                self._finish(plan, X, y, net)
        return self

    def _validate_fit(self, X, y):
        """Rows and labels, checked; the labels are None where no parameter reads them."""
        self._validate_params()
        self._check_parameters_agree(self._make_score())
        X = self._validate_rows(X)
        return X, self._validate_labels(X, y)

    def _prepare(self, X, y):
        """Split and scale rows and make the networks that are to be trained."""
        is_normal = self._normal_rows(X, y)
        rng = check_random_state(self.random_state)
        seed = rng.randint(np.iinfo(np.int32).max)
        # The first member of an ensemble is the lone detector of the same random_state.
        more = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=self.n_estimators)
        seeds = [seed, *more[1:].tolist()]
        train, held_out = self._split(is_normal, np.random.RandomState(seed))
        self.device_ = resolve_device(self.device)
        self._fit_scaler(taken(X, train))
        anomalies = self._labelled_anomalies(y, held_out)
        weight = getattr(self, "anomaly_weight", 0.0)
        rows = np.union1d(train, anomalies) if weight else train
        labels = None if y is None else y[rows]
        x = self._rows_to_train(taken(X, rows), labels)
        labels = torch.as_tensor(labels) if self.train_on == "labels" else None
        x, labels, x_valid = self._split_for_stopping(x, labels, seed)
        members = [
            each._replace(labels=labels, anomaly_weight=weight) for each in self._members(x, seeds)
        ]
        return Plan(train, anomalies, held_out, is_normal, seeds, members, x_valid)

    def _finish(self, plan, X, y, net):
        """Take the trained net, fit the score on trusted rows, and set the threshold."""
        if isinstance(net, Exception):
            raise net
        self._take_net(net, self._architecture(self._input_shape(X)))
        self.n_steps_ = net.n_steps - net.steps_left
        self.history_ = history_table(net.history, net.module_.network)
        is_known = y[plan.train] == 1 if self.train_on == "labels" else None
        labelled = self._labelled(X, plan)
        self.score_, scores = self._fit_score(taken(X, plan.train), plan.seeds, is_known, labelled)
        self._fit_threshold(X, y, plan, scores)
        self.error_map_scale_ = self._fit_map_scale(taken(X, plan.train))

    def _take_net(self, net, built):
        """Make a trained net one's own, and what it was built by."""
        self.net_, self._built = net, built
        network = net.module_.network
        self.latent_dim_ = network.latent_dim
        self._n_features_out = self.latent_dim_ * network.n_members

    def _make_score(self):
        return make_score(self._score_parameter, self._fuse)

    def _check_parameters_agree(self, score):
        self._check_network_parameters()
        check_no_class(self.threshold)
        for callback in self.callbacks or []:
            named = callback[-1] if isinstance(callback, tuple) else callback
            if not hasattr(named, "on_epoch_end"):
                raise ValueError(f"callbacks holds {callback!r}, which is no skorch callback.")
        if self.max_steps is None and self.max_epochs is None:
            raise ValueError("max_steps and max_epochs are both None: training would never end.")
        if score.needs_posterior and not self._variational:
            raise ValueError(
                f"score={self._score_parameter!r} needs the posterior of a variational "
                f"detector, which {type(self).__name__} has not; use "
                f"{'ConvVAEDetector' if self._takes_images else 'VAEDetector'} or another score."
            )
        if not score.needs_parts <= set(self._score_parts):
            missing = sorted(score.needs_parts - set(self._score_parts))
            raise ValueError(
                f"score={self._score_parameter!r} reads {', '.join(missing)}, of which the network "
                f"of {type(self).__name__} knows nothing; use another score."
            )
        if score.images_only and not self._takes_images:
            raise ValueError(
                f"score={self._score_parameter!r} compares images, but {type(self).__name__} takes "
                f"rows of a table; use ConvVAEDetector, or a score among {sorted(SCORES)}."
            )

    def _check_network_parameters(self):
        if not holds_sizes(self.hidden_layer_sizes):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r} must hold integers of at least 1."
            )
        if self.likelihood == "bernoulli" and self.output_activation not in (None, "sigmoid"):
            raise ValueError(
                f"likelihood='bernoulli' needs output_activation='sigmoid' or None, got "
                f"{self.output_activation!r}: its mean is a probability."
            )

    def _validate_rows(self, X):
        with naming_the_column(X):
            X = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        self._check_goes_on(X)
        self._check_magnitude(X, X)
        return X

    def _check_goes_on(self, X):
        if self._goes_on and self._architecture(self._input_shape(X)) != self._built:
            raise ValueError(
                "warm_start=True goes on with the network of the last fit, "
                f"{self._built}, but now the parameters and X ask for "
                f"{self._architecture(self._input_shape(X))}. Use a new detector, or "
                "warm_start=False."
            )

    def _input_shape(self, X):
        """What network and likelihood are built for: the number of features of a row."""
        return X.shape[1]

    def _validate_labels(self, X, y):
        """``y`` where a parameter reads it, else None."""
        needs = {
            "threshold='f1'": self.threshold == "f1",
            f"train_on={self.train_on!r}": self.train_on != "all",
        }
        asking = " and ".join(name for name, asks in needs.items() if asks)
        if y is None and asking:
            raise ValueError(f"{asking} needs labels: fit(X, y) with y, got y=None.")
        if y is None or not (asking or self._threshold_reads_labels):
            return None
        check_consistent_length(X, y)
        if self.train_on != "labels":
            return column_or_1d(y)
        y = known_labels(y)
        if self._threshold_reads_labels and not (y == 1).any():
            raise ValueError(
                f"threshold={self.threshold!r} reads labels and needs known normal rows, +1 in y, "
                "beside known anomalies; use another threshold, or label some."
            )
        return y

    def _normal_rows(self, X, y):
        """Mask of the rows that may be trained on, as if they were normal."""
        if self.train_on == "all":
            return np.ones(len(X), dtype=bool)
        if self.train_on == "labels":
            return y != -1
        is_anomaly = anomaly_labels(y)
        if is_anomaly.all():
            raise ValueError("train_on='normal' needs normal samples, but y holds only anomalies.")
        return ~is_anomaly

    def _split(self, is_normal, rng):
        """Indices to train on and to hold out for the threshold."""
        n_rows, fraction = len(is_normal), self._held_out_fraction
        order = rng.permutation(n_rows) if fraction else np.arange(n_rows)
        n_held_out = math.ceil(fraction * n_rows)
        train, held_out = order[n_held_out:], order[:n_held_out]
        train = train[is_normal[train]]
        if len(train) < 2:
            raise ValueError(
                f"{len(train)} of {n_rows} rows are left to train on after "
                f"calibration_fraction={fraction:g} and train_on={self.train_on!r}; 2 are needed."
            )
        return np.sort(train), np.sort(held_out)

    def _labelled_anomalies(self, y, held_out):
        """Indices of the labelled anomalies to learn from: not those that the threshold reads."""
        if self.train_on != "labels":
            return np.empty(0, dtype=int)
        anomalies = np.flatnonzero(y == -1)
        if not (self._threshold_reads_labels and len(held_out)):
            return anomalies
        learned = np.setdiff1d(anomalies, held_out)
        n_read = np.count_nonzero(y[held_out])
        if len(learned) == 0 or n_read == 0:
            raise ValueError(
                f"calibration_fraction={self._held_out_fraction:g} leaves {len(learned)} labelled "
                f"anomalies to train_on='labels' and {n_read} labelled rows to the threshold; each "
                "needs one. Label more, or choose a threshold that reads no labels."
            )
        return learned

    def _fit_scaler(self, X):
        if not self._goes_on:
            self.scaler_ = fit_scaler(self.scaler, X)

    def _rows_to_train(self, X, labels):
        """Rows that batches are gathered from; the labels are those of `_validate_labels`."""
        x = scaled(X, self.scaler_, self.device_)
        # The scaler has not seen labelled anomalies.
        fitted = x[labels != -1] if self.train_on == "labels" else x
        if self.likelihood == "bernoulli" and not (0 <= fitted.min() and fitted.max() <= 1):
            raise ValueError(
                "likelihood='bernoulli' needs training values in [0, 1]; after scaling they are "
                f"in [{fitted.min():.4g}, {fitted.max():.4g}]. Use scaler='minmax' or another "
                "likelihood."
            )
        return x

    def _split_for_stopping(self, x, labels, seed):
        """Rows to train on, their labels, and rows that decide on stopping early."""
        if not self.early_stopping:
            return x, labels, None
        order = np.random.RandomState(seed).permutation(len(x))
        n_rows = len(x)
        if labels is not None:
            # Labelled anomalies stand last: they are to be learned from.
            is_anomaly = (labels == -1).numpy()[order]
            order = np.r_[order[~is_anomaly], order[is_anomaly]]
            n_rows -= is_anomaly.sum()
        n_valid = max(1, round(self.validation_fraction * n_rows))
        if n_valid >= n_rows:
            raise ValueError(
                f"early_stopping holds out {n_valid} of {n_rows} rows and leaves none to train "
                "on; lower validation_fraction."
            )
        stay, held_out = order[n_valid:], order[:n_valid]
        labels = None if labels is None else labels[stay]
        return taken(x, stay), labels, taken(x, held_out)

    def _members(self, x, seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        beta = getattr(self, "beta", 0.0)
        if self._goes_on:
            autoencoders = deepcopy(self.net_.module_).unstack()
        else:
            autoencoders = [
                self._new_autoencoder(self._input_shape(x), each) for each in generators
            ]
        pairs = zip(autoencoders, generators, strict=True)
        return [Member(autoencoder, x, each, beta, self._trim) for autoencoder, each in pairs]

    def _new_autoencoder(self, shape, generator):
        network = self._build_network(shape, generator)
        return Autoencoder(network, self._build_likelihood(shape))

    @property
    def _output_activation(self):
        """The one asked for, or that of the likelihood."""
        return self.output_activation or LIKELIHOODS[self.likelihood].activation

    def _build_likelihood(self, shape):
        return LIKELIHOODS[self.likelihood](shape)

    def _training(self, plan):
        """Settings of the training that all members of a stack share."""
        names = ("max_steps", "max_epochs", "batch_size", "lr", "optimizer", "patience")
        settings = {name: getattr(self, name) for name in (*names, "callbacks", "verbose")}
        return {**settings, "device": self.device_, "X_valid": plan.x_valid}

    def _stacks_with(self, plan):
        """What detectors must have in common to be trained as one; None for one to train alone."""
        alone = self.early_stopping or self.callbacks or self.warm_start
        if alone or not isinstance(self.optimizer, str):
            return None
        shape = (*plan.members[0].rows.shape, plan.members[0].n_learned)
        training = [value for name, value in self._training(plan).items() if name != "verbose"]
        tensors = plan.members[0].autoencoder.state_dict().values()
        shapes = [tuple(tensor.shape) for tensor in tensors]
        network = (getattr(self, name) for name in self._network_parameters)
        built_for = self._input_shape(plan.members[0].rows)
        return repr((type(self), shape, built_for, shapes, self.likelihood, *network, *training))

    def _architecture(self, n_features):
        """What the network was built by, and a warm start cannot change."""
        names = ("latent_dim", *self._network_parameters, "likelihood", "scaler", "n_estimators")
        names = (*names, *self._built_by)
        return {"n_features": n_features} | {name: getattr(self, name) for name in names}

    @property
    def _goes_on(self):
        return self.warm_start and hasattr(self, "net_")

    def _build_network(self, shape, generator):
        """The network module of the detector, of one member, for rows of that `_input_shape`."""
        raise NotImplementedError

    @property
    def _trim(self):
        """Share of a batch without gradient: twice the expected anomalies, half at most."""
        return min(2 * self.contamination, 0.5)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Latents come out of a float32 network whatever went in.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def history_table(history, network):
    """One row an epoch: epoch, loss, its parts by that network, valid_loss, duration in seconds."""
    parts = ("reconstruction", network.penalty_name, *network.part_names)
    names = {
        "epoch": "epoch",
        "train_loss": "loss",
        **{name: name for name in parts},
        "valid_loss": "valid_loss",
        "dur": "duration",
    }
    rows = list(history)
    recorded = {new: old for old, new in names.items() if old in rows[0]}
    return pd.DataFrame({new: [row[old] for row in rows] for new, old in recorded.items()})
