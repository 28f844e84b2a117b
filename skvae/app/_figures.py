"""The figures of the app: of arrays, so that they can be drawn and tested without a page."""

from html import escape

import numpy as np
import pandas as pd

from skvae._optional import require
from skvae.app._judge import score_axis, scored
from skvae.plotting import ImageErrorMapDisplay
from skvae.plotting._common import ANOMALY_COLOR, NORMAL_COLOR

_TRAINING_COLOR = "#9AA5B1"
_BINS = 40
_LAYOUT = {
    "height": 400,
    "margin": {"l": 10, "r": 10, "t": 25, "b": 10},
    "legend": {"orientation": "h", "yref": "container", "y": 0, "itemsizing": "constant"},
}
_CAMERA = {"eye": {"x": 1.8, "y": 1.8, "z": 1.0}}  # far enough to see the titles of the axes
_PANELS_SIZE = (11, 2.9)  # inches
# Of larger clouds of points only some are drawn.
_MOST_POINTS = 1500


def image_panels(detector, image):
    """Original, reconstruction, difference, error map and overlay of one image of (C, H, W).

    The colours of the error map are those of ``detector.error_map_scale_``, the same for every
    image, and its values are in the units of the score.
    """
    matplotlib = require("matplotlib.figure", extra="app", what="The app")
    figure = matplotlib.Figure(figsize=_PANELS_SIZE, layout="tight")
    low, high = detector.error_map_scale_
    ImageErrorMapDisplay.from_predictions(
        image[None],
        detector.reconstruct(image[None]),
        detector.error_map(image[None]),
        vmin=low,
        vmax=high,
        image_names=[""],
        ax=figure.subplots(),
    )
    return figure


def score_histogram(detector, judged, chosen, threshold):
    """Histogram of the model's own scores, below it a tick for each sample, the chosen one large.

    What lies beyond the axis stands at its end as an arrow, the chosen one with its score.
    """
    go = _plotly()
    axis = score_axis(detector)
    heights, edges = np.histogram(np.clip(detector.calibration_scores_, *axis), _BINS, axis)
    figure = go.Figure(layout={**_LAYOUT, "bargap": 0.03})
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=heights,
        marker_color=_TRAINING_COLOR,
        name=scored(detector),
        hovertemplate="%{y} scores around %{x:.4g}<extra></extra>",
    )
    highest = heights.max()
    for name, color, which in _by_verdict(judged, threshold):
        figure.add_scatter(
            x=np.clip(judged.scores[which], *axis),
            y=np.full(len(which), -0.05 * highest),
            mode="markers",
            marker={"color": color, "symbol": _ticks(judged.scores[which], axis), "size": 12},
            name=name,
            text=_hover(judged, which),
            hovertemplate="%{text}<extra></extra>",
        )
    figure.add_scatter(
        x=[np.clip(judged.scores[chosen], *axis)],
        y=[-0.05 * highest],
        mode="markers",
        marker=_chosen_marker(judged.scores[chosen], threshold, 16),
        name="this sample",
        text=_hover(judged, [chosen]),
        hovertemplate="%{text}<extra></extra>",
    )
    if np.clip(judged.scores[chosen], *axis) != judged.scores[chosen]:
        is_high = bool(judged.scores[chosen] > axis[1])
        figure.add_annotation(
            x=axis[is_high],
            y=0.05 * highest,
            text=f"off scale: {judged.scores[chosen]:.4g}",
            xanchor="right" if is_high else "left",
            showarrow=False,
        )
    figure.add_vline(
        threshold,
        line={"dash": "dash"},
        annotation_text=f" threshold {threshold:.4g} ",
        annotation_position="top right" if threshold < sum(axis) / 2 else "top left",
    )
    figure.update_xaxes(title="anomaly score (higher = more anomalous)", range=_wider(axis))
    # Below zero there is room for the ticks, and none for a number on the axis.
    figure.update_yaxes(title="number of samples", range=(-0.1 * highest, 1.1 * highest))
    return figure


def latent_scatter(judged, chosen, places, threshold, n_dimensions):
    """Samples among the latents of the training, on 2 or 3 principal components."""
    go = _plotly()
    trace = go.Scatter3d if n_dimensions == 3 else go.Scatter
    size = 4 if n_dimensions == 3 else 9
    figure = go.Figure(layout=_LAYOUT)

    def draw(points, **parameters):
        axes = dict(zip("xyz", points.T[:n_dimensions], strict=False))
        figure.add_trace(trace(mode="markers", **axes, **parameters))

    if places.training is not None:
        marker = {"color": _TRAINING_COLOR, "size": size / 2, "opacity": 0.6}
        draw(_thinned(places.training), marker=marker, name="training", hoverinfo="skip")
    for name, color, which in _by_verdict(judged, threshold):
        draw(
            places.samples[which],
            marker={"color": color, "size": size},
            name=name,
            text=_hover(judged, which),
            hovertemplate="%{text}<extra></extra>",
        )
    draw(
        places.samples[[chosen]],
        marker=_chosen_marker(judged.scores[chosen], threshold, 2 * size),
        name="this sample",
        text=_hover(judged, [chosen]),
        hovertemplate="%{text}<extra></extra>",
    )
    axes = {f"{axis}axis": {"title": f"PC {i + 1}"} for i, axis in enumerate("xyz"[:n_dimensions])}
    figure.update_layout({"scene": {**axes, "camera": _CAMERA}} if n_dimensions == 3 else axes)
    return figure


def feature_bars(features, is_anomaly):
    """The errors of the features of a row, worst on top, as `features_of` tells them."""
    go = _plotly()
    table = pd.DataFrame(features)
    figure = go.Figure(layout=_LAYOUT)
    figure.add_bar(
        x=table["error_map"],
        y=[escape(name) for name in table["feature"]],
        orientation="h",
        marker_color=ANOMALY_COLOR if is_anomaly else NORMAL_COLOR,
        customdata=table[["value", "expected"]],
        hovertemplate="value %{customdata[0]:.4g}, expected %{customdata[1]:.4g}<extra></extra>",
    )
    figure.update_xaxes(title="error of each column (error map)")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def _plotly():
    return require("plotly.graph_objects", extra="app", what="The app")


def _by_verdict(judged, threshold):
    """Name, colour and positions of the normal samples and of the anomalies; of many, some."""
    is_anomaly = judged.scores > threshold
    return [
        (name, color, _thinned(np.flatnonzero(mask)))
        for name, color, mask in (
            ("normal", NORMAL_COLOR, ~is_anomaly),
            ("anomaly", ANOMALY_COLOR, is_anomaly),
        )
    ]


def _thinned(points):
    """Every so many-th of the points, so that the page stays quick."""
    return points[:: -(-len(points) // _MOST_POINTS) or 1]


def _chosen_marker(score, threshold, size):
    color = ANOMALY_COLOR if score > threshold else NORMAL_COLOR
    line = {"width": 2, "color": "black"}
    return {"color": color, "symbol": "diamond", "size": size, "line": line}


def _hover(judged, which):
    """Names and scores; plotly reads tags, so what a name holds of them is escaped."""
    labels = judged.labels
    return [f"{escape(labels[i])}: {judged.scores[i]:.4g}" for i in which]


def _ticks(scores, axis):
    """Symbols of scores below their histogram: those beyond its axis are arrows."""
    beyond = ["triangle-left-open", "line-ns-open", "triangle-right-open"]
    return [beyond[1 + int(score > axis[1]) - int(score < axis[0])] for score in scores]


def _wider(axis):
    low, high = axis
    return low - 0.03 * (high - low), high + 0.03 * (high - low)
