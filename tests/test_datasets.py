"""The made data agree with their definitions; the loaders say what is wrong with a file."""

from pathlib import Path

import numpy as np
import pytest

from skvae.datasets import (
    get_data_home,
    iter_adbench,
    load_adbench,
    make_blobs_with_anomalies,
)

CENTERS = np.array([[-6.0, 0.0, 6.0, 3.0], [6.0, 3.0, 0.0, -3.0]])


def big(reading, **options):
    """So many rows that means and spreads are known to a few hundredths."""
    X, y = make_blobs_with_anomalies(
        40_000, 4, anomaly_fraction=0.5, centers=CENTERS, reading=reading, random_state=0, **options
    )
    return X[y == 0], X[y == 1]


@pytest.mark.parametrize("reading", "ABCDEFG")
def test_sizes_labels_and_seed(reading):
    X, y = make_blobs_with_anomalies(reading=reading, random_state=3)
    assert X.shape == (5000, 20)
    assert X.dtype == np.float64
    assert y.sum() == 150
    assert set(np.unique(y)) == {0, 1}
    again, labels = make_blobs_with_anomalies(reading=reading, random_state=3)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(y, labels)
    other, _ = make_blobs_with_anomalies(reading=reading, random_state=4)
    assert not np.array_equal(X, other)
    # Anomalies stand among the normal rows, not after them.
    assert 0 < np.flatnonzero(y).mean() / 5000 < 0.7


def test_normal_rows_are_blobs_of_standard_deviation_one():
    normal, _ = big("A")
    nearest = np.argmin([np.linalg.norm(normal - c, axis=1) for c in CENTERS], axis=0)
    for blob, center in enumerate(CENTERS):
        rows = normal[nearest == blob]
        np.testing.assert_allclose(rows.mean(axis=0), center, atol=0.05)
        np.testing.assert_allclose(rows.std(axis=0), 1.0, atol=0.05)


# Of two blobs at a and b with standard deviation 1, as many rows in each, the mean is (a + b) / 2
# and the variance 1 + ((a - b) / 2)**2.
MEAN = CENTERS.mean(axis=0)
STD = np.sqrt(1 + ((CENTERS[0] - CENTERS[1]) / 2) ** 2)
ONE = np.ones(4)


@pytest.mark.parametrize(
    ("reading", "mean", "std"),
    [
        ("A", 4 * ONE, ONE),
        ("B", MEAN + 4, ONE),
        ("C", MEAN + 4, STD),
        ("D", MEAN + 4 * STD, ONE),
        ("E", MEAN + 4, STD),
        ("F", MEAN, np.sqrt(STD**2 + 16 / 4)),
        ("G", MEAN + 1, np.sqrt(STD**2 + 16 * (1 / 4) * (3 / 4))),
    ],
)
def test_readings_have_the_stated_mean_and_spread(reading, mean, std):
    _, anomalies = big(reading)
    np.testing.assert_allclose(anomalies.mean(axis=0), mean, atol=0.2)
    np.testing.assert_allclose(anomalies.std(axis=0), std, rtol=0.03)


def test_shift_scales_and_zero_shift_is_no_anomaly():
    _, far = big("A", shift=-7.5)
    np.testing.assert_allclose(far.mean(axis=0), -7.5, atol=0.05)
    normal, same = big("E", shift=0.0)
    np.testing.assert_allclose(same.mean(axis=0), normal.mean(axis=0), atol=0.25)


def test_single_feature_and_norm_shift_are_what_they_say():
    # The normal rows stand at a single point when all centres coincide and are far from zero; the
    # shift is then read off against the same draw without one.
    options = {"n_samples": 400, "n_features": 6, "anomaly_fraction": 0.25, "random_state": 1}
    for reading, norm, moved in (("F", 4.0, 6), ("G", 4.0, 1)):
        X, y = make_blobs_with_anomalies(reading=reading, **options)
        still, _ = make_blobs_with_anomalies(reading=reading, shift=0.0, **options)
        difference = (X - still)[y == 1]
        np.testing.assert_allclose(np.linalg.norm(difference, axis=1), norm, rtol=1e-9)
        assert (np.count_nonzero(difference, axis=1) == moved).all()
        np.testing.assert_array_equal(X[y == 0], still[y == 0])


def test_no_anomalies_at_all():
    _, y = make_blobs_with_anomalies(50, anomaly_fraction=0.0, random_state=0)
    assert y.sum() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reading": "Z"}, "reading must be one of A, B, C, D, E, F, G; found 'Z'"),
        ({"reading": "AB"}, "reading must be one of"),
        ({"anomaly_fraction": 1.0}, r"anomaly_fraction must be in \[0, 1\); found 1.0"),
        ({"n_samples": 0}, "n_samples must be a positive whole number; found 0"),
        ({"n_samples": 2, "anomaly_fraction": 0.9}, "leaves no normal row"),
    ],
)
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        make_blobs_with_anomalies(**options)


def test_data_home_argument_beats_variable_beats_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SKVAE_DATA", str(tmp_path / "env"))
    assert get_data_home(tmp_path / "given") == tmp_path / "given"
    assert get_data_home() == tmp_path / "env"
    monkeypatch.setenv("SKVAE_DATA", "")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert get_data_home() == tmp_path / "cache" / "skvae"
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr("sys.platform", "darwin")
    assert get_data_home() == Path.home() / "Library" / "Caches" / "skvae"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert get_data_home() == tmp_path / "local" / "skvae"
    assert get_data_home("~/data") == Path.home() / "data"


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "adbench"
    folder.mkdir()
    for name, n in (("10_cover", 5), ("2_annthyroid", 4), ("glass", 3)):
        np.savez(folder / f"{name}.npz", X=np.arange(2 * n, dtype=np.int16).reshape(n, 2), y=_y(n))
    return tmp_path


def _y(n):
    return np.arange(n) == 0


def test_load_by_name_number_and_path(home):
    for key in ("2_annthyroid", "annthyroid"):
        X, y = load_adbench(key, data_home=home)
        np.testing.assert_array_equal(X, [[0, 1], [2, 3], [4, 5], [6, 7]])
        np.testing.assert_array_equal(y, [1, 0, 0, 0])
        assert X.dtype == np.float64
        assert y.dtype == np.int64
    X, _ = load_adbench(home / "adbench" / "glass.npz")
    assert X.shape == (3, 2)


def test_iterate_in_the_order_of_the_numbers(home, monkeypatch):
    monkeypatch.setenv("SKVAE_DATA", str(home))
    found = {name: X.shape for name, X, y in iter_adbench()}
    assert list(found) == ["2_annthyroid", "10_cover", "glass"]
    assert found["10_cover"] == (5, 2)
    assert [name for name, _, _ in iter_adbench(home / "adbench")] == list(found)


def test_missing_names_files_and_folders(home, tmp_path):
    with pytest.raises(FileNotFoundError, match="no data set 'x' in .*; found 2_annthyroid, 10_co"):
        load_adbench("x", data_home=home)
    with pytest.raises(FileNotFoundError, match="no data file .*x.npz"):
        load_adbench(tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError, match="no folder .*nowhere.*SKVAE_DATA"):
        next(iter_adbench(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="no .npz file in"):
        next(iter_adbench(tmp_path))


def save(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: save(p, X=np.ones((2, 2))), "lacks the array y; it has: X"),
        (lambda p: save(p, a=np.ones(1)), "lacks the array X and y; it has: a"),
        (lambda p: p.write_bytes(b"no zip"), "is not a readable npz file"),
        (lambda p: p.write_bytes(b""), "is not a readable npz file"),
        (lambda p: p.write_bytes(b"PK\x03\x04torn"), "is not a readable npz file"),
        (lambda p: save(p, X=np.array([[{}]]), y=np.zeros(1)), "is not a readable npz file"),
        (lambda p: save(p, X=np.ones(4), y=np.zeros(4)), r"found \(4,\) and \(4,\)"),
        (lambda p: save(p, X=np.ones((4, 2)), y=np.zeros(3)), r"found \(4, 2\) and \(3,\)"),
        (lambda p: save(p, X=np.ones((2, 2)), y=np.array([1, -1])), r"found \[-1  1\]"),
    ],
)
def test_bad_files_are_named(tmp_path, write, message):
    path = tmp_path / "bad.npz"
    write(path)
    with pytest.raises(ValueError, match=message) as error:
        load_adbench(path)
    assert str(path) in str(error.value)


def test_stored_data_sets(data_home):
    X, y = load_adbench("Pima", data_home=data_home)
    assert X.shape == (768, 8)
    assert y.sum() == 268
