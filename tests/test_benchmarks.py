"""The benchmark runs from end to end; what it measures is nobody's test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CLAIMS = [
    "default fit, 400 x 20",
    "default fit, 1,000 x 20",
    "fit, PyOD's network, 2 epochs, batch 32",
    "fit, PyOD's network, 2 epochs, batch 32, equal work",
    "fit, PyOD's network, 2 epochs, batch 256",
    "fit, PyOD's network, 2 epochs, batch 256, equal work",
    "training loop (skorch), 2 epochs, batch 32",
    "training loop (skorch), 3 epochs, batch 64",
    "training loop (skorch), 10 epochs, batch 256",
    "score 1,000 x 20, reconstruction",
    "score 1,000 x 20, reconstruction, same layers",
    "score 1,000 x 20, reconstruction, float32 in",
    "score 1,000 x 20, reconstruction, float64 in",
    "score 1,000 x 20, reconstruction, float32 in, strictest",
    "score 1,000 x 20, default score",
    "one row, reconstruction, wall clock",
    "one row, default score, wall clock",
    "peak memory, 4,000 rows scored, reconstruction",
    "peak memory, 4,000 rows scored, default score",
    "import skvae, after torch and scikit-learn",
]


@pytest.mark.slow
def test_quick_run_has_a_row_for_every_claim(tmp_path):
    pytest.importorskip("pyod")
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of memory is read from /proc")
    command = [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--quick", "--out", "out"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert cells[0] == ["claim", "skvae", "beside it", "measured", "target", "met"]
    assert [row[0] for row in cells[2:]] == CLAIMS
    assert all(len(row) == 6 and all(row) and "nan" not in row[3] for row in cells)
    assert (tmp_path / "out" / "speed.md").read_text().rstrip() == done.stdout.rstrip()
    assert (tmp_path / "out" / "speed.csv").exists()
