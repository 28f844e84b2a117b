"""Where the loaders look for data."""

import os
import sys
from pathlib import Path


def get_data_home(data_home=None):
    """Say in which folder the loaders look for data.

    The first that is set counts: the argument, the environment variable
    ``SKVAE_DATA``, the user's cache folder. The folder is named, not made.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. ``~`` stands for the user's home.

    Returns
    -------
    path : pathlib.Path
        The absolute path of the data home; it need not exist.

    See Also
    --------
    fetch_mnist : Reads from it.
    load_adbench : Reads from it.

    Examples
    --------
    >>> from skvae.datasets import get_data_home
    >>> get_data_home("/srv/data").parts[-2:]
    ('srv', 'data')
    """
    # An empty variable means "not set", as it does for XDG_CACHE_HOME.
    chosen = data_home or os.environ.get("SKVAE_DATA") or _user_cache() / "skvae"
    return Path(chosen).expanduser().absolute()


def _user_cache():
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
