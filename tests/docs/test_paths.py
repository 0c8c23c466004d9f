"""A stranger's way: from the front page to a goal in at most three clicks, by links in the text and not by the menu."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINK = re.compile(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)")
GOALS = (
    "quickstart.md",
    "guides/audit.md",
    "tool.md",
    "adapter.md",
    "spec/errata.md",
    *(f"derivations/{path.name}" for path in sorted((DOCS / "derivations").glob("*.md"))),
    *(f"guides/{path.name}" for path in sorted((DOCS / "guides").glob("*.md")) if path.stem != "extend"),
)


def links(page: Path) -> set[Path]:
    text = page.read_text(encoding="utf-8")
    return {(page.parent / target).resolve() for target in LINK.findall(text)} - {page}


def clicks() -> dict[Path, int]:
    """How far each page is from the front page."""
    found = {DOCS / "index.md": 0}
    front = [DOCS / "index.md"]
    while front:
        page = front.pop(0)
        for target in sorted(links(page)):
            if target.is_file() and target not in found:
                found[target] = found[page] + 1
                front.append(target)
    return found


@pytest.mark.parametrize("goal", GOALS)
def test_a_goal_is_three_clicks_away_at_most(goal: str) -> None:
    assert clicks().get(DOCS / goal, 99) <= 3


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert [str(target) for target in links(page) if not target.exists()] == []


@pytest.mark.parametrize("page", sorted((DOCS / "derivations").glob("[!i]*.md")), ids=lambda page: page.stem)
def test_a_derivation_ends_with_what_it_means_and_names_clauses(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[-1] == "What this means for you"
    assert re.search(r"PPSF-[A-Z]-\d{3}", text)
    assert "{cite:p}" in text or page.stem == "index"
