"""Lightning: the mode is right where weights are evaluated or saved, and logs show the estimate."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ppsf_fast.base import RevisedOptimizer
from ppsf_fast.trainers.advice import check
from ppsf_fast.trainers.watching import rates


class ScheduleFreeCallback(Callback):  # type: ignore[misc]
    """Validation, tests, predictions, checkpoints and the trained model hold the averages; logs and bar show `d`.

    Checkpoints of ModelCheckpoint are written in eval mode. So are those of `trainer.save_checkpoint()` in the midst of
    training, though the mode stays; with `weights_only=True` Lightning does not ask callbacks: call
    `optimizer.eval()` yourself.

    Args:
        log: whether to log :func:`~ppsf_fast.trainers.rates`, also on the progress bar.
        advise: whether to :func:`~ppsf_fast.trainers.check` the settings of the trainer when training begins.
    """

    def __init__(self, log: bool = True, advise: bool = True) -> None:
        self._log, self._advise = log, advise

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Warn of pitfalls."""
        for optimizer in trainer.optimizers if self._advise else ():
            schedulers = [
                each.scheduler for each in trainer.lr_scheduler_configs if each.scheduler.optimizer is optimizer
            ]
            check(
                optimizer,
                scheduler=schedulers[0] if schedulers else None,
                max_grad_norm=trainer.gradient_clip_val,
                accumulation_steps=trainer.accumulate_grad_batches,
            )

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Costs nothing in train mode."""
        _switch(trainer, "train")

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log; and before a checkpoint that is due by the number of the step, eval mode."""
        if self._log:
            module.log_dict(_logged(trainer), prog_bar=True, on_step=True, on_epoch=False)
        every = [getattr(callback, "_every_n_train_steps", 0) for callback in trainer.checkpoint_callbacks]
        if any(steps >= 1 and trainer.global_step % steps == 0 for steps in every):
            _switch(trainer, "eval")

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Checkpoints of an epoch are written after this."""
        _switch(trainer, "eval")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """What is saved after training is the average."""
        _switch(trainer, "eval")

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Checkpoints of ModelCheckpoint follow a validation in this mode too."""
        _switch(trainer, "eval")

    def on_test_start(self, trainer: Trainer, module: LightningModule) -> None:
        """As before a validation."""
        _switch(trainer, "eval")

    def on_predict_start(self, trainer: Trainer, module: LightningModule) -> None:
        """As before a validation."""
        _switch(trainer, "eval")

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """A checkpoint that is written in train mode gets the averages, and says so to who loads it."""
        for wrapped, state in zip(trainer.optimizers, checkpoint.get("optimizer_states", ()), strict=False):
            optimizer = _inner(wrapped)
            if isinstance(optimizer, RevisedOptimizer) and _differs(optimizer):
                averages = optimizer.averaged_state_dict(module)
                mine = {name for name, param in module.named_parameters() if param in optimizer.state}
                checkpoint["state_dict"].update({name: averages[name] for name in mine & averages.keys()})
                for group in state["param_groups"]:
                    group["train_mode"] = False


def _logged(trainer: Trainer) -> dict[str, float]:
    """The numbers of all optimizers, with their place before the name where there are several."""
    several = len(trainer.optimizers) > 1
    return {
        f"optimizer {place}/{name}" if several else name: value
        for place, optimizer in enumerate(trainer.optimizers)
        for name, value in rates(optimizer).items()
    }


def _inner(optimizer: Any) -> Any:
    """The optimizer in Lightning's wrapper; trainers hold it bare as a rule."""
    return getattr(optimizer, "optimizer", optimizer)


def _differs(optimizer: RevisedOptimizer) -> bool:
    """Whether the weights are those of training, and the averages others."""
    return optimizer.param_groups[0]["train_mode"] and any("z" in state for state in optimizer.state.values())


def _switch(trainer: Trainer, mode: str) -> None:
    for optimizer in map(_inner, trainer.optimizers):
        if isinstance(optimizer, RevisedOptimizer):
            getattr(optimizer, mode)()
