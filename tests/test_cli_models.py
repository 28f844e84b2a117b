"""skvae fit, predict, explain, info: as they are typed, with files on disk and exit codes."""

import inspect
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
pytest.importorskip("PIL", reason="image files: pip install skvae[images]")
pytest.importorskip("matplotlib", reason="pictures: pip install skvae[plot]")

from PIL import Image
from safetensors.numpy import save

import skvae
from skvae import cli
from skvae.cli import _model_file
from skvae.cli._options import DETECTORS, UNTYPED, typed, typed_value

QUICK = ["--max-steps", "20", "--random-state", "0", "--verbose", "0"]
QUICK_IMAGES = [*QUICK, "--channels", "4,8", "--size", "16"]


@pytest.fixture
def call(capsys):
    """Run the command line: its exit code, and what it printed."""

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of tables and images, and a model of each."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.RandomState(0)
    table = pd.DataFrame(rng.randn(120, 2) @ rng.randn(2, 3), columns=["age", "income", "size"])
    table.insert(0, "id", [f"p{i}" for i in range(120)])
    table["city"] = rng.choice(["Rome", "Oslo"], 120)
    table["kind"] = np.where(np.arange(120) < 110, "ok", "bad")
    table.loc[110:, "size"] += 9
    table.to_csv(folder / "people.csv", index=False)
    gaps = table.copy()
    gaps.loc[3, "age"] = np.nan
    gaps.to_csv(folder / "gaps.csv", index=False)
    X = table[["age", "income", "size"]].to_numpy()
    np.savez(folder / "people.npz", X=X, y=np.arange(120) >= 110)
    for kind, n, shade in (("good", 20, 0), ("odd", 4, 120)):
        (folder / "photos" / kind).mkdir(parents=True)
        for i in range(n):
            image = rng.randint(0, 90, (16, 16)).astype(np.uint8)
            image[4:12, 4:12] += np.uint8(shade)
            Image.fromarray(image).save(folder / "photos" / kind / f"{i:02d}.png")
    (folder / "photos" / "good" / "broken.png").write_bytes(b"\x89PNG")
    clean = table.set_index("id")[["age", "income", "size"]]
    skvae.save(
        skvae.VAEDetector(max_steps=20, random_state=0).fit(clean), folder / "people.safetensors"
    )
    return folder


def contents(folder):
    return {path: path.is_file() and path.read_bytes() for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def photos_model(data):
    arguments = ["fit", data / "photos" / "good", "-o", data / "photos_model", *QUICK_IMAGES]
    with pytest.raises(SystemExit) as stop:
        cli.main([str(each) for each in arguments])
    assert stop.value.code == 0
    return data / "photos_model"


def test_fit_is_the_fit_of_python(call, data, tmp_path):
    code, out, err = call(
        *("fit", data / "people.csv", "-o", tmp_path / "m", "--index", "id", "--drop", "city"),
        *("--label", "kind", "--latent-dim", "2", "--hidden-layer-sizes", "16,8", *QUICK),
    )
    assert (code, err) == (0, "")
    assert "VAEDetector for tables of 3 columns, trained on 120 rows" in out
    assert f"model: {tmp_path / 'm.safetensors'}" in out
    X = pd.read_csv(data / "people.csv", index_col="id")[["age", "income", "size"]]
    parameters = {"latent_dim": 2, "hidden_layer_sizes": (16, 8), "max_steps": 20}
    same = skvae.VAEDetector(**parameters, random_state=0).fit(X)
    loaded = skvae.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), same.anomaly_score(X))
    assert loaded.threshold_ == same.threshold_


def test_normal_names_the_label_that_is_trained_on(call, data, tmp_path):
    code, out, _ = call(
        *("fit", data / "people.csv", "-o", tmp_path / "m.safetensors", "--drop", "city"),
        *("--index", "id", "--label", "kind", "--normal", "ok", "--contamination", "0", "--json"),
        *QUICK,
    )
    shown = json.loads(out)
    assert code == 0 and shown["parameters"]["train_on"] == "normal"
    frame = pd.read_csv(data / "people.csv", index_col="id")
    X, y = frame[["age", "income", "size"]], frame["kind"] == "bad"
    parameters = {"contamination": 0, "max_steps": 20, "random_state": 0}
    same = skvae.VAEDetector(train_on="normal", **parameters).fit(X, y)
    assert shown["threshold"] == same.threshold_
    assert shown["columns"] == ["age", "income", "size"]
    assert (shown["n_samples"], shown["n_trained_on"]) == (120, 110)
    code, out, _ = call(
        *("fit", data / "people.csv", "-o", tmp_path / "m.safetensors", "--drop", "city"),
        *("--index", "id", "--label", "kind", "--normal", "ok", *QUICK),
    )
    assert code == 0 and "trained on 110 rows" in out


def test_few_labels_are_a_column_of_the_table(call, data, tmp_path):
    frame = pd.read_csv(data / "people.csv", index_col="id")
    X, y = frame[["age", "income", "size"]], np.where(frame["kind"] == "bad", -1, 0)
    X.assign(known=y).to_csv(tmp_path / "known.csv")
    fit = ("fit", tmp_path / "known.csv", "-o", tmp_path / "m.safetensors", "--index", "id")
    known = ("--label", "known", "--train-on", "labels", "--json", *QUICK)
    code, out, _ = call(*fit, *known)
    same = skvae.VAEDetector(train_on="labels", max_steps=20, random_state=0).fit(X, y)
    assert code == 0 and json.loads(out)["threshold"] == same.threshold_
    code, _, err = call(*fit, *known, "--normal", "0")
    assert code == 2 and "y must hold -1 for known anomalies" in " ".join(err.split())


def test_few_labels_with_a_threshold_that_reads_them(call, data, tmp_path):
    frame = pd.read_csv(data / "people.csv", index_col="id")
    X, y = frame[["age", "income", "size"]], np.where(frame["kind"] == "bad", -1, 0)
    y[:30] = 1
    X.assign(known=y).to_csv(tmp_path / "known.csv")
    known = ("--index", "id", "--label", "known")
    f1 = ("--train-on", "labels", "--threshold", "f1")
    fit = ("fit", tmp_path / "known.csv", "-o", tmp_path / "m", *known, *f1, "--json", *QUICK)
    code, out, err = call(*fit)
    same = skvae.VAEDetector(train_on="labels", threshold="f1", max_steps=20, random_state=0)
    assert (code, err) == (0, "") and json.loads(out)["threshold"] == same.fit(X, y).threshold_
    code, out, _ = call("predict", tmp_path / "m", tmp_path / "known.csv", *known, "--json")
    found = json.loads(out)["labels"]
    assert code == 0 and (found["n_anomalies"], found["n_normal"]) == (10, 30)
    assert found["roc_auc"] == pytest.approx(same.score(X[y != 0], y[y != 0]))
    arguments = ("-o", tmp_path / "report", "--top-k", "1", *known)
    code, out, _ = call("predict", tmp_path / "m", tmp_path / "known.csv", *arguments)
    assert code == 0 and "of 10 anomalies" in out and "of 30 normal" in out
    written = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert written["labels"] == found


def test_folders_are_known_normal_images_and_known_anomalies(call, data, tmp_path):
    fit = ("fit", data / "photos", "-o", tmp_path / "m", "--train-on", "labels", *QUICK_IMAGES)
    code, _, err = call(*fit)
    assert code == 2 and "--train-on labels needs labels: --normal NAME says which folder" in err
    code, out, _ = call(*fit, "--normal", "good", "--json")
    with pytest.warns(UserWarning, match="1 files or folders cannot be used"):
        folder = skvae.datasets.load_image_folder(data / "photos", size=16)
    parameters = {"channels": (4, 8), "max_steps": 20, "random_state": 0, "train_on": "labels"}
    y = np.where(folder.labels == "good", 1, -1)
    same = skvae.ConvVAEDetector(**parameters).fit(folder, y)
    assert code == 0 and json.loads(out)["threshold"] == same.threshold_


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A table of text, numbers, booleans, dates and gaps, another one, and a model."""
    folder = tmp_path_factory.mktemp("animals")
    rng = np.random.RandomState(0)
    animal = rng.choice(["cat", "horse"], 120)
    frame = pd.DataFrame(
        {
            "animal": animal,
            "kg": np.where(animal == "cat", 4, 500) * rng.uniform(0.9, 1.1, 120),
            "tame": rng.rand(120) < 0.8,
            "born": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.randint(0, 900, 120), "D"),
        },
        index=pd.Index([f"a{i}" for i in range(120)], name="id"),
    ).astype({"tame": object})
    frame.loc["a3", "kg"] = frame.loc["a4", "tame"] = frame.loc["a5", "born"] = None
    frame.loc["a6", "animal"] = None
    frame.to_csv(folder / "animals.csv")
    new = frame.head(6).copy()
    new.loc["a0", ["animal", "kg"]] = ["fish", 90000]
    new["kg"] = new["kg"].astype(object)
    new.loc["a1", "kg"] = "heavy"
    new.assign(more=1).to_csv(folder / "new.csv")
    steps = ("--max-steps", "60", "--random-state", "0", "--verbose", "0")
    fit = ("fit", folder / "animals.csv", "--detector", "mixed", "-o", folder / "model")
    with pytest.raises(SystemExit) as stop:
        cli.main([str(each) for each in (*fit, "--index", "id", *steps)])
    assert stop.value.code == 0
    return folder, frame


def test_a_table_of_text_dates_and_gaps(call, animals, tmp_path):
    folder, frame = animals
    loaded = skvae.load(folder / "model.safetensors")
    assert loaded.column_kinds_ == ["category", "number", "boolean", "date"]
    same = skvae.MixedVAEDetector(max_steps=60, random_state=0).fit(frame)
    np.testing.assert_array_equal(loaded.anomaly_score(frame), same.anomaly_score(frame))
    given = (folder / "model", folder / "new.csv", "--index", "id")
    code, out, err = call("predict", *given, "-o", tmp_path / "report")
    assert code == 0 and "columns that the model does not know are left out: more" in err
    found = pd.read_csv(tmp_path / "report" / "predictions.csv", keep_default_na=False)
    assert found.loc[found["error"] != "", ["id", "reason"]].to_numpy().tolist() == [
        ["a1", "column 'kg' holds 'heavy'"]
    ]
    assert found.loc[found["id"] == "a0", "is_anomaly"].item() == "True"
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "fish" in page and "animal" in page
    code, out, _ = call("explain", *given, "--json")
    features = {each["feature"]: each for each in json.loads(out)["features"]}
    assert code == 0 and json.loads(out)["name"] == "a0"
    assert features["animal"]["value"] == "fish" and features["kg"]["value"] == 90000
    assert {"animal", "kg"} == set(sorted(features, key=lambda each: -features[each]["share"])[:2])
    code, out, _ = call("explain", *given, "--name", "a3")
    assert code == 0 and "animal" in out and "nan" not in out.lower()


def test_which_columns_are_categories_can_be_typed(call, tmp_path):
    rows = pd.DataFrame({"code": np.arange(40) % 4, "kind": ["a", "b"] * 20, "x": np.arange(40.0)})
    rows.to_csv(tmp_path / "t.csv", index=False)
    fit = ("fit", tmp_path / "t.csv", "-o", tmp_path / "m", "--detector", "MixedVAEDetector")
    for named in ("code,kind", "kind"):
        code, _, _ = call(*fit, "--categorical-features", named, *QUICK)
        kinds = skvae.load(tmp_path / "m.safetensors").column_kinds_
        assert code == 0 and kinds[0] == ("category" if "code" in named else "number")
    code, _, err = call(*fit, "--likelihood", "mse", *QUICK)
    assert code == 2 and "MixedVAEDetector has no parameter likelihood" in err


def test_a_fusion_is_refused_in_one_sentence(call, data, tmp_path):
    parts = [("all", skvae.VAEDetector(max_steps=2), slice(None))]
    X = np.load(data / "people.npz")["X"]
    skvae.save(skvae.FusionDetector(parts).fit(X), tmp_path / "f.safetensors")
    for command in ("predict", "explain"):
        code, _, err = call(command, tmp_path / "f", data / "people.csv")
        assert code == 2 and "No report can be made of a FusionDetector, which has no error" in err


@pytest.mark.filterwarnings("ignore:alpha=0.05 needs at least 19 calibration rows:UserWarning")
def test_a_threshold_that_nothing_passes(call, tmp_path):
    """Conformal, with too few rows held out for its rate: infinite, which JSON cannot hold."""
    rows = pd.DataFrame(np.random.RandomState(0).randn(60, 3), columns=["a", "b", "c"])
    rows.to_csv(tmp_path / "few.csv", index=False)
    model, few = tmp_path / "m", tmp_path / "few.csv"
    fit = ["fit", few, "-o", model, "--threshold", "conformal", "--validation-fraction", "0.1"]
    code, out, _ = call(*fit, *QUICK)
    assert code == 0 and "scores of 12 held-out rows): nothing will be flagged" in out
    code, out, _ = call(*fit, "--json", *QUICK)
    assert code == 0 and json.loads(out)["threshold"] is None
    assert skvae.load(tmp_path / "m.safetensors").threshold_ == np.inf
    judge = ["predict", model, few, "--verbose", "0"]
    code, out, _ = call(*judge, "-o", tmp_path / "report", "--top-k", "1")
    assert code == 0 and "60 judged: 0 anomalies (0.0%), 60 normal; threshold none" in out
    assert json.loads((tmp_path / "report" / "summary.json").read_text())["threshold"] is None
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "No row can be flagged: the threshold is infinite" in page
    assert "dashed" not in page and not re.search(r"\b(inf|nan)\b", re.sub('src="[^"]*"', "", page))
    code, out, _ = call(*judge, "--json")
    assert code == 0 and json.loads(out)["threshold"] is None
    code, out, _ = call("explain", model, few, "--name", "3", "-o", tmp_path / "why.png")
    assert code == 0 and "threshold none" in out
    code, out, _ = call("info", model, "--json")
    assert code == 0 and json.loads(out)["threshold"] is None
    code, out, _ = call("info", model)
    assert code == 0 and re.search(r"threshold +│? *none", out)


def test_predict_writes_a_report(call, data, tmp_path):
    out_folder = tmp_path / "report"
    arguments = ["--index", "id", "--label", "kind", "--normal", "ok", "--verbose", "0"]
    code, out, err = call(
        "predict", data / "people", data / "gaps.csv", "-o", out_folder, *arguments
    )
    assert code == 0
    assert err == "skvae: columns that the model does not know are left out: city.\n"
    assert re.search(r"found \d+ of 10 anomalies; false alarms: \d+ of 109 normal\n", out)
    assert "119 judged" in out and "1 not judged" in out and "area under the ROC curve" in out
    assert f"report: {out_folder / 'report.html'}" in out
    lines = pd.read_csv(out_folder / "predictions.csv")
    assert list(lines["id"]) == [f"p{i}" for i in range(120)]
    assert lines.loc[3, "reason"] == "column 'age' is empty"
    names = sorted(path.name for path in out_folder.iterdir())
    assert names == ["pictures", "predictions.csv", "report.html", "summary.json"]
    assert len(list((out_folder / "pictures").iterdir())) == 12
    # Again, as JSON: the report is replaced.
    code, out, _ = call(
        *("predict", data / "people", data / "gaps.csv", "-o", out_folder, "--top-k", "1"),
        *("--json", "--drop", "city", "--drop", "kind", "--drop", "id", "--verbose", "0"),
    )
    found = json.loads(out)
    assert code == 0 and found["report"] == str(out_folder / "report.html")
    assert found["n_judged"] == 119 and found["labels"] is None
    assert len(list((out_folder / "pictures").iterdir())) == 1


def test_predict_without_a_folder_prints_the_predictions(call, data):
    arguments = ["predict", data / "people", data / "people.csv", "--index", "id"]
    code, out, _ = call(*arguments, "--verbose", "0", "--threshold", "-1e9")
    lines = pd.read_csv(io.StringIO(out))
    assert code == 0 and lines["is_anomaly"].all()
    X = pd.read_csv(data / "people.csv", index_col="id")[["age", "income", "size"]]
    expected = skvae.load(data / "people.safetensors").anomaly_score(X)
    np.testing.assert_array_equal(lines["anomaly_score"], expected)
    code, out, _ = call(*arguments, "--json", "--verbose", "0")
    assert len(json.loads(out)["predictions"]) == 120
    code, out, err = call("predict", data / "people", data / "people.npz", "--verbose", "0")
    assert (code, err) == (0, "")  # columns by their places
    np.testing.assert_array_equal(pd.read_csv(io.StringIO(out))["anomaly_score"], expected)


def test_photos(call, data, photos_model, tmp_path):
    loaded = skvae.load(str(photos_model) + ".safetensors")
    assert loaded.image_preparation_ == {"size": [16, 16], "color": "grey"}
    out_folder = tmp_path / "report"
    code, out, err = call(
        *("predict", photos_model, data / "photos", "-o", out_folder, "--normal", "good"),
        *("--top-k", "2", "--verbose", "0"),
    )
    assert code == 0
    assert err.startswith("skvae: 1 of 25 files are left out, such as good/broken.png: ")
    lines = pd.read_csv(out_folder / "predictions.csv")
    assert len(lines) == 25 and set(lines["group"].dropna()) == {"good", "odd"}
    assert lines.set_index("file").loc["good/broken.png", "error"] == "unreadable"
    found = json.loads((out_folder / "summary.json").read_text())
    assert found["labels"]["n_anomalies"] == 4 and found["n_judged"] == 24
    assert found["model"] == f"{photos_model}.safetensors"

    file = data / "photos" / "odd" / "00.png"
    code, out, _ = call("explain", photos_model, file, "-o", tmp_path / "why.png", "--json")
    explained = json.loads(out)
    assert code == 0 and explained["name"] == "00.png" and explained["features"] is None
    score = lines.set_index("file").loc["odd/00.png", "anomaly_score"]
    assert explained["anomaly_score"] == score
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 500
    code, out, _ = call("explain", photos_model, data / "photos", "--name", "odd/00.png")
    assert code == 0 and f"score {score:.4g}" in out and "-o FILE.png draws" in out
    code, out, _ = call("predict", photos_model, file, "--verbose", "0")
    assert out.splitlines()[1].startswith(f"00.png,{float(score)!r},")


def test_fit_on_photos_of_two_kinds(call, data, tmp_path):
    code, _, err = call("fit", data / "photos", "-o", tmp_path / "m", *QUICK_IMAGES)
    assert code == 0 and "training on all of good, odd, as if" in err
    code, out, err = call(
        *("fit", data / "photos", "-o", tmp_path / "m", "--normal", "good", "--json"), *QUICK_IMAGES
    )
    assert code == 0 and "as if" not in err
    assert json.loads(out)["threshold_set_by"].endswith(" of the scores of 20 training images")


def test_fit_on_the_part_that_is_to_train_on(call, data, tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for file in (data / "photos" / "odd").iterdir():
            (tmp_path / part / file.name).write_bytes(file.read_bytes())
    code, out, _ = call("fit", tmp_path, "-o", tmp_path / "m", "--json", *QUICK_IMAGES)
    assert code == 0 and json.loads(out)["n_samples"] == 4


def test_fit_on_arrays(call, data, tmp_path):
    images = np.random.RandomState(0).randint(0, 255, (12, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "i.npz", X=images)
    code, out, _ = call("fit", tmp_path / "i.npz", "-o", tmp_path / "m", "--channels", "4", *QUICK)
    assert code == 0 and "ConvVAEDetector for arrays of images, 1 x 8 x 8" in out
    code, out, _ = call("predict", tmp_path / "m", tmp_path / "i.npz", "--verbose", "0")
    assert code == 0 and out.startswith("image,anomaly_score,")
    code, _, err = call("predict", tmp_path / "m", data / "photos")
    assert code == 2 and "was not trained on image files: it takes arrays of images" in err


def test_explain_a_row(call, data, tmp_path):
    arguments = ["explain", data / "people", data / "people.csv", "--index", "id"]
    code, out, _ = call(*arguments, "--name", "p115", "-o", tmp_path / "why.png")
    assert code == 0 and out.startswith("p115: ") and "income" in out
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 300
    code, out, _ = call(*arguments, "--json")
    found = json.loads(out)
    assert [each["share"] for each in found["features"]] == sorted(
        (each["share"] for each in found["features"]), reverse=True
    )


def test_info(call, data):
    code, out, _ = call("info", data / "people", "--json")
    found = json.loads(out)
    loaded = skvae.load(data / "people.safetensors")
    assert code == 0 and found["threshold"] == loaded.threshold_
    assert found["parameters"]["hidden_layer_sizes"] == [64, 32]
    assert found["bytes"] == (data / "people.safetensors").stat().st_size
    code, out, _ = call("info", data / "people.safetensors")
    assert code == 0 and "VAEDetector" in out and "age,income,size" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fit people.csv -o m", "'id' holds 'p0', 'city' holds "),
        (
            "fit gaps.csv -o m --drop id --drop city --drop kind",
            "1 of 120 rows of gaps.csv are inco",
        ),
        ("fit nothing -o m", "no file or folder nothing."),
        ("fit photos/good/00.png -o m", "is no folder of images, and no table"),
        ("fit photos -o m --drop city", "photos is a folder of images: --drop is for tables."),
        (
            "fit photos -o m --size large",
            "size must be 64, or 64,96 (height,width); found 'large'.",
        ),
        (
            "fit photos -o m --normal fine",
            "photos has no folder 'fine' of normal images; it has goo",
        ),
        ("fit photos -o photos", "photos is a folder: name the model file to write."),
        ("fit people.csv -o people.csv", "people.csv is the input: name another file for the mode"),
        ("fit people.npz -o people.csv", "people.csv is there already, and only a .safetensors f"),
        ("fit photos -o m --folder photos/run", "photos/run lies in the input photos, whose"),
        ("explain people people.csv -o people.csv", "people.csv is the input: name another"),
        ("explain people people.csv -o gaps.csv", "gaps.csv is there already, and only a .png"),
        ("explain people people.csv -o photos", "photos is a folder: name the picture file"),
        ("explain people photos -o photos/good/00.png", "lies in the input photos, whose images"),
        ("predict people photos -o photos/report", "photos/report lies in the input photos"),
        ("fit photos/good -o m --detector VAEDetector", "VAEDetector takes tables, but the input"),
        (
            "fit people.npz -o m --detector Forest",
            "detector must be one of VAEDetector, AEDetector",
        ),
        (
            "fit photos -o m --detector vaedetektor",
            "found 'vaedetektor'; did you mean VAEDetector?",
        ),
        ("fit photos -o m --score hog_neighbours", "'hog_neighbours'; did you mean hog_neighbors?"),
        ("fit people.npz -o m --threshold f2,", "--threshold takes conformal, f1, percentile; fou"),
        ("fit photos -o m --percentile 0.95", "--percentile 0.95 is below 1, but it is in percent"),
        ("predict people people.csv --normal ok", "say which column holds them (--label COLUMN;"),
        (
            "fit people.npz -o m --latent-dim two",
            "The 'latent_dim' parameter of VAEDetector must be",
        ),
        (
            "fit people.npz -o m --beta 2 --detector AEDetector",
            "AEDetector has no parameter beta, but VAEDetector and Conv",
        ),
        (
            "fit people.npz -o m --channels 2",
            "VAEDetector has no parameter channels, but ConvVAEDetector a",
        ),
        (
            "predict nothing people.csv",
            "no model file nothing: skvae fit INPUT -o nothing makes one.",
        ),
        ("predict people.csv people.csv", "people.csv cannot be loaded as a model: "),
        (
            "predict people photos",
            "photos is a folder, but this model was not trained on image file",
        ),
        ("predict people photos/good/00.png", "is no folder of images, and no table"),
        ("predict people people.csv -o .", ". holds other files than a report"),
        ("predict people people.npz --index id", "has no column 'id'"),
        ("predict people people.csv --label kind", "Name the normal label: --normal LABEL."),
        (
            "explain people people.csv --name p3",
            "no row is named 'p3'; the first are 0, 1, 2, 3, 4. --index COLUMN takes the names of",
        ),
        ("info nothing", "no model file nothing"),
        ("info photos", "photos is a folder: name a model file, such as photos/model."),
    ],
)
def test_wrong_input_is_one_line_and_code_2(call, data, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(data)
    before = contents(data)
    code, out, err = call(*arguments.split())
    assert (code, out) == (2, "")
    line = [each for each in err.splitlines() if not re.search("are left out|reading the", each)]
    assert len(line) == 1 and line[0].startswith("skvae: ") and message in line[0]
    assert contents(data) == before


def test_nothing_that_can_be_judged_is_code_1(call, photos_model, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").touch()
    code, _, err = call("predict", photos_model, tmp_path / "new", "-o", tmp_path / "report")
    assert code == 1 and err.endswith(f"skvae: nothing in {tmp_path / 'new'} could be judged.\n")
    assert "the file is empty" in (tmp_path / "report" / "predictions.csv").read_text()


def test_a_loss_that_is_not_finite_is_code_1(call, data, tmp_path):
    code, _, err = call("fit", data / "people.npz", "-o", tmp_path / "m", *QUICK, "--lr", "1e30")
    assert code == 1 and "The loss became" in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried ...")]
)
def test_out_of_memory_is_code_1(call, data, tmp_path, monkeypatch, error):
    def grows(*args, **kwargs):
        raise error

    monkeypatch.setattr(skvae.VAEDetector, "fit", grows)
    code, _, err = call("fit", data / "people.npz", "-o", tmp_path / "new" / "m")
    assert code == 1 and err.startswith("skvae: out of memory.") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_fault_of_the_program_is_shown_as_one(data, tmp_path, monkeypatch):
    def wrong(*args, **kwargs):
        raise RuntimeError("a fault")

    monkeypatch.setattr(skvae.VAEDetector, "fit", wrong)
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main(["fit", str(data / "people.npz"), "-o", str(tmp_path / "m")])


def test_a_classifier_is_no_detector(call, tmp_path):
    images, y = np.zeros((8, 8, 8), np.uint8), [0, 1] * 4
    classifier = skvae.CNNClassifier(max_epochs=1).fit(images, y)
    skvae.save(classifier, tmp_path / "c.safetensors")
    code, _, err = call("info", tmp_path / "c")
    assert code == 2 and "holds a CNNClassifier, which is no detector" in err


def test_an_option_for_every_parameter(call):
    _, out, _ = call("fit", "--help")
    shown = "".join(out.split())
    for name in DETECTORS:
        for parameter in inspect.signature(getattr(skvae, name)).parameters:
            if parameter not in UNTYPED:
                assert f"--{parameter.replace('_', '-')[:15]}" in shown, parameter


@pytest.mark.parametrize("name", DETECTORS)
def test_defaults_come_back_when_they_are_typed(name):
    for parameter in inspect.signature(getattr(skvae, name)).parameters.values():
        if parameter.name in UNTYPED or isinstance(parameter.default, bool):
            continue
        value = typed_value(typed(parameter.default))
        default = parameter.default
        assert (list(value) if isinstance(default, tuple) else value) == (
            list(default) if isinstance(default, tuple) else default
        )


def test_underscores_do_as_well(call, data, tmp_path):
    code, _, _ = call("fit", data / "people.npz", "-o", tmp_path / "m", "--latent_dim", "2", *QUICK)
    assert code == 0 and skvae.load(tmp_path / "m.safetensors").latent_dim == 2


def test_completion_knows_commands_and_words(call, monkeypatch):
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "skvae fit x -o m --optimizer ")
    monkeypatch.setenv("_SKVAE_COMPLETE", "complete_zsh")
    _, out, _ = call()
    assert "adamw" in out and "sgd" in out


def test_an_interrupt_says_what_is_lost(call, data, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(skvae.VAEDetector, "fit", interrupted)
    code, _, err = call("fit", data / "people.npz", "-o", tmp_path / "m", "--verbose", "0")
    path = tmp_path / "m.safetensors"
    assert (code, err) == (130, f"skvae: interrupted: {path} was not written.\n")
    run = ("--folder", tmp_path / "run", "--verbose", "0")  # before its first epoch is complete
    code, _, err = call("fit", data / "people.npz", "-o", tmp_path / "m", *run)
    assert (code, err) == (130, f"skvae: interrupted: {path} was not written.\n")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").touch()
    monkeypatch.setattr("skvae.fit_in_folder", interrupted)
    code, _, err = call("fit", data / "people.npz", "-o", tmp_path / "m", *run)
    assert code == 130 and err.endswith("the same command goes on from the last complete epoch.\n")
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr("skvae.reports._report.judge", interrupted)
    code, _, err = call("predict", data / "people", data / "people.npz", "-o", tmp_path / "report")
    assert (code, err) == (130, f"skvae: interrupted: {tmp_path / 'report'} was not written.\n")
    assert not list(tmp_path.iterdir())


def test_a_killed_fit_in_a_folder_goes_on(call, data, tmp_path):
    """The process is killed as by kill -9, and the same command ends in the bits of a whole fit."""
    arguments = ["fit", str(data / "people.npz"), "--batch-size", "8", "--max-steps", "600"]
    arguments += ["-o", str(tmp_path / "m"), "--folder", str(tmp_path / "run"), "--verbose", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "skvae.cli", *arguments],
        cwd=Path(__file__).parents[1],
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    checkpoint, deadline = tmp_path / "run" / "checkpoint.safetensors", time.time() + 120
    while not checkpoint.exists() and process.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "m.safetensors").exists()
    assert call(*arguments)[0] == 0
    X = np.load(data / "people.npz")["X"]
    same = skvae.VAEDetector(batch_size=8, max_steps=600, random_state=0).fit(X)
    loaded = skvae.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), same.anomaly_score(X))


def test_options_are_checked_before_images_are_decoded(call, data, tmp_path, monkeypatch):
    monkeypatch.setattr("skvae.cli._models.read_to_fit", None)  # reading would fail
    for wrong in (["--score", "hogs"], ["--detector", "Forest"], ["--percentile", "0.95"]):
        assert call("fit", data / "photos", "-o", tmp_path / "m", *wrong)[0] == 2


def test_warnings_are_one_line(call, tmp_path):
    pd.DataFrame(np.random.RandomState(0).randn(20, 3)).to_csv(tmp_path / "few.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = call(
            *("fit", tmp_path / "few.csv", "-o", tmp_path / "m", "--header"),
            *("--threshold", "conformal", *QUICK),
        )
    assert code == 0 and "nothing will be flagged\n" in out
    assert err == (
        "skvae: alpha=0.05 needs at least 19 calibration rows, but there are 4: nothing will be "
        "flagged.\n"
    )


def test_errors_are_json_where_that_is_asked_for(call):
    code, out, err = call("info", "nothing", "--json")
    assert code == 2 and f"skvae: {json.loads(out)['error']}\n" == err


def test_help_says_the_exit_codes(call):
    code, out, _ = call("--help")
    assert code == 0 and "Exit codes: 0 done; 1 " in " ".join(out.split())


def test_only_a_model_of_skvae_is_replaced(call, data, tmp_path):
    out = tmp_path / "m.safetensors"
    fit = ("fit", data / "people.npz", "-o", out, *QUICK)
    for content in (b"a note", save({"w": np.zeros(3)}, {"format": "pt"})):
        out.write_bytes(content)
        code, _, err = call(*fit)
        assert code == 2 and "m.safetensors is there already, and skvae did not write it" in err
        assert out.read_bytes() == content
    out.unlink()
    assert call(*fit)[0] == 0
    assert call(*fit, "--latent-dim", "1")[0] == 0
    assert skvae.load(out).latent_dim_ == 1


def test_the_ending_of_a_model_may_be_left_out(tmp_path):
    assert _model_file.model_path(Path("a/m")) == Path("a/m.safetensors")
    assert _model_file.model_path(Path("a/m.st")) == Path("a/m.st")
    (tmp_path / "m").mkdir()
    assert _model_file.existing_model(tmp_path / "m") == tmp_path / "m.safetensors"


@pytest.mark.slow
def test_brain_slices(call, data_home, tmp_path):
    brain = data_home / "brain_mri"
    model, report = tmp_path / "brain", tmp_path / "report"
    arguments = ["--size", "32", "--max-steps", "100", "--random-state", "0"]
    assert call("fit", brain / "train" / "no_tumor", "-o", model, *arguments)[0] == 0
    code, out, err = call("predict", model, brain / "test", "-o", report, "--normal", "no_tumor")
    assert code == 0 and "400 judged" in out and "400/400" in err
    lines = pd.read_csv(report / "predictions.csv")
    assert len(lines) == 400 and (lines.groupby("group").size() == 100).all()
    found = json.loads((report / "summary.json").read_text())
    assert found["labels"]["roc_auc"] > 0.55 and len(found["most_anomalous"]) == 12
