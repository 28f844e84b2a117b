"""Common tests: every public detector is picked up by itself and must pass them all."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

import skvae
from skvae.base import BaseDetector

DETECTORS = [
    detector
    for detector in (getattr(skvae, name) for name in skvae.__all__)
    if isinstance(detector, type) and issubclass(detector, BaseDetector)
]
TABULAR = [detector for detector in DETECTORS if "scaler" in detector().get_params()]
# Those that take missing cells take text as well.
STRICT = [each for each in DETECTORS if not each().__sklearn_tags__().input_tags.allow_nan]
TINY = {"max_steps": 3, "hidden_layer_sizes": (8,)}


def maker(detector):
    tiny = dict(TINY)
    if "channels" in detector().get_params():
        tiny |= {"channels": (4,), "contamination": 0.1}
    return lambda **params: detector(**{**tiny, "random_state": 0, **params})


@pytest.fixture(params=DETECTORS, ids=lambda detector: detector.__name__)
def make(request):
    """Make a tiny detector of each class."""
    return maker(request.param)


@pytest.fixture(params=STRICT, ids=lambda detector: detector.__name__)
def make_strict(request):
    """Make a tiny detector of each class that takes finite numbers alone."""
    return maker(request.param)


@pytest.fixture(params=TABULAR, ids=lambda detector: detector.__name__)
def make_tabular(request):
    """Make a tiny detector of each class that scales its columns."""
    return lambda **params: request.param(**{**TINY, "random_state": 0, **params})


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.randn(300, 2) @ rng.randn(2, 7) + 0.1 * rng.randn(300, 7)


# -- scikit-learn's contract ----------------------------------------------------------------


# The checks score with three classes in y, which are no anomaly labels and are ignored aloud.
@pytest.mark.filterwarnings("ignore:y must hold:UserWarning")
# Of two classes, 0 and 1, the conditional detector says aloud that it takes them for such labels.
@pytest.mark.filterwarnings("ignore:y holds 0 and 1:UserWarning")
def test_check_estimator_without_an_expected_failure(make):
    results = check_estimator(make(), expected_failed_checks=None, on_skip=None)
    status = [result["status"] for result in results]
    # The only check that skips wants SciPy's array API, an environment variable at import.
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert set(skipped) <= {"check_array_api_input"}
    assert status.count("passed") >= 45
    assert set(status) <= {"passed", "skipped"}


def test_check_param_validation(make):
    detector = make()
    check_param_validation(type(detector).__name__, detector)


def test_score_is_a_parameter_and_a_method(make, X):
    detector = make(score="reconstruction")
    assert detector.get_params()["score"] == "reconstruction"
    assert clone(detector).set_params(score="standardized").get_params()["score"] == "standardized"
    detector.fit(X)
    assert detector.score(X) == detector.score_samples(X).mean()
    assert "score='reconstruction'" in repr(detector)


def test_signs_and_labels(make, X):
    detector = make().fit(X)
    score = detector.anomaly_score(X)
    assert score.dtype == np.float64
    assert np.array_equal(detector.score_samples(X), -score)
    assert np.array_equal(detector.decision_function(X), -score - detector.offset_)
    assert detector.threshold_ == -detector.offset_
    assert np.array_equal(detector.predict(X) == -1, score > detector.threshold_)


def test_score_is_roc_auc_for_either_labelling(make, X):
    rows = np.r_[X, 20 + X[:30]]
    is_anomaly = np.arange(len(rows)) >= len(X)
    detector = make(max_steps=50, score="reconstruction").fit(X)
    auc = detector.score(rows, is_anomaly)
    assert 0.9 < auc <= 1
    assert detector.score(rows, is_anomaly.astype(int)) == auc
    assert detector.score(rows, np.where(is_anomaly, -1, 1)) == auc


# -- the same bits --------------------------------------------------------------------------


def test_same_seed_same_bits(make, X):
    first = make().fit(X)
    expected = first.anomaly_score(X)
    assert np.array_equal(make().fit(X).anomaly_score(X), expected)
    assert np.array_equal(clone(first).fit(X).anomaly_score(X), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(first)).anomaly_score(X), expected)
    assert np.array_equal(first.fit(X).anomaly_score(X), expected), "a refit starts anew"
    assert not np.array_equal(make(random_state=1).fit(X).anomaly_score(X), expected)


@pytest.mark.parametrize("n_features", [1, 5, 7, 33])
def test_a_row_scores_the_same_in_any_company(make, n_features):
    X = np.random.RandomState(0).randn(2500, n_features)
    detector = make(max_steps=20, contamination=0.0).fit(X[:200])
    methods = [detector.anomaly_score, detector.transform, detector.error_map, detector.reconstruct]
    for method in methods:
        expected = method(X)
        order = np.random.RandomState(1).permutation(len(X))
        assert np.array_equal(method(X[order]), expected[order])
        for rows in (slice(0, 1), slice(7, 9), slice(1022, 1027), slice(2400, 2500)):
            assert np.array_equal(method(X[rows]), expected[rows])


def test_latents_decode_the_same_in_any_company(make, X):
    detector = make().fit(X)
    Z = detector.transform(X)
    expected = detector.inverse_transform(Z)
    assert np.array_equal(detector.inverse_transform(Z[5:6]), expected[5:6])
    assert np.allclose(expected, detector.reconstruct(X))


def test_global_generators_are_neither_read_nor_changed(make, X):
    def states():
        return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state())

    before = states()
    expected = make().fit(X).anomaly_score(X)
    assert states() == before
    torch.manual_seed(5)
    np.random.seed(5)
    assert np.array_equal(make().fit(X).anomaly_score(X), expected)


def test_random_state_instance_advances(make, X):
    rng = np.random.RandomState(0)
    first = make(random_state=rng).fit(X).anomaly_score(X)
    assert not np.array_equal(make(random_state=rng).fit(X).anomaly_score(X), first)


# -- kinds of input -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_dtypes(make, X, dtype):
    scores = make().fit((10 * X).astype(dtype)).anomaly_score((10 * X).astype(dtype))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("n_rows", [2, 3, 20, 64, 65, 129])
def test_any_number_of_rows_about_the_batch_size(make, X, n_rows):
    detector = make(batch_size=64).fit(X[:n_rows])
    assert np.isfinite(detector.anomaly_score(X)).all()
    assert detector.n_steps_ == 3


def test_constant_columns(make, X):
    X = np.c_[X, np.full(len(X), 7.0), np.zeros(len(X))]
    detector = make().fit(X)
    assert np.isfinite(detector.anomaly_score(X)).all()
    changed = X[:1].copy()
    changed[0, 7] += 50
    assert detector.predict(changed)[0] == -1
    assert detector.error_map(changed).argmax() == 7


def test_dataframe(make, X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcdefg"), index=range(1000, 1300))
    detector = make().set_output(transform="pandas").fit(frame)
    error_map = detector.error_map(frame)
    assert list(error_map.columns) == list("abcdefg")
    assert list(error_map.index) == list(frame.index)
    assert list(detector.transform(frame).columns) == list(detector.get_feature_names_out())
    assert np.array_equal(detector.anomaly_score(frame), make().fit(X).anomaly_score(X))


def test_memmap(make, X, tmp_path):
    stored = np.memmap(tmp_path / "X", dtype=np.float64, mode="w+", shape=X.shape)
    stored[:] = X
    stored.flush()
    rows = np.memmap(tmp_path / "X", dtype=np.float64, mode="r", shape=X.shape)
    assert np.array_equal(make().fit(rows).anomaly_score(rows), make().fit(X).anomaly_score(X))


def test_read_only_rows_that_need_no_scaling(make_tabular, X):
    rows = X.astype(np.float32)
    rows.flags.writeable = False
    assert np.isfinite(make_tabular(scaler=None).fit(rows).anomaly_score(rows)).all()


def test_bernoulli_needs_values_that_are_probabilities(make_tabular, X):
    with pytest.raises(ValueError, match=r"needs training values in \[0, 1\]"):
        make_tabular(scaler=None, likelihood="bernoulli").fit(X)


def with_value(X, value):
    X = X.copy()
    X[3, 2] = value
    return X


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda X: with_value(X, np.nan), "NaN"),
        (lambda X: X.astype(str).astype(object) + "a", "could not convert"),
    ],
)
def test_what_is_no_number_is_one_clear_error(make_strict, X, change, message):
    with pytest.raises(ValueError, match=message):
        make_strict().fit(change(X))


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda X: with_value(X, np.inf), ValueError, "infinity"),
        (lambda X: with_value(X, 1e30), ValueError, r"column 2 holds 1e\+30"),
        (lambda X: X[:0], ValueError, r"0 sample"),
        (lambda X: X[:1], ValueError, r"minimum of 2 is required"),
        (lambda X: X[:, :0], ValueError, r"0 feature"),
        (lambda X: X[0], ValueError, "Expected 2D array"),
    ],
)
def test_bad_rows_are_one_clear_error(make, X, change, error, message):
    with pytest.raises(error, match=message):
        make().fit(change(X))


def test_sparse_is_refused(make, X):
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="dense data is required"):
        make().fit(sparse.csr_matrix(X))


def test_a_failed_fit_leaves_the_fitted_detector_whole(make, X):
    detector = make().fit(X)
    expected = detector.anomaly_score(X)
    detector.set_params(optimizer="sgd", lr=1e30, max_steps=20)
    with pytest.raises(FloatingPointError, match="epoch 1.*Lower lr"):
        detector.fit(X)
    assert np.array_equal(detector.anomaly_score(X), expected)


def test_wrong_width_and_huge_values_when_scoring(make, X):
    detector = make().fit(X)
    with pytest.raises(ValueError, match="X has 6 features, but .* is expecting 7"):
        detector.predict(X[:, :6])
    with pytest.raises(ValueError, match=r"column 2 holds 1e\+30"):
        detector.predict(with_value(X, 1e30))
    assert np.isfinite(detector.anomaly_score(with_value(X, 1e9))).all()


def test_a_value_far_off_scores_highest(make_tabular, X):
    assert make_tabular().fit(X).anomaly_score(with_value(X, 1e9)).argmax() == 3


def test_wide_values_in_a_frame_are_named(make, X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(with_value(X, -1e30), columns=[f"sensor {i}" for i in range(7)])
    with pytest.raises(ValueError, match="column 'sensor 2' holds -1e"):
        make().fit(frame)


@pytest.mark.parametrize(
    "params, y, message",
    [
        ({"threshold": "f1"}, None, "threshold='f1' needs labels"),
        ({"train_on": "normal"}, None, "train_on='normal' needs labels"),
        ({"train_on": "normal"}, np.full(300, -1), "holds only anomalies"),
        ({"train_on": "normal"}, np.ones(300), "nothing but 1"),
        ({"threshold": "f1"}, np.arange(300), "distinct values"),
        ({"threshold": "f1"}, [0, 1], "inconsistent numbers of samples"),
        ({"max_steps": None}, None, "both None"),
        ({"device": "abacus"}, None, "device='abacus' cannot be used"),
        ({"score": ["density", "luck"]}, None, "score='luck' is unknown"),
        ({"score": []}, None, "score is empty"),
        ({"calibration_fraction": 0.999}, None, "rows are left to train on"),
    ],
)
def test_parameters_that_do_not_go_together(make, X, params, y, message):
    with pytest.raises(ValueError, match=message):
        make(**params).fit(X, y)


def test_f1_with_one_class_falls_back_to_the_percentile(make, X):
    with pytest.warns(UserWarning, match="percentile 90 of the scores instead"):
        detector = make(threshold="f1", percentile=90).fit(X, np.zeros(300))
    assert (detector.predict(X) == -1).sum() == 30


# -- thresholds, labels, rows held out -------------------------------------------------------


def test_contamination_sets_the_flagged_share(make, X):
    assert (make(contamination=0.1).fit_predict(X) == -1).sum() == 30
    flagged = (make(contamination=0.0).fit_predict(X) == -1).sum()
    # Densities of gradients of 300 images are lower at images that they have not seen.
    margin = 5 if "channels" in make().get_params() else 3
    assert flagged == pytest.approx(15, abs=margin), "percentile 95 of scores as if they were new"
    assert (make(contamination=0.2, percentile=99).fit_predict(X) == -1).sum() == 3


def test_train_on_normal_never_sees_the_anomalies(make, X):
    y = np.r_[np.ones(250), -np.ones(50)]
    other = np.r_[X[:250], 100 + 5 * X[250:]]
    fit = make(train_on="normal").fit
    assert np.array_equal(fit(X, y).anomaly_score(X), fit(other, y).anomaly_score(X))


def test_few_labels_correct_the_score(make, X, tmp_path):
    y = np.zeros(300, dtype=int)
    y[:4], y[-3:] = -1, 1
    detector = make(train_on="labels", anomaly_weight=1.0).fit(X, y)
    scores = detector.anomaly_score(X)
    assert np.isfinite(scores).all() and not np.array_equal(scores, make().fit(X).anomaly_score(X))
    assert np.isfinite(detector.error_map(X)).all()
    skvae.save(detector, tmp_path / "model.safetensors")
    loaded = skvae.load(tmp_path / "model.safetensors")
    assert np.array_equal(loaded.anomaly_score(X), scores)
    assert np.array_equal(loaded.fit(X, y).anomaly_score(X), scores)
    with pytest.raises(ValueError, match="y must hold -1 for known anomalies, one at least"):
        make(train_on="labels").fit(X, y == -1)


def test_labels_do_not_change_a_plain_fit(make, X):
    y = np.r_[np.ones(250), -np.ones(50)]
    assert np.array_equal(make().fit(X, y).anomaly_score(X), make().fit(X).anomaly_score(X))


def test_calibration_rows_are_held_out(make, X):
    detector = make(calibration_fraction=0.25).fit(X)
    assert len(detector.calibration_scores_) == 75
    assert not np.array_equal(detector.anomaly_score(X), make().fit(X).anomaly_score(X))
    assert np.mean(detector.p_values(X)) == pytest.approx(0.5, abs=0.2)


def test_set_threshold_needs_no_training(make, X):
    detector = make().fit(X)
    scores, weights = detector.anomaly_score(X), detector.net_.module_.state_dict()
    assert detector.set_threshold("percentile", percentile=99) is detector
    assert (detector.predict(X) == -1).sum() == 3
    assert detector.set_threshold(1.25).threshold_ == 1.25
    y = np.where(scores > np.sort(scores)[-21], -1, 1)
    detector.set_threshold("f1", X, y)
    assert np.array_equal(detector.predict(X), y)
    assert np.array_equal(detector.anomaly_score(X), scores)
    assert all(torch.equal(v, weights[k]) for k, v in detector.net_.module_.state_dict().items())
    assert clone(detector).get_params()["threshold"] == "percentile"


def test_conformal_needs_rows_that_were_not_trained_on(make, X):
    detector = make().fit(X[:200])
    with pytest.raises(ValueError, match="needs scores of rows that were not trained on"):
        detector.p_values(X)
    with pytest.raises(ValueError, match="needs scores of rows that were not trained on"):
        detector.set_threshold("conformal")
    detector.set_threshold("conformal", X[200:], percentile=90)
    assert (detector.predict(X[200:]) == -1).sum() == 9  # floor(0.1 * 101) - 1 strictly above
    assert np.array_equal(detector.p_values(X) <= 0.1, detector.predict(X) == -1)


def test_warm_start_goes_on(make, X):
    detector = make(warm_start=True, max_steps=50).fit(X)
    first = detector.history_["loss"].iloc[-1]
    assert detector.fit(X).history_["loss"].iloc[0] < first + 0.5 * abs(first)
    lone = make(max_steps=50).fit(X)
    assert lone.history_["loss"].iloc[0] > detector.history_["loss"].iloc[0]


def test_a_transformer_as_scaler(make_tabular, X):
    from sklearn.preprocessing import FunctionTransformer, RobustScaler

    scaler = RobustScaler()
    detector = make_tabular(scaler=scaler).fit(X)
    assert not hasattr(scaler, "center_"), "the parameter itself is not fitted"
    assert detector.reconstruct(X).shape == X.shape
    two = FunctionTransformer(lambda X: np.c_[X, X][:, :2])
    with pytest.raises(ValueError, match="makes 2 columns of [17]"):  # 1 channel
        make_tabular(scaler=two).fit(X)


@pytest.mark.parametrize(
    "change, params",
    [
        ({"latent_dim": 2}, {}),
        ({"activation": "tanh"}, {}),
        ({"hidden_layer_sizes": (4,)}, {}),
    ],
)
def test_warm_start_does_not_ignore_a_changed_network(make, X, change, params):
    detector = make(warm_start=True).fit(X)
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        detector.set_params(**change).fit(X)
    with pytest.raises(ValueError, match="'n_features': 6"):
        make(warm_start=True).fit(X).fit(X[:, :6])


def test_warm_start_does_not_ignore_a_changed_scaler(make_tabular, X):
    detector = make_tabular(warm_start=True).fit(X).set_params(scaler=None)
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        detector.fit(X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, "red"])
def test_a_bad_value_is_named_by_its_column(make_strict, X, bad):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcdefg")).astype(object)
    frame.loc[3, "d"] = bad
    with pytest.raises(ValueError, match="column 'd'"):
        make_strict().fit(frame)
    detector = make_strict().fit(pd.DataFrame(X, columns=list("abcdefg")))
    with pytest.raises(ValueError, match="column 'd'"):
        detector.predict(frame)


def test_nullable_dtypes(make, X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X).astype("Float64")
    frame.columns = list("abcdefg")
    y = pd.Series(np.arange(300) >= 290).astype("boolean")
    assert np.isfinite(make(threshold="f1").fit(frame, y).anomaly_score(frame)).all()


def test_early_stopping_on_few_rows(make, X):
    make(early_stopping=True).fit(X[:3])
    with pytest.raises(ValueError, match="holds out 2 of 2 rows"):
        make(early_stopping=True, validation_fraction=0.9).fit(X[:2])


def test_nearly_constant_trusted_rows_do_not_explode(make_tabular):
    X = np.zeros((200, 5))
    X[:5] = np.random.RandomState(0).randn(5, 5)
    detector = make_tabular().fit(X)
    assert np.abs(detector.anomaly_score(X)).max() < 1e9
    assert detector.score(X, np.arange(200) < 5) == 1


def test_a_score_object_of_ones_own_is_fitted(make, X):
    from skvae.scores import Density, Score

    class Largest(Score):
        def fit(self, x, output, error, autoencoder, random_state):
            self.largest_ = x.max()
            return self

        def __call__(self, x, output, error):
            return x.flatten(1).max(1).values / self.largest_

    own = Largest()
    assert np.isfinite(make(score=own).fit(X).anomaly_score(X)).all()
    assert not hasattr(own, "largest_"), "the parameter itself is not fitted"
    np.testing.assert_array_equal(
        make(score=Density()).fit(X).anomaly_score(X), make(score="density").fit(X).anomaly_score(X)
    )


@pytest.mark.parametrize(
    "params, message",
    [
        ({"hidden_layer_sizes": (0,)}, "integers of at least 1"),
        ({"hidden_layer_sizes": (64.5,)}, "integers of at least 1"),
        ({"callbacks": ["x"]}, "no skorch callback"),
        ({"score": ["density", 3]}, "score=3 is none of"),
        ({"threshold": StandardScaler}, "is a class"),
    ],
)
def test_parameters_of_the_wrong_kind(make, X, params, message):
    with pytest.raises(ValueError, match=message):
        make(**params).fit(X)


WITH_LIKELIHOOD = [each for each in DETECTORS if "likelihood" in each().get_params()]


@pytest.mark.parametrize("detector", WITH_LIKELIHOOD, ids=lambda detector: detector.__name__)
def test_likelihood(detector, X):
    make = maker(detector)
    wrong = {"likelihood": "bernoulli", "output_activation": "relu"}
    with pytest.raises(ValueError, match="needs output_activation='sigmoid'"):
        make(**wrong).fit(X)
    fitted = make(warm_start=True).fit(X).set_params(likelihood="mse")
    with pytest.raises(ValueError, match="warm_start=True goes on with the network of the last"):
        fitted.fit(X)


def test_concurrent_fits_leave_the_threads_as_they_were(make, X):
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_info

    def limits():
        return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}

    before = limits()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda steps: make(max_steps=steps).fit(X), [20, 200]))
    assert limits() == before


def test_bits_do_not_depend_on_the_number_of_threads(make, X):
    before = torch.get_num_threads()
    try:
        scores = []
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            scores.append(make().fit(X).anomaly_score(X))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*scores)


def test_grid_search_in_parallel(make, X):
    from sklearn.model_selection import GridSearchCV

    y = np.where(np.arange(300) % 10, 1, -1)
    grid = {"latent_dim": [1, 2]}
    lone = GridSearchCV(make(), grid, cv=2).fit(X, y)
    both = GridSearchCV(make(), grid, cv=2, n_jobs=2).fit(X, y)
    assert np.array_equal(lone.cv_results_["mean_test_score"], both.cv_results_["mean_test_score"])
