"""The example of the README runs as printed, and the paths it names exist."""

import re
import tomllib
from pathlib import Path

import pytest

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


def test_the_status_table_names_the_options_that_are_not_served() -> None:
    line = next((line for line in README.splitlines() if line.startswith("| options known")), "")
    table = tomllib.loads((ROOT / "spec" / "options.toml").read_text(encoding="utf-8"))["options"]
    assert set(re.findall(r"`(\w+)`", line)) == {name for name, facts in table.items() if facts["status"] == "planned"}


def test_the_status_table_names_the_revisions_of_the_specification() -> None:
    table = tomllib.loads((ROOT / "spec" / "revisions.toml").read_text(encoding="utf-8"))["revisions"]
    rows = [line for line in README.splitlines() if re.match(r"\| `[A-Z]\w+` \|", line)]
    named = {name for line in rows for name in re.findall(r"`([\w.]+)`", line.split("|")[2])}
    assert named >= set(table)
