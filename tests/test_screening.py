"""ScreenThenClassify: what reaches the classifier, what comes out, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin, clone
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

from skvae import CNNClassifier, ConvAEDetector, ScreenThenClassify, VAEDetector
from skvae.datasets import load_image_folder


def faults(n=300, seed=0):
    """Normal samples around 0, and two kinds of fault to the right and below."""
    rng = np.random.RandomState(seed)
    y = rng.choice(["normal", "hot", "dry"], n, p=[0.8, 0.1, 0.1])
    shift = {"normal": (0, 0), "hot": (6, 0), "dry": (0, -6)}
    return rng.randn(n, 2) + [shift[label] for label in y], y


def model(**params):
    detector = IsolationForest(n_estimators=30, contamination=0.05, random_state=0)
    return ScreenThenClassify(detector, LogisticRegression(), **params)


class Above(OutlierMixin, BaseEstimator):
    """Flags what is above a limit in the first column; keeps what it was fitted on."""

    def __init__(self, limit=0.0):
        self.limit = limit

    def fit(self, X, y=None):
        self.X_, self.y_ = X, y
        return self

    def predict(self, X):
        return np.where(np.asarray(X)[:, 0] > self.limit, -1, 1)


class Seeing(ClassifierMixin, BaseEstimator):
    """Names a sample by its second column; keeps what it has seen."""

    def fit(self, X, y):
        self.fitted_on_, self.seen_ = np.asarray(X), []
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.seen_.append(np.asarray(X))
        return np.array(["normal", "a", "b"])[np.asarray(X)[:, 1].astype(int)]


X6 = np.array([[-1, 0], [1, 0], [-1, 1], [1, 1], [1, 2], [2, 0.0]])
Y6 = np.array(["normal", "normal", "a", "a", "b", "b"])


def test_only_flagged_samples_reach_the_classifier():
    fitted = ScreenThenClassify(Above(), Seeing()).fit(X6, Y6)
    fitted.classifier_.seen_.clear()
    assert fitted.predict(X6).tolist() == ["normal", "normal", "normal", "a", "b", "normal"]
    (seen,) = fitted.classifier_.seen_
    np.testing.assert_array_equal(seen, X6[[1, 3, 4, 5]])
    assert fitted.predict(X6[[0, 2]]).tolist() == ["normal"] * 2
    assert len(fitted.classifier_.seen_) == 1, "nothing was flagged"


@pytest.mark.parametrize("train_on", ["normal", "all"])
def test_what_detector_and_classifier_are_fitted_on(train_on):
    fitted = ScreenThenClassify(Above(), Seeing(), train_on=train_on).fit(X6, Y6)
    if train_on == "normal":
        np.testing.assert_array_equal(fitted.detector_.X_, X6[:2])
        assert fitted.detector_.y_ is None
    else:
        np.testing.assert_array_equal(fitted.detector_.X_, X6)
        assert fitted.detector_.y_.tolist() == [1, 1, -1, -1, -1, -1]
    np.testing.assert_array_equal(fitted.classifier_.fitted_on_, X6[1:], "no unflagged normal one")


def test_report():
    fitted = ScreenThenClassify(Above(), Seeing()).fit(X6, Y6)
    expected = pd.DataFrame(
        {"n_samples": [2] * 3, "flagged": [0.5, 1.0, 0.5], "named": [0.5, 0.5, 1.0]},
        index=["a", "b", "normal"],
    )
    pd.testing.assert_frame_equal(fitted.report_, expected)
    pd.testing.assert_frame_equal(fitted.screening_report(X6, Y6), expected)
    assert fitted.share_spared_ == pytest.approx(2 / 6)
    unknown = fitted.screening_report(X6[:4], ["c", "c", "normal", "normal"])
    assert unknown.index.tolist() == ["c", "normal"]
    assert unknown["named"].tolist() == [0.0, 0.5]


def test_faults_are_named():
    X, y = faults(seed=1)
    fitted = model().fit(*faults())
    assert fitted.score(X, y) > 0.95
    assert fitted.classes_.tolist() == ["dry", "hot", "normal"]
    report = fitted.screening_report(X, y)
    assert report.loc["normal", "flagged"] < 0.15
    assert (report.loc[["dry", "hot"], "named"] > 0.9).all()


@pytest.mark.parametrize(
    "detector",
    [
        OneClassSVM(nu=0.05),
        LocalOutlierFactor(novelty=True),
        VAEDetector(max_steps=60, random_state=0),
        make_pipeline(StandardScaler(), IsolationForest(random_state=0)),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_detectors(detector):
    X, y = faults(seed=1)
    fitted = ScreenThenClassify(detector, RandomForestClassifier(20, random_state=0))
    assert fitted.fit(*faults()).score(X, y) > 0.9


def test_images():
    rng = np.random.RandomState(0)
    X = 0.2 * rng.rand(120, 8, 8)
    y = np.array(["normal"] * 80 + ["row"] * 20 + ["column"] * 20)
    X[80:100, 3] += 0.7
    X[100:, :, 3] += 0.7
    detector = ConvAEDetector(channels=(4,), max_steps=40, score="reconstruction", random_state=0)
    classifier = CNNClassifier(channels=(4,), max_steps=60, random_state=0)
    fitted = ScreenThenClassify(detector, classifier).fit(X, y)
    assert fitted.score(X, y) > 0.95
    assert fitted.n_features_in_ == 64


def test_a_folder_of_images(tmp_path):
    rng = np.random.RandomState(0)
    for i in range(60):
        image = rng.randint(0, 50, (8, 8), dtype=np.uint8)
        kind = ["normal", "normal", "row"][i % 3]
        image[3] += np.uint8(150 * (kind == "row"))
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / kind / f"{i}.png")
    folder = load_image_folder(tmp_path, size=8, max_bytes_in_memory=0)
    detector = ConvAEDetector(channels=(4,), max_steps=40, score="reconstruction", random_state=0)
    classifier = CNNClassifier(channels=(4,), max_steps=10, random_state=0)
    fitted = ScreenThenClassify(detector, classifier).fit(folder, folder.labels)
    assert fitted.score(folder, folder.labels) > 0.95
    assert fitted.detector_.image_preparation_ == folder.preparation


def test_a_labelled_detector_reads_the_labels():
    X, y = faults()
    detector = VAEDetector(threshold="f1", max_steps=60, random_state=0)
    fitted = ScreenThenClassify(detector, LogisticRegression(), train_on="all").fit(X, y)
    alone = clone(detector).fit(X, np.where(y == "normal", 1, -1))
    assert fitted.detector_.threshold_ == alone.threshold_


def test_a_frozen_detector_is_kept():
    X, y = faults()
    detector = IsolationForest(random_state=0).fit(X[y == "normal"])
    fitted = ScreenThenClassify(FrozenEstimator(detector), LogisticRegression()).fit(X, y)
    assert fitted.detector_.estimator is detector


def test_one_kind_of_fault_and_no_false_alarm_needs_no_classifier():
    X, y = X6[[0, 0, 3, 3]], np.array(["normal", "normal", "a", "a"])
    fitted = ScreenThenClassify(Above(), LogisticRegression()).fit(X, y)
    assert fitted.predict(X).tolist() == y.tolist()


@pytest.mark.parametrize(
    "labels, params",
    [
        ([0, 1, 2], {"normal_label": 0}),
        ([False, True, True], {"normal_label": False}),
        ([9, 8, 7], {"normal_label": None}),
        (["normal", "hot", "dry"], {}),
        (np.array(["normal", "hot", "dry"], dtype=object), {}),
    ],
)
def test_labels_of_any_kind(labels, params):
    X, names = faults()
    y = np.asarray(labels)[[["normal", "hot", "dry"].index(name) for name in names]]
    fitted = model(**params).fit(X, y)
    predicted = fitted.predict(X)
    assert predicted.dtype == y.dtype and fitted.normal_label_ == labels[0]
    assert np.mean(predicted == y) > 0.95


def test_frames_lists_and_sparse_rows_are_taken_as_they_are():
    X, y = faults()
    expected = model().fit(X, y).predict(X)
    frame = pd.DataFrame(X, columns=["temperature", "moisture"])
    fitted = model().fit(frame, y)
    assert fitted.feature_names_in_.tolist() == ["temperature", "moisture"]
    np.testing.assert_array_equal(fitted.predict(frame), expected)
    np.testing.assert_array_equal(model().fit(X.tolist(), y.tolist()).predict(X.tolist()), expected)
    scattered = sparse.coo_array(X)
    np.testing.assert_array_equal(model().fit(scattered, y).predict(scattered), expected)


def test_in_searches():
    X, y = faults()
    assert cross_val_score(model(), X, y, cv=3).mean() > 0.9
    search = GridSearchCV(model(), {"detector": [Above(1.0), Above(9.0)]}, cv=3).fit(X, y)
    assert search.best_params_["detector"].limit == 1.0


class Clusters(Above):
    def predict(self, X):
        return np.zeros(len(X), int)


@pytest.mark.parametrize(
    "estimator, y, message",
    [
        (
            model(),
            ["a"] * 3 + ["b"] * 3,
            r"normal_label='normal' and .* found 2 classes: 'a', 'b'\.",
        ),
        (model(), ["normal"] * 6, r"found 1 class: 'normal'\."),
        (model(normal_label=0), [1, 1, 2, 2, 3, 3], "normal_label=0 and"),
        (model(), np.linspace(0, 1, 6), "continuous"),
        (model(), ["normal", "a"], "inconsistent numbers of samples"),
        (model(train_on="some"), Y6, "'train_on' parameter of ScreenThenClassify"),
        (model(normal_label=0.5), Y6, "'normal_label' parameter of ScreenThenClassify"),
        (ScreenThenClassify("forest", LogisticRegression()), Y6, "'detector' parameter"),
        (
            ScreenThenClassify(Clusters(), LogisticRegression()),
            Y6,
            r"detector.predict must give -1 \(anomaly\) or \+1, but Clusters\(\) gave \[0\]",
        ),
    ],
)
def test_refused(estimator, y, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(X6, y)


def test_not_fitted():
    for method in (lambda: model().predict(X6), lambda: model().screening_report(X6, Y6)):
        with pytest.raises(NotFittedError):
            method()


def test_check_estimator():
    # The clusters of the checks overlap and none of them is rare, therefore a contamination of 0.4.
    forest = IsolationForest(n_estimators=10, contamination=0.4, random_state=0)
    why = "the forest takes NaN, and only flagged samples reach the classifier, which does not"
    results = check_estimator(
        ScreenThenClassify(forest, LogisticRegression(), normal_label=None),
        expected_failed_checks={"check_estimators_nan_inf": why},
        on_skip=None,
    )
    status = [result["status"] for result in results]
    # The only check that skips wants SciPy's array API, an environment variable at import.
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert set(skipped) <= {"check_array_api_input"}
    assert status.count("passed") >= 50 and status.count("xfail") == 1
    assert set(status) <= {"passed", "skipped", "xfail"}


def test_check_param_validation():
    check_param_validation("ScreenThenClassify", model())
