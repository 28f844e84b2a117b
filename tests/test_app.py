"""The app: what it makes of uploads, its figures, and the page, driven without a browser."""

import io
import pickle
import string
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

pytest.importorskip("streamlit", reason="the app: pip install skvae[app]")
pytest.importorskip("plotly", reason="the app: pip install skvae[app]")
from PIL import Image
from streamlit.testing.v1 import AppTest

import skvae
from skvae.app import _figures, _judge, _page, _uploads, run_app
from skvae.reports._explained import features_of

COLUMNS = ["pressure", "flow", "<b>rpm</b>"]


@pytest.fixture(scope="module")
def images():
    return (load_digits().images * 15.9).astype(np.uint8)


@pytest.fixture(scope="module")
def image_detector(images):
    return skvae.ConvVAEDetector(channels=(4, 8), max_steps=60, random_state=0).fit(images[:200])


@pytest.fixture(scope="module")
def rows():
    return pd.DataFrame(np.random.RandomState(0).randn(100, 3), columns=COLUMNS)


@pytest.fixture(scope="module")
def row_detector(rows):
    detector = skvae.VAEDetector(score="reconstruction", max_steps=60, random_state=0)
    return detector.fit(rows)


@pytest.fixture(scope="module")
def models(tmp_path_factory, image_detector, row_detector):
    folder = tmp_path_factory.mktemp("models")
    skvae.save(image_detector, folder / "digits.safetensors")
    skvae.save(row_detector, folder / "pump.safetensors")
    return folder


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


class Upload(io.BytesIO):
    """An uploaded file, as Streamlit hands it over."""

    def __init__(self, name, content):
        super().__init__(content)
        self.name = name


def judged(scores, names=None, latents=None):
    names = names or [f"{i}.png" for i in range(len(scores))]
    samples = _uploads.Samples("file", names, None, [])
    return _judge.Judged(samples, np.asarray(scores, dtype=float), latents)


# -- numbers and tables ------------------------------------------------------------------------


def test_rarity_is_the_percentage_below():
    assert _judge.rarity(np.array([3.0, 1.0, 2.0, 2.0]), [0, 2, 2.5, 9]).tolist() == [
        *(0, 25, 75, 100)
    ]


def with_scores(scores, threshold, held_out=False):
    return SimpleNamespace(
        calibration_scores_=scores, threshold_=threshold, calibration_is_held_out_=held_out
    )


def test_score_axis_holds_the_threshold_and_no_far_score():
    scores = np.r_[np.linspace(0, 1, 1000), 1e9]
    low, high = _judge.score_axis(with_scores(scores, 0.5))
    assert low == 0 and 1.9 < high < 2.1
    assert _judge.score_axis(with_scores(scores, 7.0)) == (0, 14)
    assert _judge.score_axis(with_scores(scores, -1.0))[0] == -1
    low, high = _judge.score_axis(with_scores(np.full(5, 3.0), 3.0))
    assert low == 3 and high > 3
    for infinite in (np.inf, -np.inf):
        assert _judge.score_axis(with_scores(np.arange(3.0), infinite)) == pytest.approx((0, 3.96))


def test_scores_are_called_what_they_are_of():
    assert _judge.scored(with_scores(np.zeros(1200), 0)) == "1,200 training samples"
    assert _judge.scored(with_scores(np.zeros(3), 0, held_out=True)) == "3 held-out samples"


def test_results_have_a_line_for_everything():
    made = judged([1.0, 5.0])
    made.samples.problems.append(("bad.png", "not an image"))
    table = _judge.results_table(made, 1.0)
    assert table["file"].tolist() == ["0.png", "1.png", "bad.png"]
    assert table["is_anomaly"].tolist() == [False, True, pd.NA]
    assert table["reason"].tolist() == ["", "", "not an image"]
    assert table.to_csv(index=False).splitlines()[-1] == "bad.png,,,,not an image"


@pytest.mark.parametrize("parameters", [{}, {"n_estimators": 2}, {"score": "neighbors"}])
def test_kept_latents_are_those_of_the_training(images, parameters):
    X = images[:80]
    detector = skvae.ConvVAEDetector(channels=(4, 8), max_steps=20, random_state=0, **parameters)
    kept = _judge.kept_latents(detector.fit(X).score_)
    np.testing.assert_allclose(kept, detector.transform(X), atol=1e-5)


def test_scores_without_neighbours_keep_no_latents(row_detector):
    assert _judge.kept_latents(row_detector.score_) is None


def test_latent_map_keeps_distances_and_says_what_it_explains():
    rng = np.random.RandomState(0)
    training = rng.randn(50, 3) * (5, 2, 1)
    places = _judge.latent_map(training[:4], training)
    between = np.linalg.norm(places.samples[:, None] - places.samples, axis=2)
    np.testing.assert_allclose(
        between, np.linalg.norm(training[:4, None] - training[:4], axis=2), atol=1e-9
    )
    np.testing.assert_allclose(places.training[:4], places.samples, atol=1e-9)
    assert places.shares.sum() == pytest.approx(1) and places.shares[0] > 0.7
    assert _judge.latent_map(training).training is None


def test_latent_map_of_too_few_is_none():
    assert _judge.latent_map(np.eye(2)) is None
    assert _judge.latent_map(np.ones((5, 4))) is None
    assert _judge.latent_map(np.arange(5.0)[:, None]) is None
    assert _judge.latent_map(np.eye(3)).samples.shape == (3, 2)
    assert _judge.latent_map(np.eye(5)[:1], np.eye(5)).samples.shape == (1, 3)


# -- uploads -----------------------------------------------------------------------------------


def test_images_are_prepared_as_the_model_needs_them(image_detector, images):
    larger = np.kron(images[3], np.ones((4, 4), np.uint8))
    files = [Upload("a.png", png(images[0])), Upload("b.png", png(np.stack([larger] * 3, 2)))]
    samples = _uploads.read_images(image_detector, files)
    assert samples.names == ["a.png", "b.png"] and samples.problems == []
    assert samples.X.shape == (2, 1, 8, 8) and samples.X.dtype == np.uint8
    assert np.array_equal(samples.X[0, 0], images[0])
    assert np.abs(samples.X[1, 0].astype(int) - images[3]).max() < 80


def test_an_unreadable_image_is_named_and_the_others_work(image_detector, images):
    good = png(images[0])
    files = [Upload("a.png", good), Upload("cut.png", good[:60]), Upload("empty.png", b"")]
    samples = _uploads.read_images(image_detector, [*files, Upload("b.png", good)])
    assert samples.names == ["a.png", "b.png"] and len(samples.X) == 2
    assert [name for name, _ in samples.problems] == ["cut.png", "empty.png"]
    assert all(reason for _, reason in samples.problems)


def test_too_many_images_are_named(image_detector, images, monkeypatch):
    monkeypatch.setattr(_uploads, "MOST_IMAGES", 1)
    files = [Upload("a.png", png(images[0])), Upload("b.png", png(images[0]))]
    samples = _uploads.read_images(image_detector, files)
    assert samples.names == ["a.png"]
    monkeypatch.setattr(_uploads, "MOST_IMAGES", 10)
    monkeypatch.setattr(_uploads, "MOST_IMAGE_BYTES", 127)  # of 64 bytes each
    assert _uploads.read_images(image_detector, files).problems == samples.problems
    assert samples.problems == [
        ("b.png", "not read, since the page takes 1 images at a time: use skvae predict")
    ]


def test_kept_preparation_comes_first():
    kept = {"size": [30, 20], "color": "rgb"}
    assert _uploads.preparation(SimpleNamespace(image_preparation_=kept)) == kept
    layout = SimpleNamespace(is_table=False, shape=(3, 8, 9))
    of_arrays = SimpleNamespace(_layout=layout, image_preparation_=None)
    assert _uploads.preparation(of_arrays) == {"size": (8, 9), "color": "rgb"}


def test_a_model_of_tables_has_no_image_shape(image_detector, row_detector, rows):
    assert _uploads.image_shape(image_detector) == (1, 8, 8)
    assert _uploads.image_shape(row_detector) is None
    of_rows = skvae.ConvVAEDetector(channels=(4,), max_steps=2).fit(rows.to_numpy())
    assert _uploads.image_shape(of_rows) is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_tables(row_detector, rows, kind):
    table = rows.head(5).assign(note=1.0)[["note", *COLUMNS[::-1]]]
    table.iloc[2, 1] = np.nan
    content = table.to_csv(index=False).encode() if kind == "csv" else table.to_parquet(None)
    samples = _uploads.read_table(row_detector, [Upload(f"T.{kind.upper()}", content)])
    assert samples.kind == "row" and samples.names == ["0", "1", "3", "4"]
    assert samples.X.columns.tolist() == COLUMNS
    np.testing.assert_allclose(samples.X, rows.iloc[[0, 1, 3, 4]])
    ((name, reason),) = samples.problems
    assert name == "2" and reason == "column '<b>rpm</b>' is empty"
    assert samples.label(name) == "row 2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the table is no CSV file that can be read: No columns to parse from file"),
        (b"pressure,flow\n1,2\n", "the table lacks 1 of the 3 columns"),
        (b"pressure,flow,<b>rpm</b>\n" + b"1,2,3\n" * 9, "it has 9 rows, and the page takes 8"),
        (b"\xff\xfe\x00", "the table is no text in UTF-8"),
        (
            b"pressure;flow;<b>rpm</b>\n1,5;2;3\n",
            "numbers need a decimal point, not a comma, but of the columns of the table 'pressure' "
            "holds '1,5'. Leave out what is of no use; take one",
        ),
    ],
)
def test_wrong_tables_are_one_clear_message(row_detector, monkeypatch, content, message):
    monkeypatch.setattr(_uploads, "MOST_ROWS", 8)
    samples = _uploads.read_table(row_detector, [Upload("t.csv", content)])
    assert samples.names == []
    ((name, reason),) = samples.problems
    assert name == "t.csv" and reason.startswith(message)


def test_a_small_parquet_file_of_many_rows_is_not_read(row_detector, monkeypatch):
    content = pd.DataFrame(dict.fromkeys(COLUMNS, [1.0] * 100_000)).to_parquet(None)
    monkeypatch.setattr(pd, "read_parquet", None)  # reading it would fail
    ((_, reason),) = _uploads.read_table(row_detector, [Upload("t.parquet", content)]).problems
    assert reason.startswith("it has 100,000 rows")


@pytest.mark.parametrize("most", [1_000_000, 1000])
def test_nor_one_that_would_take_much_memory(row_detector, monkeypatch, most):
    table = pd.DataFrame(dict.fromkeys(COLUMNS, [1.0] * 2000) | {"note": ["long" * 1000] * 2000})
    content = table.to_parquet(None)
    assert len(content) < 100_000 < table["note"].str.len().sum()
    monkeypatch.setattr(pd, "read_parquet", None)
    monkeypatch.setattr(_uploads, "MOST_TABLE_BYTES", most)
    ((_, reason),) = _uploads.read_table(row_detector, [Upload("t.parquet", content)]).problems
    assert reason.startswith("it holds more than 0 MiB")


def test_a_model_without_names_takes_columns_in_their_order(rows):
    detector = skvae.VAEDetector(max_steps=2).fit(rows.to_numpy())
    content = rows.head(4).set_axis(list("abc"), axis=1).to_csv(index=False).encode()
    samples = _uploads.read_table(detector, [Upload("t.csv", content)])
    np.testing.assert_allclose(
        _judge.judge(detector, samples).scores, detector.anomaly_score(rows.head(4).to_numpy())
    )
    ((_, reason),) = _uploads.read_table(detector, [Upload("t.csv", b"a,b\n1,2\n")]).problems
    assert reason == "it has 2 columns, and the model takes 3."


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_pickles_are_refused_unread(tmp_path):
    trap = tmp_path / "sprung"
    content = pickle.dumps(Trap(str(trap)))
    with pytest.raises(ValueError, match=r"^m\.safetensors cannot be loaded as a model: .*pickle"):
        _uploads.load_uploaded_model(Upload("m.safetensors", content))
    assert not trap.exists()


def test_models_are_loaded_and_others_are_refused(models, rows, row_detector, monkeypatch):
    content = (models / "pump.safetensors").read_bytes()
    loaded = _uploads.load_uploaded_model(Upload("m.safetensors", content))
    assert np.array_equal(loaded.anomaly_score(rows), row_detector.anomaly_score(rows))
    monkeypatch.setattr(skvae, "load", lambda path: skvae.CNNClassifier())
    with pytest.raises(ValueError, match=r"^c\.safetensors holds a CNNClassifier, which finds no"):
        _uploads.load_model("c.safetensors", "c.safetensors")
    windows = skvae.WindowDetector(skvae.ConvVAEDetector())
    monkeypatch.setattr(skvae, "load", lambda path: windows)
    with pytest.raises(ValueError, match="^w.* does not show WindowDetector: use skvae predict"):
        _uploads.load_model("w.safetensors", "w.safetensors")
    series = skvae.SlidingWindowDetector(skvae.VAEDetector())
    monkeypatch.setattr(skvae, "load", lambda path: series)
    with pytest.raises(ValueError, match="^s.* does not show SlidingWindowDetector: use Python"):
        _uploads.load_model("s.safetensors", "s.safetensors")
    four_channels = skvae.ConvVAEDetector(channels=(4,), max_steps=2).fit(np.zeros((9, 4, 8, 8)))
    monkeypatch.setattr(skvae, "load", lambda path: four_channels)
    with pytest.raises(ValueError, match="^This model takes images of 4 channels, and files hold"):
        _uploads.load_model("d.safetensors", "d.safetensors")


# -- figures -----------------------------------------------------------------------------------


def test_histogram_counts_all_scores_and_shows_the_sample():
    detector = with_scores(np.r_[np.linspace(0, 1, 99), 50.0], 0.7)
    made = judged([0.2, 1e6], ["a.png", "<a href='x'>b</a>.png"])
    figure = _figures.score_histogram(detector, made, 1, 0.5)
    bars, normal, anomalies, chosen = figure.data
    assert sum(bars.y) == 100
    assert normal.x.tolist() == [0.2] and normal.text == ("a.png: 0.2",)
    high = _judge.score_axis(detector)[1]
    assert anomalies.x.tolist() == [high] and chosen.x[0] == high
    assert chosen.text == ("&lt;a href=&#x27;x&#x27;&gt;b&lt;/a&gt;.png: 1e+06",)
    assert list(anomalies.marker.symbol) == ["triangle-right-open"]
    assert list(normal.marker.symbol) == ["line-ns-open"]
    assert [each.text for each in figure.layout.annotations][0] == "off scale: 1e+06"
    within = _figures.score_histogram(detector, made, 0, 0.5).layout.annotations
    assert [each.text for each in within] == [" threshold 0.5 "]
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 0.5
    low, top = figure.layout.xaxis.range
    assert low < 0 and top > high


@pytest.mark.parametrize("n_dimensions", [2, 3])
def test_latents_stand_among_those_of_the_training(n_dimensions):
    latents = np.random.RandomState(0).randn(4000, 5)
    made = judged([0.1, 0.9, 0.5])
    places = _judge.latent_map(latents[:3], latents)
    training, normal, anomalies, chosen = _figures.latent_scatter(
        made, 1, places, 0.5, n_dimensions
    ).data
    assert training.type == ("scatter3d" if n_dimensions == 3 else "scatter")
    assert 1000 < len(training.x) <= 1500  # enough to see the cloud
    assert (len(normal.x), len(anomalies.x)) == (2, 1)  # at the threshold is normal
    for axis, column in zip("xyz"[:n_dimensions], places.samples.T, strict=False):
        assert chosen[axis] == pytest.approx([column[1]])
    alone = _figures.latent_scatter(made, 1, _judge.latent_map(latents[:3]), 0.5, 2)
    assert [trace.name for trace in alone.data] == ["normal", "anomaly", "this sample"]


def test_feature_bars_escape_names(row_detector, rows):
    odd = rows.head(1).assign(flow=30)
    (features,) = features_of(row_detector, odd)
    (bars,) = _figures.feature_bars(features, is_anomaly=True).data
    assert bars.y[0] == "flow" and set(bars.y[1:]) == {"pressure", "&lt;b&gt;rpm&lt;/b&gt;"}
    np.testing.assert_allclose(np.sort(bars.x), np.sort(row_detector.error_map(odd)[0]))
    assert bars.customdata[0][0] == 30


def test_panels_have_the_scale_of_the_training(image_detector, images):
    panels = {
        image.get_extent()[0]: image.get_clim()
        for figure in [_figures.image_panels(image_detector, images[5][None])]
        for image in figure.axes[0].get_images()
    }
    assert len(panels) == 5
    scale = pytest.approx(image_detector.error_map_scale_)
    assert sum(limits == scale for limits in panels.values()) == 2  # error map and overlay


# -- the page ----------------------------------------------------------------------------------


def script(models):
    from skvae.app import _page

    _page.page(models)


def start(models=None):
    app = AppTest.from_function(script, args=(models,), default_timeout=60).run()
    assert not app.exception
    return app


def upload(app, files, place="main"):
    files = [(*file, "application/octet-stream") for file in files]
    (uploader,) = getattr(app, place).file_uploader
    uploader.set_value(files if uploader.accept_multiple_files else files[0])
    app.run()
    assert not app.exception
    return app


def look_at(app, name):
    (choice,) = app.main.selectbox
    (index,) = (i for i, label in enumerate(choice.options) if label.startswith(f"{name} ("))
    choice.select_index(index).run()
    assert not app.exception


def verdict(app):
    (box,) = [*app.success, *app.warning]
    return box.value


@pytest.fixture
def digits(images):
    """Two digits and an image of noise."""
    noise = np.random.RandomState(0).randint(0, 256, (8, 8), dtype=np.uint8)
    return [("1.png", png(images[300])), ("2.png", png(images[301])), ("noise.png", png(noise))]


def test_the_page_begins_with_a_model():
    app = start()
    assert "choose a **model**" in app.markdown[0].value
    assert len(app.file_uploader) == 1 and not app.slider and not app.error
    assert app.file_uploader[0].allowed_type == [".safetensors"]


def test_images_are_judged(models, digits, image_detector, images):
    app = upload(start(models), digits)
    X = np.stack([images[300], images[301], np.array(Image.open(io.BytesIO(digits[2][1])))])
    scores = image_detector.anomaly_score(X)
    flagged = image_detector.predict(X) == -1
    assert flagged[2] and not flagged[0]
    assert [metric.value for metric in app.metric] == ["3", str(flagged.sum()), "0"]
    assert verdict(app).startswith(f"**Anomaly.** noise\\.png: score {scores[2]:.4g}, threshold")
    table = app.dataframe[0].value
    np.testing.assert_allclose(table["anomaly_score"], scores)
    assert table["is_anomaly"].tolist() == flagged.tolist()
    look_at(app, "1.png")
    assert verdict(app).startswith("**Normal.**")


def test_the_threshold_acts_at_once_and_goes_back(models, digits, image_detector):
    app = upload(start(models), digits)
    slider = app.slider[0]
    assert slider.value == image_detector.threshold_
    app.slider[0].set_value(slider.min).run()
    assert app.metric[1].value == "3"
    app.slider[0].set_value(slider.max).run()
    table = app.dataframe[0].value
    assert app.metric[1].value == str((table["anomaly_score"] > slider.max).sum())
    assert set(table["threshold"]) == {slider.max}
    app.button[0].click().run()
    assert app.slider[0].value == image_detector.threshold_
    assert verdict(app).startswith("**Anomaly.**")


def test_another_model_judges_the_same_uploads(models, digits, image_detector, tmp_path):
    for name in ("a", "b"):
        skvae.save(image_detector, tmp_path / f"{name}.safetensors")
    app = upload(start(tmp_path), digits)
    before = app.dataframe[0].value
    app.sidebar.selectbox[0].set_value("b.safetensors").run()
    assert not app.exception and not app.error
    pd.testing.assert_frame_equal(app.dataframe[0].value, before)


def test_scores_are_taken_once(models, digits, monkeypatch):
    calls = []
    judge = _judge.judge
    monkeypatch.setattr(_judge, "judge", lambda *args: calls.append(1) or judge(*args))
    app = upload(start(models), digits)
    app.slider[0].set_value(app.slider[0].min).run()
    look_at(app, "2.png")
    app.radio[0].set_value("3-D").run()
    assert not app.exception and len(calls) == 1
    upload(app, digits[:1])
    assert len(calls) == 2


def test_an_infinite_threshold_begins_at_the_end_of_the_slider(tmp_path, rows):
    detector = skvae.VAEDetector(latent_dim=2, max_steps=20, threshold="conformal", random_state=0)
    with pytest.warns(UserWarning, match="nothing will be flagged"):
        detector.fit(rows.head(40))
    assert np.isinf(detector.threshold_)
    skvae.save(detector, tmp_path / "few.safetensors")
    app = start(tmp_path)
    assert app.slider[0].value == app.slider[0].max
    assert "own is inf, beyond this end" in app.sidebar.caption[-1].value
    upload(app, [("t.csv", rows.head(8).to_csv(index=False).encode())])
    assert app.radio[0].options == ["2-D"]


def test_bad_uploads_are_named_as_they_are_and_the_others_work(models, digits):
    name = "![x](http://example.org/x.png)<img src=x onerror=alert(1)>.png"
    app = upload(start(models), [*digits, (name, b"no image")])
    (error,) = app.error
    lines = error.value.splitlines()
    assert lines[0] == "**Not judged: 1**"
    assert lines[2:] == [f"- {_page.plain(name)}: {_page.plain('not an image of a known format')}"]
    assert [metric.value for metric in app.metric][::2] == ["3", "1"]
    assert app.dataframe[0].value["file"].iloc[-1] == name


def test_many_bad_uploads_do_not_fill_the_page(models):
    app = upload(start(models), [(f"{i}.png", b"no image") for i in range(9)])
    assert app.error[0].value.count("\n- ") == 6
    assert app.error[0].value.endswith("- and 4 more, which the results name")
    assert not app.metric and len(app.dataframe[0].value) == 9


def test_a_table_is_judged_and_another_model_asks_anew(models, rows, digits):
    odd = rows.head(12).copy()
    odd.iloc[7, 1] = 30
    app = upload(start(models), digits)
    app.sidebar.selectbox[0].set_value("pump.safetensors").run()
    assert not app.exception and not app.metric  # the images are none of this model's business
    upload(app, [("odd.csv", odd.to_csv(index=False).encode())])
    assert verdict(app).startswith("**Anomaly.** row 7: score")
    assert app.dataframe[0].value["feature"].iloc[0] == "flow"
    assert len(app.radio) == 1  # 12 rows have a map, though the model keeps no latents
    upload(app, [("huge.csv", odd.assign(flow=1e20).to_csv(index=False).encode())])
    assert app.error[0].value.startswith(_page.plain("huge.csv: column 'flow' holds 1e+20"))
    assert not app.metric
    upload(app, [("one.csv", odd.head(1).to_csv(index=False).encode())])
    assert not app.radio
    assert "needs at least 3 samples" in app.info[-1].value


def test_an_uploaded_model_is_used_and_a_bad_one_is_refused(models, digits, tmp_path):
    trap = tmp_path / "sprung"
    app = upload(start(), [("bad.safetensors", pickle.dumps(Trap(str(trap))))], "sidebar")
    assert app.error[0].value.startswith(_page.plain("bad.safetensors cannot be loaded"))
    assert not trap.exists() and not app.slider
    upload(app, [("d.safetensors", (models / "digits.safetensors").read_bytes())], "sidebar")
    assert not app.error and app.slider
    assert verdict(upload(app, digits)).startswith("**Anomaly.**")


def test_the_page_says_where_alone_where_the_score_does(tmp_path, digits, images):
    for name, score in (("a", "ssim"), ("b", "hog_neighbors")):
        made = skvae.ConvVAEDetector(channels=4, max_steps=5, score=score, random_state=0)
        skvae.save(made.fit(images[:40]), tmp_path / f"{name}.safetensors")
    app = upload(start(tmp_path), digits)
    assert app.subheader[0].value == "Where" and not app.info
    app.sidebar.selectbox[0].set_value("b.safetensors").run()
    assert app.subheader[0].value == "The reconstruction"
    assert "a hint, and not the reason for the score" in app.info[0].value


def test_plain_text_has_no_markup():
    assert _page.plain("a\nb\x00 ü") == "a b\x00 ü"
    for mark in string.punctuation:
        assert _page.plain(mark) == f"\\{mark}"


# -- the server --------------------------------------------------------------------------------


def test_the_server_stays_at_home(monkeypatch, tmp_path):
    from streamlit.web import cli

    started = []
    monkeypatch.setattr(cli, "main", lambda arguments, **_: started.append(arguments))
    monkeypatch.delenv("STREAMLIT_SERVER_ALLOWED_HOSTS", raising=False)
    with pytest.raises(SystemExit):
        run_app(tmp_path, port=8600, max_upload=7, open_browser=False)
    (arguments,) = started
    assert {
        "--server.address=localhost",
        "--server.port=8600",
        "--server.maxUploadSize=7",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    } <= set(arguments)
    assert arguments[0] == "run" and arguments[1].endswith("_page.py")
    assert arguments[-2:] == ["--", str(tmp_path.resolve())]


def test_the_command(monkeypatch, tmp_path, capsys):
    pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
    from skvae import app, cli

    with pytest.raises(SystemExit) as stop:
        cli.main(["app", "--models", str(tmp_path / "nowhere")])
    message = capsys.readouterr().err
    assert stop.value.code == 2 and "name one that holds models" in message
    assert message.count("\n") == 1
    started = []
    monkeypatch.setattr(app, "run_app", lambda *args, **options: started.append((args, options)))
    with pytest.raises(SystemExit):
        cli.main(["app", "--models", str(tmp_path), "--port", "81", "--no-browser"])
    options = {"port": 81, "max_upload": 200, "open_browser": False}
    assert started == [((tmp_path,), options)]
