"""Files that are whole or not there at all."""

import glob
import json
import math
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np


@contextmanager
def replacing(path):
    """Open a file beside ``path`` that takes its place only once it is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the new name and no content
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path):
    """Make a folder beside ``path`` that takes its place, with all it holds, once it is complete.

    What stood at ``path`` stays as it is until then, and is removed after. If the process is killed
    between the two moves, the next one puts it back.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    _put_back(path)
    place = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    beside, before = place / "new", place / "before"
    try:
        beside.mkdir()  # with the permissions of any folder; those of ``place`` are the owner's
        yield beside
        if path.exists():
            os.replace(path, before)
        os.replace(beside, path)
    finally:
        if before.exists() and not path.exists():  # interrupted between the two
            os.replace(before, path)
        shutil.rmtree(place, ignore_errors=True)


def _put_back(path):
    """Undo the first move of a process that was killed before the second."""
    if path.exists():
        return
    moved = path.parent.glob(f".{glob.escape(path.name)}.*/before")
    last = max(moved, key=lambda each: each.parent.stat().st_mtime, default=None)
    if last is not None:
        os.replace(last, path)
        shutil.rmtree(last.parent, ignore_errors=True)


def write_bytes(path, content):
    """Write a file, whole or not at all."""
    with replacing(path) as file:
        file.write(content)


def write_text(path, text):
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def as_json(value):
    """Text of a JSON file; what is not finite becomes null, because JSON has no NaN."""
    return json.dumps(_jsonable(value), indent=1, allow_nan=False) + "\n"


def _jsonable(value):
    if isinstance(value, dict):
        return {name: _jsonable(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
