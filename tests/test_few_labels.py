"""A few labelled rows: what they do to the training, to the score, and to nothing else."""

import pickle

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from skorch.callbacks import Callback

import skvae
from skvae import AEDetector, ConvAEDetector, ConvVAEDetector, VAEDetector, fit_in_folder, metrics
from skvae.metrics import known_labels
from skvae.model_selection import StackedGridSearchCV
from skvae.networks import Output
from skvae.scores import Labelled, Reconstruction
from skvae.scores._labelled import _fit_weights
from skvae.training._autoencoder import loss_parts, push_loss

TINY = {"hidden_layer_sizes": (8,), "latent_dim": 2, "max_steps": 20, "random_state": 0}


def made(cls=VAEDetector, **params):
    return cls(**{"train_on": "labels", **TINY, **params})


def table(n=200, seed=0):
    """Rows about a plane; the last tenth of them, a cluster of its own, are anomalies."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n, 2) @ np.array([[1.0, 1, 0, 0.5], [0, 1, 1, -0.5]]) + 0.1 * rng.randn(n, 4)
    X[-n // 10 :] += [0.7, -0.7, 0.7, 0]
    return X, np.arange(n) >= n - n // 10


@pytest.fixture(scope="module")
def data():
    X, is_anomaly = table()
    y = np.zeros(len(X), int)
    y[np.flatnonzero(is_anomaly)[:6]] = -1
    y[:5] = 1
    return X, y


def weights(detector):
    return list(detector.net_.module_.state_dict().values())


def assert_same(one, other, X):
    for own, others in zip(weights(one), weights(other), strict=True):
        assert torch.equal(own, others)
    np.testing.assert_array_equal(one.anomaly_score(X), other.anomaly_score(X))
    np.testing.assert_array_equal(one.error_map(X), other.error_map(X))
    assert one.threshold_ == other.threshold_


# -- what labels mean ------------------------------------------------------------------------


@pytest.mark.parametrize("y", [[-1, 0, 1], [-1.0, 0.0], [1, -1], [-1]])
def test_known_labels(y):
    labels = known_labels(y)
    assert labels.dtype == np.int64 and labels.tolist() == y


@pytest.mark.parametrize(
    "y, found",
    [
        ([0, 1, 1], "0, 1"),
        ([True, False], "False, True"),
        ([1, 1], "1"),
        ([0, 0], "0"),
        ([-1, 0, 2], "-1, 0, 2"),
        (["-1", "0"], "-1, 0"),
    ],
)
@pytest.mark.parametrize("cls", [VAEDetector, ConvAEDetector])
def test_labels_of_another_meaning_are_refused(y, found, cls):
    X = np.random.RandomState(0).rand(len(y) + 2, 6, 6)
    X = X if cls is ConvAEDetector else X[:, 0]
    y = np.resize(np.asarray(y), len(X))
    message = f"y must hold -1 for known anomalies, one at least, .* found {found}"
    with pytest.raises(ValueError, match=message):
        made(cls).fit(X, y)


def test_labels_are_asked_for(data):
    with pytest.raises(ValueError, match="train_on='labels' needs labels"):
        made().fit(data[0])


def test_labels_that_the_threshold_takes_away_or_is_left_without(data):
    X, y = data
    one = np.where(np.arange(40) == 7, -1, 0)
    one[8] = 1
    for fraction, found in ((0.9, "0 labelled anomalies .* 2 labelled"), (0.1, "1 .* and 0 lab")):
        detector = made(threshold="f1", calibration_fraction=fraction)
        with pytest.raises(ValueError, match=f"calibration_fraction={fraction} leaves {found}"):
            detector.fit(X[:40], one)
    # A percentile reads none, so all are learned from.
    made(calibration_fraction=0.9).fit(X[:40], one)


# -- the loss --------------------------------------------------------------------------------


def test_push_is_the_mean_hinge_below_a_nat_a_feature_above_the_others():
    error = torch.tensor([[[1.0, 2.0], [4.0, 5.0], [0.5, 0.0]]])
    penalty = torch.tensor([[1.0, 0.0, 3.0]])
    output = Output(error, error, None, penalty)
    loss = push_loss(output, error, torch.tensor([[2.0]]), torch.tensor([4.0]))
    expected = (max(0, 4 + 2 - 5) + max(0, 4 + 2 - 9) + max(0, 4 + 2 - 6.5)) / 3
    assert loss.tolist() == pytest.approx([expected])
    without = push_loss(Output(error, error), error, 0.0, torch.tensor([4.0]))
    assert without.tolist() == pytest.approx([(3 + 0 + 5.5) / 3])


def test_no_loss_is_too_large_to_be_pushed():
    error = torch.tensor([[[1e30], [1.0]]], requires_grad=True)
    push_loss(Output(error, error), error, 0.0, torch.tensor([3.0])).sum().backward()
    assert error.grad.flatten().tolist() == [0.0, -0.5]


def test_rows_known_to_be_normal_are_never_trimmed():
    error = torch.tensor([[[5.0], [1.0], [2.0], [9.0]], [[5.0], [1.0], [2.0], [9.0]]])
    known = torch.tensor([[True, False, False, False], [False, False, False, False]])
    kept, _ = loss_parts(Output(error, error), error, 0.0, (0.5, 0.5), known)
    assert kept.tolist() == [(5 + 1) / 2, (1 + 2) / 2]
    everything, _ = loss_parts(Output(error, error), error, 0.0, (0.5, 0.5), known | True)
    assert everything.tolist() == [17 / 4, 17 / 4]


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
@pytest.mark.parametrize("likelihood", ["gaussian", "mse", "laplace", "bernoulli"])
def test_a_push_raises_the_loss_of_labelled_anomalies_and_stays_finite(cls, likelihood, data):
    X, y = data
    scaler = "minmax" if likelihood == "bernoulli" else "standard"
    own = {"likelihood": likelihood, "scaler": scaler}

    def loss(weight):
        detector = made(cls, anomaly_weight=weight, max_steps=150, **own).fit(X, y)
        detector.beta = 0.0  # of reconstructions alone, for either class
        losses = detector._by_block(detector._loss, X)
        assert np.isfinite(losses).all() and np.isfinite(detector.anomaly_score(X)).all()
        return losses[y == -1].mean() - losses[y != -1].mean()

    assert loss(3.0) > loss(0.0) + 0.1


def test_pushing_far_too_hard_stays_finite(data):
    X, y = data
    far = np.r_[X, 1e9 * X[-1:]]
    detector = made(anomaly_weight=1e4, max_steps=100).fit(far, np.r_[y, -1])
    assert np.isfinite(detector.anomaly_score(far)).all()


def test_without_a_push_labelled_anomalies_are_left_out_of_the_training(data):
    X, y = data
    y = np.minimum(y, 0)
    detector = made().fit(X, y)
    others = made(train_on="normal").fit(X, np.where(y == -1, -1, 1))
    for own, other in zip(weights(detector), weights(others), strict=True):
        assert torch.equal(own, other)
    assert np.array_equal(detector.scaler_.mean_, X[y != -1].mean(0))


def test_rows_known_to_be_normal_are_trained_on_and_trusted():
    X, is_anomaly = table()
    X[is_anomaly] += 3  # so that they are trimmed, unless they are known
    y = np.zeros(len(X), int)
    y[np.flatnonzero(~is_anomaly)[:1]] = -1
    known = np.where(is_anomaly, 1, y)
    params = {"contamination": 0.2, "max_steps": 300, "score": "reconstruction"}
    plain, taught = (made(**params).fit(X, labels) for labels in (y, known))
    loss = [each._by_block(each._loss, X)[is_anomaly].mean() for each in (plain, taught)]
    assert loss[1] < loss[0] / 2
    rows = X[y != -1]
    for detector, n_trusted in ((plain, 0), (taught, is_anomaly.sum())):
        is_known = (known if detector is taught else y)[y != -1] == 1
        trusted = detector._trusted_rows(rows, np.random.RandomState(0), is_known)
        assert is_anomaly[y != -1][trusted].sum() == n_trusted


# -- the score -------------------------------------------------------------------------------


@pytest.mark.parametrize("score", [("density", "neighbors"), "elbo", "reconstruction", "latent"])
def test_what_is_like_labelled_anomalies_scores_higher(score):
    X, is_anomaly = table(400)
    X_new, is_new_anomaly = table(400, seed=1)
    y = np.where(is_anomaly & (np.cumsum(is_anomaly) <= 8), -1, 0)
    plain = made(train_on="all", score=score, max_steps=200).fit(X).anomaly_score(X_new)
    taught = made(score=score, max_steps=200).fit(X, y).anomaly_score(X_new)
    before, after = (roc_auc_score(is_new_anomaly, each) for each in (plain, taught))
    assert after > before + 0.05


def test_labels_that_say_nothing_leave_the_ranking():
    rng = np.random.RandomState(0)
    columns = np.tile(rng.randn(50, 3), (2, 1))
    w = _fit_weights(columns, np.arange(100) < 50)
    assert np.abs(w[1:]).max() < 0.05 and 0 <= w[0] < 0.2


def test_weights_are_where_the_gradient_vanishes():
    rng = np.random.RandomState(0)
    columns, is_anomaly = rng.randn(80, 4), np.arange(80) < 5
    columns[is_anomaly, 1] += 1
    w = _fit_weights(columns, is_anomaly)
    # The intercept is the root of its own equation.
    intercepts = np.linspace(-10, 10, 200_001)
    margin = columns @ w
    share = np.where(is_anomaly, 1.0, 5 / 75)
    pull = [share @ (expit(margin + b) - is_anomaly) for b in intercepts[::1000]]
    b = np.interp(0, pull, intercepts[::1000])
    residual = share * (expit(margin + b) - is_anomaly)
    gradient = columns.T @ residual + [w[0] - 1, *(2 * w[1:])]
    assert np.abs(gradient).max() < 0.01


def test_one_label_corrects_less_than_many():
    X, is_anomaly = table(400)
    anomalies = np.flatnonzero(is_anomaly)
    sizes = []
    for n in (1, 5, 40):
        y = np.zeros(len(X), int)
        y[anomalies[:n]] = -1
        sizes.append(np.abs(made().fit(X, y).score_.scores[0].weights_).sum())
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_score_never_counts_against_a_row():
    columns = np.c_[np.r_[-5 * np.ones(20), np.random.RandomState(0).rand(200)], np.zeros(220)]
    assert _fit_weights(columns, np.arange(220) < 20)[0] == 0


def test_a_row_scores_the_same_in_any_company(data):
    X, y = data
    detector = made(n_estimators=2).fit(X, y)
    rows = np.random.RandomState(0).randn(2500, 4)
    for method in (detector.anomaly_score, detector.error_map):
        expected = method(rows)
        order = np.random.RandomState(1).permutation(len(rows))
        assert np.array_equal(method(rows[order]), expected[order])
        for part in (slice(0, 1), slice(7, 10), slice(1022, 1027)):
            assert np.array_equal(method(rows[part]), expected[part])


def test_error_map_adds_the_terms_of_the_columns(data):
    X, y = data
    detector = made(score="reconstruction").fit(X, y)
    (part,) = detector.score_.scores
    assert isinstance(part, Labelled) and isinstance(part.score, Reconstruction)
    squares = detector._by_block(lambda x, o, e: (x - o.x_hat[0]).square(), X)
    terms = detector._by_block(lambda x, o, e: part._features(x, o.member(0)) * part.weights_, X)
    # Signed and unsigned, of four columns and two latents each.
    of_columns = terms.reshape(len(X), 2, 6)[:, :, :4].sum(1)
    expected = part.score_weight_ * squares / part.spread_ + of_columns
    np.testing.assert_allclose(detector.error_map(X), expected, rtol=1e-5, atol=1e-5)


def a_function(x, output, error):
    return error.sum(1)


def test_a_function_as_score(data):
    X, y = data
    assert np.isfinite(made(score=a_function).fit(X, y).anomaly_score(X)).all()


# -- thresholds ------------------------------------------------------------------------------


def test_f1_reads_labelled_rows_alone(data):
    X, y = data
    detector = made(threshold="f1").fit(X, y)
    assert len(detector.calibration_scores_) == (y != 0).sum()
    np.testing.assert_array_equal(detector.calibration_scores_, detector.anomaly_score(X)[y != 0])


def test_a_percentile_is_of_rows_that_are_not_known_anomalies(data):
    X, y = data
    detector = made(percentile=80).fit(X, y)
    assert len(detector.calibration_scores_) == (y != -1).sum()
    assert (detector.predict(X[y != -1]) == -1).mean() == pytest.approx(0.2, abs=0.01)
    held_out = made(percentile=80, calibration_fraction=0.5).fit(X, y)
    assert held_out.calibration_is_held_out_ and len(held_out.calibration_scores_) <= 100


# -- the same bits, by every way ---------------------------------------------------------------

PUSHES = [0.0, 1.0]


@pytest.mark.parametrize("weight", PUSHES)
def test_same_seed_same_bits_also_after_pickle_and_save(weight, data, tmp_path):
    X, y = data
    detector = made(anomaly_weight=weight).fit(X, y)
    assert_same(clone(detector).fit(X, y), detector, X)
    assert_same(pickle.loads(pickle.dumps(detector)), detector, X)
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    assert loaded.get_params() == detector.get_params()
    assert_same(loaded, detector, X)
    assert_same(loaded.fit(X, y), detector, X)


class ListensToBatches(Callback):
    """Makes training take skorch's own loop."""

    def on_batch_end(self, net, **kwargs):
        pass


@pytest.mark.parametrize("weight", PUSHES)
def test_both_loops_of_the_training_agree(weight, data):
    X, y = data
    expected = made(anomaly_weight=weight).fit(X, y)
    own_loop = made(anomaly_weight=weight, callbacks=[ListensToBatches()]).fit(X, y)
    assert_same(own_loop, expected, X)


def test_members_of_an_ensemble_learn_of_the_labels(data):
    X, y = data
    lone = made(anomaly_weight=1.0).fit(X, y)
    three = made(anomaly_weight=1.0, n_estimators=3).fit(X, y)
    assert all(isinstance(each, Labelled) for each in three.score_.scores)
    assert three.member_scores(X).shape == (200, 3)
    first = three.net_.module_.unstack()[0].state_dict().values()
    for own, other in zip(weights(lone), first, strict=True):
        assert torch.equal(own, other)


def test_warm_start_goes_on(data):
    X, y = data
    detector = made(anomaly_weight=1.0, warm_start=True, max_steps=100).fit(X, y)
    last = detector.history_["loss"].iloc[-1]
    again = detector.fit(X, np.minimum(y, 0))
    assert again.history_["loss"].iloc[0] < last + 0.5 * abs(last)


@pytest.mark.parametrize("weight", PUSHES)
def test_early_stopping_holds_out_no_labelled_anomaly(weight, data):
    X, y = data
    seen = []

    class Sees(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            seen.append((X, net.get_split_datasets(X, None)[1].X))

    params = {"early_stopping": True, "max_steps": None, "max_epochs": 4, "scaler": None}
    detector = made(anomaly_weight=weight, callbacks=[Sees()], **params).fit(X, y)
    ((train, valid),) = seen
    anomalies = {tuple(row) for row in X[y == -1].astype(np.float32)}
    assert not anomalies & {tuple(row) for row in valid.numpy()}
    n_pushed = len(anomalies) if weight else 0
    assert len(anomalies & {tuple(row) for row in train.numpy()}) == n_pushed
    assert len(valid) == round(0.1 * (200 - 6)) and len(train) == 194 - len(valid) + n_pushed
    assert "valid_loss" in detector.history_


def mean_score(detector, X, y):
    return float(detector.score_samples(X).mean())


def test_candidates_of_a_stacked_search_learn_of_their_own_labels(data):
    X, y = data
    grid = {"anomaly_weight": [0.0, 2.0], "latent_dim": [1, 2], "train_on": ["labels", "all"]}
    searches = [
        search(made(max_steps=4), grid, scoring=mean_score, cv=StratifiedKFold(2)).fit(X, y)
        for search in (GridSearchCV, StackedGridSearchCV)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)
    assert_same(*(search.best_estimator_ for search in searches), X)


@pytest.mark.parametrize("weight", PUSHES)
def test_a_fit_in_a_folder_is_one_of_its_labels(weight, data, tmp_path):
    pytest.importorskip("matplotlib")
    X, y = data
    params = {"anomaly_weight": weight, "max_steps": 8}
    expected = made(**params).fit(X, y)
    assert_same(fit_in_folder(made(**params), X, y, folder=tmp_path / "run"), expected, X)
    with pytest.raises(ValueError, match="holds another fit.*labels is"):
        fit_in_folder(made(**params), X, np.where(y == 0, 1, y), folder=tmp_path / "run")


# -- images ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [ConvVAEDetector, ConvAEDetector])
@pytest.mark.parametrize("weight", PUSHES)
def test_images(cls, weight, tmp_path):
    rng = np.random.RandomState(0)
    X = rng.randint(0, 256, (60, 8, 8)).astype(np.uint8)
    X[:10, :, :4] //= 4
    y = np.where(np.arange(60) < 5, -1, np.arange(60) % 2)
    params = {"channels": (2,), "max_steps": 15, "anomaly_weight": weight, "n_estimators": 2}
    detector = made(cls, **params).fit(X, y)
    plain = made(cls, **{**params, "train_on": "all"}).fit(X)
    ranks = [each.anomaly_score(X).argsort().argsort() for each in (plain, detector)]
    assert (ranks[0] != ranks[1]).any()
    assert detector.error_map(X).shape == X.shape
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), detector.anomaly_score(X))


# -- few labels elsewhere in the package ----------------------------------------------------------


def test_scorers_and_searches_tell_known_anomalies_from_all_others():
    rng = np.random.RandomState(0)
    X = np.r_[rng.randn(200, 4), 4 + rng.randn(40, 4)]
    y = np.zeros(240, int)
    y[200:210], y[:5] = -1, 1
    detector = VAEDetector(train_on="labels", max_steps=30, random_state=0).fit(X, y)
    expected = roc_auc_score(y == -1, -detector.score_samples(X))
    assert detector.score(X, y) == expected == metrics.roc_auc(detector, X, y)
    assert 0 < metrics.average_precision(detector, X, y) <= 1
    search = GridSearchCV(
        VAEDetector(train_on="labels", max_steps=10, random_state=0),
        {"beta": [0.5, 1.0]},
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(X, y)
    assert 0 <= search.best_score_ <= 1


def test_a_threshold_is_set_by_what_is_known():
    rng = np.random.RandomState(0)
    X = np.r_[rng.randn(200, 4), 4 + rng.randn(40, 4)]
    y = np.zeros(240, int)
    y[200:210], y[:20] = -1, 1
    detector = VAEDetector(train_on="labels", max_steps=30, random_state=0).fit(X, y)
    detector.set_threshold("f1", X, y)
    known = VAEDetector(train_on="labels", max_steps=30, random_state=0).fit(X, y)
    known.set_threshold("f1", X[y != 0], y[y != 0])
    assert detector.threshold_ == known.threshold_
    with pytest.raises(ValueError, match="reads labels and needs known normal rows, .1 in y"):
        VAEDetector(train_on="labels", threshold="f1").fit(X, np.minimum(y, 0))


def test_a_given_context_is_not_learned_from():
    rng = np.random.RandomState(0)
    context = rng.rand(400) < 0.1
    X = np.c_[context, rng.randn(400, 3) + 2 * context[:, None]]
    y = np.zeros(400, int)
    y[:8] = -1
    X[:8, 0] = 1  # anomalies that are told by the context alone
    detector = skvae.ConditionalVAEDetector(
        condition=[0], train_on="labels", contamination=0, max_steps=50, random_state=0
    ).fit(X, y)
    assert np.all(detector.error_map(X)[:, 0] == 0)
