"""The vectors: they are what the generator writes, they allow what is right, and they notice what is wrong."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from ppsf_conformance.cli import main
from ppsf_conformance.commands.vectors import invalid
from ppsf_conformance.mutant import Mutant
from ppsf_conformance.mutants import MUTANTS
from ppsf_conformance.vectors import files, steps
from ppsf_conformance.vectors.catalogue import CATALOGUE
from ppsf_conformance.vectors.compare import faults, interval
from ppsf_conformance.vectors.exact import Exact, Exactly
from ppsf_conformance.vectors.expected import ARITHMETICS, BY_SINGULAR_VALUES, outputs
from ppsf_conformance.vectors.floats import number
from ppsf_conformance.vectors.model import FLAGS, Case, Spec
from ppsf_conformance.vectors.scenes import scenes
from ppsf_conformance.vectors.uncarried import UNNOTICED, reason
from ppsf_ref import Bounded, Float64, Running, bounded, clause_functions, newton_schulz, overriding
from ppsf_ref.options import revision_names

FOLDER = Path(__file__).parent.parent.parent / "conformance" / "vectors" / "v1"
#: A case of which every result stays below this share of its bound tests nothing.
VACUOUS = 0.01
#: Clauses that choose, or change signs, and round nothing.
ALWAYS_EXACT = {"PPSF-D-007", "PPSF-D-027", "PPSF-D-031", "PPSF-M-002", "PPSF-M-031"}
#: The reference takes a cosine of the host here, which carries no bound.
ON_THE_HOST = ("PPSF-M-023",)

Contents = Mapping[str, Any]
Expected = Mapping[str, Any]


class Float32:
    """numpy's float32 as a number type: an implementation that computes everything in it."""

    def scalar(self, value: float) -> Any:
        return np.float32(value)

    def array(self, value: Any) -> Any:
        return np.asarray(value, np.float32)


@pytest.fixture(scope="module")
def made() -> files.Files:
    """What the generator writes."""
    return files.generated()


@pytest.fixture(scope="module")
def contents(made: files.Files) -> dict[str, Contents]:
    """Clause and step files, read."""
    return {path: json.loads(text) for path, text in made.items() if path.startswith(("clauses", "steps"))}


def cases(contents: Mapping[str, Contents], spec: Spec) -> Iterator[tuple[Case, Expected]]:
    written = contents[f"clauses/{spec.clause}.json"]["cases"]
    for case, entry in zip(spec.cases, written, strict=True):
        yield case, entry["expected"]


# ----------------------------------------------------------------------------------------------------------- the files


def test_the_files_are_what_the_generator_writes(made: files.Files) -> None:
    assert files.differences(FOLDER, made) == []


def test_the_files_do_not_depend_on_the_long_double(monkeypatch: pytest.MonkeyPatch, made: files.Files) -> None:
    """As on a machine whose np.longdouble is a float64."""
    for module in (bounded, newton_schulz):
        monkeypatch.setattr(module, "CARRIER", np.float64)
        monkeypatch.setattr(module, "CARRIER_UNIT", np.float64(8) * np.finfo(np.float64).eps)
    for revision in ("1.9", "prodigy"):
        written = json.loads(made[f"steps/{revision}.json"])["cases"]
        for scene, case in list(zip(scenes(revision), written, strict=True))[:24]:
            assert steps.case(scene, case["id"]) == case
    muon = json.loads(made["clauses/PPSF-M-015.json"])["cases"]
    assert files.clause_cases(CATALOGUE["PPSF-M-015"]) == muon


def test_the_files_follow_their_schemas(made: files.Files) -> None:
    assert invalid(made) == []


def test_a_wrong_file_does_not_follow_its_schema(made: files.Files) -> None:
    path = "clauses/PPSF-D-001.json"
    assert invalid(made | {path: made[path].replace('"low":"0x1', '"low":"1')})


def test_every_normative_clause_has_vectors_or_a_reason() -> None:
    normative = {name for name, entry in files.clauses().items() if entry["status"] == "normative"}
    without = {name for name in normative if name not in CATALOGUE}
    assert all(map(reason, without))
    assert not any(map(reason, CATALOGUE))
    assert CATALOGUE.keys() <= normative


def test_there_are_enough_cases_of_all_revisions(contents: Mapping[str, Contents]) -> None:
    counts = Counter(path.split("/")[0] for path, content in contents.items() for _ in content["cases"])
    assert counts["clauses"] >= 500
    assert {path for path in contents if path.startswith("steps")} == {f"steps/{r}.json" for r in revision_names()}


def test_ids_comments_and_flags(contents: Mapping[str, Contents]) -> None:
    every = [case for content in contents.values() for case in content["cases"]]
    assert max(Counter(case["id"] for case in every).values()) == 1
    assert {flag for case in every for flag in case["flags"]} == FLAGS.keys()
    for content in contents.values():
        assert max(Counter(case["comment"] for case in content["cases"]).values()) == 1


def test_changed_cases_are_refused_and_new_ones_are_not(tmp_path: Path, made: files.Files) -> None:
    files.write(tmp_path, made)
    path = "clauses/PPSF-D-001.json"
    changed = made | {path: made[path].replace("a root of 1/2", "another comment")}
    with pytest.raises(ValueError, match="D-001/2"):
        files.write(tmp_path, changed)
    fewer = json.loads(made[path])
    fewer["cases"].pop()
    (tmp_path / path).write_text(json.dumps(fewer), encoding="utf-8")
    files.write(tmp_path, made)
    assert files.differences(tmp_path, made) == []


def test_a_clause_whose_text_changed_may_change_its_cases(tmp_path: Path, made: files.Files) -> None:
    files.write(tmp_path, made)
    path = "clauses/PPSF-D-001.json"
    changed = json.loads(made[path].replace("a root of 1/2", "another comment")) | {"sha8": "00000000"}
    files.write(tmp_path, made | {path: json.dumps(changed)})


def test_the_command_finds_a_changed_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, made: files.Files
) -> None:
    monkeypatch.setattr(files, "generated", lambda: made)
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "clauses" / "PPSF-Z-003.json"
    path.write_text(path.read_text("utf-8").replace("half", "whole").replace("all exact", "all"), encoding="utf-8")
    assert main(["vectors", "check", "--folder", str(FOLDER)]) == 0
    assert main(["vectors", "check", "--folder", str(tmp_path)]) == 1
    assert "PPSF-Z-003.json" in capsys.readouterr().out


def test_the_command_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", "list", "--folder", str(FOLDER)]) == 0
    assert "PPSF-L-005 has none" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------------------- what is right


@pytest.mark.parametrize(("lift", "arithmetic"), [(Float64(), "float64"), (Float32(), "float32")])
def test_a_correct_computation_passes(contents: Mapping[str, Contents], lift: Any, arithmetic: str) -> None:
    wrong = {}
    for spec in CATALOGUE.values():
        for case, expected in cases(contents, spec):
            if found := faults(spec, expected, outputs(spec, case, lift), arithmetic):
                wrong[spec.clause, case.comment] = found
    assert not wrong


def test_exact_cases_allow_the_value_alone(contents: Mapping[str, Contents]) -> None:
    for spec in CATALOGUE.values():
        for case, expected in cases(contents, spec):
            if "Exact" in case.flags:
                assert all("float32" not in output for output in expected.values()), (spec.clause, case.comment)


def test_no_clause_is_vacuous(contents: Mapping[str, Contents]) -> None:
    """Float32 comes near enough to its bounds that they mean something."""
    reached = {
        spec.clause: max(_ratio(spec, case, expected) for case, expected in cases(contents, spec))
        for spec in CATALOGUE.values()
        if spec.arithmetics
    }
    assert {clause for clause, ratio in reached.items() if ratio < VACUOUS} == ALWAYS_EXACT


def _ratio(spec: Spec, case: Case, expected: Expected) -> float:
    """The largest error of a float32 computation over its bound."""
    largest, found = 0.0, outputs(spec, case, Float32())
    for name, wanted in expected.items():
        if wanted.get("float32"):
            low, high = map(np.array, interval(wanted, "float32"))
            value = np.array([number(x) for x in np.ravel(wanted["value"])])
            bounded = np.isfinite(high) & (high > low)
            error = np.abs(np.ravel(np.asarray(found[name], np.float64)) - value)
            largest = max(largest, float((error / np.where(bounded, high - value, 1))[bounded].max(initial=0.0)))
    return largest


@pytest.mark.parametrize("arithmetic", ARITHMETICS)
def test_intervals_lie_within_those_of_the_judge(arithmetic: str) -> None:
    """Two implementations of the rules for a bound: this one has more digits, and knows more exact cases."""
    declared = ARITHMETICS[arithmetic]
    for spec in CATALOGUE.values():
        if not spec.arithmetics or spec.clause in (*BY_SINGULAR_VALUES, *ON_THE_HOST):
            continue
        for case in spec.cases:
            ours, theirs = (outputs(spec, case, lift(declared)) for lift in (Exactly, Running))
            for name in spec.outputs:
                if isinstance(theirs[name], Bounded) and isinstance(ours[name], Exact):
                    assert _within(ours[name], theirs[name]), (spec.clause, case.comment, name)


def _within(ours: Exact, theirs: Bounded) -> bool:
    pairs = zip(ours.bound.reshape(-1), theirs.bound.reshape(-1), strict=True)
    return all(mpmath.isinf(a) == bool(np.isinf(b)) and (a <= float(b) * (1 + 1e-15) or np.isinf(b)) for a, b in pairs)


def test_numbers_after_a_step_lie_in_their_intervals(contents: Mapping[str, Contents]) -> None:
    for path in filter(lambda path: path.startswith("steps"), contents):
        for case in contents[path]["cases"]:
            for group in case["after"]["groups"]:
                shown = [entry for entry in group.values() if isinstance(entry, dict)]
                assert all(number(x["low"]) <= number(x["value"]) <= number(x["high"]) for x in shown), case["id"]
                for array in (entry for param in group["params"] for entry in param.values()):
                    pairs = zip(array["low"], array["high"], strict=True)
                    assert all(number(low) <= number(high) for low, high in pairs), case["id"]


# ------------------------------------------------------------------------------------------------------- what is wrong


def _noticed(mutant: Mutant, contents: Mapping[str, Contents]) -> bool:
    spec = CATALOGUE[mutant.clause]
    with overriding({mutant.clause: mutant.rule}):
        return any(_differs(spec, case, expected) for case, expected in cases(contents, spec))


def _differs(spec: Spec, case: Case, expected: Expected) -> bool:
    """Whether a case leaves even the wider intervals."""
    try:
        return bool(faults(spec, expected, outputs(spec, case, Float64()), "float32"))
    except (TypeError, ValueError, ArithmeticError):  # a wrong law that cannot even run is noticed
        return True


def test_the_vectors_of_a_clause_notice_each_of_its_mutants(contents: Mapping[str, Contents]) -> None:
    held = [mutant for mutant in MUTANTS if mutant.clause in CATALOGUE]
    assert {mutant.clause for mutant in held} == CATALOGUE.keys()
    assert {mutant.identifier for mutant in held if not _noticed(mutant, contents)} == UNNOTICED.keys()


def test_vectors_notice_a_nan_that_is_rounded(contents: Mapping[str, Contents]) -> None:
    """Whose bits overflow to a zero, as a release has it."""
    assert _noticed(Mutant("not set apart", "PPSF-R-005", lambda x, rounded: rounded), contents)


def test_mutants_are_not_noticed_by_failing_to_run(contents: Mapping[str, Contents]) -> None:
    """Each of them computes something wrong: a mutant with another signature would count as noticed for nothing."""
    for mutant in MUTANTS:
        if mutant.clause in CATALOGUE:
            spec = CATALOGUE[mutant.clause]
            with overriding({mutant.clause: mutant.rule}):
                assert any(_runs(spec, case) for case in spec.cases), mutant.identifier


def _runs(spec: Spec, case: Case) -> bool:
    try:
        outputs(spec, case, Float64())
    except (TypeError, ValueError, ArithmeticError):
        return False
    return True


def test_clauses_without_vectors_are_those_of_the_index(made: files.Files) -> None:
    listed = json.loads(made[files.INDEX])["without"]
    assert listed.keys() == clause_functions().keys() - CATALOGUE.keys()
