"""What docs/tool.md shows is printed. ``PPSF_PAGES=write`` writes the output into the page, long ones included.

Numbers are not compared: they belong to the machine, and to how many problems, clauses and tests there happen to be.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from ppsf_conformance import cli

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tool.md"
BLOCK = re.compile(r"(<!-- long -->\n)?```console\n\$ ppsf-conformance (.*)\n((?:.*\n)*?)```")
NUMBER = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?")
WIDTH, MODE = "100", os.environ.get("PPSF_PAGES", "")
BLOCKS = [match.groups() for match in BLOCK.finditer(PAGE.read_text("utf-8"))]


def printed(command: str, capsys: Any) -> str:
    cli.main([*shlex.split(command), "--no-color"])
    return "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines())


def comparable(text: str) -> list[str]:
    return [" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines()]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", WIDTH)


@pytest.mark.parametrize(("long", "command", "shown"), BLOCKS, ids=[command[:40] for _, command, _ in BLOCKS])
def test_the_page_shows_what_the_tool_prints(long: str | None, command: str, shown: str, capsys: Any) -> None:
    if long and not MODE:
        assert shown  # written with the others; it takes too long to be run each time
        return
    found = printed(command, capsys)
    if MODE == "write":
        text = PAGE.read_text("utf-8")
        PAGE.write_text(
            text.replace(f"$ ppsf-conformance {command}\n{shown}```", f"$ ppsf-conformance {command}\n{found}```"),
            "utf-8",
        )
        return
    printed_lines = iter(comparable(found))
    missing = [line for line in comparable(shown) if line not in printed_lines]  # in this order, maybe among others
    assert not missing


def test_every_command_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    assert all(f"`{name}`" in text for name in cli.COMMANDS)


def test_every_option_of_the_page_exists() -> None:
    declared = {option for command in _commands() for action in command._actions for option in action.option_strings}
    named = {name for name in re.findall(r"`(--[a-z-]+)", PAGE.read_text("utf-8")) if not name.startswith("--ppsf")}
    assert named <= declared


def _commands() -> list[Any]:
    return list(next(action for action in cli.parser()._actions if action.dest == "command").choices.values())  # type: ignore[union-attr, arg-type]
