"""Rows of `Columns` as rows of `MixedAutoencoder`, and its reconstructions as rows of `Columns`."""

from typing import NamedTuple

import numpy as np
from sklearn.preprocessing import StandardScaler

# Days of the cycles that a date is also encoded in, by sine and cosine: day, week and year.
CYCLES = (1.0, 7.0, 365.2425)


class Encoding(NamedTuple):
    """What was learned of the rows that are trained on.

    Attributes
    ----------
    kinds : list of str
        Of the columns.
    slots : list of ndarray of int64
        For each column of categories or booleans the slot of each code, the last one that of
        categories which training did not have: the slot of the rare ones, or -1 for booleans.
    costs : list of ndarray of float64
        What each code costs beside its slot, in nats: of m rare categories, which n values are of,
        one of count k costs ``-log((k + 1) / (n + m + 1))``; an unseen one has k = 0.
    n_known : list of int
        In how many rows these columns were known.
    scaler : StandardScaler or None
        Of the numbers, and of the parts of dates; None where there are none.
    """

    kinds: list
    slots: list
    costs: list
    n_known: list
    scaler: StandardScaler | None

    @classmethod
    def of(cls, columns, rows, max_categories):
        """Encoding by rows of these columns, none of which may be missing throughout."""
        slots, costs, n_known = [], [], []
        for values, kind, categories in zip(rows.T, columns.kinds, columns.categories, strict=True):
            if kind not in ("category", "boolean"):
                continue
            known = values[~np.isnan(values)].astype(int)
            if kind == "boolean":
                slot, cost = np.array([0, 1, -1]), np.zeros(3)
            else:
                counts = np.bincount(known[known >= 0], minlength=len(categories))
                slot, cost = _slots_and_costs(counts, max_categories)
            slots.append(slot)
            costs.append(cost)
            n_known.append(len(known))
        numbers = _numbers(columns.kinds, rows)
        scaler = StandardScaler().fit(numbers) if numbers.shape[1] else None
        return cls(list(columns.kinds), slots, costs, n_known, scaler)

    @property
    def sizes(self):
        """Number of slots of each column of categories or booleans."""
        return [int(slots.max()) + 1 for slots in self.slots]

    @property
    def shape(self):
        """What `MixedAutoencoder` and `Mixed` are built for."""
        return sum(map(_n_numbers, self.kinds)), *self.sizes

    @property
    def owners(self):
        """Position of the column that each value of an encoded row is of."""
        of_numbers = [i for i, kind in enumerate(self.kinds) for _ in range(_n_numbers(kind))]
        of_slots = [i for i, kind in enumerate(self.kinds) if not _n_numbers(kind)]
        return np.array([*of_numbers, *np.repeat(of_slots, self.sizes), *of_numbers, *of_slots])

    def encode(self, rows):
        """Rows of `MixedAutoencoder`, float64 of shape (n_samples, n_encoded)."""
        numbers = self.scaled_numbers(rows)
        known = ~np.isnan(numbers)
        codes = np.zeros((len(rows), sum(self.sizes)))
        costs = np.zeros((len(rows), len(self.sizes)))
        starts = np.cumsum([0, *self.sizes])
        for j, values in enumerate(self._coded(rows)):
            own = np.flatnonzero(~np.isnan(values))
            code = values[own].astype(int)  # -1 is the last
            codes[own, starts[j] + self.slots[j][code]] = 1
            costs[own, j] = self.costs[j][code]
        return np.hstack([np.where(known, numbers, 0), codes, known, costs])

    def scaled_numbers(self, rows):
        """Numbers, and parts of dates, scaled; nan = missing."""
        numbers = _numbers(self.kinds, rows)
        return numbers if self.scaler is None else self.scaler.transform(numbers)

    def decode(self, x_hat):
        """Rows of `Columns` from numbers and probabilities: the most probable category of each.

        Rare categories have no slot of their own, so they are never the most probable.
        """
        rows = np.empty((len(x_hat), len(self.kinds)))
        n_numbers, *sizes = self.shape
        if n_numbers:
            numbers = self.scaler.inverse_transform(x_hat[:, :n_numbers])
        start, first, j = n_numbers, 0, 0
        for i, kind in enumerate(self.kinds):
            if _n_numbers(kind):
                rows[:, i] = numbers[:, first]
                first += _n_numbers(kind)
            else:
                slots = self.slots[j]
                codes = np.flatnonzero(slots[:-1] != slots[-1])
                rows[:, i] = codes[x_hat[:, start : start + len(codes)].argmax(1)]
                start += sizes[j]
                j += 1
        return rows

    def _coded(self, rows):
        return (rows[:, i] for i, kind in enumerate(self.kinds) if not _n_numbers(kind))


def _n_numbers(kind):
    """How many numbers a value of that kind is encoded in."""
    return {"number": 1, "date": 1 + 2 * len(CYCLES)}.get(kind, 0)


def _numbers(kinds, rows):
    """The numbers of rows, and the parts of dates: days, then sine and cosine of each cycle."""
    parts = [np.empty((len(rows), 0))]
    for values, kind in zip(rows.T, kinds, strict=True):
        if kind == "number":
            parts.append(values[:, None])
        elif kind == "date":
            turns = values[:, None] / np.array(CYCLES) % 1
            angles = 2 * np.pi * turns
            parts.append(np.hstack([values[:, None], np.sin(angles), np.cos(angles)]))
    return np.hstack(parts)


def _slots_and_costs(counts, max_categories):
    """Slot, and cost beside it, of each category by its count, and last of an unseen one."""
    by_count = np.argsort(-counts, kind="stable")
    kept = np.sort(by_count[: max_categories - 1][counts[by_count[: max_categories - 1]] > 0])
    slots = np.full(len(counts) + 1, len(kept))
    slots[kept] = np.arange(len(kept))
    rare = np.append(counts, 0)
    rare[kept] = 0
    costs = -np.log((rare + 1) / (rare.sum() + np.count_nonzero(rare) + 1))
    costs[kept] = 0.0
    return slots, costs
