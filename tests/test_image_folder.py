"""Folders of images: layouts, preparation, and files that are no images."""

import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hostile_images import (
    encoded,
    jpeg_of_scans,
    picture,
    png,
    png_chunk,
    scene,
    write_hostile_images,
)
from PIL import Image
from sklearn.model_selection import train_test_split

from skvae.datasets import load_image, load_image_folder


def write(root, *names, **options):
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(scene(), i, axis=1)).save(path, **options)
    return root


# -- layouts --------------------------------------------------------------------------------

LAYOUTS = {
    "flat": (("b.png", "a.jpg", "B.png"), ("", "", ""), ("", "", "")),
    "classes": (("no/2.png", "glioma/10.png", "glioma/9.png"), ("", "", ""), None),
    "train/test": (
        ("train/no/1.png", "test/no/1.png", "test/yes/1.png"),
        ("test", "test", "train"),
        ("no", "yes", "no"),
    ),
    "flat train/test": (("train/1.png", "Test/1.png"), ("test", "train"), ("", "")),
    "MVTec": (
        ("train/good/0.png", "test/good/0.png", "test/cut/0.png", "ground_truth/cut/0_mask.png"),
        ("test", "test", "train"),
        ("cut", "good", "good"),
    ),
    "deeper": (("a/b/1.png", "a/c.png"), ("", ""), ("a/b", "a")),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    names, parts, labels = LAYOUTS[name]
    folder = load_image_folder(write(tmp_path, *names), size=8)
    kept = sorted((n for n in names if "ground_truth" not in n), key=lambda n: n.split("/"))
    assert folder.files.tolist() == kept
    assert folder.parts.tolist() == list(parts)
    labels = ("glioma", "glioma", "no") if labels is None else labels
    assert folder.labels.tolist() == list(labels)
    assert folder.classes == tuple(sorted(set(labels)))
    for file, image in zip(folder.files, folder, strict=True):
        assert np.array_equal(image, load_image(tmp_path / file, size=8))


def test_hidden_files_and_links_in_circles_are_passed_over(tmp_path):
    write(tmp_path, "a/1.png", ".hidden.png", ".thumbs/1.png")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    write(tmp_path / ".." / "elsewhere", "2.png")
    (tmp_path / "b").symlink_to(tmp_path / ".." / "elsewhere")
    (tmp_path / "b" / "itself").symlink_to(".")
    with pytest.warns(UserWarning, match="2 images were found, and 2 files or folders cannot"):
        folder = load_image_folder(tmp_path, size=8)
    assert folder.files.tolist() == ["a/1.png", "b/2.png"]
    reason = "a link to a folder that it lies in"
    assert folder.problems == [("a/round", reason), ("b/itself", reason)]
    assert folder.subset([0]).problems == folder.problems


def test_a_folder_is_read_by_each_of_the_links_to_it(tmp_path):
    write(tmp_path, "all/1.png", "all/deep/2.png")
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "good").symlink_to(tmp_path / "all")
    folder = load_image_folder(tmp_path, size=8)
    places = ("all", "test/good", "train/good")
    assert set(folder.files) == {
        f"{at}/{name}" for at in places for name in ("1.png", "deep/2.png")
    }
    assert folder.parts.tolist().count("train") == 2 and folder.problems == []


def test_links_that_multiply_come_to_an_end(tmp_path):
    write(tmp_path, "00/1.png")
    for level in range(1, 30):  # each in two ways to the one before: 2**29 ways to the image
        (tmp_path / f"{level:02}").mkdir()
        for name in ("a", "b"):
            (tmp_path / f"{level:02}" / name).symlink_to(tmp_path / f"{level - 1:02}")
    with pytest.warns(UserWarning, match="100 images were found"):
        folder = load_image_folder(tmp_path, size=8)
    assert {reason for _, reason in folder.problems} == {"one link of too many"}


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    write(tmp_path, "a/1.png", "b/2.png")
    scandir, closed = os.scandir, tmp_path / "b"

    def refusing(path):
        if os.fspath(path) == os.fspath(closed):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.warns(UserWarning, match=r"1 images .* skipped: b \(Permission denied\)"):
        folder = load_image_folder(tmp_path, size=8)
    assert folder.files.tolist() == ["a/1.png"]
    assert folder.problems == [("b", "Permission denied")]
    closed = tmp_path
    with pytest.raises(PermissionError):
        load_image_folder(tmp_path, size=8)


def test_names_that_are_no_text_can_be_written(tmp_path):
    write(tmp_path, "a\udcff.png")
    folder = load_image_folder(tmp_path, size=8)
    assert folder.files[0].encode() == rb"a\xff.png"
    assert folder[0].shape == (1, 8, 8)


def test_empty_folder_and_no_folder(tmp_path):
    with pytest.warns(UserWarning, match=f"^{re.escape(str(tmp_path))} holds no files.$"):
        folder = load_image_folder(tmp_path, size=8, color="rgb")
    assert folder.shape == (0, 3, 8, 8) and folder[:].shape == (0, 3, 8, 8)
    assert folder.classes == () and len(folder.files) == 0
    with pytest.raises(FileNotFoundError, match="no folder .*missing: name a folder"):
        load_image_folder(tmp_path / "missing")
    write(tmp_path, "1.png")
    with pytest.raises(NotADirectoryError, match="no folder .*1.png"):
        load_image_folder(tmp_path / "1.png")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 0}, "size must be the height and width of an image"),
        ({"size": (8, 8, 8)}, "size must be"),
        ({"size": "large"}, "size must be"),
        ({"size": 64.5}, "size must be"),
        ({"size": 10_000}, "67,108,864 pixels at most"),
        ({"color": "gray"}, "color must be 'grey' or 'rgb'; found 'gray'."),
        ({"size": True}, "size must be"),
        ({"size": (8, True)}, "size must be"),
        ({"color": ["grey"]}, "color must be 'grey' or 'rgb'; found ['grey']."),
        ({"n_workers": True}, "n_workers must be a whole number of at least 1; found True."),
        ({"max_bytes_in_memory": "a"}, "must be a number of bytes, 0 or more; found 'a'."),
        ({"max_bytes_in_memory": -1}, "must be a number of bytes, 0 or more; found -1."),
        ({"max_bytes_in_memory": True}, "must be a number of bytes, 0 or more; found True."),
        ({"n_workers": 0}, "n_workers must be a whole number of at least 1; found 0."),
    ],
)
def test_bad_parameters(tmp_path, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        load_image_folder(tmp_path, **options)


# -- the array ------------------------------------------------------------------------------


@pytest.mark.parametrize("max_bytes", [0, 1 << 28])
def test_a_folder_is_an_array(tmp_path, max_bytes):
    names = [f"{i}.png" for i in range(7)]
    folder = load_image_folder(write(tmp_path, *names), (6, 8), max_bytes_in_memory=max_bytes)
    images = np.asarray(folder)
    assert images.shape == folder.shape == (7, 1, 6, 8) and images.nbytes == folder.nbytes
    assert images.dtype == folder.dtype == np.uint8 and images.ndim == folder.ndim
    assert len({image.tobytes() for image in images}) == 7
    for index in (3, -1, slice(None, None, -2), [4, 0, 4], np.arange(7) > 2, np.array([], int)):
        assert np.array_equal(folder[index], images[index])
    for index in (slice(2, 5), [4, 0, 4], np.arange(7) > 2):
        part = folder.subset(index)
        assert np.array_equal(part, images[index])
        assert part.files.tolist() == folder.files[index].tolist()
    assert np.asarray(folder, dtype=float).dtype == float
    with pytest.raises(IndexError):
        folder[7]
    for index in (None, [[0, 1], [2, 3]]):
        with pytest.raises(IndexError, match="a number, a slice, a mask or an array of numbers as"):
            folder[index]
        with pytest.raises(IndexError, match="a number, a slice, a mask or an array of numbers as"):
            folder.subset(index)
    with pytest.raises(IndexError, match=r"found 3\. One image is folder\[number\]"):
        folder.subset(3)
    again = pickle.loads(pickle.dumps(folder))
    assert np.array_equal(again, images)
    some, others = train_test_split(folder, test_size=3, random_state=0)
    assert len(some) == 4 and len(others) == 3


def test_a_relative_path_stays_what_it_was(tmp_path, monkeypatch):
    write(tmp_path, "images/a.png")
    monkeypatch.chdir(tmp_path)
    folder = load_image_folder("images", 8, max_bytes_in_memory=0)
    monkeypatch.chdir(tmp_path.parent)
    assert folder[0].shape == (1, 8, 8)


def test_any_number_of_workers_gives_the_same_bits(tmp_path):
    write(tmp_path, *(f"{i}.jpg" for i in range(80)))
    one, four = (
        load_image_folder(tmp_path, 16, n_workers=n, max_bytes_in_memory=0) for n in (1, 4)
    )
    assert np.array_equal(one, four)


def test_a_file_that_changes_after_loading_is_named(tmp_path):
    folder = load_image_folder(write(tmp_path, "a.png", "b.png"), 8, max_bytes_in_memory=0)
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(OSError, match=r"b\.png has changed: the file is empty\."):
        np.asarray(folder)


# -- preparation ----------------------------------------------------------------------------


def saved(tmp_path, image, name="image.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_pixels_of_the_same_size_are_those_of_the_file(tmp_path):
    path = saved(tmp_path, picture("RGB"))
    assert np.array_equal(load_image(path, (30, 40), "rgb"), np.moveaxis(scene(), 2, 0))
    grey = np.asarray(picture("L"))
    assert np.array_equal(load_image(path, (30, 40))[0], grey)
    with open(path, "rb") as file:
        assert np.array_equal(load_image(file, (30, 40))[0], grey)


def test_a_smaller_image_is_an_average_of_all_its_pixels(tmp_path):
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    path = saved(tmp_path, Image.fromarray(checks.astype(np.uint8)))
    assert np.abs(load_image(path, (8, 8)).astype(int) - 127).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    upright = scene()
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[::-1],
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[:, ::-1],
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    path = saved(tmp_path, image, exif=exif.tobytes())
    assert np.array_equal(load_image(path, (30, 40), "rgb"), np.moveaxis(upright, 2, 0))


def test_sixteen_bits_and_floats_keep_their_scale(tmp_path):
    values = np.linspace(0, 1, 30 * 40).reshape(30, 40)
    expected = np.rint(255 * values)
    files = {
        "16.png": Image.fromarray(np.rint(values * 65535).astype(np.uint16)),
        "16.tif": Image.fromarray(np.rint(values * 65535).astype(np.uint16)),
        "32.tif": Image.fromarray(np.rint(values * 65535).astype(np.int32)),
        "float.tif": Image.fromarray(values.astype(np.float32)),
    }
    for name, image in files.items():
        path = saved(tmp_path, image, name)
        assert np.array_equal(load_image(path, (30, 40))[0], expected), name
        assert np.array_equal(load_image(path, (30, 40), "rgb")[2], expected), name


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "PA"])
def test_what_is_transparent_shows_white(tmp_path, mode):
    rgba = picture("RGBA")
    pixels = np.array(rgba)
    pixels[:, :20, 3] = 0
    image = Image.fromarray(pixels)
    if mode in ("P", "PA"):
        image = image.quantize(64)
    elif mode == "LA":
        image = image.convert("LA")
    image = load_image(saved(tmp_path, image), (30, 40), "rgb")
    assert (image[:, :, :20] == 255).all()
    assert (image[:, :, 20:] < 255).all()


@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_transparent_value_of_sixteen_bits_shows_white(tmp_path, n_channels):
    values = np.arange(16, dtype=np.uint16).reshape(4, 4) * 1000 + 513
    values[2, 2] = values[1, 1] + 1  # the same in 8 bits
    pixels = np.repeat(values[..., None], n_channels, 2)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    key = n_channels * int(values[1, 1]).to_bytes(2, "big")
    path = tmp_path / "a.png"
    plain = png(4, 4, 16, n_channels - 1, rows)
    path.write_bytes(plain)
    expected = load_image(path, 4)[0].copy()
    path.write_bytes(png(4, 4, 16, n_channels - 1, rows, png_chunk(b"tRNS", key)))
    expected[1, 1] = 255
    if n_channels == 3:  # pillow reads 8 of the bits alone
        expected[2, 2] = 255
    assert np.array_equal(load_image(path, 4)[0], expected)
    assert np.array_equal(load_image(path, 4, "rgb")[2], expected)


def test_lab_is_read_as_its_colours(tmp_path):
    path = saved(tmp_path, Image.new("LAB", (16, 16), (128, 128, 128)), "a.tif")
    grey, rgb = load_image(path, 16), load_image(path, 16, "rgb")
    assert np.ptp(rgb) == 0 and grey.max() == grey.min() == rgb.max() == 119


def test_cmyk_is_read_as_its_colours(tmp_path):
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image = load_image(saved(tmp_path, red, "red.jpg", quality=95), 16, "rgb")
    assert (image[0] > 250).all() and (image[1:] < 5).all()


def test_large_jpegs_are_decoded_small_and_look_the_same(tmp_path):
    large = picture("RGB", width=800, height=600)
    png, jpg = saved(tmp_path, large, "a.png"), saved(tmp_path, large, "a.jpg", quality=95)
    difference = load_image(png, 32, "rgb").astype(int) - load_image(jpg, 32, "rgb")
    assert np.abs(difference).max() <= 3


# -- hostile files --------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning", "ignore:Truncated:UserWarning")
def test_hostile_files_are_skipped_by_name_or_read(tmp_path):
    root = tmp_path / "images"
    root.mkdir()
    expected = write_hostile_images(root)
    assert len(expected) == 51
    with pytest.warns(UserWarning, match="13 images were found, and 38 files or folders"):
        folder = load_image_folder(root, size=16)
    problems = dict(folder.problems)
    assert set(problems) == {name for name, reason in expected.items() if reason is not None}
    for name, reason in problems.items():
        assert expected[name] in reason, name
        assert "\n" not in reason and len(reason) < 200, name
    assert set(folder.files) == set(expected) - set(problems)
    assert np.asarray(folder).shape == (len(expected) - len(problems), 1, 16, 16)
    assert not (tmp_path / "was_run").exists()
    for name in problems:
        with pytest.raises(ValueError, match=re.escape(problems[name])):
            load_image(root / name, size=16)


def test_scans_are_counted_as_a_decoder_meets_them(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of_scans(100))
    expected = load_image(path, 16)
    # A start of scan is none within a comment, nor behind the end of the image.
    data = jpeg_of_scans(100)
    comment = b"\xff\xfe" + (2 + 2 * 2000).to_bytes(2, "big") + 2000 * b"\xff\xda"
    path.write_bytes(data[:2] + comment + data[2:] + 2000 * b"\xff\xda")
    assert np.array_equal(load_image(path, 16), expected)
    for kind in ({}, {"progressive": True}, {"restart_marker_blocks": 1}):
        large = encoded(picture("RGB", width=400, height=300), "JPEG", quality=95, **kind)
        path.write_bytes(large)
        load_image(path, 16)
    path.write_bytes(data[:2] + comment + jpeg_of_scans(300)[2:])
    for file in (path, io.BytesIO(path.read_bytes())):
        with pytest.raises(ValueError, match="a JPEG of more than 100 scans"):
            load_image(file, 16)


PROGRAM = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from skvae.datasets import load_image_folder
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
folder = load_image_folder(sys.argv[1], size=224, n_workers=4)
print(len(folder), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""


@pytest.mark.parametrize("with_large", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_hostile_files_take_less_than_a_gib(tmp_path, with_large):
    write_hostile_images(tmp_path)
    if with_large:  # among the largest that are read: both at once would take more
        Image.new("RGBA", (8192, 8000)).save(tmp_path / "large.png", compress_level=1)
        (tmp_path / "as_large.png").hardlink_to(tmp_path / "large.png")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    n_images, gib = done.stdout.split()
    assert int(n_images) == 13 + 2 * with_large and float(gib) < 1


def test_the_reasons_need_no_other_state(tmp_path):
    """A warning that is an error elsewhere makes a bad file, not a broken load."""
    (tmp_path / "bomb.png").write_bytes(Path(_bomb(tmp_path)).read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(ValueError, match="more than 67,108,864 pixels"):
            load_image(tmp_path / "bomb.png")


def _bomb(tmp_path):
    path = tmp_path / "made.png"
    Image.new("1", (11_000, 11_000)).save(path)
    return path
