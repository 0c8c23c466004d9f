"""The check of the built documentation names what is broken, too far away, a wall, or no address that can be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import site


def page(text: str, menu: str = "") -> str:
    return f"<html><body><nav>{menu}</nav><article>{text}</article></body></html>"


def link(to: str) -> str:
    return f'<p>Go <a href="{to}">there</a>.</p>'


GOOD = {
    "index.html": page(link("a.html") + link("https://arxiv.org/abs/2306.06101") + '<img src="_static/p.png">'),
    "a.html": page('<h2 id="here">Here</h2>' + link("sub/b.html#place") + link("#here")),
    "sub/b.html": page('<p id="place">Place.</p>' + link("../c.html")),
    "c.html": page("<p>End.</p>"),
    "_static/p.png": "",
    "search.html": page("<p>Made by Sphinx.</p>"),
}
WORDS = "word " * 350


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def test_a_good_site_passes_and_its_external_links_are_listed(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert site.main([str(tmp_path)]) == 0
    assert (tmp_path / site.EXTERNAL).read_text("utf-8") == "https://arxiv.org/abs/2306.06101\n"
    assert site.clicks(site.read(tmp_path)) == {"index.html": 0, "a.html": 1, "sub/b.html": 2, "c.html": 3}


BREAKS = {
    "a page that is not there": ({"c.html": page(link("d.html"))}, "c.html: d.html leads nowhere"),
    "an anchor that is not there": ({"c.html": page(link("a.html#there"))}, "no such place on a.html"),
    "an anchor of its own that is not there": ({"c.html": page(link("#x"))}, "no such place on c.html"),
    "a picture that is not there": ({"c.html": page('<img src="q.png">')}, "q.png leads nowhere"),
    "a broken link of the menu": ({"c.html": page("<p>End.</p>", link("d.html"))}, "d.html leads nowhere"),
    "a page four clicks away": (
        {"c.html": page(link("d.html")), "d.html": page("<p>Far.</p>")},
        "d.html is more than 3 clicks",
    ),
    "a page that only the menu leads to": ({"d.html": page("<p>Alone.</p>", link("d.html"))}, "d.html is more than 3"),
    "a wall of paragraphs": ({"c.html": page(f"<p>{WORDS}</p><p>{WORDS}</p>")}, "c.html has 700 words in one piece"),
    "a place that nobody has looked at": (
        {"c.html": page(link("https://example.org/x"))},
        "c.html: https://example.org/x leads to no place",
    ),
    "a link without encryption": (
        {"c.html": page(link("http://arxiv.org/abs/2306.06101"))},
        "by https",
    ),
    "a number that is none of a paper": (
        {"c.html": page(link("https://arxiv.org/abs/2306.061011"))},
        "is no address of arxiv.org",
    ),
    "no front page": ({"index.html": ""}, ""),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_fault_is_named(fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files, message = BREAKS[fault]
    write(tmp_path, {**GOOD, **files})
    if fault == "no front page":
        (tmp_path / "index.html").unlink()
        message = "build the documentation first"
    assert site.main([str(tmp_path)]) == 1
    assert message in capsys.readouterr().out


def test_what_is_structured_is_no_wall(tmp_path: Path) -> None:
    rows = f"<table><tr><td>{WORDS}</td></tr><tr><td>{WORDS}</td></tr></table>"
    write(tmp_path, {**GOOD, "c.html": page(f"<p>{WORDS}</p><h2>Next</h2><p>{WORDS}</p>{rows}")})
    assert site.main([str(tmp_path)]) == 0
