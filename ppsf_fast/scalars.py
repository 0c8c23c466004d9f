"""The scalars that a step changes: tensors on the device, and Python floats in the groups that follow them.

The tensors are what a step computes with, so that no step waits for the device. The floats in the groups are
what people and trainers read, edit, save and load. A value that differs from the one last agreed upon was
edited and goes up to the device before the next step; what a step changed comes down after it: at once on a
CPU, else by an asynchronous copy that is written into the groups once it has arrived.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import torch
from torch import Tensor

from ppsf_fast import capture
from ppsf_fast.numerics import wide_dtype
from ppsf_fast.options import Group
from ppsf_fast.revisions import Revision
from ppsf_fast.rule import Rule
from ppsf_fast.schedules import factor_on_host

_OF_GROUP = ("weight_sum", "lr_max")
#: Whole numbers; the last two belong to the built-in decay.
_COUNTS = ("k", "stalled", "peak")
FIRST_STEP = 1
#: What nobody has agreed upon yet; None is a value.
_NEVER = object()


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the scalars that a pool and a group store."""

    pool: tuple[str, ...]
    group: tuple[str, ...]

    @staticmethod
    def of(revision: Revision) -> Names:
        """Those of a revision."""
        counts = _COUNTS if "cosine_decay" in revision.options else _COUNTS[:1]
        pool = tuple(name for name in revision.scalars if name not in _OF_GROUP)
        return Names(pool + counts, tuple(name for name in _OF_GROUP if name in revision.scalars))

    @property
    def all(self) -> tuple[str, ...]:
        """Both together."""
        return self.pool + self.group


def initial_scalars(rule: Rule) -> dict[str, Any]:
    """The scalars of a pool and a group that have not taken part in a step yet."""
    decays_at_once = rule.cosine_decay and rule.peak_patience == 0
    # clause: PPSF-L-002 48ce2f26
    first: dict[str, Any] = {"d": rule.d0, "d_prev": rule.d0, "d_max": rule.d0, "k": FIRST_STEP, "stalled": 0}
    first["peak"] = 0 if decays_at_once else None
    return {name: first.get(name, 0.0) for name in Names.of(rule.revision).all}


def is_count(name: str) -> bool:
    """Whether a scalar is a whole number."""
    return name in _COUNTS


def _to_device(value: Any) -> Any:
    """None is no number: a peak that is not there yet is -1 on the device."""
    return -1 if value is None else value


def _from_device(name: str, value: float) -> Any:
    if name == "peak" and value < 0:
        return None
    return int(value) if name in _COUNTS else value


@dataclass(slots=True)
class Scalars:
    """The scalars of one pool or of one group.

    Attributes:
        names: which ones.
        members: indices of the groups that show these scalars.
        tensors: on the device, 0-d; counts are int64, the others float64 (float32 on mps).
        agreed: the values that groups and device last agreed upon.
    """

    names: tuple[str, ...]
    members: tuple[int, ...] = ()
    tensors: dict[str, Tensor] = field(default_factory=dict)
    agreed: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> torch.device | None:
        """Where the tensors are; None before the first upload."""
        return next((tensor.device for tensor in self.tensors.values()), None)

    def differs(self, groups: Sequence[Group]) -> bool:
        """Whether a group shows another value than the one last agreed upon; groups may have come or gone."""
        mine = [groups[member] for member in self.members if member < len(groups)]
        agreed = self.agreed
        return any(group[name] != agreed.get(name, _NEVER) for group in mine for name in self.names)

    def upload(self, groups: Sequence[Group], device: torch.device) -> None:
        """Bring the tensors to `device`, and with them every value that was edited in a group.

        Args:
            groups: all groups of the optimizer.
            device: where the coming step needs the scalars.
        """
        mine = [groups[member] for member in self.members]
        for name in self.names:
            edits = [group[name] for group in mine if group[name] != self.agreed.get(name, _NEVER)]
            there = self.tensors.get(name)
            if there is not None and there.device != device:
                there = self.tensors[name] = there.to(device)
            if edits or there is None:
                value = edits[0] if edits else self.agreed[name]
                self._write(name, value, there, device)
                self.show(groups, name, value)

    def _write(self, name: str, value: Any, there: Tensor | None, device: torch.device) -> None:
        """Bring a value to the device: to the place where it has been, if it has one."""
        if capture.capturing(device):
            raise RuntimeError(
                f"a graph captures step(), and {name} comes from the host, which each replay would repeat: "
                "allowed is a step whose state is on the device. Make a few ordinary steps first, and edit no group "
                "before the capture."
            )
        if there is not None:
            there.fill_(_to_device(value))
            return
        dtype = torch.int64 if name in _COUNTS else wide_dtype(device)
        self.tensors[name] = torch.full((), _to_device(value), dtype=dtype, device=device)

    def show(self, groups: Sequence[Group], name: str, value: Any) -> None:
        """Agree upon `value`, and write it into all groups that show it."""
        self.agreed[name] = value
        for member in self.members:
            groups[member][name] = value

    # clause: PPSF-G-005 81867570
    def download(self, groups: Sequence[Group], name: str, value: Any) -> None:
        """Agree upon a `value` that a step computed; a group that was edited meanwhile keeps its edit."""
        previous = self.agreed.get(name)
        self.agreed[name] = value
        for member in self.members:
            if member < len(groups) and groups[member][name] == previous:
                groups[member][name] = value


@dataclass(slots=True)
class Publication:
    """Values of one step on their way to the groups; `event` is None where they have arrived already."""

    entries: list[tuple[Scalars, str]]
    values: Tensor
    event: torch.Event | None

    def arrived(self, wait: bool) -> bool:
        """Whether `values` may be read; `wait` makes it so."""
        if self.event is None:
            return True
        if wait:
            self.event.synchronize()
        return bool(self.event.query())


def _start_copy(values: Tensor) -> tuple[Tensor, torch.Event | None]:
    """Start copying `values` to the host: the host tensor, and the event to await before reading it."""
    if values.device.type in ("cpu", "mps"):  # mps cannot copy to the host asynchronously
        return values, None
    host = torch.empty_like(values, device="cpu", pin_memory=True)
    host.copy_(values, non_blocking=True)
    event = torch.Event(values.device)
    event.record(torch.accelerator.current_stream(values.device))
    return host, event


class Ledger:
    """All scalars of an optimizer, and what of them is under way to the groups.

    Args:
        names: which ones there are.
        skipped: number of steps skipped so far.
    """

    def __init__(self, names: Names, skipped: int = 0) -> None:
        self._names = names
        self._pools: dict[int, Scalars] = {}
        self._groups: dict[int, Scalars] = {}
        self._pending: deque[Publication] = deque()
        self._skipped = skipped
        self._skipped_on: dict[torch.device, Tensor] = {}
        self._captured: list[Scalars] = []

    @property
    def is_captured(self) -> bool:
        """Whether a graph holds a step, which it may take at any time without the host."""
        return bool(self._captured)

    def pool(self, members: tuple[int, ...]) -> Scalars:
        """The scalars of the pool that these groups form."""
        scalars = self._pools.setdefault(members[0], Scalars(self._names.pool))
        scalars.members = members
        return scalars

    def group(self, index: int) -> Scalars:
        """The scalars of one group."""
        return self._groups.setdefault(index, Scalars(self._names.group, (index,)))

    def is_edited(self, groups: Sequence[Group]) -> bool:
        """Whether a group shows anything else than what it last agreed upon with the device."""
        return any(map(Scalars.differs, chain(self._pools.values(), self._groups.values()), repeat(groups)))

    def knows(self, groups: Sequence[Group]) -> bool:
        """Whether each group has agreed upon its numbers with the device."""
        return len(self._groups) == len(groups) and all(pool.agreed for pool in self._pools.values())

    def publish(self, changed: Iterable[Scalars], values: Tensor | None = None) -> None:
        """Start bringing the scalars that a step changed to the groups.

        Args:
            changed: where they are.
            values: all of them in a row in the wide dtype, if the step has laid them out so on one device.

        Of a step that a graph captures nothing comes to the host; :meth:`settle` asks the device then.
        """
        changed = list(changed)
        if any(each.device is not None and capture.capturing(each.device) for each in changed):
            known = set(map(id, self._captured))
            self._captured += [each for each in changed if id(each) not in known]
            return
        entries = [(scalars, name) for scalars in changed for name in scalars.names]
        if values is not None:
            self._pending.append(Publication(entries, *_start_copy(values)))
            return
        for device in {scalars.tensors[name].device for scalars, name in entries}:
            here = [(scalars, name) for scalars, name in entries if scalars.tensors[name].device == device]
            wide = wide_dtype(device)
            values = torch.stack([scalars.tensors[name].to(wide) for scalars, name in here])
            self._pending.append(Publication(here, *_start_copy(values)))

    def settle(self, groups: Sequence[Group], wait: bool) -> list[int]:
        """Write the values that have arrived into the groups, in the order of their steps.

        Args:
            groups: all groups of the optimizer.
            wait: wait for all that is under way, and ask the device what captured steps have changed.

        Returns:
            the indices of the groups that were written.
        """
        settled: set[int] = set()
        if not wait and capture.capturing(torch.device("cuda")):  # nothing may be asked meanwhile
            return []
        if wait and self._captured:
            self._pending.clear()
            captured, self._captured = self._captured, []
            self.publish(captured)
            self._captured = captured
        while self._pending and self._pending[0].arrived(wait):
            publication = self._pending.popleft()
            for (scalars, name), value in zip(publication.entries, publication.values.tolist(), strict=True):
                scalars.download(groups, name, _from_device(name, value))
                settled.update(scalars.members)
        return sorted(member for member in settled if member < len(groups))

    def count_skip(self, ok: Tensor | None) -> None:
        """Count one step as skipped, unless `ok` says - on its device - that it was not."""
        if ok is None:
            self._skipped += 1
            return
        self.counter(ok.device).add_(torch.logical_not(ok))

    def counter(self, device: torch.device) -> Tensor:
        """The number of steps that a device has skipped, int64, 0-d: for a backend that counts there itself."""
        if device not in self._skipped_on:
            self._skipped_on[device] = torch.zeros((), dtype=torch.int64, device=device)
        return self._skipped_on[device]

    def skipped(self) -> int:
        """Number of steps skipped so far; waits for the device."""
        return self._skipped + sum(int(count) for count in self._skipped_on.values())


def averages_estimates(rules: Sequence[Rule]) -> bool:
    """Whether groups with these rules step by the mean of their estimates rather than each by its own."""
    return len(rules) > 1 and rules[0].split and rules[0].split_mean


def step_estimates(groups: Sequence[Group], rules: Sequence[Rule]) -> list[float]:
    """For each group the step estimate of the coming step, from the floats in the groups."""
    own: list[float] = [group.get("d", rule.d0) for group, rule in zip(groups, rules, strict=True)]
    if not averages_estimates(rules):
        return own
    active = [group["d"] for group in groups if group["k"] > FIRST_STEP]
    return [len(active) / sum(1 / d for d in active)] * len(groups) if active else own


def _factor(group: Group, rule: Rule) -> float:
    """What multiplies the step estimate in the group's coming step."""
    return rule.lr * factor_on_host(rule, group["k"], group.get("peak"))


def show_effective_lr(groups: Sequence[Group], rules: Sequence[Rule], members: Iterable[int]) -> None:
    """Set `effective_lr` of these groups, so that d * effective_lr is what multiplies their coming update.

    Of a group without an estimate d counts as 1.
    """
    # clause: PPSF-G-010 54b84240
    estimates = step_estimates(groups, rules)
    for member in members:
        group = groups[member]
        group["effective_lr"] = _factor(group, rules[member]) * (estimates[member] / group.get("d", 1.0))


def metrics_of(groups: Sequence[Group], rules: Sequence[Rule], skipped: int) -> list[dict[str, float]]:
    """What each group's estimate stands at, from the floats in the groups."""

    def row(group: Group, rule: Rule, estimate: float) -> dict[str, float]:
        return {
            **{name: group[name] for name in Names.of(rule.revision).all},
            **candidate(group, rule),
            "step_estimate": estimate,
            "dlr": estimate * _factor(group, rule),
            "skipped_steps": skipped,
        }

    return [row(*each) for each in zip(groups, rules, step_estimates(groups, rules), strict=True)]


def candidate(group: Group, rule: Rule) -> dict[str, float]:
    """`d_hat` from the floats in a group, if its rule makes one."""
    if rule.revision.estimate == "none" or rule.by_displacement:
        return {}
    numerator, denom = rule.d_coef * group["d_numerator"], group["d_denom"]
    if not denom > 0:
        return {"d_hat": 0.0}
    return {"d_hat": math.atan2(numerator, denom) if rule.revision.estimate == "atan2" else numerator / denom}
