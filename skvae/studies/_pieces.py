"""A study in pieces: each is computed once, and its rows are kept where a killed run finds them."""

import json
import time
from pathlib import Path

import pandas as pd
from tqdm.auto import tqdm

from skvae import __version__
from skvae.studies.journal import Journal


class Pieces:
    """Pieces of one study, with a progress bar; use it in a ``with`` statement.

    Parameters
    ----------
    out : str, path-like or None
        Folder whose ``pieces.jsonl`` holds the finished pieces; None keeps them in memory.
    settings : dict
        What all pieces depend on, and under "study" its name. Pieces that another run computed with
        other settings, or another version of the package, stay in the file and are not used.
    total : int
        Number of pieces, for the progress bar.
    progress : bool
        Whether to show the bar.

    Raises
    ------
    ValueError
        If the folder holds another study, whose report would be written over.
    """

    def __init__(self, out, settings, total, progress):
        self._journal = Journal(None if out is None else Path(out) / "pieces.jsonl")
        # Settings go through JSON once, so that they compare with those read from the file.
        self._settings = json.loads(json.dumps({"version": __version__} | settings))
        self._refuse_another_study(out)
        self._used = []
        self._bar = tqdm(total=total, disable=not progress, unit="piece")

    def _refuse_another_study(self, out):
        own = self._settings.get("study")
        for record in self._journal.records:
            if record["settings"].get("study") != own:
                raise ValueError(
                    f"The folder {out} holds the study {record['settings'].get('study')!r}, this "
                    f"is {own!r}; give it a folder of its own."
                )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._bar.close()

    def compute(self, part, function, **key):
        """Compute a piece, unless it is there already.

        Parameters
        ----------
        part : str
            The table that its rows belong to.
        function : callable
            Without arguments; returns a list of dict, or a dict for one row, of what JSON holds.
        **key
            What tells it from the other pieces of that table: the first columns of its rows.
        """
        self._bar.set_description(", ".join([part, *(f"{k} {v}" for k, v in key.items())]))
        record = self._find(part, key)
        if record is None:
            start, cpu = time.perf_counter(), time.process_time()
            rows = function()
            record = {"settings": self._settings, "part": part, "key": key}
            record["rows"] = [rows] if isinstance(rows, dict) else rows
            record["seconds"] = time.perf_counter() - start
            record["cpu_seconds"] = time.process_time() - cpu
            self._journal.add(record)
        self._used.append(record)
        self._bar.update()

    def _find(self, part, key):
        wanted = {"settings": self._settings, "part": part, "key": key}
        found = (r for r in self._journal.records if wanted.items() <= r.items())
        return next(found, None)

    def rows(self, part):
        """Rows of a table as dicts, in the order of their computation."""
        own = (record for record in self._used if record["part"] == part)
        return [record["key"] | row for record in own for row in record["rows"]]

    def table(self, part):
        """Rows of a table as a DataFrame."""
        return pd.DataFrame(self.rows(part))

    @property
    def minutes(self):
        """Wall and CPU time of all the pieces, those of earlier runs among them."""
        return [sum(r[k] for r in self._used) / 60 for k in ("seconds", "cpu_seconds")]
