"""The studies of images: exact figures, nothing lost by a kill, reports that are whole."""

import importlib
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib", reason="the pictures: pip install skvae[plot]")

from skvae import VAEDetector, cli, studies
from skvae.datasets import load_digits_images
from skvae.studies import _images, _pictures, _shift_drift
from skvae.studies._pieces import Pieces

# The functions of these names hide the modules.
shift_module = importlib.import_module("skvae.studies.shift")
robustness_module = importlib.import_module("skvae.studies.robustness")
oneclass_module = importlib.import_module("skvae.studies.oneclass")

PNG = b"\x89PNG\r\n\x1a\n"
X, y = load_digits_images()


# --------------------------------------------------------------------------- pieces


def test_pieces_are_computed_once_and_found_by_the_next_run(tmp_path):
    calls = []

    def piece():
        calls.append(1)
        return [{"value": 0.1}, {"value": 0.2}]

    for _ in range(2):
        with Pieces(tmp_path, {"quick": True}, 1, False) as pieces:
            pieces.compute("a", piece, seed=3)
    assert len(calls) == 1
    assert pieces.rows("a") == [{"seed": 3, "value": 0.1}, {"seed": 3, "value": 0.2}]
    assert pieces.table("a").columns.tolist() == ["seed", "value"]
    assert min(pieces.minutes) >= 0
    with Pieces(tmp_path, {"quick": False}, 1, False) as pieces:
        pieces.compute("a", lambda: {"value": 5}, seed=3)
    assert pieces.rows("a") == [{"seed": 3, "value": 5}]
    assert len((tmp_path / "pieces.jsonl").read_text().splitlines()) == 2


def test_a_folder_holds_one_study(tmp_path):
    with Pieces(tmp_path, {"study": "shift"}, 1, False) as pieces:
        pieces.compute("a", lambda: {"value": 5})
    before = (tmp_path / "pieces.jsonl").read_bytes()
    with pytest.raises(ValueError, match="holds the study 'shift', this is 'oneclass'"):
        Pieces(tmp_path, {"study": "oneclass"}, 1, False)
    assert (tmp_path / "pieces.jsonl").read_bytes() == before


def test_a_piece_that_fails_leaves_the_others(tmp_path):
    def broken():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Pieces(tmp_path, {}, 2, False) as pieces:
        pieces.compute("a", lambda: {"value": 1})
        pieces.compute("b", broken)
    with Pieces(tmp_path, {}, 2, False) as pieces:
        pieces.compute("a", broken)
        pieces.compute("b", lambda: {"value": 2})
    assert [pieces.rows(part) for part in "ab"] == [[{"value": 1}], [{"value": 2}]]


# --------------------------------------------------------------------------- data and figures


def test_image_data_share_no_image_and_follow_the_seed():
    settings = _images.settings_of("shift", None, True, None, None)
    data = _images.load_image_data(None, settings, 0)
    assert [len(part) for part in data[1::2]] == [900, 647, 250]
    together = np.concatenate([data.X_train, data.X_stream, data.X_test])
    assert np.array_equal(np.sort(together.sum((1, 2))), np.sort(X.sum((1, 2))))
    assert np.array_equal(data.X_test, _images.load_image_data(None, settings, 0).X_test)
    assert not np.array_equal(data.X_test, _images.load_image_data(None, settings, 1).X_test)


def test_full_data_take_the_test_images_of_the_test_file(data_home):
    settings = _images.settings_of("shift", data_home, False, 1000, 500)
    data = _images.load_image_data(data_home, settings, 0)
    assert [len(part) for part in data[1::2]] == [1000, 59_000, 500]
    settings = _images.settings_of("shift", data_home, False, 100, 10_000)
    everything = _images.load_image_data(data_home, settings, 5)
    test_file = {image.tobytes() for image in everything.X_test}
    assert all(image.tobytes() in test_file for image in data.X_test)


@pytest.mark.parametrize("n_train, n_test", [(99, None), (40_001, None), (None, 10_001)])
def test_too_few_or_too_many_images_is_an_error(n_train, n_test):
    with pytest.raises(ValueError, match="must be from 100 to .* images of MNIST; found"):
        studies.shift(n_train=n_train, n_test=n_test)
    with pytest.raises(ValueError, match="images of the 8 x 8 digits; found"):
        studies.robustness(n_train=n_train, n_test=n_test or 50_000, quick=True)


@pytest.mark.parametrize("side", [8, 28])
def test_corruptions_change_what_their_names_say(side):
    images = np.full((50, side, side), 100, dtype=np.uint8)
    corruptions = _images.corruptions_of(side)
    assert len(corruptions) == 10
    for name, corrupt in corruptions.items():
        changed, mask = corrupt(images, random_state=0, return_mask=True)
        assert changed.shape == images.shape and mask.any()
        if "stripe" in name:
            assert set(mask.sum((1, 2))) == {side}
            assert (changed[mask] == (255 if " on" in name else 0)).all()
        if "occluded" in name:
            size = int(name.split("x")[0].split()[-1])
            assert set(mask.sum((1, 2))) == {size**2}
    off = next(name for name in corruptions if "off" in name)
    low, high = (int(word) for word in off.split("lines ")[1].split(" to "))
    mask = corruptions[off](images, random_state=0, return_mask=True)[1]
    rows = np.flatnonzero(mask.all(axis=2).any(axis=0))
    assert (rows.min(), rows.max()) == (low, high)


def test_families_rise_in_strength():
    for name, family in _images.families_of(8).items():
        changes = [
            np.abs(family.corrupt(X[:100], strength, 0).astype(float) - X[:100]).mean()
            for strength in family.strengths
        ]
        assert changes == sorted(changes), name


def test_plain_score_and_nats_are_those_of_the_detector():
    rows = _images.as_floats(X[:200]).reshape(200, -1)
    detector = VAEDetector(
        likelihood="bernoulli",
        scaler=None,
        contamination=0,
        score="reconstruction",
        max_steps=100,
        random_state=0,
    ).fit(rows)
    plain = _images.plain_score(detector, X[:200])
    np.testing.assert_allclose(plain, detector.anomaly_score(rows), rtol=1e-5)
    nats, kl = _images.nats_of(detector, X[:200])
    elbo = detector.set_params(score="elbo").fit(rows).anomaly_score(rows)
    np.testing.assert_allclose(nats + kl, elbo, rtol=1e-5)
    assert kl.min() > 0 and kl.mean() < nats.mean()


def test_auroc_counts_pairs_in_order():
    assert _images.auroc([0.0, 1.0], [2.0, 0.5]) == 0.75


def test_contaminated_training_images():
    bench = robustness_module.Bench(None, _images.settings_of("shift", None, True, None, None), 0)
    clean = bench._data.X_train
    changed = (bench._contaminated(0.2) != clean).any(axis=(1, 2))
    assert 0.9 * 0.2 < changed.mean() <= 0.2
    np.testing.assert_array_equal(bench._contaminated(0.0), clean)
    np.testing.assert_array_equal(clean, bench._data.X_train)


def test_correlations_of_known_lines():
    line = {"mean_score": [0, 1, 2], "latent_mmd": [2, 1, 0], "latent_ks": [1, 1, 1]}
    line |= {"score_ks": [0, 1, 8], "drifted": [0, 1, 1]}
    table = pd.DataFrame({"seed": 0, "corruption": "a", "lost_accuracy": [0.0, 0.1, 0.2]} | line)
    row = _shift_drift.correlations(table).set_index("corruption").loc["a"]
    assert row["mean_score, Pearson"] == pytest.approx(1)
    assert row["latent_mmd, Spearman"] == pytest.approx(-1)
    assert np.isnan(row["latent_ks, Pearson"])
    assert row["score_ks, Spearman"] == pytest.approx(1)
    assert 0.8 < row["score_ks, Pearson"] < 0.95


def test_mosaic_places_every_image():
    images = np.arange(24.0).reshape(2, 3, 2, 2) / 24
    picture = _pictures.mosaic(images)
    assert picture.shape == (6, 9)
    np.testing.assert_array_equal(picture[3:5, 6:8], images[1, 2])
    assert np.isnan(picture[2]).all() and np.isnan(picture[:, 2]).all()


# --------------------------------------------------------------------------- the studies


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Each study once, as quick as can be, with its report."""
    patch = pytest.MonkeyPatch()
    patch.setitem(_images.QUICK_TRAINING, "max_steps", 40)
    patch.setattr(robustness_module, "LATENT_DIMS", (2, 16))
    patch.setattr(robustness_module, "SHARES", (0.0, 0.1))
    patch.setattr(oneclass_module, "DIGITS", (0, 8))
    folder = tmp_path_factory.mktemp("reports")
    options = {"quick": True, "progress": False}
    found = SimpleNamespace(
        shift=studies.shift(out=folder / "shift", **options),
        robustness=studies.robustness(out=folder / "robustness", **options),
        oneclass={"results": studies.oneclass(out=folder / "oneclass", **options)},
        folder=folder,
    )
    yield found
    patch.undo()


STUDIES = ("shift", "robustness", "oneclass")


@pytest.mark.parametrize("name", STUDIES)
def test_report_holds_its_tables_and_shows_its_pictures(reports, name):
    folder, tables = reports.folder / name, getattr(reports, name)
    for key, table in tables.items():
        pd.testing.assert_frame_equal(pd.read_csv(folder / f"{key}.csv"), table, check_dtype=False)
        assert len(json.loads((folder / f"{key}.json").read_text())) == len(table)
    page = (folder / "report.md").read_text()
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures and all(f"]({picture})" in page for picture in pictures)
    assert page.count("](") == len(pictures)
    assert all((folder / picture).read_bytes().startswith(PNG) for picture in pictures)
    assert "Quick run" in page and "seed 0" in page and "nan" not in page
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def _no_more(*args, **kwargs):
    raise AssertionError("this was computed already")


@pytest.mark.parametrize("name", STUDIES)
def test_command_line_goes_on_with_what_is_there(reports, name, capsys, monkeypatch):
    pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
    module = importlib.import_module(f"skvae.studies.{name}")
    monkeypatch.setattr(module, "load_image_data", _no_more)
    folder = reports.folder / name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.md").unlink()
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", name, "--quick", "--out", str(folder)])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "AUROC" in out and f"report: {folder / 'report.md'}" in out.replace("\n", "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", STUDIES)
def test_command_line_says_in_one_line_what_is_wrong(name, capsys, tmp_path):
    pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", name, "--test-images", "7", "--out", str(tmp_path / "report")])
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "skvae: n_test must be from 100 to 10000 images of MNIST; found 7.\n"
    )
    assert not (tmp_path / "report").exists()


def test_lost_pieces_are_computed_again_to_the_same_figures(reports, monkeypatch):
    folder = reports.folder / "oneclass"
    journal = folder / "pieces.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[1:])[:-20])  # the first one lost, the last one torn
    again = studies.oneclass(out=folder, quick=True, progress=False)
    pd.testing.assert_frame_equal(again, reports.oneclass["results"])


def test_shift_tables(reports):
    tables = reports.shift
    accuracy = tables["accuracy"].set_index("shift")["accuracy"]
    assert accuracy["standard"] > 0.9 and accuracy["rotated 30"] < accuracy["standard"]
    assert tables["auroc"]["plain"].between(0, 1).all()
    has_default = tables["auroc"]["default"].notna()
    assert set(tables["auroc"][has_default]["detector"]) == {"Conv-VAE, beta=1"}
    by_shift = tables["auroc"][has_default].set_index("shift")["default"]
    assert by_shift["noise sd 0.3"] > 0.9
    assert 0.4 < by_shift["digits 0-4"] < 0.6
    beta = tables["beta"].set_index("detector")
    assert (beta["kl"] > 0).all() and (beta["active_latents"] <= beta["latents"]).all()
    assert beta["beta"].to_dict() == {
        "Conv-VAE, beta=1": 1.0,
        "Conv-VAE, beta=4": 4.0,
        "FC-VAE": 1.0,
    }
    drift = tables["drift"].set_index(["shift", "n"])["drifted"]
    assert drift["standard", 20] < 0.2 and drift["noise sd 0.3", 50] > 0.9
    zero = tables["strengths"].query("strength == 0")
    assert (zero[["lost_accuracy", "mean_score"]] == 0).all(axis=None)
    values = tables["correlation"].filter(like="arson").stack()
    assert values.between(-1, 1).all()


def test_robustness_tables(reports):
    tables = reports.robustness
    for key in ("auroc", "bottleneck", "contamination", "strength"):
        assert tables[key][["plain", "default"]].stack().between(0, 1).all()
    figures = tables["auroc"].set_index(["detector", "corruption"])["default"]
    assert figures["Conv-VAE", "noise sd 0.3"] > 0.9
    curves = tables["roc"].groupby(["detector", "score", "corruption"])
    for (detector, score, corruption), curve in curves:
        area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
        exact = tables["auroc"].set_index(["detector", "corruption"]).loc[detector, score]
        assert area == pytest.approx(exact[corruption], abs=0.02)
    assert set(tables["contamination"]["share"]) == {0.0, 0.1}
    # The clean training and the default bottleneck are the default CAE itself.
    cae = tables["auroc"].query("detector == 'CAE'")["default"].to_numpy()
    for key, query in (("bottleneck", "latent_dim == 16"), ("contamination", "share == 0")):
        np.testing.assert_array_equal(tables[key].query(query)["default"], cae)
    pixels = tables["pixels"].set_index(["corruption", "truth"]).sort_index()
    assert pixels["pixel_auroc"].between(0, 1).all() and pixels["pixel_ap"].between(0, 1).all()
    # A region holds the pixels that changed in it, and all patches of a size are equally large.
    shares = pixels["anomalous_pixels"]
    assert (shares.xs("region", level=1) >= shares.xs("changed", level=1)).all()
    assert shares["occluded 3x3 centre", "region"].unique().tolist() == [9 / 64]
    assert shares["stripe off, lines 2 to 5", "region"].unique().tolist() == [1 / 8]
    changed = tables["changed"].set_index("corruption")
    assert changed.loc["occluded 2x2 anywhere", "unchanged_images"] > 0
    assert changed.loc["stripe on, anywhere", "changed_pixels"] <= 1 / 8
    statistics = json.loads((reports.folder / "robustness" / "statistics.json").read_text())
    described = statistics[0]["images"]
    assert described["training"]["n_images"] == 900
    assert sum(described["test"]["images_of_each_digit"].values()) == 250


def test_oneclass_table(reports):
    results = reports.oneclass["results"]
    means = results.groupby("method")["auroc"].mean()
    assert means["HOG neighbours"] > 0.9 and means["PCA-25 error"] > 0.9
    assert (results["n_train"] > 100).all()
