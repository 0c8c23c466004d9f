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


@dataclass(frozen=True)
class Table:
    """Head and rows; cells are Markdown."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

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
        else:
            shown = [nodes.raw("", svg(found), format="html")]
        return [nodes.container("", *shown, caption, classes=["computed"])]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("computed", Computed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
