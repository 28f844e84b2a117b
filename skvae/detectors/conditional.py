"""The conditional detector for tables: what is normal here, not what is normal at all."""

import warnings
from numbers import Integral

import numpy as np
import torch
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
from torch.nn import functional as F

from skvae.detectors._docs import documented
from skvae.detectors.tabular import DEFAULT_SCORE, VAEDetector
from skvae.likelihoods import OfColumns
from skvae.networks import ConditionalMLPAutoencoder


@documented
class ConditionalVAEDetector(VAEDetector):
    """Variational autoencoder for tables whose normal rows depend on a class or a context.

    Encoder and decoder are told the condition of a row: columns that ``condition`` names, its class
    in ``y``, or both. What is given is not reconstructed, has no error and no share in the score;
    the other columns are judged by what is usual under it. Columns must be known for new rows as
    well. A class is asked for in training alone: a new row is looked at under each class in turn,
    and judged under the one that explains it best.

    Parameters
    ----------
    condition : list of str or of int, default=None
        Columns that are context, by name (of a DataFrame) or by index. A category should be one
        column for each of its values, 0 or 1, and what goes round, as months do, a sine and a
        cosine, unless there are rows enough to learn that from.
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
    condition_ : tuple of int
        Indices of the columns that are context.
    classes_ : tuple
        The classes of ``y``, sorted; () where the detector was fitted without.
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
    VAEDetector : What this is without condition and classes, bit for bit.

    Notes
    -----
    **What y is.** Here ``y`` trains, but never as labels of anomalies. Where a parameter reads
    those (``threshold="f1"``, ``train_on="normal"``), or y holds nothing but {+1, -1}, {0, 1} or
    bool, y is what it is for all detectors, and there are no classes; of both 0 and 1 this is said
    by a warning, since two classes may be meant: ``y.astype(str)`` says so. Anything else is
    classes, integers or strings, all of them normal. ``score(X, y)`` takes labels of anomalies as
    ever, and ignores classes.

    **Rare conditions.** The density of a row, with its context, is low wherever the context is
    rare. Latents and residuals given the context are not: where the prior is N(0, 1) under each
    context and errors are alike, a rare context alone is not flagged. The network sees few rows of
    it, though, and reconstructs them a little worse. Where rows are known to be normal, as those
    with classes mostly are, set ``contamination=0``: what it leaves out are rows of large loss, and
    so rows of rare classes and contexts first. A context beyond those of the training is
    extrapolated from, and says nothing.

    **Classes are excuses.** A row is normal if any class explains it, a class of few rows as well.
    The time to score is that of as many networks as there are classes.

    **Wide rows.** Where latents and columns are many and the condition is a small part, the network
    reconstructs what does not belong there too: images of digits with a wrong digit beside them
    are found better by z-scores of the pixels of each digit (``benchmarks/conditional.py``).

    The score is fitted on trusted rows under their best classes, as new rows are scored. A function
    as ``score`` sees ``x`` of all columns, those of the context reconstructed without error.

    References
    ----------
    Sohn, Lee, Yan (2015), Learning structured output representation using deep conditional
    generative models, NeurIPS.
    Kingma, Welling (2014), Auto-encoding variational Bayes, arXiv:1312.6114.

    Examples
    --------
    Heat in January is an anomaly, in July it is not:

    >>> import numpy as np
    >>> from skvae import ConditionalVAEDetector
    >>> rng = np.random.RandomState(0)
    >>> month = rng.randint(1, 13, 2000)
    >>> warmth = -np.cos(2 * np.pi * (month - 1) / 12)
    >>> X = np.c_[month, 10 + 10 * warmth + rng.randn(2000), 60 - 20 * warmth + rng.randn(2000)]
    >>> detector = ConditionalVAEDetector(condition=[0], contamination=0, random_state=0).fit(X)
    >>> detector.predict([[7, 20, 40], [1, 20, 40], [1, 0, 80]])
    array([ 1, -1,  1])
    >>> detector.error_map([[1, 20, 40]]).argmin()
    np.int64(0)
    """

    _built_by = ("condition_", "classes_")
    _parameter_constraints: dict = {
        **VAEDetector._parameter_constraints,
        "condition": ["array-like", None],
    }

    def __init__(
        self,
        *,
        condition=None,
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
        self.condition = condition

    def fit(self, X, y=None):
        """Train the network, fit the score on trusted rows, and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            At least 2 rows of finite numbers.
        y : array-like of shape (n_samples,), default=None
            Class of each row, integers or strings; or labels of anomalies, which are told from
            classes as the Notes of the class say.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            For input that cannot be trained on, naming what was found.
        FloatingPointError
            If the loss stops being finite.

        Warns
        -----
        UserWarning
            If y holds 0 and 1, which are read as labels of anomalies.
        """
        return super().fit(X, y)

    def _rating(self, scores, y):
        """What `score` says: of classes, such as those of the training, nothing."""
        if y is not None and self.classes_ and set(y) <= set(self.classes_):
            y = None
        return super()._rating(scores, y)

    def infer_class(self, X):
        """The class under which each row is judged: that of the smallest loss.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as in ``fit``.

        Returns
        -------
        classes : ndarray of shape (n_samples,)
            Of an ensemble, the class that most members chose.

        Raises
        ------
        ValueError
            If the detector was fitted without classes.
        """
        check_is_fitted(self)
        if not self.classes_:
            raise ValueError("infer_class needs a detector that was fitted with classes in y.")
        n_classes = len(self.classes_)
        votes = self._by_block(
            lambda x, output, error: output.given[..., -n_classes:].sum(0), self._validate(X)
        )
        return np.asarray(self.classes_)[votes.argmax(1)]

    def inverse_transform(self, Z):
        """Decode latents; refused where they are decoded under a condition, which Z has not.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_latents)
            As `transform` returns them.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features)
            In the units of the training data; the mean over the members of an ensemble.

        Raises
        ------
        ValueError
            If the detector has a condition or classes.
        """
        check_is_fitted(self)
        if self.condition_ or self.classes_:
            raise ValueError(
                "Latents alone cannot be decoded: the network decodes them under a condition. "
                "reconstruct(X) decodes those of rows under theirs."
            )
        return super().inverse_transform(Z)

    # -- the road, with a condition -----------------------------------------------------------

    def _validate_rows(self, X):
        X = super()._validate_rows(X)
        names = getattr(self, "feature_names_in_", None)
        condition = () if self.condition is None else self.condition
        self.condition_ = tuple(sorted(_column(each, X.shape[1], names) for each in condition))
        if len(set(self.condition_)) < len(self.condition_):
            raise ValueError(f"condition={self.condition!r} names a column twice.")
        if len(self.condition_) == X.shape[1]:
            raise ValueError(
                f"condition={self.condition!r} names all {X.shape[1]} columns, and leaves none to "
                "judge."
            )
        return X

    def _validate_labels(self, X, y):
        """Labels of anomalies where a parameter reads them, else the number of each row's class."""
        labels = super()._validate_labels(X, y)
        self.classes_ = ()
        if y is not None and labels is None:
            check_consistent_length(X, y)
            self.classes_, labels = _classes(y)
        self._check_goes_on(X)
        return labels

    def _rows_to_train(self, X, labels):
        x = super()._rows_to_train(X, labels)
        return self._with_classes(x, torch.as_tensor(labels)) if self.classes_ else x

    def _with_classes(self, x, numbers):
        one_hot = F.one_hot(numbers.to(x.device), len(self.classes_))
        return torch.cat([x, one_hot.to(x.dtype)], 1)

    def _input_shape(self, X):
        return self.n_features_in_

    def _build_network(self, n_features, generator):
        return super()._build_network(
            n_features,
            generator,
            ConditionalMLPAutoencoder,
            context=self.condition_,
            n_classes=len(self.classes_),
        )

    def _build_likelihood(self, shape):
        return OfColumns(super()._build_likelihood(shape), self.condition_)

    def _stacks_with(self, plan):
        key = super()._stacks_with(plan)
        return key and repr((key, self.condition_, self.classes_))

    def _evaluated(self, rows):
        """Output and error map of each row under its best class, chosen by each member."""
        if not self.classes_:
            return super()._evaluated(rows)
        best = None
        for number in range(len(self.classes_)):
            numbers = torch.full((len(rows),), number)
            output, error = super()._evaluated(self._with_classes(rows, numbers))
            loss = self._losses(output, error)
            if best is None:
                best, least = (output, error), loss
                continue
            better = loss < least
            best = (
                output.where(better, best[0]),
                torch.where(better[..., None], error, best[1]),
            )
            least = torch.minimum(loss, least)
        return best


def _column(named, n_columns, names):
    """Index of a column that is named by its name or its index."""
    if isinstance(named, str):
        if names is None or named not in names:
            known = "X has no column names" if names is None else f"its columns are {list(names)}"
            raise ValueError(f"condition names the column {named!r}, but {known}.")
        return int(np.flatnonzero(names == named)[0])
    if not isinstance(named, Integral) or isinstance(named, bool) or not 0 <= named < n_columns:
        raise ValueError(
            f"condition holds {named!r}, which is neither the name of a column nor an index from 0 "
            f"to {n_columns - 1}."
        )
    return int(named)


def _classes(y):
    """The classes in y, sorted, and the number of each row's; () and None for labels of anomalies.

    Which are {+1, -1}, {0, 1} or bool.
    """
    y = column_or_1d(y)
    if y.dtype.kind == "O":
        y = _of_one_type(y)
    odd = y[~(y == np.round(y))][:1] if y.dtype.kind == "f" else ()
    if len(odd) or y.dtype.kind not in "biufU":
        raise ValueError(_UNKNOWN.format(odd[0] if len(odd) else y.dtype))
    y = y.astype(np.int64) if y.dtype.kind == "f" else y
    classes, numbers = np.unique(y, return_inverse=True)
    values = set(classes.tolist())
    if values == {0, 1} and y.dtype != bool:
        warnings.warn(
            "y holds 0 and 1, which are read as labels of anomalies (1 = anomaly), as everywhere "
            "in skvae, and train nothing here. If they are two classes of normal rows pass "
            "y.astype(str), if they are labels y.astype(bool).",
            UserWarning,
            stacklevel=6,
        )
    if {-1, 0} <= values <= {-1, 0, 1}:
        raise ValueError(
            "y holds -1 and 0, which are labels of few anomalies: they are read with "
            "train_on='labels'. If they are classes of normal rows pass y.astype(str)."
        )
    if values <= {0, 1} or values <= {-1, 1}:
        return (), None
    return tuple(classes.tolist()), numbers


_UNKNOWN = "Unknown label type in y: classes must be integers or strings; found {}."


def _of_one_type(y):
    """An array of objects as one of strings, integers or booleans."""
    for kinds, dtype in ((str, np.str_), (bool, bool), (Integral, np.int64)):
        if all(isinstance(each, kinds) for each in y):
            return y.astype(dtype)
    raise ValueError(_UNKNOWN.format(", ".join(sorted({type(each).__name__ for each in y}))))
