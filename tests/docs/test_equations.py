"""Equations are shown as TeX would show them."""

from __future__ import annotations

import re

import pytest
from docutils import nodes

from mathml import convert, plain


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
