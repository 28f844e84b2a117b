"""skvae fit, predict, explain and info: thin, they read, call and print."""

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from sklearn.utils import get_tags

from skvae._optional import require
from skvae.cli._described import (
    described,
    print_summary,
    print_threshold,
    shown_features,
    two_columns,
)
from skvae.cli._input import read_to_fit, read_to_judge
from skvae.cli._model_file import (
    SUFFIX,
    check_writable,
    existing_model,
    load_detector,
    model_path,
)
from skvae.cli._options import detector_class, typed_parameters, with_parameters
from skvae.cli._shown import note, print_json, print_table, shown_threshold

GOES_ON = ", but the same command goes on from the last complete epoch"


def add_model_commands(app):
    """Add the commands to the typer application."""
    typer = require("typer", extra="cli", what="The command line")
    tables, images = "Tables", "Images"

    def option(*names, help, panel=None, **more):
        return typer.Option(*names, help=help, rich_help_panel=panel, **more)

    # What the commands share.
    Model = Annotated[Path, typer.Argument(help="Model file that skvae fit wrote.")]
    Verbose = Annotated[int, option("--verbose", min=0, help="0 is silent, 1 shows progress.")]
    Json = Annotated[bool, option("--json", help="Print JSON, for programs, and nothing else.")]
    Drop = Annotated[
        list[str] | None,
        option("--drop", help="Column to leave out; may be given again.", panel=tables),
    ]
    Index = Annotated[
        str | None, option("--index", help="Column with the names of the rows.", panel=tables)
    ]
    Label = Annotated[
        str | None,
        option("--label", help="Column with labels, which the scores do not see.", panel=tables),
    ]
    Header = Annotated[
        bool | None,
        option(
            "--header/--no-header",
            help="Whether the first line of a CSV file names the columns.",
            panel=tables,
            show_default=False,
        ),
    ]
    Workers = Annotated[
        int, option("--n-workers", min=1, help="Threads that decode images.", panel=images)
    ]
    Device = Annotated[str, option("--device", help='"auto" takes a GPU where there is one.')]

    @app.command()
    @with_parameters
    def fit(
        input: Annotated[
            Path, typer.Argument(help="Folder of images, or a CSV, Parquet or npz file.")
        ],
        out: Annotated[Path, option("--out", "-o", help="Model file to write.")],
        detector: Annotated[
            str | None,
            option(
                "--detector",
                help="VAEDetector, AEDetector, ConvVAEDetector, ConvAEDetector or mixed, which is "
                "MixedVAEDetector, for a table with text, dates or empty cells. "
                "(default: VAEDetector for a table, ConvVAEDetector for images)",
                show_default=False,
            ),
        ] = None,
        size: Annotated[
            str,
            option(
                "--size",
                help="Pixels that images are brought to: 64, or 64,96 high and wide. More show "
                "finer anomalies; twice as many each way take four times as long. "
                "load_image_folder in Python takes 224 unless it is told otherwise.",
                panel=images,
            ),
        ] = "64",
        color: Annotated[str, option("--color", help="grey or rgb.", panel=images)] = "grey",
        n_workers: Workers = 2,
        drop: Drop = None,
        index: Index = None,
        label: Label = None,
        header: Header = None,
        skip_incomplete: Annotated[
            bool,
            option(
                "--skip-incomplete",
                help="Leave out the rows that have no number in some column.",
                panel=tables,
            ),
        ] = False,
        normal: Annotated[
            str | None,
            option(
                "--normal",
                help="Label, or folder, that is normal: all others are anomalies, and not trained "
                "on unless --train-on all. Trusted labels go well with --contamination 0.",
            ),
        ] = None,
        folder: Annotated[
            Path | None,
            option(
                "--folder",
                help="Folder to watch the training in: losses, pictures, checkpoints. The same "
                "command again goes on where the first was stopped, whatever stopped it. "
                "--random-state is 0 then unless it is given.",
            ),
        ] = None,
        verbose: Verbose = 1,
        as_json: Json = False,
        **parameters,
    ):
        """Train a detector on a folder of images or on a table, and write it to a file.

        Example: skvae fit photos/ -o model
        """
        from skvae.reports._report import check_outside

        out = out if out.is_dir() else model_path(out)
        check_writable(out, "model", SUFFIX, input)
        if folder is not None:
            check_outside(folder, input, "pictures of the training")
            parameters["random_state"] = parameters["random_state"] or "0"
        if input.is_dir():  # before images are decoded, which may take long
            make_detector(detector, False, normal, parameters, verbose)
        given = read_to_fit(
            input,
            **_preparation(size, color),
            n_workers=n_workers,
            drop=drop or (),
            index=index,
            label=label,
            normal=normal,
            header=header,
            kinds="infer" if takes_text(detector) else None,
            verbose=verbose,
        )
        given = complete(given, input, skip_incomplete)
        made = make_detector(detector, given.is_table, normal, parameters, verbose)
        start = time.perf_counter()
        train(made, given, out, folder)
        shown = {
            "model": str(out),
            "source": str(input),
            "n_samples": len(given.X),
            "n_trained_on": n_trained_on(made, given),
            "seconds": round(time.perf_counter() - start, 2),
            **described(made),
        }
        if as_json:
            return print_json(shown)
        print(
            f"{shown['detector']} for {shown['takes']}, trained on {shown['n_trained_on']:,} "
            f"{'rows' if given.is_table else 'images'} in {shown['seconds']:.0f} s"
        )
        print_threshold(shown)
        print(f"model: {out}")

    @app.command()
    def predict(
        model: Model,
        input: Annotated[
            Path, typer.Argument(help="Folder of images, an image, or a CSV, Parquet or npz file.")
        ],
        out: Annotated[
            Path | None,
            option(
                "--out",
                "-o",
                help="Folder to write: predictions.csv, pictures, summary.json, report.html. "
                "Without it, the predictions are printed as CSV.",
            ),
        ] = None,
        top_k: Annotated[
            int, option("--top-k", min=0, help="Pictures of so many of the highest scores.")
        ] = 12,
        threshold: Annotated[
            float | None, option("--threshold", help="Score above which all are anomalies.")
        ] = None,
        n_workers: Workers = 2,
        drop: Drop = None,
        index: Index = None,
        label: Label = None,
        header: Header = None,
        normal: Annotated[
            str | None,
            option("--normal", help="Label, or folder, that is normal, to compare verdicts with."),
        ] = None,
        device: Device = "cpu",
        verbose: Verbose = 1,
        as_json: Json = False,
    ):
        """Judge a folder of images or a table, and write a report.

        Example: skvae predict model photos/new -o report
        """
        from skvae.reports._judged import check_can_judge, judge, labels_of
        from skvae.reports._report import check_out, summary, write_report

        if out is not None:
            check_out(out, input)
        loaded = load_detector(model, device)
        check_can_judge(loaded)
        if threshold is not None:
            loaded.set_threshold(threshold)
        given = read_to_judge(
            input,
            loaded,
            n_workers=n_workers,
            drop=drop or (),
            index=index,
            label=label,
            normal=normal,
            header=header,
            verbose=verbose,
        )
        is_anomaly = given.is_anomaly(labels_of)
        what = {"groups": given.groups, "gaps": given.gaps, "names": given.names}
        if out is None:
            judged = judge(loaded, given.X, **what, verbose=verbose)
            known = None if is_anomaly is None else is_anomaly[judged.judged_positions]
            found = summary(loaded, judged, known, str(input), str(existing_model(model)))
            if as_json:
                found["predictions"] = json.loads(judged.table.to_json(orient="records"))
                print_json(found)
            else:
                print(judged.table.to_csv(index=False), end="")
        else:
            with saying_what_is_lost(f"{out} was not written"):
                write_report(
                    loaded,
                    given.X,
                    out,
                    y=given.labels,
                    **what,
                    top_k=top_k,
                    source=str(input),
                    model=str(existing_model(model)),
                    verbose=verbose,
                )
            found = json.loads((out / "summary.json").read_text(encoding="utf-8"))
            if as_json:
                print_json(found | {"report": str(out / "report.html")})
            else:
                print_summary(found, out)
        if not found["n_judged"]:
            note(f"nothing in {input} could be judged.")
            raise typer.Exit(1)

    @app.command()
    def explain(
        model: Model,
        input: Annotated[
            Path, typer.Argument(help="An image, a folder, or a CSV, Parquet or npz file.")
        ],
        name: Annotated[
            str | None,
            option(
                "--name",
                help="Which row or file of the input; else the one with the highest score.",
            ),
        ] = None,
        out: Annotated[Path | None, option("--out", "-o", help="PNG file to write.")] = None,
        n_workers: Workers = 2,
        drop: Drop = None,
        index: Index = None,
        label: Label = None,
        header: Header = None,
        device: Device = "cpu",
        as_json: Json = False,
    ):
        """Say what makes one image or one row anomalous, in a picture and, of a row, in numbers.

        Example: skvae explain model scan.png -o why.png
        """
        from skvae.reports._explained import explained
        from skvae.reports._judged import check_can_judge
        from skvae.reports._report import check_outside

        if out is not None:
            check_writable(out, "picture", ".png", input)
            check_outside(out, input, "the picture")
        loaded = load_detector(model, device)
        check_can_judge(loaded)
        given = read_to_judge(
            input,
            loaded,
            n_workers=n_workers,
            drop=drop or (),
            index=index,
            label=label,
            normal=None,
            header=header,
        )
        found = explained(loaded, given.X, name, gaps=given.gaps, names=given.names, picture=out)
        if as_json:
            return print_json(found)
        print(
            f"{found['name']}: {'anomaly' if found['is_anomaly'] else 'normal'}, score "
            f"{found['anomaly_score']:.4g}, threshold {shown_threshold(found['threshold'])}"
        )
        if found["features"]:
            print_table("", shown_features(found["features"]))
        if found["note"]:
            print(found["note"])
        print(f"picture: {out}" if out else "-o FILE.png draws a picture of it")

    @app.command()
    def info(model: Model, as_json: Json = False):
        """Say what a model file holds."""
        path = existing_model(model)
        loaded = load_detector(model)
        shown = {"model": str(path), "bytes": path.stat().st_size, **described(loaded)}
        if as_json:
            return print_json(shown)
        rows = {key: value for key, value in shown.items() if key != "parameters"}
        rows["bytes"] = f"{rows['bytes']:,}"
        rows["threshold"] = shown_threshold(rows["threshold"])
        print_table("", two_columns({key.replace("_", " "): value for key, value in rows.items()}))
        print_table("parameters", two_columns(shown["parameters"]))


def takes_text(name):
    """Whether the detector of that name takes tables of mixed kinds."""
    return name is not None and get_tags(detector_class(name)()).input_tags.string


def make_detector(name, is_table, normal, texts, verbose):
    """The detector to train, of the options that were typed."""
    default = "VAEDetector" if is_table else "ConvVAEDetector"
    made = detector_class(name or default)
    if not is_table and not made._takes_images:
        raise ValueError(f"{made.__name__} takes tables, but the input holds images.")
    parameters = typed_parameters(made, texts)
    if normal is not None:
        parameters.setdefault("train_on", "normal")
    if not is_table and normal is None and parameters.get("train_on") == "labels":
        raise ValueError(
            "--train-on labels needs labels: --normal NAME says which folder is known to be "
            "normal, and images of the others are known anomalies."
        )
    detector = made(**parameters, verbose=verbose)
    detector._validate_params()
    if detector.percentile is not None and detector.percentile < 1:
        raise ValueError(
            f"--percentile {detector.percentile:g} is below 1, but it is in percent: 98 flags 2 %."
        )
    return detector


def complete(given, path, skip_incomplete):
    """The input without the rows that hold a gap, if that is wanted; else they are an error."""
    if not given.gaps:
        return given
    row, gap = next(iter(given.gaps.items()))
    if not skip_incomplete:
        raise ValueError(
            f"{len(given.gaps)} of {len(given.X)} rows of {path} are incomplete, the first of them "
            f"in row {given.X.index[row]}: {gap}. Fill the gaps, leave the rows out "
            "(--skip-incomplete) or the column (--drop)."
        )
    note(f"{len(given.gaps)} of {len(given.X)} rows are incomplete and left out.")
    kept = np.setdiff1d(np.arange(len(given.X)), list(given.gaps))
    labels = None if given.labels is None else given.labels[kept]
    return given._replace(X=given.X.iloc[kept], labels=labels, gaps={})


def train(detector, given, out, folder=None):
    """Fit the detector, in a folder if there is one, and write it."""
    from skvae import fit_in_folder, save

    X = given.X
    if isinstance(X, pd.DataFrame) and not isinstance(X.columns[0], str):
        X = X.to_numpy()  # columns without names
    y = None
    if detector.train_on == "labels":
        y = given.labels
        if not given.is_table:  # all are known, by their folders
            y = np.where(given.is_anomaly(), -1, 1)
    elif detector.threshold == "f1" or detector.train_on == "normal":
        y = given.is_anomaly()
    with saying_what_is_lost(f"{out} was not written", folder):
        if folder is None:
            detector.fit(X, y)
        else:
            fit_in_folder(detector, X, y, folder=folder)
        save(detector, out)


def n_trained_on(detector, given):
    """How many of the rows or images the detector trained on, those held out among them."""
    if detector.train_on == "normal":
        return int(np.count_nonzero(~given.is_anomaly()))
    return len(given.X)


@contextmanager
def saying_what_is_lost(words, folder=None):
    """Say, when the user interrupts, what there is not, and whether a training can go on."""
    try:
        yield
    except KeyboardInterrupt:
        goes_on = folder is not None and (folder / "checkpoint.safetensors").exists()
        note(f"interrupted: {words}{GOES_ON if goes_on else ''}.")
        raise


def _preparation(size, color):
    try:
        sides = tuple(int(side) for side in size.lower().replace("x", ",").split(","))
    except ValueError:
        raise ValueError(f"size must be 64, or 64,96 (height,width); found {size!r}.") from None
    return {"size": sides[0] if len(sides) == 1 else sides, "color": color}
