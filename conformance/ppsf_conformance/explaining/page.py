"""A page for a terminal: headings, facts, running text, equations."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ppsf_conformance.explaining import tex

Kind = Literal["title", "heading", "text", "code", "fact"]
MATH = re.compile(r"```\{math\}\n(?::[a-z]+:\n)*(.*?)```", re.DOTALL)
INLINE = re.compile(r"\$([^$]+)\$")
ROLE = re.compile(r"\{need\}`(?:PPSF-)?([^`]+)`")
CITATION = re.compile(r"\s*\{cite:[a-z]+\}`[^`]+`")


@dataclass(frozen=True)
class Block:
    """A part of a page."""

    kind: Kind
    text: str
    label: str = ""


@dataclass
class Page:
    """What is shown, in order."""

    blocks: list[Block] = field(default_factory=list)

    def title(self, text: str) -> None:
        """What the page is about."""
        self.blocks.append(Block("title", text))

    def heading(self, text: str) -> None:
        """The head of a section."""
        self.blocks.append(Block("heading", text))

    def fact(self, label: str, text: str) -> None:
        """One property; nothing if there is nothing to say."""
        if text:
            self.blocks.append(Block("fact", text, label))

    def code(self, text: str) -> None:
        """Lines as they are."""
        self.blocks.append(Block("code", text))

    def prose(self, markdown: str) -> None:
        """Running text with equations, as the specification has it."""
        for number, part in enumerate(MATH.split(markdown)):
            if number % 2:
                self.code("\n".join(tex.lines(part)))
                continue
            for paragraph in filter(None, map(str.strip, part.split("\n\n"))):
                self.blocks.append(Block("text", plain(paragraph)))


def plain(markdown: str) -> str:
    """Running text without roles, citations and TeX."""
    text = CITATION.sub("", ROLE.sub(lambda found: found[1], markdown))
    return " ".join(INLINE.sub(lambda found: tex.inline(found[1]), text).split())


def lines(page: Page, width: int) -> Iterable[tuple[Kind, str]]:
    """The lines of a page, each with its kind."""
    room = max(24, min(width, 100))
    label = max((len(block.label) for block in page.blocks), default=0) + 2
    before: Kind | None = None
    for block in page.blocks:
        if before is not None and (block.kind != "fact" or before != "fact"):
            yield "text", ""
        before = block.kind
        if block.kind == "code":
            yield from (("code", f"    {line}".rstrip()) for line in block.text.splitlines())
        elif block.kind == "fact":
            yield from (("fact", line) for line in _fact(block, label, room))
        else:
            yield from ((block.kind, line) for line in textwrap.wrap(block.text, room, break_on_hyphens=False))


def _fact(block: Block, label: int, room: int) -> Iterable[str]:
    rows = [
        row
        for line in block.text.splitlines()
        for row in textwrap.wrap(line, max(room - label, 20), break_on_hyphens=False)
    ]
    for number, row in enumerate(rows):
        yield (block.label if number == 0 else "").ljust(label) + row
