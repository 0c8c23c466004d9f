"""Equations as MathML, made at build time: pages need no script and no network to show them."""

from __future__ import annotations

import html
import itertools
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

ENVIRONMENT = re.compile(r"^\\begin\{equation\*?\}(.*)\\end\{equation\*?\}$", re.DOTALL)
TAG = re.compile(r"\\tag\{([^}]*)\}")
#: Usual commands that docutils does not know, in terms of ones that it knows.
ALIASES = {r"\dots": r"\ldots", r"\iff": r"\;\Longleftrightarrow\;", "'": r"^{\prime}"}
ALIAS = re.compile("|".join(rf"{re.escape(name)}(?![a-zA-Z])" for name in ALIASES))
#: A fraction whose numerator, or both parts, are single tokens without braces: TeX takes one each, docutils all digits.
FRACTION = re.compile(r"\\([td]?)frac\s*(\\[a-zA-Z]+|[^\s{\\])\s*(\\[a-zA-Z]+|[^\s{\\]|(?=\{))")
#: An accent with an index, which docutils would set below the letter; an empty group beside it prevents that.
ACCENT = re.compile(r"\\(hat|tilde|bar)\s*(?:\{([^{}]*)\}|([a-zA-Z]))(?=[_^])")
#: Bars, of which every second one closes; docutils leaves open which.
BAR = re.compile(r"<mo([^>]*)>([|‖])</mo>")
#: Brackets that MathML stretches to the height of what stands beside them, which TeX does only after \left.
FENCE = re.compile(r"<mo>([⟨⟩⌊⌋⌈⌉])</mo>")
#: Longer formulas in a line of text may be broken, before these.
LONGEST = 24
RELATIONS = frozenset({"=", "<", ">", r"\le", r"\ge", r"\to", r"\approx", r"\propto", r"\in", r"\mapsto"})
ALIGNED = frozenset({"&", r"\\"})
SPACES = frozenset({r"\qquad", r"\quad"})
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|.", re.DOTALL)
OPENING = frozenset({"{", "(", "[", r"\{", r"\langle", r"\lvert", r"\lVert", r"\lfloor", r"\left", r"\begin"})
CLOSING = frozenset({"}", ")", "]", r"\}", r"\rangle", r"\rvert", r"\rVert", r"\rfloor", r"\right", r"\end"})

logger = logging.getLogger(__name__)


class Bars:
    """Marks the bars of an equation as opening and closing in turn, to give them the space of brackets."""

    def __init__(self) -> None:
        self._forms = itertools.cycle(["prefix", "postfix"])

    def __call__(self, bar: re.Match[str]) -> str:
        """The next bar."""
        fixed = "" if "maxsize" in bar[1] else ' stretchy="false"'
        return f'<mo{bar[1]} form="{next(self._forms)}"{fixed}>{bar[2]}</mo>'


def braced(found: re.Match[str]) -> str:
    """A fraction with braces around its single tokens."""
    below = f"{{{found[3]}}}" if found[3] else ""
    return f"\\{found[1]}frac{{{found[2]}}}{below}"


def plain(latex: str) -> str:
    """The same equation in terms that docutils sets as TeX does."""
    known = ALIAS.sub(lambda found: ALIASES[found[0]], latex)
    return ACCENT.sub(r"{\\\1{\2\3}{}}", FRACTION.sub(braced, known))


def convert(latex: str, node: nodes.Node, block: bool) -> str:
    """MathML of ``latex``; what cannot be converted is shown as it stands, with a warning."""
    try:
        mathml = str(tex2mathml(plain(latex), as_block=block))
        return FENCE.sub(_as_high_as_text, BAR.sub(Bars(), mathml))
    except MathError as error:
        logger.warning("equation: %s", error, location=node)
        return f"<code>{html.escape(latex)}</code>"


def _as_high_as_text(fence: re.Match[str]) -> str:
    form = "prefix" if fence[1] in "⟨⌊⌈" else "postfix"
    return f'<mo form="{form}" stretchy="false">{fence[1]}</mo>'


def cuts(latex: str) -> list[tuple[int, str]]:
    """Places outside of all brackets where a line may break, and what stands there: a relation or a wide space."""
    found, depth = [], 0
    for token in TOKEN.finditer(latex):
        depth += (token[0] in OPENING) - (token[0] in CLOSING)
        if depth == 0 and token[0] in ALIGNED:
            return []
        if depth == 0 and token.start() and token[0] in {*RELATIONS, *SPACES}:
            found.append((token.start(), token[0]))
    return found


def pieces(latex: str, longest: int = LONGEST) -> list[str]:
    """A longer formula, cut before its relations and at its wide spaces: browsers break no line inside of one."""
    if len(latex) <= longest:
        return [latex]
    found, start = [], 0
    for place, what in cuts(latex):
        found.append(latex[start:place])
        start = place + (len(what) if what in SPACES else 0)
        # An empty group before a relation keeps the space on its left.
        found.append("" if what in SPACES else "{} ")
    found.append(latex[start:])
    heads, bodies = ["", *found[1::2]], found[::2]
    return [head + body for head, body in zip(heads, bodies, strict=True)]


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write inline mathematics."""
    self.body.append("<wbr>".join(convert(piece, node, block=False) for piece in pieces(node.astext())))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed equation with its tag, if it has one."""
    latex = node.astext().strip()
    if wrapped := ENVIRONMENT.match(latex):
        latex = wrapped[1].strip()
    tag = TAG.search(latex)
    number = f'<span class="tag">({tag[1]})</span>' if tag else ""
    parts: list[str] = []  # what wide spaces part; each is kept together where it fits into a line
    for piece in pieces(TAG.sub("", latex).strip(), longest=0):
        if piece.startswith("{} ") and parts:
            parts[-1] += "<wbr>" + convert(piece, node, block=True)
        else:
            parts.append(convert(piece, node, block=True))
    formula = '<span class="gap"> </span>'.join(f'<span class="part">{part}</span>' for part in parts)
    self.body.append(f'<div class="equation"><div class="formula">{formula}</div>{number}</div>\n')
    raise nodes.SkipNode


def depart(self: HTML5Translator, node: nodes.Element) -> None:
    """Never reached: both visitors write the whole node."""
    raise ExtensionError("an equation was left unwritten")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Offer the renderer under the name that conf.py chooses."""
    app.add_html_math_renderer("mathml", inline_renderers=(visit_inline, depart), block_renderers=(visit_block, depart))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
