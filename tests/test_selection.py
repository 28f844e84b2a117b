"""Choosing without labels: the scorers against closed forms, and the study that measures them."""

import importlib
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skvae import AEDetector, VAEDetector, metrics, studies

selection_module = importlib.import_module("skvae.studies.selection")  # its function hides it

TINY = {"hidden_layer_sizes": (8,), "latent_dim": 2, "max_steps": 30, "random_state": 0}


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(200, 2) @ rng.randn(2, 5) + 0.2 * rng.randn(200, 5)


# -- log_likelihood and the scorers -----------------------------------------------------------


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_log_likelihood_is_the_importance_weighted_bound_whatever_score_and_beta(X, likelihood):
    vae = VAEDetector(**TINY, beta=3.0, likelihood=likelihood).fit(X)
    module, likelihoods = vae.net_.module_, vae.log_likelihood(X)
    np.testing.assert_array_equal(vae.log_likelihood(X[5:6]), likelihoods[5:6])
    with torch.inference_mode():
        x = torch.as_tensor(vae.scaler_.transform(X), dtype=torch.float32)
        output, _ = module(x)
        std = torch.exp(0.5 * output.log_var)
        draws = torch.randn(500, 200, 2, generator=torch.Generator().manual_seed(0))
        bounds = []
        for noise in draws:  # the evidence lower bound, by many draws
            x_hat = module.network.decode(output.latent + noise * std)
            bounds.append(-module.likelihood(x, x_hat)[0].sum(1) - output.penalty[0])
        elbo = torch.stack(bounds).mean(0).numpy()
    # The importance-weighted bound is tighter in the mean, and within a few nats.
    assert 0 < (likelihoods - elbo).mean() < 3


def test_log_likelihood_without_a_posterior_is_that_of_the_decoder(X):
    ae = AEDetector(**TINY, likelihood="mse", score="reconstruction").fit(X)
    np.testing.assert_allclose(ae.log_likelihood(X), ae.score_samples(X), rtol=1e-6)


def test_held_out_likelihood_leaves_out_the_least_likely_tenth_whatever_contamination(X):
    rows = np.r_[X[:90], 50 + X[:10]]
    for contamination in (0, 0.3):
        detector = VAEDetector(**TINY, contamination=contamination).fit(X)
        expected = detector.log_likelihood(X[:90]).mean()
        assert metrics.held_out_likelihood(detector, rows) == pytest.approx(expected)


def test_pool_auc_is_that_of_telling_the_pool_from_the_rows(X):
    detector = VAEDetector(**TINY, contamination=0).fit(X[:100])
    pool = np.r_[X[150:], 5 + X[150:]]
    scorer = pickle.loads(pickle.dumps(metrics.pool_auc(pool)))
    scores = [detector.anomaly_score(part) for part in (X[100:150], pool)]
    expected = roc_auc_score(np.repeat([0, 1], [50, 100]), np.concatenate(scores))
    assert scorer(detector, X[100:150]) == pytest.approx(expected)
    assert 0.7 < expected < 0.8  # half of the pool is as the rows are
    rows, y = np.r_[X[100:150], 9 + X[:5]], np.repeat([0, 1], [50, 5])
    assert scorer(detector, rows, y) == pytest.approx(expected)  # labelled anomalies are left out
    assert scorer(detector, rows[:50], np.ones(50)) == pytest.approx(expected)


def test_stability_is_the_mean_rank_correlation_of_the_networks(X):
    detector = VAEDetector(**TINY, n_estimators=3).fit(X)
    scores = detector.member_scores(X)
    pairs = [spearmanr(scores[:, i], scores[:, j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert metrics.stability(detector, X) == pytest.approx(np.mean(pairs))
    with pytest.raises(ValueError, match="at least 2, found 1"):
        metrics.stability(detector, X[:1])
    with pytest.raises(ValueError, match="n_estimators of at least 2"):
        metrics.stability(VAEDetector(**TINY).fit(X), X)


@pytest.mark.parametrize("name", ["held_out_likelihood", "stability", "pool_auc"])
def test_scorers_see_through_pipelines_and_choose_in_searches(X, name):
    scorer = metrics.pool_auc(X[:50] + 1) if name == "pool_auc" else getattr(metrics, name)
    detector = VAEDetector(**TINY, n_estimators=2, scaler=None)
    pipeline = make_pipeline(MinMaxScaler(), detector).fit(X)
    alone = detector.fit(pipeline[:-1].transform(X))
    rows = X[:50] if name == "pool_auc" else pipeline[:-1].transform(X[:50])
    if name == "pool_auc":
        assert 0 <= scorer(pipeline, rows) <= 1
    else:
        assert scorer(pipeline, X[:50]) == scorer(alone, rows)
    grid = {"vaedetector__beta": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring=scorer, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- the study -----------------------------------------------------------------------------------


def table():
    """Two searches of three candidates; the criterion finds the best of one, the worst of one."""
    rows = []
    for dataset, criterion in (("a", [1.0, 2.0, 3.0]), ("b", [3.0, 2.0, 1.0])):
        for value, auroc in zip(criterion, [0.5, 0.6, 0.9], strict=True):
            rows.append(
                {"dataset": dataset, "setting": "U", "seed": 0, "score": "default"}
                | {"likelihood": value, "auroc": auroc, "ap": auroc}
            )
    return pd.DataFrame(rows)


def test_summary_of_a_table_made_by_hand():
    tied = table().assign(likelihood=1.0)
    (row,) = studies.selection_summary(tied).to_dict("records")
    assert row["chosen"] == row["random"] and row["recovered"] == pytest.approx(0)
    (row,) = studies.selection_summary(table()).to_dict("records")
    assert row["random"] == pytest.approx(2 / 3)
    assert row["chosen"] == pytest.approx((0.9 + 0.5) / 2)
    assert row["best"] == pytest.approx(0.9)
    assert row["recovered"] == pytest.approx((0.7 - 2 / 3) / (0.9 - 2 / 3))
    assert row["correlation"] == pytest.approx(0)
    assert row["n_searches"] == 2


def test_a_run_its_report_and_its_resumption(X, tmp_path, monkeypatch):
    y = np.repeat([0, 1], [180, 20])
    settings = {"seeds": [0], "max_steps": 5, "progress": False, "out": tmp_path}
    grid = {"beta": [0.1, 1.0], "latent_dim": [2]}
    results = studies.selection({"x": (X, y)}, grid=grid, **settings)
    assert len(results) == 2 * 2 * 2  # settings, scores, candidates
    assert results.loc[results["setting"] == "U", "pool_auc"].isna().all()
    clean = results[results["setting"] == "S"]
    assert clean[["pool_auc", "stability", "likelihood", "auroc", "ap"]].notna().all(axis=None)
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.jsonl",
        "results.csv",
        "summary_auroc.csv",
        "summary_ap.csv",
        "report.md",
    }
    assert "held-out likelihood" in (tmp_path / "report.md").read_text(encoding="utf-8")
    monkeypatch.setattr(selection_module, "_search", None)  # nothing is searched again
    again = studies.selection({"x": (X, y)}, grid=grid, **settings)
    pd.testing.assert_frame_equal(again, results)


def test_another_grid_in_the_same_folder_is_not_mixed_in(X, tmp_path):
    data = {"x": (X[:60], np.repeat([0, 1], [50, 10]))}
    settings = {"seeds": [0], "settings": "U", "max_steps": 3, "progress": False, "out": tmp_path}
    studies.selection(data, grid={"beta": [0.1]}, **settings)
    results = studies.selection(data, grid={"beta": [1.0]}, **settings)
    assert set(results["beta"]) == {1.0}
