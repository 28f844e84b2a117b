"""From rows to scores, latents, reconstructions and error maps: the road through the network."""

import numpy as np
import torch
from sklearn.base import TransformerMixin
from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from skvae.base._input import check_magnitude, naming_the_column, scaled
from skvae.networks import Output
from skvae.scores import BLOCK_ROWS, padded

BLOCKS_PER_SCALING = 16


class RoadMixin(TransformerMixin):
    """What a fitted detector does with rows, block by block.

    Public methods validate; their private twins take rows that are validated already.
    """

    def anomaly_score(self, X):
        """Anomaly score of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of float64 of shape (n_samples,)
            Higher = more anomalous; in the units of the chosen ``score``.
        """
        return self._anomaly_scores(self._validate(X))

    def error_map(self, X):
        """Share of each feature in the anomaly score.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        error_map : ndarray or DataFrame of shape (n_samples, n_features)
            Higher = more of the anomaly lies in that feature, in the units of the score. With
            ``score="reconstruction"``, "standardized", "mahalanobis" or
            "reconstruction_probability" a row sums to its anomaly score; what a score takes from
            the latents belongs to no feature and is left out. "latent", "iwae" and functions have
            no such shares: theirs is the error map of the likelihood. For the default a row is
            the residuals' share in the two z-scores, which says something of rows that stand out.
            A DataFrame with the columns of ``X`` after ``set_output(transform="pandas")``.
        """
        values = self._by_block(self.score_.error_map, self._validate(X))
        container = _get_output_config("transform", self)["dense"]
        if container == "default":
            return values
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{i}" for i in range(self.n_features_in_)]
        adapter = ADAPTERS_MANAGER.adapters[container]
        return adapter.create_container(values, X, columns=list(names))

    def reconstruct(self, X):
        """What the network makes of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features)
            In the units of ``X``.

        Raises
        ------
        ValueError
            If the scaler is a transformer without ``inverse_transform``.
        """
        X = self._validate(X)
        return self._unscaled(self._by_block(lambda x, output, error: output.x_hat, X))

    def transform(self, X):
        """Latent means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Z : ndarray of float32 of shape (n_samples, latent_dim_)
        """
        return self._by_block(
            lambda x, output, error: output.latent, self._validate(X), dtype=np.float32
        )

    def inverse_transform(self, Z):
        """Decode latents.

        Parameters
        ----------
        Z : array-like of shape (n_samples, latent_dim_)

        Returns
        -------
        X_hat : ndarray of shape (n_samples, n_features)
            In the units of the training data.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float32, input_name="Z")
        if Z.shape[1] != self.latent_dim_:
            raise ValueError(f"Z has {Z.shape[1]} columns, but latent_dim_ is {self.latent_dim_}.")
        decode = self.net_.module_.network.decode
        z = torch.as_tensor(Z, device=self._module_device)
        with torch.inference_mode():
            parts = [decode(padded(part)[None])[0, : len(part)] for part in z.split(BLOCK_ROWS)]
        return self._unscaled(torch.cat(parts).cpu().numpy())

    # -- the road, for rows that are validated already ---------------------------------------

    def _validate(self, X):
        check_is_fitted(self)
        with naming_the_column(X):
            return validate_data(self, X, dtype=[np.float64, np.float32], reset=False)

    def _anomaly_scores(self, X):
        return self._by_block(self.score_, X)

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
        """Scaled rows, network output without its member dimension, and error map.

        The network sees blocks of one fixed shape, the last one padded, so that the bits of a
        row's score do not depend on the rows beside it.
        """
        module = self.net_.module_.eval()
        device = self._module_device
        # Scalers validate, which costs as much as the network does; so they get many blocks.
        for start in range(0, len(X), BLOCKS_PER_SCALING * BLOCK_ROWS):
            raw = X[start : start + BLOCKS_PER_SCALING * BLOCK_ROWS]
            rows = scaled(raw, self.scaler_, device)
            self._check_magnitude(rows, raw)
            for x in rows.split(BLOCK_ROWS):
                n = len(x)
                output, error = module(padded(x))
                output = Output(*(None if part is None else part[0, :n] for part in output))
                yield x, output, error[0, :n]

    @property
    def _module_device(self):
        return next(self.net_.module_.parameters()).device

    def _unscaled(self, x_hat):
        if self.scaler_ is None:
            return x_hat
        if not hasattr(self.scaler_, "inverse_transform"):
            raise ValueError(f"{self.scaler_!r} has no inverse_transform to get back to X.")
        return self.scaler_.inverse_transform(x_hat)

    def _check_magnitude(self, values, X):
        check_magnitude(values, X, getattr(self, "feature_names_in_", None))
