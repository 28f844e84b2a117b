"""A score by which rows with missing cells can be compared with those that have none."""

from operator import itemgetter

import numpy as np
import torch
from scipy.stats import trim_mean

from skvae.scores._base import Score
from skvae.scores._blocks import as_array

# Fewer rows tell nothing of what a missing cell does.
MIN_ROWS = 20
# Of the changes of a score, those at either end that are left out: densities have heavy tails.
TRIM = 0.05


class GapCorrected(Score):
    """Another score, in which a missing cell counts as it does on average among trusted rows.

    A row of which less is known has a score of fewer terms. The effect of a cell is the trimmed
    mean of how the score changes where it is taken away from trusted rows, and of a row with gaps
    the effects of its missing cells are subtracted. Rows without gaps keep their scores.

    Parameters
    ----------
    score : Score

    Attributes
    ----------
    effects_ : ndarray of shape (n_cells,)
        In the units of the score.
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
        self.tells_known_ = autoencoder.network.tells_known().to(x.device)
        self.effects_ = self._effects(x, output, error, autoencoder, random_state)
        self.score.fit(x, output, error, autoencoder, random_state)
        return self

    def _effects(self, x, output, error, autoencoder, random_state):
        """Mean change of the score over rows that lost the same cell; one is drawn for each row.

        It is fitted on one half of the rows and judges the other: it would know rows that it was
        fitted on, even where a cell of them is missing.
        """
        network = autoencoder.network
        if len(x) < MIN_ROWS:
            return np.zeros(network.n_cells)
        rng = np.random.RandomState(random_state)
        order = torch.as_tensor(rng.permutation(len(x)), device=x.device)
        fitted, new = order[len(x) // 2 :], order[: len(x) // 2]
        own = x[fitted], output.map(itemgetter(fitted)), error[fitted]
        self.score.fit(*own, autoencoder, random_state)
        x, output, error = x[new], output.map(itemgetter(new)), error[new]
        taken = rng.randint(network.n_cells, size=len(x))
        cells = torch.tensor(network.cells, device=x.device)
        fewer = x.masked_fill(torch.as_tensor(taken, device=x.device)[:, None] == cells, 0)
        their_output, their_error = autoencoder(fewer)
        scores = as_array(self.score(fewer, their_output.member(0), their_error[0]))
        change = scores - as_array(self.score(x, output, error))
        was_known = ~self._missing(x)[np.arange(len(x)), taken]
        of_cell = [change[was_known & (taken == cell)] for cell in range(network.n_cells)]
        return np.array([trim_mean(each, TRIM) if len(each) else 0.0 for each in of_cell])

    def _missing(self, x):
        return as_array(x @ self.tells_known_) == 0

    def _corrected(self, scores, x):
        # Not a matrix product, which rounds by the rows beside a row.
        return as_array(scores) - (self._missing(x) * self.effects_).sum(1)

    def __call__(self, x, output, error):
        return self._corrected(self.score(x, output, error), x)

    def held_out(self, x, output, error):
        return self._corrected(self.score.held_out(x, output, error), x)

    def error_map(self, x, output, error):
        """The other score's: missing cells have no share."""
        return self.score.error_map(x, output, error)
