"""Data sets: made ones, and loaders of real ones from the data home."""

from skvae.datasets._adbench import iter_adbench, load_adbench
from skvae.datasets._blobs import make_blobs_with_anomalies
from skvae.datasets._home import get_data_home

__all__ = ["get_data_home", "iter_adbench", "load_adbench", "make_blobs_with_anomalies"]
