"""The directive ``{computed} module.function``: a picture or a table that the build computes.

The functions are in ``facts``, one module for each page. A page so shows what its equations say, and not what
somebody once pasted; the content of the directive is the caption.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from drawing import Picture, svg

#: Characters in a cell from which a table of four columns is wide, and rows from which it is long.
WIDE, LONG = 40, 20


@dataclass(frozen=True)
class Table:
    """Head and rows; cells are Markdown."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def classes(self) -> list[str]:
        """Wide tables have one cell below the other on a phone, long ones a box to filter them."""
        is_wide = len(self.head) > 3 and any(len(cell) > WIDE for row in self.rows for cell in row)
        return [*(["lookup"] if is_wide else []), *(["filterable"] if len(self.rows) > LONG else [])]

    def markdown(self) -> str:
        """The table as text."""
        lines = [self.head, tuple("---" for _ in self.head), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def compute(name: str) -> Picture | Table:
    """Call ``facts.<module>.<function>``."""
    module, function = name.split(".")
    found: Picture | Table = getattr(importlib.import_module(f"facts.{module}"), function)()
    return found


class Computed(SphinxDirective):
    """Computes, draws, and puts the caption below."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Build a figure."""
        name = self.arguments[0]
        self.env.note_dependency(str(Path(__file__).parent / "facts" / f"{name.split('.')[0]}.py"))
        found = compute(name)
        caption = nodes.container("", *self.parse_content_to_nodes(), classes=["computed-caption"])
        if isinstance(found, Table):
            shown = self.parse_text_to_nodes(found.markdown())
            for table in (part for node in shown for part in node.findall(nodes.table)):
                table["classes"] += found.classes
        else:
            shown = [nodes.raw("", svg(found), format="html")]
        return [nodes.container("", *shown, caption, classes=["computed"])]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("computed", Computed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
