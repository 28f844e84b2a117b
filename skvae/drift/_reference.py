"""The reference rows, and two-sample statistics of a batch, or of batches drawn from them.

The statistics stand in one array: Kolmogorov-Smirnov (KS) of each latent, KS of the scores, and the
squared MMD of the latents; without latents, KS of the scores alone.
"""

import math

import numpy as np
from scipy.spatial.distance import pdist

# The median of so many rows' distances is sure to a per cent.
BANDWIDTH_ROWS = 1000
BLOCK_VALUES = 2_000_000


class Reference:
    """Reference rows, ready to be compared with batches.

    Parameters
    ----------
    columns : ndarray of shape (n_latents + 1, n_rows)
        The latents, and the scores as the last.
    points : ndarray of float32 of shape (n_rows, n_latents) or None
        Latents as `in_bandwidths` gives them.
    """

    def __init__(self, columns, points):
        self.n_rows = columns.shape[1]
        self._columns, self._points = columns, points
        self._sorted = np.sort(columns, axis=1)
        self._similarity = None if points is None else _mean_kernel(points, points)

    def take(self, rows):
        """Return the reference that these rows alone make."""
        return Reference(
            self._columns[:, rows], None if self._points is None else self._points[rows]
        )

    def of_tests(self, values):
        """Statistic of each test, of an array whose last axis holds all the statistics."""
        if self._points is None:
            return {"score_ks": values[..., 0]}
        return {
            "latent_mmd": values[..., -1],
            "latent_ks": values[..., :-2].max(axis=-1),
            "score_ks": values[..., -2],
        }

    def statistics(self, columns, points):
        """Statistics of a batch of its own against all the rows."""
        ks = _ks(*self._ranks(np.sort(columns, axis=1)), self.n_rows)
        if points is not None:
            ks = np.append(ks, self._squared_mmd(points, _mean_kernel(points, self._points)))
        return _without_rounding_errors(ks)

    def resampled(self, n, n_resamples, rng):
        """Statistics of batches of ``n`` of the rows, each against the rows that it leaves."""
        m = self.n_rows
        left, right = self._ranks(self._columns)
        n_ks = len(left)
        values = np.empty((n_resamples, n_ks + (self._points is not None)))
        for b in range(n_resamples):
            rows = rng.choice(m, n, replace=False, shuffle=False)
            values[b, :n_ks] = _ks(np.sort(left[:, rows]), np.sort(right[:, rows]), m)
            if self._points is not None:
                values[b, -1] = self._squared_mmd(self._points[rows], self._similarity[rows])
        # So far against all the rows, the batch among them: without it the difference of
        # distributions, and of mean embeddings, is m / (m - n) times that.
        values *= m / (m - n)
        values[:, n_ks:] *= m / (m - n)  # the MMD is squared
        return _without_rounding_errors(values)

    def _ranks(self, values):
        """How many reference values are below each value of a column, and how many not above."""
        pairs = list(zip(self._sorted, values, strict=True))
        return tuple(
            np.array([np.searchsorted(ref, own, side) for ref, own in pairs], dtype=np.int32)
            for side in ("left", "right")
        )

    def _squared_mmd(self, points, similarity):
        """Biased estimate; ``similarity`` is the mean kernel of each point with the reference."""
        within = _mean_kernel(points, points).mean()
        return max(within - 2 * similarity.mean() + self._similarity.mean(), 0.0)


def _without_rounding_errors(values):
    # KS statistics take few values, and equal ones must be equal to be ranked.
    return np.round(values, 12)


def _ks(left, right, m):
    """Two-sample KS statistics, one a row, from where sorted batches stand in the reference.

    Parameters
    ----------
    left, right : ndarray of shape (n_columns, n)
        How many of the ``m`` reference values are below each batch value, and how many not above.
    """
    n = left.shape[1]
    steps = np.arange(n + 1) / n
    above = (steps[1:] - right / m).max(axis=1)
    below = (left / m - steps[:-1]).max(axis=1)
    return np.maximum(above, below)


def median_bandwidth(latents, rng):
    """Square root of half the median squared distance of two latents that are not the same."""
    rows = rng.permutation(len(latents))[:BANDWIDTH_ROWS]
    distances = pdist(latents[rows])
    distances = distances[distances > 0]
    return float(np.median(distances) / math.sqrt(2)) if len(distances) else 1.0


def in_bandwidths(latents, center, bandwidth):
    """Latents in bandwidths about ``center``, as float32."""
    # 50 bandwidths away the kernel is zero, and further out float32 loses the digits.
    return np.clip((latents - center) / bandwidth, -50, 50).astype(np.float32)


def _mean_kernel(points, others):
    """Mean over ``others`` of ``exp(-||point - other||**2 / 2)``, for each point."""
    half = 0.5 * (others * others).sum(axis=1)
    means = np.empty(len(points))
    step = max(1, BLOCK_VALUES // len(others))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        kernel = block @ others.T
        kernel -= 0.5 * (block * block).sum(axis=1)[:, None]
        kernel -= half
        np.exp(kernel, out=kernel)
        means[start : start + step] = kernel.mean(axis=1, dtype=np.float64)
    return means
