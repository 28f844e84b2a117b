"""A score that a few labelled anomalies correct."""

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit

from skvae.scores._base import Score
from skvae.scores._blocks import as_array, scale_of
from skvae.scores._fusion import spread

# Precisions of the normal priors: of the weight of the score about 1, of all others about 0.
SCORE_PRECISION = 1.0
FEATURE_PRECISION = 2.0
# A column that hardly varies among trusted rows must not outweigh all others for ever.
SCALE_FLOOR = 0.01


class Labelled(Score):
    """Another score, plus what tells labelled anomalies from the other rows, as log-odds.

    With the z-score ``z(x)`` of the other score on held-out trusted rows, and with latents and
    columns standardised by trusted rows, ``f``, the score of a row is

        a(x) = w asinh z(x) + sum_j (u_j g(f_j) + v_j |g(f_j)|),   g(f) = sign(f) log(1 + |f|).

    The weights minimise, for k labelled anomalies and n others, which hold all that is not known,

        sum_anomalies softplus(-a - b) + k/n sum_others softplus(a + b)
            + (w - 1)^2 / 2 + |u|^2 + |v|^2,   w >= 0:

    a logistic regression whose prior is the other score. One label hardly moves it, many do; where
    labels say nothing the ranking is the other score's. That some of the others are anomalies
    changes no ranking, as long as the labelled ones are a fair sample of them (Elkan and Noto 2008,
    Learning classifiers from only positive and unlabeled data, KDD). Columns of images are left
    out: pixels are too many for few labels.

    Parameters
    ----------
    score : Score
    """

    def __init__(self, score):
        self.score = score
        self.needs_posterior = score.needs_posterior
        self.images_only = score.images_only
        self.has_map = score.has_map

    @property
    def needs_parts(self):
        return self.score.needs_parts

    def fit(self, x, output, error, autoencoder, random_state):
        self.score.fit(x, output, error, autoencoder, random_state)
        held_out = as_array(self.score.held_out(x, output, error))
        self.mean_, self.spread_ = held_out.mean(), spread(held_out)
        if x.ndim == 2:
            # What is reproduced to the last bit in every row is given, such as a context.
            self.is_judged_ = (x != output.x_hat).any(0).to(x.dtype)
        features = self._raw(x, output)
        self.feature_mean_ = features.mean(0)
        floor = torch.full_like(self.feature_mean_, SCALE_FLOOR)
        self.feature_scale_ = scale_of(features, floor)
        return self

    def learn(self, x, output, error, is_anomaly):
        """Learn of labelled anomalies and of other rows; ``fit`` must have been called."""
        z = self._asinh(self.score(x, output, error))
        columns = np.c_[z, self._features(x, output)]
        weights = _fit_weights(columns, is_anomaly)
        self.score_weight_, self.weights_ = float(weights[0]), weights[1:]
        return self

    def _raw(self, x, output):
        """Latents, and columns of tables before them; 0 for columns that are not judged."""
        if x.ndim > 2:
            return output.latent
        return torch.cat([x * self.is_judged_, output.latent], 1)

    def _features(self, x, output):
        raw = as_array((self._raw(x, output) - self.feature_mean_) / self.feature_scale_)
        size = np.log1p(np.abs(raw))
        return np.concatenate([np.sign(raw) * size, size], 1)

    def _asinh(self, scores):
        return np.arcsinh((as_array(scores) - self.mean_) / self.spread_)

    def _corrected(self, scores, x, output):
        # Not a matrix product, which rounds by the rows beside a row.
        correction = (self._features(x, output) * self.weights_).sum(1)
        return self.score_weight_ * self._asinh(scores) + correction

    def __call__(self, x, output, error):
        return self._corrected(self.score(x, output, error), x, output)

    def held_out(self, x, output, error):
        return self._corrected(self.score.held_out(x, output, error), x, output)

    def error_map(self, x, output, error):
        """The other score's map in its z-scores, plus each column's terms."""
        own = self.score_weight_ * as_array(self.score.error_map(x, output, error)) / self.spread_
        if x.ndim > 2:
            return own
        terms = self._features(x, output) * self.weights_
        n_features, half = x.shape[1], terms.shape[1] // 2
        return own + terms[:, :n_features] + terms[:, half : half + n_features]


def _fit_weights(columns, is_anomaly):
    """Weights of the columns, the first of them the score."""
    sign = np.where(is_anomaly, 1.0, -1.0)
    n_anomalies = is_anomaly.sum()
    share = np.where(is_anomaly, 1.0, n_anomalies / (len(is_anomaly) - n_anomalies))
    prior = np.zeros(columns.shape[1])
    prior[0] = 1.0
    precision = np.full(len(prior), FEATURE_PRECISION)
    precision[0] = SCORE_PRECISION

    def loss_and_gradient(parameters):
        weights, intercept = parameters[:-1], parameters[-1]
        margin = sign * (columns @ weights + intercept)
        pull = -share * sign * expit(-margin)
        deviation = weights - prior
        loss = (share * np.logaddexp(0, -margin)).sum() + 0.5 * precision @ deviation**2
        return loss, np.append(columns.T @ pull + precision * deviation, pull.sum())

    bounds = [(0, None), *[(None, None)] * len(prior[1:]), (None, None)]
    start = np.append(prior, 0.0)
    options = {"maxiter": 200}
    found = minimize(
        loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return found.x[:-1]
