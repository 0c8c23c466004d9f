"""How much memory the state takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.parameter import is_lazy

from ppsf_fast import plan
from ppsf_fast.distributed.layout import local
from ppsf_fast.distributed.sharding import layout_of
from ppsf_fast.options import Group
from ppsf_fast.rule import Rule
from ppsf_fast.state import State, prepare, release


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of the state of an optimizer; of sharded parameters those of the pieces that are here.

    Attributes:
        by_kind: the bytes of each array that the state keeps, over all parameters, by its name in the state.
        after_window: the same once `prodigy_steps` are over; equal to `by_kind` where the window has no end.
        parameters: number of weights that are counted.

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> weight = torch.nn.Parameter(torch.zeros(64, 64))
        >>> memory = ProdigyPlusScheduleFree([weight], prodigy_steps=100).memory()
        >>> memory.by_kind["z"]  # float32, as the weights
        16384
        >>> memory.total > memory.total_after_window
        True
    """

    by_kind: Mapping[str, int]
    after_window: Mapping[str, int]
    parameters: int

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.by_kind.values())

    @property
    def total_after_window(self) -> int:
        """All bytes once the estimate does not adapt any more."""
        return sum(self.after_window.values())


def memory_of(groups: Sequence[Group], rules: Sequence[Rule], states: Mapping[Tensor, State]) -> Memory:
    """What the state takes once each parameter has taken part in two steps under the present options."""
    during: Counter[str] = Counter()
    after: Counter[str] = Counter()
    parameters = 0
    for group, rule in zip(groups, rules, strict=True):
        for param in group["params"]:
            if not param.requires_grad and param not in states:
                continue
            if is_lazy(param):
                raise ValueError(
                    "a lazy parameter has no shape yet, so that nobody knows what its state takes: allowed are "
                    "parameters that are initialized. Run the model once before."
                )
            state = _foreseen(param, rule, plan.may_adapt(group, rule), states.get(param, {}))
            parameters += local(param).numel()
            during.update(_bytes(state))
            if rule.prodigy_steps:
                release(state)
            after.update(_bytes(state))
    return Memory(dict(during), dict(after), parameters)


def _foreseen(param: Tensor, rule: Rule, adapts: bool, present: State) -> State:
    """The state that steps make of the present one, on the device without memory."""
    shape, state, layout = param.detach().to("meta"), dict(present), layout_of(param, "a parameter")
    # Under ADOPT the first step creates less than the second one.
    for _ in range(2):
        prepare(state, shape, rule, adapts, layout)
    return state


def _bytes(state: State) -> dict[str, int]:
    return {name: local(value).nbytes for name, value in state.items() if isinstance(value, Tensor)}
