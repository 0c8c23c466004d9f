"""Equations for a terminal: the TeX of the specification as lines of Unicode.

It knows what the clauses use, and nothing more: a command that it does not know is an error, so that a clause that uses
a new one is noticed by the test that renders all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOKEN = re.compile(r"\\[a-zA-Z]+\*?|\\.|[{}^_&]|\s+|[^\\{}^_&\s]", re.DOTALL)

SYMBOLS: Mapping[str, str] = {
    r"\beta": "β", r"\Delta": "Δ", r"\rho": "ρ", r"\pi": "π", r"\xi": "ξ", r"\lambda": "λ", r"\tau": "τ", r"\mu": "μ",
    r"\varepsilon": "ε", r"\ell": "ℓ", r"\infty": "∞", r"\cdot": "·", r"\le": "≤", r"\ge": "≥", r"\ne": "≠",
    r"\pm": "±", r"\leftarrow": "←", r"\mapsto": "↦", r"\iff": "⇔", r"\wedge": "∧", r"\vee": "∨", r"\sum": "Σ",
    r"\langle": "⟨", r"\rangle": "⟩", r"\lVert": "\ue000", r"\rVert": "\ue001", r"\lvert": "|", r"\rvert": "|",
    r"\lfloor": "⌊", r"\rfloor": "⌋", r"\lceil": "⌈", r"\rceil": "⌉", r"\top": "ᵀ", r"\times": "×", r"\in": "∈",
    r"\ldots": "…", r"\dots": "…", r"\eta": "η", r"\gamma": "γ", r"\alpha": "α", r"\delta": "δ", r"\sigma": "σ",
    r"\max": "max", r"\min": "min", r"\arg": "arg ", r"\dim": "dim ", r"\cos": "cos", r"\log": "log", r"\sin": "sin",
    r"\bmod": " mod ", r"\_": "_", r"\{": "{", r"\}": "}", r"\%": "%", r"\|": "‖", r"\to": "→", r"\gg": "≫",
    r"\oplus": "⊕", r"\circ": "∘", r"\approx": "≈", r"\lt": "<", r"\gt": ">", r"\epsilon": "ε", r"\Vert": "‖",
}  # fmt: skip
#: Blanks, and what only says how large or how close something is.
SPACES: Mapping[str, str] = {
    r"\,": " ",
    r"\ ": " ",
    r"\;": " ",
    r"\:": " ",
    r"\!": "",
    r"\quad": "  ",
    r"\qquad": "   ",
}
SILENT = {
    r"\left", r"\right", r"\bigl", r"\bigr", r"\big", r"\Big", r"\Bigl", r"\Bigr", r"\displaystyle", r"\limits",
}  # fmt: skip
#: Symbols after which a minus sign stands between two terms.
TERMS = {
    r"\beta", r"\rho", r"\pi", r"\xi", r"\lambda", r"\tau", r"\mu", r"\infty", r"\rVert", r"\rangle", r"\rfloor",
    r"\rceil", r"\varepsilon",
}  # fmt: skip
#: Commands whose argument is shown as it is.
PLAIN = {r"\text", r"\mathrm", r"\operatorname", r"\texttt", r"\mathbf", r"\mathit", r"\mathcal", r"\textbf"}
FUNCTIONS = {r"\operatorname"}
ACCENTS: Mapping[str, str] = {r"\hat": "\u0302", r"\tilde": "\u0303", r"\bar": "\u0304"}
FRACTIONS = {r"\frac", r"\tfrac", r"\dfrac"}
#: Operators that stand with a blank on either side.
WIDE = set("=+<>≤≥≠←⇔∧∨↦·±→≈×∈")
UPPER = dict(zip("0123456789+-()ikn", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁱᵏⁿ", strict=True)) | {"ᵀ": "ᵀ", "'": "′", "′": "′"}
LOWER = dict(zip("0123456789+-()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))


class Unknown(ValueError):
    """A command that is not known here."""


@dataclass(frozen=True)
class Cases:
    """Alternatives, each a value and its condition."""

    rows: tuple[str, ...]


Part = str | Cases


def inline(tex: str) -> str:
    """An equation on one line.

    Raises:
        Unknown: it uses a command that is not known here.
    """
    return _tidy(_joined(_Reader(tex).parts()))


def lines(tex: str) -> list[str]:
    """A displayed equation: one line for each formula in it, alternatives below one another, the tag left out.

    Raises:
        Unknown: it uses a command that is not known here.
    """
    body = re.sub(r"\\(begin|end)\{(equation|aligned|align|gather|gathered|split)\*?\}|\\tag\{[^}]*\}", "", tex)
    shown = [line.rstrip(", ") for formula in _formulas(body) for line in _laid_out(_Reader(formula).parts())]
    return [line for line in shown if line.strip()]


def _formulas(body: str) -> list[str]:
    """The formulas of an equation: what a wide blank, or a new line outside of alternatives, sets apart."""
    depth, current, found = 0, "", []
    for token in re.findall(r"\\begin\{cases\}|\\end\{cases\}|\\q?quad|\\\\|\\.|[^\\]", body, re.DOTALL):
        depth += (token == r"\begin{cases}") - (token == r"\end{cases}")
        if depth == 0 and (token in (r"\qquad", r"\\") or (token == r"\quad" and current.rstrip().endswith(","))):
            found.append(current)
            current = ""
        else:
            current += token
    return [*found, current]


def _laid_out(parts: Sequence[Part]) -> list[str]:
    shown = [""]
    for part in parts:
        if isinstance(part, str):
            shown[0] += re.sub(r"\s+", " ", part)
            continue
        shown[0] = _tidy(shown[0])
        indent = " " * (_width(shown[0]) + bool(shown[0]))
        braces = _braces(len(part.rows))
        rows = [f"{brace} {row}" for brace, row in zip(braces, part.rows, strict=True)]
        shown = [(shown[0] + " ").lstrip() + rows[0], *shown[1:], *(indent + row for row in rows[1:])]
    return [_tidy(shown[0]) if len(shown) == 1 else shown[0], *shown[1:]]


def _width(text: str) -> int:
    """How many places a text takes: accents take none."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _braces(count: int) -> list[str]:
    if count == 1:
        return ["{"]
    middle = ["⎨" if i == (count - 2) // 2 and count > 2 else "⎪" for i in range(count - 2)]
    return ["⎧", *middle, "⎩"]


def _joined(parts: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else "{ " + "; ".join(part.rows) + " }" for part in parts)


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([,;.)\]⟩⌋⌉\ue001])", r"\1", text)
    text = re.sub(r"([(\[⟨⌊⌈\ue000])\s+", r"\1", text)
    return re.sub("[\ue000\ue001]", "‖", text)


class _Reader:
    """Reads TeX from left to right."""

    def __init__(self, tex: str) -> None:
        self._tokens, self._at = TOKEN.findall(tex), 0

    def parts(self, until: str = "") -> list[Part]:
        """What comes up to a token, or to the end."""
        found: list[Part] = []
        while self._at < len(self._tokens):
            token = self._next()
            if token == until:
                break
            self._add(found, token)
        return found

    def _next(self) -> str:
        token: str = self._tokens[self._at]
        self._at += 1
        return token

    def _add(self, found: list[Part], token: str) -> None:
        if token in "^_" and len(token) == 1:
            self._script(found, token)
        elif token == r"\begin":
            found.append(self._environment())
        else:
            found.append(self._atom(token))

    def _script(self, found: list[Part], kind: str) -> None:
        script = self._argument()
        table, mark = (UPPER, "^") if kind == "^" else (LOWER, "_")
        plain = script.replace("−", "-")
        if plain and all(letter in table for letter in plain) and not re.fullmatch("[a-z]{2,}", plain):
            shown = "".join(table[letter] for letter in plain)
        elif len(script) > 1 and not re.fullmatch(r"\w+", script):
            shown = f"{mark}({script})"
        else:
            shown = mark + script
        while found and isinstance(found[-1], str) and not found[-1].strip():
            found.pop()
        found.append(shown)

    def _environment(self) -> Part:
        name = self._argument()
        if name.rstrip("*") == "cases":
            return Cases(self._rows())
        if name.rstrip("*") in {"pmatrix", "matrix", "bmatrix"}:
            return "(" + "; ".join(self._rows()) + ")"
        raise Unknown(f"environment {name}")

    def _rows(self) -> tuple[str, ...]:
        rows: list[list[list[Part]]] = [[[]]]
        while (token := self._next()) != r"\end":
            if token == r"\\":
                rows.append([[]])
            elif token == "&":
                rows[-1].append([])
            else:
                self._add(rows[-1][-1], token)
        self._argument()
        cells = [[_tidy(_joined(cell)) for cell in row] for row in rows]
        cells = [row for row in cells if any(row)]
        width = max(_width(row[0]) for row in cells)
        return tuple("   ".join([row[0] + " " * (width - _width(row[0])), *row[1:]]).rstrip() for row in cells)

    def _argument(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        token = self._next()
        if token == "{":
            return _tidy(_joined(self.parts("}")))
        return self._atom(token)

    def _raw(self) -> str:
        """A braced argument as it stands."""
        if self._next() != "{":
            raise Unknown("a text without braces")
        text, depth = "", 1
        while depth:
            token = self._next()
            depth += (token == "{") - (token == "}")
            text += token if depth else ""
        return re.sub(r"\\[a-z]+\{([^}]*)\}", r"\1", text).replace(r"\_", "_").replace("$", "")

    def _atom(self, token: str) -> str:
        if token == "{":
            return _joined(self.parts("}"))
        if token in SYMBOLS:
            return self._symbol(SYMBOLS[token])
        if token in SPACES:
            return SPACES[token]
        if token in SILENT:
            return self._sized()
        if token in PLAIN:
            return self._plain(token)
        if token in ACCENTS:
            return self._argument() + ACCENTS[token]
        if token in FRACTIONS:
            quotient = f"{_grouped(self._argument())}/{_grouped(self._argument())}"
            return f"({quotient})" if self._factor_follows() else quotient
        if token == r"\sqrt":
            inner = self._argument()
            return f"√{inner}" if len(inner) == 1 else f"√({inner})"
        if token.startswith("\\"):
            raise Unknown(token)
        return self._symbol({"-": "−", "'": "′", "*": "·", "&": " ", "~": " "}.get(token, token))

    def _symbol(self, symbol: str) -> str:
        return f" {symbol} " if symbol in WIDE else " − " if symbol == "−" and self._is_between() else symbol

    def _is_between(self) -> bool:
        """Whether the sign just read stands between two terms, and not in front of one."""
        before = [token for token in self._tokens[: self._at - 1] if not token.isspace() and token not in SPACES]
        operators = SILENT | set(SYMBOLS) - TERMS
        return bool(before) and before[-1] not in "(=,{&^_<>[" and before[-1] not in operators

    def _factor_follows(self) -> bool:
        """Whether what comes next is multiplied, so that a quotient needs brackets."""
        following = next((t for t in self._tokens[self._at :] if not t.isspace() and t not in SPACES), "")
        starts = following in PLAIN | FRACTIONS or following in (r"\langle", r"\sqrt", r"\hat", r"\left", r"\bigl", "(")
        return starts or bool(re.fullmatch(r"[a-zA-Z0-9]", following)) or SYMBOLS.get(following, "").isalpha()

    def _sized(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        if self._at < len(self._tokens) and self._tokens[self._at] == ".":  # the bracket that is not there
            self._at += 1
        return ""

    def _plain(self, token: str) -> str:
        while self._tokens[self._at].isspace():
            self._at += 1
        text = self._raw() if self._tokens[self._at] == "{" else self._argument()
        following = next((t for t in self._tokens[self._at :] if not t.isspace()), "")
        return text + (" " if token in FUNCTIONS and following not in ("(", "_", "^", r"\left", r"\bigl") else "")


def _grouped(text: str) -> str:
    """In brackets unless it is one factor: a name, or one pair of brackets with a name in front of it."""
    bare = re.sub(r"^[\w.′√₀-₉̂̃|]*", "", text)
    return text if not bare or _is_one_pair(bare) else f"({text})"


def _is_one_pair(text: str) -> bool:
    depth = 0
    for position, letter in enumerate(text):
        depth += (letter in "([⟨⌊⌈") - (letter in ")]⟩⌋⌉")
        if depth == 0:
            return position == len(text) - 1
    return False
