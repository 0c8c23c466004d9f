"""The examples in docstrings run, and what is offered to users has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import pytest
import torch

import ppsf_fast
import ppsf_fast.trainers
import ppsf_ref

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"ppsf_fast": ROOT, "ppsf_ref": ROOT, "ppsf_conformance": ROOT / "conformance"}


def name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = sorted(
    name_of(path, root)
    for package, root in FOLDERS.items()
    for path in (root / package).rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    module = importlib.import_module(name)
    assert "doctest: +SKIP" not in inspect.getsource(module)
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


def examples(thing: object) -> int:
    return len(doctest.DocTestParser().get_examples(inspect.getdoc(thing) or ""))


#: Shown by the docstring of their package or by its guide, no more than what another function returns, or in need of
#: another package.
ELSEWHERE = {
    "FusedBackward", "Advice", "AdviceWarning", "EveryDream", "Mistake", "Schedule", "check", "from_everydream",
    "from_onetrainer", "progress",
}  # fmt: skip


@pytest.mark.parametrize(
    "thing",
    [
        getattr(package, name)
        for package in (ppsf_fast, ppsf_fast.trainers)
        for name in package.__all__
        if name not in ELSEWHERE
    ],
    ids=lambda thing: thing.__name__,
)
def test_what_users_import_has_an_example(thing: object) -> None:
    assert examples(thing)


def test_the_reference_has_an_example_of_a_step() -> None:
    assert "step(config, state" in (ppsf_ref.__doc__ or "")
