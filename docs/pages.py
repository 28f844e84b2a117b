"""Pages that are written from lists: the API, the recorded tables, names in other documentation."""

import zlib

from api_reference import API
from external_names import SITES
from tables import TABLES


def write_api_pages(folder):
    """Write a page for each public module, and one that lists the modules."""
    folder.mkdir(exist_ok=True)
    contents = []
    for module, (words, groups) in API.items():
        contents.append(module)
        lines = [*heading(module, "="), "", f".. automodule:: {module}", "   :no-members:", ""]
        lines += [f".. currentmodule:: {module}", "", words, ""]
        for group, names in groups.items():
            if group:
                lines += [*heading(group, "-"), ""]
            lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
            lines += [f"   {name}" for name in names] + [""]
        write(folder / f"{module}.rst", lines)
    lines = [".. _api:", "", *heading("API reference", "="), "", ".. toctree::", "   :maxdepth: 2"]
    write(folder / "index.rst", [*lines, "", *(f"   {name}" for name in contents)])


def write_tables(folder):
    """Write each recorded table, to be included where it is spoken of."""
    folder.mkdir(exist_ok=True)
    for name, make in TABLES.items():
        table = make()
        rows = [list(table.columns), *table.astype(str).values.tolist()]
        lines = [".. list-table::", "   :header-rows: 1", "   :class: measured", ""]
        for row in rows:
            marks = ["   * -", *["     -"] * (len(row) - 1)]
            cells = ["\\-" if cell == "-" else cell for cell in row]  # a lone dash is a list
            lines += [f"{mark} {cell}" for mark, cell in zip(marks, cells, strict=True)]
        write(folder / f"{name}.rst", lines)


def write_inventories(folder):
    """Write what Sphinx needs to know of other documentation, so that no build asks the net."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for site, (address, names) in SITES.items():
        lines = "".join(f"{name} {role} 1 {page} -\n" for name, role, page in names)
        head = f"# Sphinx inventory version 2\n# Project: {site}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{site}.inv"
        path.write_bytes(head.encode() + zlib.compress(lines.encode()))
        mapping[site] = (address, str(path))
    return mapping


def heading(text, character):
    """Lines of a title."""
    return [text, character * len(text)]


def write(path, lines):
    """Write a page, unless it is there already as it is: Sphinx reads anew what is newer."""
    text = "\n".join(lines) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
