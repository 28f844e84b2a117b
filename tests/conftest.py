import os
import sys
from pathlib import Path

import pytest
import torch

# Set here, not in a fixture, so that the doctests of the package get them as well.
os.environ.setdefault("MPLBACKEND", "Agg")
torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="fail the run if any test was skipped")


def pytest_terminal_summary(terminalreporter, config):
    skipped = len(terminalreporter.stats.get("skipped", []))
    if skipped and config.getoption("--no-skips"):
        terminalreporter.write_line(f"ERROR: --no-skips, and {skipped} skipped", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and session.config.getoption("--no-skips"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure open: matplotlib warns at twenty, and a warning is an error."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(scope="session")
def data_home():
    """Folder of the stored real data sets, from SKVAE_DATA."""
    home = os.environ.get("SKVAE_DATA")
    if not home:
        pytest.skip("real data: set SKVAE_DATA to the folder that holds it")
    return Path(home)
