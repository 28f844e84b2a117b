"""Batches of shifted images before a DriftMonitor, and before the classifier it watches over."""

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from skvae.drift import DriftMonitor

CLEAN = "standard"
TESTS = ("latent_mmd", "latent_ks", "score_ks")
MONITORS = ("mean_score", "latent_mmd", "latent_ks", "score_ks", "drifted")


def batch_sizes(settings):
    return (20, 50) if settings["quick"] else (20, 100, 500)


class _Looked:
    """Latents and scores that are computed already: all the columns but the last, and the last."""

    def transform(self, X):
        return X[:, :-1]

    def score_samples(self, X):
        return X[:, -1]


class Watch:
    """A monitor over a detector's latents and scores, and pools that batches are drawn from.

    Its reference and its pool are images of the stream, which nothing was trained on.

    Parameters
    ----------
    detector : fitted detector
    classifier : fitted classifier
        Whose accuracy is at stake.
    data : ImageData
    settings : dict
    seed : int
        Of corruptions, batches and calibration.
    """

    def __init__(self, detector, classifier, data, settings, seed):
        quick = settings["quick"]
        self._n_clean, self._n_drifted = (60, 30) if quick else (1000, 200)
        self._n_strength, self._n_batch, self._n_batches = (
            (200, 50, 10) if quick else (1000, 100, 20)
        )
        n_reference = len(data.X_stream) // 2 if quick else 10_000
        self._detector, self._classifier, self._seed = detector, classifier, seed
        self._X_pool, self.y_pool = data.X_stream[n_reference:], data.y_stream[n_reference:]
        self._n_shifted = 4000
        self.pool = self._seen(self._X_pool)
        self._shifted = {}
        monitor = DriftMonitor(_Looked(), random_state=seed)
        if quick:
            monitor.set_params(n_resamples=500)
        self._monitor = monitor.fit(self._seen(data.X_stream[:n_reference]))

    def _seen(self, X):
        found = self._detector.transform(X), self._detector.score_samples(X)
        return np.c_[found].astype(np.float64)

    def shifted(self, name, corrupt):
        """Latents and scores of shifted images of the pool."""
        if name not in self._shifted:
            X = self._X_pool[: self._n_shifted]
            self._shifted[name] = self._seen(corrupt(X, random_state=self._seed))
        return self._shifted[name]

    def alarm_rates(self, pool, n, *, clean):
        """Share of batches with an alarm: of all the tests together, and of each."""
        n_batches = self._n_clean if clean else self._n_drifted
        results = self._results(pool, n, n_batches)
        rates = {"drifted": float(np.mean([r.drifted for r in results]))}
        for name in TESTS:
            found = [r.adjusted_p_values[name] <= self._monitor.alpha for r in results]
            rates[name] = float(np.mean(found))
        return rates | {"n_batches": n_batches}

    def _results(self, pool, n, n_batches):
        results = []
        for batch in range(n_batches):
            rows = np.random.default_rng([self._seed, n, batch]).choice(len(pool), n, replace=False)
            results.append(self._monitor.test(pool[rows]))
        return results

    def strengths(self, family):
        """What the classifier loses, and what the monitor shows, at each strength."""
        X, y = self._X_pool[: self._n_strength], self.y_pool[: self._n_strength]
        before = self._classifier.score(X, y)
        clean = -self.pool[: self._n_strength, -1]
        rows = []
        for strength in (0, *family.strengths):
            images = family.corrupt(X, strength, self._seed) if strength else X
            seen = self._seen(images) if strength else self.pool[: self._n_strength]
            results = self._results(seen, self._n_batch, self._n_batches)
            row = {
                "strength": float(strength),
                "lost_accuracy": float(before - self._classifier.score(images, y)),
                "mean_score": float((-seen[:, -1].mean() - clean.mean()) / clean.std()),
            }
            row |= {k: float(np.mean([r.statistics[k] for r in results])) for k in TESTS}
            rows.append(row | {"drifted": float(np.mean([r.drifted for r in results]))})
        return rows


def correlations(strengths):
    """Correlate lost accuracy with what the monitor shows, over strengths.

    Parameters
    ----------
    strengths : DataFrame
        A row a seed, corruption and strength, strength 0 among them.

    Returns
    -------
    table : DataFrame
        A row a seed and corruption, and one of them all together: Pearson's and Spearman's
        correlation for each monitor; NaN where one of the two does not vary.
    """
    rows = []
    for seed, own in strengths.groupby("seed"):
        groups = [*own.groupby("corruption", sort=False), ("all together", own)]
        for name, part in groups:
            row = {"seed": seed, "corruption": name, "n": len(part)}
            for monitor in MONITORS:
                row |= _correlation(part["lost_accuracy"], part[monitor], monitor)
            rows.append(row)
    return pd.DataFrame(rows)


def _correlation(lost, shown, monitor):
    varies = lost.nunique() > 1 and shown.nunique() > 1
    return {
        f"{monitor}, Pearson": float(pearsonr(lost, shown)[0]) if varies else np.nan,
        f"{monitor}, Spearman": float(spearmanr(lost, shown)[0]) if varies else np.nan,
    }
