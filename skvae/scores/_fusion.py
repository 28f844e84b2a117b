"""Several scores as one: their mean, their smooth maximum, and the mean over an ensemble."""

import math

import numpy as np
from scipy.special import logsumexp

from skvae.scores._base import Score
from skvae.scores._blocks import as_array

# Of the values of trusted maps, the share that a fused map shows as below 1.
MAP_QUANTILE = 0.995
# It is taken of about so many values of as many images.
MAP_VALUES = 1 << 22


class Combined(Score):
    """Mean of several scores, each as a z-score calibrated on held-out trusted rows."""

    def __init__(self, scores):
        self.scores = scores
        self.needs_posterior = any(score.needs_posterior for score in scores)
        self.images_only = any(score.images_only for score in scores)

    @property
    def needs_parts(self):
        return frozenset().union(*(score.needs_parts for score in self.scores))

    def fit(self, x, output, error, autoencoder, random_state):
        held_out = []
        for score in self.scores:
            score.fit(x, output, error, autoencoder, random_state)
            held_out.append(as_array(score.held_out(x, output, error)))
        self.means_ = np.array([scores.mean() for scores in held_out])
        self.scales_ = np.array([spread(scores) for scores in held_out])
        return self

    def __call__(self, x, output, error):
        parts = np.stack([as_array(score(x, output, error)) for score in self.scores], 1)
        return ((parts - self.means_) / self.scales_).mean(1)

    def error_map(self, x, output, error):
        """Maps of the scores, added with the weights of the scores."""
        maps = [as_array(score.error_map(x, output, error)) for score in self.scores]
        return sum(m / s for m, s in zip(maps, self.scales_, strict=True)) / len(maps)


class SmoothMax(Score):
    """Smooth maximum ``log mean exp z`` of several scores, each calibrated on trusted rows.

    The maximum asks for one score that stands out, where a mean would ask for all: each of them is
    blind to some anomalies. A score is calibrated as ``z = (s - median) / spread`` of its held-out
    values, on the log scale where it is positive; the spread is half the distance from the 16th to
    the 84th percentile.

    Parameters
    ----------
    scores : list of Score
    """

    def __init__(self, scores):
        self.scores = scores
        self.needs_posterior = any(score.needs_posterior for score in scores)
        self.images_only = any(score.images_only for score in scores)
        self.has_map = any(score.has_map for score in scores)

    @property
    def needs_parts(self):
        return frozenset().union(*(score.needs_parts for score in self.scores))

    def fit(self, x, output, error, autoencoder, random_state):
        self.medians_, self.spreads_, self.map_scales_ = [], [], []
        for score in self.scores:
            score.fit(x, output, error, autoencoder, random_state)
            low, median, high = np.quantile(
                _on_log_scale(score, score.held_out(x, output, error)), [0.16, 0.5, 0.84]
            )
            self.medians_.append(median)
            self.spreads_.append((high - low) / 2 if high - low > 1e-9 * abs(median) else 1.0)
            if score.has_map:
                pixels = as_array(score.error_map(*_some_rows(x, output, error)))
                self.map_scales_.append(np.quantile(pixels, MAP_QUANTILE) or 1.0)
            else:
                self.map_scales_.append(None)
        return self

    def _fused(self, values):
        values = [_on_log_scale(*pair) for pair in zip(self.scores, values, strict=True)]
        z_scores = (np.stack(values, 1) - self.medians_) / self.spreads_
        return logsumexp(z_scores, axis=1) - np.log(len(self.scores))

    def __call__(self, x, output, error):
        return self._fused([score(x, output, error) for score in self.scores])

    def held_out(self, x, output, error):
        return self._fused([score.held_out(x, output, error) for score in self.scores])

    def error_map(self, x, output, error):
        """Sum of the scores' maps, each over its 99.5th percentile on trusted rows."""
        maps = [
            as_array(score.error_map(x, output, error)) / scale
            for score, scale in zip(self.scores, self.map_scales_, strict=True)
            if scale is not None
        ]
        return sum(maps) if maps else error


def _some_rows(x, output, error):
    """Rows spread evenly, so that they hold few enough values; all of them if they do."""
    step = math.ceil(x.numel() / MAP_VALUES)
    return x[::step], output.map(lambda tensor: tensor[::step]), error[::step]


def _on_log_scale(score, values):
    values = as_array(values)
    return np.log(np.maximum(values, 1e-12)) if score.positive else values


class Ensemble:
    """Mean of the scores of several networks; of one network, its score as it is.

    The members' scores are first given one mean and one spread on held-out trusted rows: the mean
    of the members' own, so that the units stay those of the score.
    """

    def __init__(self, scores):
        self.scores = scores
        self.needs_fit = len(scores) > 1 or scores[0].needs_fit

    def fit(self, x, output, error, autoencoders, seeds, labelled=None):
        """Fit each member's score; ``output`` and ``error`` have their member dimension.

        ``labelled`` are rows to learn of that need not be trusted, with output, error, and a mask
        of those that are anomalies.
        """
        held_out = []
        for i, score in enumerate(self.scores):
            own = x, output.member(i), error[i]
            score.fit(*own, autoencoders[i], seeds[i])
            if labelled is not None:
                rows, their_output, their_error, is_anomaly = labelled
                score.learn(rows, their_output.member(i), their_error[i], is_anomaly)
            if len(self.scores) > 1:
                held_out.append(as_array(score.held_out(*own)))
        if len(self.scores) > 1:
            self.means_ = np.array([scores.mean() for scores in held_out])
            self.scales_ = np.array([spread(scores) for scores in held_out])
        return self

    def by_member(self, x, output, error):
        """Comparable scores of each member, shape (n_samples, n_members)."""
        return self._comparable(self.scores, x, output, error)

    def held_out(self, x, output, error):
        """Scores of the rows of the last ``fit``, as if they had not been in it."""
        own = [score.held_out for score in self.scores]
        return self._comparable(own, x, output, error).mean(1)

    def _comparable(self, functions, x, output, error):
        own = [as_array(score(x, output.member(i), error[i])) for i, score in enumerate(functions)]
        scores = np.stack(own, 1)
        if len(self.scores) == 1:
            return scores
        return self.means_.mean() + self.scales_.mean() * (scores - self.means_) / self.scales_

    def __call__(self, x, output, error):
        return self.by_member(x, output, error).mean(1)

    def error_map(self, x, output, error):
        """Mean of the members' maps, each scaled as its score is."""
        maps = [
            as_array(score.error_map(x, output.member(i), error[i]))
            for i, score in enumerate(self.scores)
        ]
        if len(maps) == 1:
            return maps[0]
        weights = self.scales_.mean() / self.scales_ / len(maps)
        return sum(weight * values for weight, values in zip(weights, maps, strict=True))


def spread(scores):
    """Standard deviation; 1 where nothing but rounding tells the scores apart."""
    deviation = scores.std()
    return deviation if deviation > 1e-9 * max(1.0, abs(scores.mean())) else 1.0
