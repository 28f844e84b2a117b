"""What a drift test found."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class DriftResult:
    """What `DriftMonitor.test` found; its parameters are its attributes.

    Parameters
    ----------
    drifted : bool
        Whether ``p_value <= alpha``.
    p_value : float
        Of all the tests together: a batch like the reference has a ``p_value <= alpha`` with
        probability alpha.
    alpha : float
        False-alarm rate of the monitor.
    n_samples : int
        Rows of the batch.
    n_used : int
        How many of them were compared.
    statistics : dict of str to float
        "latent_mmd", the kernel maximum mean discrepancy of the latents; "latent_ks", the largest
        Kolmogorov-Smirnov statistic of a latent; "score_ks", that of the scores. The first two
        are missing where the detector has no latents.
    p_values : dict of str to float
        Of each test alone.
    adjusted_p_values : dict of str to float
        Of each test, adjusted for there being several; the smallest is ``p_value``.
    latent_statistics : ndarray of shape (n_latents,)
        Kolmogorov-Smirnov statistic of each latent, in [0, 1].
    latent_p_values : ndarray of shape (n_latents,)
        Of each latent, adjusted for all latents and all tests.
    moved_latents : ndarray of int of shape (n_moved,)
        Latents with an adjusted p-value of at most alpha. For a batch like the reference the
        probability that any stands here is at most alpha; a batch can drift and none of them.

    See Also
    --------
    DriftMonitor : Tests a batch.
    skvae.plotting.DriftDisplay : Picture of a test.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from skvae.drift import DriftMonitor
    >>> rng = np.random.default_rng(0)
    >>> detector = IsolationForest(random_state=0).fit(rng.normal(size=(200, 3)))
    >>> monitor = DriftMonitor(detector, n_resamples=200, random_state=0)
    >>> result = monitor.fit(rng.normal(size=(400, 3))).test(rng.normal(size=(40, 3)) + 2)
    >>> result.drifted, result.n_samples, list(result.statistics)
    (True, 40, ['score_ks'])
    """

    drifted: bool
    p_value: float
    alpha: float
    n_samples: int
    n_used: int
    statistics: dict
    p_values: dict
    adjusted_p_values: dict
    latent_statistics: np.ndarray
    latent_p_values: np.ndarray
    moved_latents: np.ndarray

    def to_frame(self):
        """The tests as a table.

        Returns
        -------
        table : DataFrame
            One row a test, then one a latent, with the columns "statistic", "p_value" (alone; nan
            for single latents), "adjusted_p_value" and "drifted".
        """
        names = list(self.statistics) + [f"latent{j}" for j in range(len(self.latent_statistics))]
        alone = list(self.p_values.values()) + [np.nan] * len(self.latent_statistics)
        adjusted = [*self.adjusted_p_values.values(), *self.latent_p_values]
        table = pd.DataFrame(
            {
                "statistic": [*self.statistics.values(), *self.latent_statistics],
                "p_value": alone,
                "adjusted_p_value": adjusted,
            },
            index=pd.Index(names, name="test"),
            dtype=float,
        )
        return table.assign(drifted=table["adjusted_p_value"] <= self.alpha)
