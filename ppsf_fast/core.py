"""What the parts of an optimizer stand on: its revision, its scalars, and the fused step that may be under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer

from ppsf_fast import plan, state
from ppsf_fast.distributed.sharding import Known, is_declared
from ppsf_fast.distributed.team import Team
from ppsf_fast.fused import FusedStep
from ppsf_fast.options import Group, check_edited, check_groups, check_lr
from ppsf_fast.precision import ordinary
from ppsf_fast.revisions import Revision
from ppsf_fast.roster import Roster
from ppsf_fast.rule import Rule, Rulebook, same
from ppsf_fast.scalars import Ledger, Names, show_effective_lr
from ppsf_fast.stored import check_stored

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Core(Optimizer):
    """An optimizer whose groups follow a revision; it cannot step yet."""

    #: The revisions that the class serves, the default one first.
    REVISIONS: ClassVar[tuple[str, ...]]

    _revision: Revision
    _compiles: bool
    _ledger: Ledger
    _process_group: ProcessGroup | None
    _lacks_group: bool

    @property
    def revision(self) -> str:
        """The name of the revision."""
        return self._revision.name

    def _begin_anew(self) -> None:
        """No fused step runs; nobody follows what is added."""
        self._running: FusedStep | None = None
        self._waiting: FusedStep | None = None  # made for parameters that took no part, and not begun
        self._workspace: dict[object, object] = {}  # what a backend keeps between steps; never needed to go on
        self._rosters: dict[int, Roster] = {}  # of groups that a compiled step has moved
        self._turn = threading.RLock()  # autograd calls hooks from a thread per device
        self._followers: list[Callable[[list[Tensor]], None]] = []
        self._finishers: list[Callable[[], None]] = []
        self._layouts = Known()
        self._rulebook = Rulebook(self._revision)
        self._agreeing: list[Rule] = []  # rules of groups that have been found to agree
        self._options: list[Group] = []  # their options
        self._ahead = False  # whether the state was made by a step with nothing but learning rates of 0
        self._adapting: list[bool] = []  # of each group, whether its estimate might adapt when memory was last freed

    @property
    def process_group(self) -> ProcessGroup | None:
        """The processes that have parameters of their own and share the estimates. Copies have none; give them one."""
        return self._process_group

    @process_group.setter
    def process_group(self, group: ProcessGroup | None) -> None:
        self._process_group, self._lacks_group = group, False

    def _has_declared(self) -> bool:
        """Whether any parameter is a piece by declaration, which no copy of it inherits."""
        return any(is_declared(param) for group in self.param_groups for param in group["params"])

    def _team(self, rules: Sequence[Rule]) -> Team | None:
        """The processes of the optimizer; None if there is nothing to ask others."""
        sharing = self._process_group is not None or any(rule.sums_processes for rule in rules)
        return Team.of(self.param_groups, sharing, self._process_group, self._layouts)

    def _drop_ahead(self) -> None:
        """Forget state that was made before any step counted: weights may have changed since."""
        if self._ahead:
            self.state.clear()
            self._ahead = False

    def _rules(self) -> list[Rule]:
        return self._rulebook.of(self.param_groups)

    def _check_ready(self) -> list[Rule]:
        """The rules of the groups; raises unless a step may be taken."""
        # clause: PPSF-X-004 a7e60766
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "step() was called in eval mode, where the weights are the averages: steps are allowed in "
                "train mode only. Call train() before training goes on."
            )
        if self._lacks_group:
            raise RuntimeError(
                "step() was called on a copy of an optimizer that worked together with other processes: a copy has no "
                "process group, and nothing is declared of its parameters. Declare flat pieces anew, if there are any, "
                "and set optimizer.process_group, to None if it needs none."
            )
        for group in self.param_groups:
            check_lr(group["lr"])
        rules = self._rules()
        if not same(rules, self._agreeing):
            self._check_options()
            self._agreeing = rules
        return rules

    def _check_options(self) -> None:
        """Raise unless the options of the groups are such as the constructor takes, and agree where they have to."""
        known = [*self._options, *({} for _ in self.param_groups)]
        for group, before in zip(self.param_groups, known, strict=False):
            check_edited(group, before, self._revision)
        check_groups(self.param_groups, self._revision)
        self._options = [{name: group[name] for name in self._revision.options} for group in self.param_groups]

    def _is_edited(self) -> bool:
        """Whether a group shows anything else than what the device has; raises if no step can go on from there."""
        edited = self._ledger.is_edited(self.param_groups)
        if edited or not self._ledger.knows(self.param_groups):
            names = Names.of(self._revision).all
            for index, group in enumerate(self.param_groups):
                check_stored(group, names, f"group {index}", "Put such a number there, or load a state dict.")
        return edited

    def _settle(self, wait: bool, rules: list[Rule] | None = None) -> None:
        """Bring the floats in the groups up to date, as far as they have arrived; `wait` makes them exact.

        `rules`: of the groups, if they are known.
        """
        changed = self._ledger.settle(self.param_groups, wait)
        if changed:
            rules = self._rules() if rules is None else rules
            show_effective_lr(self.param_groups, rules, changed)
            self._release(rules)

    def _release(self, rules: list[Rule]) -> None:
        """Free the memory of estimates that have ceased to adapt, unless a graph may write there."""
        adapting = list(map(plan.may_adapt, self.param_groups, rules))
        if self._ledger.is_captured or adapting == self._adapting:
            return
        if self._running is None:  # else more state may still be created for the estimate
            self._adapting = adapting
        finished = (group["params"] for group, adapts in zip(self.param_groups, adapting, strict=True) if not adapts)
        for param in chain.from_iterable(finished):
            if param in self.state:
                state.release(self.state[param])

    # clause: PPSF-L-011 296514d8
    @torch.no_grad()
    def _end_fused_step(self) -> None:
        """End the fused step that runs, if one does."""
        with self._turn, ordinary():
            running, self._running, self._waiting = self._running, None, None
            if running is None:
                return
            self._settle(wait=False)
            changed, ok = running.end(), running.ok
            if ok is not True:
                self._ledger.count_skip(ok if isinstance(ok, Tensor) else None)
            self._ledger.publish(changed)
            self._settle(wait=False)
