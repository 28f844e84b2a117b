"""The package as a package: what it exports, imports, installs and promises in its README."""

import contextlib
import doctest
import importlib
import importlib.metadata
import inspect
import io
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import skvae
from skvae._optional import require

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = {"matplotlib", "pyod", "typer", "rich", "streamlit", "plotly", "pyarrow", "PIL"}
PINNED_EXTRAS = ("plot", "pyod", "images", "cli", "app", "docs", "dev")


def run_python(*args):
    return subprocess.run([sys.executable, *args], cwd=ROOT, capture_output=True, text=True)


def test_layers_hold():
    command = "from importlinter.cli import lint_imports_command as main; main()"
    done = run_python("-c", command, "--no-cache", "--no-logo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


PUBLIC = [name for name in skvae.__all__ if callable(getattr(skvae, name))]


def test_all_names_exist():
    assert len(set(skvae.__all__)) == len(skvae.__all__)
    assert {"AEDetector", "VAEDetector"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_docstring_with_example(name):
    public = getattr(skvae, name)
    doc = inspect.getdoc(public) or ""
    sections = re.findall(r"^(\w[\w ]*)\n-{3,}$", doc, flags=re.MULTILINE)
    assert "Examples" in sections and ">>>" in doc, f"{name} has no Examples section"
    if inspect.signature(public).parameters:
        assert "Parameters" in sections, f"{name} has no Parameters section"
    for method, _ in inspect.getmembers(public, inspect.isfunction):
        if not method.startswith("_"):
            assert inspect.getdoc(getattr(public, method)), f"{name}.{method} has no docstring"


def test_import_brings_no_optional_package():
    done = run_python("-c", "import skvae, sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    # scikit-learn and skorch take rich, and pandas takes pyarrow, where it is installed.
    assert not loaded & (OPTIONAL - {"rich", "pyarrow"})


def test_every_module_imports_without_the_extras_or_names_the_one_it_needs():
    program = f"""
import importlib, pkgutil, sys
sys.modules.update(dict.fromkeys({sorted(OPTIONAL)!r}))  # None: importing it fails
import skvae
for module in pkgutil.walk_packages(skvae.__path__, "skvae."):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        if 'pip install "skvae[' not in str(error):
            raise
        print(module.name)
"""
    done = run_python("-c", program)
    assert done.returncode == 0, done.stderr
    # Classes that extend PyOD's, and the script that Streamlit runs.
    assert set(done.stdout.split()) <= {"skvae.interop.pyod", "skvae.app._page"}


def test_require_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = re.escape('ErrorMapDisplay needs matplotlib: pip install "skvae[plot]"')
    with pytest.raises(ImportError, match=f"^{line}$"):
        require("matplotlib.pyplot", extra="plot", what="ErrorMapDisplay")


def test_require_keeps_the_error_of_a_broken_package(monkeypatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("import not_there_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        require("half_installed", extra="plot")


def test_every_extra_that_the_code_names_exists():
    named = set()
    for path in (ROOT / "skvae").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(r"""\bextra=["'](\w+)["']""", text))
        named |= {e for group in re.findall(r"skvae\[([\w,]+)\]", text) for e in group.split(",")}
    extras = set(importlib.metadata.metadata("skvae").get_all("Provides-Extra"))
    assert "plot" in named and named <= extras


def test_version_stands_everywhere():
    assert importlib.metadata.version("skvae") == skvae.__version__
    assert f"## [{skvae.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_command_is_installed():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="skvae")
    assert callable(entry.load())


def test_pins_cover_what_the_package_asks_for():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    pinned = {pin.name: str(pin.specifier) for pin in pins}
    assert pinned["torch"] == "==2.13.0"
    wanted = map(Requirement, importlib.metadata.requires("skvae"))
    names = {
        requirement.name
        for requirement in wanted
        for extra in PINNED_EXTRAS
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    }
    assert names - {"skvae"} <= set(pinned)


def test_wheel_holds_the_package_its_marker_and_its_licence(tmp_path):
    pytest.importorskip("hatchling", reason="the build backend is part of skvae[dev]")
    done = run_python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "skvae").rglob("*.py")}
    assert modules | {"skvae/py.typed"} <= set(held)
    assert any(name.endswith("licenses/LICENSE") for name in held)
    assert not any(name.startswith("tests/") for name in held)


def readme_blocks():
    """Pairs of code and its output; the output is None where no text block stands right below."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?", text, re.M | re.S)


def test_readme_code_runs_and_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = readme_blocks()
    assert blocks
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    namespace = {"__name__": "readme"}
    for code, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), namespace)
        if expected:
            same = doctest.OutputChecker().check_output(expected, printed.getvalue(), flags)
            assert same, f"README.md prints\n{printed.getvalue()}not\n{expected}"


def test_readme_tables_are_the_recorded_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    with_tables = runpy.run_path(str(ROOT / "benchmarks" / "tables.py"))["with_tables"]
    assert with_tables(text) == text, "python benchmarks/tables.py --write README.md"
    names = set(re.findall(r"<!-- (\w+): compared with ", text))
    assert names == {"adbench", "blobs", "robustness", "brain", "plots", "families", "selection"}
    for name in names:  # each of them would be noticed
        before, section = text.split(f"<!-- {name}: ")
        number = re.search(r"\d\.\d", section[section.index("| --- |") :]).group()
        head, tail = section.split("| --- |", 1)
        tampered = f"{before}<!-- {name}: {head}| --- |{tail.replace(number, '7.7', 1)}"
        assert tampered != text and with_tables(tampered) == text, name
