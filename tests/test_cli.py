"""The command line prints tables, writes reports, and stops with one line."""

import importlib
import sys
from functools import partial

import numpy as np
import pytest

pytest.importorskip("typer", reason="the command line: pip install skvae[cli]")
pytest.importorskip("rich", reason="the command line: pip install skvae[cli]")

import skvae
from skvae import cli


def call(capsys, *arguments):
    """Run the command line: its exit code, and what it printed."""
    with pytest.raises(SystemExit) as stop:
        cli.main(list(arguments))
    out, err = capsys.readouterr()
    return stop.value.code, out, err


def test_version_and_help(capsys):
    assert call(capsys, "--version") == (0, f"skvae {skvae.__version__}\n", "")
    for arguments in (["--help"], ["study", "blobs", "--help"], ["study", "adbench", "--help"]):
        code, out, _ = call(capsys, *arguments)
        assert code == 0
        assert "Usage" in out


def test_blobs(capsys, tmp_path, monkeypatch):
    module = importlib.import_module("skvae.studies.blobs")  # its function hides it
    monkeypatch.setattr(module, "VAEDetector", partial(skvae.VAEDetector, max_steps=20))
    code, out, _ = call(
        capsys,
        *("study", "blobs", "--out", str(tmp_path / "r"), "--readings", "A, C", "--samples", "150"),
        *("--no-grid", "--no-baselines", "--seeds", "2"),
    )
    assert code == 0
    assert out.count("VAEDetector (default)") == 2
    assert f"report: {tmp_path / 'r' / 'report.md'}" in out.replace("\n", " ")
    assert (tmp_path / "r" / "blobs.png").exists()


def test_adbench_from_the_data_home(capsys, tmp_path, monkeypatch):
    pytest.importorskip("pyod", reason="the baselines: pip install skvae[pyod]")
    folder = tmp_path / "adbench"
    folder.mkdir()
    rows = np.arange(60.0).reshape(30, 2)
    rows[-3:] += 500
    np.savez(folder / "1_x.npz", X=rows, y=np.repeat([0, 1], [27, 3]))
    monkeypatch.setenv("SKVAE_DATA", str(tmp_path))
    out_folder = tmp_path / "out"
    arguments = ["study", "adbench", "--out", str(out_folder), "--detectors", "KNN, LOF"]
    code, out, err = call(capsys, *arguments, "--seeds", "1", "--settings", "S")
    assert code == 0
    assert "KNN" in out and "LOF" in out and "100.0" in out
    assert "2/2" in err  # the progress bar
    assert (out_folder / "ranks.png").exists()
    # The folder is resumed, the other setting added.
    code, out, _ = call(capsys, *arguments, "--seeds", "1")
    assert code == 0
    assert len((out_folder / "results.jsonl").read_text().splitlines()) == 4


def test_selection(capsys, tmp_path, monkeypatch):
    module = importlib.import_module("skvae.studies.selection")
    monkeypatch.setattr(module, "VAEDetector", partial(skvae.VAEDetector, hidden_layer_sizes=8))
    monkeypatch.setattr(module, "GRID", {"beta": [0.1, 1.0]})
    rows = np.random.RandomState(0).randn(60, 3)
    np.savez(tmp_path / "1_x.npz", X=rows, y=np.repeat([0, 1], [50, 10]))
    out_folder = tmp_path / "out"
    arguments = ["--data", str(tmp_path), "--out", str(out_folder), "--seeds", "1"]
    code, out, err = call(capsys, "study", "selection", *arguments, "--settings", "U")
    assert code == 0
    assert "held-out likelihood" in out and "2/2" in err
    assert (out_folder / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adbench", "--data", "nowhere"], "skvae: no folder nowhere: name a folder of ADBench"),
        (["blobs", "--readings", "A,Q"], "skvae: reading must be one of A, B, C, D, E, F, G; fou"),
    ],
)
def test_wrong_input_is_one_line_and_code_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "study", *arguments)
    assert code == 2
    assert err.startswith(message)
    assert err.count("\n") == 1
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_wrong_options_are_code_2(capsys):
    assert call(capsys, "study", "blobs", "--seeds", "0")[0] == 2
    assert call(capsys, "study", "nonsense")[0] == 2


def test_a_missing_typer_names_the_line_that_installs_it(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    code, _, err = call(capsys, "--version")
    assert code == 1
    assert 'pip install "skvae[cli]"' in err
    assert err.count("\n") == 1
