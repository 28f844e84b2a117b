import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer

from skvae import VAEDetector
from skvae.thresholds import F1, Conformal, Fixed, Percentile


def detector(**params):
    small = {"hidden_layer_sizes": (8,), "latent_dim": 2, "max_steps": 20, "random_state": 0}
    return VAEDetector(**small, score="reconstruction", **params)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(220, 4))
    X[200:] += 6
    y = np.where(np.arange(220) < 200, 1, -1)
    order = rng.permutation(220)
    return X[order], y[order]


@pytest.fixture
def fitted(data):
    return detector().fit(data[0])


@pytest.mark.parametrize("percentile", [50, 90, 95, 99.5])
@pytest.mark.parametrize("n", [1, 10, 101, 1000])
def test_percentile_value_and_exact_count(n, percentile):
    scores = np.random.default_rng(n).permutation(n) / 7
    threshold = Percentile(percentile).fit(scores).threshold_
    assert threshold == np.percentile(scores, percentile)
    below = math.floor(Fraction(n - 1) * Fraction(percentile) / 100)
    assert (scores > threshold).sum() == n - 1 - below


def test_contamination_sets_the_percentile_unless_it_is_given(data):
    n_flagged = lambda **params: (detector(**params).fit_predict(data[0]) == -1).sum()  # noqa: E731
    assert n_flagged(contamination=0.1) == 22
    assert n_flagged(contamination=0) == 11  # 95 where no anomalies are expected
    assert n_flagged(contamination=0.1, percentile=80) == 44
    assert n_flagged(threshold=Percentile(75)) == 55


def test_number_is_the_threshold_and_equality_is_normal(data):
    det = detector(threshold=3.5).fit(data[0])
    assert det.threshold_ == 3.5 == -det.offset_
    score = det.anomaly_score(data[0])
    assert det.set_threshold(score[7]).threshold_ == score[7]
    np.testing.assert_array_equal(det.predict(data[0]) == -1, score > score[7])
    np.testing.assert_array_equal(det.decision_function(data[0]) < 0, score > score[7])


values = st.sampled_from([st.integers(0, 4), st.floats(-1e6, 1e6, width=32)])
labelled_scores = values.flatmap(
    lambda value: st.lists(st.tuples(value, st.booleans()), min_size=2, max_size=25)
).filter(lambda rows: len({label for _, label in rows}) == 2)


@settings(max_examples=200, deadline=None)
@given(labelled_scores)
def test_f1_is_the_best_of_all_cuts(rows):
    scores, is_anomaly = np.array([s for s, _ in rows], dtype=float), np.array(rows)[:, 1] == 1
    best, best_cut = Fraction(-1), None
    for cut in sorted(set(scores.tolist()), reverse=True):
        flagged = scores >= cut
        f1 = Fraction(2 * int((flagged & is_anomaly).sum()), int(flagged.sum() + is_anomaly.sum()))
        if f1 > best:  # strictly: among equals the highest cut stays
            best, best_cut = f1, cut
    fitted = F1().fit(scores, is_anomaly)
    np.testing.assert_array_equal(scores > fitted.threshold_, scores >= best_cut)
    assert fitted.f1_ == pytest.approx(float(best))
    assert F1().fit(scores, is_anomaly.astype(int)).threshold_ == fitted.threshold_
    assert F1().fit(scores, np.where(is_anomaly, -1, 1)).threshold_ == fitted.threshold_


def test_f1_highest_of_equals_wins_and_stands_midway():
    # Flagging 9 alone: 2*1/(1+2). Flagging 9, 5, 4, 3: 2*2/(4+2). Equal.
    fitted = F1().fit([9.0, 5.0, 4.0, 3.0, 1.0], [1, 0, 0, 1, 0])
    assert fitted.f1_ == pytest.approx(2 / 3)
    assert fitted.threshold_ == 7.0
    low, high = 1 + 2.0**-52, 1 + 2.0**-51  # neighbours, and half way rounds up
    assert F1().fit([low, high], [0, 1]).threshold_ == low


@pytest.mark.parametrize("value", [False, True, 0, -1, 1], ids=repr)
def test_f1_with_one_class_falls_back_to_the_percentile(value):
    # Nothing but 1 is one class in either convention, so neither has to be chosen.
    scores = np.arange(101.0)
    with pytest.warns(UserWarning, match="F1 needs both classes.*percentile 80"):
        fitted = F1(80).fit(scores, np.full(101, value))
    assert fitted.threshold_ == 80.0 and math.isnan(fitted.f1_)


def test_f1_needs_labels(data, fitted):
    with pytest.raises(ValueError, match="needs labels"):
        F1().fit([1.0, 2.0])
    with pytest.raises(ValueError, match="threshold='f1'.*labels"):
        detector(threshold="f1").fit(data[0])
    with pytest.raises(ValueError, match="needs labels"):
        fitted.set_threshold("f1", data[0])
    with pytest.warns(UserWarning, match="percentile 90"):
        det = detector(threshold="f1").fit(data[0], np.zeros(220))
    assert (det.predict(data[0]) == -1).sum() == 22


def test_conformal_threshold_is_an_order_statistic_of_the_normal_rows():
    for n, alpha, rank in [(99, 0.1, 90), (19, 0.05, 19), (100, 0.1, 91), (199, 0.01, 198)]:
        scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
        assert Conformal(alpha).fit(scores).threshold_ == rank
    scores, y = [1.0, 2.0, 3.0, 50.0], [1, 1, 1, -1]
    np.testing.assert_array_equal(Conformal(0.5).fit(scores, y).scores_, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="only anomalies"):
        Conformal(0.5).fit(scores, [-1, -1, -1, -1])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=60),
    st.lists(st.integers(-1, 9), min_size=1, max_size=10),
    st.integers(1, 999),
)
def test_conformal_p_value_and_threshold_agree(calibration, new, per_mille):
    calibration, new = np.array(calibration, dtype=float), np.array(new, dtype=float)
    n, alpha = len(calibration), Fraction(per_mille, 1000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = Conformal(float(alpha)).fit(calibration)
    assert len(caught) == (alpha * (n + 1) < 1) == math.isinf(fitted.threshold_)
    p_exact = [Fraction(1 + int((calibration >= s).sum()), n + 1) for s in new]
    np.testing.assert_allclose(fitted.p_values(new), [float(p) for p in p_exact], rtol=1e-12)
    assert [p <= alpha for p in p_exact] == (new > fitted.threshold_).tolist()


@pytest.mark.parametrize("n, alpha", [(50, 0.1), (199, 0.05)])
def test_conformal_rate_of_false_alarms(n, alpha):
    # Uniform scores: the realised rate of a calibration set is 1 - threshold.
    rng = np.random.default_rng(0)
    rates = [1 - Conformal(alpha).fit(rng.random(n)).threshold_ for _ in range(1500)]
    error = np.std(rates) / math.sqrt(1500)
    expected = math.floor(alpha * (n + 1)) / (n + 1)  # at most alpha
    assert np.mean(rates) == pytest.approx(expected, abs=4 * error)
    assert np.std(rates) == pytest.approx(math.sqrt(alpha * (1 - alpha) / n), rel=0.15)


def test_conformal_rate_of_a_detector():
    rng = np.random.default_rng(1)
    det = detector(contamination=0).fit(rng.normal(size=(100, 4)))
    new, rates = det.anomaly_score(rng.normal(size=(3000, 4))), []
    for _ in range(60):
        det.set_threshold("conformal", rng.normal(size=(99, 4)), percentile=90)
        rates.append((new > det.threshold_).mean())
    error = math.hypot(np.std(rates) / math.sqrt(60), math.sqrt(0.09 / 3000))
    assert 0.1 - 4 * error <= np.mean(rates) <= 0.1 + 3 * error


def test_conformal_with_too_few_rows_flags_nothing(data, fitted):
    with pytest.warns(UserWarning, match="alpha=0.05 needs at least 19 calibration rows.* are 18"):
        fitted.set_threshold("conformal", data[0][:18], percentile=95)
    assert (fitted.predict(data[0]) == 1).all()


def test_conformal_detector_holds_rows_out_and_gives_p_values(data):
    X = data[0]
    det = detector(threshold="conformal", percentile=90).fit(X)
    calibration = det.calibration_scores_
    assert len(calibration) == 44  # a fifth, unless calibration_fraction is given
    p = det.p_values(X)
    expected = [(1 + (calibration >= score).sum()) / 45 for score in det.anomaly_score(X)]
    np.testing.assert_allclose(p, expected)
    np.testing.assert_array_equal(det.predict(X) == -1, p <= 0.1)
    det = detector(calibration_fraction=0.5).fit(X)  # any threshold with rows held out
    expected = Conformal(0.5).fit(det.calibration_scores_).p_values(det.anomaly_score(X))
    np.testing.assert_array_equal(det.p_values(X), expected)


@pytest.mark.parametrize("threshold", ["conformal", Conformal(0.1)], ids=["name", "estimator"])
def test_conformal_is_never_fitted_silently_on_training_rows(data, fitted, threshold):
    with pytest.raises(ValueError, match="calibration_fraction"):
        fitted.p_values(data[0])
    with pytest.raises(ValueError, match="calibration_fraction"):
        fitted.set_threshold(threshold)
    for fraction in (None, 0.0):
        try:
            det = detector(threshold=threshold, calibration_fraction=fraction).fit(data[0])
        except ValueError:
            continue
        assert det.calibration_is_held_out_


class MeanPlus:
    """Not even a scikit-learn estimator."""

    def fit(self, scores, y=None):
        self.seen_ = (scores, y)
        self.threshold_ = scores.mean() + 2 * scores.std()
        return self


class OnlyLabels:
    """As PyThresh: no threshold in the units of the scores, labels of the fitted ones."""

    def __init__(self, n_anomalies):
        self.n_anomalies = n_anomalies

    def fit(self, scores, y=None):
        rank = np.argsort(np.argsort(-np.asarray(scores)))
        self.labels_ = (rank < self.n_anomalies).astype(int)
        return self


def test_own_estimator(data):
    (X, y), own = data, MeanPlus()
    det = detector(threshold=own).fit(X, y)
    scores = det.anomaly_score(X)
    assert det.threshold_ == scores.mean() + 2 * scores.std()
    assert not hasattr(own, "threshold_")  # a copy is fitted, as of every part
    with pytest.raises(ValueError, match="neither threshold_ nor labels_"):
        detector(threshold=FunctionTransformer()).fit(X)
    np.testing.assert_array_equal(det.thresholder_.seen_[1], y)


@pytest.mark.parametrize("n_anomalies", [0, 1, 17, 220])
def test_estimator_that_leaves_labels_alone(data, n_anomalies):
    det = detector(threshold=OnlyLabels(n_anomalies)).fit(data[0])
    expected = OnlyLabels(n_anomalies).fit(det.anomaly_score(data[0])).labels_
    np.testing.assert_array_equal(det.predict(data[0]) == -1, expected == 1)


@pytest.mark.parametrize("name", ["IQR", "MAD", "FILTER"])
def test_pythresh(data, name):
    thresholder = getattr(pytest.importorskip(f"pythresh.thresholds.{name.lower()}"), name)()
    det = detector(threshold=thresholder).fit(data[0])
    expected = thresholder.fit(det.anomaly_score(data[0])).labels_
    assert 0 < expected.sum() < 220
    np.testing.assert_array_equal(det.predict(data[0]) == -1, expected == 1)


def test_set_threshold_on_new_rows(data, fitted):
    X, y = data
    weights = [p.clone() for p in fitted.net_.module_.parameters()]
    scores, params = fitted.anomaly_score(X), fitted.get_params()
    assert fitted.set_threshold("f1", X[:150], y[:150]) is fitted
    assert fitted.threshold_ == F1().fit(scores[:150], y[:150]).threshold_
    np.testing.assert_array_equal(fitted.calibration_scores_, scores[:150])
    assert fitted.set_threshold("percentile", X[:50]).threshold_ == np.percentile(scores[:50], 90)
    assert fitted.set_threshold(MeanPlus(), X).threshold_ == scores.mean() + 2 * scores.std()
    fitted.set_threshold("percentile", percentile=50)  # no rows: the scores of the last ones
    assert fitted.threshold_ == np.median(scores)
    fitted.set_threshold("conformal", X, y, percentile=95)
    assert fitted.threshold_ == Conformal(0.05).fit(scores[y == 1]).threshold_
    assert fitted.get_params() == params
    np.testing.assert_array_equal(fitted.anomaly_score(X), scores)
    for before, after in zip(weights, fitted.net_.module_.parameters(), strict=True):
        assert (before == after).all()


def test_set_threshold_of_bad_input(data, fitted):
    X, y = data
    before = fitted.threshold_
    with pytest.raises(ValueError, match="y without X"):
        fitted.set_threshold("f1", y=y)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        fitted.set_threshold("f1", X, y[:-1])
    with pytest.raises(ValueError, match="threshold"):
        fitted.set_threshold(float("nan"))
    with pytest.raises(NotFittedError):
        detector().set_threshold(1.0)
    assert fitted.threshold_ == before


@pytest.mark.parametrize("threshold", ["percntile", None, [1.0]])
def test_set_threshold_names_what_it_cannot_use(fitted, threshold):
    with pytest.raises(ValueError, match="threshold.*percentile"):
        fitted.set_threshold(threshold)


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [1.0, np.inf], [[1.0, 2.0], [3.0, 4.0]]])
@pytest.mark.parametrize("estimator", [Percentile(), F1(), Conformal()], ids=repr)
def test_bad_scores_are_refused(estimator, scores):
    with pytest.raises(ValueError, match="zero scores|NaN or infinity|1d array"):
        estimator.fit(scores, np.arange(len(scores)) % 2)


def test_bad_parameters_are_refused():
    bad = [Percentile(0), Percentile(100), F1(100), Conformal(0.0), Conformal(1.0), Fixed(np.inf)]
    for estimator in bad:
        with pytest.raises(ValueError, match=f"parameter of {type(estimator).__name__}"):
            estimator.fit([1.0, 2.0], [0, 1])
