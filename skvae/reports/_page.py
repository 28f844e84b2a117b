"""The report as one page of HTML, which holds its pictures and asks nothing of any network."""

import base64
import html
import math
from typing import NamedTuple

from skvae.reports._judged import map_caveat, threshold_in_words
from skvae.reports._style import STYLE

MOST_NOT_JUDGED = 50


class Closeup(NamedTuple):
    """What the page shows of one row or image.

    Attributes
    ----------
    name : object
    score : float
    file : str
        The picture's path in the folder of the report.
    picture : bytes
        PNG.
    thumbnails : (bytes, bytes) or None
        PNG of an image and of its error map.
    features : list of dict or None
        Of a row, those of the largest errors, as `features_of` describes them.
    """

    name: object
    score: float
    file: str
    picture: bytes
    thumbnails: tuple | None = None
    features: list | None = None


def page(detector, judged, found, closeups, histogram, many):
    """The page, as text; ``found`` is the summary, ``many`` "images" or "rows"."""
    one = many[:-1]
    parts = [
        _head(found, many),
        _counts(detector, found, one, many),
        _histogram(detector, histogram, many),
        _labels(found, many),
        _most_anomalous(detector, judged.key, closeups, many),
        _closer_look(detector, closeups, one),
        _not_judged(judged, found, many),
        _how_to_read(detector, many),
        _model(detector, found, many),
    ]
    # Nothing is fetched and nothing is run, whatever a name may hold.
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Anomaly report: {text(found['source'] or many)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def text(value):
    """Any value as text of the page: no markup, and nothing that UTF-8 cannot hold."""
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode("utf-8"))


def _number(value):
    if value == math.inf:
        return "none"  # of a threshold: all else is finite
    return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:.4g}"


def _picture(png, alt, css):
    data = base64.b64encode(png).decode("ascii")
    return f'<img class="{css}" alt="{text(alt)}" src="data:image/png;base64,{data}">'


def _table(columns, rows):
    """A table; ``columns`` are (title, CSS class), cells are HTML."""
    head = "".join(f'<th class="{css}">{title}</th>' for title, css in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{css}">{cell}</td>' for cell, (_, css) in zip(row, columns, strict=True)
        )
        + "</tr>\n"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _verdict(is_anomaly):
    word = "anomaly" if is_anomaly else "normal"
    return f'<span class="verdict {word}">{word}</span>'


def _head(found, many):
    facts = [found["written"].replace("T", " ")[:16]]
    if found["model"]:
        facts.insert(0, f"model {found['model']}")
    of = found["source"] or f"{found['n_inputs']:,} {many}"
    return f'<h1>Anomalies in {text(of)}</h1>\n<p class="quiet">{text(" · ".join(facts))}</p>'


def _counts(detector, found, one, many):
    n, n_anomalies = found["n_judged"], found["n_anomalies"]
    tiles = [
        ("", n, f"{one if n == 1 else many} judged"),
        ("anomaly", n_anomalies, "anomaly" if n_anomalies == 1 else "anomalies"),
        ("normal", found["n_normal"], "normal"),
    ]
    if found["n_not_judged"]:
        tiles.append(("", found["n_not_judged"], "not judged, see below"))
    shown = "".join(
        f'<div class="tile {css}"><b>{count:,}</b>{words}</div>' for css, count, words in tiles
    )
    if not n:
        return f'<div class="tiles">{shown}</div>'
    share, expected = n_anomalies / n, found["expected_share_of_anomalies"]
    if found["threshold"] == math.inf:
        return (
            f'<div class="tiles">{shown}</div>\n'
            f"<p>No {one} can be flagged: the threshold is infinite, as it is where too few {many} "
            "were held out of the training to keep the rate that was asked for. The scores still "
            "say which stand out most. "
            '<a href="#how">How to read this page</a></p>'
        )
    return (
        f'<div class="tiles">{shown}</div>\n'
        f"<p>{share:.1%} of these {many} are flagged: their anomaly score is above the threshold "
        f"of {_number(found['threshold'])}, which is {text(threshold_in_words(detector, many))}. "
        f"Of those, {expected:.1%} are above it: about so many would be flagged, or a few more, if "
        'these were just like those. <a href="#how">How to read this page</a></p>'
    )


def _histogram(detector, histogram, many):
    if histogram is None:
        return ""
    held_out = detector.calibration_is_held_out_
    kind = "held out of the training" if held_out else "the model was trained on"
    line = "The dashed line is the threshold; what lies to its right is flagged. "
    return (
        "<h2>All scores</h2>\n"
        + _picture(histogram, "Histograms of anomaly scores, with the threshold", "wide")
        + f'\n<p class="quiet">Above: {many} {kind}. Below: the {many} judged here. '
        + ("" if detector.threshold_ == math.inf else line)
        + "Where the lower histogram as a "
        "whole lies further right than the upper one, the input as a whole is unlike the "
        "training.</p>"
    )


def _labels(found, many):
    """How the verdicts agree with labels, and their counts by group."""
    parts, labels = [], found["labels"]
    if labels:
        parts.append("<h2>Agreement with the labels</h2>")
        parts.append(
            f"<p>{labels['anomalies_flagged']:,} of {labels['n_anomalies']:,} labelled anomalies "
            f"are flagged, and {labels['normal_flagged']:,} of {labels['n_normal']:,} normal "
            f"{many}.</p>"
        )
        if labels["roc_auc"] is not None:
            parts.append(
                f"<p>Area under the ROC curve {labels['roc_auc']:.3f} (1 = every anomaly scores "
                "higher than every normal one, 0.5 = chance); average precision "
                f"{labels['average_precision']:.3f}.</p>"
            )
    if found["groups"]:
        parts.append("" if labels else "<h2>By group</h2>")
        parts.append(_groups(found["groups"], labels, many))
    return "\n".join(parts)


def _groups(groups, labels, many):
    columns = [("Group", ""), (f"{many} judged", "number"), ("flagged", "number")]
    columns += [("share", "number"), ("median score", "number")]
    rows = [
        [
            text(each["group"]),
            f"{each['n_judged']:,}",
            f"{each['n_anomalies']:,}",
            f"{each['n_anomalies'] / each['n_judged']:.1%}",
            _number(each["median_score"]),
        ]
        for each in groups
    ]
    if labels:
        columns.append(("ROC area against normal", "number"))
        for row, each in zip(rows, groups, strict=True):
            row.append("normal" if each["roc_auc"] is None else f"{each['roc_auc']:.3f}")
    return _table(columns, rows)


def _most_anomalous(detector, key, closeups, many):
    if not closeups:
        return ""
    columns = [("", "number"), (text(key).capitalize(), ""), ("Score", "number"), ("Verdict", "")]
    of_images = closeups[0].thumbnails is not None
    because = "Largest errors" if map_caveat(detector, many[:-1]) else "Mostly because of"
    columns += [("Image", ""), ("Error map", "")] if of_images else [(because, "")]
    rows = []
    for rank, each in enumerate(closeups, start=1):
        rows.append(
            [
                f'<a href="#no{rank}">{rank}</a>',
                text(each.name),
                _number(each.score),
                _verdict(each.score > detector.threshold_),
                *(_thumbnails(each) if of_images else [_features_in_words(each.features)]),
            ]
        )
    threshold = f", above the threshold of {_number(detector.threshold_)} or not"
    if detector.threshold_ == math.inf:
        threshold = ""
    return (
        f"<h2>The {len(closeups)} most anomalous {many}</h2>\n"
        f"<p>Those of the highest scores{threshold}.</p>\n" + _table(columns, rows)
    )


def _thumbnails(closeup):
    return [
        _picture(png, f"{what} of {closeup.name}", "thumbnail")
        for png, what in zip(closeup.thumbnails, ("image", "error map"), strict=True)
    ]


def _features_in_words(features):
    return ", ".join(f"{text(each['feature'])} ({each['share']:.0%})" for each in features[:3])


def _closer_look(detector, closeups, one):
    if not closeups:
        return ""
    parts = [f"<h2>A closer look, {one} by {one}</h2>"]
    if closeups[0].features is None:
        low, high = detector.error_map_scale_
        parts.append(
            '<p class="quiet">The colours of the error maps mean the same in all pictures of this '
            f"model, also in other reports: their scale, from {_number(low)} to "
            f"{_number(high)}, was set by the training.</p>"
        )
    caveat = map_caveat(detector, one)
    if caveat:
        parts.append(f"<p>{caveat}</p>")
    for rank, each in enumerate(closeups, start=1):
        parts.append(
            f'<h3 id="no{rank}">{rank}. {text(each.name)}: score {_number(each.score)}, '
            f"{_verdict(each.score > detector.threshold_)}</h3>"
        )
        if each.features is None:
            parts.append(_picture(each.picture, f"Panels of {each.name}", "wide"))
        else:
            parts.append(_features(each.features))
    return "\n".join(parts)


def _features(features):
    columns = [("Feature", ""), ("Value", "number"), ("Expected", "number")]
    columns += [("Share", "number"), ("", "bar")]
    rows = [
        [
            text(each["feature"]),
            _cell(each["value"]),
            _cell(each["expected"]),
            f"{each['share']:.1%}",
            f'<div style="width:{100 * each["share"]:.1f}%"></div>',
        ]
        for each in features
    ]
    return _table(columns, rows)


def _cell(value):
    """A value of a table; nothing where it is missing."""
    if value is None:
        return ""
    return text(value) if isinstance(value, str) else _number(value)


def _not_judged(judged, found, many):
    if not found["n_not_judged"]:
        return ""
    lines = judged.table[~judged.is_judged]
    rows = lines[[judged.key, "error", "reason"]].head(MOST_NOT_JUDGED)
    more = len(lines) - len(rows)
    return (
        "<h2>Not judged</h2>\n<p>These have no score, and are no part of any count above.</p>\n"
        + _table(
            [(text(judged.key).capitalize(), ""), ("Error", ""), ("Reason", "")],
            [[text(cell) for cell in row] for row in rows.itertuples(index=False)],
        )
        + (f"\n<p>And {more:,} more, all named in predictions.csv.</p>" if more else "")
    )


def _how_to_read(detector, many):
    parts = [
        f"The model has learnt what the {many} of its training look like, and can only make "
        f"{many} like those. The <b>anomaly score</b> says how far each one here is from that; "
        "higher = more anomalous. Only comparisons with the threshold and with other scores of "
        "the same model mean something.",
        "The <b>threshold</b> was set when the model was trained. A score just above it is a "
        "weak sign, one far beyond all scores of the training a strong one. A flag says "
        "<i>unusual</i>, not <i>wrong</i>: somebody who knows the data should look at it.",
    ]
    if many == "images":
        parts.append(
            "In a closer look, the <b>original</b> stands beside its <b>reconstruction</b>, what "
            "the model makes of it. Their <b>difference</b> is red where the original is brighter "
            "and blue where it is darker. The <b>error map</b> is bright where the image is "
            "unusual, and the <b>overlay</b> shows the same over the original. A map that is dark "
            "everywhere can belong to a high score: then the image is unusual as a whole."
        )
    else:
        parts.append(
            "In a closer look, <b>expected</b> is what the model would make of the value, given "
            "the others of the row, and the <b>share</b> how much of what stands out lies in "
            "that feature. A value can be ordinary by itself and unusual beside the others."
        )
    caveat = map_caveat(detector, many[:-1])
    if caveat:
        parts[-1] += f" {caveat}"
    parts.append(
        "Every verdict stands in <code>predictions.csv</code>, the counts in "
        "<code>summary.json</code>, and these pictures in the folder <code>pictures</code>."
    )
    items = "".join(f"<li>{part}</li>" for part in parts)
    return f'<h2 id="how">How to read this</h2>\n<div class="note"><ul>{items}</ul></div>'


def _model(detector, found, many):
    rows = [
        ("Detector", text(found["detector"])),
        ("Threshold", _number(found["threshold"])),
        ("Which is", text(threshold_in_words(detector, many))),
        ("Written by", f"skvae {text(found['skvae'])}"),
    ]
    rows += [
        (text(name), text(value)) for name, value in sorted(detector.get_params(deep=False).items())
    ]
    table = _table([("", ""), ("", "")], rows)
    return f"<h2>The model</h2>\n<details><summary>Its parameters</summary>\n{table}\n</details>"
