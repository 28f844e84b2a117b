"""Every script of the gallery runs, without a warning, and together they show the public API."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))
# Above ten seconds.
SLOW = {
    "plot_attention.py",
    "plot_blobs.py",
    "plot_families.py",
    "plot_few_labels.py",
    "plot_folder_report.py",
    "plot_image_families.py",
    "plot_pipeline.py",
    "plot_robustness.py",
    "plot_screening.py",
    "plot_shift.py",
    "plot_studies_of_images.py",
    "plot_studies_of_shifts.py",
    "plot_studies_of_tables.py",
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
    if "pyod" in script.read_text().lower():
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


# Whose names the gallery shows.
MODULES = [
    "skvae",
    "skvae.datasets",
    "skvae.corruptions",
    "skvae.metrics",
    "skvae.model_selection",
    "skvae.thresholds",
    "skvae.drift",
    "skvae.plotting",
    "skvae.reports",
    "skvae.studies",
    "skvae.app",
]
# What no script could show. The command line has no names in Python.
EXEMPT = {"skvae.app.run_app": "serves a page to a browser, and does not come back"}


def _public_names():
    for module in MODULES:
        yield from ((module, name) for name in importlib.import_module(module).__all__)
    yield from (("skvae.interop.pyod", name) for name in ("FromPyOD", "ToPyOD"))


def _used(script):
    """Module and name of all that a script imports and uses, as sphinx-gallery finds them."""
    nodes = list(ast.walk(ast.parse(script.read_text())))
    imported = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            imported |= {each.asname or each.name: (node.module, each.name) for each in node.names}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    used = {imported[name] for name in names & set(imported)}
    for node in nodes:  # from skvae import metrics; metrics.f1
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = ".".join(imported.get(node.value.id, ("", "")))
            used.add((module, node.attr))
    return used


def test_every_public_name_stands_in_an_example():
    used = set().union(*map(_used, SCRIPTS))
    missing = {f"{module}.{name}" for module, name in _public_names() if (module, name) not in used}
    assert missing == set(EXEMPT), "write a missing name into a script, or exempt it with a reason"
