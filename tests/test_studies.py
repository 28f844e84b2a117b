"""The studies: exact splits, exact numbers, nothing lost by a kill, nothing half-written."""

import importlib
import json
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.metrics import average_precision_score, f1_score

pytest.importorskip("pyod", reason="the baselines: pip install skvae[pyod]")
pytest.importorskip("matplotlib", reason="the pictures: pip install skvae[plot]")

from skvae import AEDetector, VAEDetector, studies
from skvae.studies import report

# The functions of these names hide the modules.
adbench_module = importlib.import_module("skvae.studies.adbench")
blobs_module = importlib.import_module("skvae.studies.blobs")

rng = np.random.default_rng(0)
PNG = b"\x89PNG\r\n\x1a\n"


class FirstColumn(BaseEstimator):
    """Scores a row by its first number; remembers how often it was fitted."""

    fits = 0

    def __init__(self, sign=1.0):
        self.sign = sign

    def fit(self, X, y=None):
        FirstColumn.fits += 1
        return self

    def anomaly_score(self, X):
        return self.sign * X[:, 0]


@pytest.fixture(autouse=True)
def no_fits():
    FirstColumn.fits = 0


def ordered_data(n=40, n_anomalies=8):
    """The anomalies are the rows of the largest first column."""
    X = np.arange(2.0 * n).reshape(n, 2)
    return X, (np.arange(n) >= n - n_anomalies).astype(int)


TWO = {
    "up": lambda setting, seed: FirstColumn(),
    "down": lambda setting, seed: FirstColumn(-1.0),
}


def run(data, detectors, **options):
    return studies.adbench(data, detectors, **({"progress": False} | options))


# --------------------------------------------------------------------------- the adbench protocol


def test_split_s_trains_on_half_of_the_normals_and_u_on_all():
    X, y = ordered_data()
    train, test, y_test = adbench_module.split(X, y, "S", seed=0)
    assert (len(train), len(test)) == (16, 24)
    assert y_test.sum() == 8
    assert train[:, 0].max() < X[y == 1, 0].min()
    assert sorted(np.r_[train[:, 0], test[:, 0]]) == list(X[:, 0])
    np.testing.assert_array_equal(train, adbench_module.split(X, y, "S", 0)[0])
    assert not np.array_equal(train, adbench_module.split(X, y, "S", 1)[0])
    train, test, y_test = adbench_module.split(X, y, "U", seed=0)
    assert train is X and test is X and y_test is y


def test_figures_are_exact():
    results = run({"a": ordered_data()}, TWO, seeds=[0])
    assert results.columns.tolist()[:4] == ["dataset", "setting", "detector", "seed"]
    figures = results.set_index(["setting", "detector"])
    y = np.repeat([0, 1], [32, 8])
    for setting, y_test in (("U", y), ("S", y[16:])):
        assert figures.loc[(setting, "up"), ["auroc", "ap"]].tolist() == [1.0, 1.0]
        worst = average_precision_score(y_test, -np.arange(len(y_test)))
        assert figures.loc[(setting, "down"), "auroc"] == 0.0
        assert figures.loc[(setting, "down"), "ap"] == pytest.approx(worst)
    assert figures.loc[("S", "up"), ["n_train", "n_test", "n_features"]].tolist() == [16, 24, 2]
    assert (results[["fit_seconds", "score_seconds"]] >= 0).all(axis=None)


def test_training_scores_count_in_u_alone():
    class Remembering(FirstColumn):
        def fit(self, X, y=None):
            self.training_scores_ = -X[:, 0]
            return super().fit(X)

    results = run({"a": ordered_data()}, {"r": lambda setting, seed: Remembering()}, seeds=[0])
    assert results.set_index("setting")["auroc"].to_dict() == {"S": 1.0, "U": 0.0}


def test_an_infinite_score_is_a_rank_and_nan_a_failure():
    class Odd(FirstColumn):
        def anomaly_score(self, X):
            scores = X[:, 0].copy()
            scores[-1] = self.sign * np.inf
            return scores

    odd = {
        "inf": lambda setting, seed: Odd(),
        "nan": lambda setting, seed: Odd(np.nan),
    }
    results = run({"a": ordered_data()}, odd, settings="U", seeds=[0]).set_index("detector")
    assert results.loc["inf", "auroc"] == 1.0
    assert "NaN" in results.loc["nan", "error"]


def fail(setting, seed):
    raise RuntimeError("no convergence\nsecond line")


def test_a_failing_detector_is_recorded_and_the_study_goes_on():
    results = run({"a": ordered_data(), "b": ordered_data()}, {"bad": fail} | TWO, seeds=[0])
    bad = results[results["detector"] == "bad"]
    assert bad["error"].tolist() == ["RuntimeError: no convergence"] * 4
    assert bad["auroc"].isna().all()
    assert results["error"].isna().sum() == 8
    X, _ = ordered_data()
    lonely = run({"a": (X, np.zeros(40, dtype=int))}, TWO, settings="U", seeds=[0])
    assert "hold one class only" in lonely["error"][0]


def test_a_missing_package_stops_the_study():
    def missing(setting, seed):
        raise ImportError('pip install "skvae[pyod]"')

    with pytest.raises(ImportError, match="pip install"):
        run({"a": ordered_data()}, {"x": missing})


def test_default_detectors_know_the_setting():
    made = adbench_module.default_detectors()
    assert list(made)[:5] == [
        "VAEDetector",
        "VAEDetector x 5",
        "AEDetector",
        "neighbors + mixtures",
        "trimmed Gaussian",
    ]
    for name, kind in (("VAEDetector", VAEDetector), ("AEDetector", AEDetector)):
        assert made[name]("S", 5).get_params() == kind(contamination=0, random_state=5).get_params()
        assert made[name]("U", 5).get_params() == kind(random_state=5).get_params()
    ensemble = made["VAEDetector x 5"]("U", 5).get_params()
    assert ensemble == VAEDetector(n_estimators=5, random_state=5).get_params()
    assert made["trimmed Gaussian"]("S", 0).trim == 0
    assert made["trimmed Gaussian"]("U", 0).trim == 0.2
    assert type(made["KNN mean"]("U", 0).detector.detector).__name__ == "KNN"
    capped = adbench_module.default_detectors(deep_epochs=2)
    assert "PyOD VAE (2 epochs)" in capped and "PyOD VAE" not in capped
    assert capped["PyOD AutoEncoder (2 epochs)"]("U", 0).detector.detector.epoch_num == 2


def test_detectors_by_name_on_a_folder(tmp_path):
    X = np.vstack([rng.normal(size=(50, 4)), rng.normal(size=(6, 4)) + 9])
    np.savez(tmp_path / "3_tiny.npz", X=X, y=np.repeat([0, 1], [50, 6]))
    results = run(
        tmp_path, ["VAEDetector", "LOF", "PyOD VAE"], seeds=[0], settings="U", deep_epochs=1
    )
    assert results["detector"].tolist() == ["VAEDetector", "LOF", "PyOD VAE (1 epochs)"]
    assert results["dataset"].unique().tolist() == ["3_tiny"]
    assert results["error"].isna().all()
    assert results.loc[0, "auroc"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detectors": ["KNN", "kNN"]}, "unknown detector 'kNN'; known are: VAEDetector, VAEDet"),
        ({"detectors": TWO, "settings": "SX"}, "settings must be out of S and U; found 'X'"),
    ],
)
def test_wrong_names(options, message):
    with pytest.raises(ValueError, match=message):
        studies.adbench({"a": ordered_data()}, progress=False, **options)


def test_missing_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SKVAE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no folder .*adbench"):
        studies.adbench(progress=False)


# --------------------------------------------------------------------------- resuming


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    data = {"a": ordered_data(), "b": ordered_data(60)}
    script = f"""
    import os, sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    import test_studies as t
    class Deadly(t.FirstColumn):
        def fit(self, X, y=None):
            super().fit(X)
            if t.FirstColumn.fits == 6:
                os._exit(9)
            return self
    t.run({{"a": t.ordered_data(), "b": t.ordered_data(60)}},
          {{"up": lambda s, k: Deadly(), "down": lambda s, k: Deadly(-1.0)}},
          seeds=[0], out=sys.argv[1])
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    assert subprocess.run(command, check=False, timeout=120).returncode == 9
    journal = tmp_path / "results.jsonl"
    assert len(journal.read_text().splitlines()) == 5
    assert not (tmp_path / "report.md").exists()

    journal.write_bytes(journal.read_bytes()[:-30])  # as if killed while it wrote the fifth
    resumed = run(data, TWO, seeds=[0], out=tmp_path)
    assert FirstColumn.fits == 4
    whole = run(data, TWO, seeds=[0])
    keys = ["dataset", "setting", "detector", "seed", "auroc", "ap", "n_train", "n_test"]
    pd.testing.assert_frame_equal(resumed[keys], whole[keys])

    FirstColumn.fits = 0
    run(data, TWO, seeds=[0], out=tmp_path)
    assert FirstColumn.fits == 0


def test_failures_are_tried_again_and_redo_drops_results(tmp_path):
    data = {"a": ordered_data()}
    first = run(data, TWO | {"bad": fail}, seeds=[0], out=tmp_path)
    assert first["error"].notna().sum() == 2
    mended = TWO | {"bad": lambda setting, seed: FirstColumn()}
    FirstColumn.fits = 0
    second = run(data, mended, seeds=[0], out=tmp_path)
    assert FirstColumn.fits == 2
    assert second["error"].isna().all() and len(second) == 6
    run(data, mended, seeds=[0], out=tmp_path, redo=["up"])
    assert FirstColumn.fits == 4
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 6


def test_other_detectors_and_sizes_of_the_folder(tmp_path):
    data = {"a": ordered_data()}
    run(data, {"up": TWO["up"]}, seeds=[0], out=tmp_path)
    both = run(data, {"down": TWO["down"]}, seeds=[0], out=tmp_path)
    assert set(both["detector"]) == {"up", "down"}
    cut = run(data, {"up": TWO["up"]}, seeds=[0], out=tmp_path, max_rows=30)
    assert set(cut["max_rows"]) == {30}
    assert FirstColumn.fits == 6


# --------------------------------------------------------------------------- summaries, reports


def hand_made():
    """Two data sets, two seeds; "y" fails on the second data set."""
    rows = []
    for dataset, x, y in (("a", (0.9, 0.7), (0.6, 0.6)), ("b", (0.5, 0.5), None)):
        for seed in (0, 1):
            for name, auroc in (("x", x), ("y", y)):
                value = None if auroc is None else auroc[seed]
                row = {"dataset": dataset, "setting": "S", "detector": name, "seed": seed}
                row |= {"auroc": value, "ap": value and value / 2}
                row |= {"fit_seconds": value and 2.0, "score_seconds": value and 1.0}
                row |= {"max_rows": 5000, "n_train": 5, "n_test": 5, "n_features": 2}
                rows.append(row | {"error": None if value else "ValueError: odd"})
    return pd.DataFrame(rows)


def test_summary_by_hand():
    summary = studies.adbench_summary(hand_made()).set_index("detector")
    x, y = summary.loc["x"], summary.loc["y"]
    assert x["auroc"] == pytest.approx(0.65)  # (0.8 + 0.5) / 2
    assert x["ap"] == pytest.approx(0.325)
    assert x["auroc_std"] == pytest.approx(np.std([0.7, 0.6], ddof=1))
    assert y["auroc"] == pytest.approx(0.6) and y["auroc_std"] == 0.0
    assert (x["auroc_rank"], y["auroc_rank"]) == (1.0, 2.0)
    assert x[["n_datasets", "n_seeds", "n_errors"]].tolist() == [2, 2, 0]
    assert y[["n_datasets", "n_seeds", "n_errors"]].tolist() == [1, 2, 2]
    assert y[["fit_seconds", "score_seconds"]].tolist() == [2.0, 1.0]


def test_report_folder(tmp_path):
    adbench_module.write_adbench_report(hand_made(), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"results.csv", "summary.csv", "summary.json", "report.md", "ranks.png"}
    assert (tmp_path / "ranks.png").read_bytes().startswith(PNG)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "results.csv"), hand_made(), check_dtype=False
    )
    stored = json.loads((tmp_path / "summary.json").read_text())
    assert [row["detector"] for row in stored] == ["x", "y"]
    assert stored[0]["auroc"] == pytest.approx(0.65)
    text = (tmp_path / "report.md").read_text()
    assert "| x | 65.0 ± 7.1 | 32.5 ± 3.5 | 1.0 / 1.0 | 2.00 + 1.00 | 2 | 2 | 0 |" in text
    assert "| b | S | y | 1 | ValueError: odd |" in text
    assert adbench_module.SETTINGS["S"] in text


def test_a_detector_without_any_result(tmp_path):
    results = run({"a": ordered_data()}, {"bad": fail} | TWO, seeds=[0], out=tmp_path)
    bad = studies.adbench_summary(results).set_index("detector").loc["bad"]
    assert bad["auroc"].isna().all()
    assert (bad["auroc_rank"] == 3).all()
    assert "| bad | - | - | 3.0 / 3.0 |" in (tmp_path / "report.md").read_text()


# --------------------------------------------------------------------------- blobs


def test_blobs_data_are_scaled_stratified_and_contaminated():
    X_train, X_test, y_train, y_test = blobs_module.blobs_split("A", seed=0)
    assert X_train.shape == (4000, 20) and X_test.shape == (1000, 20)
    assert (y_train.sum(), y_test.sum()) == (120, 30)
    np.testing.assert_allclose(X_train.min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(X_train.max(axis=0), 1)


def test_textbook_vae_has_the_textbooks_parameters():
    made = blobs_module.textbook_vae(0.1, 10, random_state=3).get_params()
    assert made["scaler"] == "minmax" and made["output_activation"] == "sigmoid"
    assert made["likelihood"] == "mse" and made["score"] == "reconstruction"
    assert (made["beta"], made["latent_dim"], made["contamination"]) == (0.1, 10, 0)
    detectors = blobs_module.blobs_detectors(deep_epochs=4)
    assert len(detectors) == 1 + 9 + 7
    points = [point for point, _ in detectors.values() if point["beta"]]
    assert {(p["beta"], p["latent_dim"]) for p in points} == {
        (beta, dim) for beta in (0.1, 1.0, 5.0) for dim in (2, 5, 10)
    }
    assert detectors["textbook VAE, beta=5, latent_dim=2"][1](1).get_params()["beta"] == 5.0
    assert "PyOD AutoEncoder (4 epochs)" in detectors


def test_f1_threshold_comes_from_the_training_part():
    X_train, X_test = np.arange(10.0).reshape(-1, 1), np.arange(5.0, 10.0).reshape(-1, 1)
    y_train, y_test = (np.arange(10) >= 8).astype(int), np.array([0, 1, 0, 1, 1])
    record, scores = blobs_module._run(FirstColumn(), X_train, X_test, y_train, y_test)
    assert record["threshold"] == 7.5
    assert record["f1"] == f1_score(y_test, [0, 0, 0, 1, 1]) == pytest.approx(0.8)
    np.testing.assert_array_equal(scores, X_test[:, 0])


def test_blobs_study_and_its_report(tmp_path, monkeypatch):
    monkeypatch.setattr(blobs_module, "VAEDetector", partial(VAEDetector, max_steps=20))
    monkeypatch.setattr(blobs_module, "BETAS", (0.1,))
    monkeypatch.setattr(blobs_module, "LATENT_DIMS", (2,))
    monkeypatch.setattr(blobs_module, "BASELINES", ("KNN", "PyOD VAE"))
    results = studies.blobs(
        "AC", n_seeds=2, out=tmp_path, progress=False, n_samples=200, deep_epochs=1
    )
    assert len(results) == 2 * 2 * 4
    assert results["detector"].unique().tolist() == [
        "VAEDetector (default)",
        "textbook VAE, beta=0.1, latent_dim=2",
        "KNN",
        "PyOD VAE (1 epochs)",
    ]
    assert results[["auroc", "ap", "f1"]].min(axis=None) >= 0
    assert results[["auroc", "ap", "f1"]].max(axis=None) <= 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"results.csv", "summary.csv", "summary.json", "report.md", "blobs.png"}
    assert (tmp_path / "blobs.png").read_bytes().startswith(PNG)
    summary = studies.blobs_summary(results)
    assert summary["reading"].tolist() == ["A"] * 4 + ["C"] * 4
    expected = results.query("reading == 'C' and detector == 'KNN'")["ap"]
    row = summary.query("reading == 'C' and detector == 'KNN'").iloc[0]
    assert row["ap"] == pytest.approx(expected.mean())
    assert row["ap_std"] == pytest.approx(expected.std())
    assert f"| C | KNN | {report.percent(row['auroc'], row['auroc_std'])} |" in (
        tmp_path / "report.md"
    ).read_text(encoding="utf-8")


def test_blobs_repeats_itself(monkeypatch):
    monkeypatch.setattr(blobs_module, "VAEDetector", partial(VAEDetector, max_steps=20))
    options = {"grid": False, "baselines": False, "progress": False, "n_samples": 150}
    figures = ["auroc", "ap", "f1", "threshold"]
    first, second = (studies.blobs("B", **options)[figures] for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_the_default_solves_the_textbook_blobs():
    results = studies.blobs("A", grid=False, baselines=False, progress=False)
    assert results.loc[0, "auroc"] >= 0.995
    assert results.loc[0, "ap"] >= 0.97


def test_blobs_refuses_a_wrong_reading_at_once(monkeypatch):
    monkeypatch.setattr(blobs_module, "blobs_detectors", None)
    with pytest.raises(ValueError, match="reading must be one of A, B, C, D, E, F, G; found 'Q'"):
        studies.blobs("AQ")
