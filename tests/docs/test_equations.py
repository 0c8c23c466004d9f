"""Equations are shown as TeX would show them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

from mathml import convert, pieces, plain

ROOT = Path(__file__).resolve().parents[2]


def fraction(latex: str) -> tuple[str, str]:
    """What stands above and below the line."""
    shown = re.search(r"<mfrac[^>]*>(.*?)</mfrac>", convert(latex, nodes.math(), block=False), re.DOTALL)
    assert shown is not None
    above, below = re.findall(r"<m[a-z]+>([^<]*)</m[a-z]+>", shown[1])
    return above, below


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"\tfrac12 a^2", ("1", "2")),
        (r"\frac1{10}", ("1", "10")),
        (r"\frac1v", ("1", "v")),
        (r"\frac\rho2", ("ρ", "2")),
        (r"\frac{a}{b}", ("a", "b")),
    ],
)
def test_a_fraction_takes_one_token_for_each_part_without_braces(latex: str, expected: tuple[str, str]) -> None:
    assert fraction(latex) == expected


def test_an_index_stands_beside_an_accented_letter_and_not_below_it() -> None:
    assert plain(r"\hat V_{ij}") == r"{\hat{V}{}}_{ij}"
    assert "<msub>" in convert(r"\hat V_{ij}", nodes.math(), block=True)
    assert "<munder" not in convert(r"\hat V_{ij}", nodes.math(), block=True)


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (r"d = \max(d, \hat d)", [r"d = \max(d, \hat d)"]),  # short enough for a line
        (r"d_n = b + (a - b)\,\beta^n \le r^n d_0", ["d_n ", r"{} = b + (a - b)\,\beta^n ", r"{} \le r^n d_0"]),
        (r"\lvert n \rvert / q \le 1/\sqrt{1-\beta_2}", [r"\lvert n \rvert / q ", r"{} \le 1/\sqrt{1-\beta_2}"]),
        (r"\sum_{j = 1}^{n} (a_j \ge b_j + c_j + d_j)", [r"\sum_{j = 1}^{n} (a_j \ge b_j + c_j + d_j)"]),
    ],
)
def test_a_long_formula_may_break_before_its_relations_and_nowhere_else(latex: str, expected: list[str]) -> None:
    assert pieces(latex) == expected
    assert all("<math" in convert(piece, nodes.math(), block=False) for piece in pieces(latex))


def test_a_displayed_formula_breaks_at_wide_spaces_too_and_not_inside_of_cases() -> None:
    assert pieces(r"a = b, \qquad c = d", longest=0) == ["a ", "{} = b, ", " c ", "{} = d"]
    cases = r"a = \begin{cases} 1 & b > 0 \\ 0 & b \le 0 \end{cases}"
    assert pieces(cases, longest=0) == ["a ", f"{{}} {cases[2:]}"]
    assert pieces(r"a &= b \\ c &= d", longest=0) == [r"a &= b \\ c &= d"]


def test_no_formula_of_the_documentation_is_cut_where_it_cannot_be_set() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), *(ROOT / "spec" / "clauses").glob("*.md")]
    shown = [found for page in pages for found in re.findall(r"\$\$(.*?)\$\$", page.read_text("utf-8"), re.DOTALL)]
    for latex in shown:
        for piece in pieces(latex.strip(), longest=0):
            tex2mathml(plain(piece), as_block=True)
    texts = [re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$", "", page.read_text("utf-8"), flags=re.DOTALL) for page in pages]
    formulas = {found for text in texts for found in re.findall(r"\$([^$]+)\$", text)}
    assert len(formulas) > 300
    for latex in formulas:
        assert "".join(piece.removeprefix("{} ") for piece in pieces(latex)) == latex
        for piece in pieces(latex):
            tex2mathml(plain(piece))


def test_brackets_are_as_high_as_the_text_unless_they_are_told_to_stretch() -> None:
    shown = convert(r"\langle g,\, x \rangle", nodes.math(), block=True)
    assert shown.count('stretchy="false"') == 2
    assert shown.index('form="prefix"') < shown.index('form="postfix"')
