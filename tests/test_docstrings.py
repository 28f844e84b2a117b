"""The docstrings of the two detectors say the same of what they share."""

import re

from skvae import AEDetector, VAEDetector


def sections(detector):
    """Name -> text of each parameter and attribute."""
    body = detector.__doc__.split("Parameters\n")[1].split("See Also")[0]
    entries = re.split(r"\n    (?=\w[\w, ]* : )", body)
    return {entry.split(" : ")[0]: entry.strip() for entry in entries[1:]}


def test_shared_parameters_are_described_alike():
    vae, ae = sections(VAEDetector), sections(AEDetector)
    assert set(vae) - set(ae) == {"beta"}
    differing = {name for name in ae if ae[name] != vae[name]}
    assert differing == {"score", "history_", "callbacks"}, "KL and posterior"
    assert set(VAEDetector().get_params()) <= set(vae)
