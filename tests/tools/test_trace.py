"""Each rule of the trace check is silent on a small good tree and speaks when just its subject is broken."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools.toy import FILES, plant, replace, settle, write
from tools.trace import __main__ as command
from tools.trace import clauses, history, pins, rules_code, rules_sentences, rules_spec
from tools.trace.tree import HISTORY, INDEX, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path)
    return tmp_path


def rules_that_speak(root: Path) -> dict[str, str]:
    """Names of the rules that find something, each with all its messages."""
    tree = Tree(root)
    found = {rule.__name__: "\n".join(map(str, rule(tree))) for rule in command.RULES}
    return {name: text for name, text in found.items() if text}


@dataclass(frozen=True)
class Break:
    """One fault: in `file`, `old` becomes `new`; then `rule` alone speaks, and says `message`.

    `settle` names what is brought up to date after the fault: the index, or index and pins.
    """

    rule: str
    file: str
    old: str
    new: str
    message: str
    settle: str = ""


D, ERR, OPT = "spec/clauses/D-distance.md", "spec/errata/ERR-0001.toml", "spec/options.toml"
WAITS = "spec/errata/ERR-0002.toml"
LAW, REF, FAST = "ppsf_ref/law.py", "ppsf_ref/options.py", "ppsf_fast/optimizer.py"
SUITE, MUTANTS = "conformance/suite/test_all.py", "conformance/ppsf_conformance/mutants.py"
PAGE, REV = "docs/spec/distance.md", "spec/revisions.toml"
SAID = "spec/sentences/1.9.toml"
ANOTHER = '@clause("PPSF-D-002", "")\ndef also(d): ...\n\n\n@clause("PPSF-D-001"'

BREAKS = (
    Break("clauses_are_valid", D, ":status: normative", ":status: nice", "is not one of", "all"),
    Break("clauses_are_valid", D, ":writes: none\n", "", "'writes' is a required property", "all"),
    Break("clauses_are_valid", D, ":reads: d", ":raeds: d", "raeds", "all"),
    Break("clauses_are_valid", D, ":options: lr", ":options: rl", "there is no 'rl'", "all"),
    Break("clauses_are_valid", D, ":revisions: 1.9", ":revisions: 1.9, 3.9", "there is no '3.9'", "all"),
    Break("tags_are_ids", D, "\\tag{D-002}", "\\tag{D-003}", "tag D-003, expected D-002", "all"),
    Break("tags_are_ids", D, "\\tag{D-002}", "\\tag{D-002} \\tag{D-002}", "more than one", "all"),
    Break("index_is_fresh", INDEX, "Second rule", "Second", "run python -m tools.trace --write"),
    Break("index_is_fresh", D, "# D\n", "# D\n\n", "run python -m tools.trace --write"),
    Break("history_is_fresh", HISTORY, '"PPSF-D-002"', '"PPSF-D-009"', "PPSF-D-002: spec/history.json lacks this text"),
    Break("errata_are_valid", ERR, 'severity = "S1"', 'severity = "S9"', "'S9' is not one of"),
    Break("errata_are_valid", ERR, "fill = 0.0", "fil = 0.0", "is not valid"),
    Break("errata_are_valid", ERR, ", law = 1.0", "", "'law' is a required property"),
    Break("errata_await_what_is_not_served", WAITS, '"use_speed"', '"1.9"', "awaits 1.9, which is served"),
    Break("errata_await_what_is_not_served", WAITS, '"use_speed"', '"lr"', "awaits lr, which is served"),
    Break("errata_await_what_is_not_served", WAITS, '"use_speed"', '"magic"', "neither a revision nor an option"),
    Break("errata_are_valid", WAITS, "upstream = 2.0", "upstream = 2.0, law = 1.0", "should not be valid"),
    Break("errata_agree_with_clauses", D, ":errata: none", ":errata: ERR-0001", "does not cite it", "all"),
    Break("deviations_have_errata", D, ": matches", ": deviates", "D-002 needs an erratum", "all"),
    Break("deviations_have_errata", D, ": deviates", ": own", "D-001 needs relation: deviates", "all"),
    Break("deviations_have_errata", ERR, '"spec-deviates"', '"kept"', "D-001 needs an erratum"),
    Break("deviations_have_errata", ERR, "prodigy-plus-schedule-free", "another-package", "D-001 needs an erratum"),
    Break("clauses_cite_what_exists", D, "`PPSF-D-001` says", "`PPSF-D-009` says", "D-009 does not", "all"),
    Break("clauses_are_rendered_once", PAGE, "{include}", "{incl}", "is included 0 times"),
    Break("clauses_are_rendered_once", PAGE, "```\n", f"```\n{FILES[PAGE]}", "is included 2 times"),
    Break("data_is_valid", OPT, "factor on the step size", "factor", "'factor' is too short"),
    Break("data_is_valid", OPT, '["PPSF-D-002"]', '["PPSF-D-007"]', "names PPSF-D-007"),
    Break("revisions_use_what_holds", REV, '"sqrt_d"', '"root_d"', "statistic_weight is 'root_d', allowed is one of"),
    Break("revisions_use_what_holds", REV, '{ sqrt_d = ["PPSF-D-001"]', '{ sqrt_d = ["PPSF-D-009"]', "PPSF-D-009, b"),
    Break("revisions_use_what_holds", REV, '"lr", "beta3"', '"lr", "beta9"', "no clause of option beta9 holds in it"),
    Break("data_is_valid", REV, "default = true", "default = false", "exactly one revision"),
    Break("data_is_valid", REV, "factored_min_dim = 32", "factored_min_dim = 0", "factored_min_dim: 0 is less than"),
    Break("one_reference_function_each", LAW, "@clause", "@rule", "D-001 has 0 functions"),
    Break("one_reference_function_each", LAW, '@clause("PPSF-D-001"', ANOTHER, "D-002 has 2 functions", "all"),
    Break("in_the_product", FAST, "# clause: PPSF-D-002", "# PPSF-D-002", "D-002 is named by no"),
    Break("has_a_test", SUITE, "pytest.mark.clause", "pytest.mark.slow", "D-001: no test"),
    Break("has_a_test", SUITE, '("clause", "number")', '("id", "number")', "D-002: no test"),
    Break("has_a_mutant", MUTANTS, 'clause="PPSF-D-001"', 'kills="PPSF-D-001"', "D-001: it has no"),
    Break("has_a_mutant", MUTANTS, '"twice", "PPSF-D-002"', '"twice"', "D-002: it has no"),
    Break("marks_resolve", SUITE, '"PPSF-D-001"', '"PPSF-D-001", "PPSF-D-008"', "D-008 does not exist"),
    Break("citations_resolve", "README.md", "ERR-0001", "ERR-0007", "README.md:1: ERR-0007 does not exist"),
    Break("citations_resolve", PAGE, "See PPSF-D-001", "See PPSF-D-005", "D-005 does not exist"),
    Break("pins_are_fresh", LAW, 'D-001", "', 'D-001", "0', "PPSF-D-001 has changed since"),
    Break("pins_are_fresh", D, "The first", "The very first", "optimizer.py:4: PPSF-D-001 has", "index"),
    Break("options_are_those_of_the_code", FAST, "lr=1.0", "lr=0.1", "default of lr is 0.1, in"),
    Break("options_are_those_of_the_code", FAST, "lr=1.0", "lr=1", "default of lr is 1, in"),
    Break("options_are_those_of_the_code", FAST, "use_speed=False, ", "", "use_speed is not in the code"),
    Break("options_are_those_of_the_code", FAST, "seed=0", "seed=0, new=1", "new is not in spec/options"),
    Break("options_are_those_of_the_code", FAST, "lr=1.0, beta3=None", "beta3=None, lr=1.0", "another order"),
    Break("options_are_those_of_the_code", REF, "= None", "= 0.5", "default of beta3 is 0.5"),
    Break("options_are_those_of_the_code", REF, "= 0\n", "= 1\n", "default of rounding_seed is 1"),
    Break("citations_resolve", SAID, "PPSF-D-002", "PPSF-D-003", f"{SAID}:18: PPSF-D-003 does not exist"),
    Break("sentences_are_valid", SAID, '"rule"', '"law"', "'law' is not one of"),
    Break("sentences_are_valid", SAID, "says = ", "quotes = ", "'says' is a required property"),
    Break("sentences_are_valid", SAID, "{ link", "{ dull", "'dull' is not one of"),
    Break("sentences_are_valid", SAID, "S-001-02", "S-001-01", "S-001-01 is there 2 times"),
    Break("sentences_are_valid", SAID, "S-001-02", "S-002-02", ":22: S-002-02 does not begin with S-001"),
    Break("sentences_are_valid", SAID, '"1.9"', '"3.9"', "should be 3.9.toml"),
    Break("sentences_are_counted", SAID, "sentences = 5", "sentences = 6", "sentence 6 is neither listed nor left"),
    Break("sentences_are_counted", SAID, "sentences = 5", "sentences = 4", "sentence 5 is beyond the 4"),
    Break("sentences_are_counted", SAID, "through = 4", "through = 3", "sentence 4 is neither"),
    Break("sentences_are_counted", SAID, "link = [2]", "link = [2, 5]", "sentence 5 is both listed and left out"),
    Break("sentences_are_counted", SAID, '"Usage"\nsent', '"Use"\nsent', "0 sections have the heading 'Usage'"),
    Break("sentences_are_answered", SAID, 'pending = "coming"\n', "", "S-001-02 has no answer"),
    Break("sentences_are_answered", SAID, '"advice"\nsays', '"rule"\nsays', "S-001-03 has no answer"),
    Break("sentences_are_answered", SAID, 'page = "advice"', 'page = "advise"', "docs/advise.md does not exist"),
    Break("answers_cite_errata_of_their_clauses", SAID, '"PPSF-D-001", ', "", "S-001-01 names ERR-0001"),
    Break("defaults_are_those_of_the_options", SAID, "lr = 1.0", "lr = 1", "default of lr is 1, in"),
    Break("defaults_are_those_of_the_options", SAID, "lr = 1.0", "rate = 1.0", "default of rate is 1.0, in"),
)


def test_a_good_tree_has_no_findings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([], root) == 0
    assert "2 clauses, 2 errata, 3 statements of 1 documents (1 pending)" in capsys.readouterr().out


@pytest.mark.parametrize("fault", BREAKS, ids=[f"{fault.rule}-{fault.message}" for fault in BREAKS])
def test_a_fault_is_found_by_its_rule_alone(root: Path, fault: Break) -> None:
    replace(root, fault.file, fault.old, fault.new)
    if fault.settle:
        command.write_index(Tree(root))
    if fault.settle == "all":
        settle(root)
    spoken = rules_that_speak(root)
    assert list(spoken) == [fault.rule]
    assert fault.message in spoken[fault.rule]


def test_every_rule_has_a_fault_here() -> None:
    alone = {fault.rule for fault in BREAKS}
    with_others = {"area_is_that_of_the_file", "ids_stay"}
    assert alone | with_others == {rule.__name__ for rule in command.RULES}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":id: PPSF-D-002", ":id: PPSF-D-001", "PPSF-D-001 is declared 2 times"),
        (":id: PPSF-D-002", ":id: PPSF-D-02", "does not match"),
        (":id: PPSF-D-002\n", "", "'id' is a required property"),
        ("\n```\n:::\n\n", "\n```\n\n", "is not closed"),
    ],
)
def test_a_malformed_clause_is_found(root: Path, old: str, new: str, message: str) -> None:
    replace(root, D, old, new)
    assert message in rules_that_speak(root)["clauses_are_valid"]


def test_a_clause_without_text_is_found(root: Path) -> None:
    text = FILES[D]
    write(root, {D: text[: text.index("As {need}")] + ":::\n"})
    assert "PPSF-D-002 has no text" in rules_that_speak(root)["clauses_are_valid"]


def test_a_clause_in_the_file_of_another_area_is_found(root: Path) -> None:
    (root / D).rename(root / "spec/clauses/V-second-moment.md")
    assert "file of area V" in rules_that_speak(root)["area_is_that_of_the_file"]


def test_an_erratum_in_a_misnamed_file_and_of_an_unknown_clause_is_found(root: Path) -> None:
    (root / ERR).rename(root / "spec/errata/ERR-0009.toml")
    replace(root, "spec/errata/ERR-0009.toml", "PPSF-D-001", "PPSF-D-005")
    assert "the id is ERR-0001" in rules_that_speak(root)["errata_are_valid"]
    assert "cites PPSF-D-005" in rules_that_speak(root)["errata_are_valid"]
    assert "does not cite it" in rules_that_speak(root)["errata_agree_with_clauses"]


def test_an_erratum_that_waits_cites_no_clause(root: Path) -> None:
    replace(root, WAITS, "clauses = []", 'clauses = ["PPSF-D-001"]')
    assert "clauses" in rules_that_speak(root)["errata_are_valid"]


def test_an_erratum_that_its_clause_does_not_list_is_found(root: Path) -> None:
    replace(root, D, ":errata: ERR-0001", ":errata: none")
    assert "does not list ERR-0001" in rules_that_speak(root)["errata_agree_with_clauses"]


def test_an_id_that_disappears_is_found_and_not_written_away(root: Path) -> None:
    before = (root / INDEX).read_text("utf-8")
    write(root, {D: FILES[D][: FILES[D].index(":::{clause} Second")]})
    assert command.main(["--write"], root) == 1
    assert "PPSF-D-002 has disappeared" in rules_that_speak(root)["ids_stay"]
    assert (root / INDEX).read_text("utf-8") == before


def test_a_withdrawn_clause_needs_nothing_but_stays(root: Path) -> None:
    replace(root, D, ":status: normative", ":status: withdrawn")
    replace(root, LAW, '@clause("PPSF-D-001"', '@rule("PPSF-D-001"')
    replace(root, MUTANTS, 'clause="PPSF-D-001"', "clause=None")
    settle(root)
    assert rules_that_speak(root) == {}


def test_missing_pins_are_found_and_filled(root: Path) -> None:
    write(root, {name: FILES[name] for name in (LAW, FAST)})
    assert "PPSF-D-001 is not pinned" in rules_that_speak(root)["pins_are_fresh"]
    assert command.main(["--pin-missing"], root) == 0
    assert rules_that_speak(root) == {}


def test_stale_pins_are_renewed_for_the_named_ids_only(root: Path) -> None:
    replace(root, D, "The first", "The very first")
    replace(root, D, " says.", " tells.")
    assert command.main(["--write"], root) == 0
    assert command.main(["--pin-missing"], root) == 0
    assert command.main(["--pin", "PPSF-D-001"], root) == 0
    spoken = rules_that_speak(root)["pins_are_fresh"]
    assert "PPSF-D-002" in spoken
    assert "PPSF-D-001" not in spoken


def test_pinning_an_unknown_id_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--pin", "PPSF-D-009"], root) == 1
    assert "PPSF-D-009 does not exist" in capsys.readouterr().out


def test_the_hash_covers_the_rule_and_nothing_else() -> None:
    def sha8(text: str) -> str:
        return next(clauses.parse(text, D)).sha8

    text = FILES[D]
    assert sha8(text) == sha8(text.replace("The first\nrule.", "The   first rule."))
    assert sha8(text) == sha8(text.replace(":errata: ERR-0001", ":errata: none").replace(": deviates", ": own"))
    for old, new in (("a = b", "a = c"), ("First rule", "Rule"), (":options: lr", ":options: beta3")):
        assert sha8(text) != sha8(text.replace(old, new))


def test_the_index_says_where_each_clause_stands(root: Path) -> None:
    first, second = json.loads((root / INDEX).read_text("utf-8"))["clauses"]
    place = {"id": "PPSF-D-001", "area": "D", "file": D, "line": 3, "tags": ["D-001"]}
    assert first.items() >= place.items()
    assert first["sha8"] == Tree(root).by_id["PPSF-D-001"].sha8
    assert second["fields"]["errata"] == []


def test_findings_name_file_and_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(root, FAST, "# clause: PPSF-D-001", "# clause: PPSF-D-004")
    assert command.main([], root) == 1
    assert "ppsf_fast/optimizer.py:4: PPSF-D-004 does not exist" in capsys.readouterr().out.splitlines()


def test_what_is_pinned_in_cpp_grows_stale_like_the_rest(root: Path) -> None:
    write(root, {"ppsf_fast/step.hpp": "// clause: PPSF-D-001 00000000\n"})
    assert set(rules_that_speak(root)) == {"pins_are_fresh"}
    pins.renew(Tree(root), ["PPSF-D-001"])
    assert rules_that_speak(root) == {}


def test_what_is_pending_is_found_on_request_only(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--complete"], root) == 1
    assert capsys.readouterr().out == f"{SAID}:22: S-001-02 is pending: coming\n"
    replace(root, SAID, 'pending = "coming"', 'clauses = ["PPSF-D-001"]')
    assert command.main(["--complete"], root) == 0


def test_a_clause_of_another_revision_is_no_answer(root: Path) -> None:
    tree = Tree(root)
    tree.revisions = {"1.9": {}, "3.9": {}}
    for name in ("D-001", "D-002"):
        tree.by_id[f"PPSF-{name}"].fields["revisions"] = "3.9"
    found = [str(finding) for finding in rules_sentences.sentences_are_answered(tree)]
    assert found == [f"{SAID}:13: S-001-01 none of its clauses holds in revision 1.9"]
    tree.by_id["PPSF-D-002"].fields["revisions"] = "3.9, 1.9"
    assert list(rules_sentences.sentences_are_answered(tree)) == []


def test_documents_of_revisions_to_come_are_not_held_to_them(root: Path) -> None:
    tree = Tree(root)
    tree.revisions = {"3.9": {}}
    assert list(rules_sentences.sentences_are_answered(tree)) == []


def test_rules_are_registered_once() -> None:
    modules = (rules_spec, rules_code, rules_sentences)
    assert len(set(command.RULES)) == sum(len(module.RULES) for module in modules)


def test_the_history_grows_by_what_changed_and_keeps_one_text_a_day(root: Path) -> None:
    before = Tree(root).history
    replace(root, D, "The first", "The very first")
    tree = Tree(root)
    first, second = tree.by_id["PPSF-D-001"], tree.by_id["PPSF-D-002"]
    later = history.extended(before, tree.clauses, "2999-01-01")
    assert later["PPSF-D-001"] == {**before["PPSF-D-001"], "2999-01-01": first.sha8}
    assert later["PPSF-D-002"] == before["PPSF-D-002"]
    assert history.stale(later, [first, second]) == []
    (day,) = before["PPSF-D-001"]
    assert history.extended(before, tree.clauses, day)["PPSF-D-001"] == {day: first.sha8}
    assert json.loads(history.text(later))["clauses"] == later
