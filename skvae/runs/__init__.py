"""Fits in a folder: they can be watched while they train, and go on after they were killed."""

from skvae.runs._fit import fit_in_folder

__all__ = ["fit_in_folder"]
