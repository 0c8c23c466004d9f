"""The report as JUnit XML, for continuous integration.

One suite per implementation, one case per clause, and one for the run as a whole.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from . import view
from .model import ClauseVerdict, Implementation, Report

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report) -> str:
    """The XML document.

    A failed clause is a failure. An erratum, an unsupported clause and one that was not run are skipped, with
    the reason: none of them is a pass.
    """
    root = ElementTree.Element("testsuites", name=f"PPSF revision {report.spec.revision}")
    for implementation in report.implementations:
        root.append(_suite(implementation, report.run.date))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(implementation: Implementation, date: str) -> ElementTree.Element:
    counts = view.verdict_counts(implementation)
    suite = ElementTree.Element(
        "testsuite",
        name=f"{implementation.name} {implementation.version}",
        timestamp=date.removesuffix("Z"),
        tests=str(len(implementation.clauses) + 1),
        failures=str(counts["fail"] + (not implementation.summary.passed)),
        errors="0",
        skipped=str(counts["erratum"] + counts["unsupported"] + counts["not-run"]),
    )
    suite.append(_outcome(implementation))
    for clause in implementation.clauses:
        suite.append(_case(clause, implementation))
    return suite


def _outcome(implementation: Implementation) -> ElementTree.Element:
    """The run as a whole can fail although no clause does, for instance with too many undecided guards."""
    case = ElementTree.Element("testcase", classname=implementation.class_, name="the run as a whole")
    if not implementation.summary.passed:
        ElementTree.SubElement(case, "failure", message=view.judgement(implementation).sentence)
    return case


def _case(clause: ClauseVerdict, implementation: Implementation) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=implementation.class_, name=f"{clause.id} {clause.title}")
    if clause.verdict == "fail":
        ElementTree.SubElement(case, "failure", message=_clean(clause.message)).text = _clean(clause.message)
    elif clause.verdict != "pass":
        reason = " ".join([view.VERDICTS[clause.verdict].word, *clause.errata])
        ElementTree.SubElement(case, "skipped", message=_clean(": ".join(filter(None, [reason, clause.message]))))
    return case


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)
