"""The command line: parses, calls skvae.studies, prints."""

import sys
from pathlib import Path
from typing import Annotated

from skvae import __version__
from skvae._optional import require


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
        installs it; 2 when the input is wrong, with one line that says what.
    """
    try:
        app = make_app()
        app(args=argv, prog_name="skvae")
    except ImportError as error:
        _stop(error, 1)
    except (OSError, ValueError) as error:
        _stop(error, 2)


def _stop(error, code):
    print(f"skvae: {error}", file=sys.stderr)
    raise SystemExit(code) from None


def make_app():
    """Make the typer application; typer is imported here, since it is optional."""
    typer = require("typer", extra="cli", what="The command line")
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    study = typer.Typer(no_args_is_help=True, help="Run a comparison and write a report folder.")
    app.add_typer(study, name="study")

    def show_version(wanted: bool):
        if wanted:
            print(f"skvae {__version__}")
            raise typer.Exit()

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print it.")
        ] = False,
    ):
        """Anomaly detection with variational autoencoders."""

    @study.command()
    def blobs(
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results"),
        readings: Annotated[str, typer.Option(help="Readings of the shift, such as A,B.")] = "A",
        seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 1,
        grid: Annotated[bool, typer.Option(help="Run the textbook VAEs.")] = True,
        baselines: Annotated[bool, typer.Option(help="Run PyOD's detectors.")] = True,
        samples: Annotated[int, typer.Option(min=100, help="Rows of a data set.")] = 5000,
        deep_epochs: Annotated[
            int | None, typer.Option(min=1, help="Epochs of PyOD's deep detectors.")
        ] = None,
    ):
        """Gaussian blobs with a few anomalies, the textbook VAE, and PyOD's detectors."""
        from skvae import studies
        from skvae.studies.blobs import blobs_shown

        results = studies.blobs(
            _words(readings),
            n_seeds=seeds,
            grid=grid,
            baselines=baselines,
            out=out,
            n_samples=samples,
            deep_epochs=deep_epochs,
        )
        _print("Blobs with anomalies, in percent", blobs_shown(studies.blobs_summary(results)))
        print(f"report: {out / 'report.md'}")

    @study.command()
    def adbench(
        data: Annotated[
            Path | None,
            typer.Option(help="Folder of npz files; else the folder adbench of the data home."),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/adbench"),
        detectors: Annotated[
            str | None, typer.Option(help="Names separated by commas; else all of them.")
        ] = None,
        settings: Annotated[str, typer.Option(help="S (clean), U (contaminated), or S,U.")] = "S,U",
        seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
        max_rows: Annotated[int, typer.Option(min=20, help="Larger data sets are cut.")] = 5000,
        deep_epochs: Annotated[
            int | None, typer.Option(min=1, help="Epochs of PyOD's deep detectors.")
        ] = None,
        redo: Annotated[
            str, typer.Option(help="Detectors whose stored results are dropped first.")
        ] = "",
    ):
        """Real tabular data sets, trained on clean and on contaminated rows; resumable."""
        from skvae import studies
        from skvae.studies.adbench import SETTINGS, adbench_shown

        results = studies.adbench(
            data,
            detectors=_words(detectors) if detectors else None,
            settings=_words(settings),
            seeds=range(seeds),
            out=out,
            max_rows=max_rows,
            deep_epochs=deep_epochs,
            redo=_words(redo),
        )
        for setting, part in studies.adbench_summary(results).groupby("setting"):
            _print(f"{setting}: {SETTINGS[setting]}; in percent", adbench_shown(part))
        print(f"report: {out / 'report.md'}")

    @study.command()
    def selection(
        data: Annotated[
            Path | None,
            typer.Option(help="Folder of npz files; else the folder adbench of the data home."),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path(
            "results/selection"
        ),
        settings: Annotated[str, typer.Option(help="S (clean), U (contaminated), or S,U.")] = "S,U",
        seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
        max_rows: Annotated[int, typer.Option(min=20, help="Larger data sets are cut.")] = 5000,
    ):
        """Parameters chosen without labels, beside what labels would choose; resumable."""
        from skvae import studies
        from skvae.studies.adbench import SETTINGS
        from skvae.studies.selection import selection_shown

        results = studies.selection(
            data, settings=_words(settings), seeds=range(seeds), out=out, max_rows=max_rows
        )
        for setting, part in studies.selection_summary(results).groupby("setting"):
            _print(f"AUROC, {setting}: {SETTINGS[setting]}; in percent", selection_shown(part))
        print(f"report: {out / 'report.md'}")

    # The options that the studies of images share.
    data_option = typer.Option(help="Folder of mnist.npz; else the data home.")
    quick_option = typer.Option(help="Digits of 8 x 8, short trainings: under a minute.")
    seeds_option = typer.Option(min=1, help="Number of seeds.")
    test_option = typer.Option(help="Number of test images.")
    train_option = typer.Option(help="Number of training images.")

    @study.command()
    def shift(
        data: Annotated[Path | None, data_option] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/shift"),
        quick: Annotated[bool, quick_option] = False,
        seeds: Annotated[int, seeds_option] = 1,
        train_images: Annotated[int | None, train_option] = None,
        test_images: Annotated[int | None, test_option] = None,
    ):
        """Shifted digits before a classifier and before detectors beside it; resumable."""
        from skvae import studies
        from skvae.studies.shift import shift_shown

        tables = studies.shift(
            data, range(seeds), out, quick=quick, n_train=train_images, n_test=test_images
        )
        _print_all(shift_shown(tables), out)

    @study.command()
    def robustness(
        data: Annotated[Path | None, data_option] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path(
            "results/robustness"
        ),
        quick: Annotated[bool, quick_option] = False,
        seeds: Annotated[int, seeds_option] = 1,
        train_images: Annotated[int | None, train_option] = None,
        test_images: Annotated[int | None, test_option] = None,
    ):
        """Corrupted digits: ROC, maps, and sweeps of bottleneck, contamination and strength."""
        from skvae import studies
        from skvae.studies.robustness import robustness_shown

        tables = studies.robustness(
            data, range(seeds), out, quick=quick, n_train=train_images, n_test=test_images
        )
        _print_all(robustness_shown(tables), out)

    @study.command()
    def oneclass(
        data: Annotated[Path | None, data_option] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/oneclass"),
        quick: Annotated[bool, quick_option] = False,
        seeds: Annotated[int, seeds_option] = 1,
        test_images: Annotated[int | None, test_option] = None,
    ):
        """Detectors trained on one digit, and scored on all ten; resumable."""
        from skvae import studies
        from skvae.studies.oneclass import oneclass_shown

        results = studies.oneclass(data, range(seeds), out, quick=quick, n_test=test_images)
        _print_all({"AUROC of the other digits": oneclass_shown(results)}, out)

    @study.command()
    def plots(
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/plots"),
        quick: Annotated[
            bool, typer.Option(help="Few series, small plots, short trainings: seconds.")
        ] = False,
        seeds: Annotated[int, seeds_option] = 1,
    ):
        """Anomalous time series in their line plots: the old recipe and its repair; resumable."""
        from skvae import studies
        from skvae.studies._plots_report import plots_shown

        tables = studies.plots(range(seeds), out, quick=quick)
        _print_all(plots_shown(tables), out)

    return app


def _print_all(tables, out):
    for title, table in tables.items():
        _print(title, table)
    print(f"report: {out / 'report.md'}")


def _words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


def _print(title, frame):
    """Print a table of strings."""
    table = require("rich.table", extra="cli", what="The command line").Table(title=title)
    for column in frame.columns:
        table.add_column(column)
    for row in frame.astype(str).itertuples(index=False):
        table.add_row(*row)
    console = require("rich.console", extra="cli").Console()
    if not console.is_terminal:
        console.width = 200  # a file has no edge at which names would have to be broken
    console.print(table)


if __name__ == "__main__":
    main()
