"""The benchmarks run from end to end; what they measure is nobody's test."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
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


IMAGE_CLAIMS = [
    *(
        f"epoch, {what}, {beside}"
        for what in (
            "256 images of 1 x 28 x 28, batch 64",
            "256 images of 1 x 28 x 28, batch 128",
            "64 images of 1 x 64 x 64, batch 64",
            "64 images of 3 x 32 x 32, batch 64",
        )
        for beside in ("bare", "plain")
    ),
    "epoch, 128 JPEG files of 64 x 64, batch 64, wall clock",
    "epoch, 128 JPEG files of 128 x 128, batch 64, wall clock",
    "score 300 images of 1 x 28 x 28, blocks of 256",
    "score 300 images of 1 x 28 x 28, blocks of 1024",
]


SWEEP_CLAIMS = [
    "45 fits, 2 epochs, batch 32, reconstruction",
    "45 fits, 2 epochs, batch 32, reconstruction",
    "45 fits, 2 epochs, batch 64, reconstruction",
    "45 fits, 2 epochs, batch 64, reconstruction",
    "45 fits, 2 epochs, batch 64, reconstruction, uneven",
    "whole search with scoring and refit, reconstruction, batch 32",
    "whole search with scoring and refit, reconstruction, batch 64",
    "whole search with scoring and refit, default score, batch 64",
    "training 10 members, batch 64",
    "training 45 members, batch 64",
    "training 10 members, batch 256",
    "one member in a bare loop, batch 64",
    "8 convolutional encoders of 28 x 28 images as groups of one convolution",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, claims", [("speed", CLAIMS), ("images", IMAGE_CLAIMS), ("sweeps", SWEEP_CLAIMS)]
)
def test_quick_run_has_a_row_for_every_claim(tmp_path, name, claims):
    pytest.importorskip("pyod")
    if name == "speed" and not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of memory is read from /proc")
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--quick", "--out", "out"]
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
    assert [row[0] for row in cells[2:]] == claims
    assert all(len(row) == 6 and all(row) and "nan" not in row[3] for row in cells)
    assert (tmp_path / "out" / f"{name}.md").read_text().rstrip() == done.stdout.rstrip()
    assert (tmp_path / "out" / f"{name}.csv").exists()


@pytest.mark.slow
def test_quick_run_ranks_points_of_series_by_every_detector_and_goes_on(tmp_path):
    pytest.importorskip("pyod")
    command = [sys.executable, str(ROOT / "benchmarks" / "series.py"), "--quick"]
    settings = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    command += ["--seeds", "1", "--out", "out"]
    done = subprocess.run(command, **settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert cells[0][:3] == ["method", "mean", "spike"] and len(cells) == 2 + 17
    assert all(0 <= float(row[1]) <= 1 for row in cells[2:])
    assert (tmp_path / "out" / "series.md").read_text().strip() == done.stdout.strip()
    again = subprocess.run(command, **settings, capture_output=True, text=True, timeout=300)
    assert again.stdout == done.stdout and again.stderr == ""


@pytest.mark.slow
def test_families_are_ranked_in_both_settings(tmp_path, data_home):
    pytest.importorskip("pyod")
    names = ["VAEDetector", "VQVAEDetector", "IForest"]
    options = ["--part", "choices", "--seeds", "2", "--max-rows", "200", "--detectors", *names]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "families.py"), *options, "--out", "out"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "SKVAE_DATA": str(data_home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert titles == ["## choices, setting S", "## choices, setting U"]
    assert done.stdout.count("| 29_Pima | ") == 2
    assert all(done.stdout.count(f"| {name} | ") == 4 for name in names)
    assert (tmp_path / "out" / "families.md").read_text().rstrip() == done.stdout.rstrip()
    table = pd.read_csv(tmp_path / "out" / "families.csv")
    assert len(table) == 4 * 2 * 2 * 3 and table["error"].isna().all()
