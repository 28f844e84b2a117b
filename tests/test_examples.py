"""Every script of the gallery runs from start to end, without a warning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))
# Above ten seconds.
SLOW = {
    "plot_blobs.py",
    "plot_robustness.py",
    "plot_screening.py",
    "plot_shift.py",
    "plot_time_series.py",
}


def _parameter(script):
    marks = [pytest.mark.slow] if script.name in SLOW else []
    return pytest.param(script, id=script.stem, marks=marks)


def test_there_are_scripts():
    assert SCRIPTS


@pytest.mark.parametrize("script", [_parameter(script) for script in SCRIPTS])
def test_script_runs(script, tmp_path):
    pytest.importorskip("matplotlib")
    if "pyod" in script.read_text():
        pytest.importorskip("pyod")
    settings = {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_is_a_gallery_script(script):
    text = script.read_text()
    title, underline = text.splitlines()[1:3]
    assert text.startswith('"""\n') and len(title) == len(underline) and set(underline) == {"="}
    assert "\n# %%\n" in text
    assert any((script.parent / f"README.{ending}").exists() for ending in ("rst", "txt"))
