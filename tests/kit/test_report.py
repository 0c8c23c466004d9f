"""The report: its model and schema, and what each rendering must show."""

from __future__ import annotations

import json
import math
import platform
import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from ppsf_conformance.report import (
    ClauseVerdict,
    Histogram,
    OutputStats,
    Report,
    ReportError,
    Verdict,
    environment,
    model,
    run_info,
    text,
    view,
)
from ppsf_conformance.report.html import render, write
from ppsf_conformance.report.junit import to_junit
from ppsf_conformance.report.terminal import print_report, summary_line
from tests.kit.synthetic_report import ERRATA, TITLES, synthetic_report

REPORT = synthetic_report()
SCHEMA: dict[str, Any] = json.loads(model.SCHEMA_PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page() -> str:
    return render(REPORT, ERRATA)


def _with_clause(**changes: Any) -> Report:
    """The report with its first implementation's first clause changed."""
    first, *others = REPORT.implementations
    clauses = (replace(first.clauses[0], **changes), *first.clauses[1:])
    return replace(REPORT, implementations=(replace(first, clauses=clauses), *others))


def _with_output(output: OutputStats) -> Report:
    first, *others = REPORT.implementations
    return replace(REPORT, implementations=(replace(first, outputs=(output,)), *others))


# ------------------------------------------------------------------------------------------- model and schema


def test_round_trip_is_lossless() -> None:
    again = Report.from_json(REPORT.to_json())
    assert again == REPORT
    assert again.to_json() == REPORT.to_json()


def test_json_is_strict_json() -> None:
    def forbid(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(REPORT.to_json(), parse_constant=forbid)


def test_schema_and_dataclasses_have_the_same_fields() -> None:
    pairs = {
        "spec": model.Spec,
        "run": model.Run,
        "implementation": model.Implementation,
        "summary": model.Summary,
        "clause": ClauseVerdict,
        "output": OutputStats,
        "histogram": Histogram,
        "regime": model.RegimeStats,
        "training": model.Training,
        "trainingRun": model.TrainingRun,
    }
    definitions = {name: SCHEMA["$defs"][name] for name in pairs} | {"report": SCHEMA}
    for name, kind in (pairs | {"report": Report}).items():
        assert is_dataclass(kind)
        names = {field.name.rstrip("_") for field in fields(kind)}
        assert set(definitions[name]["properties"]) == names, name
        assert set(definitions[name]["required"]) == names, name
        assert definitions[name]["additionalProperties"] is False, name


def test_verdicts_agree_everywhere() -> None:
    assert set(SCHEMA["$defs"]["clause"]["properties"]["verdict"]["enum"]) == set(get_args(Verdict))
    assert set(view.VERDICTS) == set(get_args(Verdict))


def test_infinite_ratios_and_nan_losses_survive() -> None:
    report = _with_clause(max_ratio=math.inf, verdict="fail")
    report = replace(report, implementations=(*report.implementations[1:], _not_passed(report)))
    assert report.training is not None
    run = replace(report.training.runs[0], loss=(math.nan,) * 10)
    report = replace(report, training=replace(report.training, runs=(run,)))
    again = Report.from_json(report.to_json())
    assert again.implementations[-1].clauses[0].max_ratio == math.inf
    assert again.training is not None
    assert all(map(math.isnan, again.training.runs[0].loss))


def _not_passed(report: Report) -> model.Implementation:
    first = report.implementations[0]
    return replace(first, summary=replace(first.summary, passed=False))


def test_numpy_scalars_are_accepted() -> None:
    report = _with_clause(checks=np.int64(7), max_ratio=np.float32(0.5))
    clause = Report.from_json(report.to_json()).implementations[0].clauses[0]
    assert (clause.checks, clause.max_ratio) == (7, 0.5)


def test_other_values_are_refused_with_advice() -> None:
    with pytest.raises(TypeError, match=r"cannot hold .* convert it first"):
        _with_clause(minimal={"g": np.zeros(2)}).to_json()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"id": "D-001"}, "does not match"),
        ({"verdict": "maybe"}, "is not one of"),
        ({"max_ratio": -1.0}, "not valid"),
        ({"max_ratio": math.nan}, "not valid"),
        ({"errata": ("E3",)}, "does not match"),
        ({"checks": -1}, "less than the minimum"),
        ({"verdict": "erratum"}, "errata names none"),
        ({"verdict": "fail"}, "summary.passed is true although PPSF-N-001 failed"),
        ({"checks": 0}, "nothing was checked"),
        ({"max_ratio": 1.5}, "above 1"),
        ({"id": "PPSF-O-001"}, "PPSF-O-001 is there 2 times"),
    ],
)
def test_bad_clauses_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ReportError, match=re.escape(complaint)):
        _with_clause(**changes).to_json()


@pytest.mark.parametrize(
    ("histogram", "complaint"),
    [
        (Histogram((0.0, 1.0), (1, 2)), "2 counts need 3 edges (0 if empty), not 2"),
        (Histogram((0.0, 1.0), ()), "0 counts need 1 edges (0 if empty), not 2"),
        (Histogram((0.0, 0.0), (1,)), "edges do not rise"),
        (Histogram((0.0, 1.0), (11,)), "counts 11 values of 10 compared"),
    ],
)
def test_bad_histograms_are_refused(histogram: Histogram, complaint: str) -> None:
    output = OutputStats("y", "PPSF-Z-002", 10, False, 0.5, histogram)
    with pytest.raises(ReportError, match=re.escape(complaint)):
        _with_output(output).to_json()


def test_bad_training_is_refused() -> None:
    assert REPORT.training is not None
    run = replace(REPORT.training.runs[0], seed=9, d=(1.0,))
    training = replace(REPORT.training, runs=(run,))
    with pytest.raises(ReportError, match=r"not among \[0, 1, 2\](.|\n)*d has 1 values for 10 epochs"):
        replace(REPORT, training=training).to_json()


def test_reading_refuses_what_is_no_report() -> None:
    with pytest.raises(ReportError, match="not JSON"):
        Report.from_json("{")
    with pytest.raises(ReportError, match="'spec' is a required property"):
        Report.from_json("{}")
    data = REPORT.to_dict() | {"surprise": 1}
    with pytest.raises(ReportError, match="surprise"):
        Report.from_dict(data)


def test_run_info_is_valid() -> None:
    run = run_info(7, "quick", seconds=1.5)
    assert (run.seed, run.profile, run.seconds) == (7, "quick", 1.5)
    assert replace(REPORT, run=run).to_json()


@pytest.mark.parametrize(
    ("cpuinfo", "shown"),
    [
        ("cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n", "AMD EPYC (family 25, model 17)"),
        ("processor: 0\nmodel name: A\n\nprocessor: 1\nmodel name: A\n", "A"),
        ("CPU architecture: 8\n", platform.processor() or platform.machine()),
    ],
)
def test_a_processor_is_told_as_exactly_as_the_system_can(cpuinfo: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert environment.cpu_name(tmp_path / "cpuinfo") == shown


# --------------------------------------------------------------------------------------------- words, numbers


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (0.5, "0.500"),
        (0.99999, "0.99999"),
        (math.nextafter(1, 0), "0.9999999999999999"),
        (1.0, "1.00"),
        (1.0004, "1.0004"),
        (math.nextafter(1, 2), "> 1"),
        (0.00042, "4.20×10⁻⁴"),
        (12345.0, "12345"),
        (2.6e7, "2.60×10⁷"),
        (math.inf, "∞"),
    ],
)
def test_a_ratio_is_never_shown_on_the_wrong_side_of_one(value: float | None, shown: str) -> None:
    assert text.ratio(value) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0, "0 %"),
        (1e-9, "< 0.01 %"),
        (0.00042, "0.042 %"),
        (0.5, "50.0 %"),
        (0.99999, "> 99.9 %"),
        (1, "100 %"),
    ],
)
def test_percent(fraction: float, shown: str) -> None:
    assert text.percent(fraction).replace(text.THIN_SPACE, " ") == shown


def test_durations() -> None:
    shown = [text.duration(seconds) for seconds in (0.04, 12.4, 59.7, 200, 3900)]
    assert shown == ["0.0 s", "12 s", "1 min 00 s", "3 min 20 s", "1 h 05 min"]


def test_areas_come_in_the_order_of_the_specification() -> None:
    letters = [area.letter for area in view.areas(REPORT)]
    assert letters == [letter for letter in view.AREAS if letter != "M"]
    assert sum(len(area.rows) for area in view.areas(REPORT)) == len(TITLES)


def test_what_was_not_judged_is_not_called_conforming() -> None:
    sound = REPORT.implementations[0]
    assert view.judgement(sound).headline == "Conforms"
    gap = replace(sound, clauses=(replace(sound.clauses[0], verdict="not-run", checks=0), *sound.clauses[1:]))
    assert view.judgement(gap).headline == "Conforms where judged"
    known = replace(sound, clauses=(replace(sound.clauses[0], verdict="erratum", errata=("ERR-0001",)),))
    assert view.judgement(known).headline == "Deviates as recorded"
    undecided = replace(sound, summary=replace(sound.summary, passed=False))
    assert view.judgement(undecided).headline == "Not decided"
    assert view.judgement(replace(sound, clauses=())).headline == "Nothing judged"


# ------------------------------------------------------------------------------------------------- renderings


def _terminal(width: int, encoding: str = "utf-8") -> str:
    file = TextIOWrapper(BytesIO(), encoding=encoding)
    print_report(REPORT, Console(file=file, width=width, color_system=None), ERRATA)
    file.seek(0)
    return file.read()


def test_terminal_without_unicode() -> None:
    shown = _terminal(100, "ascii")
    assert "X fail" in shown
    assert "4.10e5" in shown
    assert "?" not in shown.replace("dlr?", "")


@pytest.mark.parametrize("width", [40, 70, 140])
def test_terminal_fits_and_shows_every_clause(width: int) -> None:
    shown = _terminal(width)
    assert max(map(len, shown.splitlines())) <= width
    assert all(shown.count(short) >= 3 for short in TITLES)  # two tables and the matrix
    assert shown.count("✗ fail") == 6
    assert shown.count("≠ erratum") == 12
    assert shown.count("1.0004") == 2
    assert shown.count("ERR-0045") == (1 if width < 48 else 2)  # in the list of errata; with the verdict


def test_summary_line() -> None:
    line = summary_line(REPORT.implementations[1], Console(file=StringIO(), width=80)).plain
    assert line.startswith("✗ prodigy-plus-schedule-free 1.9.2: Does not conform (39 pass, 3 fail, 6 erratum")


class _Page(HTMLParser):
    """Collects ids, links, and the addresses that a browser would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag == "a":
            self.anchors.add(values["href"] or "")
        elif tag in ("link", "img", "iframe", "object", "embed") or "src" in values:
            self.loaded.append(f"{tag} {values}")


def test_html_loads_nothing(page: str) -> None:
    assert _Page(page).loaded == []
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))
    assert re.findall(r"https?://[^\"' ]+", page.replace("http://www.w3.org/", "")) == []


def test_html_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    parsed = _Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {target.removeprefix("#") for target in parsed.anchors} <= set(parsed.ids)
    assert {f"PPSF-{short}" for short in TITLES} <= set(parsed.ids)


def test_html_explains_every_cited_erratum(page: str) -> None:
    for id_, entry in ERRATA.items():
        assert f'id="{id_}"' in page
        assert entry["effect"].split("`")[0] in page.replace("&#39;", "'")
    assert "No entry was at hand for this erratum" in render(REPORT, {})


def test_html_holds_the_report_itself(page: str) -> None:
    found = re.search(r'<script type="application/json" id="report-json">(.*?)</script>', page, re.DOTALL)
    assert found
    assert Report.from_json(found[1]) == REPORT


def test_html_is_reproducible(page: str) -> None:
    assert render(REPORT, ERRATA) == page


def test_html_escapes_what_an_implementation_says() -> None:
    hostile = "<script>alert(1)</script> & `</pre>`"
    shown = render(_with_clause(title=hostile, message=hostile, minimal={hostile: hostile}))
    assert "<script>alert" not in shown
    assert "</pre>" not in shown


def test_html_without_training_and_outputs(tmp_path: Path) -> None:
    bare = tuple(replace(one, outputs=(), regimes=()) for one in REPORT.implementations)
    path = tmp_path / "out" / "report.html"
    write(replace(REPORT, implementations=bare, training=None), path, ERRATA)
    shown = path.read_text(encoding="utf-8")
    assert 'id="training"' not in shown
    assert "<figure>" not in shown


def test_html_draws_extreme_figures() -> None:
    first, second = REPORT.implementations
    outputs = (
        OutputStats("y", "PPSF-Z-002", 4, False, math.inf, Histogram((-1.0, 0.0, 9.0), (0, 4))),
        OutputStats("z", "PPSF-Z-003", 0, False, 0.0),
    )
    assert REPORT.training is not None
    run = replace(REPORT.training.runs[0], loss=(math.nan,) * 10, d=(math.nan,) * 10)
    report = replace(
        REPORT,
        implementations=(replace(first, outputs=outputs), second),
        training=replace(REPORT.training, runs=(run,)),
    )
    assert "∞" in render(report)


def test_plots_take_their_colours_from_the_style_sheet(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) > 10
    assert not any(re.search(r"#[0-9a-f]{6}\b(?!\))", re.sub(r'="#\w+"', "", drawing)) for drawing in drawings)


def test_junit_counts_what_it_lists() -> None:
    root = ElementTree.fromstring(to_junit(REPORT))
    for suite, implementation in zip(root, REPORT.implementations, strict=True):
        assert int(suite.attrib["tests"]) == len(suite) == len(implementation.clauses) + 1
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    assert root[0].attrib["failures"] == "0"
    assert root[1].attrib["failures"] == "4"  # three clauses and the run as a whole


def test_junit_survives_control_characters() -> None:
    assert ElementTree.fromstring(to_junit(_with_clause(verdict="not-run", message="a\x00b"))) is not None
