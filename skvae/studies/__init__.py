"""Studies: functions that run detectors on data, return a table, and can write a report folder."""

from skvae.studies.adbench import adbench, adbench_summary
from skvae.studies.blobs import blobs, blobs_summary
from skvae.studies.selection import selection, selection_summary

__all__ = [
    "adbench",
    "adbench_summary",
    "blobs",
    "blobs_summary",
    "selection",
    "selection_summary",
]
