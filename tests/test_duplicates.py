"""Duplicates among the images of a folder, exact and near."""

import shutil

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

from skvae.datasets import load_image_folder
from skvae.datasets._duplicates import _close_pairs


@pytest.fixture
def root(tmp_path):
    china, flower = (Image.fromarray(image[::2, ::2]) for image in load_sample_images().images)
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
    china.save(tmp_path / "train" / "china.png")
    flower.save(tmp_path / "train" / "flower.png")
    return tmp_path


def twins(pairs):
    return {frozenset(pair) for pair in zip(pairs["file"], pairs["twin"], strict=True)}


def test_the_same_bytes_are_exact_duplicates(root):
    for name in ("test/copy.jpg", "train/again.png"):
        shutil.copy(root / "train" / "china.png", root / name)
    for near in (0, 0.01):
        pairs = load_image_folder(root, size=8).duplicates(near)
        # The first in order stands for the others.
        assert pairs["file"].tolist() == 2 * ["test/copy.jpg"]
        assert pairs["twin"].tolist() == ["train/again.png", "train/china.png"]
        assert pairs["exact"].all() and not pairs["mirrored"].any()
        assert (pairs["distance"] == 0).all() and (pairs["group"] == 0).all()
        assert pairs["part"].tolist() == 2 * ["test"]
        assert pairs["twin_part"].tolist() == 2 * ["train"]


ALTERED = {
    "jpeg": (lambda image: image, {"quality": 20}),
    "half the size": (lambda image: image.resize((160, 107)), {}),
    "grey": (lambda image: image.convert("L"), {}),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), {}),
    "more contrast": (lambda image: ImageEnhance.Contrast(image).enhance(1.3), {}),
    "mirrored": (ImageOps.mirror, {}),
    "mirrored and small": (lambda image: ImageOps.mirror(image).resize((100, 100)), {}),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_a_near_duplicate(root, name):
    alter, options = ALTERED[name]
    altered = alter(Image.open(root / "train" / "flower.png"))
    altered.save(root / "test" / "altered.jpg", **options)
    for color in ("grey", "rgb"):
        pairs = load_image_folder(root, 16, color).duplicates()
        assert twins(pairs) == {frozenset({"test/altered.jpg", "train/flower.png"})}
        assert not pairs["exact"].any()
        assert pairs["mirrored"].tolist() == ["mirrored" in name]
        assert 0 <= pairs["distance"].item() < 0.01


def test_no_duplicates(root):
    folder = load_image_folder(root, size=8)
    pairs = folder.duplicates()
    assert len(pairs) == 0
    assert list(pairs.columns) == [
        *("file", "twin", "part", "twin_part", "exact", "mirrored", "distance", "group")
    ]
    assert len(folder.subset([]).duplicates()) == 0
    for near in (1, -0.1, np.nan, "a", True, None):
        with pytest.raises(ValueError, match=rf"near must be .* \[0, 1\); found {near!r}"):
            folder.duplicates(near)


def test_nothing_is_nearer_than_0():
    images = np.random.RandomState(0).randint(0, 256, (9, 32, 32)).astype(np.uint8)
    twice = np.concatenate([images, images])
    assert len(_close_pairs(twice, 1e-6)) == 9, "the same, but for rounding"
    assert len(_close_pairs(twice, 0)) == 0


def test_images_of_one_colour_are_exact_duplicates_alone(root):
    for name, size in (("a", 40), ("b", 40), ("c", 50)):
        Image.new("L", (size, size), 200).save(root / "train" / f"{name}.png")
    pairs = load_image_folder(root, size=8).duplicates(near=0.9)
    assert twins(pairs[pairs["exact"]]) == {frozenset(("train/a.png", "train/b.png"))}
    assert not {"train/a.png", "train/c.png"} & set(
        pairs.loc[~pairs["exact"], ["file", "twin"]].stack()
    )


def test_groups_hang_together(root):
    flower = Image.open(root / "train" / "flower.png")
    flower.resize((300, 200)).save(root / "test" / "small.png")
    shutil.copy(root / "train" / "flower.png", root / "train" / "copy.png")
    shutil.copy(root / "train" / "china.png", root / "test" / "china.png")
    pairs = load_image_folder(root, size=8).duplicates()
    assert twins(pairs) == {
        frozenset({"test/china.png", "train/china.png"}),
        frozenset({"test/small.png", "train/copy.png"}),
        frozenset({"train/copy.png", "train/flower.png"}),
    }
    assert pairs["group"].tolist() == [0, 1, 1]
    subset = load_image_folder(root, size=8).subset([0, 1])
    assert len(subset.duplicates()) == 0


def test_pairs_are_those_of_all_distances(monkeypatch):
    monkeypatch.setattr("skvae.datasets._duplicates.BLOCK", 7)
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (40, 4, 4)).astype(np.uint8)
    images[5] = 9  # of one colour: like none
    images[6] = 0
    images[30] = images[3, :, ::-1]
    pairs = _close_pairs(images, 0.5)

    def distance(a, b):
        return 1 - np.corrcoef(a.ravel(), b.ravel())[0, 1]

    expected = {}
    for i in range(40):
        for j in range(i + 1, 40):
            if {i, j} & {5, 6}:
                continue
            both = distance(images[i], images[j]), distance(images[i], images[j, :, ::-1])
            if min(both) < 0.5:
                expected[i, j] = (min(both), both[1] < both[0])
    found = pairs.set_index(["i", "j"])
    assert set(found.index) == set(expected) and (3, 30) in expected
    for pair, (nearest, is_mirrored) in expected.items():
        assert found.loc[pair, "mirrored"] == is_mirrored
        assert found.loc[pair, "distance"] == pytest.approx(nearest, abs=1e-5)
