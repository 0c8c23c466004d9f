"""The files of the vectors: what stands in each, written and compared byte for byte."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ppsf_conformance.vectors import steps
from ppsf_conformance.vectors.catalogue import CATALOGUE
from ppsf_conformance.vectors.encode import written
from ppsf_conformance.vectors.expected import expected
from ppsf_conformance.vectors.model import FLAGS, KINDS, Spec
from ppsf_conformance.vectors.scenes import scenes
from ppsf_conformance.vectors.uncarried import reason
from ppsf_ref.options import SPEC, revision_names

CHECKSUMS, INDEX = "SHA256SUMS", "index.json"
SCHEMAS = Path(__file__).parent / "schema"
VERSION = 1

#: Path below the folder of the vectors, and content.
Files = dict[str, str]


def clauses() -> dict[str, Mapping[str, Any]]:
    """The clauses of the specification, by id."""
    entries = json.loads((SPEC / "index.json").read_text("utf-8"))["clauses"]
    return {entry["id"]: entry for entry in entries}


def generated() -> Files:
    """Every file of the vectors."""
    law = clauses()
    made: Files = {f"clauses/{name}.json": _clause_file(spec, law[name]) for name, spec in sorted(CATALOGUE.items())}
    made |= {f"steps/{name}.json": _step_file(name, law) for name in revision_names()}
    made |= {f"schema/{path.name}": path.read_text("utf-8") for path in sorted(SCHEMAS.glob("*.json"))}
    made[INDEX] = _index(made, law)
    made[CHECKSUMS] = "".join(f"{_digest(made[path])}  {path}\n" for path in sorted(made))
    return made


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def clause_cases(spec: Spec) -> list[dict[str, Any]]:
    """The cases of a clause as JSON data."""
    short = spec.clause.removeprefix("PPSF-")
    return [
        {
            "id": f"{short}/{number}",
            "comment": case.comment,
            "flags": list(case.flags),
            "inputs": {name: written(spec.inputs[name], case.inputs[name]) for name in spec.inputs},
            "expected": expected(spec, case),
        }
        for number, case in enumerate(spec.cases, 1)
    ]


def _clause_file(spec: Spec, entry: Mapping[str, Any]) -> str:
    cases = clause_cases(spec)
    return _lines(
        {
            "schema": "clause-1",
            "clause": spec.clause,
            "title": entry["title"],
            "sha8": entry["sha8"],
            "revisions": entry["fields"]["revisions"],
            "inputs": {name: KINDS[kind] for name, kind in spec.inputs.items()},
            "outputs": {name: KINDS[kind] for name, kind in spec.outputs.items()},
            "arithmetics": list(spec.arithmetics),
            **_count(cases),
        },
        cases,
    )


def _step_file(revision: str, law: Mapping[str, Mapping[str, Any]]) -> str:
    cases = [steps.case(scene, f"{revision}/{number}") for number, scene in enumerate(scenes(revision), 1)]
    evaluated = sorted({clause for case in cases for clause in case["clauses"]})
    header = {"schema": "step-1", "revision": revision, "arithmetic": "float32"}
    return _lines({**header, "sha8": {name: law[name]["sha8"] for name in evaluated}, **_count(cases)}, cases)


def _count(cases: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    listed = list(cases)
    used = {flag for case in listed for flag in case["flags"]}
    return {"flags": {flag: meaning for flag, meaning in FLAGS.items() if flag in used}, "count": len(listed)}


def _lines(header: Mapping[str, Any], cases: Iterable[Mapping[str, Any]]) -> str:
    """A header that can be read, and one case per line, so that a difference shows which case it is in."""
    top = json.dumps(header, indent=1, ensure_ascii=False).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(case, separators=(",", ":"), ensure_ascii=False) for case in cases)
    return f'{top},\n "cases": [\n  {rows}\n ]\n}}\n'


def _index(made: Files, law: Mapping[str, Mapping[str, Any]]) -> str:
    counts = {
        path: json.loads(content)["count"] for path, content in made.items() if path.startswith(("clauses", "steps"))
    }
    normative = [name for name, entry in law.items() if entry["status"] == "normative"]
    content = {
        "schema": "index-1",
        "version": VERSION,
        "cases": sum(counts.values()),
        "files": counts,
        "without": {name: reason(name) for name in sorted(normative) if name not in CATALOGUE},
        "flags": FLAGS,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


# ------------------------------------------------------------------------------------------------------------- on disk


def write(folder: Path, made: Files, anew: bool = False) -> None:
    """Write the files, and remove what does not belong to them.

    Raises:
        ValueError: a case that is there would change or vanish, although its clause has not; not with ``anew``.
    """
    if not anew and (changed := altered(folder, made)):
        raise ValueError(
            f"{len(changed)} cases would change or vanish, the first of them {changed[0]}: a version of the vectors is "
            "only added to. Put new cases at the end of their list; --anew writes all of them afresh, before a release"
        )
    for path in _present(folder) - made.keys():
        (folder / path).unlink()
    for path, content in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8", newline="\n")


def _present(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def altered(folder: Path, made: Files) -> list[str]:
    """Ids of cases on disk that are not the same in ``made``, though the text of their clauses is."""
    found = []
    for path in sorted(_present(folder)):
        if path.startswith(("clauses", "steps")):
            old, new = json.loads((folder / path).read_text("utf-8")), json.loads(made.get(path, "{}"))
            cases = {case["id"]: case for case in new.get("cases", [])}
            stable = {case["id"]: case for case in old["cases"] if _same_law(old, new, case)}
            found += [identifier for identifier, case in stable.items() if cases.get(identifier) != case]
    return found


def _same_law(old: Mapping[str, Any], new: Mapping[str, Any], case: Mapping[str, Any]) -> bool:
    if isinstance(old["sha8"], str):
        return bool(old["sha8"] == new.get("sha8", old["sha8"]))
    return all(old["sha8"][name] == new.get("sha8", {}).get(name) for name in case["clauses"])


def differences(folder: Path, made: Files) -> list[str]:
    """How the files on disk differ from those that should be there, a line each."""
    present = _present(folder)
    found = [f"{path} is missing" for path in sorted(made.keys() - present)]
    found += [f"{path} does not belong here" for path in sorted(present - made.keys())]
    for path in sorted(present & made.keys()):
        if (folder / path).read_bytes() != made[path].encode():
            found.append(f"{path} is not what the generator writes")
    return found
