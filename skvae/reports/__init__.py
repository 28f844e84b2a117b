"""Verdicts for people: a folder of results for many rows or images, and a picture of one."""

from skvae.reports._one import judge_image
from skvae.reports._report import write_report

__all__ = ["judge_image", "write_report"]
