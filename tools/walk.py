"""``python -m tools.walk build/docs``: the built documentation as a stranger uses it, in a browser.

From the front page to a trained model, to an audited class and to a derivation, by clicks of the mouse on links of the
text, three at most; the search finds a page and marks the words on it; and no page, on a desk or on a phone, has a
script that fails, a picture that is missing or a line that leaves the window, or goes on for ever.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tools import chromium
from tools.chromium import Failed, Tab
from tools.site import CLICKS, FRONT, OWN


@dataclass(frozen=True)
class Window:
    """Its size in CSS pixels, the theme, and whether all pages are looked at in it and not only those on the ways."""

    name: str
    width: int
    height: int
    dark: bool
    everything: bool


@dataclass(frozen=True)
class Way:
    """Links to be clicked, by their text, and what has to be seen at the end: an element with a text in it."""

    goal: str
    clicks: tuple[str, ...]
    selector: str
    text: str


WINDOWS = (
    Window("desk, light", 1280, 800, dark=False, everything=False),
    Window("desk, dark", 1280, 800, dark=True, everything=True),
    Window("phone, light", 390, 844, dark=False, everything=True),
    Window("phone, dark", 390, 844, dark=True, everything=False),
)
WAYS = (
    Way("a trained model", ("Start in five minutes",), "pre", "optimizer.step()"),
    Way("the configuration of a trainer", ("bring the configuration",), "pre", "from_onetrainer"),
    Way("an audited class", ("Audit it",), "pre", "ppsf-conformance run"),
    Way("a derivation", ("Derivations", "The distance bound"), ".equation", "D"),
    Way("the verdicts on a release", ("Published implementations and ours",), "table.verdicts", "✓"),
    Way("a clause", ("The specification", "D-003"), "section.clause", "Decaying gradient sum"),
    Way("what a message means", ("Find", "By error message"), "table.lookup", "step()"),
)
#: A word of the text that the theme's hidden drawings have in their titles too.
WORD = "light"
#: Windows of a phone, one below the other, from which a page is too long to be read in one sitting.
LONGEST = 20
#: A link of the text by what it says, brought into the middle of the window; its middle, if nothing lies on it.
PLACE = """(() => {
  const said = (link) => link.textContent.trim().replace(/\\s+/g, " ");
  const link = [...document.querySelectorAll("article a, #search-results a")].find((one) => said(one) === TEXT);
  if (!link) return "there is no such link";
  link.scrollIntoView({block: "center", behavior: "instant"});
  const box = link.getClientRects()[0];
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const there = document.elementFromPoint(x, y);
  return there && (link.contains(there) || there.contains(link)) ? [x, y] : "something lies on the link";
})()"""
#: Whether an element with a text is there and has a size.
SEEN = """[...document.querySelectorAll(SELECTOR)].some(
  (one) => one.textContent.includes(TEXT) && one.getBoundingClientRect().height > 8)"""
SIZE = "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
#: Resolves when the search has told how many pages it found.
FOUND = """new Promise((done) => {
  const look = () => {
    const link = document.querySelector("#search-results li a");
    link ? done(link.textContent.trim().replace(/\\s+/g, " ")) : setTimeout(look, 50);
  };
  look();
})"""
MARKED = """new Promise((done) => setTimeout(() => done(document.querySelectorAll("span.highlighted").length), 100))"""


def click(tab: Tab, text: str) -> str | None:
    """Click the link of the text that says this; why not, if it cannot be done."""
    place = tab.run(PLACE.replace("TEXT", json.dumps(text)))
    if isinstance(place, str):
        return f"{text!r}: {place}"
    tab.arriving(lambda: tab.click(*place))
    return None


def walk(tab: Tab, base: str, way: Way) -> Iterator[str]:
    """Go a way; what hinders."""
    if len(way.clicks) > CLICKS:
        yield f"{way.goal}: {len(way.clicks)} clicks, at most {CLICKS}"
    tab.open(base + FRONT)
    for text in way.clicks:
        if hindered := click(tab, text):
            yield f"{way.goal}: {hindered}"
            return
    if not tab.run(SEEN.replace("SELECTOR", json.dumps(way.selector)).replace("TEXT", json.dumps(way.text))):
        yield f"{way.goal}: {way.text!r} is not seen in {way.selector}"
    yield from (f"{way.goal}: {fault}" for fault in tab.faults())


def search(tab: Tab, base: str) -> Iterator[str]:
    """Search a word and follow the first page that is found; what hinders."""
    tab.open(f"{base}search.html?q={WORD}")
    found = tab.run(FOUND)
    hindered = click(tab, found)
    if hindered or not tab.run(MARKED):
        yield f"search for {WORD!r}: {hindered or f'no word is marked on the page {found!r}'}"
    yield from (f"search for {WORD!r}: {fault}" for fault in tab.faults())


def look(tab: Tab, base: str, window: Window, page: str) -> Iterator[str]:
    """Open a page; what is wrong with it."""
    tab.open(base + page)
    width, height = tab.run(SIZE)
    if width > window.width:
        yield f"{page} is {width} pixels wide"
    if window.width < 600 and page not in OWN and height > LONGEST * window.height:
        yield f"{page} is {height / window.height:.0f} windows long, at most {LONGEST}: split it by subject"
    yield from (f"{page}: {fault}" for fault in tab.faults())


def findings(tab: Tab, base: str, pages: Sequence[str]) -> Iterator[str]:
    """Everything that is wrong."""
    for window in WINDOWS:
        tab.sized(window.width, window.height, window.dark)
        ways = (line for way in WAYS for line in walk(tab, base, way))
        looks = (line for page in pages if window.everything for line in look(tab, base, window, page))
        yield from (f"{window.name}: {line}" for lines in (ways, search(tab, base), looks) for line in lines)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address under which this machine shows a folder to itself: browsers run no search on plain files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk through a folder; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.walk", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the documentation was built")
    folder = parser.parse_args(arguments).folder
    program = chromium.found()
    if program is None:
        print(f"not walked through: this machine has no browser of these names: {', '.join(chromium.NAMES)}")
        return 0
    pages = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.html"))]
    try:
        with served(folder) as base, chromium.browsing(program) as tab:
            found = list(findings(tab, base, pages))
    except Failed as error:
        found = [str(error)]
    print(*found, sep="\n", end="\n" if found else "")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
