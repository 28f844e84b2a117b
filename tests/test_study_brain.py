"""The study of brain MRI, on a folder of digits that is laid out like it."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from skvae import studies
from skvae.datasets import load_digits_images, load_image_folder
from skvae.studies._brain_report import ALL, APART, brain_shown, brain_summary
from skvae.studies.brain import _groups, _Images, _nearest, _pca_error, _standardised
from skvae.studies.brain import standard_error as standard_error_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Zeros to learn, and zeros, ones and sevens to test on."""
    root = tmp_path_factory.mktemp("brain")
    X, y = load_digits_images()
    wanted = {"no_tumor": (0, 40, 60), "glioma_tumor": (1, 0, 15), "tumor_b": (7, 0, 15)}
    for name, (digit, n_train, n_test) in wanted.items():
        for i, image in enumerate(X[y == digit][: n_train + n_test]):
            path = root / ("train" if i < n_train else "test") / name / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).resize((40, 40)).save(path)
    return root


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("results")
    return studies.brain(root, range(2), out, quick=True, progress=False), out


def test_look_alikes_of_the_training_are_left_out_as_well(root, tmp_path):
    copied = shutil.copytree(root, tmp_path / "copied")
    for i in range(5):
        shutil.copy(copied / f"train/no_tumor/{i:02}.png", copied / f"test/glioma_tumor/z{i}.png")
    images = _Images(copied, 16)
    files = images.folder.subset(images.folder.parts == "test").files[images.is_look_alike]
    assert {f"test/glioma_tumor/z{i}.png" for i in range(5)} <= set(files)
    scores = np.where(images.is_look_alike, -1.0, images.labels != "no_tumor")
    rows = {row["tumour"]: row["auroc"] for row in images.aurocs("by label", scores)}
    assert rows[APART] == 1 > rows[ALL]


def test_every_method_is_judged_on_every_tumour(run):
    results, _ = run
    kinds = {"skvae": (11, 2), "control": (7, 1), "PyOD": (2, None)}
    for kind, (n_methods, n_seeds) in kinds.items():
        own = results[results["kind"] == kind]
        assert own["method"].nunique() == n_methods
        if n_seeds:
            assert len(own) == n_methods * n_seeds * 4
    assert set(results["tumour"]) == {ALL, "glioma_tumor", "tumor_b", APART}
    assert results["auroc"].between(0, 1).all() and (results["standard_error"] >= 0).all()
    assert not results.duplicated(["method", "seed", "tumour"]).any()
    same = results[results["method"] == "HOG neighbours"].groupby("tumour")["auroc"]
    assert (same.nunique() == 1).all(), "it asks no network"
    assert same.first()[ALL] > 0.8
    pair = results[results["method"].isin(["mean intensity", "darkness"])]
    assert np.allclose(pair.groupby("tumour")["auroc"].sum(), 1)


def test_the_choice_knows_no_test_image(run):
    results, _ = run
    choice = results.attrs["choice"]
    assert choice["fold"].nunique() == 2
    assert choice.groupby("score").size().eq(2 * 6).all() and choice["score"].nunique() == 11
    assert choice["auroc"].between(0, 1).all()


def test_report(run, root):
    results, out = run
    names = {"report.md", "auroc.png", "extremes.png", "pieces.jsonl"}
    names |= {f"{name}.{kind}" for name in ("results", "choice") for kind in ("csv", "json")}
    assert {path.name for path in out.iterdir()} == names
    text = (out / "report.md").read_text()
    for words in (
        "Trained on 40 slices of `train/no_tumor` alone",
        "15 glioma_tumor, 60 no_tumor, 15 tumor_b",
        "Quick run",
        "Nothing here shows that lesions are found;",
        "| skvae | HOG neighbours |",
        "| PyOD | KNN |",
        "pairs within the parts train and test",
    ):
        assert words in text, words
    assert len(json.loads((out / "results.json").read_text())) == len(results)
    stored = pd.read_csv(out / "results.csv")
    pd.testing.assert_frame_equal(stored, results, check_dtype=False)
    again = studies.brain(root, range(2), out, quick=True, progress=False)
    pd.testing.assert_frame_equal(again, results)


def test_summary_and_tables(run):
    results, _ = run
    summary = brain_summary(results)
    assert list(summary["kind"].unique()) == ["skvae", "control", "PyOD"]
    own = results[(results["method"] == "local") & (results["tumour"] == "tumor_b")]["auroc"]
    row = summary[(summary["method"] == "local") & (summary["tumour"] == "tumor_b")].iloc[0]
    assert row["auroc"] == pytest.approx(own.mean()) and row["n_seeds"] == 2
    assert row["spread"] == pytest.approx(own.std())
    assert summary[summary["method"] == "darkness"]["spread"].isna().all()
    judged, choice = brain_shown(results).values()
    best = summary[summary["tumour"] == ALL].groupby("kind", sort=False)["auroc"]
    for _, values in best:
        assert values.is_monotonic_decreasing
    assert len(judged) == 20 and len(choice) == 11
    assert choice["mean"].astype(float).is_monotonic_decreasing


def test_the_controls_are_what_they_say(root):
    images = _Images(root, 16)
    train, test = (X.reshape(len(X), -1) / 255.0 for X in (images.train, images.test))
    distances = np.sqrt(np.square(test[:, None] - train).sum(2))
    np.testing.assert_allclose(_nearest(train, test), distances.min(1))
    np.testing.assert_allclose(_pca_error(train, train), 0, atol=1e-9)
    inside = train.mean(0) + 0.7 * (train[3] - train.mean(0))
    np.testing.assert_allclose(_pca_error(train, inside[None]), 0, atol=1e-9)
    standardised = _standardised(test)
    np.testing.assert_allclose(standardised.mean(1), 0, atol=1e-12)
    np.testing.assert_allclose(standardised.std(1), 1)
    assert not _standardised(np.full((1, 5), 0.3)).any()
    rows = images.aurocs("first pixel", test[:, 120])
    expected = roc_auc_score(images.labels != "no_tumor", test[:, 120])
    assert rows[0]["tumour"] == ALL and rows[0]["auroc"] == pytest.approx(expected)


def test_standard_error_agrees_with_repeated_draws():
    rng = np.random.RandomState(0)
    draws = [(rng.normal(0, 1, 80), rng.normal(1, 1, 120)) for _ in range(400)]
    labels = np.repeat([0, 1], [80, 120])
    aurocs = [roc_auc_score(labels, np.concatenate(draw)) for draw in draws]
    errors = [standard_error_of(*draw) for draw in draws]
    assert np.mean(errors) == pytest.approx(np.std(aurocs), rel=0.12)


def test_near_duplicates_have_one_group(root, tmp_path):
    for i, name in enumerate(("a.png", "b.png", "c.png", "d.png")):
        image = Image.open(root / "train" / "no_tumor" / f"{5 * (i // 2):02}.png")
        image.resize((50 + i, 50)).save(tmp_path / name)
    groups = _groups(load_image_folder(tmp_path, size=32))
    assert groups[0] == groups[1] != groups[2] == groups[3]


def test_folders_that_are_no_such_data(tmp_path, root):
    with pytest.raises(FileNotFoundError, match="no folder"):
        studies.brain(tmp_path / "missing", progress=False)
    found_none = r"found 0 in train/no_tumor and the test classes none\."
    with pytest.raises(ValueError, match=found_none), pytest.warns(UserWarning, match="no files"):
        studies.brain(tmp_path, progress=False)


@pytest.mark.slow
def test_the_documented_configuration_on_real_slices(data_home):
    from skvae import ConvVAEDetector

    folder = load_image_folder(data_home / "brain_mri", size=64)
    is_normal, is_test = folder.labels == "no_tumor", folder.parts == "test"
    detector = ConvVAEDetector(
        score="hog_neighbors", max_steps=300, batch_size=64, random_state=0
    ).fit(folder.subset(is_normal & ~is_test))
    scores = detector.anomaly_score(folder.subset(is_test))
    is_tumour = ~is_normal[is_test]
    assert roc_auc_score(is_tumour, scores) > 0.77
    pairs = folder.duplicates()
    across = pairs[pairs["part"] != pairs["twin_part"]]
    assert not across["twin"].str.startswith("train/no_tumor").any()
