"""Time series with anomalies, and their plots: closed forms, masks, invariances, pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skvae.datasets import TIME_SERIES_KINDS, _time_series, make_time_series, render_plots

ANOMALIES = TIME_SERIES_KINDS[1:]


# --------------------------------------------------------------------------- series


def pair(kind, n=200, length=200):
    """Series of a kind, their masks, and the normal series that they were made of."""
    states = [np.random.RandomState(0), np.random.RandomState(0)]
    processes = [_time_series._Process.draw(n, length, rng) for rng in states]
    X, mask = _time_series.ANOMALIES[kind](processes[0], states[0])
    return X, mask, processes[1].series(), processes[1]


def test_same_seed_same_bits_and_no_global_generator():
    before = np.random.get_state()[1].copy()
    first, again = (make_time_series(50, random_state=3) for _ in range(2))
    other = make_time_series(50, random_state=4)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 40),
    names=st.lists(st.sampled_from(TIME_SERIES_KINDS), min_size=1, unique=True),
    length=st.integers(50, 300),
    seed=st.integers(0, 1000),
)
def test_any_choice_of_kinds(n, names, length, seed):
    X, kinds, masks = make_time_series(n, names, length=length, random_state=seed)
    assert X.shape == masks.shape == (n, length) and kinds.shape == (n,)
    assert X.dtype == np.float64 and masks.dtype == bool and np.isfinite(X).all()
    counts = [(kinds == name).sum() for name in names]
    assert sum(counts) == n and max(counts) - min(counts) <= 1
    assert not masks[kinds == "normal"].any()
    assert masks[kinds != "normal"].any(axis=1).all()


def test_the_mixture_is_shuffled_and_one_kind_is_one():
    _, kinds, _ = make_time_series(1781 + 992, random_state=0)
    assert sorted(np.unique(kinds)) == sorted(TIME_SERIES_KINDS)
    assert {(kinds[:1781] == kind).sum() // 30 for kind in TIME_SERIES_KINDS} <= {4, 5, 6, 7}
    assert set(make_time_series(5, "flat", random_state=0)[1]) == {"flat"}


def test_normal_series_have_the_spread_that_is_said():
    X, _, _ = make_time_series(4000, "normal", random_state=0)
    # E A^2 = 1.03 of uniform 0.7 to 1.3, E h^2 = 0.16 / 3, E of the noise's share squared.
    noise_share = (0.35**3 - 0.12**3) / (3 * (0.35 - 0.12))
    expected = 1.03 * ((1 + 0.16 / 3) / 2 + noise_share)
    assert (X**2).mean() == pytest.approx(expected, rel=0.02)
    noise = _time_series._Process.draw(4000, 200, np.random.RandomState(0)).noise
    spread = noise.std(axis=0)
    assert spread.std() / spread.mean() < 0.02, "stationary from the first point on"


@pytest.mark.parametrize("kind", sorted(set(ANOMALIES) - {"frequency"}))
def test_nothing_changes_outside_the_mask(kind):
    X, mask, normal, _ = pair(kind)
    np.testing.assert_array_equal(X[~mask], normal[~mask])
    assert (X != normal)[mask].mean() > 0.95


def test_frequency_changes_the_season_from_its_interval_on():
    X, mask, normal, _ = pair("frequency")
    before = np.cumsum(mask, axis=1) == 0
    np.testing.assert_array_equal(X[before], normal[before])
    rest = (np.cumsum(mask[:, ::-1], axis=1)[:, ::-1] == 0) & ~before
    assert np.abs(X - normal)[rest].mean() > 0.1, "the phase goes on from where it is"
    _, _, still, process = pair("normal")
    np.testing.assert_array_equal(still, process.series())


def lengths(mask):
    return mask.sum(axis=1)


@pytest.mark.parametrize(
    ("kind", "shortest", "longest"),
    [
        ("spike", 1, 3),
        ("context", 1, 3),
        ("flat", 15, 40),
        ("level", 30, 90),
        ("variance", 30, 70),
        ("frequency", 40, 80),
        ("noseason", 30, 70),
        ("shapelet", 40, 80),
        ("trend", 59, 139),
    ],
)
def test_lengths_are_those_of_the_docstring(kind, shortest, longest):
    _, mask, *_ = pair(kind, n=1000)
    assert (lengths(mask).min(), lengths(mask).max()) == (shortest, longest)
    if kind not in ("spike", "context"):
        starts = (np.diff(mask.astype(int), axis=1, prepend=0) == 1).sum(axis=1)
        assert set(starts) == {1}, "one interval"
        assert mask[:, -1].any() and (kind == "trend" or mask[:, 0].any())
        _, long_mask, *_ = pair(kind, n=1000, length=400)
        assert lengths(long_mask).max() == pytest.approx(2 * longest, abs=1)


def test_sizes_are_those_of_the_docstring():
    X, mask, normal, _ = pair("spike")
    deviation = np.abs(X - normal.mean(1, keepdims=True)) / normal.std(1, keepdims=True)
    assert deviation[mask].min() >= 3.2 and deviation[mask].max() <= 5
    X, mask, normal, _ = pair("context")
    assert (X.min(1) >= normal.min(1)).all() and (X.max(1) <= normal.max(1)).all()
    middle = (normal.min(1, keepdims=True) + normal.max(1, keepdims=True)) / 2
    assert (((X > middle) != (normal > middle)) == mask).all()
    X, mask, normal, _ = pair("flat")
    assert all(np.ptp(x[m]) == 0 for x, m in zip(X, mask, strict=True))
    X, mask, normal, _ = pair("level")
    shift = np.array([(x - y)[m] for x, y, m in zip(X, normal, mask, strict=True)], dtype=object)
    heights = np.array([s.mean() for s in shift]) / normal.std(1)
    assert max(np.ptp(s) for s in shift) < 1e-12
    assert 1.2 <= np.abs(heights).min() and np.abs(heights).max() <= 2.5
    assert 0.3 < (heights > 0).mean() < 0.7
    X, mask, normal, _ = pair("trend")
    heights = np.abs(X - normal)[:, -1] / normal.std(1)
    assert 1.5 <= heights.min() and heights.max() <= 3
    X, mask, normal, process = pair("variance")
    ratio = (X - normal + process.noise)[mask] / process.noise[mask]
    assert ratio.min() >= 2.5 - 1e-6 and ratio.max() <= 4 + 1e-6
    X, mask, _, process = pair("noseason")
    season = (X - process.noise) / (process.amplitude * process.season())
    assert season[mask].max() <= 0.1 + 1e-6 and season[mask].min() >= -1e-6
    X, mask, _, process = pair("shapelet")
    season = np.abs((X - process.noise) / process.amplitude)
    np.testing.assert_allclose(season[mask], 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "odd"}, "kind must be 'mixture' or among normal, spike, .*; found 'odd'"),
        ({"kind": []}, "kind must name kinds, each once"),
        ({"kind": ["flat", "flat"]}, "kind must name kinds, each once"),
        ({"n_samples": 0}, "n_samples must be a whole number of at least 1; found 0"),
        ({"length": 49}, "length must be a whole number of at least 50; found 49"),
        ({"length": 60.5}, "length must be a whole number"),
    ],
)
def test_wrong_parameters_of_series(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_time_series(**arguments)


# --------------------------------------------------------------------------- plots


@pytest.fixture(scope="module")
def X():
    return make_time_series(30, random_state=0)[0]


def extents_one_by_one(series, width):
    """Lowest and highest value of the curve in each column: at its edges, and of points inside."""
    x = np.linspace(0, width, len(series))
    lows, highs = [], []
    for column in range(width):
        values = [*np.interp([column, column + 1], x, series)]
        values += [value for at, value in zip(x, series, strict=True) if column < at < column + 1]
        lows.append(min(values))
        highs.append(max(values))
    return np.array(lows), np.array(highs)


@pytest.mark.parametrize("size", [(64, 64), (32, 50), (20, 224)])
def test_pixels_are_those_of_the_definition(X, size):
    height, width = size
    lines = render_plots(X, size)
    glows = render_plots(X, size, style="distance", tau=2.5)
    assert lines.dtype == np.uint8 and lines.shape == (len(X), height, width)
    edges = np.arange(height)[:, None]
    for series, line, glow in zip(X, lines, glows, strict=True):
        low, high = series.min() - 0.045 * np.ptp(series), series.max() + 0.045 * np.ptp(series)
        lows, highs = extents_one_by_one(series, width)
        tops, bottoms = (height * (high - values) / (high - low) for values in (highs, lows))
        covered = np.minimum(bottoms + 0.5, edges + 1) - np.maximum(tops - 0.5, edges)
        assert np.abs(line - 255 * covered.clip(0, 1)).max() < 0.51
        distance = np.maximum(tops - edges - 0.5, edges + 0.5 - bottoms).clip(0)
        assert np.abs(glow - 255 * np.exp(-(distance**2) / (2 * 2.5**2))).max() < 0.51


def test_a_constant_is_drawn_in_the_middle():
    for value in (0.0, -7.5, 1e12):
        line, glow = (render_plots([[value] * 5], 4, style=s, tau=1)[0] for s in STYLES)
        np.testing.assert_array_equal(line, np.repeat([[0], [128], [128], [0]], 4, axis=1))
        values = [round(255 * math.exp(-(d**2) / 2)) for d in (1.5, 0.5, 0.5, 1.5)]
        np.testing.assert_array_equal(glow, np.repeat(values, 4).reshape(4, 4))


STYLES = ("line", "distance")


@pytest.mark.parametrize("style", STYLES)
def test_plots_do_not_depend_on_units_or_company(X, style):
    images = render_plots(X, 48, style=style)
    np.testing.assert_array_equal(render_plots(X[7:8], 48, style=style)[0], images[7])
    again = render_plots(1e3 * X + 50, 48, style=style).astype(int)
    assert np.abs(again - images).max() <= 1
    upside_down = render_plots(-X, 48, style=style).astype(int)
    assert np.abs(upside_down - images[:, ::-1]).max() <= 1
    backwards = render_plots(X[:, ::-1], 48, style=style).astype(int)
    assert np.abs(backwards - images[:, :, ::-1]).max() <= 1


def test_limits_are_one_scale_for_all_and_cut_off(X):
    images = render_plots(np.stack([X[0], X[0] / 2]), 64, limits=(-3, 3))
    heights = [np.ptp(np.flatnonzero(image.any(axis=1))) for image in images]
    assert heights[1] == pytest.approx(heights[0] / 2, abs=2)
    assert not render_plots([[5.0, 6.0]], 16, limits=(0, 1)).any()


def test_lines_look_as_matplotlib_draws_them(X):
    pytest.importorskip("matplotlib", reason="to compare with: pip install skvae[plot]")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ours = render_plots(X, 112)
    correlations, inks = [], []
    for series, image in zip(X, ours, strict=True):
        figure = Figure(figsize=(1.12, 1.12), dpi=100, facecolor="black")
        ax = figure.add_axes((0, 0, 1, 1))
        ax.set_axis_off()
        ax.plot(series, color="white", lw=0.72)  # points: one pixel
        margin = 0.045 * np.ptp(series)
        ax.set(xlim=(0, 199), ylim=(series.min() - margin, series.max() + margin))
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        theirs = np.asarray(canvas.buffer_rgba())[:, :, 0]
        correlations.append(np.corrcoef(image.ravel(), theirs.ravel())[0, 1])
        inks.append(image.mean() / theirs.mean())
    assert np.mean(correlations) > 0.85
    assert 0.8 < np.mean(inks) < 1.4


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ([[0.0, np.nan]], {}, "Input X contains NaN"),
        ([[0.0]], {}, "minimum of 2 is required"),
        ([0.0, 1.0], {}, "Expected 2D array"),
        ([[0, 1]], {"size": 1}, "size must be a whole number of pixels of at least 2"),
        ([[0, 1]], {"size": (8, 8, 3)}, "size must be"),
        ([[0, 1]], {"style": "dots"}, "style must be 'line' or 'distance'; found 'dots'"),
        ([[0, 1]], {"tau": 0}, "tau must be a number of pixels from 0.001 to 1e.06; found 0"),
        ([[0, 1]], {"tau": 1e-200}, "tau must be .* found 1e-200"),
        ([[0, 1]], {"tau": 1e200}, "tau must be .* found 1e.200"),
        ([[0, 1]], {"limits": (0, 1, 2)}, r"limits must be two numbers, .* found \(0, 1, 2\)"),
        ([[0, 1]], {"limits": 1}, "limits must be two numbers, low < high; found 1"),
        ([[0, 1]], {"limits": ("a", 1)}, "limits must be two numbers"),
        ([[0, 1], [-1e308, 1e308]], {}, "X holds -1e.308 in series 1, which cannot be drawn"),
        ([[1e308, 1e308]], {}, "X holds 1e.308 in series 0, which cannot be drawn"),
        ([[0, 1e20]], {"limits": (0, 1)}, "X holds 1e.20 in series 0, .* or give limits nearer"),
        ([[0, 1]], {"limits": (-1e308, 1e308)}, "X holds 0 in series 0, which cannot be drawn"),
        ([[1, 2]], {"limits": (0, 1e-320)}, "X holds 1 in series 0, which cannot be drawn"),
        ([[0, 1]], {"limits": (1, 1)}, "limits must be two numbers, low < high"),
        ([[0, 1]], {"limits": (0, np.inf)}, "limits must be"),
    ],
)
def test_wrong_parameters_of_plots(series, options, message):
    with pytest.raises(ValueError, match=message):
        render_plots(series, **options)


def test_the_farthest_points_are_drawn_without_a_warning():
    X = [[-9e14, 9e14], [0.2, 0.4]]
    for tau in (1e-3, 1e6):
        images = render_plots(X, 4, style="distance", tau=tau, limits=(0, 4))
        assert images.max() == 255
    assert (render_plots([[-1e300, 1e300]], 4) == render_plots([[-1, 1]], 4)).all()
