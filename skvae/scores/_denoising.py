"""The score of networks that take noise off rows."""

import torch

from skvae.scores._base import Score
from skvae.scores._blocks import BLOCK_ROWS, by_rows, row_sums

# The middles of as many equally likely ranges of the levels that were trained on.
N_LEVELS = 6
N_DRAWS = 4


class Denoising(Score):
    """Squared error of what the network makes of a row with noise, averaged over levels of noise.

    At each of 6 levels the row is denoised four times. Each feature's error is taken in units of
    its own mean square over trusted rows at that level, so that all levels count alike, and is
    averaged over draws and levels: trusted rows score the number of features on average. All rows
    share the same few draws, in pairs of opposite sign, from the score's own generator: so a row's
    score neither changes from call to call nor depends on the other rows.
    """

    # Not a number that the network says of a row, but that it takes noise, and a level with it.
    needs_parts = frozenset({"denoising"})
    positive = True

    def fit(self, x, output, error, autoencoder, random_state):
        generator = torch.Generator().manual_seed(random_state)
        half = torch.randn(N_LEVELS, N_DRAWS // 2, x.shape[1], generator=generator)
        level = torch.special.ndtri((torch.arange(N_LEVELS) + 0.5) / N_LEVELS)
        level = level[:, None, None].expand(-1, N_DRAWS, 1)
        self.noise_ = torch.cat([torch.cat([half, -half], 1), level], 2).to(x.device)
        self.autoencoder_ = autoencoder
        # A feature that is denoised perfectly must not outweigh all others for ever.
        floor = (0.01 * x.std(0, unbiased=False)).square()
        mean_square = torch.stack([squares.mean(0) for squares in self._by_level(x)])
        scale = torch.maximum(mean_square, floor).sqrt()
        self.scale_ = torch.where(scale > 0, scale, torch.ones_like(scale))
        return self

    def _by_level(self, x):
        """Mean over the draws of the squared errors at each level."""
        for draws in self.noise_:
            yield sum((x - self._denoised(x, noise)).square() for noise in draws) / len(draws)

    def _denoised(self, x, noise):
        network = self.autoencoder_.network
        noise = noise[None, None]
        return by_rows(lambda block: network(block[None], noise).x_hat[0], x, size=BLOCK_ROWS)

    def __call__(self, x, output, error):
        return row_sums(self.error_map(x, output, error))

    def error_map(self, x, output, error):
        levels = zip(self._by_level(x), self.scale_, strict=True)
        return sum(squares / scale.square() for squares, scale in levels) / len(self.scale_)
