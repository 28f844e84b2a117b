"""What the commands say of a fitted detector and of what it has found."""

import numpy as np
import pandas as pd

from skvae.cli._input import takes, takes_many
from skvae.cli._options import typed
from skvae.cli._shown import print_table, shown_threshold
from skvae.reports._judged import threshold_in_words

SHOWN = 10


def described(detector):
    """What there is to say of a fitted detector, as JSON takes it."""
    names = getattr(detector, "feature_names_in_", None)
    calibration = detector.calibration_scores_
    shown = {
        "detector": type(detector).__name__,
        "takes": takes(detector),
        "columns": None if names is None else list(names),
        "threshold": detector.threshold_,
        "threshold_set_by": threshold_in_words(detector, takes_many(detector)),
        "expected_share_of_anomalies": float(np.mean(calibration > detector.threshold_)),
    }
    if hasattr(detector, "history_"):
        shown |= {
            "latent_dim": int(detector.latent_dim_),
            "epochs": len(detector.history_),
            "steps": int(detector.n_steps_),
            "last_loss": float(detector.history_["loss"].iloc[-1]),
        }
    parameters = sorted(detector.get_params(deep=False).items())
    return shown | {"parameters": {name: _as_json(value) for name, value in parameters}}


def print_threshold(shown):
    """Print the threshold of a detector that is `described`, and what was asked of it."""
    threshold, asked = shown_threshold(shown["threshold"]), shown["threshold_set_by"]
    if threshold == "none":
        print(f"threshold none ({asked}): nothing will be flagged")
        return
    share = shown["expected_share_of_anomalies"]
    print(f"threshold {threshold}: {asked}, of which {share:.1%} are above")


def print_summary(found, out):
    """Print what a report has found, in a few lines."""
    n_judged, n_anomalies = found["n_judged"], found["n_anomalies"]
    share = f" ({n_anomalies / n_judged:.1%})" if n_judged else ""
    print(
        f"{n_judged:,} judged: {n_anomalies:,} anomalies{share}, {found['n_normal']:,} normal; "
        f"threshold {shown_threshold(found['threshold'])}"
    )
    if found["n_not_judged"]:
        print(f"{found['n_not_judged']:,} not judged: predictions.csv says why")
    labels = found["labels"]
    if labels:
        print(
            f"found {labels['anomalies_flagged']:,} of {labels['n_anomalies']:,} anomalies; false "
            f"alarms: {labels['normal_flagged']:,} of {labels['n_normal']:,} normal"
        )
    if labels and labels["roc_auc"] is not None:
        print(f"area under the ROC curve against the labels: {labels['roc_auc']:.3f}")
    if found["most_anomalous"]:
        lines = pd.DataFrame(found["most_anomalous"]).drop(columns="picture")
        lines["anomaly_score"] = lines["anomaly_score"].map("{:.4g}".format)
        print_table("the highest scores", lines.head(SHOWN))
    print(f"report: {out / 'report.html'}")


def shown_features(features):
    """The features of a row as a table of strings."""
    table = pd.DataFrame(features)
    for column in ("value", "expected", "error_map"):
        table[column] = [_shown_cell(each[column]) for each in features]
    table["share"] = table["share"].map("{:.1%}".format)
    return table.rename(columns={"error_map": "error map", "share": "share of it"})


def _shown_cell(value):
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.4g}"


def _as_json(value):
    """A parameter as JSON holds it; an object by the words that make it."""
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    is_plain = value is None or isinstance(value, (bool, int, float, str))
    return value if is_plain else repr(value)


def two_columns(values):
    shown = [
        f"{value:.6g}" if isinstance(value, float) else typed(value) for value in values.values()
    ]
    return pd.DataFrame({"": list(values), " ": shown})
