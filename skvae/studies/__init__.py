"""Studies: functions that run detectors on data, return tables, and can write a report folder."""

from skvae.studies.adbench import adbench, adbench_summary
from skvae.studies.blobs import blobs, blobs_summary
from skvae.studies.brain import brain
from skvae.studies.families import families, families_summary
from skvae.studies.oneclass import oneclass
from skvae.studies.plots import plots
from skvae.studies.robustness import robustness
from skvae.studies.selection import selection, selection_summary
from skvae.studies.shift import shift

__all__ = [
    "adbench",
    "adbench_summary",
    "blobs",
    "blobs_summary",
    "brain",
    "families",
    "families_summary",
    "oneclass",
    "plots",
    "robustness",
    "selection",
    "selection_summary",
    "shift",
]
