"""The parts of the studies: controls without a network, journal, ranks, files."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import friedmanchisquare, multivariate_normal

pytest.importorskip("pyod", reason="the baselines: pip install skvae[pyod]")
pytest.importorskip("matplotlib", reason="the pictures: pip install skvae[plot]")

from pyod.models.knn import KNN

from skvae._files import replacing
from skvae.studies import ranks, report
from skvae.studies.adbench import subsample
from skvae.studies.baselines import NeighborsAndMixtures, TrimmedGaussian, pyod_baseline
from skvae.studies.journal import Journal

rng = np.random.default_rng(0)
ROWS = rng.normal(size=(60, 3))


# --------------------------------------------------------------------------- controls, baselines


def test_neighbors_and_mixtures_by_hand():
    control = NeighborsAndMixtures(random_state=0).fit(ROWS)
    z = (ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0)
    distances = np.linalg.norm(z[:, None] - z[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    assert control.means_[0] == pytest.approx(nearest.mean())
    assert control.stds_[0] == pytest.approx(nearest.std())
    # Every part is standardised over the training rows, so their mean is zero.
    assert control.training_scores_.mean() == pytest.approx(0, abs=1e-12)
    far = control.anomaly_score(np.full((1, 3), 9.0))
    assert far > control.training_scores_.max()
    # A training row is nearer to itself than the score that leaves it out says.
    assert (control.anomaly_score(ROWS) < control.training_scores_).all()
    again = NeighborsAndMixtures(random_state=0).fit(ROWS)
    np.testing.assert_array_equal(again.training_scores_, control.training_scores_)


def test_mixtures_are_scored_on_rows_they_have_not_seen():
    control = NeighborsAndMixtures(random_state=1).fit(ROWS)
    scale, mixture = control.parts_[3]
    Z = scale(ROWS)
    fold = mixture.folds == 2
    assert mixture.models[2].n_components == 45 // 20
    unseen = -mixture.models[2].score_samples(Z[fold])
    part = mixture.fit(Z)
    np.testing.assert_allclose(part[fold], unseen)
    assert np.bincount(mixture.folds).tolist() == [15, 15, 15, 15]


def test_constant_columns_do_not_break_the_controls():
    X = np.c_[ROWS, np.ones(60)]
    for control in (NeighborsAndMixtures(), TrimmedGaussian()):
        assert np.isfinite(control.fit(X).anomaly_score(X)).all()


def test_trimmed_gaussian_is_a_gaussian_density_and_trims():
    plain = TrimmedGaussian(trim=0).fit(ROWS)
    z = (ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0)
    density = multivariate_normal(np.zeros(3), np.cov(z.T, bias=True) + 1e-3 * np.eye(3))
    np.testing.assert_allclose(plain.anomaly_score(ROWS), -density.logpdf(z))
    dirty = np.vstack([ROWS, np.full((6, 3), 7.0) + 0.01 * ROWS[:6]])
    gap = {trim: TrimmedGaussian(trim).fit(dirty).training_scores_[60:].min() for trim in (0, 0.2)}
    assert gap[0.2] > gap[0] + 10


def test_pyod_baselines_are_z_scored():
    wild = ROWS * [1, 1000, 0.001]
    z = (wild - wild.mean(axis=0)) / wild.std(axis=0)
    ours, theirs = pyod_baseline("KNN mean").fit(wild), KNN(method="mean").fit(z)
    np.testing.assert_allclose(ours.training_scores_, theirs.decision_scores_)
    np.testing.assert_allclose(ours.anomaly_score(wild), theirs.decision_function(z))
    assert pyod_baseline("IForest", seed=7).get_params()["detector__detector__random_state"] == 7
    deep = pyod_baseline("PyOD VAE", seed=7, epochs=3).detector.detector
    assert (deep.epoch_num, deep.random_state) == (3, 7)
    assert pyod_baseline("PyOD VAE").detector.detector.epoch_num == 30


# --------------------------------------------------------------------------- cutting data sets


def test_subsample_is_stratified_and_keeps_ten_anomalies():
    X = np.arange(3000.0).reshape(-1, 1)
    y = (np.arange(3000) % 5 == 0).astype(int)
    kept, labels = subsample(X, y, 1000)
    assert len(kept) == 1000
    assert labels.sum() == 200
    np.testing.assert_array_equal(labels, kept[:, 0] % 5 == 0)  # rows keep their labels
    assert len(np.unique(kept)) == 1000
    np.testing.assert_array_equal(kept, subsample(X, y, 1000)[0])
    rare = (np.arange(3000) < 12).astype(int)
    assert subsample(X, rare, 300)[1].sum() == 10
    rarer = (np.arange(3000) < 3).astype(int)
    assert subsample(X, rarer, 300)[1].sum() == 3
    assert subsample(X, y, 3000)[0] is X


# --------------------------------------------------------------------------- the journal


def test_journal_says_which_line_is_broken(tmp_path):
    path = tmp_path / "deep" / "j.jsonl"
    journal = Journal(path)
    journal.add({"a": 1})
    journal.add({"a": 2.5})
    assert Journal(path).records == [{"a": 1}, {"a": 2.5}]
    path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
    with pytest.raises(ValueError, match="line 2, is not a JSON record: mend or delete"):
        Journal(path)
    # A whole record without its line break was still being written.
    path.write_text('{"a": 1}\n{"a": 2}')
    assert Journal(path).records == [{"a": 1}]
    assert path.read_text() == '{"a": 1}\n'
    memory = Journal()
    memory.add({"a": 1})
    memory.drop(lambda record: record["a"] == 1)
    assert memory.records == [] and [p.name for p in tmp_path.iterdir()] == ["deep"]


# --------------------------------------------------------------------------- ranks, files


def test_ranks():
    scores = pd.DataFrame({"a": [0.9, 0.8], "b": [0.9, np.nan], "c": [0.1, 0.9]})
    assert ranks.rank_table(scores).to_numpy().tolist() == [[1.5, 1.5, 3.0], [2.0, 3.0, 1.0]]
    # Demsar (2006), table 5: q of the Nemenyi test for 2, 5 and 10 classifiers.
    for k, q in ((2, 1.960), (5, 2.728), (10, 3.164)):
        expected = q * np.sqrt(k * (k + 1) / (6 * 20))
        assert ranks.critical_difference(k, 20) == pytest.approx(expected, rel=1e-3)
    assert ranks.cliques([1.0, 1.2, 1.4], 5.0) == [(0, 2)]
    assert ranks.cliques([1.0, 3.0, 5.0], 1.0) == []


def test_friedman_is_scipys_and_undefined_for_two():
    scores = pd.DataFrame(rng.random((12, 4)), columns=list("abcd"))
    expected = friedmanchisquare(*scores.T.to_numpy()).pvalue
    assert ranks.friedman_p(scores) == pytest.approx(expected)
    assert np.isnan(ranks.friedman_p(scores[["a", "b"]]))
    assert np.isnan(ranks.friedman_p(scores * 0))


def test_picture_of_ranks():
    scores = pd.DataFrame({"good": [0.9] * 30, "fair": [0.8] * 30, "poor": [0.1] * 30})
    figure = ranks.draw_ranks({"S, AUROC": scores, "S, AP": scores, "U, AUROC": scores})
    assert len(figure.axes) == 3
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["good  1.0", "fair  2.0", "poor  3.0"]
    assert "Friedman p = " in figure.axes[0].get_title()


def test_nothing_half_written(tmp_path):
    path = tmp_path / "folder" / "a.csv"
    report.write_table(path, pd.DataFrame({"a": [1]}))

    class Broken:
        def savefig(self, *args, **kwargs):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        report.write_figure(path, Broken())
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "a\n1\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]


def test_json_has_null_for_nan(tmp_path):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": ["x", None]})
    report.write_table(tmp_path / "a.json", frame)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == [{"a": 1.5, "b": "x"}, {"a": None, "b": None}]
    assert "NaN" not in text
