"""From rows to scores, latents, reconstructions and error maps: the road through the network."""

from operator import itemgetter

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skvae.base._input import check_magnitude, naming_the_column, scaled
from skvae.scores import BLOCK_ROWS, Iwae, padded, row_sums

# Scalers validate, which costs as much as the network does; so they get many blocks at once.
BLOCKS_PER_SCALING = 16
# Of the values of error maps, those beyond the ends of the scale that they are drawn in.
BEYOND_SCALE = 0.001


def map_scale(error_map):
    """Ends of a scale for error maps like these: a few of their values may lie beyond it.

    The low end is the 0.1 % quantile or zero, whichever is lower, the high end the 99.9 % quantile.
    """
    low, high = np.quantile(error_map, [BEYOND_SCALE, 1 - BEYOND_SCALE]).tolist()
    low = min(low, 0.0)
    return low, high if high > low else low + 1.0  # all alike


class RoadMixin(TransformerMixin):
    """What a fitted detector does with rows, block by block.

    Public methods validate; their private twins take rows that are validated already.
    """

    def anomaly_score(self, X, return_std=False):
        """Anomaly score of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.
        return_std : bool, default=False
            Whether to return the spread over the members of an ensemble as well.

        Returns
        -------
        scores : ndarray of float64 of shape (n_samples,)
            Higher = more anomalous; in the units of the chosen ``score``. Of an ensemble, the mean
            of `member_scores`.
        std : ndarray of float64 of shape (n_samples,)
            Only with ``return_std``: standard deviation of `member_scores`, how far the members
            disagree about the row.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses; or
            if ``return_std`` is asked of a single network.
        """
        if not return_std:
            return self._anomaly_scores(self._validate(X))
        scores = self.member_scores(X)
        if scores.shape[1] == 1:
            raise ValueError("return_std needs several networks: fit with n_estimators=5, say.")
        return scores.mean(1), scores.std(1)

    def member_scores(self, X):
        """Anomaly scores by each member of the ensemble.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        scores : ndarray of float64 of shape (n_samples, n_estimators)
            Each member's scores are shifted and scaled so that all have the same mean and spread
            on the trusted training rows; their mean is the anomaly score.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        return self._by_block(self.score_.by_member, self._validate(X))

    def log_likelihood(self, X):
        """Lower bound of the log-likelihood of each row, whatever the ``score``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        log_likelihood : ndarray of float64 of shape (n_samples,)
            In nats, of the scaled row; higher = more normal. With a posterior, the
            importance-weighted bound over the few draws that ``score="iwae"`` takes
            (arXiv:1509.00519); without one, ``log p(x|z)`` at the code, which only says how well
            codes are decoded. The mean over the members of an ensemble. With ``likelihood="mse"``
            the errors are squares and no nats.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        validated = self._validate(X)
        autoencoders = self.net_.module_.unstack()

        def bound(x, output, error):
            own = [(x, output.member(i), error[i]) for i in range(len(autoencoders))]
            if output.log_var is None:
                return -torch.stack([row_sums(each) for each in error]).mean(0)
            pairs = zip(own, autoencoders, strict=True)
            return -np.mean([Iwae().fit(*each, one, 0)(*each) for each, one in pairs], axis=0)

        return self._by_block(bound, validated)

    def error_map(self, X):
        """Error of each feature: where a row is unusual, as far as its score can be divided.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        error_map : ndarray or DataFrame of shape (n_samples, n_features)
            Higher = more unusual in that feature, in the units of the score where it is shared
            out among features. With
            ``score="reconstruction"``, "standardized", "mahalanobis", "denoising" or
            "reconstruction_probability" a row sums to its anomaly score (of one network; the
            calibration of an ensemble adds a constant); what a score takes from the latents
            belongs to no feature and is left out. "latent", "iwae" and functions have no such
            shares: theirs is the error map of the likelihood. For the default a row is the
            residuals' share in the two z-scores, which says something of rows that stand out.
            A DataFrame with the columns of ``X`` after ``set_output(transform="pandas")``.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        rows, layout = self._read(X)
        return self._contained(self._arranged(self._error_maps(rows), layout), X)

    def reconstruct(self, X):
        """What the network makes of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features)
            In the units of ``X``.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses; or
            if the scaler is a transformer without ``inverse_transform``.
        """
        rows, layout = self._read(X)
        x_hat = self._by_block(lambda x, output, error: output.x_hat.mean(0), rows)
        return self._restored(x_hat, layout)

    def transform(self, X):
        """Latent means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or images
            Rows as in ``fit``.

        Returns
        -------
        Z : ndarray of float32 of shape (n_samples, n_latents)
            ``latent_dim_`` columns; those of the members of an ensemble stand side by side.

        Raises
        ------
        ValueError
            If ``X`` has rows of another shape than in ``fit``, or values that ``fit`` refuses.
        """
        return self._by_block(
            lambda x, output, error: output.latent.transpose(0, 1).flatten(1),
            self._validate(X),
            dtype=np.float32,
        )

    def inverse_transform(self, Z):
        """Decode latents.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_latents)
            As ``transform`` returns them.

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features)
            In the units of the training data; the mean over the members of an ensemble.

        Raises
        ------
        ValueError
            If ``Z`` has other columns than ``transform`` makes, or the scaler is a transformer
            without ``inverse_transform``.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float32, input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but transform makes {self._n_features_out}."
            )
        network = self.net_.module_.network
        z = torch.as_tensor(Z, device=self._module_device)
        parts = []
        with torch.inference_mode():
            for part in z.split(self._block_size):
                codes = padded(part, self._block_size)
                members = codes.unflatten(1, (network.n_members, -1)).transpose(0, 1)
                parts.append(network.decode(members)[:, : len(part)].mean(0))
        return self._restored(torch.cat(parts).double().cpu().numpy())

    # -- the road, for rows that are validated already ---------------------------------------

    # What detectors of images do in their own way: `_read`, `_network_rows`, `_network_blocks`,
    # `_arranged` and `_restored`, in blocks of `_block_size` rows.

    _block_size = BLOCK_ROWS

    def _validate(self, X):
        return self._read(X)[0]

    def _read(self, X):
        """Rows that are validated, and the layout that X has them in, None for a table."""
        check_is_fitted(self)
        with naming_the_column(X):
            return validate_data(self, X, dtype=[np.float64, np.float32], reset=False), None

    def _network_rows(self, X):
        """Validated rows as the network takes them."""
        x = scaled(X, self.scaler_, self._module_device)
        self._check_magnitude(x, X)
        return x

    def _arranged(self, values, layout):
        """Values a feature, such as an error map, in the layout of X."""
        return values

    def _contained(self, values, X):
        """A row of values a feature as ``set_output`` wants it."""
        container = _get_output_config("transform", self)["dense"]
        if container == "default" or values.ndim != 2:
            return values
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{i}" for i in range(self.n_features_in_)]
        adapter = ADAPTERS_MANAGER.adapters[container]
        return adapter.create_container(values, X, columns=list(names))

    def _restored(self, x_hat, layout=None):
        """What the network decoded, in the units and the layout of X; None is that of ``fit``."""
        if self.scaler_ is None:
            return x_hat
        if not hasattr(self.scaler_, "inverse_transform"):
            raise ValueError(f"{self.scaler_!r} has no inverse_transform to get back to X.")
        return self.scaler_.inverse_transform(x_hat)

    def _anomaly_scores(self, X):
        return self._by_block(self.score_, X)

    def _error_maps(self, X):
        return self._by_block(self.score_.error_map, X)

    def _by_block(self, function, X, dtype=np.float64):
        """``function(x, output, error)`` of all rows, evaluated block by block."""
        results = None
        with torch.inference_mode():
            start = 0
            for x, output, error in self._blocks(X):
                values = function(x, output, error)
                values = values.cpu().numpy() if torch.is_tensor(values) else np.asarray(values)
                if results is None:
                    results = np.empty((len(X), *values.shape[1:]), dtype)
                results[start : start + len(x)] = values
                start += len(x)
        return results

    def _blocks(self, X):
        """Scaled rows, network output and error map, these two with their member dimension.

        The network sees blocks of one fixed shape, the last one padded, so that the bits of a
        row's score do not depend on the rows beside it.
        """
        self.net_.module_.eval()
        size = self._block_size
        for x in self._network_blocks(X):
            output, error = self._evaluated(padded(x, size))
            without_padding = itemgetter((slice(None), slice(len(x))))
            yield x, output.map(without_padding), without_padding(error)

    def _evaluated(self, rows):
        """Output and error map of rows as the network takes them."""
        return self.net_.module_(rows)

    def _network_blocks(self, X):
        """Rows as the network takes them, in blocks of at most `_block_size`."""
        step = BLOCKS_PER_SCALING * self._block_size
        for start in range(0, len(X), step):
            yield from self._network_rows(X[start : start + step]).split(self._block_size)

    @property
    def _module_device(self):
        return next(self.net_.module_.parameters()).device

    def _check_magnitude(self, values, X):
        check_magnitude(values, X, getattr(self, "feature_names_in_", None))
