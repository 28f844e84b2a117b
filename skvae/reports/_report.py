"""The report of what a detector makes of many rows or images: tables, pictures and a page."""

import datetime
import json
import re
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from skvae._files import as_json, replacing_folder
from skvae._optional import require
from skvae.datasets import ImageFolder
from skvae.reports._explained import feature_names, features_of, holds_images
from skvae.reports._judged import as_seen, judge, labels_of, rows_at
from skvae.reports._page import Closeup, page
from skvae.reports._pictures import MOST_FEATURES, histogram, image_pictures, row_picture

# What a folder holds that a report may take the place of.
OWN_FILES = {"predictions.csv", "summary.json", "report.html", "pictures"}


def write_report(
    detector,
    X,
    out,
    *,
    y=None,
    groups=None,
    gaps=None,
    names=None,
    top_k=12,
    source=None,
    model=None,
    verbose=0,
):
    """Judge many rows or images, and write a folder that says what was found.

    The folder holds

    - ``predictions.csv``: a line for every row, image or file, in their order: its name,
      ``anomaly_score`` (higher = more anomalous), ``is_anomaly``, ``p_value`` where the threshold
      was set on held-out data, and for what could not be judged ``error`` and ``reason``;
    - ``pictures``: of the ``top_k`` highest scores, original, reconstruction, difference and error
      map of an image, in one colour scale kept from the training; of a row the features that add
      most to its score;
    - ``summary.json``: counts, threshold (null where it is infinite), quantiles of the scores, and
      what the labels say of them;
    - ``report.html``: a page for people, in one file.

    It takes its place when it is complete; an interrupted call leaves what was there before.

    Parameters
    ----------
    detector : fitted detector of skvae
        Its threshold decides.
    X : DataFrame, array-like or ImageFolder
        Rows or images as ``detector.anomaly_score`` takes them. The index of a DataFrame names its
        rows. Rows of a table with values that are not finite are not judged, and say so; missing
        values are judged by a detector that takes them.
    out : str or path-like
        The folder: a new one, an empty one, or that of an earlier report, which is replaced.
    y : array-like of shape (n_samples,), default=None
        Labels, {+1, -1} with -1 an anomaly, or {0, 1} or bool with 1 an anomaly: the report then
        says how well the verdicts agree with them. They change no verdict. Of few labels, {-1, 0,
        +1} with 0 for unknown, those that are known are compared.
    groups : array-like of shape (n_samples,), default=None
        A word for each row or image, such as its class, to count the verdicts by.
    gaps : dict of int to str, default=None
        Positions of the rows of a table that cannot be judged, and why, as `load_table` finds them.
        Those with values that are not finite, or beyond 1e15, are added.
    names : sequence of str, default=None
        Names of the images or rows of an array. None numbers them from 0.
    top_k : int, default=12
        Number of pictures: of those with the highest scores, whether they are anomalies or not.
    source : str, default=None
        Where X comes from, for the report.
    model : str, default=None
        Where the detector comes from, for the report.
    verbose : int, default=0
        1 shows progress bars.

    Returns
    -------
    predictions : DataFrame
        As written to ``predictions.csv``.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the folder holds anything but a report, lies in that of X, holds the one you are in, or
        cannot be written.
    ValueError
        If X or the labels do not fit the detector.

    See Also
    --------
    judge_image : Judges one image, and writes no folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skvae import VAEDetector
    >>> from skvae.reports import write_report
    >>> X = pd.DataFrame(np.random.RandomState(0).randn(200, 3), columns=["a", "b", "c"])
    >>> detector = VAEDetector(max_steps=50, random_state=0).fit(X)
    >>> X.loc[7, "b"] = 30
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     predictions = write_report(detector, X, Path(folder, "report"), top_k=1)
    ...     print(*sorted(path.name for path in Path(folder, "report").iterdir()))
    pictures predictions.csv report.html summary.json
    >>> bool(predictions.loc[7, "is_anomaly"]), predictions["anomaly_score"].idxmax()
    (True, 7)
    """
    require("matplotlib", extra="plot", what="A report")  # before the work
    check_out(out, X.path if isinstance(X, ImageFolder) else None)
    start = time.perf_counter()
    X = X if hasattr(X, "ndim") else np.asarray(X)
    is_anomaly = None if y is None else labels_of(y)
    if is_anomaly is not None and len(is_anomaly) != len(X):
        raise ValueError(f"y has {len(is_anomaly)} labels for {len(X)} rows of X.")
    judged = judge(detector, X, groups, gaps, names, verbose)
    known = None if is_anomaly is None else is_anomaly[judged.judged_positions]
    top = judged.most_anomalous[: max(top_k, 0)]
    with replacing_folder(out) as folder:
        judged.table.to_csv(folder / "predictions.csv", index=False, encoding="utf-8")
        (folder / "pictures").mkdir()
        closeups = _closeups(detector, X, judged, top, folder / "pictures")
        found = summary(detector, judged, known, source, model)
        found["most_anomalous"] = [
            {judged.key: str(each.name), "anomaly_score": each.score, "picture": each.file}
            for each in closeups
        ]
        many = "images" if holds_images(detector, X) else "rows"
        all_known = known is not None and not np.isnan(known).any()
        shown = known == 1 if all_known else None
        drawn = histogram(detector, judged.scores, many, shown) if len(judged.scores) else None
        html = page(detector, judged, found, closeups, drawn, many)
        (folder / "report.html").write_text(html, encoding="utf-8")
        found["seconds"] = round(time.perf_counter() - start, 2)
        (folder / "summary.json").write_text(as_json(found), encoding="utf-8")
    return judged.table


def check_out(out, source=None):
    """Refuse to replace a folder that holds anything but a report, or to mix it with the input."""
    out = Path(out)
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise FileExistsError(f"{out} is no folder: name a new one for the report.")
    other = _other_than_report(out) if out.exists() else None
    if other is not None:
        raise FileExistsError(
            f"{out} holds other files than a report, such as {other!r}: name a new "
            "folder, so that nothing is lost."
        )
    if Path.cwd().is_relative_to(out.resolve()):
        raise FileExistsError(
            f"{out} holds the folder you are in, which cannot be replaced: name another folder "
            "for the report."
        )
    if source is None:
        return
    check_outside(out, source, "the report")
    if Path(source).expanduser().resolve().is_relative_to(out.resolve()):
        raise FileExistsError(
            f"{out} holds the input {source}, which the report would replace: name another folder."
        )


def check_outside(out, source, what):
    """Refuse to write into a folder that is read: what is written would be read the next time."""
    source = Path(source).expanduser()
    if source.is_dir() and Path(out).resolve().is_relative_to(source.resolve()):
        raise FileExistsError(
            f"{out} lies in the input {source}, whose images {what} would be taken for: name a "
            "place outside of it."
        )


def _other_than_report(folder):
    """Some file of the folder that no report has written; None where there is none."""
    names = {each.name for each in folder.iterdir()}
    if not names:
        return None
    pictures = _pictures_of_report(folder)
    if pictures is None:  # whatever the files are called
        return min(names)
    others = names - OWN_FILES
    if "pictures" in names:
        others |= {f"pictures/{each.name}" for each in (folder / "pictures").iterdir()} - pictures
    return min(others, default=None)


def _pictures_of_report(folder):
    """The pictures that the report in the folder names; None where there is no report."""
    if not (folder / "report.html").is_file():
        return None
    try:
        found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        found["skvae"]
        return {each["picture"] for each in found["most_anomalous"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def summary(detector, judged, is_anomaly=None, source=None, model=None):
    """What was found, as `as_json` takes it: counts, threshold, quantiles, what labels say.

    ``is_anomaly`` holds what `labels_of` makes of the labels of what was judged.
    """
    from skvae import __version__

    scores = judged.scores
    n_anomalies = int((scores > detector.threshold_).sum())
    quantiles = np.quantile(scores, [0, 0.25, 0.5, 0.75, 1]) if len(scores) else []
    names = ("min", "lower_quartile", "median", "upper_quartile", "max")
    return {
        "skvae": __version__,
        "written": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "detector": type(detector).__name__,
        "model": model,
        "source": source,
        "n_inputs": len(judged.table),
        "n_judged": len(scores),
        "n_anomalies": n_anomalies,
        "n_normal": len(scores) - n_anomalies,
        "n_not_judged": len(judged.table) - len(scores),
        "threshold": detector.threshold_,
        "expected_share_of_anomalies": float(
            np.mean(detector.calibration_scores_ > detector.threshold_)
        ),
        "scores": dict(zip(names, map(float, quantiles), strict=False)),
        "groups": _by_group(judged, is_anomaly),
        "labels": None if is_anomaly is None else _agreement(detector, scores, is_anomaly),
    }


def _agreement(detector, scores, is_anomaly):
    """How well the verdicts agree with the labels."""
    is_known = ~np.isnan(is_anomaly)
    scores, is_anomaly = scores[is_known], is_anomaly[is_known] == 1
    flagged = scores > detector.threshold_
    both = 0 < is_anomaly.sum() < len(is_anomaly)
    return {
        "n_anomalies": int(is_anomaly.sum()),
        "anomalies_flagged": int((flagged & is_anomaly).sum()),
        "n_normal": int((~is_anomaly).sum()),
        "normal_flagged": int((flagged & ~is_anomaly).sum()),
        "roc_auc": float(roc_auc_score(is_anomaly, scores)) if both else None,
        "average_precision": float(average_precision_score(is_anomaly, scores)) if both else None,
    }


def _by_group(judged, is_anomaly):
    """Counts of each group; with labels, how well it is told from what is normal."""
    if "group" not in judged.table:
        return None
    lines = judged.table[judged.is_judged]
    groups, scores = lines["group"].to_numpy(), judged.scores
    found = []
    for group in np.unique(groups):
        own = groups == group
        flagged = lines["is_anomaly"].to_numpy(bool)[own]
        line = {
            "group": str(group),
            "n_judged": int(own.sum()),
            "n_anomalies": int(flagged.sum()),
            "median_score": float(np.median(scores[own])),
        }
        if is_anomaly is not None:
            line["roc_auc"] = _against_normal(own, is_anomaly, scores)
        found.append(line)
    return found


def _against_normal(own, is_anomaly, scores):
    """ROC AUC of the anomalies of one group against all that is normal."""
    anomalies, normal = own & (is_anomaly == 1), is_anomaly == 0
    if not anomalies.any() or not normal.any():
        return None
    rows = anomalies | normal
    return float(roc_auc_score(is_anomaly[rows] == 1, scores[rows]))


def _closeups(detector, X, judged, top, folder):
    """Pictures of the lines ``top``, written to the folder, and what the page shows of them."""
    if not len(top):
        return []
    names = judged.table[judged.key].to_numpy()[top]
    scores = judged.table["anomaly_score"].to_numpy()[top]
    rows = rows_at(X, judged.positions[top])
    files = [f"pictures/{_file_name(i, name)}" for i, name in enumerate(names, start=1)]
    parts = (_of_images if holds_images(detector, X) else _of_rows)(detector, rows, names)
    closeups = []
    for name, score, file, (picture, shown) in zip(names, scores, files, parts, strict=True):
        (folder / Path(file).name).write_bytes(picture)
        closeups.append(Closeup(name, float(score), file, picture, **shown))
    return closeups


def _of_images(detector, images, names):
    labels = [f"no. {i}" for i in range(1, len(names) + 1)]
    for picture, original, error_map in image_pictures(detector, images, labels):
        yield picture, {"thumbnails": (original, error_map)}


def _of_rows(detector, rows, names):
    errors = np.asarray(detector.error_map(as_seen(detector, rows)))
    for i, (name, features) in enumerate(zip(names, features_of(detector, rows), strict=True)):
        picture = row_picture(detector, name, errors[i], feature_names(rows))
        yield picture, {"features": features[:MOST_FEATURES]}


def _file_name(rank, name):
    """A plain name for a picture, that tells its rank and what it is of."""
    stem = re.sub(r"\.[A-Za-z]\w{0,4}$", "", str(name))
    stem = re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")
    return f"{rank:03d}_{stem[-60:]}.png" if stem else f"{rank:03d}.png"
