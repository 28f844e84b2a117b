"""What checks the documentation, checked: ``make docs`` builds it, and runs the checks on it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOOD = (
    '<a href="#here">here</a> <p id="here"></p> <a href="sub/other.html#there">there</a> '
    '<a href="https://example.org">elsewhere</a> <img src="picture.png">'
)


def check(folder):
    command = [sys.executable, str(ROOT / "docs" / "check_site.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.png").touch()
    (tmp_path / "index.html").write_text(GOOD)
    (tmp_path / "sub" / "other.html").write_text(
        '<p id="there"></p> <a href="../index.html">up</a>'
    )
    return tmp_path


def test_a_good_site_has_no_problems(site):
    assert check(site) == (0, "every link leads somewhere\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<a href="gone.html">x</a>', "nothing at gone.html"),
        ('<a href="#gone">x</a>', "nothing at #gone"),
        ('<a href="sub/other.html#here">x</a>', "nothing at sub/other.html#here"),
        ('<img src="gone.png">', "nothing at gone.png"),
        (
            '<script src="https://example.org/x.js"></script>',
            "loads https://example.org/x.js from elsewhere",
        ),
        (
            '<div class="sphx-glr-script-out"><pre>UserWarning: odd</pre></div>',
            "an example warns: UserWarning: odd",
        ),
    ],
)
def test_a_problem_is_named(site, text, problem):
    (site / "index.html").write_text(GOOD + text)
    assert check(site) == (1, f"index.html: {problem}\n")


def test_an_empty_folder_is_no_site(tmp_path):
    code, text = check(tmp_path)
    assert code == 1 and "build them first" in text
