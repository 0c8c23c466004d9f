"""Optimizers with one fault each, of the kind that a single step does not show."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable
from typing import Any

import torch

from ppsf_fast import ProdigyPlusScheduleFree

Closure = Callable[[], Any]


class Kind(enum.Enum):
    """Something that no safe loader takes."""

    OURS = 1


class ForgetsZ(ProdigyPlusScheduleFree):
    """Copies have lost z."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for entries in self.state.values():
            entries.pop("z", None)


class CountsSkipped(ProdigyPlusScheduleFree):
    """A skipped step counts."""

    def step(self, closure: Closure | None = None) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None and group["lr"]]
        loss = super().step(closure)
        if not all(torch.isfinite(grad).all() for grad in grads):
            for group in self.param_groups:
                group["k"] += 1
        return loss


class RestartsD(ProdigyPlusScheduleFree):
    """Loading begins the estimate anew."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["d"] = group["d0"]


class AveragesTwice(ProdigyPlusScheduleFree):
    """eval() in eval mode averages once more."""

    def eval(self) -> ProdigyPlusScheduleFree:
        for group in self.param_groups:
            group["train_mode"] = True
        return super().eval()


class CastsState(ProdigyPlusScheduleFree):
    """Loading gives all state the dtype of the parameter."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for param, entries in self.state.items():
            for name, value in entries.items():
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    entries[name] = value.to(param.dtype)


class SharesStorage(ProdigyPlusScheduleFree):
    """A copy trains the parameters of the original."""

    def __deepcopy__(self, memo: dict[int, Any]) -> ProdigyPlusScheduleFree:
        return copy.copy(self)


class RemembersStorage(ProdigyPlusScheduleFree):
    """Weights are where they were in the first step."""

    def step(self, closure: Closure | None = None) -> Any:
        first = self.__dict__.setdefault("first_data", {})
        for group in self.param_groups:
            for param in group["params"]:
                param.data = first.setdefault(param, param.data)
        return super().step(closure)


class RemembersRate(ProdigyPlusScheduleFree):
    """The learning rate is that of the first step."""

    def step(self, closure: Closure | None = None) -> Any:
        first = self.__dict__.setdefault("first_rates", [group["lr"] for group in self.param_groups])
        now = [group["lr"] for group in self.param_groups]
        for group, lr in zip(self.param_groups, first, strict=False):
            group["lr"] = lr
        try:
            return super().step(closure)
        finally:
            for group, lr in zip(self.param_groups, now, strict=True):
                group["lr"] = lr


class AddsInTraining(ProdigyPlusScheduleFree):
    """A group that is added shows train mode, whatever the others show."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["train_mode"] = True


class StepsInEval(ProdigyPlusScheduleFree):
    """A step is possible in eval mode."""

    def step(self, closure: Closure | None = None) -> Any:
        modes = [group["train_mode"] for group in self.param_groups]
        for group in self.param_groups:
            group["train_mode"] = True
        loss = super().step(closure)
        for group, mode in zip(self.param_groups, modes, strict=True):
            group["train_mode"] = mode
        return loss


class CountsParameters(ProdigyPlusScheduleFree):
    """A fused step ends when as many parameters have come as there are."""

    def step_param(self, param: torch.Tensor, group: dict[str, Any] | None = None) -> None:
        super().step_param(param, group)
        calls = self.__dict__.get("calls", 0) + 1
        every = sum(len(group["params"]) for group in self.param_groups)
        if calls >= every:
            self._end_fused_step()
        self.__dict__["calls"] = calls % every


class ForgetsFused(ProdigyPlusScheduleFree):
    """A change of mode drops a fused step that has begun."""

    def train(self, mode: bool = True) -> ProdigyPlusScheduleFree:
        if any(group["train_mode"] != mode for group in self.param_groups):
            self._running = None
        return super().train(mode)


class CallsTwice(ProdigyPlusScheduleFree):
    """The closure is called twice."""

    def step(self, closure: Closure | None = None) -> Any:
        if closure is not None:
            with torch.enable_grad():
                closure()
        return super().step(closure)


class ForgetsFrozen(ProdigyPlusScheduleFree):
    """A frozen parameter loses its state."""

    def step(self, closure: Closure | None = None) -> Any:
        loss = super().step(closure)
        for param in [param for param in self.state if not param.requires_grad]:
            del self.state[param]
        return loss


class MissingIsZero(ProdigyPlusScheduleFree):
    """A missing gradient is taken for one of zeros."""

    def step(self, closure: Closure | None = None) -> Any:
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None and closure is None:
                    param.grad = torch.zeros_like(param)
        return super().step(closure)


class ForgetsMode(ProdigyPlusScheduleFree):
    """Loading always leaves train mode."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["train_mode"] = True


class AddsAfresh(ProdigyPlusScheduleFree):
    """A group that joins the pool shows another count than the pool."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1]["k"] = 1


class CannotBeLoaded(ProdigyPlusScheduleFree):
    """A saved state holds more than tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        found = super().state_dict()
        return {**found, "param_groups": [{**group, "kind": Kind.OURS} for group in found["param_groups"]]}


#: The clauses one of which a finding has to name; none where the fault shows in whatever comes next.
FAULTS: dict[type[ProdigyPlusScheduleFree], tuple[str, ...]] = {
    ForgetsZ: ("PPSF-L-005",),
    CountsSkipped: ("PPSF-L-004",),
    RestartsD: ("PPSF-L-005",),
    AveragesTwice: ("PPSF-L-003",),
    CastsState: ("PPSF-L-005",),
    SharesStorage: ("PPSF-L-005",),
    RemembersStorage: (),
    RemembersRate: (),
    AddsInTraining: ("PPSF-L-003", "PPSF-L-007"),
    StepsInEval: ("PPSF-X-004",),
    CountsParameters: (),
    ForgetsFused: (),
    CallsTwice: ("PPSF-L-006",),
    ForgetsFrozen: ("PPSF-G-001",),
    MissingIsZero: (),
    ForgetsMode: ("PPSF-L-005",),
    AddsAfresh: ("PPSF-L-007",),
    CannotBeLoaded: ("PPSF-L-005",),
}
