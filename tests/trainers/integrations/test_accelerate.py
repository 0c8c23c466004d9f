"""accelerate as people write their loops with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from ppsf_fast import ProdigyPlusScheduleFree
from ppsf_fast.trainers import JsonLog, progress, rates, to_tensorboard
from tests.trainers.integrations.helpers import Net, Points, copied, same

pytestmark = pytest.mark.xdist_group("integrations")


def prepared(folder: Path | None = None, accumulate: int = 1, **given: Any) -> tuple[Accelerator, Any, Any, Any]:
    config = ProjectConfiguration(project_dir=str(folder) if folder else None)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate, project_config=config, **given)
    net = Net()
    optimizer = ProdigyPlusScheduleFree(net.parameters(), d0=1e-3)
    return accelerator, *accelerator.prepare(net, optimizer, DataLoader(Points(), batch_size=8))


def epoch(accelerator: Accelerator, net: Any, optimizer: Any, loader: Any) -> None:
    optimizer.train()
    for batch in loader:
        with accelerator.accumulate(net):
            accelerator.backward(net(**batch)["loss"])
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.need(34)
def test_accumulated_micro_batches_are_one_step() -> None:
    accelerator, net, optimizer, loader = prepared(accumulate=4)
    epoch(accelerator, net, optimizer, loader)
    assert optimizer.param_groups[0]["k"] == 2 + 1


def test_a_saved_state_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    accelerator, net, optimizer, loader = prepared(tmp_path)
    epoch(accelerator, net, optimizer, loader)
    optimizer.eval()
    accelerator.save_state(str(tmp_path / "state"))
    epoch(accelerator, net, optimizer, loader)
    whole, d = copied(net), optimizer.param_groups[0]["d"]
    again = prepared(tmp_path)
    again[0].load_state(str(tmp_path / "state"))
    assert not again[2].param_groups[0]["train_mode"]
    epoch(*again)
    assert same(copied(again[1]), whole)
    assert again[2].param_groups[0]["d"] == d


@pytest.mark.need(3)
def test_weights_are_exported_without_a_change_of_mode(tmp_path: Path) -> None:
    accelerator, net, optimizer, loader = prepared()
    epoch(accelerator, net, optimizer, loader)
    live = copied(net)
    with optimizer.optimizer.averaged():
        accelerator.save_model(net, str(tmp_path), safe_serialization=False)
    assert same(copied(net), live)
    saved = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    optimizer.eval()
    assert same(saved, copied(net))


def test_its_tracker_keeps_the_numbers(tmp_path: Path) -> None:
    accelerator, net, optimizer, loader = prepared(log_with="tensorboard", project_dir=tmp_path)
    accelerator.init_trackers("run")
    for step, batch in enumerate(loader):
        accelerator.backward(net(**batch)["loss"])
        optimizer.step()
        optimizer.zero_grad()
        accelerator.log(rates(optimizer), step=step)
    accelerator.end_training()
    found = EventAccumulator(str(tmp_path / "run"))
    found.Reload()
    assert len(found.Scalars("d")) == len(found.Scalars("dlr")) == 8


def test_tensorboard_json_and_a_bar_show_the_same_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    net = Net()
    groups = [
        {"params": list(net.layers[0].parameters()), "name": "first"},
        {"params": list(net.layers[2].parameters())},
    ]
    optimizer = ProdigyPlusScheduleFree(groups, d0=1e-3)
    writer = SummaryWriter(str(tmp_path / "tb"))
    expected: list[dict[str, float]] = []
    log = JsonLog(tmp_path / "log.jsonl")
    for step, batch in enumerate(progress(DataLoader(Points(), batch_size=8), optimizer, desc="training")):
        net(**batch)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(rates(optimizer))
        log.write(optimizer, step, loss=1.0)
        to_tensorboard(writer, optimizer, step)
    writer.close()
    names = {f"{group}/{name}" for group in ("first", "group 1") for name in ("d", "effective_lr", "dlr")}
    assert all(set(numbers) == names for numbers in expected)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": step, **numbers, "loss": 1.0} for step, numbers in enumerate(expected)]
    found = EventAccumulator(str(tmp_path / "tb"))
    found.Reload()
    tag = next(tag for tag in found.Tags()["scalars"] if tag.endswith("first/d"))
    narrow = [torch.tensor(numbers["first/d"]).item() for numbers in expected]  # it keeps float32
    assert [event.value for event in found.Scalars(tag)] == narrow
    bar = capsys.readouterr().err
    assert "training" in bar
    assert f"first/d={expected[-1]['first/d']:.2e}" in bar
