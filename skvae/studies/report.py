"""Writing reports: tables as CSV, JSON and Markdown, pictures as PNG, never half a file."""

import json
from pathlib import Path

from skvae._files import write_bytes, write_text
from skvae.plotting._common import as_png, unseen_figure


def write_table(path, frame):
    """Write a DataFrame, without its index, as CSV or JSON (by the ending of ``path``)."""
    if Path(path).suffix == ".json":
        # Through pandas, because it writes NaN as null: NaN is not JSON.
        records = json.loads(frame.to_json(orient="records", double_precision=15))
        write_text(path, json.dumps(records, indent=1) + "\n")
    else:
        write_text(path, frame.to_csv(index=False))


def write_tables(folder, tables):
    """Write DataFrames by name, each as CSV and as JSON."""
    for name, frame in tables.items():
        write_table(Path(folder) / f"{name}.csv", frame)
        write_table(Path(folder) / f"{name}.json", frame)


def write_sections(path, head, shown, words):
    """Write a Markdown page: a head, then for each formatted table its title and its words."""
    text = [head]
    for (title, table), own in zip(shown.items(), words, strict=True):
        text.append(f"## {title}\n\n{own}\n{markdown_table(table)}")
    write_text(path, "\n".join(text))


def write_figure(path, figure):
    """Write a matplotlib figure as PNG, whole or not at all."""
    write_bytes(path, as_png(figure, dpi=150))


def new_figure(**options):
    """Make a figure that no window, backend or global state knows of."""
    return unseen_figure(what="The picture of a study", **options)


def markdown_table(frame):
    """Turn a DataFrame of formatted strings into a Markdown table."""
    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def percent(mean, spread=None):
    """Format a share as percent, with its spread where there is one.

    Examples
    --------
    >>> percent(0.8352), percent(0.8352, 0.004), percent(float("nan"))
    ('83.5', '83.5 ± 0.4', '-')
    """
    if mean != mean:
        return "-"
    if spread is None or spread != spread:
        return f"{100 * mean:.1f}"
    return f"{100 * mean:.1f} ± {100 * spread:.1f}"
