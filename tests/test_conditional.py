"""The conditional detector: what is given is not judged, and what is usual depends on it."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import skvae
from skvae import ConditionalVAEDetector, VAEDetector
from skvae.base import fit_stack
from skvae.likelihoods import LIKELIHOODS, OfColumns
from skvae.networks import ConditionalMLPAutoencoder, MLPAutoencoder
from skvae.scores import SCORES

TINY = {"max_steps": 5, "hidden_layer_sizes": (8,), "latent_dim": 3, "random_state": 0}


def tiny(**params):
    return ConditionalVAEDetector(**{**TINY, **params})


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(200, 2) @ rng.randn(2, 6) + 0.1 * rng.randn(200, 6)


@pytest.fixture(scope="module")
def letters():
    return np.array(list("abc"))[np.random.RandomState(1).randint(0, 3, 200)]


@pytest.fixture(scope="module")
def seasons():
    """Sine and cosine of the month, and three values that depend on it; February is rare."""
    rng = np.random.RandomState(0)
    month = rng.choice(12, 3000, p=np.r_[[1.0, 0.1], np.ones(10)] / 11.1)
    return in_months(month, rng)


def in_months(month, rng):
    angle = 2 * np.pi * month / 12
    values = -np.cos(angle)[:, None] * [10, -20, 5] + [10, 60, 0] + rng.randn(len(month), 3)
    return np.c_[np.sin(angle), np.cos(angle), values]


# -- what it learns ---------------------------------------------------------------------------


def test_a_summer_day_in_january_is_an_anomaly(seasons):
    train, test = seasons[:2000], seasons[2000:]
    wrong = test[np.abs(test[:, 1]) > 0.5] * [-1, -1, 1, 1, 1]  # in spring nothing is wrong
    rows, is_anomaly = np.r_[test, wrong], np.arange(len(test) + len(wrong)) >= len(test)
    params = {"contamination": 0, "random_state": 0}
    conditional = ConditionalVAEDetector(condition=[0, 1], **params).fit(train)
    assert conditional.score(rows, is_anomaly) > 0.99
    assert VAEDetector(**params).fit(train[:, 2:]).score(rows[:, 2:], is_anomaly) < 0.65


def test_a_rare_context_alone_is_not_flagged(seasons):
    february = in_months(np.full(300, 1), np.random.RandomState(1))
    params = {"contamination": 0, "random_state": 0}
    conditional = ConditionalVAEDetector(condition=[0, 1], **params).fit(seasons[:2000])
    joint = VAEDetector(**params).fit(seasons[:2000])
    assert (conditional.predict(seasons[2000:]) == -1).mean() < 0.1
    assert (conditional.predict(february) == -1).mean() < 0.2
    assert (joint.predict(february) == -1).mean() > 0.3


def test_latents_count_in_units_of_the_prior_where_something_is_given(seasons):
    """Three columns of noise are not worth a latent: all collapse, and tell only the month."""
    detector = ConditionalVAEDetector(condition=[0, 1], contamination=0, random_state=0)
    detector.fit(seasons)
    assert detector.transform(seasons).std(0).max() < 0.2
    for density in detector.score_.scores[0].scores:
        assert torch.equal(density.latent_scale_, torch.ones(5))


def test_classes_are_told_apart_and_explain_their_rows():
    rng = np.random.RandomState(0)
    y = np.array(["left", "right"])[rng.randint(0, 2, 1000)]
    side = np.where(y == "left", -1.0, 1.0)
    X = np.c_[3 * side, -3 * side, 3 * side] + 0.3 * rng.randn(1000, 3)
    detector = ConditionalVAEDetector(contamination=0, latent_dim=2, random_state=0).fit(X, y)
    assert detector.classes_ == ("left", "right")
    assert (detector.infer_class(X) == y).mean() > 0.99
    assert np.array_equal(detector.predict([[-3, 3, -3], [3, -3, 3], [3, 3, 3]]), [1, 1, -1])
    assert np.abs(detector.reconstruct(X) - X).mean() < 1


# -- what is given is not judged ----------------------------------------------------------------


@pytest.mark.parametrize("score", SCORES)
def test_the_context_has_no_share_in_any_map(X, score):
    detector = tiny(condition=[1, 4], score=score).fit(X)
    error_map = detector.error_map(X)
    assert error_map.shape == X.shape
    assert np.array_equal(error_map[:, [1, 4]], np.zeros((200, 2)))
    assert (error_map[:, [0, 2, 3, 5]] != 0).any(0).all()
    assert np.isfinite(detector.anomaly_score(X)).all()


def test_the_context_comes_back_as_it_was_given(X):
    detector = tiny(condition=[1, 4], scaler=None).fit(X)
    expected = X[:, [1, 4]].astype(np.float32)
    assert np.array_equal(detector.reconstruct(X)[:, [1, 4]], expected)


def test_the_loss_is_that_of_the_other_columns(X):
    detector = tiny(condition=[1, 4], scaler=None, contamination=0, likelihood="mse").fit(X)
    module = detector.net_.module_
    output, error = module(torch.as_tensor(X, dtype=torch.float32))
    left = [0, 2, 3, 5]
    expected = np.square(X[:, left] - output.x_hat[0].detach().numpy()[:, left]).sum(1)
    np.testing.assert_allclose(error[0].sum(1).detach(), expected, rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace"])
def test_the_scale_of_the_context_is_not_learned(X, likelihood):
    detector = tiny(condition=[1, 4], likelihood=likelihood, max_steps=20).fit(X)
    scale = detector.net_.module_.likelihood.likelihood.log_scale.detach()[0, 0, :6]
    assert np.array_equal(scale == 0, [False, True, False, False, True, False])


def test_decoder_and_encoder_see_the_condition(X):
    detector = tiny(condition=[1], max_steps=50).fit(X)
    other = X.copy()
    other[:, 1] += 1
    assert not np.allclose(detector.reconstruct(X)[:, 0], detector.reconstruct(other)[:, 0])
    network = detector.net_.module_.network
    z = torch.zeros(1, 2, 3)
    x_hat = network.decode(z, torch.tensor([[[-1.0], [1.0]]]))[0]
    assert x_hat[:, 1].tolist() == [-1, 1]
    assert not torch.allclose(x_hat[0, [0, 2, 3, 4, 5]], x_hat[1, [0, 2, 3, 4, 5]])


# -- invariances --------------------------------------------------------------------------------


def test_without_condition_it_is_the_plain_one(X):
    for y in (None, np.ones(200), np.r_[np.ones(190), -np.ones(10)], np.arange(200) < 5):
        detector, plain = tiny().fit(X, y), VAEDetector(**TINY).fit(X)
        assert detector.classes_ == () and detector.condition_ == ()
        assert np.array_equal(detector.anomaly_score(X), plain.anomaly_score(X))


def test_the_network_without_condition_is_the_plain_one():
    options = {"generator": torch.Generator().manual_seed(0)}
    one = ConditionalMLPAutoencoder(5, 2, (4,), **options)
    options = {"generator": torch.Generator().manual_seed(0)}
    other = MLPAutoencoder(5, 2, (4,), **options)
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one(x).x_hat, other(x).x_hat)


def test_names_and_indices_are_the_same(X):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    expected = tiny(condition=[4, 1]).fit(X).anomaly_score(X)
    for condition in (["b", "e"], ["e", 1], np.array([1, 4])):
        detector = tiny(condition=condition).fit(frame)
        assert detector.condition_ == (1, 4)
        assert np.array_equal(detector.anomaly_score(frame), expected)


def test_names_of_classes_do_not_matter(X, letters):
    numbers = np.searchsorted(["a", "b", "c"], letters) * 10.0
    by_letter, by_number = tiny().fit(X, letters), tiny().fit(X, numbers)
    assert by_number.classes_ == (0, 10, 20)
    assert np.array_equal(by_letter.anomaly_score(X), by_number.anomaly_score(X))
    assert tiny().fit(X, pd.Series(letters, dtype="category")).classes_ == ("a", "b", "c")
    assert tiny().fit(X, numbers.astype(int).astype(object)).classes_ == (0, 10, 20)


@pytest.mark.parametrize("params", [{}, {"condition": [2]}, {"n_estimators": 3}])
def test_a_row_scores_the_same_in_any_company(X, letters, params):
    detector = tiny(**params).fit(X, letters)
    rows = np.random.RandomState(0).randn(1500, 6)
    for method in (detector.anomaly_score, detector.error_map, detector.infer_class):
        expected = method(rows)
        for part in (slice(0, 1), slice(7, 9), slice(1022, 1027)):
            assert np.array_equal(method(rows[part]), expected[part])


@settings(max_examples=10, deadline=None)
@given(n_features=st.integers(2, 20), n_context=st.integers(0, 19), n_classes=st.integers(0, 5))
def test_any_shape_of_condition(n_features, n_context, n_classes):
    rng = np.random.RandomState(0)
    X = rng.randn(30, n_features)
    condition = rng.permutation(n_features)[: min(n_context, n_features - 1)].tolist()
    y = np.arange(30) % n_classes + 5 if n_classes else None
    detector = tiny(condition=condition, score=["elbo", "iwae"]).fit(X, y)
    assert len(detector.classes_) == n_classes
    assert np.isfinite(detector.anomaly_score(X)).all()
    assert np.isfinite(detector.log_likelihood(X)).all()
    assert detector.reconstruct(X).shape == X.shape


def test_each_member_of_an_ensemble_chooses_its_class(X, letters):
    detector = tiny(n_estimators=3, score="elbo", max_steps=30).fit(X, letters)
    x = torch.as_tensor(detector.scaler_.transform(X), dtype=torch.float32)
    losses = []
    for number in range(3):
        module = detector.net_.module_
        output, error = module(detector._with_classes(x, torch.full((200,), number)))
        losses.append((error.sum(2) + output.penalty).detach().numpy())
    lowest = np.min(losses, axis=0)
    assert np.allclose(detector.score_.means_, lowest[:, :].mean(1), rtol=0.2)
    scores = detector.member_scores(X)
    for member in range(3):
        assert np.corrcoef(scores[:, member], lowest[member])[0, 1] > 1 - 1e-6


def test_a_stack_of_fits_is_the_lone_fits(X, letters):
    jobs = [
        (tiny(condition=condition, random_state=seed), X, y)
        for seed in (0, 1)
        for condition, y in ((None, letters), ([0], letters), ([0], None), ([1], None))
    ]
    for (detector, _, y), (one, error, _) in zip(jobs, fit_stack(jobs), strict=True):
        assert error is None
        alone = tiny(condition=detector.condition, random_state=detector.random_state).fit(X, y)
        assert np.array_equal(one.anomaly_score(X), alone.anomaly_score(X))


@pytest.mark.parametrize("n_estimators", [1, 2])
def test_a_model_file_holds_the_condition(X, letters, n_estimators, tmp_path):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    detector = tiny(condition=["b"], n_estimators=n_estimators, score=["density", "iwae"])
    detector.fit(frame, letters)
    skvae.save(detector, tmp_path / "model")
    loaded = skvae.load(tmp_path / "model")
    assert (loaded.condition_, loaded.classes_) == ((1,), ("a", "b", "c"))
    assert np.array_equal(loaded.anomaly_score(frame), detector.anomaly_score(frame))
    assert np.array_equal(loaded.infer_class(frame), detector.infer_class(frame))


def test_warm_start_goes_on_with_the_same_condition_alone(X, letters):
    detector = tiny(condition=[0], warm_start=True).fit(X, letters)
    detector.fit(X, letters)
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        detector.fit(X, np.where(letters == "a", "z", letters))
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        detector.set_params(condition=[1]).fit(X, letters)
    assert detector.condition_ == (0,), "what failed left no trace"


def test_early_stopping_and_held_out_rows_know_their_classes(X, letters):
    detector = tiny(
        early_stopping=True, calibration_fraction=0.2, threshold="conformal", max_steps=20
    ).fit(X, letters)
    assert detector.calibration_is_held_out_ and "valid_loss" in detector.history_


# -- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition, message",
    [
        (["g"], r"condition names the column 'g', but its columns are \['a', 'b'"),
        ([6], "condition holds 6, which is neither the name of a column nor an index from 0 to 5"),
        ([-1], "condition holds -1"),
        ([1.0], r"condition holds 1.0"),
        ([True], "condition holds True"),
        ([1, "b"], r"condition=\[1, 'b'\] names a column twice"),
        (list(range(6)), "names all 6 columns, and leaves none to judge"),
        ("b", "The 'condition' parameter of ConditionalVAEDetector must be an array-like or None"),
    ],
)
def test_a_condition_that_cannot_be_used(X, condition, message):
    with pytest.raises(ValueError, match=message):
        tiny(condition=condition).fit(pd.DataFrame(X, columns=list("abcdef")))


def test_names_need_names(X):
    with pytest.raises(ValueError, match="'b', but X has no column names"):
        tiny(condition=["b"]).fit(X)


@pytest.mark.parametrize(
    "y, message",
    [
        (np.full(200, 0.5), "must be integers or strings; found 0.5"),
        (np.array(["a"] * 100 + [1] * 100, dtype=object), "found int, str"),
        (np.array([None] * 200), "Unknown label type in y: .* found NoneType"),
        (np.full(200, np.nan), "must be integers or strings; found nan"),
        (["a"], "inconsistent numbers of samples"),
    ],
)
def test_classes_that_are_none(X, y, message):
    with pytest.raises(ValueError, match=message):
        tiny().fit(X, y)


def test_zeros_and_ones_are_labels_of_anomalies_and_this_is_said(X):
    y = np.arange(200) % 2
    with pytest.warns(UserWarning, match=r"y holds 0 and 1, .* pass y.astype\(str\)") as caught:
        assert tiny().fit(X, y).classes_ == ()
    assert caught[0].filename == __file__
    assert tiny().fit(X, y.astype(str)).classes_ == ("0", "1")
    assert tiny(threshold="f1").fit(X, y).classes_ == (), "labels are asked for"


def test_latents_alone_are_not_decoded(X, letters):
    for detector in (tiny().fit(X, letters), tiny(condition=[0]).fit(X)):
        with pytest.raises(ValueError, match="Latents alone cannot be decoded"):
            detector.inverse_transform(detector.transform(X))
    with pytest.raises(ValueError, match="needs a detector that was fitted with classes"):
        tiny().fit(X).infer_class(X)


def test_a_likelihood_of_some_columns():
    x, x_hat = torch.randn(4, 5), torch.randn(1, 4, 3)
    whole, part = LIKELIHOODS["mse"](3), OfColumns(LIKELIHOODS["mse"](3), (1,))
    expected = whole(x[:, :3], x_hat)
    expected[..., 1] = 0
    assert torch.equal(part(x, x_hat), expected)


def test_few_labels_are_no_classes(X):
    y = np.where(np.arange(len(X)) < 3, -1, 0)
    with pytest.raises(ValueError, match="y holds -1 and 0, which are labels of few anomalies"):
        ConditionalVAEDetector(max_steps=2).fit(X, y)


def test_classes_are_no_labels_of_a_score(X):
    y = np.arange(len(X)) % 3
    detector = ConditionalVAEDetector(max_steps=3, random_state=0).fit(X, y.astype(float))
    assert detector.classes_ == (0, 1, 2) and type(detector.classes_[0]) is int
    assert detector.score(X, y) == detector.score(X)
    assert detector.score(X[y < 2], y[y < 2]) == detector.score(X[y < 2])
