"""The interface of scores, and functions as scores."""

import numpy as np


class Score:
    """A score that needs no fit; the base of those that do.

    Attributes
    ----------
    needs_posterior : bool
        Whether only a variational network can give it.
    needs_parts : frozenset of str
        Which of the ``Output.parts`` of a network it reads.
    images_only : bool
        Whether it looks at rows as images, of shape (n_samples, channels, height, width).
    positive : bool
        Whether scores are positive and vary by factors, so that `SmoothMax` takes their logarithm.
    has_map : bool
        Whether ``error_map`` tells features apart by this score; else it is the likelihood's.
    """

    needs_posterior = False
    needs_parts = frozenset()
    images_only = False
    positive = False
    has_map = True

    @property
    def needs_fit(self):
        """Whether there is anything to learn of trusted rows."""
        return type(self).fit is not Score.fit

    def fit(self, x, output, error, autoencoder, random_state):
        """Learn what the score needs of trusted rows; here nothing."""
        return self

    def __call__(self, x, output, error):
        """Score of each row, shape (n_samples,)."""
        raise NotImplementedError

    def held_out(self, x, output, error):
        """Scores of the rows of the last ``fit``, as if they had not been in it."""
        return self(x, output, error)

    def error_map(self, x, output, error):
        """Share of each feature in the score, of the shape of ``x``."""
        return error


class Part(Score):
    """What the network itself says of a row: one of its ``Output.parts``."""

    has_map = False

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"Part({self.name!r})"

    @property
    def needs_parts(self):
        return frozenset({self.name})

    def __call__(self, x, output, error):
        return output.parts[self.name]


class FunctionScore(Score):
    """A user's function of ``(x, output, error)``."""

    has_map = False

    def __init__(self, function):
        self.function = function

    def __call__(self, x, output, error):
        scores = self.function(x, output, error)
        if np.shape(scores) != (len(x),):
            raise ValueError(
                f"The score function {self.function!r} must return one number a row, shape "
                f"({len(x)},); it returned shape {np.shape(scores)}."
            )
        return scores
