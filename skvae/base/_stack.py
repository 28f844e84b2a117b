"""Fits of many detectors at the price of a few: their networks are trained as one."""

import hashlib
from collections import defaultdict, deque
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import NamedTuple

import numpy as np
import torch

from skvae.base._input import one_thread
from skvae.training import fit_autoencoders

MAX_MEMBERS = 128
# Of scaled rows, at once; jobs beyond wait until the first are done.
MAX_BYTES = 1 << 29


class Fit(NamedTuple):
    """What became of a fit, and its seconds; after an error the detector is of no use."""

    detector: object
    error: Exception | None
    seconds: float


def fit_stack(jobs, verbose=0):
    """Fit each detector on its own rows, as its ``fit`` would.

    The networks of detectors that differ in nothing that shapes a step of the training are trained
    together; the others one after another. Results are those of lone fits: bit for bit where it was
    tested, on CPUs, and up to rounding anywhere.

    Parameters
    ----------
    jobs : list of (detector, X, y)
        Detectors of their own, which are fitted in place.
    verbose : int
        1 shows a progress bar for each training.

    Returns
    -------
    fits : list of Fit
        In the order of ``jobs``. The seconds of a training are shared out by networks.
    """
    on_one_thread = all(detector._fits_on_one_thread for detector, _, _ in jobs)
    with one_thread if on_one_thread else nullcontext():
        return _Fits(jobs, verbose).all()


class _Fits:
    """The fits of a list of jobs, which are known by their indices."""

    def __init__(self, jobs, verbose):
        self.jobs = jobs
        self.verbose = verbose
        self.errors = {}
        self.seconds = np.zeros(len(jobs))

    def all(self):
        waiting = deque(range(len(self.jobs)))
        while waiting:
            plans = self._plans(waiting)
            for stack in self._stacks(plans):
                self._train(stack, plans)
        return [Fit(job[0], self.errors.get(i), self.seconds[i]) for i, job in enumerate(self.jobs)]

    @contextmanager
    def _account(self, *own):
        """Share the seconds, and the error, of a step among the jobs that it was for."""
        start = perf_counter()
        try:
            yield
        except Exception as error:
            self.errors.update(dict.fromkeys(own, error))
        weights = np.array([self.jobs[i][0].n_estimators for i in own], dtype=float)
        self.seconds[list(own)] += (perf_counter() - start) * weights / weights.sum()

    def _plans(self, waiting):
        """Plans of the next jobs, until their distinct rows fill the memory that is meant."""
        plans, rows = {}, {}
        while waiting and sum(each.nbytes for each in rows.values()) < MAX_BYTES:
            i = waiting.popleft()
            with self._account(i):
                detector, X, y = self.jobs[i]
                plan = detector._prepare(*detector._validate_fit(X, y))
                plans[i] = _sharing_rows(plan, rows)
        return plans

    def _stacks(self, plans):
        """Lists of jobs to train as one, of at most ``MAX_MEMBERS`` networks.

        More would gain nothing and take more memory.
        """
        alike = defaultdict(list)
        for i, plan in plans.items():
            alike[self.jobs[i][0]._stacks_with(plan) or i].append(i)
        for together in alike.values():
            stack, size = [], 0
            for i in together:
                n_networks = self.jobs[i][0].n_estimators
                if stack and size + n_networks > MAX_MEMBERS:
                    yield stack
                    stack, size = [], 0
                stack.append(i)
                size += n_networks
            yield stack

    def _train(self, stack, plans):
        with self._account(*stack):
            settings = self.jobs[stack[0]][0]._training(plans[stack[0]])
            settings["verbose"] = self.verbose
            nets = fit_autoencoders([plans[i].members for i in stack], **settings)
        for i in set(stack) - set(self.errors):
            with self._account(i):
                # Validated anew: to keep the rows of all jobs would take too much memory.
                detector, X, y = self.jobs[i]
                rows, labels = detector._validate_fit(X, y)
                detector._finish(plans.pop(i), rows, labels, nets[stack.index(i)])


def _sharing_rows(plan, known):
    """``plan`` with the tensor of an earlier one in place of equal rows."""
    own = plan.members[0].rows
    if not torch.is_tensor(own):  # images on disk
        return plan
    digest = hashlib.blake2b(own.cpu().contiguous().numpy()).digest()
    rows = known.setdefault((own.shape, digest), own)
    return plan._replace(members=[member._replace(rows=rows) for member in plan.members])
