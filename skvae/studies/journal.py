"""A file of finished results that survives a killed run."""

import json
import os
from pathlib import Path

from skvae.studies.report import write_text


class Journal:
    """One JSON record a line, each on disk before the next piece of work begins.

    One process at a time may write to a journal.

    Parameters
    ----------
    path : str, path-like or None
        The file; it is made, with its folder, when missing. None keeps the records in memory.

    Attributes
    ----------
    records : list of dict
        What the file held, less a last line that a killed run left torn; and what was added.

    Raises
    ------
    ValueError
        If any line but the last is not a JSON record.
    """

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        self.records = []
        if self.path is None:
            return
        if self.path.exists():
            self._read()
        else:
            write_text(self.path, "")

    def add(self, record):
        """Append a record and force it to disk."""
        self.records.append(record)
        if self.path is not None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def drop(self, unwanted):
        """Forget the records for which ``unwanted(record)`` is true, on disk as well."""
        kept = [record for record in self.records if not unwanted(record)]
        if len(kept) < len(self.records):
            self.records = kept
            if self.path is not None:
                self._rewrite()

    def _read(self):
        lines = self.path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            # Only a whole line ends in a line break: without one, the writer was killed midway.
            if number == len(lines) and not line.endswith(b"\n"):
                self._rewrite()
                break
            try:
                self.records.append(json.loads(line))
            except ValueError:
                raise ValueError(
                    f"{self.path}, line {number}, is not a JSON record: mend or delete the line"
                ) from None

    def _rewrite(self):
        write_text(self.path, "".join(json.dumps(record) + "\n" for record in self.records))
