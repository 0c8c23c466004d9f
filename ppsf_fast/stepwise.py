"""A fused step as callers see it: parameters are moved one by one, and `step()` ends it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from ppsf_fast.core import Core
from ppsf_fast.fused import FusedStep
from ppsf_fast.options import Group, option_of
from ppsf_fast.precision import ordinary
from ppsf_fast.rule import Rule
from ppsf_fast.scaling import Scaling


class Stepwise(Core):
    """The part of an optimizer that moves single parameters."""

    def supports_fused_back_pass(self) -> bool:
        """Whether the option `fused_back_pass` exists."""
        return "fused_back_pass" in self._revision.options

    @property
    def supports_memory_efficient_fp16(self) -> bool:
        """Whether fairseq may do without its float32 copies of float16 weights; no, as in the package replaced."""
        return False

    @property
    def supports_flat_params(self) -> bool:
        """Whether parameters may be laid into one vector, as fairseq asks. They may; nothing is factored then."""
        return True

    @property
    def is_fused(self) -> bool:
        """Whether parameters are left to :meth:`step_param`."""
        return any(option_of(group, "fused_back_pass", self._revision) for group in self.param_groups)

    def follow(self, added: Callable[[list[Tensor]], None]) -> None:
        """Call `added` with the parameters of each group that is added from now on; copies are not followed."""
        self._followers.append(added)

    def unfollow(self, added: Callable[[list[Tensor]], None]) -> None:
        """Undo :meth:`follow`; does nothing if `added` does not follow."""
        self._followers = [each for each in self._followers if each != added]

    def before_end(self, call: Callable[[], None]) -> None:
        """Call `call` in each :meth:`step` before it ends the fused step; copies do not."""
        self._finishers.append(call)

    def not_before_end(self, call: Callable[[], None]) -> None:
        """Undo :meth:`before_end`; does nothing if `call` is not called."""
        self._finishers = [each for each in self._finishers if each != call]

    @_disable_dynamo
    @torch.no_grad()
    def step_param(self, param: Tensor, group: Group | None = None) -> None:
        """Move one parameter now, as a part of a fused step; its gradient may be freed afterwards.

        The first call begins a step. :meth:`step` ends it, and so does the second call for a parameter, which begins
        the next one. Gradients have to be complete: a second call is never taken for more of the same gradient.

        Args:
            param: one of the optimizer's parameters. Without a gradient it is passed by.
            group: not used; trainers give it.

        Raises:
            RuntimeError: `fused_back_pass` is False, or the optimizer is in eval mode (PPSF-X-020), or it is a wrapper.
            ValueError: it is none of the parameters (PPSF-X-020); a learning rate (PPSF-X-002) or groups (PPSF-X-003).
            TypeError: a gradient (PPSF-X-005) or a parameter (PPSF-X-006) is not allowed. Nothing has changed then.
        """
        self._check_alone()
        with self._turn, ordinary():
            running = self._running
            if running is None or param not in running or running.has_seen(param):
                self._begin_fused_step(param)
            elif (item := running.item(param)) is not None:
                running.take(item, Scaling.of(self))

    def step_parameter(self, param: Tensor, group: Group | None = None, index: int | None = None) -> None:
        """The same as :meth:`step_param`; `index` is not used either."""
        self.step_param(param, group)

    def _check_alone(self) -> None:
        # clause: PPSF-X-020 e5c3628d
        if not self.is_fused:
            raise RuntimeError(
                "step_param() was called without fused_back_pass=True: step() would move the parameter once more. Give "
                "fused_back_pass=True to the constructor, set it in all groups if a loaded state has brought False, or "
                "leave all to step()."
            )
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "step_param() was called in eval mode, where the weights are the averages: steps are allowed in "
                "train mode only. Call train() before training goes on."
            )
        # Lightning's passes for an instance of what it wraps, and keeps to itself what a method sets.
        if "param_groups" not in vars(self):
            raise RuntimeError(
                "step_param() was called on a wrapper, and step() of the optimizer inside would not know: allowed "
                "is that optimizer. Take it from the wrapper, for example as self.optimizers().optimizer in Lightning."
            )

    def _begin_fused_step(self, param: Tensor) -> None:
        """End the step that runs and begin the next one with a parameter, if that takes part."""
        rules = self._check_ready()
        waiting = self._still_waiting(param, rules)
        fresh = self._fresh(rules) if waiting is None else waiting
        if param not in fresh:
            raise ValueError(
                f"step_param() was given a tensor of shape {tuple(param.shape)} that is none of the optimizer's "
                "parameters: allowed are those of its groups. Add it with add_param_group()."
            )
        item = fresh.item(param)
        if item is None:
            self._waiting = fresh
            return
        if waiting is not None:  # the others may have been replaced meanwhile
            fresh = self._fresh(rules)
        self._is_edited()
        self._end_fused_step()
        self._drop_ahead()
        self._settle(wait=False)
        fresh.begin(param.device)
        self._running = fresh
        fresh.take(item, Scaling.of(self))

    def _still_waiting(self, param: Tensor, rules: list[Rule]) -> FusedStep | None:
        """The fused step that was made for a parameter that took no part, if it can tell of this one too."""
        waiting = self._waiting
        holds = waiting is not None and waiting.is_still_of(rules) and waiting.has_in_place(param)
        return waiting if holds else None

    def _fresh(self, rules: list[Rule]) -> FusedStep:
        """A fused step that has not begun."""
        if self._team(rules) is not None:
            raise RuntimeError(
                "step_param() was called with parameters on several processes, and each of them would have to ask the "
                "others in the middle of the backward pass: allowed are parameters of one process, and replicas. Leave "
                "fused_back_pass out and call step()."
            )
        return FusedStep(self.param_groups, rules, self.state, self._ledger, self._compiles)

    def _refuse_scaled(self) -> None:
        """A scale that comes after the parameters have moved comes too late."""
        # clause: PPSF-L-012 5cabe394
        running = self._running
        if running is not None and not running.is_unscaled and getattr(self, "grad_scale", None) is not None:
            raise RuntimeError(
                "step() was given grad_scale, as a GradScaler does, but with fused_back_pass=True the parameters have "
                "moved already, by gradients that nobody has unscaled. Unscale each gradient before step_param(), set "
                "optimizer.grad_scale before the backward pass, or leave fused_back_pass out."
            )

    def _warn_if_idle(self) -> None:
        """Training would stand still, and nothing else would say so."""
        taking_part = [group for group in self.param_groups if group["lr"] > 0]
        params = chain.from_iterable(group["params"] for group in taking_part)
        if self._running is None and any(param.grad is not None for param in params):
            warnings.warn(
                "step() with fused_back_pass=True moves nothing, and no parameter was given to step_param(), though "
                "there are gradients. Install hooks with ppsf_fast.fuse_backward(), or leave fused_back_pass out; if a "
                "loaded state has brought it, set it to False in all groups.",
                stacklevel=3,
            )
