"""Tables from files: numbers come out as they are written, and all else gets a word."""

import csv
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skvae.datasets import load_table


def written(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_with_names_labels_and_gaps(tmp_path):
    path = written(tmp_path, "id,a,b,class\nx,1,2.5,ok\ny,,7,bad\nz,-1e3,?,ok\nu,4,5,ok\n")
    table = load_table(path, index="id", label="class", normal="ok")
    assert list(table.data.index) == ["x", "y", "z", "u"]
    assert list(table.data.columns) == ["a", "b"]
    np.testing.assert_array_equal(table.data["a"], [1, np.nan, -1000, 4])
    np.testing.assert_array_equal(table.target, [False, True, False, False])
    assert table.gaps == {1: "column 'a' is empty", 2: "column 'b' holds '?'"}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_separators_and_the_mark_of_a_spreadsheet(tmp_path, separator, start):
    lines = [["a", "b"], ["1", "2"], ["3", "4"]]
    text = start + "".join(separator.join(line) + "\n" for line in lines)
    table = load_table(written(tmp_path, text))
    np.testing.assert_array_equal(table.data, [[1, 2], [3, 4]])
    assert list(table.data.columns) == ["a", "b"]


def test_a_first_line_of_numbers_is_asked_about(tmp_path):
    path = written(tmp_path, "1,2\n3,4\n")
    with pytest.raises(ValueError, match=r"nothing but numbers: '1,2'.*--header.*--no-header"):
        load_table(path)
    rows = load_table(path, header=False).data
    np.testing.assert_array_equal(rows, [[1, 2], [3, 4]])
    assert list(rows.columns) == [0, 1]  # no names: scikit-learn keeps none
    assert load_table(path, header=True).data.shape == (1, 2)
    assert list(load_table(path, header=False, columns=["u", "v"]).data.columns) == ["u", "v"]
    assert load_table(path, header=False, drop=["0"]).data.shape == (2, 1)


def test_parquet_keeps_its_index_and_types(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet: pip install skvae[cli]")
    frame = pd.DataFrame({"a": [1, 2], "b": [True, False]}, index=["x", "y"])
    frame["c"] = pd.array([1, None], dtype="Int64")
    frame.to_parquet(tmp_path / "t.parquet")
    table = load_table(tmp_path / "t.parquet")
    assert list(table.data.index) == ["x", "y"]
    np.testing.assert_array_equal(table.data, [[1, 1, 1], [2, 0, np.nan]])
    assert table.gaps == {1: "column 'c' is empty"}


def test_npz(tmp_path):
    X, y = np.arange(6.0).reshape(3, 2), np.array([0, 0, 1])
    np.savez(tmp_path / "t.npz", X=X, y=y)
    table = load_table(tmp_path / "t.npz")
    np.testing.assert_array_equal(table.data, X)
    np.testing.assert_array_equal(table.target, y)
    assert list(load_table(tmp_path / "t.npz", normal="0").target) == [False, False, True]
    images = np.zeros((2, 8, 8), np.uint8)
    np.savez(tmp_path / "i.npz", images)
    assert load_table(tmp_path / "i.npz").data.shape == (2, 8, 8)
    with pytest.raises(ValueError, match="holds images: they have no columns"):
        load_table(tmp_path / "i.npz", drop=["a"])


def test_rows_without_a_label_are_an_error(tmp_path):
    path = written(tmp_path, "id,a,class\nx,1,ok\ny,2,\nz,3,bad\nu,4,  \n")
    with pytest.raises(ValueError, match=r"^2 of 4 rows of .*table.csv have no label, .* row y, "):
        load_table(path, index="id", label="class", normal="ok")
    np.savez(tmp_path / "t.npz", X=np.zeros((3, 4, 4)), y=[0, np.nan, 1])
    with pytest.raises(ValueError, match=r"^1 of 3 rows of .*t.npz have no label, .* row 1, "):
        load_table(tmp_path / "t.npz", normal="0")
    assert load_table(path, index="id", label="class").target[0] == "ok"  # nobody reads them


def test_a_single_array_is_no_npz(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a.npz cannot be used: it is no npz file, but a single"):
        load_table(tmp_path / "a.npz")


def flipped(data, start, value):
    """Overwrite bytes from ``start``, as a damaged disk or a hostile hand does."""
    return data[:start] + value + data[start + len(value) :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        # The stream of an array, behind the 30 bytes of its header and the name of the file.
        (lambda data: flipped(data, 30 + 5 + 20, b"\xff" * 40), "."),
        # The flag "encrypted" and the method of packing, in the list at the end.
        (lambda data: flipped(data, data.index(b"PK\x01\x02") + 8, b"\x01"), "encrypted"),
        (lambda data: flipped(data, data.index(b"PK\x01\x02") + 10, b"\x63"), "compression"),
        (lambda data: data[: len(data) // 2], "."),
    ],
    ids=["damaged", "encrypted", "packed in another way", "cut"],
)
def test_npz_files_that_are_spoilt(tmp_path, spoil, message):
    np.savez_compressed(tmp_path / "t.npz", X=np.random.RandomState(0).randn(50, 3))
    (tmp_path / "t.npz").write_bytes(spoil((tmp_path / "t.npz").read_bytes()))
    with pytest.raises(ValueError, match=rf"t.npz cannot be used: .*{message}"):
        load_table(tmp_path / "t.npz")


def test_a_member_of_an_npz_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        file.writestr("X.npy", b"no array")
    with pytest.raises(ValueError, match=r"X must hold rows of numbers, but has the shape \(\)"):
        load_table(tmp_path / "t.npz")


def test_no_pickle_in_an_npz_is_read(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"t.npz cannot be used: Object arrays cannot be loaded"):
        load_table(tmp_path / "t.npz")


def test_columns_in_the_order_of_the_model_whatever_stands_beside_them(tmp_path):
    path = written(tmp_path, "text,b,a\nu,1,2\nv,3,4\n")
    table = load_table(path, columns=["a", "b"])
    np.testing.assert_array_equal(table.data, [[2, 1], [4, 3]])
    assert table.left_out == ["text"]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,city\n1,Rome\n", {}, r"'city' holds 'Rome'.*\(--drop city\).*\(--index city\)"),
        ("a,day,b\n1,2020-01-02,3\n", {}, r"'day' holds '2020-01-02'"),
        ("a;b\n1;2,5\n", {}, "numbers need a decimal point, not a comma, but .* 'b' holds '2,5'"),
        ("a,b\n1,\n2,\n", {}, r"'b' holds nothing"),
        ("first name,b\nx,1\n", {}, r"--drop 'first name'"),
        ("a,b\n1,2\n", {"drop": ["c"]}, r"no column 'c'; it has 'a', 'b'"),
        ("age,b\n1,2\n", {"label": "aeg"}, r"no column 'aeg'; did you mean 'age'\?"),
        ("a,b\n1,2\n", {"columns": ["a", "z"]}, r"lacks 1 of the 2 columns .* 'z'"),
        ("a,b\n1,2\n", {"normal": "2"}, "there are no labels"),
        ("a,b\n1,2\n", {"label": "b", "normal": "3"}, "the labels are 2"),
        ("a,b\n1,2\n", {"drop": ["a", "b"]}, "no columns that are left"),
        ("a,b\n", {}, "has no rows"),
        ("", {}, "no CSV file that can be read"),
        ("a,b\n1,2\n1,2,3,4\n", {}, "no CSV file that can be read"),
    ],
)
def test_what_is_wrong_and_what_to_do(tmp_path, text, options, message):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as raised:
        load_table(path, **options)
    assert "\n" not in str(raised.value).strip()


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_table(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match=r"is no table: its name must end in \.csv"):
        load_table(written(tmp_path, "a", "a.doc"))
    (tmp_path / "b.csv").write_bytes(b"a,b\n\xff\xfe,1\n")
    with pytest.raises(ValueError, match="no text in UTF-8"):
        load_table(tmp_path / "b.csv")
    for name in ("c.npz", "c.parquet"):
        with pytest.raises(ValueError, match="cannot be used|no Parquet file"):
            load_table(written(tmp_path, "rubbish", name))
    np.savez(tmp_path / "d.npz", u=[[1]], v=[[1]])
    with pytest.raises(ValueError, match="holds no array X, but u, v"):
        load_table(tmp_path / "d.npz")
    np.savez(tmp_path / "e.npz", X=[[1], [2]], y=[1])
    with pytest.raises(ValueError, match=r"y has the shape \(1,\) for 2 rows"):
        load_table(tmp_path / "e.npz")


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
        min_size=1,
        max_size=5,
    ),
    names=st.lists(
        st.text("abcde fg,;\"'$<é日", min_size=1, max_size=6).map(lambda name: "n" + name),
        min_size=3,
        max_size=3,
        unique=True,
    ),
)
def test_numbers_and_names_come_back(tmp_path, rows, names):
    with open(tmp_path / "t.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC).writerows([names, *rows])
    table = load_table(tmp_path / "t.csv")
    assert list(table.data.columns) == names
    np.testing.assert_allclose(table.data, np.array(rows), rtol=1e-15)
    assert table.gaps == {}


def test_tables_of_mixed_kinds(tmp_path):
    text = (
        "c,x,b,d,e\na,1,True,2020-01-02,\n,,,2020-01-02 06:00,\nb,?,False,,\na,3,True,2021-01-01,\n"
    )
    table = load_table(written(tmp_path, text), kinds="infer")
    data = table.data
    assert data["x"].dtype == float and data["d"].dtype.kind == "M" and data["e"].isna().all()
    assert data["d"].dt.hour.tolist()[:2] == [0, 6] and data["b"].tolist()[0] is True
    assert data["c"].isna().tolist() == [False, True, False, False]
    assert table.gaps == {2: "column 'x' holds '?'"}
    kinds = ["category", "number", "boolean", "date", "number"]
    new = written(tmp_path, "c,x,b,d,e\n1,inf,True,soon,2\n2,a,False,2020-01-01,3\n")
    read = load_table(new, kinds=kinds, columns=list("cxbde"))
    assert read.gaps == {0: "column 'x' holds 'inf'", 1: "column 'x' holds 'a'"}
    assert read.data["d"].isna().tolist() == [True, False]
    with pytest.raises(ValueError, match="has 5 columns, but 2 are needed"):
        load_table(new, kinds=["number"] * 2)
