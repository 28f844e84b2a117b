"""n_estimators: several networks, trained as one stack, whose comparable scores are averaged."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from skvae import AEDetector, VAEDetector
from skvae.model_selection import StackedGridSearchCV
from skvae.scores import SCORES

TINY = {"max_steps": 10, "hidden_layer_sizes": (8,), "latent_dim": 2, "batch_size": 32}
NEEDS_POSTERIOR = {"elbo", "iwae", "reconstruction_probability"}


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(150, 2) @ rng.randn(2, 5) + 0.1 * rng.randn(150, 5)


@pytest.fixture(params=[VAEDetector, AEDetector], ids=lambda cls: cls.__name__)
def make(request):
    def make(n_estimators=3, **params):
        params = {**TINY, "random_state": 0, "score": "reconstruction", **params}
        return request.param(n_estimators=n_estimators, **params)

    return make


def vae(n_estimators=3, **params):
    params = {**TINY, "random_state": 0, "score": "reconstruction", **params}
    return VAEDetector(n_estimators=n_estimators, **params)


def member_weights(det):
    """State of each member's network and likelihood."""
    return [member.state_dict() for member in det.net_.module_.unstack()]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def largest(x, output, error):
    return error.max(1).values


ALL_SCORES = [*SCORES, ("density", "neighbors"), largest]


# -- members --------------------------------------------------------------------------------


def test_the_first_member_is_the_lone_detector(make, X):
    (lone,) = member_weights(make(1).fit(X))
    first, second, third = member_weights(make(3).fit(X))
    assert same(first, lone)
    assert not same(second, lone) and not same(third, second)
    two = member_weights(make(2).fit(X))
    assert same(two[0], first) and same(two[1], second), "more members leave the others alone"


def test_members_differ_in_their_seeds_alone(make, X):
    det = make(contamination=0.0).fit(X)
    assert det.latent_dim_ == 2 and det.net_.module_.network.n_members == 3
    of_members = [part.shape[0] for part in det.net_.module_.parameters()]
    assert set(of_members) == {3}
    Z = det.transform(X).reshape(150, 3, 2)
    assert not np.allclose(Z[:, 0], Z[:, 1])


def test_history_is_the_mean_over_the_members(X):
    """Two members that begin alike but for the seed: the record of both is the mean of theirs."""
    from skvae.likelihoods import LIKELIHOODS
    from skvae.networks import MLPAutoencoder
    from skvae.training import Autoencoder, Member, fit_autoencoders

    def member(seed):
        generator = torch.Generator().manual_seed(seed)
        network = MLPAutoencoder(5, 2, (8,), generator=generator)
        module = Autoencoder(network, LIKELIHOODS["gaussian"](5))
        return Member(module, torch.as_tensor(X, dtype=torch.float32), generator, 0.5, 0.1)

    (both,) = fit_autoencoders([[member(0), member(1)]], max_epochs=3)
    lone = [fit_autoencoders([[member(seed)]], max_epochs=3)[0] for seed in (0, 1)]
    for name in ("train_loss", "reconstruction", "kl"):
        expected = np.mean([net.history[:, name] for net in lone], axis=0)
        np.testing.assert_allclose(both.history[:, name], expected, rtol=1e-6)


def test_history_has_one_row_an_epoch(make, X):
    history = make(max_steps=None, max_epochs=3).fit(X).history_
    assert history["epoch"].tolist() == [1, 2, 3]
    penalty = history["kl"] if "kl" in history else 0
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + penalty, rtol=1e-5)


# -- scores ---------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ALL_SCORES, ids=lambda s: getattr(s, "__name__", str(s)))
def test_every_score(make, X, score):
    if not make()._variational and not callable(score) and score in NEEDS_POSTERIOR:
        with pytest.raises(ValueError, match="needs the posterior"):
            make(score=score).fit(X)
        return
    det = make(score=score).fit(X)
    scores, by_member = det.anomaly_score(X), det.member_scores(X)
    assert by_member.shape == (150, 3) and by_member.dtype == np.float64
    np.testing.assert_array_equal(by_member.mean(1), scores)
    assert np.isfinite(by_member).all() and len(np.unique(scores)) > 140
    assert det.error_map(X).shape == X.shape and np.isfinite(det.error_map(X)).all()
    far = X[:3] + 1e3 * X.std(0)
    assert det.anomaly_score(far).min() > scores.max()
    with_std = det.anomaly_score(X, return_std=True)
    np.testing.assert_array_equal(with_std[0], scores)
    np.testing.assert_array_equal(with_std[1], by_member.std(1))


@pytest.mark.parametrize("score", ["reconstruction", "elbo", "mahalanobis", "standardized"])
def test_members_have_one_mean_and_spread_on_trusted_rows(X, score):
    det = vae(score=score, contamination=0.0).fit(X)  # all rows are trusted
    by_member = det.member_scores(X)
    np.testing.assert_allclose(by_member.mean(0), by_member.mean(), rtol=1e-9)
    np.testing.assert_allclose(by_member.std(0), by_member.std(0).mean(), rtol=1e-9)
    # The units are those of the members' own scores: their mean of means and mean of spreads.
    with torch.inference_mode():
        ((x, output, error),) = det._blocks(X)
        parts = [part(x, output.member(i), error[i]) for i, part in enumerate(det.score_.scores)]
    own = np.stack([part.double().numpy() for part in parts], 1)
    np.testing.assert_allclose(by_member.mean(), own.mean(), rtol=1e-9)
    np.testing.assert_allclose(by_member.std(0).mean(), own.std(0).mean(), rtol=1e-9)
    for i in range(3):
        assert np.corrcoef(own[:, i], by_member[:, i])[0, 1] == pytest.approx(1)


def test_untrusted_rows_do_not_calibrate(X):
    rows = np.r_[X, 100 + X[:10]]
    det = vae(contamination=0.1).fit(rows)
    trusted = det._trusted_rows(rows, np.random.RandomState(0))
    assert len(trusted) == 112 and trusted.max() < 150
    by_member = det.member_scores(rows)[trusted]
    np.testing.assert_allclose(by_member.mean(0), by_member.mean(), rtol=1e-9)
    np.testing.assert_allclose(by_member.std(0), by_member.std(0).mean(), rtol=1e-9)


def test_error_maps_add_up_to_the_spread_of_scores(X):
    """A map has the scale of the scores; the shifts that make the members' means one are not in."""
    det = vae(score="reconstruction").fit(X)
    difference = det.error_map(X).sum(1) - det.anomaly_score(X)
    np.testing.assert_allclose(difference, difference[0], rtol=1e-5, atol=1e-5)


def test_return_std_needs_several_members(make, X):
    det = make(1).fit(X)
    with pytest.raises(ValueError, match=r"return_std needs several networks: .*n_estimators=5"):
        det.anomaly_score(X, return_std=True)
    np.testing.assert_array_equal(det.member_scores(X)[:, 0], det.anomaly_score(X))


def test_a_constant_score_is_finite(X):
    det = vae(score=lambda x, output, error: torch.zeros(len(x))).fit(X)
    assert (det.anomaly_score(X, return_std=True)[0] == 0).all()


def test_members_disagree_most_about_rows_they_never_saw(X):
    det = vae(5, max_steps=60, contamination=0).fit(X)
    strange = X + 5 * np.random.RandomState(1).randn(*X.shape)
    inside, outside = (det.anomaly_score(rows, return_std=True)[1] for rows in (X, strange))
    assert np.median(outside) > 2 * np.median(inside)


# -- decisions ------------------------------------------------------------------------------


def test_thresholds(make, X):
    det = make().fit(X)
    scores = det.anomaly_score(X)
    assert (det.predict(X) == -1).sum() == 15
    np.testing.assert_array_equal(det.predict(X) == -1, scores > det.threshold_)
    np.testing.assert_array_equal(det.decision_function(X), -scores - det.offset_)
    np.testing.assert_array_equal(det.calibration_scores_, scores)
    y = np.arange(150) < 20
    assert np.isfinite(make(threshold="f1").fit(X, y).threshold_)
    conformal = make(threshold="conformal", percentile=90).fit(X)
    assert ((conformal.p_values(X) > 0) & (conformal.p_values(X) <= 1)).all()
    assert det.set_threshold("percentile", percentile=98).predict(X).tolist().count(-1) == 3


# -- latents and reconstructions ------------------------------------------------------------


def test_latents_stand_side_by_side(make, X):
    det = make().fit(X)
    Z = det.transform(X)
    assert Z.shape == (150, 6) and Z.dtype == np.float32
    assert len(det.get_feature_names_out()) == 6
    np.testing.assert_array_equal(Z[:, :2], make(1).fit(X).transform(X))


def test_reconstructions_are_the_mean_over_members(make, X):
    det = make(scaler=None).fit(X)
    X_hat = det.reconstruct(X)
    own = []
    for member in det.net_.module_.unstack():
        with torch.inference_mode():
            own.append(member(torch.as_tensor(X, dtype=torch.float32))[0].x_hat[0].numpy())
    np.testing.assert_allclose(X_hat, np.mean(own, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(det.inverse_transform(det.transform(X)), X_hat, rtol=1e-4, atol=1e-5)


def test_round_trip_in_units_of_the_data(make, X):
    det = make(scaler="minmax").fit(X)
    decoded = det.inverse_transform(det.transform(X))
    assert decoded.shape == X.shape
    np.testing.assert_allclose(decoded, det.reconstruct(X), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="Z has 2 columns, but transform makes 6"):
        det.inverse_transform(det.transform(X)[:, :2])


@pytest.mark.parametrize("n_features", [1, 5, 16, 33])
def test_a_row_has_the_same_bits_in_any_company(make, n_features):
    X = np.random.RandomState(0).randn(1500, n_features)
    det = make(score=("density", "elbo") if make()._variational else "density").fit(X[:200])
    methods = ["anomaly_score", "member_scores", "transform", "error_map", "reconstruct"]
    order = np.random.RandomState(1).permutation(len(X))
    for method in methods:
        expected = getattr(det, method)(X)
        np.testing.assert_array_equal(getattr(det, method)(X[order]), expected[order])
        for rows in (slice(0, 1), slice(1022, 1027), slice(1400, None)):
            np.testing.assert_array_equal(getattr(det, method)(X[rows]), expected[rows])
    Z = det.transform(X)
    np.testing.assert_array_equal(det.inverse_transform(Z[7:9]), det.inverse_transform(Z)[7:9])


# -- as an estimator ------------------------------------------------------------------------


# The checks score with three classes in y, which are no anomaly labels and are ignored aloud.
@pytest.mark.filterwarnings("ignore:y must hold:UserWarning")
@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
def test_check_estimator_without_an_expected_failure(cls):
    det = cls(max_steps=3, hidden_layer_sizes=(8,), random_state=0, n_estimators=2)
    results = check_estimator(det, expected_failed_checks=None, on_skip=None)
    status = [result["status"] for result in results]
    # The only check that skips wants SciPy's array API, an environment variable at import.
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert set(skipped) <= {"check_array_api_input"}
    assert status.count("passed") >= 45
    assert set(status) <= {"passed", "skipped"}


def test_same_seed_same_bits(make, X):
    det = make(score="density").fit(X)
    expected = det.member_scores(X)
    for again in (
        clone(det).fit(X),
        pickle.loads(pickle.dumps(det)),
        pickle.loads(pickle.dumps(det)).fit(X),
        det.fit(X),
    ):
        np.testing.assert_array_equal(again.member_scores(X), expected)
    other = make(score="density", random_state=1).fit(X)
    assert not np.array_equal(other.member_scores(X), expected)


@pytest.mark.parametrize("n_estimators", [0, -1, 2.5, "3", None])
def test_n_estimators_must_be_a_number(X, n_estimators):
    with pytest.raises(ValueError, match="The 'n_estimators' parameter of VAEDetector must be"):
        vae(n_estimators).fit(X)


def test_warm_start_goes_on_with_all_members(make, X):
    det = make(warm_start=True, max_steps=60, lr=0.01).fit(X)
    before = member_weights(det)
    first = det.history_["loss"]
    again = det.fit(X).history_["loss"]
    assert again.iloc[0] < first.iloc[0] - 0.5 * (first.iloc[0] - first.iloc[-1])
    after = member_weights(det)
    assert len(after) == 3 and not any(map(same, before, after))
    lone = make(1, warm_start=True, max_steps=60, lr=0.01).fit(X).fit(X)
    assert same(after[0], member_weights(lone)[0]), "the first goes on as the lone detector does"
    with pytest.raises(ValueError, match="'n_estimators': 2"):
        det.set_params(n_estimators=2).fit(X)


def test_early_stopping(make, X):
    params = {"early_stopping": True, "patience": 2, "max_steps": 200, "lr": 0.02}
    det = make(**params).fit(X)
    valid = det.history_["valid_loss"].to_numpy()
    assert len(valid) == min(valid.argmin() + 1 + 2, len(valid))
    assert len(member_weights(det)) == 3
    assert np.isfinite(det.anomaly_score(X)).all()


def test_an_ensemble_that_diverges_says_so(make, X):
    with pytest.raises(FloatingPointError, match="Lower lr"):
        make(optimizer="sgd", lr=1e30).fit(X)


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose(X, capsys, verbose):
    vae(verbose=verbose).fit(X)
    out, err = capsys.readouterr()
    assert out == "" and ("fit of 3: 100%" in err) == bool(verbose)


def test_in_a_stacked_search(X):
    y = np.where(np.arange(150) % 10, 1, -1)
    grid = {"n_estimators": [1, 3], "latent_dim": [1, 2]}
    plain = GridSearchCV(vae(1), grid, cv=2).fit(X, y)
    stacked = StackedGridSearchCV(vae(1), grid, cv=2).fit(X, y)
    for name in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_array_equal(stacked.cv_results_[name], plain.cv_results_[name])
    assert stacked.best_params_ == plain.best_params_


def test_pyod_both_ways(X):
    from pyod.models.knn import KNN

    from skvae.interop.pyod import FromPyOD, ToPyOD

    det = ToPyOD(vae(contamination=0.1)).fit(X)
    lone = vae(contamination=0.1).fit(X)
    np.testing.assert_array_equal(det.decision_function(X), lone.anomaly_score(X))
    np.testing.assert_array_equal(det.labels_ == 1, lone.predict(X) == -1)
    assert np.isfinite(FromPyOD(KNN()).fit(X).anomaly_score(X)).all()


# -- what it is for -------------------------------------------------------------------------


def test_the_spread_over_seeds_falls(X):
    row = X[:1] + 0.3 * np.random.RandomState(2).randn(1, 5)
    spread = {}
    for n_estimators in (1, 5):
        dets = [vae(n_estimators, random_state=seed, max_steps=60).fit(X) for seed in range(6)]
        spread[n_estimators] = np.std([det.anomaly_score(row)[0] for det in dets])
    assert spread[5] < 0.8 * spread[1]


def test_members_are_taken_out_without_a_copy_of_the_stack_for_each(make, X, monkeypatch):
    """Memory would grow with the square of their number."""
    det = make().fit(X)
    module = det.net_.module_
    before = {name: value.clone() for name, value in module.state_dict().items()}
    monkeypatch.setattr(torch.nn.Parameter, "__deepcopy__", None)
    members = module.unstack()
    for i, member in enumerate(members):
        for own, of_all in zip(member.parameters(), module.parameters(), strict=True):
            assert torch.equal(own, of_all[i : i + 1]) and own.requires_grad == of_all.requires_grad
            own.data.zero_()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
