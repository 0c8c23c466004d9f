"""The Trainer of transformers with the callback of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import Trainer, TrainingArguments

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.trainers import AdviceWarning
from ppsf_fast.trainers.huggingface import ScheduleFreeCallback, attach
from tests.trainers.integrations.helpers import Net, Points, copied, same

pytestmark = [
    pytest.mark.xdist_group("integrations"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def trainer_for(folder: Path, *, cls: Any = ProdigyPlusScheduleFree, callback: bool = True, **given: Any) -> Trainer:
    """A Trainer of 8 steps in an epoch, of which two micro-batches make one."""
    net = Net()
    settings = {
        "output_dir": str(folder), "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "num_train_epochs": 2, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "report_to": "none",
        "use_cpu": True, "disable_tqdm": True, "logging_steps": 2, "save_strategy": "no", "seed": 0,
    }  # fmt: skip
    made = Trainer(
        model=net,
        args=TrainingArguments(**{**settings, **given}),
        train_dataset=Points(),
        eval_dataset=Points(16, seed=1),
        optimizers=(cls(net.parameters(), d0=1e-3), None),
    )
    if callback:
        attach(made)
    return made


def inner(trainer: Trainer) -> Any:
    return getattr(trainer.optimizer, "optimizer", trainer.optimizer)


def test_it_learns_and_ends_in_eval_mode(tmp_path: Path) -> None:
    trainer = trainer_for(tmp_path, num_train_epochs=12)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert not inner(trainer).param_groups[0]["train_mode"]
    assert inner(trainer).param_groups[0]["k"] == 12 * 8 + 1
    assert trainer.evaluate()["eval_loss"] < before / 10


@pytest.mark.parametrize("how", ["steps", "epoch"])
def test_a_checkpoint_holds_the_average_without_an_evaluation_before(tmp_path: Path, how: str) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    class Watching(ScheduleFreeCallback):
        def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            optimizer = getattr(given["optimizer"], "optimizer", given["optimizer"])
            seen.append({"mode": optimizer.param_groups[0]["train_mode"], **copied(given["model"])})

    trainer = trainer_for(tmp_path, save_strategy=how, save_steps=8)
    trainer.add_callback(Watching())
    trainer.train()
    saved = load_file(tmp_path / "checkpoint-8" / "model.safetensors")
    mode = seen[0].pop("mode")
    assert not mode
    assert same(saved, seen[0])
    state = torch.load(tmp_path / "checkpoint-8" / "optimizer.pt", weights_only=True)
    assert not state["param_groups"][0]["train_mode"]


def test_without_the_callback_a_checkpoint_holds_the_weights_of_training(tmp_path: Path) -> None:
    """So that the callback is needed at all."""
    trainer = trainer_for(tmp_path, save_strategy="steps", save_steps=8, callback=False)
    trainer.train()
    state = torch.load(tmp_path / "checkpoint-8" / "optimizer.pt", weights_only=True)
    assert state["param_groups"][0]["train_mode"]


def test_an_interrupted_run_goes_on_as_one_that_was_not(tmp_path: Path) -> None:
    whole = trainer_for(tmp_path / "whole", save_strategy="steps", save_steps=6)
    whole.train()
    # The same checkpoints: each takes the average out and in again, which may move the last bit (PPSF-Z-005).
    rest = trainer_for(tmp_path / "rest", save_strategy="steps", save_steps=6)
    rest.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-6"))
    assert same(copied(rest.model), copied(whole.model))
    assert inner(rest).param_groups[0]["d"] == inner(whole).param_groups[0]["d"] > 1e-3


def test_evaluations_see_the_average_and_training_goes_on(tmp_path: Path) -> None:
    modes: list[bool] = []

    class Seeing(ScheduleFreeCallback):
        def on_evaluate(self, *_: Any, optimizer: Any, **__: Any) -> None:
            modes.append(optimizer.param_groups[0]["train_mode"])

        def on_pre_optimizer_step(self, *_: Any, optimizer: Any, **__: Any) -> None:
            modes.append(optimizer.param_groups[0]["train_mode"])

    trainer = trainer_for(tmp_path, eval_strategy="steps", eval_steps=4)
    trainer.add_callback(Seeing())
    trainer.train()
    assert modes == [True, True, True, True, False] * 4


def test_the_best_checkpoint_that_is_loaded_at_the_end_stays_as_it_was_saved(tmp_path: Path) -> None:
    both = {"save_strategy": "steps", "save_steps": 5, "eval_strategy": "steps", "eval_steps": 5}
    trainer = trainer_for(tmp_path, load_best_model_at_end=True, max_steps=13, **both)
    trainer.train()
    best = Path(trainer.state.best_model_checkpoint)
    assert same(copied(trainer.model), load_file(best / "model.safetensors"))
    trainer.save_model(str(tmp_path / "out"))
    assert same(load_file(tmp_path / "out" / "model.safetensors"), load_file(best / "model.safetensors"))


def test_logs_history_and_tensorboard_have_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "tb"))
    trainer = trainer_for(tmp_path, report_to="tensorboard")
    trainer.train()
    lines = [line for line in trainer.state.log_history if "loss" in line]
    assert len(lines) == 8
    assert all(type(line[name]) is float for line in lines for name in ("d", "effective_lr", "dlr"))
    assert lines[-1]["d"] == inner(trainer).param_groups[0]["d"] > lines[0]["d"]
    found = EventAccumulator(str(tmp_path / "tb"))
    found.Reload()
    points = found.Scalars("train/d")
    assert [point.step for point in points] == [line["step"] for line in lines]


def test_a_class_without_modes_is_served_too(tmp_path: Path) -> None:
    trainer = trainer_for(tmp_path, cls=Prodigy, save_strategy="epoch")
    trainer.train()
    assert inner(trainer).param_groups[0]["train_mode"]


def test_the_trainer_makes_the_optimizer_from_class_and_options(tmp_path: Path) -> None:
    net = Net()
    args = TrainingArguments(
        output_dir=str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True, max_steps=4, save_strategy="no",
        max_grad_norm=0.0, lr_scheduler_type="constant",
    )  # fmt: skip
    made = Trainer(
        model=net,
        args=args,
        train_dataset=Points(),
        optimizer_cls_and_kwargs=(ProdigyPlusScheduleFree, {"lr": 1.0, "d0": 1e-3}),
        callbacks=[ScheduleFreeCallback()],
    )
    made.train()
    groups = inner(made).param_groups
    assert [group["k"] for group in groups] == [5, 5]  # with and without decay


def test_the_defaults_of_the_trainer_are_warned_of(tmp_path: Path) -> None:
    defaults = {"max_grad_norm": 1.0, "lr_scheduler_type": "linear", "warmup_steps": 2, "max_steps": 4}
    trainer = trainer_for(tmp_path, **defaults)
    with pytest.warns(AdviceWarning) as caught:
        trainer.train()
    text = " ".join(str(each.message) for each in caught)
    assert all(f"[{rule}" in text for rule in ("clipping-outside", "schedule-and-average"))
    silent = trainer_for(tmp_path, callback=False, **defaults)
    attach(silent, advise=False)
    silent.train()
