"""The program of an erratum shows it, without any of our code."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import Any

import pytest

from ppsf_conformance import pinned
from ppsf_conformance.errata import Erratum, all_errata
from ppsf_conformance.name_map import import_object, parsed
from ppsf_conformance.snippets import paragraph, shown_on, snippet

ERRATA = all_errata()
#: Each with the last of the classes that show it; the others get the same program but for the import.
SHOWN = [(erratum, shown_on(erratum)[-1]) for erratum in ERRATA]


def printed(erratum: Erratum, target: str) -> list[str]:
    """What the program prints, its class taken from the folder of the release."""
    module, cls, _ = parsed(target)
    text = snippet(erratum, target)
    assert "ppsf" not in text.lower().replace("prodigyplus", "")
    program = "\n".join(line for line in text.splitlines() if not line.startswith(f"from {module}"))
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()) as out:
        warnings.simplefilter("ignore")
        exec(program, {cls: import_object(target)})
    return out.getvalue().splitlines()


def agrees(line: str, figure: Any) -> bool:
    try:
        return pinned.agrees(float(line), figure)
    except ValueError:
        return line.replace("torch.", "") == str(figure)


@pytest.mark.parametrize(("erratum", "target"), SHOWN, ids=[erratum.id for erratum, _ in SHOWN])
def test_a_program_prints_what_the_erratum_records(erratum: Erratum, target: str) -> None:
    observed = erratum.table["pinned"]["observe"]
    lines = printed(erratum, target)[-len(observed) :]
    for line, entry in zip(lines, observed, strict=True):
        assert agrees(line, entry["upstream"]), f"{entry['path']}: printed {line}, recorded {entry['upstream']}"


@pytest.mark.parametrize("erratum", ERRATA, ids=[erratum.id for erratum in ERRATA])
def test_a_paragraph_says_what_happens_and_what_was_expected(erratum: Erratum) -> None:
    text = paragraph(erratum)
    assert "\n" not in text
    assert "Expected: " in text
    assert "Seen in " in text
