"""Model files that are damaged, forged or no model files: one clear error, and nothing is run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import skvae
from skvae.persistence import _file
from skvae.persistence._file import opened, write

X = np.random.RandomState(0).randn(30, 3)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    path = tmp_path_factory.mktemp("kept") / "model.safetensors"
    params = {"latent_dim": 2, "hidden_layer_sizes": (4,), "random_state": 0}
    skvae.save(skvae.VAEDetector(max_steps=3, **params).fit(X), path)
    return path


@pytest.fixture
def forged(kept, tmp_path):
    """Change the model and the arrays of a file, and make its digest anew."""

    def forged(change):
        with opened(kept) as stored:
            model, arrays = stored.model, {name: stored.array(name) for name in stored.names}
        change(model, arrays)
        write(tmp_path / "forged", model, arrays)
        return tmp_path / "forged"

    return forged


def test_two_thousand_hostile_files(kept):
    """A process of its own makes and loads them, so that its memory can be measured."""
    program = [sys.executable, "-m", "tests.hostile_models", kept.parent]
    root = Path(__file__).parents[1]
    done = subprocess.run(program, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    print(done.stdout)
    assert result["files"] >= 2000
    assert result["megabytes"] < 300
    assert result["slowest"] < 30
    counts = result["counts"]
    for kind in ("flipped", "truncated", "spliced", "with_other_header"):
        assert counts[f"{kind} refused"] > 200
        assert counts.get(f"{kind} same", 0) < 20
    # So that what stands behind the digest is tried: some are refused, and some are models.
    for kind in ("with_other_model", "with_other_arrays"):
        assert min(counts[f"{kind} refused"], counts[f"{kind} another"]) > 30


def sets(*path, to):
    def change(model, arrays):
        inside = model
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = to
        text = json.dumps(model)
        for name in set(arrays):
            if f'["{name}", ' not in text:  # or it would be refused for them
                del arrays[name]

    return change


LARGE = 2**40


@pytest.mark.parametrize(
    "change, message",
    [
        (sets("class", to="Popen"), "its class 'Popen' is none that skvae loads"),
        (sets("class", to="Density"), "its class 'Density' is none that skvae loads"),
        (sets("more", to=1), "its sections are no model's"),
        (sets("params", "more", to=1), r"its parameters \['more'\] are unknown to this version"),
        (sets("params", "lr", to=-1), "'lr' parameter of VAEDetector must be a float"),
        (sets("params", "score", to={"part": ["Popen", {}]}), "names the class 'Popen'"),
        (sets("params", "score", to={"eval": "exit()"}), "holds 'eval', which skvae does not know"),
        (sets("params", "optimizer", to={"optimizer": "os"}), "KeyError: 'os'"),
        (sets("built", "n_features", to=LARGE), "its networks have .* parameters, but it has"),
        (
            sets("built", "hidden_layer_sizes", to=[17]),
            "its network needs network.encoder.0.weight",
        ),
        (sets("built", "n_estimators", to=LARGE), "its networks have .* parameters, but it has"),
        (sets("built", "n_estimators", to=2), "its network needs network.encoder.0.weight"),
        (sets("built", "hidden_layer_sizes", to=[LARGE]), "its networks have .* parameters"),
        (sets("built", "hidden_layer_sizes", to=[4] * 1001), "at most 1000 integers"),
        (sets("built", "hidden_layer_sizes", to=[2.5]), "its hidden_layer_sizes is none of"),
        (sets("built", "n_features", to=0), "its n_features is none of"),
        (sets("state", "n_features_in_", to=4), "no n_features_in_ that a VAEDetector can have"),
        (sets("state", "n_features_in_", to=LARGE), "no n_features_in_ that a VAEDetector"),
        (sets("state", "offset_", to=1.0), "it has no offset_ that"),
        (sets("state", "scaler_", to={"part": ["F1", {}]}), "it has no scaler_ that"),
        (sets("state", "score_", to={"part": ["Elbo", {}]}), "it has no score_ that"),
        (sets("state", "calibration_scores_", to=[1.0]), "it has no calibration_scores_ that"),
        (sets("state", "fit", to=1), "its VAEDetector has an attribute 'fit', which it cannot"),
        (sets("state", "threshold_", to=1), "its VAEDetector has an attribute 'threshold_'"),
        (sets("state", "__class__", to=1), "its VAEDetector has an attribute '__class__'"),
        (sets("state", "not a name", to=1), "its VAEDetector has an attribute 'not a name'"),
        (sets("state", "lr", to=1), "its attribute 'lr' is not for a file to say"),
        (sets("state", "_block_size", to=LARGE), "its attribute '_block_size' is not for a file"),
        (
            sets("state", "thresholder_", "part", 1, "fit", to=1),
            "Percentile has an attribute 'fit'",
        ),
        (sets("state", "history_", to={"member": 1}), "IndexError"),
        (sets("state", to={}), "it has no n_features_in_"),
        (lambda model, arrays: model.pop("built"), "it has no net_ that a VAEDetector can have"),
        (lambda model, arrays: model.pop("versions"), "KeyError: 'versions'"),
        (lambda model, arrays: model["state"].pop("history_"), "it has no history_ that"),
        (lambda model, arrays: model["weights"].popitem(), "its weights are not those"),
        (lambda model, arrays: arrays.update(more=np.ones(3)), "arrays that nothing refers to"),
        (lambda model, arrays: arrays.pop("scaler_.mean_"), "array 'scaler_.mean_' is missing"),
    ],
)
def test_what_is_forged_is_refused(forged, change, message):
    path = forged(change)
    with pytest.raises(ValueError, match=message) as caught:
        skvae.load(path)
    assert str(caught.value).startswith(f"{path} cannot be loaded as a model: ")


@pytest.mark.parametrize(
    "preparation",
    [
        {"size": [10**6, 10**6], "color": "grey"},
        {"size": [8, 8], "color": "rgb"},
        {"size": [8, 8], "color": "grey", "max_bytes_in_memory": 10**12},
        ["size"],
    ],
)
def test_a_preparation_of_images_is_that_of_the_network(preparation, tmp_path):
    images = np.random.RandomState(0).rand(20, 8, 8)
    params = {"channels": (2,), "latent_dim": 2, "hidden_layer_sizes": (4,), "max_steps": 2}
    detector = skvae.ConvAEDetector(**params).fit(images)
    path = tmp_path / "model.safetensors"
    detector.image_preparation_ = {"size": [8, 8], "color": "grey"}
    skvae.save(detector, path)
    assert skvae.load(path).image_preparation_ == detector.image_preparation_
    detector.image_preparation_ = preparation
    skvae.save(detector, path)
    with pytest.raises(ValueError, match="it has no image_preparation_ that a ConvAEDetector can"):
        skvae.load(path)


@pytest.mark.parametrize(
    "grid",
    [
        {"starts": ([0] * 1000, [0])},
        {"starts": (list(range(10)), [0])},
        {"starts": ([-1], [0])},
        {"sides": (LARGE, 8)},
        {"window": (LARGE, 8)},
        {"window": (0, 8)},
    ],
    ids=str,
)
def test_windows_lie_in_the_image(grid, tmp_path):
    images = np.random.RandomState(0).rand(20, 8, 8)
    params = {"latent_dim": 2, "hidden_layer_sizes": (4,), "max_steps": 2}
    inner = skvae.AEDetector(score="reconstruction", **params)
    detector = skvae.WindowDetector(inner, window_shape=(4, None)).fit(images)
    path = tmp_path / "model.safetensors"
    detector._grid = detector._grid._replace(**grid)
    skvae.save(detector, path)
    with pytest.raises(ValueError, match="it has no _grid that a WindowDetector can have"):
        skvae.load(path)


COLORS = pd.DataFrame({"color": ["red", "blue", "green"] * 10, "x": X[:, 0], "old": X[:, 1] > 0})


@pytest.mark.parametrize(
    "attribute, change",
    [
        ("_encoding", {"slots": [np.array([0, 1, 2, 9]), np.array([0, 1, -1])]}),
        ("_encoding", {"slots": [np.array([0, 1, 3, 4]), np.array([0, 1, -1])]}),
        ("_encoding", {"slots": [np.array([0, 1, 2, 3])]}),
        ("_encoding", {"costs": [np.zeros(4), np.zeros(2)]}),
        ("_encoding", {"n_known": [0, 30]}),
        ("_encoding", {"scaler": None}),
        ("_encoding", {"kinds": ["category", "date", "boolean"]}),
        ("_columns", {"kinds": ["category", "number"]}),
        ("_columns", {"kinds": ["category", "number", "text"]}),
        ("_columns", {"categories": [np.array(["a"]), np.empty(0), np.empty(0)]}),
        ("_columns", {"categories": [np.array([1.0, 1.0]), np.empty(0), np.empty(0)]}),
    ],
    ids=str,
)
def test_columns_fit_their_encoding(attribute, change, tmp_path):
    detector = skvae.MixedVAEDetector(max_steps=2, score="elbo", hidden_layer_sizes=4).fit(COLORS)
    path = tmp_path / "model.safetensors"
    setattr(detector, attribute, getattr(detector, attribute)._replace(**change))
    skvae.save(detector, path)
    with pytest.raises(ValueError, match="it has no (_encoding|_columns|column_kinds_) that a Mix"):
        skvae.load(path)


@pytest.mark.parametrize(
    "shape", [(-1, 4, 2), (1, 4, 1), (0,), (), (1, 4, 2.0), (1, LARGE), (LARGE, 4, 2)], ids=str
)
def test_encoded_shapes_are_those_of_tables(shape, tmp_path):
    detector = skvae.MixedVAEDetector(max_steps=2, score="elbo", hidden_layer_sizes=4).fit(COLORS)
    path = tmp_path / "model.safetensors"
    detector._built["encoded_shape"] = shape
    skvae.save(detector, path)
    with pytest.raises(ValueError, match="cannot be loaded as a model: its"):
        skvae.load(path)


@pytest.mark.parametrize(
    "attribute, change",
    [
        ("detectors_", lambda parts: []),
        ("detectors_", lambda parts: [(*parts[0][:2], [0, 7])]),
        ("detectors_", lambda parts: [(*parts[0][:2], [0, 1, 2])]),
        ("detectors_", lambda parts: [(1, *parts[0][1:])]),
        ("detectors_", lambda parts: [(parts[0][0], skvae.AEDetector(), parts[0][2])]),
        ("_tails", lambda tails: []),
        ("_tails", lambda tails: [tails[0]._replace(scale=0.0)]),
        ("_tails", lambda tails: [tails[0]._replace(scores=np.empty(0))]),
        ("_tails", lambda tails: [tails[0]._replace(n=1)]),
    ],
)
def test_parts_of_a_fusion_lie_in_the_table(attribute, change, tmp_path):
    inner = skvae.AEDetector(max_steps=2, score="reconstruction", hidden_layer_sizes=4)
    detector = skvae.FusionDetector([("a", inner, [0, 1])]).fit(X)
    path = tmp_path / "model.safetensors"
    setattr(detector, attribute, change(getattr(detector, attribute)))
    skvae.save(detector, path)
    with pytest.raises(ValueError, match=f"it has no {attribute} that a FusionDetector can have"):
        skvae.load(path)


def test_sizes_are_refused_before_memory_is_taken(forged):
    """Of networks that could not be made on any machine."""

    def change(model, arrays):
        model["built"] |= {"n_features": LARGE, "hidden_layer_sizes": [LARGE] * 3}

    with pytest.raises(ValueError, match="cannot be loaded as a model"):
        skvae.load(forged(change))


def test_a_file_of_a_later_format_says_so(kept, monkeypatch):
    monkeypatch.setattr(_file, "FORMAT", 0)
    with pytest.raises(ValueError, match="has format 1, and this version of skvae reads 0: update"):
        skvae.load(kept)


def test_other_files_are_refused_by_what_they_are(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="model.safetensors"):
        skvae.load(path)
    path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"no file .*/model, but .*/model\.safetensors: gi"):
        skvae.load(tmp_path / "model")
    with pytest.raises(IsADirectoryError):
        skvae.load(tmp_path)
    torch.save({"x": torch.ones(3)}, path)
    with pytest.raises(
        ValueError, match="it is a pickle or a torch checkpoint, which can run code"
    ):
        skvae.load(path)
    save_file({"x": torch.ones(3)}, path, {"format": "pt"})
    with pytest.raises(
        ValueError, match="it is a safetensors file, but none that skvae.save wrote"
    ):
        skvae.load(path)


def test_a_header_that_is_too_long_is_not_written(kept, monkeypatch):
    detector = skvae.load(kept)
    before = kept.read_bytes()
    monkeypatch.setattr(_file, "MAX_HEADER_BYTES", 1000)
    with pytest.raises(ValueError, match="The header of a model file holds at most .* MB"):
        skvae.save(detector, kept)
    assert kept.read_bytes() == before
    with pytest.raises(ValueError, match="cut off"):
        skvae.load(kept)
