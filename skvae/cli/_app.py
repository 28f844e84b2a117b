"""skvae app: the page in the browser."""

from pathlib import Path
from typing import Annotated

from skvae._optional import require


def add_app_command(app):
    """Add the command to the typer application."""
    typer = require("typer", extra="cli", what="The command line")

    @app.command("app")
    def serve(
        models: Annotated[
            Path | None, typer.Option(help="Folder of models (.safetensors) to choose from.")
        ] = None,
        port: Annotated[
            int | None, typer.Option(min=1, max=65535, help="(default: 8501, or the next free one)")
        ] = None,
        max_upload: Annotated[
            int, typer.Option(min=1, help="Megabytes that an uploaded file may have.")
        ] = 200,
        browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    ):
        """Upload images or a table in the browser, and see what a model makes of them.

        The page is served to this machine alone.
        """
        from skvae.app import run_app

        run_app(models, port=port, max_upload=max_upload, open_browser=browser)
