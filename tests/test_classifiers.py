"""CNNClassifier: scikit-learn's contract, layouts, determinism, and what it reaches on digits."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator, check_param_validation

from skvae.classifiers import CNNClassifier

TINY = {"channels": (8,), "hidden_layer_sizes": (16,), "max_steps": 5, "random_state": 0}


def make(**params):
    return CNNClassifier(**{**TINY, **params})


@pytest.fixture(scope="module")
def digits():
    digits = load_digits()
    return (digits.images / 16).astype(np.float32), digits.target


@pytest.fixture(scope="module")
def few(digits):
    return digits[0][:150], digits[1][:150]


# -- scikit-learn's contract ----------------------------------------------------------------


def test_check_estimator_without_an_expected_failure():
    # Enough steps for the accuracy that the checks ask for.
    results = check_estimator(make(max_steps=30, lr=2e-2), on_skip=None)
    status = [result["status"] for result in results]
    # The only check that skips wants SciPy's array API, an environment variable at import.
    skipped = [result["check_name"] for result in results if result["status"] == "skipped"]
    assert set(skipped) <= {"check_array_api_input"}
    assert status.count("passed") >= 50
    assert set(status) <= {"passed", "skipped"}


def test_check_param_validation():
    check_param_validation("CNNClassifier", make())


@pytest.mark.parametrize(
    "labels", [np.arange(10) * 3 - 7, np.array(list("jihgfedcba")), np.arange(10) / 4 < 1]
)
def test_any_labels(few, labels):
    X, y = few
    classifier = make(max_steps=60, lr=1e-2).fit(X, labels[y])
    assert np.array_equal(classifier.classes_, np.unique(labels))
    probabilities = classifier.predict_proba(X)
    assert probabilities.dtype == np.float64
    assert probabilities.shape == (150, len(classifier.classes_))
    assert np.allclose(probabilities.sum(1), 1, rtol=1e-12)
    predicted = classifier.predict(X)
    assert np.array_equal(predicted, classifier.classes_[probabilities.argmax(1)])
    assert predicted.dtype == labels.dtype
    assert np.mean(predicted == labels[y]) > 0.8


def test_digits_are_learned(digits):
    X, y = digits
    classifier = CNNClassifier(max_steps=300, random_state=0).fit(X[:1400], y[:1400])
    assert classifier.score(X[1400:], y[1400:]) > 0.93
    history = classifier.history_
    assert list(history.columns) == ["epoch", "loss", "duration"]
    assert history["loss"].iloc[-1] < 0.05 < history["loss"].iloc[0]
    assert classifier.n_steps_ == 300


@pytest.mark.slow
def test_mnist(data_home):
    with np.load(data_home / "mnist.npz") as mnist:
        X, y, X_test, y_test = (mnist[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    classifier = CNNClassifier(max_steps=1000, random_state=0).fit(X, y)
    assert classifier.score(X_test, y_test) > 0.985


def test_grid_search(few):
    search = GridSearchCV(make(), {"norm": [None, "group"]}, cv=2).fit(*few)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# -- images ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_channels", [1, 3])
def test_every_layout_is_the_same_fit(few, n_channels):
    X, y = few
    images = np.stack([X, X.transpose(0, 2, 1), 1 - X], 1)[:, :n_channels]
    last = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    held = {
        "channels first": (images, None),
        "channels last": (last, None),
        "flat": (images.reshape(150, -1), (n_channels, 8, 8)),
        "flat, channels last": (last.reshape(150, -1), (8, 8, n_channels)),
        "float64": (images.astype(np.float64), None),
        "list": (list(images), None),
    }
    if n_channels == 1:
        held["(n, H, W)"] = X, None
        held["frame"] = pd.DataFrame(X.reshape(150, -1)), (8, 8)
    expected = make().fit(images, y).predict_proba(images)
    for name, (rows, image_shape) in held.items():
        classifier = make(image_shape=image_shape).fit(rows, y)
        assert np.array_equal(classifier.predict_proba(rows), expected), name
        assert np.array_equal(classifier.predict_proba(images), expected), name


def test_uint8_is_divided_by_255(few):
    X, y = few
    as_bytes = np.round(255 * X).astype(np.uint8)
    classifier = make().fit(as_bytes, y)
    floats = (torch.as_tensor(as_bytes).float() / 255).numpy()
    assert np.array_equal(classifier.predict_proba(floats), classifier.predict_proba(as_bytes))
    again = make().fit(floats, y)
    assert np.array_equal(again.predict_proba(floats), classifier.predict_proba(as_bytes))


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda X: 16 * X, "X holds"),
        (lambda X: X[:, :1, :1], "images of 1 x 1 pixels, which is too small: both sides must"),
        (lambda X: np.where(X > 0.9, np.nan, X), "X holds nan in image"),
        (lambda X: (X * 16).astype(np.uint16), "X holds uint16; images are uint8"),
        (lambda X: X[:0], r"0 sample"),
        (lambda X: [*X[:149], X[0, :7]], r"different sizes: (8, 8) first, (7, 8) at 149"),
        (lambda X: np.stack([X] * 5, 1), "neither 1 to 4 channels"),
        (lambda X: X[:100], "inconsistent numbers of samples"),
    ],
)
def test_bad_images_are_one_clear_error(few, change, message):
    X, y = few
    with pytest.raises(ValueError, match=re.escape(message)):
        make().fit(change(X), y[: len(change(X))] if len(change(X)) == 0 else y)


def test_the_smallest_image_follows_from_the_convolutions(few):
    X, y = few
    assert make(channels=(4, 4, 4)).fit(X, y).predict(X).shape == (150,)
    with pytest.raises(ValueError, match="images of 8 x 8 pixels.*at least 16"):
        make(channels=(4, 4, 4, 4)).fit(X, y)


def test_other_images_than_those_of_fit(few):
    classifier = make().fit(*few)
    with pytest.raises(ValueError, match="images of 1 x 7 x 8 .*, but fit saw 1 x 8 x 8"):
        classifier.predict(few[0][:, 1:])
    with pytest.raises(ValueError, match="X has 63 features, but CNNClassifier is expecting 64"):
        classifier.predict(few[0].reshape(150, -1)[:, 1:])


@pytest.mark.parametrize(
    "params, message",
    [
        ({"max_steps": None}, "both None"),
        ({"channels": ()}, "channels=() must hold integers of at least 1"),
        ({"channels": (8, 0)}, "channels=(8, 0) must hold integers"),
        ({"hidden_layer_sizes": (1.5,)}, "hidden_layer_sizes=(1.5,) must hold"),
        ({"device": "abacus"}, "device='abacus' cannot be used"),
        ({"image_shape": (9, 9)}, "image_shape=(9, 9) is 81 numbers, but X holds images of"),
    ],
)
def test_parameters_that_cannot_be(few, params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**params).fit(*few)


# -- the same bits --------------------------------------------------------------------------


def test_same_seed_same_bits_and_no_global_generator(few):
    def states():
        return torch.get_rng_state().numpy().tobytes(), repr(np.random.get_state())

    before = states()
    X, y = few
    classifier = make().fit(X, y)
    expected = classifier.predict_proba(X)
    assert states() == before
    torch.manual_seed(5)
    np.random.seed(5)
    assert np.array_equal(clone(classifier).fit(X, y).predict_proba(X), expected)
    twin = pickle.loads(pickle.dumps(classifier))
    assert np.array_equal(twin.predict_proba(X), expected)
    assert not np.array_equal(make(random_state=1).fit(X, y).predict_proba(X), expected)


@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_an_image_is_classified_alike_in_any_company(digits, norm):
    X, y = digits
    classifier = make(norm=norm, channels=(5, 7)).fit(X[:100], y[:100])
    expected = classifier.predict_proba(X)
    order = np.random.RandomState(1).permutation(len(X))
    assert np.array_equal(classifier.predict_proba(X[order]), expected[order])
    for rows in (slice(0, 1), slice(7, 9), slice(250, 260), slice(1790, 1797)):
        assert np.array_equal(classifier.predict_proba(X[rows]), expected[rows])


# -- training -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 32, 33, 65])
def test_any_number_of_images_about_the_batch_size(few, n):
    X, y = few
    classifier = make(batch_size=32).fit(X[:n], y[:n])
    assert classifier.n_steps_ == 5
    assert np.isfinite(classifier.predict_proba(X)).all()


def test_training_ends_with_whichever_limit_comes_first(few):
    assert make(max_steps=None, max_epochs=2).fit(*few).n_steps_ == 6  # 150 images, 64 a batch
    assert make(max_steps=4, max_epochs=2).fit(*few).n_steps_ == 4


def test_a_failed_fit_leaves_the_classifier_whole(few):
    X, y = few
    classifier = make().fit(X, y)
    expected = classifier.predict_proba(X)
    classifier.set_params(lr=1e30, optimizer="sgd", norm=None, max_steps=20)
    with pytest.raises(FloatingPointError, match="The loss became nan in epoch .* Lower lr"):
        classifier.fit(X, y)
    assert np.array_equal(classifier.predict_proba(X), expected)


def test_progress_is_shown_on_request(few, capsys):
    make(verbose=0).fit(*few)
    quiet = capsys.readouterr()
    assert quiet.out == quiet.err == ""
    make(verbose=1).fit(*few)
    assert "5/5" in capsys.readouterr().err
    make(verbose=2).fit(*few)
    assert "train_loss" in capsys.readouterr().out
