"""What `explain` shows: equations that a terminal can print, and everything that stands behind a clause."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ppsf_conformance import cli
from ppsf_conformance.commands.common import HOLDS, MISUSED
from ppsf_conformance.explaining import data_of, identified, page_of, sources, tex
from ppsf_conformance.explaining.page import INLINE, MATH, lines
from ppsf_conformance.verdicts import clauses
from ppsf_ref.options import SPEC


@pytest.mark.parametrize(
    ("equation", "shown"),
    [
        (r"\begin{equation*} s' = \beta_3\, s + \mathrm{du}\, g \tag{D-003} \end{equation*}", ["s′ = β₃ s + du g"]),
        (r"c = w / W' \quad (0 \text{ if } W' = 0)", ["c = w / W′ (0 if W′ = 0)"]),
        (r"w = a^2, \qquad c = \frac{w}{1-\beta_2^k}", ["w = a²", "c = w/(1 − β₂ᵏ)"]),
        (
            r"\hat d = \begin{cases} \max(a,\ b) & D' > 0 \\ 0 & D' = 0 \end{cases}",
            ["d̂ = ⎧ max(a, b)   D′ > 0", "    ⎩ 0           D′ = 0"],
        ),
        (r"u = \frac{g}{\sqrt{v'}}\, z", ["u = (g/√(v′)) z"]),
        (r"k^{1/4} d_\text{prev}'", ["k^(1/4) d_prev′"]),
        (r"\lVert s'_p \rVert_1 \le -\lambda", ["‖s′ₚ‖₁ ≤ −λ"]),
    ],
)  # fmt: skip
def test_equations_become_lines(equation: str, shown: list[str]) -> None:
    assert tex.lines(equation) == shown


def test_every_equation_of_the_specification_can_be_shown() -> None:
    """Nothing of TeX is left, no bracket is lost, and every displayed equation gives at least one line."""
    for path in sorted((SPEC / "clauses").glob("*.md")):
        text = path.read_text("utf-8")
        displayed = [tex.lines(found) for found in MATH.findall(text)]
        assert all(displayed)
        shown = [line for rows in displayed for line in rows] + [tex.inline(found) for found in INLINE.findall(text)]
        for line in shown:
            assert not re.search(r"[\\&{}\ue000-\uf8ff]", line.replace("{ ", "").replace(" }", "")), line
            assert line.count("‖") % 2 == 0, line
        for line in (line for rows in displayed for line in rows):
            assert line.count("(") == line.count(")"), line


def test_an_unknown_command_is_an_error() -> None:
    with pytest.raises(tex.Unknown, match="nosuch"):
        tex.lines(r"a \nosuch b")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("d-003", "PPSF-D-003"),
        ("D3", "PPSF-D-003"),
        ("ppsf-x-020", "PPSF-X-020"),
        ("err-31", "ERR-0031"),
        ("eps", "eps"),
    ],
)
def test_short_forms_are_understood(given: str, meant: str) -> None:
    assert identified(given) == meant


@pytest.mark.parametrize(
    ("given", "near"), [("PPSF-D-099", "PPSF-D-009"), ("use_adpot", "use_adopt"), ("D-777", "PPSF-D")]
)
def test_an_unknown_id_is_answered_with_the_nearest(given: str, near: str, capsys: Any) -> None:
    assert cli.main(["explain", given]) == MISUSED
    assert near in capsys.readouterr().err


@pytest.mark.parametrize("identifier", [*clauses(), *sources.errata(), *sources.options()])
def test_everything_can_be_explained(identifier: str) -> None:
    shown = list(lines(page_of(identifier), 80))
    assert identifier in shown[0][1]
    assert all(len(line) <= 100 for kind, line in shown if kind != "code")
    assert json.dumps(data_of(identifier))


def test_a_clause_is_shown_with_all_that_stands_behind_it() -> None:
    found = data_of("PPSF-D-003")
    assert found["equations"] == [["s′ = β₃ s + du S(g)"]]
    assert found["reference"]["place"].startswith("ppsf_ref/clauses/distance.py:")
    assert "def gradient_sum" in found["reference"]["source"]
    assert any(place.startswith("ppsf_fast/") for place in found["product"])
    assert any("test_product.py" in place for place in found["tests"])
    assert "no decay" in found["mutants"]
    assert [erratum["id"] for erratum in found["errata"]] == ["ERR-0008", "ERR-0063"]


def test_every_normative_clause_is_carried_by_the_product_and_by_the_reference() -> None:
    normative = [name for name, clause in clauses().items() if clause["status"] == "normative"]
    assert [name for name in normative if not sources.product_of(name) or not sources.reference_of(name)] == []


def test_without_the_repository_tests_are_said_to_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installed wheel, where the specification lies inside the reference."""
    monkeypatch.setattr(sources, "SHIPPED", SPEC)
    assert data_of("PPSF-D-003")["tests"] is None
    assert any("not at hand" in line for _, line in lines(page_of("PPSF-D-003"), 80))


def test_programs_get_json(capsys: Any) -> None:
    assert cli.main(["explain", "use_adopt", "--json"]) == HOLDS
    found = json.loads(capsys.readouterr().out)
    assert found["defaults"] == {"1.9": False, "2.0": False}
    cli.main(["explain", "ERR-0031", "D-003", "--json"])
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == ["ERR-0031", "PPSF-D-003"]
