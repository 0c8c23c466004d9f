"""Lightning with the callback of this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree, fuse_backward
from ppsf_fast.trainers import AdviceWarning
from ppsf_fast.trainers.lightning import ScheduleFreeCallback
from tests.trainers.integrations.helpers import Net, Points, copied, same

pytestmark = [
    pytest.mark.xdist_group("integrations"),
    # Lightning advises on loaders and loggers, and uses what torch has deprecated.
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("error::ppsf_fast.trainers.AdviceWarning"),
]


class Module(pl.LightningModule):
    """Keeps in which mode each batch found the optimizer."""

    def __init__(self, cls: Any = ProdigyPlusScheduleFree) -> None:
        super().__init__()
        self.net, self.cls = Net(), cls
        self.modes: list[tuple[str, bool]] = []

    def configure_optimizers(self) -> Any:
        return self.cls(self.net.parameters(), d0=1e-3)

    def _note(self, what: str) -> None:
        self.modes.append((what, self.trainer.optimizers[0].param_groups[0]["train_mode"]))

    def training_step(self, batch: Any, _: int) -> Any:
        self._note("training")
        return self.net(**batch)["loss"]

    def validation_step(self, batch: Any, _: int) -> None:
        self._note("validation")
        self.log("val_loss", self.net(**batch)["loss"])


def trainer_for(folder: Path, *callbacks: Any, **given: Any) -> pl.Trainer:
    settings: dict[str, Any] = {
        "default_root_dir": str(folder), "max_epochs": 2, "accelerator": "cpu", "devices": 1, "logger": False,
        "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1,
    }  # fmt: skip
    if not any(isinstance(callback, ModelCheckpoint) for callback in callbacks):
        settings["enable_checkpointing"] = False
    return pl.Trainer(callbacks=[ScheduleFreeCallback(), *callbacks], **{**settings, **given})


def loaders() -> dict[str, Any]:
    return {
        "train_dataloaders": DataLoader(Points(), batch_size=8),
        "val_dataloaders": DataLoader(Points(16, seed=1), batch_size=8),
    }


def test_each_batch_finds_its_mode_and_training_ends_in_eval_mode(tmp_path: Path) -> None:
    module, trainer = Module(), trainer_for(tmp_path, max_epochs=12)
    trainer.fit(module, **loaders())
    assert set(module.modes[2:]) == {("training", True), ("validation", False)}
    optimizer = trainer.optimizers[0]
    assert (optimizer.param_groups[0]["k"], optimizer.param_groups[0]["train_mode"]) == (12 * 8 + 1, False)
    assert trainer.callback_metrics["val_loss"] < 1


SAVES = {
    "epoch": {"save_on_train_epoch_end": True},
    "validation": {"monitor": "val_loss"},
    "steps": {"every_n_train_steps": 5},
}


@pytest.mark.need(3)
@pytest.mark.parametrize("how", SAVES)
def test_checkpoints_hold_the_average(tmp_path: Path, how: str) -> None:
    module = Module()
    keeping = ModelCheckpoint(dirpath=tmp_path, filename="{step}", save_top_k=-1, **SAVES[how])
    trainer = trainer_for(tmp_path, keeping)
    trainer.fit(module, **loaders())
    files = sorted(tmp_path.glob("step=*.ckpt"))
    assert files
    for file in files:
        saved = torch.load(file, weights_only=True)
        (state,) = saved["optimizer_states"]
        assert not state["param_groups"][0]["train_mode"]
        again = Module()
        again.load_state_dict(saved["state_dict"])
        optimizer = ProdigyPlusScheduleFree(again.net.parameters(), d0=1e-3)
        optimizer.load_state_dict(state)
        before = copied(again)
        optimizer.eval()
        assert same(copied(again), before)
        optimizer.train()
        assert not same(copied(again), before)


def test_weights_saved_by_the_step_are_the_average(tmp_path: Path) -> None:
    """Without the rest of a checkpoint: equal to those of a whole one of the same step."""
    for weights_only in (False, True):
        folder = tmp_path / str(weights_only)
        keeping = ModelCheckpoint(
            dirpath=folder, filename="{step}", every_n_train_steps=5, save_weights_only=weights_only
        )
        trainer_for(folder, keeping, max_steps=5).fit(Module(), **loaders())
    whole, weights = (torch.load(tmp_path / str(each) / "step=5.ckpt", weights_only=True) for each in (False, True))
    assert "optimizer_states" not in weights
    assert same(whole["state_dict"], weights["state_dict"])


@pytest.mark.parametrize("cls", [ProdigyPlusScheduleFree, Prodigy])
def test_a_checkpoint_in_the_midst_of_training_holds_the_average_and_changes_nothing(tmp_path: Path, cls: Any) -> None:
    class Saving(pl.Callback):
        seen: Any = None

        def on_before_zero_grad(self, trainer: Any, module: Any, optimizer: Any) -> None:
            if trainer.global_step == 4 and self.seen is None:
                live, mode = copied(module), optimizer.param_groups[0]["train_mode"]
                trainer.save_checkpoint(tmp_path / "hand.ckpt")
                self.seen = same(copied(module), live) and optimizer.param_groups[0]["train_mode"] == mode
                self.averages = optimizer.averaged_state_dict(module)

    saving = Saving()
    trainer_for(tmp_path, saving).fit(Module(cls), **loaders())
    assert saving.seen
    saved = torch.load(tmp_path / "hand.ckpt", weights_only=True)
    assert same(saved["state_dict"], saving.averages)
    assert saved["optimizer_states"][0]["param_groups"][0]["train_mode"] == (cls is Prodigy)


@pytest.mark.need(1)
def test_an_interrupted_run_goes_on_as_one_that_was_not(tmp_path: Path) -> None:
    def keeping(name: str) -> ModelCheckpoint:
        return ModelCheckpoint(dirpath=tmp_path / name, filename="{step}", every_n_train_steps=8, save_top_k=-1)

    whole, rest = Module(), Module()
    one = trainer_for(tmp_path, keeping("whole"))
    one.fit(whole, **loaders())
    other = trainer_for(tmp_path, keeping("rest"))
    other.fit(rest, ckpt_path=tmp_path / "whole" / "step=8.ckpt", **loaders())
    assert same(copied(rest), copied(whole))
    assert other.optimizers[0].param_groups[0]["d"] == one.optimizers[0].param_groups[0]["d"] > 1e-3


def test_logs_and_the_progress_bar_have_the_numbers(tmp_path: Path) -> None:
    bars: list[set[str]] = []

    class Reading(pl.Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            bars.append(set(trainer.progress_bar_metrics))

    trainer = trainer_for(tmp_path, Reading(), logger=CSVLogger(tmp_path, name="log"))
    trainer.fit(Module(), **loaders())
    assert all(bar >= {"d", "effective_lr", "dlr"} for bar in bars)
    head, *lines = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    column = head.split(",").index("d")
    logged = [float(line.split(",")[column]) for line in lines if line.split(",")[column]]
    assert len(logged) == 16
    assert logged[-1] == torch.tensor(trainer.optimizers[0].param_groups[0]["d"]).item()  # it logs in float32


def test_several_optimizers_are_told_apart(tmp_path: Path) -> None:
    class Two(Module):
        automatic_optimization = False

        def configure_optimizers(self) -> Any:
            first, second = self.net.layers[0], self.net.layers[2]
            return [ProdigyPlusScheduleFree(first.parameters()), torch.optim.Adam(second.parameters())]

        def training_step(self, batch: Any, _: int) -> None:
            self.manual_backward(self.net(**batch)["loss"])
            for optimizer in self.optimizers():
                optimizer.step()
                optimizer.zero_grad()

        def validation_step(self, batch: Any, _: int) -> None: ...

    trainer = trainer_for(tmp_path, logger=CSVLogger(tmp_path, name="log"))
    trainer.fit(Two(), DataLoader(Points(), batch_size=8))
    head = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"optimizer 0/d", "optimizer 0/dlr", "optimizer 1/dlr"} <= set(head)
    assert "optimizer 1/d" not in head
    assert [optimizer.param_groups[0].get("train_mode") for optimizer in trainer.optimizers] == [False, None]


class Manual(Module):
    """Steps by itself, inside the backward pass if hooks are to be put on something."""

    automatic_optimization = False

    def __init__(self, hooked: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.hooked = hooked

    def configure_optimizers(self) -> Any:
        return ProdigyPlusScheduleFree(self.net.parameters(), d0=1e-3, fused_back_pass=self.hooked is not None)

    def on_train_start(self) -> None:
        self.hooks = self.hooked and fuse_backward(self.hooked(self.optimizers()))

    def training_step(self, batch: Any, _: int) -> None:
        self.manual_backward(self.net(**batch)["loss"])
        optimizer: Any = self.optimizers()
        optimizer.step()
        optimizer.zero_grad()

    def validation_step(self, batch: Any, _: int) -> None: ...


def test_hooks_are_for_the_optimizer_inside_its_wrapper(tmp_path: Path) -> None:
    """What runs in the wrapper, step() does not end: d came a step late, and the last one was not in what was saved."""
    trainers = []
    for hooked in (None, lambda wrapper: wrapper.optimizer):
        trainers.append(trainer_for(tmp_path))
        trainers[-1].fit(Manual(hooked), DataLoader(Points(), batch_size=8))
    plain, fused = (trainer.optimizers[0].metrics() for trainer in trainers)
    assert plain == fused
    with pytest.raises(RuntimeError, match=r"called on a wrapper.*\.optimizer in Lightning"):
        trainer_for(tmp_path).fit(Manual(lambda wrapper: wrapper), DataLoader(Points(), batch_size=8))


def test_clipping_and_a_schedule_are_warned_of(tmp_path: Path) -> None:
    class Scheduled(Module):
        def configure_optimizers(self) -> Any:
            optimizer = super().configure_optimizers()
            return [optimizer], [torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2)]

    trainer = trainer_for(tmp_path, gradient_clip_val=0.5, max_epochs=1)
    with pytest.warns(AdviceWarning) as caught:
        trainer.fit(Scheduled(), **loaders())
    text = " ".join(str(each.message) for each in caught)
    assert all(f"[{rule}" in text for rule in ("clipping-outside", "schedule-and-average"))
