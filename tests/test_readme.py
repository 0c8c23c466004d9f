"""The example of the README runs as printed, and the paths it names exist."""

import re
import tomllib
from pathlib import Path

import pytest

from tools import tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_there_is_one_example() -> None:
    assert len(EXAMPLES) == 1


def test_the_example_trains(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], "README.md", "exec"), {"__name__": "readme"})
    report = re.fullmatch(r"loss (\S+), d (\S+)\n", capsys.readouterr().out)
    assert report is not None
    loss, d = map(float, report.groups())
    # The targets have variance 20: a model that has not learned cannot reach a hundredth of it.
    assert loss < 0.2
    # The estimate starts at 1e-6 and has to have left it.
    assert d > 1e-5


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_commands_are_targets_of_make() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in set(re.findall(r"make ([a-z]+)\b", README)):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command


def test_the_tables_are_those_of_the_data() -> None:
    assert {name for _, name, _, _ in tables.BLOCK.findall(README)} == {"classes", "options", "targets"}
    assert tables.filled(README, ROOT) == README, "run python -m tools.tables --write"


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_that_was_changed_by_hand_is_noticed_and_written_anew(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("spec", "conformance", "Makefile"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    page = tmp_path / "README.md"
    page.write_text(f"Before.\n<!-- table: {name} -->\n| by hand |\n<!-- end -->\nAfter.\n", "utf-8")
    assert tables.main([], tmp_path) == 1
    assert "tools.tables --write" in capsys.readouterr().out
    assert tables.main(["--write"], tmp_path) == 0 == tables.main([], tmp_path)
    text = page.read_text("utf-8")
    assert text.startswith("Before.\n")
    assert text.endswith("After.\n")
    assert "by hand" not in text


def test_the_tables_have_a_row_for_each_option_revision_and_target() -> None:
    def column(name: str) -> list[str]:
        return re.findall(r"^\| `([^`]+)`", tables.TABLES[name](ROOT), re.MULTILINE)

    options, revisions = (
        tomllib.loads((ROOT / "spec" / f"{name}.toml").read_text("utf-8"))[name] for name in ("options", "revisions")
    )
    assert column("options") == list(options)
    assert column("classes") == list(revisions)
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    assert {f"make {name}" for name in phony[1].split()} - {"make pytest"} == set(column("targets"))


def test_the_status_names_the_dtypes_that_are_judged() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| parameters |"))
    maps = (ROOT / "conformance" / "ppsf_conformance" / "adapters").glob("ppsf_fast*.toml")
    judged = {dtype for path in maps for dtype in tomllib.loads(path.read_text("utf-8"))["dtypes"]}
    assert set(re.findall(r"b?float\d+", row)) == judged
