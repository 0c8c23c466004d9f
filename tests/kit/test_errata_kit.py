"""Errata as the judge uses them: which release they concern, what they replace, what they keep out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppsf_conformance.errata import Erratum, KnownDeviations, all_errata, errata_of
from ppsf_conformance.overrides import EXCLUDED, OVERRIDES, combined, excluded
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_ref import BFLOAT16, FLOAT32, Options, clause_functions, load_revision, options_of
from ppsf_ref.clauses.moment import Axes
from ppsf_ref.law import places

PACKAGE, VERSION = "prodigy-plus-schedule-free", "1.9.2"
PLAIN = Problem({}, (GroupSpec((ParamSpec((5,)),)),))


def erratum(name: str, *clauses: str, override: str = "") -> Erratum:
    return Erratum(name, "a title", clauses, override, "spec-deviates", {})


# ----------------------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_replaces_clauses_that_there_are(name: str) -> None:
    assert set(combined([name])) <= {*clause_functions(), *places()}
    assert next(iter(OVERRIDES[name])) in clause_functions(), "the clause that it is about comes first"


def test_two_overrides_of_one_clause_are_both_in_force() -> None:
    rule = combined(["initial_sample_in_bfloat16", "gradient_sum_in_bfloat16"])["PPSF-R-001"]
    forms = rule("bfloat16", True)
    assert (forms["x0"], forms["s"]) == (BFLOAT16, BFLOAT16)
    assert forms["v_row"] is FLOAT32


@pytest.mark.parametrize("turn", [1, -1])
def test_an_override_turns_the_rule_that_another_has_put_in_force(turn: int) -> None:
    names = ["factored_mean_plus_1e_30", "factored_mean_over_size_one_axis"]
    rule = combined(names[::turn])["PPSF-V-005"]
    row, col = np.array([[1e-30, 3e-30]]), np.ones((3, 1))
    one_row = rule(row, col, Axes(dr=0, dc=1))[0]
    assert np.array_equal(one_row, np.sqrt(row[0] / (row[0] + 1e-30)))  # over the axis of size one, plus 1e-30


def test_an_override_leaves_the_law_as_it_was() -> None:
    before = dict(clause_functions())
    combined(OVERRIDES)
    assert dict(clause_functions()) == before


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(KeyError, match="no override named no_such_thing"):
        combined(["no_such_thing"])


# ---------------------------------------------------------------------------------------------------------- exclusions


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ERR-0013", Problem({}, (GroupSpec((ParamSpec((5,), "bfloat16"),)),))),
        ("ERR-0024", Problem({}, (GroupSpec((ParamSpec((0, 33)),)),))),
        ("ERR-0114", Problem({"use_muon_pp": True}, (GroupSpec((ParamSpec((0, 3)),)),))),
        ("ERR-0115", Problem({"use_muon_pp": True}, (GroupSpec((ParamSpec((2, 2, 3), layout="transposed"),)),))),
        ("ERR-0104", Problem({}, (GroupSpec((ParamSpec((5, 2), layout="transposed"),), {"use_orthograd": True}),))),
    ],
)
def test_a_problem_to_which_an_erratum_applies_is_kept_out(name: str, problem: Problem) -> None:
    assert excluded([name], problem)
    assert not excluded([], problem)
    assert not excluded([name], PLAIN)


@pytest.mark.parametrize(
    ("name", "constructor", "group", "as_law", "as_released"),
    [
        ("beta3_from_constructor_betas", {"betas": (0.9, 0.25)}, {"betas": (0.9, 0.81)}, None, 0.5),
        ("atan2_group_keeps_clipping", {"eps": None}, {"eps": 1e-8}, True, False),
        (
            "grams_dropped_by_constructor",
            {"use_cautious": True, "use_grams": True},
            {"use_cautious": False},
            True,
            False,
        ),
        ("factored_dropped_by_constructor", {"use_focus": True}, {"use_focus": False}, True, False),
    ],
)
def test_groups_inherit_what_a_constructor_has_made_of_its_options(
    name: str, constructor: dict[str, Any], group: dict[str, Any], as_law: Any, as_released: Any
) -> None:
    read = {"b": "beta3", "a": "use_stableadamw", "g": "use_grams", "f": "factored"}[name[0]]
    defaults = options_of(load_revision("1.9"), **constructor)
    assert getattr(clause_functions()["PPSF-O-003"](defaults, group), read) == as_law
    assert getattr(combined([name])["PPSF-O-003"](defaults, group), read) == as_released
    assert getattr(combined([name])["PPSF-O-003"](options_of(load_revision("1.9")), {}), read) == (
        0.99**0.5 if read == "beta3" else getattr(Options(), read)
    )


def test_exclusions_belong_to_errata_that_there_are() -> None:
    assert set(EXCLUDED) <= {entry.id for entry in all_errata()}


# ------------------------------------------------------------------------------------------------------------ releases


def test_a_release_is_found_by_its_version_specifier() -> None:
    assert errata_of(PACKAGE, VERSION)
    assert errata_of(PACKAGE, "1.8.0") == ()
    assert errata_of(PACKAGE, "2.0.0") == ()
    assert errata_of("ppsf", VERSION) == ()


@pytest.mark.parametrize("version", ["unknown", ""])
def test_a_version_that_is_none_has_no_errata(version: str) -> None:
    assert errata_of(PACKAGE, version) == ()


def test_only_deviations_of_the_release_count() -> None:
    assert {entry.disposition for entry in errata_of(PACKAGE, VERSION)} == {"spec-deviates"}
    assert {entry.disposition for entry in all_errata()} > {"spec-deviates"}


def test_every_override_belongs_to_an_erratum() -> None:
    assert set(OVERRIDES) <= {entry.override for entry in all_errata()}


# ---------------------------------------------------------------------------------------------------- known deviations


def test_an_erratum_is_cited_for_its_clauses_and_for_those_it_replaces() -> None:
    known = KnownDeviations([erratum("ERR-1", "PPSF-D-003", override="gradient_sum_in_bfloat16"), erratum("ERR-2")])
    assert known.citing("PPSF-D-003") == ("ERR-1",)
    assert known.citing("PPSF-R-001") == ("ERR-1",)
    assert known.citing("PPSF-Z-001") == ()


def test_rules_without_one_override_keep_the_others() -> None:
    known = KnownDeviations(
        [
            erratum("ERR-1", override="initial_sample_in_bfloat16"),
            erratum("ERR-2", override="gradient_sum_in_bfloat16"),
            erratum("ERR-3", override="one_that_no_rule_follows"),
        ]
    )
    assert set(known.followed) == {"initial_sample_in_bfloat16", "gradient_sum_in_bfloat16"}
    left = known.rules_without("gradient_sum_in_bfloat16")
    forms = left["PPSF-R-001"]("bfloat16", True)
    assert (forms["x0"], forms["s"]) == (BFLOAT16, FLOAT32)
    assert "PPSF-D-003" not in left


def test_without_errata_the_law_rules() -> None:
    known = KnownDeviations([])
    assert (known.rules, known.followed, known.citing("PPSF-D-003")) == ({}, (), ())
    assert not known.excludes(PLAIN)


def test_a_subclass_that_mends_an_erratum_is_not_told_to_retire_it(monkeypatch: Any) -> None:
    from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree as Published

    from ppsf_conformance import run
    from ppsf_conformance.name_map import map_for

    class Mended(Published):  # type: ignore[misc]
        """A subclass of a published class."""

    monkeypatch.setattr(run, "_shows", lambda *_: False)
    retired = []
    for cls in (Mended, Published):
        found = run.survey_of(TorchImplementation(cls, map_for(cls)), 1, 0, lambda *_: None)
        messages = [message for tally in found.clauses.values() for message in tally.failures]
        retired.append(any("retire it" in message for message in messages))
    assert retired == [False, True]
