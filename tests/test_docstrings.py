"""The docstrings of detectors say all of their parameters, and the same of what they share."""

import inspect
import re

import pytest

from skvae import AEDetector, VAEDetector, detectors

DETECTORS = [getattr(detectors, name) for name in detectors.__all__]


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
