"""Every optimizer and setting that the documents name, as the guide lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from facts import trainers as facts
from ppsf_fast.trainers import build, from_everydream, from_onetrainer, from_sd_scripts

NAMED = [(document, name) for document, names in facts.NAMED.items() for name in names]
SET = [row for row in facts.ROWS if not row.test]
HERE = Path(__file__).parent


def read(trainer: str, name: str, settings: dict[str, Any], net: torch.nn.Module, lr: float | None) -> Any:
    if trainer == "OneTrainer":
        return from_onetrainer({"optimizer": name, **settings}, {"net": net}, lr)
    if trainer == "EveryDream":
        return from_everydream({"base": {"optimizer": name, **settings}}, net, lr=lr).unet
    return from_sd_scripts(name, [f"{key}={value!r}" for key, value in settings.items()], {"net": net}, lr)


@pytest.mark.parametrize(("document", "name"), NAMED, ids=[f"{document}-{name}" for document, name in NAMED])
def test_an_optimizer_steps(document: str, name: str, unet: torch.nn.Module) -> None:
    optimizer = read(document, name, {}, unet, 1e-2)
    assert type(optimizer).__name__ == facts.TABLES[document][name].name
    before = unet.weight.clone()
    for _ in range(3):
        unet(torch.ones(2, 4)).square().mean().backward()
        optimizer.step()
    assert not torch.equal(before, unet.weight)


@pytest.mark.parametrize("row", SET, ids=[row.id for row in SET])
def test_a_setting_arrives(row: Any, unet: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    real, passed = build.imported, {}

    def recording(*given: Any) -> Any:
        cls = real(*given)

        def make(groups: Any, **options: Any) -> Any:
            passed.update(options)
            return cls(groups, **options)

        return make

    monkeypatch.setattr(build, "imported", recording)
    lr = None if row.key == "lr" else 1e-2
    optimizer = read(facts.reader_of(row), row.optimizer, row.settings, unet, lr)
    assert isinstance(optimizer, torch.optim.Optimizer)
    if row.key is None:
        read(facts.reader_of(row), row.optimizer, {}, unet, lr)
        without = dict(passed)
        read(facts.reader_of(row), row.optimizer, row.settings, unet, lr)
        assert passed == without
    else:
        assert passed[row.key] == row.kept


@pytest.mark.parametrize("make", [facts.optimizers, facts.settings, facts.pitfalls, facts.contract, facts.mistakes])
def test_no_cell_of_a_table_is_empty(make: Any) -> None:
    table = make()
    assert all(len(row) == len(table.head) and all(row) and "-" not in row for row in table.rows)


def test_the_tests_that_the_table_names_exist() -> None:
    sources = {path.name: path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")}
    tests = {row.test for row in facts.ROWS if row.test} | {facts.SETTING_TEST, facts.OPTIMIZER_TEST}
    for test in tests:
        file, _, function = test.removeprefix("tests/trainers/").partition("::")
        assert f"def {function}(" in sources[file]


def test_the_table_of_mistakes_has_ten() -> None:
    assert len(facts.mistakes().rows) == len({path for path, _ in facts.mistakes().rows}) == 10
