"""What the vector-quantised detectors share: how well codes are used, and that it is said."""

import warnings
from numbers import Integral, Real

import numpy as np
import torch
from scipy.stats import entropy
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

# Codes of which so few are used, of those that could be, are said to be dying.
LEAST_PERPLEXITY = 0.2

CODE_CONSTRAINTS = {
    "n_codes": [Interval(Integral, 2, None, closed="left")],
    "beta": [Interval(Real, 0, None, closed="left")],
}


class CodesMixin:
    """Of a detector whose network has a codebook."""

    _variational = False
    _score_parts = ("rarity",)

    @property
    def perplexity_(self):
        """Perplexity of the codes of each group."""
        check_is_fitted(self)
        members = [each.network.perplexity() for each in self.net_.module_.unstack()]
        return torch.cat(members).cpu().numpy()

    def _finish(self, plan, X, y, net):
        super()._finish(plan, X, y, net)
        least = self.perplexity_.min()
        if least < LEAST_PERPLEXITY * self.n_codes and (
            least < LEAST_PERPLEXITY * attainable(self._coded(X, plan.train), self.n_codes)
        ):
            warnings.warn(
                f"The codes are dying: by perplexity the training uses {least:.1f} of "
                f"{self.n_codes} codes, so what they stand for is told apart badly and rarity says "
                f"little. Lower lr (now {self.lr:g}), beta ({self.beta:g}) or n_codes, or train "
                "longer.",
                UserWarning,
                stacklevel=3,
            )

    def _coded(self, X, rows):
        """What codes stand for, as an array whose equal rows have to share one."""
        raise NotImplementedError


def attainable(rows, n_codes):
    """Largest perplexity that so many codes can have: equal rows share one, others need not.

    Rows that are more frequent than an even share have a code each, the others share the rest
    evenly.
    """
    _, n_equal = np.unique(rows, axis=0, return_counts=True)
    share = np.sort(n_equal)[::-1][:n_codes] / len(rows)
    left = 1 - np.append(0, np.cumsum(share))[:-1]
    n_left = n_codes - np.arange(len(share))
    n_own = np.argmax(np.append(share * n_left <= left, True))
    rest = max(1 - share[:n_own].sum(), 0) / max(n_codes - n_own, 1)
    return np.exp(entropy(np.append(share[:n_own], np.full(n_codes - n_own, rest))))
