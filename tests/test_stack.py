"""Detectors that are trained as one stack come out as their lone fits do, bit for bit."""

import math
import pickle
from time import perf_counter

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skvae import AEDetector, VAEDetector
from skvae.base import _stack, fit_stack
from skvae.training import fit_autoencoders

TINY = {"max_steps": 8, "hidden_layer_sizes": (8,), "batch_size": 16, "score": "reconstruction"}


def rows(n=49, d=6, seed=0):
    """Three batches of 16, and one of a single row."""
    rng = np.random.RandomState(seed)
    return rng.randn(n, 2) @ rng.randn(2, d) + 0.1 * rng.randn(n, d)


def detector(cls=VAEDetector, **params):
    return cls(**{**TINY, "random_state": 0, **params})


def jobs_of(*params, X=None, base=None):
    X = rows() if X is None else X
    return [(clone(base or detector()).set_params(**own), X, None) for own in params]


def copies(jobs):
    return [(clone(det), X, y) for det, X, y in jobs]


def weights(det):
    return det.net_.module_.state_dict()


def history(det):
    return det.history_.drop(columns="duration")


def assert_same(one, other, X):
    assert weights(one).keys() == weights(other).keys()
    for name, value in weights(one).items():
        assert torch.equal(value, weights(other)[name]), name
    assert history(one).equals(history(other))
    assert one.offset_ == other.offset_
    for method in ("anomaly_score", "transform", "reconstruct", "error_map"):
        np.testing.assert_array_equal(getattr(one, method)(X), getattr(other, method)(X), method)
    assert one.n_steps_ == other.n_steps_ and one.latent_dim_ == other.latent_dim_
    assert vars(one).keys() == vars(other).keys()


def assert_as_alone(jobs):
    """Fit the jobs as stacks and alone, and compare; return the detectors of the stacks."""
    lone = [det.fit(X, y) for det, X, y in copies(jobs)]
    fits = fit_stack(jobs)
    for (_, X, _), one, fit in zip(jobs, lone, fits, strict=True):
        assert fit.error is None
        assert fit.seconds > 0
        assert_same(one, fit.detector, X)
    assert [fit.detector for fit in fits] == [det for det, _, _ in jobs], "fitted in place"
    return [fit.detector for fit in fits]


@pytest.fixture
def stacks(monkeypatch):
    """The number of ensembles of each training that fit_stack starts, in order."""
    seen = []

    def counting(ensembles, **settings):
        seen.append(len(ensembles))
        return fit_autoencoders(ensembles, **settings)

    monkeypatch.setattr(_stack, "fit_autoencoders", counting)
    return seen


# -- a member is the lone fit ---------------------------------------------------------------

MIXED = [
    {"beta": 0.1},
    {"beta": 5.0, "latent_dim": 3},
    {"latent_dim": 10},
    {"contamination": 0.0},
    {"contamination": 0.25, "beta": 0.0},
    {"contamination": 0.5},
    {"random_state": 3},
    {"threshold": 1.5},
    {"percentile": 80, "score": "elbo"},
    {"score": ("density", "neighbors")},
    {"score": "iwae", "latent_dim": 1},
]


@pytest.mark.parametrize("n_features", [1, 5, 7, 16, 33])
def test_everything_mixed(n_features, stacks):
    assert_as_alone(jobs_of(*MIXED, X=rows(d=n_features)))
    assert stacks == [len(MIXED)]


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
@pytest.mark.parametrize("likelihood", ["gaussian", "mse", "laplace", "bernoulli"])
@pytest.mark.parametrize("n_features", [5, 16, 33])
def test_every_likelihood(cls, likelihood, n_features, stacks):
    base = detector(cls, likelihood=likelihood, scaler="minmax")
    params = [
        {"contamination": 0.0},
        {"contamination": 0.1},
        {"latent_dim": 2},
        {"random_state": 1},
    ]
    assert_as_alone(jobs_of(*params, X=rows(d=n_features), base=base))
    assert stacks == [4]


@pytest.mark.parametrize("hidden_layer_sizes", [(8,), (64, 32), (16,), (48, 5), ()])
@pytest.mark.parametrize("activation", ["relu", "silu", "softplus", "tanh"])
def test_every_shape_of_network(hidden_layer_sizes, activation):
    base = detector(hidden_layer_sizes=hidden_layer_sizes, activation=activation)
    assert_as_alone(jobs_of({"beta": 0.1}, {"latent_dim": 2}, {"contamination": 0}, base=base))


@pytest.mark.parametrize("batch_size", [1, 3, 16, 48, 49, 1000])
def test_every_size_of_batch(batch_size):
    base = detector(batch_size=batch_size, activation="sigmoid")
    assert_as_alone(jobs_of({"beta": 0.1}, {"contamination": 0.3}, {"latent_dim": 2}, base=base))


def test_latents_of_unlike_width_share_a_stack_up_to_a_multiple_of_16(stacks):
    params = [{"latent_dim": latent_dim} for latent_dim in (3, 10, 16, 20)]
    fitted = assert_as_alone(jobs_of(*params, X=rows(d=33)))
    assert [det.latent_dim_ for det in fitted] == [3, 10, 16, 20]
    assert sorted(stacks) == [1, 3]


def test_rows_of_their_own_and_folds_of_unequal_length(stacks):
    X = rows(100)
    folds = [X[:49], X[10:59], X[30:80], X[50:]]
    jobs = [(detector(beta=beta), fold, None) for fold in folds for beta in (0.1, 1.0)]
    assert_as_alone(jobs)
    assert sorted(stacks) == [4, 4], "49 rows and 50"


def test_unlike_scalers_and_held_out_rows():
    thresholds = [{"threshold": "conformal", "percentile": 80}, {"calibration_fraction": 0.5}]
    assert_as_alone(jobs_of(*thresholds, {"scaler": None}, {"scaler": "minmax"}))


def test_labels_are_read_where_they_are_alone():
    X, y = rows(), np.r_[np.zeros(40), np.ones(9)]
    params = [{"threshold": "f1"}, {"train_on": "normal"}, {}]
    assert_as_alone([(det, X, y) for det, _, _ in jobs_of(*params)])


FEW = [
    {},
    {"anomaly_weight": 1.0},
    {"anomaly_weight": 0.3, "contamination": 0.0, "n_estimators": 2},
    {"anomaly_weight": 2.0, "latent_dim": 3, "score": ("density", "neighbors")},
]


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
def test_few_labels_of_their_own(cls, stacks):
    X = rows(100)
    labels = [np.r_[[-1] * n, [1] * m, [0] * (100 - n - m)] for n, m in ((4, 0), (4, 7), (9, 3))]
    base = detector(cls, train_on="labels")
    jobs = [(clone(base).set_params(**own), X, y) for y in labels for own in FEW]
    # Those that push draw from all rows, the others from those that are no known anomalies.
    assert_as_alone([*jobs, (detector(cls), X[4:], None), (detector(cls), X, None)])
    assert sorted(stacks) == [1, 1, 3, 3, 6]


def test_an_error_about_labels_is_the_error_of_its_own_job():
    X, y = rows(), np.r_[-1, np.zeros(48)]
    jobs = [(detector(train_on="labels", anomaly_weight=1.0), X, own) for own in (y, -y, y)]
    first, second, third = fit_stack(jobs)
    assert "y must hold -1 for known anomalies" in str(second.error)
    assert first.error is None and third.error is None
    assert_same(first.detector, third.detector, X)


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
def test_rows_that_tie(cls):
    X = np.round(rows(97))[np.arange(97) % 5]  # five rows, again and again
    params = [{"contamination": share} for share in (0.0, 0.05, 0.2, 0.5)]
    assert_as_alone(jobs_of(*params, X=X, base=detector(cls)))


def test_columns_of_any_kind():
    X = np.c_[rows(), np.full(49, 7.0), np.zeros(49), 1e6 * np.ones(49)]
    assert_as_alone(jobs_of({"beta": 0.1}, {"beta": 2.0}, X=X))
    assert_as_alone(jobs_of({"beta": 0.1}, {"beta": 2.0}, X=rows().astype(np.float32)))


def test_order_and_company_change_nothing():
    jobs = jobs_of(*MIXED)
    expected = [fit.detector for fit in fit_stack(copies(jobs))]
    for own in (range(len(jobs))[::-1], [3, 0], [5], [0, 0, 0, 7]):
        for i, fit in zip(own, fit_stack(copies([jobs[i] for i in own])), strict=True):
            assert_same(expected[i], fit.detector, rows())


def test_as_many_as_of_a_whole_search_and_more_than_a_stack_holds(stacks, monkeypatch):
    monkeypatch.setattr(_stack, "MAX_MEMBERS", 20)
    assert_as_alone(jobs_of(*({"random_state": seed} for seed in range(45))))
    assert stacks == [20, 20, 5]


def test_no_stack_exceeds_its_bound_with_ensembles(stacks, monkeypatch):
    monkeypatch.setattr(_stack, "MAX_MEMBERS", 8)
    sizes = (3, 3, 3, 1, 9, 2)
    assert_as_alone(jobs_of(*({"n_estimators": size} for size in sizes)))
    assert stacks == [2, 2, 1, 1], "3 + 3, 3 + 1, 9 by itself, 2"


def test_ensembles_beside_single_networks(stacks):
    assert_as_alone(jobs_of({"n_estimators": 3}, {}, {"n_estimators": 2, "latent_dim": 2}))
    assert stacks == [3]


def test_the_other_epochs_and_steps(stacks):
    params = [{"max_epochs": 2}, {"max_steps": None, "max_epochs": 3}, {"max_steps": 1}]
    assert_as_alone(jobs_of(*(own | {"beta": beta} for own in params for beta in (0.1, 1.0))))
    assert stacks == [2, 2, 2]


def test_no_jobs():
    assert fit_stack([]) == []


@pytest.mark.parametrize("cls", [VAEDetector, AEDetector])
def test_a_latent_that_only_pads_stays_exactly_zero(cls):
    fitted = assert_as_alone(
        jobs_of({"latent_dim": 3}, {"latent_dim": 5}, base=detector(cls, max_steps=40, lr=0.01))
    )
    for det, latent_dim in zip(fitted, (3, 5), strict=True):
        network = det.net_.module_.network
        assert network.code_dim == 16
        code, first = network.encoder[-1], network.decoder[0]
        for parameter in (code.weight, code.bias):
            for half in parameter.split(16, dim=-1):
                assert (half[..., latent_dim:] == 0).all()
                assert (half[..., :latent_dim] != 0).all()
        assert (first.weight[:, latent_dim:] == 0).all()
        assert first.weight[:, :latent_dim].abs().sum(2).min() > 0
        assert det.transform(rows()).shape == (49, latent_dim)


def test_columns_that_only_pad_stay_exactly_zero():
    fitted = assert_as_alone(jobs_of({"beta": 0.1}, {}, base=detector(max_steps=40, lr=0.01)))
    for det in fitted:
        network = det.net_.module_.network
        for layer in (network.encoder[0], network.decoder[0], network.decoder[-1]):
            assert (layer.weight[..., layer.out_features :] == 0).all()
            assert (layer.bias[..., layer.out_features :] == 0).all()
        assert (det.net_.module_.likelihood.log_scale[..., 6:] == 0).all()


# -- errors ---------------------------------------------------------------------------------


def test_a_member_that_diverges_takes_nobody_along(stacks):
    base = detector(likelihood="mse", scaler=None, optimizer="sgd", lr=1e-4, max_steps=30)
    X, wild = rows(), 1e6 * rows(seed=1)
    jobs = [(clone(base), X, None), (clone(base), wild, None), (base.set_params(beta=0.1), X, None)]
    with pytest.raises(FloatingPointError) as alone:
        clone(jobs[1][0]).fit(wild)
    fits = fit_stack(jobs)
    assert stacks == [3]
    assert type(fits[1].error) is FloatingPointError and str(fits[1].error) == str(alone.value)
    for i in (0, 2):
        assert fits[i].error is None
        assert_same(clone(jobs[i][0]).fit(X), fits[i].detector, X)
        assert np.isfinite(history(fits[i].detector)).all(axis=None)


def test_a_huge_beta_diverges_alone():
    params = [{"beta": 1.0}, {"beta": 1e38}, {"beta": 0.0}]
    jobs = jobs_of(*params, base=detector(optimizer="sgd", lr=1e-3))
    fits = fit_stack(copies(jobs))
    assert [fit.error is None for fit in fits] == [True, False, True]
    assert "Lower lr" in str(fits[1].error)
    for i in (0, 2):
        assert_same(clone(jobs[i][0]).fit(rows()), fits[i].detector, rows())


def test_all_diverge():
    jobs = jobs_of({}, {"beta": 0.1}, base=detector(optimizer="sgd", lr=1e30))
    for fit in fit_stack(jobs):
        assert type(fit.error) is FloatingPointError


def test_an_ensemble_fails_where_a_member_of_it_does(stacks):
    base = detector(likelihood="mse", scaler=None, optimizer="sgd", lr=1e-4, n_estimators=2)
    wild, X = (clone(base), 1e6 * rows(), None), (clone(base), rows(), None)
    fits = fit_stack([wild, X])
    assert stacks == [2]
    assert type(fits[0].error) is FloatingPointError and fits[1].error is None


@pytest.mark.parametrize(
    "params, message",
    [
        ({"beta": -1}, "The 'beta' parameter of VAEDetector"),
        ({"max_steps": None}, "both None"),
        ({"threshold": "f1"}, "needs labels"),
        ({"score": ["luck"]}, "score='luck' is unknown"),
        ({"scaler": None, "likelihood": "bernoulli"}, "needs training values in"),
    ],
)
def test_an_error_before_the_training_is_that_jobs_own(params, message, stacks):
    fits = fit_stack(jobs_of({}, params, {"beta": 0.1}))
    assert stacks == [2]
    assert isinstance(fits[1].error, ValueError) and message in str(fits[1].error)
    with pytest.raises(ValueError) as alone:
        detector(**params).fit(rows())
    assert str(alone.value) == str(fits[1].error)
    assert fits[0].error is None and fits[2].error is None


def broken_score(x, output, error):
    raise RuntimeError("no score today")


def test_an_error_after_the_training_is_that_jobs_own(stacks):
    jobs = jobs_of({}, {"score": broken_score}, {"beta": 0.1})
    fits = fit_stack(jobs)
    assert stacks == [3]
    assert str(fits[1].error) == "no score today"
    assert fits[0].error is None and fits[2].error is None


def test_rows_that_cannot_be_trained_on_fail_alone():
    X = rows()
    jobs = [(detector(), X, None), (detector(), with_nan(X), None), (detector(), X[:1], None)]
    fits = fit_stack(jobs)
    assert [fit.error is None for fit in fits] == [True, False, False]
    assert "NaN" in str(fits[1].error) and "minimum of 2" in str(fits[2].error)


def with_nan(X):
    X = X.copy()
    X[3, 2] = np.nan
    return X


@pytest.mark.parametrize("where", ["_prepare", "_finish", "training"])
def test_keyboard_interrupt_passes(where, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    if where == "training":
        monkeypatch.setattr("skvae.training._net.lr_factor", interrupt)
    else:
        monkeypatch.setattr(VAEDetector, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit_stack(jobs_of({}, {"beta": 0.1}))


# -- those that cannot stack ----------------------------------------------------------------


class Counter(Callback):
    def on_train_begin(self, net, **kwargs):
        self.n_epochs_ = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs_ += 1


def own_adam(parameters, lr):
    return torch.optim.Adam(parameters, lr=lr)


@pytest.mark.parametrize(
    "params",
    [
        {"early_stopping": True, "patience": 1},
        {"warm_start": True},
        {"optimizer": own_adam},
        {"callbacks": [Counter()]},
    ],
    ids=lambda params: next(iter(params)),
)
def test_detectors_that_cannot_stack(params, stacks):
    alone = [{**params, "beta": 0.1}, {**params, "beta": 1.0}]
    fitted = assert_as_alone(jobs_of(*alone, {}, {"latent_dim": 2}))
    assert stacks.count(2) == 1 and stacks.count(1) == 2
    if "callbacks" in params:
        assert [det.callbacks[0].n_epochs_ for det in fitted[:2]] == [2, 2]


def test_warm_start_goes_on_in_a_stack():
    X = rows()
    lone, stacked = detector(warm_start=True).fit(X), detector(warm_start=True).fit(X)
    (fit,) = fit_stack([(stacked, X, None)])
    assert_same(lone.fit(X), fit.detector, X)


def test_what_differs_in_a_step_is_trained_apart(stacks):
    params = [
        {"lr": 1e-3},
        {"batch_size": 8},
        {"hidden_layer_sizes": (4,)},
        {"likelihood": "mse"},
        {"activation": "tanh"},
        {"optimizer": "sgd"},
        {"max_steps": 5},
    ]
    assert_as_alone(jobs_of({}, *params))
    assert stacks == [1] * 8


# -- rows, results, time --------------------------------------------------------------------


def test_rows_that_members_share_are_kept_once(monkeypatch):
    held = []

    def looking(ensembles, **settings):
        held.append([[member.rows.data_ptr() for member in members] for members in ensembles])
        return fit_autoencoders(ensembles, **settings)

    monkeypatch.setattr(_stack, "fit_autoencoders", looking)
    X = rows()
    params = [{"beta": beta, "n_estimators": n} for beta in (0.1, 1.0, 5.0) for n in (1, 3)]
    jobs = jobs_of(*params) + jobs_of(*params, X=X.copy()) + jobs_of(*params, X=rows(seed=1))
    fit_stack(jobs)
    (ensembles,) = held
    pointers = [set(members) for members in ensembles]
    assert all(len(own) == 1 for own in pointers)
    assert len(set.union(*pointers[:12])) == 1, "equal rows, whatever array they came in"
    assert len(set.union(*pointers)) == 2


def test_rows_that_differ_in_a_bit_are_kept_apart():
    X, other = rows(), rows()
    other[0, 0] += 1e-3
    assert_as_alone([(detector(scaler=None), X, None), (detector(scaler=None), other, None)])


def test_a_fitted_detector_holds_its_own_weights_alone():
    fitted = assert_as_alone(jobs_of(*({"random_state": seed} for seed in range(5))))
    pointers = [value.data_ptr() for det in fitted for value in weights(det).values()]
    assert len(set(pointers)) == len(pointers)
    for det in fitted:
        for value in weights(det).values():
            assert value.untyped_storage().nbytes() == value.numel() * value.element_size()
            assert value.shape[0] == 1


def test_history_shares_out_the_duration():
    fits = fit_stack(jobs_of({"n_estimators": 3}, {}))
    three, one = (fit.detector.history_["duration"] for fit in fits)
    np.testing.assert_allclose(three, 3 * one)


def test_seconds_add_up_to_less_than_the_clock():
    start = perf_counter()
    fits = fit_stack(jobs_of(*MIXED, {"early_stopping": True}))
    elapsed = perf_counter() - start
    total = math.fsum(fit.seconds for fit in fits)
    assert 0.5 * elapsed < total <= elapsed


def test_global_generators_are_neither_read_nor_changed():
    before = torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state())
    fit_stack(jobs_of(*MIXED))
    assert (torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state())) == before


def test_threads_are_as_they_were():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert_as_alone(jobs_of({}, {"beta": 0.1}))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_stacked_detector_can_be_refitted_cloned_and_pickled():
    (one, _) = assert_as_alone(jobs_of({}, {"beta": 0.1}))
    expected = one.anomaly_score(rows())
    stored = pickle.dumps(one)
    assert len(stored) < 1.1 * len(pickle.dumps(clone(one).fit(rows())))
    np.testing.assert_array_equal(pickle.loads(stored).anomaly_score(rows()), expected)
    np.testing.assert_array_equal(clone(one).fit(rows()).anomaly_score(rows()), expected)
    np.testing.assert_array_equal(one.fit(rows()).anomaly_score(rows()), expected)


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_shows_a_bar_for_each_training(capsys, verbose):
    jobs = jobs_of({}, {"beta": 0.1}, {"lr": 0.01})
    fit_stack(jobs, verbose=verbose)
    out, err = capsys.readouterr()
    assert out == ""
    assert ("fit of 2: 100%" in err, "fit: 100%" in err) == (bool(verbose), bool(verbose))
