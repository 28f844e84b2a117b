"""Data sets: made ones, and loaders of real ones from the data home."""

from skvae.datasets._adbench import iter_adbench, load_adbench
from skvae.datasets._blobs import make_blobs_with_anomalies
from skvae.datasets._decoding import load_image
from skvae.datasets._home import get_data_home
from skvae.datasets._image_folder import ImageFolder, load_image_folder
from skvae.datasets._mnist import fetch_mnist, load_digits_images
from skvae.datasets._plots import render_plots
from skvae.datasets._tables import load_table
from skvae.datasets._time_series import TIME_SERIES_KINDS, make_time_series

__all__ = [
    "TIME_SERIES_KINDS",
    "ImageFolder",
    "fetch_mnist",
    "get_data_home",
    "iter_adbench",
    "load_adbench",
    "load_digits_images",
    "load_image",
    "load_image_folder",
    "load_table",
    "make_blobs_with_anomalies",
    "make_time_series",
    "render_plots",
]
