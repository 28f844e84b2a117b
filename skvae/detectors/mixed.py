"""The detector for tables of mixed kinds of columns."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skvae.base import BaseDetector
from skvae.base._input import check_magnitude, sizes, spread_rows, validated_table
from skvae.base._road import map_scale
from skvae.base._score_fit import MAX_MAP_ROWS
from skvae.detectors._columns import FROM_DTYPE, Columns, warn_of_text
from skvae.detectors._docs import documented
from skvae.detectors._encoding import Encoding
from skvae.likelihoods import Mixed
from skvae.networks import MixedAutoencoder
from skvae.scores import GapCorrected, padded

DEFAULT_SCORE = ("elbo", "density")


@documented
class MixedVAEDetector(BaseDetector):
    """Variational autoencoder for tables of mixed kinds of columns, some cells missing.

    The default in three sentences: each column gets the likelihood of its kind, a normal one with a
    learned scale for numbers and dates, a categorical one for categories, a Bernoulli for booleans,
    and a small network is trained on all of them for 1,500 batches, leaving out of each batch twice
    the share of anomalies that ``contamination`` expects. The score of a row is the mean of two
    z-scores: its negative evidence lower bound, in which numbers and categories count by one
    measure, nats, and how thin Gaussian mixtures over the latents and residuals of trusted rows are
    there. The share ``contamination`` of the training rows with the highest scores is flagged.

    X is a DataFrame. Numbers are standardised; categories, of which text is one kind, and booleans
    are one-hot encoded; dates become a number, and sine and cosine of the time of day, of the
    weekday and of the time of year. Missing cells (NaN, None, NaT, NA) are masked: the network is
    told that they are missing, and they add nothing to the loss or to the likelihood, see Notes.
    Arrays of numbers, with NaN for missing ones, are tables of numbers.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of str, int or bool, or None, \
            default="from_dtype"
        Which columns are categories: names, positions or a mask. "from_dtype" takes those of dtype
        category, of text, and of objects that are neither numbers, booleans nor dates; it warns of
        text that holds numbers, dates, or a value for each row as ids do. With a list, as with None
        for an empty one, any other such column is an error.
    max_categories : int, default=20
        Most slots of a column, one of which is that of the infrequent: the least frequent
        categories share it, and those that training did not have.
    latent_dim : int, default=8
        Number of latents; at most the number of encoded values is used, see ``latent_dim_``.
    <hidden_layer_sizes>
    <activation>
    beta : float, default=1.0
        Weight of the KL divergence: the error is summed over columns, the KL over latents, and
        only samples are averaged, so 1 is the evidence lower bound.
    contamination : float, default=0.1
        Expected share of anomalies in the training data, in [0, 0.5]; 0 = clean. As in
        `VAEDetector`.
    score : str, callable, or list of them, default=("elbo", "density")
        What makes an anomaly score of a row, as in `VAEDetector`. Those made of residuals take for
        the residual of a category the one-hot code less the probabilities.
    threshold : {"percentile", "f1", "conformal"}, float or estimator, default="percentile"
        How the scores are cut, see `skvae.thresholds` and `VAEDetector`.
    <percentile>
    calibration_fraction : float, default=None
        Share of the rows held out of the training for the threshold, in [0, 1). None is 0.2 for
        "conformal" and 0 else.
    <train_on>
    <anomaly_weight>
    max_steps : int or None, default=1500
        Number of batches after which training ends, whatever the number of rows.
    <max_epochs>
    <batch_size>
    lr : float, default=0.003
        Peak learning rate: it warms up over 20 steps and falls to 1 % along a cosine.
    <optimizer>
    early_stopping : bool, default=False
        Whether to hold out ``validation_fraction`` of the rows and to stop once their loss has
        not improved for ``patience`` epochs.
    <validation_fraction>
    <patience>
    callbacks : list of skorch callbacks, default=None
        As in `VAEDetector`.
    <device>
    n_estimators : int, default=1
        Networks of the ensemble, trained together; their scores are averaged.
    <random_state>
    warm_start : bool, default=False
        Whether another ``fit`` goes on from the weights of the last, with its columns, scales and
        categories.
    <verbose>

    Attributes
    ----------
    column_kinds_ : list of {"number", "boolean", "date", "category"}
        Of the columns, in their order.
    <threshold_>
    calibration_scores_ : ndarray of shape (n_calibration,)
        The anomaly scores that the threshold was fitted on.
    <calibration_is_held_out_>
    history_ : DataFrame
        A row an epoch: epoch, loss, reconstruction, kl, valid_loss (with early stopping) and
        duration in seconds. Losses are in nats a row.
    <latent_dim_>
    <n_steps_>
    <net_>
    usual_error_map_ : ndarray of shape (n_features,)
        Median of each column's share in the score, of 100 training rows; see ``error_map``.
    <error_map_scale_>
    <score_>
    <thresholder_>
    <device_>
    <n_features_in_>
    <feature_names_in_>

    See Also
    --------
    VAEDetector : For tables of numbers.
    FusionDetector : One detector for each group of columns.

    Notes
    -----
    **Unseen categories.** A slot of softmax q, in a column known in n training rows and with K
    slots, has the probability ``p = (n q + 1) / (n + K)``: additive smoothing, so that no slot
    costs more than ``log(n + K)`` nats. Within the slot of the infrequent, whose m categories are
    n' of the training rows, one of count k has the share ``(k + 1) / (n' + m + 1)``, and any unseen
    one that of k = 0. A category never seen so costs about ``log(n)`` nats, however many categories
    a column has.

    **Missing cells.** In training the network sees the mean of a missing number, or no category,
    and the cell adds nothing to the loss; a twentieth of the known cells, drawn anew for each
    batch, is hidden from it in the same way, and yet to be reconstructed. When rows are scored,
    what is missing is first filled with what the network expects there, and so has the latents and
    residuals of a usual row, but adds nothing to a likelihood; last, of each score is subtracted
    what the lack of that cell adds to it in trusted rows, on average. So whether training rows had
    gaps or not, a gap is no news: where it should be, as for a field that is never left empty, add
    a column ``X[name].isna()``. The error map has no share for a missing cell. A row of which
    little is known can hardly be an anomaly. Trained on generated rows without gaps, the default
    flagged 12.8, 10.8, 9.6 and 8.6 % of normal rows of which 0, 1, 2 and 3 cells of 12 were missing
    (``benchmarks/mixed.py --gaps``, 3 seeds).

    **Dates.** New rows are later than those of the training, and a date far beyond them is an
    anomaly of its own. Drop the column, or keep its parts, where that is not meant. Clock times
    count as shown, without the time zone.

    **Mixed objects.** Object columns of numbers and text are read as text, so 1 and "1" are one
    category. ``reconstruct`` gives back text as well.

    **Beside one-hot columns.** To a `VAEDetector` on standardised one-hot columns a category of
    frequency f is a number ``1 / sqrt(f)`` standard deviations off; here it costs ``-log f``.

    References
    ----------
    Nazábal, Olmos, Ghahramani, Valera (2020), Handling incomplete heterogeneous data using VAEs,
    Pattern Recognition, arXiv:1807.03653: a likelihood for each kind, missing cells left out of the
    bound and zero in the input. Its hierarchical prior is not taken over.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from skvae import MixedVAEDetector
    >>> rng = np.random.RandomState(0)
    >>> kind = rng.choice(["cat", "horse"], 500)
    >>> kg = np.where(kind == "cat", 4, 500) * rng.uniform(0.8, 1.2, 500)
    >>> X = pd.DataFrame({"kind": kind, "kg": kg})
    >>> X.loc[::10, "kg"] = np.nan
    >>> detector = MixedVAEDetector(contamination=0.01, random_state=0).fit(X)
    >>> new = pd.DataFrame({"kind": ["cat", "cat", "fish"], "kg": [4.2, 480.0, np.nan]})
    >>> detector.predict(new)
    array([ 1, -1, -1])
    >>> detector.column_kinds_
    ['category', 'number']
    """

    _variational = True
    _fits_on_one_thread = True
    _network_parameters = ("hidden_layer_sizes", "activation")
    # One for each kind of column; an output for each likelihood.
    likelihood = output_activation = None

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in BaseDetector._parameter_constraints.items()
            if name not in ("likelihood", "output_activation")
        },
        "beta": [Interval(Real, 0, None, closed="left")],
        "categorical_features": ["array-like", StrOptions({FROM_DTYPE}), None],
        "max_categories": [Interval(Integral, 2, None, closed="left")],
    }

    def __init__(
        self,
        *,
        categorical_features=FROM_DTYPE,
        max_categories=20,
        latent_dim=8,
        hidden_layer_sizes=(64, 32),
        activation="relu",
        beta=1.0,
        contamination=0.1,
        score=DEFAULT_SCORE,
        threshold="percentile",
        percentile=None,
        calibration_fraction=None,
        train_on="all",
        anomaly_weight=0.0,
        max_steps=1500,
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
        self.categorical_features = categorical_features
        self.max_categories = max_categories
        self.latent_dim = latent_dim
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.beta = beta
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

    # -- input ----------------------------------------------------------------------------------

    def _frame(self, X, reset):
        """X as a DataFrame whose names, number of columns and number of rows are checked."""
        table = validated_table(self, X, reset, ensure_all_finite="allow-nan")
        return table if isinstance(table, pd.DataFrame) else pd.DataFrame(table)

    def _validate_rows(self, X):
        frame = self._frame(X, reset=True)
        self._check_goes_on(frame)
        if not self._goes_on:
            self._columns = Columns.of(frame, self.categorical_features)
            self.column_kinds_ = list(self._columns.kinds)
            if isinstance(self.categorical_features, str):
                warn_of_text(frame, self._columns)
        return self._read_frame(frame)

    def _read(self, X):
        check_is_fitted(self)
        rows = self._read_frame(self._frame(X, reset=False))
        return rows, (X.index, X.columns) if isinstance(X, pd.DataFrame) else ()

    def _read_frame(self, frame):
        rows = self._columns.read(frame)
        check_magnitude(np.nan_to_num(rows), rows, self._names)
        return rows

    @property
    def _names(self):
        return list(getattr(self, "feature_names_in_", range(self.n_features_in_)))

    def _fit_scaler(self, X):
        if self._goes_on:
            return
        empty = np.flatnonzero(np.isnan(X).all(0))
        if len(empty):
            raise ValueError(
                f"column {self._names[empty[0]]!r} holds nothing but missing values in the "
                f"{len(X)} rows that are trained on; drop it."
            )
        self._encoding = Encoding.of(self._columns, X, self.max_categories)

    def _rows_to_train(self, X, labels):
        return self._encoded(X, self.device_)

    def _network_rows(self, X):
        return self._encoded(X, self._module_device)

    def _encoded(self, X, device):
        n_numbers = self._encoding.shape[0]
        x = self._encoding.encode(X)
        if n_numbers:
            owners = self._encoding.owners[:n_numbers]
            check_magnitude(x[:, :n_numbers], X[:, owners], [self._names[i] for i in owners])
        return torch.as_tensor(x, dtype=torch.float32, device=device)

    # -- network --------------------------------------------------------------------------------

    def _input_shape(self, X):
        return self._encoding.shape

    def _architecture(self, shape):
        names = ("latent_dim", *self._network_parameters, "max_categories", "n_estimators")
        known = {"n_features": self.n_features_in_, "encoded_shape": shape}
        return known | {name: getattr(self, name) for name in names}

    def _build_network(self, shape, generator):
        return MixedAutoencoder(
            shape,
            min(self.latent_dim, sum(shape)),
            sizes(self.hidden_layer_sizes),
            activation=self.activation,
            generator=generator,
        )

    def _build_likelihood(self, shape):
        return Mixed(shape)

    def _members(self, x, seeds):
        members = super()._members(x, seeds)
        for member in members:
            member.autoencoder.likelihood.smooth(self._encoding.n_known, self._encoding.sizes)
            member.autoencoder.network.cells = tuple(self._encoding.owners.tolist())
        return members

    def _stacks_with(self, plan):
        together = super()._stacks_with(plan)
        # Which values are hidden together is that of the first of a stack.
        return together and together + repr(self.column_kinds_)

    def _make_score(self):
        return GapCorrected(super()._make_score())

    # -- output ---------------------------------------------------------------------------------

    def reconstruct(self, X):
        """What the network makes of each row: what it would expect in every cell, missing or not.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Rows as in ``fit``.

        Returns
        -------
        X_hat : DataFrame or ndarray of shape (n_samples, n_features)
            As ``X`` is. Numbers and dates in its units; of categories and booleans the most
            probable one, never one that is grouped as infrequent.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or infinite values.
        """
        rows, layout = self._read(X)

        def expected(x, output, error):
            z = padded(output.latent.transpose(0, 1), self._block_size).transpose(0, 1)
            return self.net_.module_.network.decode(z)[:, : len(x)].mean(0)

        return self._restored(self._by_block(expected, rows), layout)

    def error_map(self, X):
        """Share of each column in the anomaly score, beyond what is usual of that column.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_samples, n_features)
            Rows as in ``fit``.

        Returns
        -------
        error_map : DataFrame or ndarray of shape (n_samples, n_features)
            As ``X`` is. Higher = more of the anomaly lies in that column, in the units of the
            score; what its cells are encoded in is summed, and ``usual_error_map_`` subtracted,
            without which kinds of columns could not be compared. 0 where a cell is missing.

        Raises
        ------
        ValueError
            If ``X`` has other columns than in ``fit``, or infinite values.
        """
        return super().error_map(X)

    def _error_maps(self, X):
        return np.where(np.isnan(X), 0.0, self._summed_maps(X) - self.usual_error_map_)

    def _summed_maps(self, X):
        """Maps whose values are summed over what a column is encoded in."""
        maps = super()._error_maps(X)
        order = np.argsort(self._encoding.owners, kind="stable")
        starts = np.searchsorted(self._encoding.owners[order], range(self.n_features_in_))
        return np.add.reduceat(maps[:, order], starts, axis=1)

    def _fit_map_scale(self, X):
        some = X[spread_rows(len(X), MAX_MAP_ROWS)]
        columns = zip(self._summed_maps(some).T, ~np.isnan(some).T, strict=True)
        self.usual_error_map_ = np.array(
            [np.median(errors[known]) if known.any() else 0.0 for errors, known in columns]
        )
        return map_scale(self._error_maps(some))

    def _contained(self, values, X):
        if isinstance(X, pd.DataFrame):
            values = pd.DataFrame(values, index=X.index, columns=X.columns)
        return super()._contained(values, X)

    def _restored(self, x_hat, layout=None):
        if layout is None:  # that of ``fit``
            named = hasattr(self, "feature_names_in_")
            layout = (None, self.feature_names_in_) if named else ()
        frame = self._columns.frame(self._encoding.decode(x_hat), *layout)
        return frame if layout else frame.to_numpy()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags
