"""The app: a model and some images or a table in the browser, and what the model makes of them."""

import os
import sys
from pathlib import Path

from skvae._optional import require

__all__ = ["run_app"]

# Only a browser on this machine reaches the app, and its page asks nobody else for anything.
_SETTINGS = {
    "server.address": "localhost",
    "server.showEmailPrompt": "false",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "theme.primaryColor": "#0072B2",
}


def run_app(models=None, *, port=None, max_upload=200, open_browser=True):
    """Serve the app on this machine until it is interrupted.

    Parameters
    ----------
    models : path-like, default=None
        Folder whose ``.safetensors`` files the page offers. None offers the upload of one alone.
    port : int, default=None
        On localhost. None takes 8501, or the next free one.
    max_upload : int, default=200
        Largest size of an uploaded file, in megabytes.
    open_browser : bool, default=True
        Whether to open the page in a browser.

    Raises
    ------
    ImportError
        If a package of the extra ``app`` is missing.
    NotADirectoryError
        If ``models`` is no folder.
    SystemExit
        When the server ends, or cannot begin.

    See Also
    --------
    skvae.save : Writes the models that the page offers.

    Examples
    --------
    The page of the models in a folder, until you press Ctrl-C; ``skvae app models`` does the same
    from a shell:

    .. code-block:: python

        from skvae.app import run_app

        run_app("models")
    """
    streamlit = require("streamlit.web.cli", extra="app", what="The app")
    require("plotly", extra="app", what="The app")
    if models is not None and not Path(models).is_dir():
        raise NotADirectoryError(f"no folder {models}: name one that holds models.")
    settings = {
        **_SETTINGS,
        "server.maxUploadSize": max_upload,
        "server.headless": str(not open_browser).lower(),
    }
    if port is not None:
        settings["server.port"] = port
    # A page elsewhere must not reach the app under a name of its own; older versions of streamlit
    # do not know the option, and so would not take it on the command line.
    os.environ.setdefault("STREAMLIT_SERVER_ALLOWED_HOSTS", "localhost 127.0.0.1")
    options = [f"--{name}={value}" for name, value in settings.items()]
    script = str(Path(__file__).with_name("_page.py"))
    folder = [] if models is None else [str(Path(models).resolve())]
    sys.exit(streamlit.main(["run", script, *options, "--", *folder], prog_name="skvae app"))
