"""``python -m tools.site build/docs``: what has to hold of the built documentation, checked without a network.

Every link inside of it leads to a page that is there, and to an anchor that is on it. From the front page every page is
at most three clicks away, by links in the text and not by the menu. No page is a wall: no stretch of text without a
heading, a list, a row of a table, an equation, code or a picture is longer than a screen. Links that leave the
documentation go by https to one of few places and look as addresses do there; they are listed in
``external-links.txt`` beside it, and ``make linkcheck`` follows them.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

FRONT = "index.html"
CLICKS = 3
#: Words of running text without anything that structures it.
WALL = 400
#: Pages that Sphinx makes for itself; nobody links to them from the text.
OWN = frozenset({"genindex.html", "py-modindex.html", "search.html"})
#: What interrupts running text.
STRUCTURE = frozenset(
    {"h1", "h2", "h3", "h4", "li", "dt", "tr", "pre", "math", "img", "svg", "figure", "section", "details", "div"}
)
EXTERNAL = "external-links.txt"
#: Where links may lead outside, and what the rest of the address looks like there. Add a place after a look at it.
PLACES = {
    "arxiv.org": r"/abs/\d{4}\.\d{4,5}",
    "doi.org": r"/10\.\d{4,}/[\w.()/-]+",
    "hypothesis.readthedocs.io": "",
    "keepachangelog.com": r"/en/\d+\.\d+\.\d+/",
    "kellerjordan.github.io": r"/posts/\w+/",
    "semver.org": r"/spec/v\d+\.\d+\.\d+\.html",
    "triton-lang.org": "",
}


@dataclass
class Page:
    """What a page holds: links of the text, all links, the names of anchors, its longest stretch of text."""

    text_links: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    longest: int = 0


class _Reader(HTMLParser):
    """Collects that; the text is what stands inside of ``<article>``."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._depth, self._words = 0, 0

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.page.anchors |= {value for name in ("id", "name") if (value := facts.get(name))}
        if tag == "article":
            self._depth += 1
        if tag in STRUCTURE:
            self._words = 0
        for name in ("href", "src"):
            if value := facts.get(name):
                self.page.links.append(value)
                if self._depth and tag == "a":
                    self.page.text_links.append(value)

    def handle_endtag(self, tag: str) -> None:
        self._depth -= tag == "article"

    def handle_data(self, data: str) -> None:
        if self._depth:
            self._words += len(data.split())
            self.page.longest = max(self.page.longest, self._words)


def read(folder: Path) -> dict[str, Page]:
    """All pages of a built site, by path."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        reader = _Reader()
        reader.feed(path.read_text("utf-8"))
        pages[path.relative_to(folder).as_posix()] = reader.page
    return pages


def target(page: str, link: str) -> tuple[str, str] | None:
    """Path and anchor that a link on a page leads to; None if it leaves the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = normpath(join(dirname(page), unquote(parts.path))) if parts.path else page
    return path, unquote(parts.fragment)


def broken(folder: Path, pages: Mapping[str, Page]) -> Iterator[str]:
    """Links to pages, files or anchors that are not there."""
    for name, page in pages.items():
        for link in dict.fromkeys(page.links):
            found = target(name, link)
            if found is None:
                continue
            path, anchor = found
            if path not in pages and not (folder / path).is_file():
                yield f"{name}: {link} leads nowhere"
            elif anchor and path in pages and anchor not in pages[path].anchors:
                yield f"{name}: {link}: there is no such place on {path}"


def clicks(pages: Mapping[str, Page]) -> dict[str, int]:
    """How many clicks each page is away from the front page; what cannot be reached is missing."""
    found, queue = {FRONT: 0}, [FRONT]
    while queue:
        name = queue.pop(0)
        for link in pages[name].text_links:
            led = target(name, link)
            if led is not None and led[0] in pages and led[0] not in found:
                found[led[0]] = found[name] + 1
                queue.append(led[0])
    return found


def far(pages: Mapping[str, Page]) -> Iterator[str]:
    """Pages that are too many clicks away."""
    distances = clicks(pages)
    for name in pages:
        if name not in OWN and distances.get(name, CLICKS + 1) > CLICKS:
            yield f"{name} is more than {CLICKS} clicks away from {FRONT}"


def walls(pages: Mapping[str, Page]) -> Iterator[str]:
    """Pages with too much text in one piece."""
    for name, page in pages.items():
        if page.longest > WALL:
            yield f"{name} has {page.longest} words in one piece, without a heading, list, table, equation or code"


def external(pages: Mapping[str, Page]) -> dict[str, str]:
    """Links of the text that leave the site, each with a page that has it."""
    found = ((link, name) for name, page in pages.items() for link in page.text_links if target(name, link) is None)
    return dict(sorted(found))


def strange(links: Mapping[str, str]) -> Iterator[str]:
    """Links to places that nobody has looked at, or that cannot be right there."""
    for link, page in links.items():
        parts = urlsplit(link)
        known = PLACES.get(parts.netloc) if parts.scheme == "https" else None
        if known is None:
            yield f"{page}: {link} leads to no place of PLACES (tools/site.py) by https"
        elif not re.fullmatch(known, parts.path) or parts.query:
            yield f"{page}: {link} is no address of {parts.netloc}"


def findings(folder: Path) -> list[str]:
    """Everything that is wrong."""
    pages = read(folder)
    if FRONT not in pages:
        return [f"{folder} has no {FRONT}: build the documentation first"]
    outside = external(pages)
    (folder / EXTERNAL).write_text("".join(f"{link}\n" for link in outside), "utf-8")
    return [*broken(folder, pages), *far(pages), *walls(pages), *strange(outside)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the documentation was built")
    found = findings(parser.parse_args(arguments).folder)
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
