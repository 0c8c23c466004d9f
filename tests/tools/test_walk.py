"""The walk through the built documentation notices what hinders a reader, in a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools import chromium, walk
from tools.chromium import Tab
from tools.walk import Way, Window

PROGRAM = chromium.found()
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="this machine has no Chromium"),
    pytest.mark.xdist_group("browser"),
]

DESK = Window("desk", 1280, 800, dark=False, everything=True)
PHONE = Window("phone", 390, 844, dark=True, everything=True)


def page(text: str) -> str:
    head = '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
    return f"<!doctype html><html><head>{head}</head><body><article>{text}</article></body></html>"


LINK = '<p style="padding-top: 1500px"><a href="goal.html">Go there</a></p>'
SITE = {
    "index.html": page(LINK),
    "goal.html": page("<pre>step()</pre>"),
    "covered.html": page(LINK + '<div style="position: fixed; inset: 0; background: grey"></div>'),
    "script.html": page("<script>nothing.at.all</script>"),
    "console.html": page("<script>console.error('it went wrong')</script>"),
    "picture.html": page('<img src="none.png">'),
    "wide.html": page('<div style="width: 2000px">wide</div>'),
    "long.html": page('<div style="height: 30000px">long</div>'),
}
WAY = Way("the goal", ("Go there",), "pre", "step()")
FAULTS = {
    "script.html": "nothing is not defined",
    "console.html": "it went wrong",
    "picture.html": "404",
    "wide.html": "wide.html is 20",
    "long.html": "windows long, at most 20",
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    for name, text in SITE.items():
        (folder / name).write_text(text, "utf-8")
    with walk.served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    assert PROGRAM is not None
    with chromium.browsing(PROGRAM) as found:
        yield found


def seen(tab: Tab, base: str, window: Window, name: str) -> list[str]:
    tab.sized(window.width, window.height, window.dark)
    return list(walk.look(tab, base, window, name))


@pytest.mark.parametrize("window", [DESK, PHONE], ids=lambda window: window.name)
def test_a_way_is_gone_by_the_mouse_and_ends_where_it_should(tab: Tab, base: str, window: Window) -> None:
    tab.sized(window.width, window.height, window.dark)
    assert list(walk.walk(tab, base, WAY)) == []
    assert tab.run("location.pathname") == "/goal.html"
    assert tab.run("matchMedia('(prefers-color-scheme: dark)').matches") is window.dark


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        (Way("the goal", ("Elsewhere",), "pre", "step()"), "there is no such link"),
        (Way("the goal", ("Go there",), "pre", "train()"), "'train()' is not seen in pre"),
        (Way("the goal", ("Go there",) * 4, "pre", "step()"), "4 clicks, at most 3"),
    ],
    ids=["no link", "no goal", "too far"],
)
def test_a_way_that_leads_nowhere_is_named(tab: Tab, base: str, way: Way, fault: str) -> None:
    tab.sized(DESK.width, DESK.height)
    assert fault in "\n".join(walk.walk(tab, base, way))


def test_a_link_that_something_lies_on_is_not_clicked(tab: Tab, base: str) -> None:
    tab.sized(DESK.width, DESK.height)
    tab.open(f"{base}covered.html")
    assert walk.click(tab, "Go there") == "'Go there': something lies on the link"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_page_is_named(tab: Tab, base: str, name: str) -> None:
    assert FAULTS[name] in "\n".join(seen(tab, base, PHONE, name))


def test_faults_are_told_once_and_good_pages_have_none(tab: Tab, base: str) -> None:
    assert seen(tab, base, DESK, "script.html")
    for window in (DESK, PHONE):
        assert seen(tab, base, window, "goal.html") == []


def test_what_the_browser_refuses_is_raised(tab: Tab) -> None:
    with pytest.raises(chromium.Failed, match="no such thing"):
        tab.run("throw new Error('no such thing')")
    with pytest.raises(chromium.Failed, match=r"Page\.nonsense"):
        tab.ask("Page.nonsense")
