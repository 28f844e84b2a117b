"""Reports: a line for every input, pictures on one scale, a page that shows names as they are."""

import base64
import html
import html.parser
import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

pytest.importorskip("matplotlib", reason="pictures: pip install skvae[plot]")
pytest.importorskip("PIL", reason="image files: pip install skvae[images]")

from PIL import Image

from skvae import ConvVAEDetector, MixedVAEDetector, VAEDetector
from skvae._files import replacing_folder
from skvae.base._road import map_scale
from skvae.datasets import load_image_folder
from skvae.detectors import SlidingWindowDetector, WindowDetector
from skvae.reports import _pictures, judge_image, write_report
from skvae.reports import _report as report_module
from skvae.reports._explained import explained, features_of
from skvae.reports._judged import RESERVED, map_caveat
from skvae.reports._page import text as page_text

FILES = ["pictures", "predictions.csv", "report.html", "summary.json"]


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    values = rng.randn(200, 2) @ rng.randn(2, 4) + 0.1 * rng.randn(200, 4)
    return pd.DataFrame(values, columns=["age", "a$b$c", "<b>n</b>", "日本"])


@pytest.fixture(scope="module")
def detector(table):
    return VAEDetector(contamination=0.02, max_steps=60, random_state=0).fit(table)


def written_images(folder, images):
    for i, image in enumerate(images):
        (folder / f"{i:02d}").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02d}.png")


def digits(n, seed=0):
    rng = np.random.RandomState(seed)
    images = np.zeros((n, 16, 16), np.uint8)
    images[:, 4:12, 6:10] = 120
    return images + rng.randint(0, 60, images.shape).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    written_images(path / "good", digits(30))
    odd = digits(4, seed=1)
    odd[:, :4, :4] = 255
    written_images(path / "odd", odd)
    return path


@pytest.fixture(scope="module")
def image_detector(folder):
    images = load_image_folder(folder / "good", size=16)
    return ConvVAEDetector(channels=(4, 8), max_steps=40, random_state=0).fit(images)


class Reader(html.parser.HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.attributes = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_few_labels_compare_what_is_known(table, detector, tmp_path):
    y = np.zeros(200, int)
    y[:50], y[190:] = 1, -1
    rows = table.copy()
    rows.iloc[195:] += 20
    write_report(detector, rows, tmp_path / "out", y=y, groups=y, top_k=0)
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    known = y != 0
    scores, flagged = detector.anomaly_score(rows[known]), detector.predict(rows[known]) == -1
    is_anomaly = y[known] == -1
    assert found["labels"] == {
        "n_anomalies": 10,
        "anomalies_flagged": int(flagged[is_anomaly].sum()),
        "n_normal": 50,
        "normal_flagged": int(flagged[~is_anomaly].sum()),
        "roc_auc": pytest.approx(roc_auc_score(is_anomaly, scores)),
        "average_precision": pytest.approx(average_precision_score(is_anomaly, scores)),
    }
    by_group = {each["group"]: each["roc_auc"] for each in found["groups"]}
    assert by_group == {"-1": found["labels"]["roc_auc"], "0": None, "1": None}
    with pytest.raises(ValueError, match="y must"):
        write_report(detector, rows, tmp_path / "out", y=y + 5)
    with pytest.raises(ValueError, match="y holds nothing but 1"):
        write_report(detector, rows, tmp_path / "out", y=np.ones(200))


def test_rows_of_mixed_kinds(tmp_path):
    rng = np.random.RandomState(0)
    rows = pd.DataFrame({"kind": rng.choice(["cat", "dog"], 80), "kg": rng.rand(80)})
    rows["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.randint(0, 99, 80), "D")
    mixed = MixedVAEDetector(max_steps=20, random_state=0).fit(rows)
    rows.loc[2, ["kind", "kg"]] = None
    rows.loc[3, "kg"] = 1e20
    rows.loc[5, "kind"] = "<b>cow</b>"
    predictions = write_report(mixed, rows, tmp_path / "out", top_k=2)
    assert predictions["reason"].iloc[3] == "column 'kg' holds 1e+20"
    judged = np.setdiff1d(np.arange(80), [3])
    scores = mixed.anomaly_score(rows.iloc[judged])
    np.testing.assert_array_equal(predictions["anomaly_score"].iloc[judged], scores)
    (features,) = features_of(mixed, rows.iloc[[2]])
    value = {each["feature"]: each["value"] for each in features}
    assert value["kind"] is value["kg"] is None and value["since"].startswith("2020-")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;cow" in page and "<b>cow" not in page


def test_a_line_for_every_row_and_a_reason_where_there_is_no_score(table, detector, tmp_path):
    rows = table.copy()
    rows.index = [f"row {i}" for i in range(200)]
    rows.index.name = "person"
    rows.iloc[5, 0], rows.iloc[9, 1], rows.iloc[11, 3] = np.nan, np.inf, -1e16
    rows.iloc[7, 2] += 30
    predictions = write_report(detector, rows, tmp_path / "out", top_k=3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    read = pd.read_csv(tmp_path / "out" / "predictions.csv", keep_default_na=False)
    assert list(read.columns) == ["person", "anomaly_score", "is_anomaly", "error", "reason"]
    assert list(read["person"]) == list(rows.index)
    assert list(predictions["person"]) == list(rows.index)
    bad = [5, 9, 11]
    assert list(read.loc[bad, "error"]) == ["unusable"] * 3
    assert list(read.loc[bad, "reason"]) == [
        "column 'age' holds nan",
        "column 'a$b$c' holds inf",
        "column '日本' holds -1e+16",
    ]
    assert set(read.loc[bad, "anomaly_score"]) == set(read.loc[bad, "is_anomaly"]) == {""}
    good = np.setdiff1d(np.arange(200), bad)
    scores = detector.anomaly_score(rows.iloc[good])
    np.testing.assert_array_equal(read.loc[good, "anomaly_score"].astype(float), scores)
    flagged = read.loc[good, "is_anomaly"].to_numpy() == "True"
    np.testing.assert_array_equal(flagged, detector.predict(rows.iloc[good]) == -1)
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (found["n_inputs"], found["n_judged"], found["n_not_judged"]) == (200, 197, 3)
    assert found["n_anomalies"] + found["n_normal"] == 197
    assert found["most_anomalous"][0]["person"] == "row 7"
    assert found["threshold"] == detector.threshold_
    pictures = sorted(path.name for path in (tmp_path / "out" / "pictures").iterdir())
    assert pictures[0] == "001_row_7.png" and len(pictures) == 3


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_an_index_may_be_called_like_a_column_of_the_report(table, detector, tmp_path, name):
    rows = table.iloc[:20].rename_axis(name)
    groups = ["a", "b"] * 10
    predictions = write_report(detector, rows, tmp_path / "out", groups=groups, top_k=1)
    assert list(predictions.columns) == [
        *("row", "group", "anomaly_score", "is_anomaly", "error", "reason")
    ]
    assert list(predictions["row"]) == list(range(20))
    assert list(predictions["group"]) == groups
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(found["most_anomalous"][0]) == {"row", "anomaly_score", "picture"}


def test_columns_may_be_called_like_what_a_folder_has(tmp_path):
    rows = np.random.RandomState(0).randn(40, 3)
    rows = pd.DataFrame(rows, columns=["files", "problems", "path"])
    rows.iloc[3, 0] = np.nan
    detector = VAEDetector(max_steps=5, random_state=0).fit(rows.drop(index=3))
    predictions = write_report(detector, rows, tmp_path / "out", top_k=1)
    assert list(predictions["reason"][predictions["reason"] != ""]) == ["column 'files' holds nan"]


def test_the_page_is_whole_and_shows_names_as_they_are(table, detector, tmp_path):
    rows = table.iloc[:20].copy()
    names = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "a&amp;b", "日本", "$x$"]
    rows.index = [*names, "", "two\nlines", *map(str, range(13))]
    rows.iloc[:7, 0] += 50
    write_report(detector, rows, tmp_path / "out", top_k=7, source="<i>here</i>", model="m&m")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    reader = Reader(page)
    texts = " ".join(reader.texts)
    for name in [*names, "<i>here</i>", "m&m", "a$b$c", "<b>n</b>"]:
        assert name in texts, name
    assert "script" not in reader.tags and "b" in reader.tags
    assert not [key for key, _ in reader.attributes if key.startswith("on")]
    # It asks nothing of any network: pictures are in it, and there is no other address.
    sources = [value for key, value in reader.attributes if key in ("src", "href")]
    assert sources and all(re.match(r"data:image/png;base64,|#", each) for each in sources)
    assert "http" not in re.sub("http-equiv", "", page)


def test_images_of_a_folder_the_unreadable_among_them(folder, image_detector, tmp_path):
    path = tmp_path / "new"
    written_images(path / "good", digits(6, seed=2))
    written_images(path / "odd", np.flip(digits(3, seed=3) + np.uint8(60), 0))
    (path / "good" / "03x.png").write_bytes(b"")
    (path / "aa.txt").write_text("no image")
    with pytest.warns(UserWarning, match="9 images were found, and 2 files"):
        images = load_image_folder(path, **image_detector.image_preparation_)
    labels = images.labels == "odd"
    predictions = write_report(
        image_detector, images, tmp_path / "out", y=labels, groups=images.labels, top_k=4
    )
    assert list(predictions["file"]) == sorted(predictions["file"])
    assert set(predictions["file"]) == {*images.files, "good/03x.png", "aa.txt"}
    skipped = predictions[predictions["error"] == "unreadable"]
    assert list(skipped["reason"]) == ["not an image of a known format", "the file is empty"]
    judged = predictions[predictions["error"] == ""]
    np.testing.assert_array_equal(judged["file"], images.files)
    np.testing.assert_array_equal(judged["anomaly_score"], image_detector.anomaly_score(images))
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    expected = roc_auc_score(labels, judged["anomaly_score"].astype(float))
    assert found["labels"]["roc_auc"] == expected
    assert {each["group"]: each["n_judged"] for each in found["groups"]} == {"good": 6, "odd": 3}
    assert {each["group"]: each["roc_auc"] for each in found["groups"]} == {
        "good": None,
        "odd": expected,
    }
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1 + 3 * 4  # the histogram; two thumbnails and the panels of each
    assert "good/03x.png" in page and "the file is empty" in page


def test_the_colours_of_error_maps_mean_the_same_in_every_report(image_detector, tmp_path):
    """The thumbnail of an error map does not depend on the images beside it."""
    import matplotlib

    low, high = image_detector.error_map_scale_
    images = np.stack([digits(2)[0], np.full((16, 16), 255, np.uint8)])[:, None]
    thumbnails = []
    for some in (images[:1], images):
        write_report(image_detector, some, tmp_path / "out", top_k=2, names=["a", "b"][: len(some)])
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        shown = re.search(r'alt="error map of a" src="data:image/png;base64,([^"]+)"', page)
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[1]))))
        thumbnails.append(pixels)
    np.testing.assert_array_equal(*thumbnails)
    error = image_detector.error_map(images[:1])[0, 0]
    colors = matplotlib.colormaps["inferno"](
        np.clip((error - low) / (high - low), 0, 1), bytes=True
    )
    assert np.abs(colors.astype(int) - thumbnails[0]).max() <= 1


def test_the_scale_of_error_maps_is_kept_from_the_training(image_detector, folder):
    images = load_image_folder(folder / "good", size=16)
    maps = image_detector.error_map(images).sum(1)
    low, high = image_detector.error_map_scale_
    assert low == min(0, np.quantile(maps, 0.001))
    np.testing.assert_allclose(high, np.quantile(maps, 0.999), rtol=1e-6)


def test_p_values_stand_where_rows_were_held_out(table, tmp_path):
    settings = {"threshold": "conformal", "percentile": 90, "max_steps": 5, "random_state": 0}
    held_out = VAEDetector(calibration_fraction=0.3, **settings).fit(table)
    rows = table.head(9).copy()
    rows.iloc[2, 0] = np.nan
    lines = write_report(held_out, rows, tmp_path / "out", top_k=0)
    whole = np.arange(9) != 2
    np.testing.assert_array_equal(lines["p_value"][whole], held_out.p_values(rows[whole]))
    assert np.isnan(lines["p_value"][2])
    assert ((lines["p_value"] <= 0.1) == lines["is_anomaly"].fillna(False)).all()
    with pytest.warns(UserWarning, match="F1 needs both classes"):
        held_out.set_threshold("f1", rows[whole], np.full(8, -1))  # anomalies alone
    assert "p_value" not in write_report(held_out, rows, tmp_path / "out", top_k=0)


@pytest.mark.parametrize(("score", "is_hint"), [("ssim", False), ("hog_neighbors", True)])
def test_an_error_map_that_is_not_the_score_s_says_so(tmp_path, score, is_hint):
    images = digits(20)
    detector = ConvVAEDetector(channels=4, max_steps=5, score=score, random_state=0).fit(images)
    write_report(detector, images, tmp_path / "out", top_k=1)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("a hint, and not the reason for the score.") == 2 * is_hint
    note = explained(detector, images, "3")["note"]
    assert (note == map_caveat(detector, "image")) if is_hint else note is None
    windows = WindowDetector(detector, window_shape=(16, 8), random_state=0).fit(images)
    assert bool(map_caveat(windows, "image")) is is_hint


def test_pictures_carry_what_their_error_map_does_not_say(table, monkeypatch):
    detector = VAEDetector(max_steps=5, score="latent", random_state=0).fit(table)
    titles = []
    monkeypatch.setattr(_pictures, "_png", lambda figure: titles.append(figure.get_suptitle()))
    _pictures.row_picture(detector, "a", np.ones(4), list(table))
    assert titles[0].replace("\n", " ") == map_caveat(detector, "row")


def test_a_detector_of_windows_has_no_reconstruction(tmp_path):
    images = digits(20)
    windows = WindowDetector(
        ConvVAEDetector(channels=4, max_steps=5), window_shape=(16, 8), random_state=0
    ).fit(images)
    low, high = windows.error_map_scale_
    assert (low, high) == pytest.approx(map_scale(windows.error_map(images)))
    write_report(windows, images, tmp_path / "out", top_k=1)
    with Image.open(next((tmp_path / "out" / "pictures").iterdir())) as narrow:
        assert narrow.width > narrow.height


def test_points_of_a_series_are_no_rows(tmp_path):
    series = np.sin(np.arange(60.0))
    detector = SlidingWindowDetector(VAEDetector(max_steps=2), 8).fit(series)
    with pytest.raises(ValueError, match="A SlidingWindowDetector scores points of a series by"):
        write_report(detector, series[:, None], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_unreadable(image_detector, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.png").write_bytes(b"no")
    with pytest.warns(UserWarning, match="0 images were found, and 1 files"):
        images = load_image_folder(tmp_path / "new", **image_detector.image_preparation_)
    predictions = write_report(image_detector, images, tmp_path / "out")
    assert list(predictions["error"]) == ["unreadable"]
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["n_judged"] == 0 and found["scores"] == {} and found["most_anomalous"] == []


def test_a_report_replaces_a_report_and_nothing_else(table, detector, tmp_path):
    out = tmp_path / "out"
    write_report(detector, table, out, top_k=3)
    write_report(detector, table, out, top_k=1)
    assert len(list((out / "pictures").iterdir())) == 1
    (out / "mine.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"holds other files .* 'mine.txt'"):
        write_report(detector, table, out)
    assert (out / "mine.txt").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(FileExistsError, match="is no folder"):
        write_report(detector, table, out / "mine.txt")


@pytest.mark.parametrize(
    ("files", "other"),
    [
        ({"pictures/x.jpg": "precious"}, "pictures"),
        ({"pictures/001_x.png": "precious", "report.html": ""}, "pictures"),
        ({"predictions.csv": "precious"}, "predictions.csv"),
        ({"report.html": "precious", "summary.json": "no JSON"}, "report.html"),
        ({"report.html": "precious", "summary.json": "[]"}, "report.html"),
        ({"report.html": "precious", "summary.json": '{"n": 1}'}, "report.html"),
        (
            {"report.html": "precious", "summary.json": '{"skvae": "1", "most_anomalous": [3]}'},
            "report.html",
        ),
    ],
)
def test_files_that_are_called_like_those_of_a_report_are_none(
    table, detector, tmp_path, files, other
):
    for name, text in files.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(FileExistsError, match=f"holds other files than a report, such as '{other}"):
        write_report(detector, table, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_text() for name in files} == files


def test_a_picture_that_the_report_did_not_draw_is_kept(table, detector, tmp_path):
    out = tmp_path / "out"
    write_report(detector, table, out, top_k=1)
    (out / "pictures" / "999_mine.png").write_text("precious")
    with pytest.raises(FileExistsError, match=r"such as 'pictures/999_mine.png'"):
        write_report(detector, table, out)
    assert (out / "pictures" / "999_mine.png").read_text() == "precious"


def test_a_report_and_its_input_do_not_mix(image_detector, folder, table, detector, tmp_path):
    images = load_image_folder(folder / "odd", size=16)
    for place in (folder / "odd", folder / "odd" / "report"):
        with pytest.raises(FileExistsError, match="lies in the input|holds other files"):
            write_report(image_detector, images, place)
    assert not (folder / "odd" / "report").exists()
    out = tmp_path / "out"
    write_report(image_detector, images, out, top_k=2)
    (tmp_path / "link").symlink_to(out / "pictures")
    for source in (out / "pictures", tmp_path / "link", out / "predictions.csv"):
        with pytest.raises(FileExistsError, match=r"holds the input .*, which the report would"):
            report_module.check_out(out, source)
    report_module.check_out(tmp_path / "pictures", out / "pictures")


def test_the_folder_one_is_in_is_not_replaced(table, detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileExistsError, match=r"^\. holds the folder you are in"):
        write_report(detector, table, ".")
    write_report(detector, table, "out", top_k=1)
    monkeypatch.chdir(tmp_path / "out" / "pictures")
    with pytest.raises(FileExistsError, match=r"^\.\. holds the folder you are in"):
        write_report(detector, table, "..")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupt_leaves_what_was_there(table, detector, tmp_path, monkeypatch, error):
    out = tmp_path / "out"
    write_report(detector, table, out, top_k=1)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def stop(*args):
        raise error

    monkeypatch.setattr(report_module, "page", stop)
    for place in (out, tmp_path / "new"):
        with pytest.raises(error):
            write_report(detector, table, place, top_k=1)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_put_back_when_the_swap_is_interrupted(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    moves = []

    def replace(source, target):
        moves.append(target)
        if len(moves) == 2:
            raise KeyboardInterrupt
        Path(source).rename(target)

    monkeypatch.setattr("skvae._files.os.replace", replace)
    with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "out") as beside:
        (beside / "new").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_one_image(image_detector, folder, tmp_path):
    file = folder / "odd" / "00.png"
    is_anomaly, error = judge_image(image_detector, file, picture=tmp_path / "why.png")
    image = load_image_folder(folder / "odd", size=16)[0]
    assert error == image_detector.anomaly_score(image[None])[0]
    assert is_anomaly is (error > image_detector.threshold_)
    assert judge_image(image_detector, image) == (is_anomaly, error)
    with open(file, "rb") as stream:
        assert judge_image(image_detector, stream) == (is_anomaly, error)
    with Image.open(tmp_path / "why.png") as picture:
        assert picture.width > 3 * picture.height > 300
    odd = tmp_path / "a$b$ \\frac$\n日.png"  # no formula
    odd.write_bytes(file.read_bytes())
    assert judge_image(image_detector, odd, picture=tmp_path / "odd.png") == (is_anomaly, error)
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"bad.png cannot be used: not an image"):
        judge_image(image_detector, tmp_path / "bad.png")


def test_one_image_file_needs_a_preparation(tmp_path):
    detector = ConvVAEDetector(channels=4, max_steps=2).fit(digits(10))
    with pytest.raises(ValueError, match="was not trained on image files.*pass an array"):
        judge_image(detector, tmp_path / "a.png")


def test_features_are_ordered_and_their_shares_add_up(table, detector):
    rows = table.iloc[:3].copy()
    rows.iloc[1, 3] += 20
    features = features_of(detector, rows)
    assert features[1][0]["feature"] == "日本"
    for i, own in enumerate(features):
        assert np.isclose(sum(each["share"] for each in own), 1)
        contributions = [each["error_map"] for each in own]
        assert contributions == sorted(contributions, reverse=True)
        np.testing.assert_allclose(sorted(contributions), sorted(detector.error_map(rows)[i]))
        by_name = {each["feature"]: each for each in own}
        np.testing.assert_allclose(
            [by_name[name]["expected"] for name in rows], detector.reconstruct(rows)[i]
        )


def test_explained(table, detector):
    rows = table.copy()
    rows.iloc[11, 0] += 40
    rows.iloc[3, 0] = np.nan
    found = explained(detector, rows)
    assert found["name"] == "11" and found["is_anomaly"]
    assert found["features"][0]["feature"] == "age"
    assert explained(detector, rows, "7")["name"] == "7"
    with pytest.raises(ValueError, match="no row is named 'x'; the first are 0, 1, 2"):
        explained(detector, rows, "x")
    with pytest.raises(ValueError, match="3 cannot be judged: column 'age' holds nan"):
        explained(detector, rows, "3")


@pytest.mark.parametrize("kind", [list, np.asarray, pd.DataFrame])
def test_rows_without_names_of_a_detector_that_knows_none(tmp_path, kind):
    rows = np.random.RandomState(0).randn(40, 3)
    detector = VAEDetector(max_steps=10, random_state=0).fit(rows)
    given = pd.DataFrame(rows, columns=["a", "b", "c"]) if kind is pd.DataFrame else kind(rows)
    predictions = write_report(detector, given, tmp_path / "out", top_k=1)
    np.testing.assert_array_equal(predictions["anomaly_score"], detector.anomaly_score(rows))
    assert list(predictions["row"]) == list(range(40))


@pytest.mark.parametrize("named", [False, True])
def test_flat_images_of_a_table(tmp_path, named):
    rows = digits(20).reshape(20, -1) / 255
    rows = pd.DataFrame(rows).add_prefix("pixel") if named else rows
    detector = ConvVAEDetector(image_shape=(16, 16), channels=4, max_steps=5).fit(rows)
    write_report(detector, rows, tmp_path / "out", top_k=2)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('alt="error map of') == 2 and "images judged" in page


def test_wrong_labels_and_names(table, detector, tmp_path):
    with pytest.raises(ValueError, match="y has 3 labels for 200 rows"):
        write_report(detector, table, tmp_path / "out", y=[0, 1, 0])
    with pytest.raises(ValueError, match="1 names for 200 rows"):
        write_report(detector, table, tmp_path / "out", names=["a"])
    assert not list(tmp_path.iterdir())


@given(name=st.text(st.characters(), max_size=80))
def test_any_name_is_text_of_the_page_and_a_picture_has_a_plain_one(name):
    shown = page_text(name)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown).encode() == name.encode("utf-8", "backslashreplace")
    assert re.fullmatch(r"001(_[A-Za-z0-9_]+)?\.png", report_module._file_name(1, name))
