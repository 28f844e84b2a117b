"""What all displays share: axes, titles, checks, and the detector inside a pipeline or search."""

import io

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skvae._optional import require

# Told apart by people who do not see red and green, and in grey print.
NORMAL_COLOR = "#0072B2"
ANOMALY_COLOR = "#D55E00"


def axes_or_new(ax, projection=None, figsize=None):
    """Return ``ax``, or the axes of a new figure when it is None.

    Call it after every check of the input, so that an error leaves no empty figure behind.
    """
    pyplot = require("matplotlib.pyplot", extra="plot", what="A picture")
    if ax is not None:
        return ax
    _, ax = pyplot.subplots(layout="tight", figsize=figsize, subplot_kw={"projection": projection})
    return ax


def unseen_figure(what="A picture", layout="constrained", **options):
    """Make a figure that no window, backend or global state knows of."""
    require("matplotlib", extra="plot", what=what)
    from matplotlib.figure import Figure

    return Figure(layout=layout, **options)


def as_png(figure, dpi):
    """Return the bytes of a PNG file of a figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight")
    return buffer.getvalue()


def set_title(ax, name):
    """Write ``name`` above ``ax`` unless the user has written something there."""
    if name is not None and not ax.get_title():
        ax.set_title(name)


def beyond(values, vmin, vmax):
    """Say at which ends of the colour bar values lie outside it."""
    below, above = np.nanmin(values) < vmin, np.nanmax(values) > vmax
    return {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}[below, above]


def finite_array(values, ndim, what):
    """Return ``values`` as a finite float64 array of ``ndim`` dimensions, or say what is wrong."""
    array = _array(values, ndim, what)
    check_finite(array, what)
    return array


def array_with_gaps(values, ndim, what):
    """`finite_array` where some values, but not all, may be NaN: there is nothing to be drawn."""
    array = _array(values, ndim, what)
    if np.isnan(array).all():
        raise ValueError(f"{what} must hold numbers, but all {array.size} values are NaN.")
    n_infinite = np.count_nonzero(np.isinf(array))
    if n_infinite:
        raise ValueError(
            f"{what} must hold numbers, or NaN where there is none, but {n_infinite} of "
            f"{array.size} values are infinite."
        )
    return array


def _array(values, ndim, what):
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} must be numbers: {error}.") from error
    if array.ndim != ndim or array.size == 0:
        raise ValueError(
            f"{what} must be a non-empty {ndim}-D array, but has the shape {array.shape}."
        )
    return array


def check_finite(array, what):
    """Refuse NaN and infinity."""
    n_bad = array.size - np.count_nonzero(np.isfinite(array))
    if n_bad:
        raise ValueError(
            f"{what} must be finite, but {n_bad} of {array.size} values are NaN or infinite."
        )


def label_array(is_anomaly, n_rows):
    """Return ``is_anomaly`` as a bool array of ``n_rows`` values, or None when it is None."""
    if is_anomaly is None:
        return None
    labels = np.asarray(is_anomaly)
    if labels.dtype != bool:
        raise ValueError(
            f"is_anomaly must be bool, True for an anomaly, but is {labels.dtype}; "
            "skvae.metrics.anomaly_labels(y) converts other labels."
        )
    if labels.shape != (n_rows,):
        raise ValueError(
            f"There must be one label for each of the {n_rows} rows, "
            f"but the labels have the shape {labels.shape}."
        )
    return labels


def unwrap(estimator, X=None):
    """Return the fitted detector in a pipeline or search, and ``X`` as that detector sees it.

    Parameters
    ----------
    estimator : estimator, Pipeline or fitted search such as GridSearchCV
    X : array-like of shape (n_samples, n_features) or None
        Rows in the units of ``estimator``.

    Returns
    -------
    detector : estimator
        The last step.
    X : array-like or None
        What the steps before it make of ``X``.
    names : array of str or None
        Names of the columns of that ``X``, where they are known.
    """
    names = None
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            before = estimator[:-1]
            if len(before) and X is not None:
                X = before.transform(X)
                names = _names_out(before)
            estimator = estimator[-1]
        else:
            check_is_fitted(estimator)
            return estimator, X, getattr(estimator, "feature_names_in_", names)


def _names_out(transformers):
    try:
        return transformers.get_feature_names_out()
    except (AttributeError, ValueError):  # a transformer that does not name its columns
        return None


def needed(detector, attribute, display):
    """Return ``detector.attribute``, or say that this kind of estimator cannot be drawn."""
    try:
        return getattr(detector, attribute)
    except AttributeError:
        raise TypeError(
            f"{display}.from_estimator needs an estimator with `{attribute}`, such as a fitted "
            f"skvae.VAEDetector, but {type(detector).__name__} has none."
        ) from None


def anomaly_scores(detector, X, display):
    """Return the scores of ``X``, higher = more anomalous, of any outlier detector."""
    if hasattr(detector, "anomaly_score"):
        return detector.anomaly_score(X)
    return -needed(detector, "score_samples", display)(X)  # scikit-learn's own detectors
