"""What the command line prints: tables, JSON, one line of an error."""

import math
import sys
import warnings
from contextlib import contextmanager

from skvae._files import as_json
from skvae._optional import require


def print_tables(tables, out):
    """Print tables with their titles, and where the report of a study is."""
    for title, table in tables.items():
        print_table(title, table)
    print(f"report: {out / 'report.md'}")


def print_table(title, frame):
    """Print a table of strings; they are shown as they are, also where they look like markup."""
    text = require("rich.text", extra="cli", what="The command line").Text
    table = require("rich.table", extra="cli").Table(
        title=title and text(title), show_header=any(str(name).strip() for name in frame.columns)
    )
    for column in frame.columns:
        table.add_column(text(str(column)))
    for row in frame.astype(str).itertuples(index=False):
        table.add_row(*map(text, row))
    console = require("rich.console", extra="cli").Console()
    if not console.is_terminal:
        console.width = 200  # a file has no edge at which names would have to be broken
    console.print(table)


def print_json(value):
    """Print what JSON holds, and nothing else, for another program to read."""
    print(as_json(value), end="")


def shown_threshold(threshold):
    """A threshold as it is read; none where no score can be above it."""
    return "none" if threshold in (None, math.inf) else f"{threshold:.4g}"


@contextmanager
def noting_warnings():
    """Show warnings as one line each, without the places in the program that they come from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: note(" ".join(str(message).split()))
        yield


def note(text):
    """Say something that is no result: it goes beside the output."""
    print(f"skvae: {text}", file=sys.stderr)
