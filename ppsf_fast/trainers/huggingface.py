"""The Trainer of transformers: the mode is right where weights are evaluated or saved, and logs show the estimate.

The Trainer itself calls `train()` in each training step and `eval()` before an evaluation, but nothing before a
checkpoint: without a callback that holds the weights of training, unless an evaluation has gone before.
"""

from __future__ import annotations

from typing import Any

from transformers import DefaultFlowCallback, Trainer, TrainerCallback

from ppsf_fast.trainers.advice import check
from ppsf_fast.trainers.watching import rates


class ScheduleFreeCallback(TrainerCallback):  # type: ignore[misc]
    """Evaluations, checkpoints and the trained model hold the averages; `d` and the step size are in the logs.

    Given to the Trainer as a callback it comes after those that report to TensorBoard and others, so that these do not
    see the numbers; the progress bar and `state.log_history` do. :func:`attach` puts it before them.

    Args:
        log: whether to add :func:`~ppsf_fast.trainers.rates` to what is logged in training.
        advise: whether to :func:`~ppsf_fast.trainers.check` the settings of the Trainer when training begins. Its own
            defaults clip gradients and lower the learning rate, of which this warns.
    """

    def __init__(self, log: bool = True, advise: bool = True) -> None:
        self._log, self._advise = log, advise

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, lr_scheduler: Any = None, **_: Any
    ) -> None:
        """Warn of pitfalls."""
        if self._advise and optimizer is not None:
            check(
                optimizer,
                scheduler=lr_scheduler,
                max_grad_norm=args.max_grad_norm,
                warmup_steps=args.get_warmup_steps(state.max_steps),
                total_steps=state.max_steps,
                accumulation_steps=args.gradient_accumulation_steps,
            )

    def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """The Trainer does so itself in releases since 4.46."""
        _switch(optimizer, "train")

    def on_step_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Before a checkpoint or an evaluation that the Trainer has decided upon."""
        if control.should_save or control.should_evaluate:
            _switch(optimizer, "eval")

    def on_epoch_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """At each end of an epoch: the last one is also before the best checkpoint is loaded, which holds averages."""
        _switch(optimizer, "eval")

    def on_train_end(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """What is saved after training is the average."""
        _switch(optimizer, "eval")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, optimizer: Any = None, **_: Any) -> None:
        """Add the numbers to the logs of training, and to the history."""
        if self._log and optimizer is not None and logs is not None and "loss" in logs:
            logs.update(rates(optimizer))
            state.log_history[-1].update(rates(optimizer))


def _switch(optimizer: Any, mode: str) -> None:
    switch = getattr(optimizer, mode, None)
    if switch is not None:
        switch()


def attach(trainer: Trainer, log: bool = True, advise: bool = True) -> ScheduleFreeCallback:
    """Give a Trainer the callback, before those that report, so that TensorBoard and others see the numbers."""
    callback, others = ScheduleFreeCallback(log, advise), trainer.callback_handler.callbacks
    deciding = [place for place, other in enumerate(others) if isinstance(other, DefaultFlowCallback)]
    others.insert(deciding[-1] + 1 if deciding else 0, callback)  # behind the one that decides when to save
    return callback
