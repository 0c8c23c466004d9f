"""A small tree in which all belongs together, to be broken on purpose."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tools.trace import __main__ as command
from tools.trace import pins
from tools.trace.tree import Tree

SCHEMAS = Path(__file__).parents[2] / "spec" / "schema"

CLAUSE = """
:::{{clause}} {title}
:id: PPSF-{id}
:status: normative
:revisions: 1.9
:options: {options}
:guards: none
:relation: {relation}
:errata: {errata}
:source: own
:reads: d
:writes: none
{text}
```{{math}}
:nowrap:
\\begin{{equation*}} a = b \\tag{{{id}}} \\end{{equation*}}
```
:::
"""
FIRST = {"title": "First rule", "options": "lr", "relation": "deviates", "errata": "ERR-0001"}
SECOND = {"title": "Second rule", "options": "always", "relation": "matches", "errata": "none"}


def _revisions() -> str:
    """The real table, with one revision, two of its options and one clause."""
    head, *tables = re.split(r"(?m)^(?=\[)", (SCHEMAS.parent / "revisions.toml").read_text("utf-8"))
    text = head + "".join(table for table in tables if "revisions." not in table or '"1.9"' in table.split("\n")[0])
    text = re.sub(r'"PPSF-(?!D-001)[^"]*"(, )?', "", text)
    return re.sub(r"(?s)options = \[.*?\]", 'options = ["lr", "beta3"]', text)


FILES = {
    "spec/clauses/D-distance.md": "# D\n"
    + CLAUSE.format(id="D-001", text="The first\nrule.", **FIRST)
    + CLAUSE.format(id="D-002", text="As {need}`PPSF-D-001` says.", **SECOND),
    "spec/errata/ERR-0001.toml": """
id = "ERR-0001"
title = "Something else is done"
clauses = ["PPSF-D-001"]
kind = "upstream-bug"
severity = "S1"
implementations = [{ name = "prodigy-plus-schedule-free", versions = "==1" }]
disposition = "spec-deviates"
override = "something_else"
found = "2026-11-20"
observed = "that"
spec_says = "this"
effect = "bad"
applies = "always"
shows = "both"

[pinned]
groups = [{ params = [{ shape = [1], fill = 0.0 }] }]
actions = [{ grads = [1.0] }]
observe = [{ path = "groups[0].d", upstream = 2.0, law = 1.0 }]
""",
    "spec/errata/ERR-0002.toml": """
id = "ERR-0002"
title = "Something that the law is silent on so far"
clauses = []
awaits = "use_speed"
kind = "upstream-bug"
severity = "S1"
implementations = [{ name = "prodigy-plus-schedule-free", versions = "==2" }]
disposition = "spec-deviates"
override = ""
found = "2026-11-20"
observed = "that"
spec_says = "this"
effect = "bad"
applies = "always"
shows = "it"

[pinned]
groups = [{ params = [{ shape = [1], fill = 0.0 }] }]
actions = [{ grads = [1.0] }]
observe = [{ path = "groups[0].d", upstream = 2.0 }]
""",
    "spec/options.toml": """
[options.lr]
type = "float"
default = 1.0
domain = { exclusive_min = 0.0 }
scope = "group"
status = "served"
meaning = "factor on the step size"
clauses = ["PPSF-D-001"]

[options.beta3]
type = "float_or_none"
default = "None"
domain = { nullable = true }
scope = "group"
status = "served"
meaning = "memory of the statistics"
clauses = ["PPSF-D-001"]

[options.use_speed]
type = "bool"
default = false
domain = { only = false }
scope = "group"
status = "planned"
meaning = "not there yet, but known"
clauses = ["PPSF-D-002"]

[options.rounding_seed]
type = "int"
default = 0
domain = { min = 0 }
scope = "optimizer"
status = "served"
meaning = "seed of the rounding bits"
clauses = ["PPSF-D-002"]
""",
    "spec/revisions.toml": _revisions(),
    "ppsf_ref/options.py": """
class Options:
    lr: float = 1.0
    beta3: float | None = None


class Config:
    groups: tuple[Options, ...]
    rounding_seed: int = 0
""",
    "ppsf_ref/law.py": """
@clause("PPSF-D-001", "")
def first(d):
    return d


@clause("PPSF-D-002", "")
def second(d):
    return d
""",
    "ppsf_fast/optimizer.py": """
class ProdigyPlusScheduleFree:
    def __init__(self, params, lr=1.0, beta3=None, use_speed=False, rounding_seed=0, *, revision="1.9"):
        # clause: PPSF-D-001
        self.lr = lr
        # clause: PPSF-D-002
        self.revision = revision
""",
    "conformance/ppsf_conformance/mutants.py": """
MUTANTS = (
    Mutant("nothing", clause="PPSF-D-001", rule=None),
    Mutant("twice", "PPSF-D-002", None),
)
""",
    "conformance/suite/test_all.py": """
TABLE = [("PPSF-D-002", 1)]


@pytest.mark.clause("PPSF-D-001")
def test_one(): ...


@pytest.mark.parametrize(("clause", "number"), TABLE)
def test_two(clause, number): ...
""",
    "spec/sentences/1.9.toml": """
number = "001"
title = "Other"
document = "README of other"
revision = "1.9"

[[sections]]
heading = "Usage"
sentences = 5
left_out = { link = [2] }

[[rows]]
id = "S-001-01"
at = { heading = "Usage", sentence = 1, part = "lr" }
kind = "default"
says = "The rate is 1 unless given."
default = { lr = 1.0 }
clauses = ["PPSF-D-001", "PPSF-D-002"]
answer = "In the release it is not (ERR-0001)."

[[rows]]
id = "S-001-02"
at = { heading = "Usage", sentence = 3, through = 4 }
kind = "rule"
says = "Something to come."
pending = "coming"

[[rows]]
id = "S-001-03"
at = { heading = "Usage", sentence = 5 }
kind = "advice"
says = "Try something else."
page = "advice"
""",
    "docs/advice.md": "# Advice\n",
    "docs/spec/distance.md": "```{include} ../../spec/clauses/D-distance.md\n```\nSee PPSF-D-001.\n",
    "README.md": "The law is in spec/, its errata too: ERR-0001.\n",
}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")


def settle(root: Path) -> None:
    """Bring index and pins up to date, so that only what was broken on purpose is found."""
    tree = Tree(root)
    command.write_index(tree)
    pins.renew(tree, tree.by_id)


def plant(root: Path) -> None:
    """Write the tree into an empty folder."""
    write(root, FILES)
    shutil.copytree(SCHEMAS, root / "spec" / "schema")
    settle(root)


def replace(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text("utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new, 1), "utf-8")
