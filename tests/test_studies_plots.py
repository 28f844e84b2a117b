"""The study of plots: exact figures, nothing lost by a kill, a report that is whole."""

import importlib
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

pytest.importorskip("matplotlib", reason="the pictures: pip install skvae[plot]")

from skvae import WindowDetector, cli, studies
from skvae.datasets import TIME_SERIES_KINDS, make_time_series, render_plots
from skvae.studies import _plots_methods

# The function of that name hides the module.
plots_module = importlib.import_module("skvae.studies.plots")

PNG = b"\x89PNG\r\n\x1a\n"
KINDS = list(TIME_SERIES_KINDS[1:])
SETTINGS = {"study": "plots", "quick": True} | plots_module.QUICK


# --------------------------------------------------------------------------- pieces of it


def test_columns_hold_the_points_that_the_renderer_draws_in_them():
    series = np.zeros((1, 200))
    for point in (0, 50, 137, 199):
        masks = np.zeros((1, 200), dtype=bool)
        masks[0, point] = True
        columns = plots_module.columns_of(masks, 64)
        changed = series.copy()
        changed[0, point] = 1
        drawn = [
            render_plots(some, 64, limits=(-1, 2))[0].astype(int) for some in (series, changed)
        ]
        highest = np.flatnonzero(drawn[1][drawn[1].any(axis=1).argmax()])
        assert set(highest) <= set(np.flatnonzero(columns[0])) and 1 <= columns.sum() <= 2


def test_column_auroc_is_that_of_scikit_learn():
    rng = np.random.RandomState(0)
    columns = rng.rand(20, 30) < 0.3
    columns[3], columns[4] = False, True
    profiles = rng.randint(0, 9, (20, 30)).astype(float)
    areas = plots_module.column_auroc(columns, profiles)
    assert np.isnan(areas[3:5]).all()
    for i in set(range(20)) - {3, 4}:
        assert areas[i] == pytest.approx(roc_auc_score(columns[i], profiles[i]))


def test_profiles_are_smoothed_sums_of_columns():
    maps = np.zeros((1, 4, 9))
    maps[0, :, 4] = 5 / 4
    np.testing.assert_allclose(plots_module.column_profiles(maps)[0], [0, 0] + [1] * 5 + [0, 0])


def test_parts_of_the_data_share_no_series_and_follow_the_seed():
    parts = plots_module.Bench(SETTINGS, 0)._series
    rows = np.concatenate([part.values for part in parts.values()])
    assert len(np.unique(rows, axis=0)) == len(rows) == 2 * 120 + 100 + 100 + 40 + 9 * 8
    assert set(parts["normal"].kinds) == set(parts["fresh"].kinds) == {"normal"}
    assert pd.Series(parts["mixture"].kinds).value_counts().eq(12).all()
    again, other = (plots_module.Bench(SETTINGS, seed)._series for seed in (0, 1))
    np.testing.assert_array_equal(again["test"].values, parts["test"].values)
    assert not np.array_equal(other["test"].values, parts["test"].values)


def test_controls_are_what_their_names_say():
    X = render_plots(make_time_series(40, random_state=0)[0], 16)
    rows = X.reshape(40, -1) / 255
    mean_plot = _plots_methods.Residual(0).fit(X[:30])
    distance = np.square(rows - rows[:30].mean(0)).sum(1)
    np.testing.assert_allclose(-mean_plot.score_samples(X), distance, rtol=1e-5)
    residual = _plots_methods.Residual(10).fit(X[:30])
    basis = np.linalg.svd(rows[:30] - rows[:30].mean(0))[2][:10]
    left = rows - rows[:30].mean(0)
    left = np.square(left - left @ basis.T @ basis)
    np.testing.assert_allclose(residual.error_map(X).reshape(40, -1), left, atol=1e-4)
    np.testing.assert_allclose(
        _plots_methods.LessInk().fit(X).score_samples(X), 255 * rows.mean(1), rtol=1e-6
    )
    found = -_plots_methods.Neighbors(2).fit(X[:30]).score_samples(X[30:])
    distances = np.linalg.norm(rows[30:, None] - rows[:30], axis=2)
    np.testing.assert_allclose(found, np.sort(distances, 1)[:, :2].mean(1), rtol=1e-4)


def test_features_tell_what_is_odd_and_not_the_scale():
    X, _, _ = make_time_series(50, "normal", random_state=0)
    features = _plots_methods.series_features(X)
    assert features.shape == (50, 36) and np.isfinite(features).all()
    np.testing.assert_allclose(
        _plots_methods.series_features(3 * X + 2)[:, 2:], features[:, 2:], rtol=1e-6, atol=1e-9
    )
    assert np.isfinite(_plots_methods.series_features(np.ones((2, 200)))).all()
    residual = _plots_methods._autoregression_residual(np.sin(np.arange(200.0) / 3)[None])
    assert np.abs(residual).max() < 0.05, "two lags foretell a sine"


def test_the_repair_is_the_documented_detector():
    detector = _plots_methods.strip_vae({"quick": False} | plots_module.FULL, 5)
    assert isinstance(detector, WindowDetector) and detector.random_state == 5
    assert detector.window_shape == (None, 16) and detector.stride == 4
    assert detector.aggregate == ("top", "range") and detector.flip == "both"
    assert detector.get_params()["detector__score"] == ["latent_density", "reconstruction"]


# --------------------------------------------------------------------------- the study


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The quick study, once; its folder and tables."""
    folder = tmp_path_factory.mktemp("reports") / "plots"
    return folder, studies.plots(out=folder, quick=True, progress=False)


def test_tables_are_complete_and_the_old_recipe_is_below_chance(report):
    _, tables = report
    auroc = tables["auroc"].set_index(["training", "method"])
    assert len(auroc) == 2 * len(_plots_methods.methods())
    assert auroc[["mean", *KINDS]].stack().between(0, 1).all()
    np.testing.assert_allclose(auroc["mean"], auroc[KINDS].mean(axis=1))
    for training in plots_module.TRAININGS:
        assert auroc.loc[(training, plots_module.OLD), "mean"] < 0.45
    assert auroc.loc[("normal", plots_module.REPAIRED), "mean"] > 0.6
    columns = tables["columns"].set_index("method")
    assert set(columns.index) == set(plots_module.LOCATED)
    assert columns[KINDS].stack().between(0, 1).all()
    alarms = tables["alarms"]
    assert len(alarms) == 2 * 2 * 2 * 3
    rates = alarms.groupby("percentile")["false_alarms"].mean()
    assert rates.is_monotonic_decreasing and rates[90] == pytest.approx(0.1, abs=0.06)
    assert (tables["cost"]["parameters"] > 10_000).all()


def test_report_holds_its_tables_and_shows_its_pictures(report):
    folder, tables = report
    for key, table in tables.items():
        pd.testing.assert_frame_equal(pd.read_csv(folder / f"{key}.csv"), table, check_dtype=False)
        assert len(json.loads((folder / f"{key}.json").read_text())) == len(table)
    page = (folder / "report.md").read_text()
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["auroc.png", "columns.png", "examples.png"]
    assert page.count("](") == 3 and all(f"]({picture})" in page for picture in pictures)
    assert all((folder / picture).read_bytes().startswith(PNG) for picture in pictures)
    assert "Quick run" in page and "Seed 0" in page and "nan" not in page
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def _no_more(*args, **kwargs):
    raise AssertionError("this was computed already")


def test_command_line_goes_on_with_what_is_there(report, capsys, monkeypatch):
    pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
    monkeypatch.setattr(plots_module, "make_time_series", _no_more)
    folder, _ = report
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.md").unlink()
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", "plots", "--quick", "--out", str(folder)])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "strip VAE, distance" in out and "False alarms" in out
    assert f"report: {folder / 'report.md'}" in out.replace("\n", "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_lost_pieces_are_computed_again_to_the_same_figures(report):
    folder, tables = report
    journal = folder / "pieces.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    lost = next(i for i, line in enumerate(lines) if '"strip VAE, distance"' in line)
    journal.write_text("".join(lines[:lost] + lines[lost + 1 :])[:-20])  # and the last one torn
    again = studies.plots(out=folder, quick=True, progress=False)
    for key in ("auroc", "columns", "alarms"):
        pd.testing.assert_frame_equal(again[key], tables[key])


@pytest.mark.slow
def test_full_figures():
    bench = plots_module.Bench({"quick": False} | plots_module.FULL, 0)
    assert bench.auroc("normal", plots_module.OLD)["mean"] < 0.5
    for training, least in (("normal", 0.97), ("mixture", 0.93)):
        assert bench.auroc(training, plots_module.REPAIRED)["mean"] >= least
        for row in bench.alarms(training, plots_module.REPAIRED):
            if row["fitted_on"] == "held-out normal":
                expected = 1 - row["percentile"] / 100
                assert row["false_alarms"] == pytest.approx(expected, abs=0.02)
    assert bench.columns(plots_module.REPAIRED)["mean"] >= 0.8
