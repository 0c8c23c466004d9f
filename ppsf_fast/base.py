"""What all optimizer classes have in common: construction, groups, the step; the rest in parts."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim.optimizer import ParamsT

from ppsf_fast import backends, plan
from ppsf_fast.checkpoint import STATE_VERSION
from ppsf_fast.distributed import step as sharded
from ppsf_fast.distributed.agreement import given
from ppsf_fast.distributed.sharding import layout_of
from ppsf_fast.domains import flag
from ppsf_fast.options import (
    SHARED_NAMES,
    Group,
    check_groups,
    checked,
    defaults_of,
    options_of_group,
    refuse_foreign,
    revision_of,
)
from ppsf_fast.persistence import Persistence
from ppsf_fast.precision import ordinary
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import (
    Ledger,
    Names,
    initial_scalars,
    show_effective_lr,
)
from ppsf_fast.scaling import Scaling
from ppsf_fast.seeing import Seeing
from ppsf_fast.state import prepare
from ppsf_fast.stepwise import Stepwise

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

P = ParamSpec("P")


def takes_options(signature_of: Callable[P, None]) -> Callable[P, None]:
    """Make a constructor of a signature: what the caller gives goes to :meth:`RevisedOptimizer.__init__`.

    A default in the signature is the one of the class's first revision. Another revision may have another default, so
    an argument that is not given has to be told from one that is given and equals the default. Python's own binding
    of arguments does that, and help() and inspect show the plain signature.
    """
    signature = inspect.signature(signature_of)

    # clause: PPSF-X-001 80b73f96
    @functools.wraps(signature_of)
    def construct(*args: P.args, **kwargs: P.kwargs) -> None:
        _refuse_unknown(kwargs, signature)
        given = signature.bind(*args, **kwargs).arguments
        optimizer, params = given.pop("self"), given.pop("params")
        revision, compiles = given.pop("revision", optimizer.REVISIONS[0]), given.pop("compile", False)
        group = given.pop("process_group", None)
        RevisedOptimizer.__init__(optimizer, params, given, revision, compiles, group)

    return construct


def _refuse_unknown(given: Mapping[str, object], signature: inspect.Signature) -> None:
    """Raise TypeError for a name that is no option, and say which one it looks like."""
    for name in given:
        if name not in signature.parameters:
            alike = difflib.get_close_matches(name, signature.parameters, n=1)
            meant = f"Did you mean {alike[0]}?" if alike else "Leave it out."
            raise TypeError(f"{name} is no option: allowed are those that help() of the class shows. {meant}")


class RevisedOptimizer(Stepwise, Seeing, Persistence):
    """An optimizer that follows one revision of the specification.

    Args:
        params: float32, bfloat16 or float16 parameters, or groups of them.
        given: the options that the caller gives; the others have the revision's defaults.
        revision: its name; one of `REVISIONS` of the class.
        compiles: compile the step; no option of the revision, and not saved.
        process_group: processes that have parameters of their own and share the estimates; likewise.
    """

    def __init__(
        self,
        params: ParamsT,
        given: Mapping[str, Any],
        revision: str,
        compiles: bool = False,
        process_group: ProcessGroup | None = None,
    ) -> None:
        self._compiles = flag("compile", compiles)
        self.process_group = process_group
        self._revision = revision_of(revision, self.REVISIONS)
        refuse_foreign(given, self._revision)
        self._ledger = Ledger(Names.of(self._revision))
        self._begin_anew()
        super().__init__(params, checked({**defaults_of(self._revision), **given}, self._revision))

    #: `torch.amp.GradScaler` leaves unscaling and skipping to :meth:`step`: it sets `grad_scale` and `found_inf` on the
    #: optimizer for the length of the call.
    _step_supports_amp_scaling = True

    # ------------------------------------------------------------------------------------------------- groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, which starts as a new one.

        Args:
            param_group: `params`, options of its own, and any other keys; the dict itself is not changed or
                kept.

        Raises:
            TypeError, ValueError: as the constructor does; nothing has changed then.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(
                f"a parameter group is {param_group!r}: allowed is a dict with the key 'params'. Pass such a dict."
            )
        group = {**param_group, "params": _listed(param_group["params"])}
        self._end_fused_step()
        self._settle(wait=True)
        group |= self._start_of_group(group)
        super().add_param_group(group)
        show_effective_lr(self.param_groups, self._rules(), [len(self.param_groups) - 1])
        for follow in self._followers:
            follow(self.param_groups[-1]["params"])

    def _start_of_group(self, group: Group) -> Group:
        """The entries of a new group, validated."""
        places: dict[Tensor, int] = {}
        for position, entry in enumerate(group["params"]):
            param = entry[1] if isinstance(entry, tuple) else entry
            if isinstance(param, Tensor):
                plan.check_parameter(param, f"parameter {position} of the group")
                _refuse_repeated(places.setdefault(param, position), position)
        # A loaded checkpoint may have changed what belongs to the whole optimizer.
        shared = [name for name in SHARED_NAMES if name in self._revision.options and self.param_groups]
        defaults = {**self.defaults, **{name: self.param_groups[0][name] for name in shared}}
        options = options_of_group(group, defaults, self._revision)
        rule = Rule.of(options, self._revision)
        scalars = initial_scalars(rule)
        _refuse_scalars(group, scalars)
        # clause: PPSF-L-007 fa1054f4
        if self.param_groups and not rule.split:
            scalars |= {name: self.param_groups[0][name] for name in Names.of(self._revision).pool}
        in_training = self.param_groups[0]["train_mode"] if self.param_groups else True
        shown = {"train_mode": in_training, "effective_lr": options["lr"], "state_version": STATE_VERSION}
        start = {**options, **scalars, **shown}
        check_groups([*self.param_groups, start], self._revision)
        return start

    # --------------------------------------------------------------------------------------------------- step

    @_disable_dynamo
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; with `fused_back_pass`, end the one whose parameters :meth:`step_param` has moved.

        Args:
            closure: evaluates the model and returns the loss; called once, with gradients enabled, before
                anything changes. What it leaves in the groups is checked once more.

        Returns:
            what the closure returned, or None.

        Raises:
            RuntimeError: the optimizer is in eval mode (PPSF-X-004).
            TypeError, ValueError: a learning rate (PPSF-X-002), groups (PPSF-X-003), a gradient (PPSF-X-005)
                or a parameter (PPSF-X-006) is not allowed; nothing has changed then.
        """
        rules = self._check_ready()
        # clause: PPSF-L-006 0dfa105d
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
            rules = self._check_ready()  # it may have left eval mode behind, or moved a learning rate
        if self.is_fused or self._running is not None:
            for finish in self._finishers:
                finish()
            self._refuse_scaled()
            self._warn_if_idle()
            self._end_fused_step()
            return loss
        with torch.no_grad(), ordinary():
            self._update(rules)
            self._settle(wait=False, rules=rules)
        return loss

    def _update(self, rules: list[Rule]) -> None:
        groups, ledger = self.param_groups, self._ledger
        # An edit goes over what the last step has computed, so that has to be there first. Else it can wait.
        edited = self._is_edited()
        if edited:
            self._settle(wait=False, rules=rules)
        if all(rule.lr == 0 for rule in rules):
            self._create_ahead(rules)
            return
        self._drop_ahead()
        team, scaling = self._team(rules), Scaling.of(self)
        if team is None and backends.again(groups, rules, self.state, ledger, self._workspace, scaling, edited):
            return
        self._settle(wait=False, rules=rules)
        if team is not None:
            sharded.step(groups, rules, self.state, ledger, team, scaling, self._compiles)
            return
        rosters = plan.recognised(groups, rules, self.state, self._rosters)
        work = plan.gather(groups, rules, self.state, ledger, rosters)
        work.compiles, work.scaling = self._compiles, scaling
        if not work.pools:
            return
        backend = backends.choose(work)
        if not backend.judge(work):
            ledger.count_skip(None)
            return
        plan.equip(work, groups, rules, self.state, ledger)
        self._rosters = plan.enrolled(work, groups, self.state) if self._compiles else {}
        backend.step(work, ledger, self._workspace)

    def _create_ahead(self, rules: list[Rule]) -> None:
        """Create the state of parameters that have a gradient, if there is none at all and all gradients are zeros.

        So do checkpoints prepare an optimizer that is to load one: by a step with learning rates of 0.
        """
        # clause: PPSF-L-001 9017eed6
        pairs = zip(self.param_groups, rules, strict=True)
        there = [(group, rule, param) for group, rule in pairs for param in group["params"]]
        params = [param for *_, param in there]
        layouts = [layout_of(param, f"parameter {index}", self._layouts) for index, param in enumerate(params)]
        present, moving = given(params, layouts)
        if moving:
            self._drop_ahead()
            return
        if self.state or not any(present):
            return
        for index, ((group, rule, param), layout) in enumerate(zip(there, layouts, strict=True)):
            if present[index]:
                plan.check_parameter(param, f"parameter {index}")
                prepare(self.state[param], param, rule, plan.may_adapt(group, rule), layout)
        self._ahead = True


def _listed(params: Any) -> Any:
    """The parameters of a group as a list; a set is left for torch to refuse."""
    if isinstance(params, Tensor):
        return [params]
    return list(params) if isinstance(params, Iterable) and not isinstance(params, set) else params


def _refuse_repeated(first: int, position: int) -> None:
    """Twice in a step, a parameter would move by its gradient twice, and the second time by one of other weights."""
    if first != position:
        raise ValueError(
            f"parameter {position} of the group is parameter {first} once more: allowed is each parameter once, also "
            "where modules share it. Pass list(dict.fromkeys(params))."
        )


def _refuse_scalars(group: Group, scalars: Group) -> None:
    misplaced = [name for name in scalars if name in group]
    if misplaced:
        raise ValueError(
            f"{', '.join(misplaced)} given in a parameter group: these follow from training. Give d0 to "
            "choose the first estimate, or use load_state_dict() to resume."
        )
