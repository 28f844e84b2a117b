"""skvae study: comparisons that write a report folder."""

from pathlib import Path
from typing import Annotated

from skvae._optional import require
from skvae.cli._shown import print_table, print_tables


def make_study():
    """Make the commands of ``skvae study``."""
    typer = require("typer", extra="cli", what="The command line")
    study = typer.Typer(no_args_is_help=True, help="Run a comparison and write a report folder.")

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
        print_table("Blobs with anomalies, in percent", blobs_shown(studies.blobs_summary(results)))
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
            print_table(f"{setting}: {SETTINGS[setting]}; in percent", adbench_shown(part))
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
            print_table(f"AUROC, {setting}: {SETTINGS[setting]}; in percent", selection_shown(part))
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
        print_tables(shift_shown(tables), out)

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
        print_tables(robustness_shown(tables), out)

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
        print_tables({"AUROC of the other digits": oneclass_shown(results)}, out)

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
        print_tables(plots_shown(tables), out)

    @study.command()
    def brain(
        data: Annotated[
            Path | None,
            typer.Option(help="Folder with train/no_tumor and test; else brain_mri, data home."),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/brain"),
        quick: Annotated[
            bool, typer.Option(help="Small images and short trainings: shows that it runs.")
        ] = False,
        seeds: Annotated[int, seeds_option] = 5,
    ):
        """Brain MRI: trained on slices without a tumour, judged on four classes; resumable."""
        from skvae import studies
        from skvae.studies._brain_report import brain_shown

        results = studies.brain(data, range(seeds), out, quick=quick)
        print_tables(brain_shown(results), out)

    @study.command()
    def families(
        data: Annotated[
            Path | None,
            typer.Option(help="Folder with adbench, mnist.npz and brain_mri; else the data home."),
        ] = None,
        out: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("results/families"),
        detectors: Annotated[
            str | None, typer.Option(help="Names separated by commas; else all of them.")
        ] = None,
        quick: Annotated[
            bool, typer.Option(help="Small generated data and short trainings: a minute.")
        ] = False,
        seeds: Annotated[int, seeds_option] = 3,
    ):
        """Every family of detectors on tables, digits, plots and brain slices; resumable."""
        from skvae import studies
        from skvae.studies.families import families_shown

        results = studies.families(
            data, _words(detectors) if detectors else None, range(seeds), out, quick=quick
        )
        print_tables(families_shown(studies.families_summary(results)), out)

    return study


def _words(text):
    return [word.strip() for word in text.split(",") if word.strip()]
