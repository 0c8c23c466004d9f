"""Problems as files: what a report keeps of each failing clause, so that anyone can run exactly that again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema

from ppsf_conformance.checks import CHECKS
from ppsf_conformance.problems import ALL_REGIMES, STARTS, GroupSpec, ParamSpec, Problem
from ppsf_conformance.report import ClauseVerdict, Implementation, Report, codec, view
from ppsf_conformance.report.view import PROBLEMS
from ppsf_ref.options import load_revision, revision_names

SCHEMA = "problem-1"
_NOT_FINITE = {name: float(name) for name in ("inf", "-inf", "nan")}


@dataclass(frozen=True)
class Stored:
    """What a file holds: a problem, or the clause whose check is to be run."""

    problem: Problem | None
    check: str = ""
    target: str = ""
    clause: str = ""
    message: str = ""


def text_of(stored: Stored) -> str:
    """The content of a file."""
    data: dict[str, Any] = {"schema": SCHEMA, "target": stored.target, "clause": stored.clause}
    data["message"] = stored.message
    data |= {"problem": stored.problem.as_data()} if stored.problem else {"check": stored.check}
    return json.dumps(codec.encode(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read(path: Path) -> Stored:
    """Read a file.

    Raises:
        ValueError: it cannot be read, or is no problem; the message says where.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the problem {path}: {error}") from error
    faults = [f"{error.json_path}: {error.message}" for error in _validator().iter_errors(data)]
    faults = faults or list(_faults(data))
    if faults:
        raise ValueError(f"{path} is not a problem ({SCHEMA}):\n" + "\n".join(faults))
    texts = {name: data.get(name, "") for name in ("check", "target", "clause", "message")}
    return Stored(problem_of(data["problem"]) if "problem" in data else None, **texts)


def _faults(data: Mapping[str, Any]) -> Iterator[str]:
    if "check" in data:
        if data["check"] not in CHECKS:
            yield f"$.check: {data['check']} is not checked by itself; these are: {', '.join(CHECKS)}"
        return
    problem = data["problem"]
    revision, regime = problem.get("revision", "1.9"), problem.get("regime", "noise")
    if revision not in revision_names():
        yield f"$.problem.revision: there is {', '.join(revision_names())}, not {revision!r}"
        return
    if regime not in ALL_REGIMES:
        yield f"$.problem.regime: there is {', '.join(ALL_REGIMES)}, not {regime!r}"
    for group in (problem, *problem["groups"]):
        for name in set(group.get("options", {})) - load_revision(revision).options:
            yield f"$.problem: revision {revision} has no option {name!r}"
    for param in (param for group in problem["groups"] for param in group["params"]):
        if param.get("start", "normal") not in STARTS:
            yield f"$.problem: weights start as {', '.join(STARTS)}, not as {param['start']!r}"


def problem_of(data: Mapping[str, Any]) -> Problem:
    """The problem that :meth:`Problem.as_data` made, also after a way through JSON."""
    return Problem(**{**data, "options": _options(data["options"]), "groups": tuple(map(_group, data["groups"]))})


def _group(data: Mapping[str, Any]) -> GroupSpec:
    params = tuple(ParamSpec(**{**param, "shape": tuple(param["shape"])}) for param in data["params"])
    return GroupSpec(params, _options(data.get("options", {})))


def _options(data: Mapping[str, Any]) -> dict[str, Any]:
    def value(given: Any) -> Any:
        return tuple(given) if isinstance(given, list) else _NOT_FINITE.get(given, given)

    return {name: value(given) for name, given in data.items()}


@cache
def _validator() -> Any:
    schema = (resources.files("ppsf_conformance") / "problem.schema.json").read_text("utf-8")
    return jsonschema.Draft202012Validator(json.loads(schema))


# ---------------------------------------------------------------------------------------------------------- in reports


def write_all(report: Report, folder: Path) -> list[Path]:
    """Write the problem of each failing clause; those of an earlier report are removed."""
    for old in (folder / PROBLEMS).glob("*/PPSF-*.json"):
        old.unlink()
    written = []
    for implementation in report.implementations:
        for clause in implementation.clauses:
            if clause.verdict == "fail" and clause.minimal is not None:
                path = folder / view.place_of(implementation, clause)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text_of(_stored(implementation, clause, clause.minimal)), "utf-8")
                written.append(path)
    return written


def _stored(implementation: Implementation, clause: ClauseVerdict, minimal: Mapping[str, Any]) -> Stored:
    facts = {"target": implementation.class_, "clause": clause.id, "message": clause.message}
    if "check" in minimal:
        return Stored(None, check=str(minimal["check"]), **facts)
    return Stored(problem_of(codec.encode(minimal)), **facts)
