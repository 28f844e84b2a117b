"""The end of a fit, once the network is trained: score, threshold, and the scale of error maps."""

import math

import numpy as np
import torch

from skvae.base._input import spread_rows, taken
from skvae.base._road import map_scale
from skvae.scores import Ensemble, Labelled

# Scores are fitted on at most so many trusted rows, so that their cost does not grow with n.
MAX_REFERENCE_ROWS = 5000
# Nor may they fill the memory, where they are large images.
MAX_REFERENCE_VALUES = 1 << 25
MIN_REFERENCE_ROWS = 200
# A percentile of so many training scores is sure to a third of a percentage point.
MAX_THRESHOLD_ROWS = 10_000
# Error maps of so many training rows fix the scale that maps are drawn in.
MAX_MAP_ROWS = 100


class ScoreFitMixin:
    """What a detector fits on rows that its trained network has seen."""

    @property
    def _distrust(self):
        """Share of the rows that no score is fitted on: a margin wider, half at most."""
        return min(3 * self.contamination, 0.5)

    def _fit_score(self, X, seeds, is_known=None, labelled=None):
        """The score, fitted on trusted rows, and the scores of these as if they were new to it.

        There are none where the score learns nothing, or the trusted rows are not all of a kind
        with the others. ``is_known`` and ``labelled`` are what labels say, as in `_trusted_rows`
        and `_labelled`.
        """
        scores = [self._make_score() for _ in seeds]
        score = Ensemble(scores if labelled is None else [Labelled(each) for each in scores])
        if not score.needs_fit:
            return score, None
        reference = taken(X, self._trusted_rows(X, np.random.RandomState(seeds[0]), is_known))
        with torch.inference_mode():
            x, output, error = _joined(self._blocks(reference), len(reference))
            if labelled is not None:
                rows, is_anomaly = labelled
                labelled = *_joined(self._blocks(rows), len(rows)), is_anomaly
            score.fit(x, output, error, self.net_.module_.unstack(), seeds, labelled)
            return score, None if self._distrust else score.held_out(x, output, error)

    def _trusted_rows(self, X, rng, is_known=None):
        """Indices of the rows of smallest loss, the share that contamination leaves, sampled.

        Rows of the mask ``is_known``, known to be normal, are trusted whatever their loss.
        """
        rows = np.arange(len(X))
        if self._distrust:
            loss = self._by_block(self._loss, X)
            n_trusted = max(2, math.ceil(round(len(X) * (1 - self._distrust), 9)))
            if is_known is not None:
                loss[is_known] = -np.inf
                n_trusted = max(n_trusted, is_known.sum())
            rows = np.sort(np.argsort(loss, kind="stable")[:n_trusted])
        return _sampled(rows, X.shape[1:], rng)

    def _labelled(self, X, plan):
        """Rows that a score learns labels from, and which are anomalies; None without labels."""
        if len(plan.anomalies) == 0:
            return None
        rng = np.random.RandomState(plan.seeds[0])
        some = [_sampled(rows, X.shape[1:], rng) for rows in (plan.train, plan.anomalies)]
        rows = np.union1d(*some)
        return taken(X, rows), np.isin(rows, plan.anomalies)

    def _loss(self, x, output, error):
        return self._losses(output, error).mean(0)

    def _losses(self, output, error):
        """Loss of each row by each member, shape (n_members, n_samples)."""
        loss = error.flatten(2).sum(2)
        return loss if output.penalty is None else loss + self.beta * output.penalty

    def _fit_map_scale(self, X):
        """Ends of the scale in which error maps are drawn, of rows spread evenly over X."""
        rows = spread_rows(len(X), MAX_MAP_ROWS)

        def summed_over_channels(x, output, error):
            maps = self.score_.error_map(x, output, error)
            return maps.sum(1) if maps.ndim == 4 else maps

        return map_scale(self._by_block(summed_over_channels, X[rows], dtype=np.float32))

    def _fit_threshold(self, X, y, plan, scores):
        """Set the threshold by ``scores`` of trusted rows, if there are any, or by scores of X."""
        held_out, is_normal = plan.held_out, plan.is_normal
        rows = held_out if len(held_out) else np.arange(len(X))
        if self._threshold_reads_labels:
            if self.train_on == "labels":
                rows = rows[y[rows] != 0]
        else:
            rows = rows[is_normal[rows]]  # a percentile is a rate of false alarms
            if len(held_out) == 0 and len(rows) > MAX_THRESHOLD_ROWS:
                rng = np.random.RandomState(plan.seeds[0])
                rows = np.sort(rng.choice(rows, MAX_THRESHOLD_ROWS, replace=False))
        if scores is None or len(held_out) or self._threshold_reads_labels:
            scores = self._anomaly_scores(taken(X, rows))
        y = y[rows] if y is not None and self._threshold_reads_labels else None
        self._use_threshold(self.threshold, scores, y, self.percentile)
        self.calibration_is_held_out_ = len(held_out) > 0


def _joined(blocks, n_rows):
    """Rows, network output and error map of all blocks, each as one tensor.

    These are filled block by block, because to join a list of blocks takes twice the memory.
    """
    joined, start = None, 0
    for x, output, error in blocks:
        if joined is None:
            x_all, error_all = _like(x[None], n_rows), _like(error, n_rows)
            output_all = output.map(lambda tensor: _like(tensor, n_rows))
            joined = [x_all, *output_all.tensors, error_all]
        for whole, part in zip(joined, [x[None], *output.tensors, error], strict=True):
            whole[:, start : start + len(x)] = part
        start += len(x)
    return x_all[0], output_all, error_all


def _sampled(rows, shape, rng):
    """Some of the rows, which have that shape, where they are too many to fit a score on."""
    most = max(
        min(MAX_REFERENCE_ROWS, MAX_REFERENCE_VALUES // math.prod(shape)), MIN_REFERENCE_ROWS
    )
    return np.sort(rng.choice(rows, most, replace=False)) if len(rows) > most else rows


def _like(tensor, n_rows):
    """An empty tensor of so many rows."""
    return tensor.new_empty(len(tensor), n_rows, *tensor.shape[2:])
