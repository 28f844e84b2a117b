"""The command line: parses, calls, prints."""

import sys
from typing import Annotated

from skvae import __version__
from skvae._optional import require
from skvae.cli._app import add_app_command
from skvae.cli._models import add_model_commands
from skvae.cli._shown import note, noting_warnings, print_json
from skvae.cli._study import make_study

__all__ = ["main", "make_app"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments; None takes those of the process.

    Raises
    ------
    SystemExit
        Always: 0 after success; 1 when an optional package is missing, with the line that
        installs it, or when training or memory gave out; 2 when the input is wrong, with one line
        that says what; 130 when it was interrupted. After --json that line is printed as
        ``{"error": ...}`` as well.
    """
    try:
        app = make_app()
        with noting_warnings():
            app(args=argv, prog_name="skvae")
    except (ImportError, FloatingPointError) as error:
        _stop(error, 1, argv)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        _stop(f"out of memory. {error}".strip(), 1, argv)  # torch has errors of its own for it
    except (OSError, ValueError) as error:
        _stop(error, 2, argv)
    except KeyboardInterrupt:
        _stop("interrupted", 130, argv)


def _stop(error, code, argv):
    note(error)
    if "--json" in (sys.argv if argv is None else argv):
        print_json({"error": str(error)})
    raise SystemExit(code) from None


def make_app():
    """Make the typer application; typer is imported here, since it is optional."""
    typer = require("typer", extra="cli", what="The command line")
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # --latent_dim is understood as well as --latent-dim.
        context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
    )

    def show_version(wanted: bool):
        if wanted:
            print(f"skvae {__version__}")
            raise typer.Exit()

    @app.callback(
        epilog="Exit codes: 0 done; 1 a package, the training or the memory gave out, or nothing "
        "could be judged; 2 wrong input; 130 interrupted."
    )
    def root(
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print it.")
        ] = False,
    ):
        """Anomaly detection with variational autoencoders."""

    add_model_commands(app)
    add_app_command(app)
    app.add_typer(make_study(), name="study")
    return app
