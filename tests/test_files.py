"""Files and folders that are whole or not there, whatever stops their writer."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from skvae._files import replacing, replacing_folder, write_text

KILLED = """
import os, runpy, signal, sys

_files = runpy.run_path("skvae/_files.py")  # alone, because to import all takes seconds

replace, moves = os.replace, []

def replace_once(source, target):
    if moves:
        os.kill(os.getpid(), signal.SIGKILL)
    moves.append(target)
    replace(source, target)

os.replace = replace_once
with _files["replacing_folder"](sys.argv[1]) as folder:
    (folder / "new").touch()
"""


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(params=["out", "out [1]"])
def out(request, tmp_path):
    (tmp_path / request.param).mkdir()
    (tmp_path / request.param / "old").touch()
    return tmp_path / request.param


def killed_between_the_moves(out):
    done = subprocess.run([sys.executable, "-c", KILLED, out], cwd=Path(__file__).parents[1])
    assert done.returncode < 0
    assert not out.exists()


def test_what_a_kill_between_the_moves_left_is_put_back(out):
    killed_between_the_moves(out)
    with pytest.raises(KeyboardInterrupt), replacing_folder(out):
        assert names(out.parent)[-2:] == [out.name, f"{out.name}/old"]
        raise KeyboardInterrupt
    assert names(out.parent) == [out.name, f"{out.name}/old"]


def test_a_folder_is_replaced_after_a_kill(out):
    killed_between_the_moves(out)
    with replacing_folder(out) as folder:
        (folder / "newer").touch()
    assert names(out.parent) == [out.name, f"{out.name}/newer"]


def test_leftovers_of_a_process_of_the_same_number_are_no_hindrance(out):
    for end in ("", ".before"):
        (out.parent / f".{out.name}.{os.getpid()}{end}").mkdir()
    with replacing_folder(out) as folder:
        (folder / "new").touch()
    assert names(out) == ["new"]


def test_the_folder_has_the_permissions_of_any_folder(tmp_path):
    with replacing_folder(tmp_path / "out"):
        pass
    (tmp_path / "other").mkdir()
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "other")}
    assert len(modes) == 1


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    calls = []
    sync, replace = os.fsync, os.replace

    def seen_sync(number):
        calls.append(os.fstat(number).st_size)
        sync(number)

    def seen_replace(source, target):
        calls.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr("skvae._files.os.fsync", seen_sync)
    monkeypatch.setattr("skvae._files.os.replace", seen_replace)
    write_text(tmp_path / "a.txt", "twelve bytes")
    assert calls == [12, "a.txt"]
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise KeyError
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "twelve bytes"
