"""MNIST from the data home and from mirrors (folders here), and the digits of scikit-learn."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skvae.datasets import _mnist, fetch_mnist, load_digits_images


def made(n_train=60_000, n_test=10_000):
    """Arrays of MNIST's shapes, with little in them."""
    arrays = {}
    for part, n in (("train", n_train), ("test", n_test)):
        arrays[f"X_{part}"] = np.zeros((n, 28, 28), dtype=np.uint8)
        arrays[f"X_{part}"][-1, 0, 1] = 200
        arrays[f"y_{part}"] = (np.arange(n) % 10).astype(np.uint8)
    return arrays


def idx(values):
    """The bytes of an IDX file, after its definition."""
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """A folder that holds what a mirror holds, and the table of its files."""
    folder = tmp_path_factory.mktemp("mirror")
    files = {}
    for key, values in made().items():
        name, _ = _mnist.FILES[key]
        content = idx(values)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, 1))
        files[key] = (name, hashlib.sha256(content).hexdigest())
    return folder, files


@pytest.fixture
def use(monkeypatch, mirror):
    """Let fetch_mnist know these folders as its mirrors."""

    def use(*folders, true_hashes=False):
        monkeypatch.setattr(_mnist, "MIRRORS", [f"{folder.as_uri()}/" for folder in folders])
        if not true_hashes:
            monkeypatch.setattr(_mnist, "FILES", mirror[1])

    return use


def assert_same(mnist, arrays):
    assert set(mnist) == set(arrays)
    for key, values in arrays.items():
        np.testing.assert_array_equal(mnist[key], values)
        assert mnist[key].dtype == (np.uint8 if key.startswith("X") else np.int64)


@pytest.mark.parametrize("x", ["X", "x"])
def test_stored_file_is_read_and_nothing_downloaded(tmp_path, monkeypatch, use, x):
    use()
    arrays = made()
    np.savez(tmp_path / "mnist.npz", **{key.replace("X", x): arrays[key] for key in arrays})
    assert_same(fetch_mnist(tmp_path), arrays)
    monkeypatch.setenv("SKVAE_DATA", str(tmp_path))
    assert_same(fetch_mnist(), arrays)


def test_download_is_stored_and_not_repeated(tmp_path, mirror, use):
    home = tmp_path / "not" / "yet"
    use(tmp_path / "no_such_mirror", mirror[0])  # the second answers
    first = fetch_mnist(home)
    assert_same(first, made())
    assert [path.name for path in home.iterdir()] == ["mnist.npz"]
    use()
    assert_same(fetch_mnist(home), first)


def test_error_names_the_folder_the_mirrors_and_the_remedy(tmp_path, use):
    home = tmp_path / "home"
    use(tmp_path / "a", tmp_path / "b")
    with pytest.raises(OSError) as raised:
        fetch_mnist(home)
    message = str(raised.value)
    assert message.startswith(f"MNIST is not in {home}, and could not be downloaded: ")
    for part in (
        "/a/ (",
        "/b/ (",
        "mnist.npz",
        "X_train, y_train, X_test and y_test",
        "SKVAE_DATA",
    ):
        assert part in message
    assert not home.exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (gzip.compress(b"something else"), "train-images-idx3-ubyte has the sha256 [0-9a-f]{64}, "),
        (b"<html>no such page</html>", "Not a gzipped file"),
        (gzip.compress(b"x" * 999)[:-9], "ended before"),
        (b"", "sha256"),
    ],
    ids=["other", "page", "torn", "empty"],
)
def test_broken_mirror_is_passed_over(tmp_path, mirror, use, content, found):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "train-images-idx3-ubyte.gz").write_bytes(content)
    use(broken)
    with pytest.raises(OSError, match=found):
        fetch_mnist(tmp_path / "home")
    use(broken, mirror[0])
    assert len(fetch_mnist(tmp_path / "home").X_test) == 10_000


def test_other_data_are_refused_by_the_true_hashes(tmp_path, mirror, use):
    use(mirror[0], true_hashes=True)
    with pytest.raises(OSError, match=f"not {_mnist.FILES['X_train'][1]}"):
        fetch_mnist(tmp_path)
    assert not list(tmp_path.iterdir())


def test_break_while_storing_leaves_nothing(tmp_path, mirror, use, monkeypatch):
    def full(file, **arrays):
        file.write(b"PK")
        raise OSError("No space left on device")

    use(mirror[0])
    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space left"):
        fetch_mnist(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X_train": np.zeros(1)}, r"X_train of MNIST is .* \(60000, 28, 28\); found float64 of"),
        ({}, "lacks the array X_train; it has: none"),
        ({"a": np.zeros(2), "b": np.zeros(2)}, "lacks the array X_train; it has: a, b"),
        ({"X_train": np.array([{}])}, "is not a readable npz file"),
    ],
)
def test_bad_stored_file_is_named(tmp_path, arrays, message):
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as raised:
        fetch_mnist(tmp_path)
    assert str(path) in str(raised.value)


def test_torn_stored_file_is_named(tmp_path):
    (tmp_path / "mnist.npz").write_bytes(b"PK\x03\x04torn")
    with pytest.raises(ValueError, match="mnist.npz is not a readable npz file"):
        fetch_mnist(tmp_path)


@pytest.mark.slow
def test_real_mnist_has_the_published_hashes(data_home):
    mnist = fetch_mnist(data_home)
    for key, (_, sha256) in _mnist.FILES.items():
        assert hashlib.sha256(idx(mnist[key].astype(np.uint8))).hexdigest() == sha256
    assert mnist.y_train[:5].tolist() == [5, 0, 4, 1, 9]


def test_digits_are_those_of_scikit_learn():
    X, y = load_digits_images()
    digits = load_digits()
    assert X.dtype == np.uint8 and y.dtype == np.int64
    np.testing.assert_array_equal(y, digits.target)
    np.testing.assert_array_equal(np.rint(X * (16 / 255)), digits.images)
    assert set(np.unique(X)) == {round(level * 255 / 16) for level in range(17)}
