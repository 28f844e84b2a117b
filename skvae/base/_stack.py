"""Fits of many detectors at the price of a few: their networks are trained as one."""

import hashlib
from collections import defaultdict
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import NamedTuple

import numpy as np

from skvae.base._input import one_thread
from skvae.training import fit_autoencoders

MAX_MEMBERS = 128


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
    errors, seconds = {}, np.zeros(len(jobs))

    @contextmanager
    def account(*members):
        """Share the seconds, and the error, of a step among the jobs that it was for."""
        start = perf_counter()
        try:
            yield
        except Exception as error:
            errors.update(dict.fromkeys(members, error))
        weights = np.array([jobs[i][0].n_estimators for i in members], dtype=float)
        seconds[list(members)] += (perf_counter() - start) * weights / weights.sum()

    on_one_thread = all(detector._fits_on_one_thread for detector, _, _ in jobs)
    with one_thread if on_one_thread else nullcontext():
        plans, stacks, rows = {}, defaultdict(list), {}
        for i, (detector, X, y) in enumerate(jobs):
            with account(i):
                plan = _sharing_rows(detector._prepare(*detector._validate_fit(X, y)), rows)
                plans[i] = plan
                stacks[detector._stacks_with(plan) or i].append(i)
        for stack in _cut(stacks.values(), jobs):
            with account(*stack):
                settings = jobs[stack[0]][0]._training(plans[stack[0]])
                settings["verbose"] = verbose
                nets = fit_autoencoders([plans[i].members for i in stack], **settings)
            for i in set(stack) - set(errors):
                with account(i):
                    # Validated anew: to keep the rows of all jobs would take too much memory.
                    detector, X, y = jobs[i]
                    detector._finish(
                        plans.pop(i), *detector._validate_fit(X, y), nets[stack.index(i)]
                    )
    return [Fit(job[0], errors.get(i), seconds[i]) for i, job in enumerate(jobs)]


def _cut(stacks, jobs):
    """Stacks of at most ``MAX_MEMBERS`` networks: more gain nothing and take more memory."""
    for stack in stacks:
        part, size = [], 0
        for i in stack:
            n_networks = jobs[i][0].n_estimators
            if part and size + n_networks > MAX_MEMBERS:
                yield part
                part, size = [], 0
            part.append(i)
            size += n_networks
        yield part


def _sharing_rows(plan, known):
    """``plan`` with the tensor of an earlier one in place of equal rows."""
    own = plan.members[0].rows
    digest = hashlib.blake2b(own.cpu().numpy()).digest()
    rows = known.setdefault((own.shape, digest), own)
    return plan._replace(members=[member._replace(rows=rows) for member in plan.members])
