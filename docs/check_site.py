"""Check a built site: every link inside it leads somewhere, it loads nothing from elsewhere, and
no example printed a warning. ``python docs/check_site.py docs/_build/html``.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href")}
HARMLESS = {"canonical", "index", "search", "next", "prev", "author"}  # links, nothing is loaded


class Page(HTMLParser):
    """What a page names, links to, loads and shows as the output of its examples."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded, self.warnings = set(), [], [], []
        self._in_output = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[name] for name in ("id", "name") if attrs.get(name)}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        for name in ("src", "href"):
            if (tag, name) in LOADED and attrs.get(name) and attrs.get("rel") not in HARMLESS:
                self.loaded.append(attrs[name])
        if tag == "div" and "sphx-glr-script-out" in (attrs.get("class") or ""):
            self._in_output = True

    def handle_endtag(self, tag):
        if tag == "pre":
            self._in_output = False

    def handle_data(self, data):
        if self._in_output and "Warning:" in data:
            self.warnings.append(data.strip())


def problems(root):
    """Yield a line for everything that is wrong in the site below a folder."""
    paths = [path for path in sorted(root.rglob("*.html")) if "_static" not in path.parts]
    pages = {path.resolve(): Page(path) for path in paths}
    if not pages:
        yield f"no pages in {root}: build them first"
    for path, page in pages.items():
        name = path.relative_to(root.resolve())
        for link in page.links:
            if not urlsplit(link).scheme and not _leads_somewhere(link, path, pages):
                yield f"{name}: nothing at {link}"
        for source in page.loaded:
            parts = urlsplit(source)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                yield f"{name}: loads {source} from elsewhere"
            elif not (path.parent / unquote(parts.path)).exists():
                yield f"{name}: nothing at {source}"
        for text in page.warnings:
            yield f"{name}: an example warns: {text}"


def _leads_somewhere(link, path, pages):
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return False
    fragment = unquote(parts.fragment)
    return not fragment or target not in pages or fragment in pages[target].anchors


def main():
    """Print what is wrong, and end with 1 if anything is."""
    found = list(problems(Path(sys.argv[1])))
    print(*found, sep="\n") if found else print("every link leads somewhere")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
