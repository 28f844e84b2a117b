"""Docstrings: all that is public is on a page with an example; detectors share descriptions."""

import inspect
import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest

from skvae import AEDetector, VAEDetector, detectors

DETECTORS = [getattr(detectors, name) for name in detectors.__all__]
API = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "api_reference.py"))["API"]
LISTED = {
    module: [name for names in groups.values() for name in names]
    for module, (_, groups) in API.items()
}
# Constants, which the docstrings of functions name.
WITHOUT_PAGE = {"skvae.corruptions": {"CORRUPTIONS"}, "skvae.datasets": {"TIME_SERIES_KINDS"}}


@pytest.fixture(params=LISTED)
def module(request):
    if request.param == "skvae.interop.pyod":
        pytest.importorskip("pyod", reason="PyOD's classes: pip install skvae[pyod]")
    return import_module(request.param)


def test_the_reference_lists_what_a_module_exports(module):
    listed = LISTED[module.__name__]
    assert len(listed) == len(set(listed))
    assert set(listed) | WITHOUT_PAGE.get(module.__name__, set()) == set(module.__all__)


def test_every_public_name_has_an_example(module):
    for name in LISTED[module.__name__]:
        doc = inspect.getdoc(getattr(module, name))
        _, heading, example = doc.partition("\nExamples\n--------\n")
        assert heading, f"{name} has no section Examples"
        assert ">>> " in example or ".. code-block:: python" in example, name


def entries(doc, section):
    """Name -> text of each entry of a section."""
    body = doc.split(f"{section}\n{'-' * len(section)}\n")[1]
    body = re.split(r"^[A-Z][\w ]+\n-+$", body, maxsplit=1, flags=re.M)[0]
    found = {}
    for entry in re.split(r"^(?=\w[\w, ]* : )", body, flags=re.M)[1:]:
        names = entry.split(" : ")[0].split(", ")
        found |= dict.fromkeys(names, entry.strip())
    return found


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: each.__name__)
def test_every_parameter_is_described_with_its_default(detector):
    doc = inspect.cleandoc(detector.__doc__)
    assert not re.search(r"^<\w+>$", doc, re.M), "a place that nothing was put in"
    described = entries(doc, "Parameters")
    parameters = inspect.signature(detector).parameters
    assert set(described) == set(parameters)
    for name, parameter in parameters.items():
        head = " ".join(described[name].split("\n    ")[:1])
        if isinstance(parameter.default, (int, float)) or parameter.default is None:
            shown = head.partition("default=")[2].split(", ")
            assert repr(parameter.default) in shown, head


def test_shared_parameters_are_described_alike():
    vae, ae = (entries(each.__doc__, "Parameters") for each in (VAEDetector, AEDetector))
    assert set(vae) - set(ae) == {"beta"}
    differing = {name for name in ae if ae[name] != vae[name]}
    assert differing == {"score", "callbacks"}, "KL and posterior"
