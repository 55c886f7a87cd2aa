"""Whether every internal link of the built site leads somewhere: `python docs/_ext/check_links.py docs/_build/html`.

Local `href` and `src` of every page are followed to a file, and their anchors to an `id` (or `name`) in it.
"""

from __future__ import annotations

import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links of a page, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)
            elif name in ("href", "src") and tag != "base":
                self.links.append(value)


@cache
def page(path: Path) -> Page:
    found = Page()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def broken(site: Path) -> list[str]:
    """One line for each link of a page under `site` that leads nowhere."""
    found = []
    for path in sorted(site.rglob("*.html")):
        if path.relative_to(site).parts[0] in ("_static", "_downloads"):
            continue
        for link in sorted(set(page(path).links)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link.startswith("data:"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or not target.is_relative_to(site):
                found.append(f"{path.relative_to(site)}: {link}: no such file")
            elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in page(target).anchors:
                found.append(f"{path.relative_to(site)}: {link}: no such place on that page")
    return found


def main(site: str) -> int:
    root = Path(site).resolve()
    if not (root / "index.html").is_file():
        print(f"{site}: no built site; run `make docs` first", file=sys.stderr)
        return 2
    lines = broken(root)
    for line in lines:
        print(line, file=sys.stderr)
    count = len(list(root.rglob("*.html")))
    print(f"{count} pages, {len(lines)} broken internal links")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
