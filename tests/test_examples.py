"""The scripts of the gallery together show the public API; ``make docs`` runs them."""

import ast
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
API = runpy.run_path(str(ROOT / "docs" / "api_reference.py"))["API"]
SCRIPTS = sorted((ROOT / "examples").rglob("plot_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_is_a_gallery_script(script):
    text = script.read_text()
    title, underline = text.splitlines()[1:3]
    assert text.startswith('"""\n') and len(title) == len(underline) and set(underline) == {"="}
    assert "\n# %%\n" in text
    assert any((script.parent / f"README.{ending}").exists() for ending in ("rst", "txt"))


# What no script could show. The command line has no names in Python.
EXEMPT = {"skvae.app.run_app": "serves a page to a browser, and does not come back"}


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
    listed = {
        (module, name)
        for module, (_, groups) in API.items()
        for names in groups.values()
        for name in names
    }
    missing = {f"{module}.{name}" for module, name in listed - used}
    assert missing == set(EXEMPT), "write a missing name into a script, or exempt it with a reason"
