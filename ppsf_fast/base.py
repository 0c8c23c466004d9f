"""What all optimizer classes have in common: groups, the step, modes, metrics, saving and loading."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any, ClassVar, ParamSpec, Self

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch.optim.optimizer import Optimizer, ParamsT

from ppsf_fast import backends, checkpoint, modes, plan, processes, state
from ppsf_fast.domains import flag
from ppsf_fast.fused import FusedStep
from ppsf_fast.memory import Memory, memory_of
from ppsf_fast.options import (
    SHARED_NAMES,
    Group,
    check_groups,
    check_lr,
    checked,
    defaults_of,
    option_of,
    options_of_group,
    refuse_foreign,
    revision_of,
)
from ppsf_fast.reasons import why_of
from ppsf_fast.revisions import REVISIONS
from ppsf_fast.rule import Rule
from ppsf_fast.scalars import (
    Ledger,
    Names,
    initial_scalars,
    metrics_of,
    show_effective_lr,
)
from ppsf_fast.shown import shown

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
        given = signature.bind(*args, **kwargs).arguments
        optimizer, params = given.pop("self"), given.pop("params")
        revision, compiles = given.pop("revision", optimizer.REVISIONS[0]), given.pop("compile", False)
        RevisedOptimizer.__init__(optimizer, params, given, revision, compiles)

    return construct


class RevisedOptimizer(Optimizer):
    """An optimizer that follows one revision of the specification.

    Args:
        params: float32 or bfloat16 parameters, or groups of them.
        given: the options that the caller gives; the others have the revision's defaults.
        revision: its name; one of `REVISIONS` of the class.
        compiles: compile the step; no option of the revision, and not saved.
    """

    #: The revisions that the class serves, the default one first.
    REVISIONS: ClassVar[tuple[str, ...]]

    def __init__(self, params: ParamsT, given: Mapping[str, Any], revision: str, compiles: bool = False) -> None:
        self._compiles = flag("compile", compiles)
        self._revision = revision_of(revision, self.REVISIONS)
        refuse_foreign(given, self._revision)
        self._ledger = Ledger(Names.of(self._revision))
        self._begin_anew()
        super().__init__(params, checked({**defaults_of(self._revision), **given}, self._revision))

    @property
    def revision(self) -> str:
        """The name of the revision."""
        return self._revision.name

    def _begin_anew(self) -> None:
        """No fused step runs; nobody follows what is added."""
        self._running: FusedStep | None = None
        self._workspace: dict[object, object] = {}  # what a backend keeps between steps; never needed to go on
        self._turn = threading.RLock()  # autograd calls hooks from a thread per device
        self._followers: list[Callable[[list[Tensor]], None]] = []

    def _rules(self) -> list[Rule]:
        return [Rule.of(group, self._revision) for group in self.param_groups]

    # ------------------------------------------------------------------------------------------------- groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, which starts as a new one.

        Args:
            param_group: `params`, options of its own, and any other keys; the dict itself is not changed or
                kept.

        Raises:
            TypeError, ValueError, NotImplementedError: as the constructor does; nothing has changed then.
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
        for position, entry in enumerate(group["params"]):
            param = entry[1] if isinstance(entry, tuple) else entry
            if isinstance(param, Tensor):
                plan.check_parameter(param, f"parameter {position} of the group")
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
        start = {**options, **scalars, "train_mode": in_training, "effective_lr": options["lr"]}
        check_groups([*self.param_groups, start], self._revision)
        return start

    # --------------------------------------------------------------------------------------------------- step

    @_disable_dynamo
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; with `fused_back_pass`, end the one whose parameters :meth:`step_param` has moved.

        Args:
            closure: evaluates the model and returns the loss; called once, with gradients enabled, before
                anything else.

        Returns:
            what the closure returned, or None.

        Raises:
            RuntimeError: the optimizer is in eval mode (PPSF-X-004).
            TypeError, ValueError: a learning rate (PPSF-X-002), groups (PPSF-X-003), a gradient (PPSF-X-005)
                or a parameter (PPSF-X-006) is not allowed; nothing has changed then.
        """
        self._check_ready()
        # clause: PPSF-L-006 0dfa105d
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self.is_fused or self._running is not None:
            self._warn_if_idle()
            self._end_fused_step()
            return loss
        with torch.no_grad():
            self._update()
        return loss

    def _check_ready(self) -> None:
        # clause: PPSF-X-004 a7e60766
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "step() was called in eval mode, where the weights are the averages: steps are allowed in "
                "train mode only. Call train() before training goes on."
            )
        for group in self.param_groups:
            check_lr(group["lr"])
        check_groups(self.param_groups, self._revision)

    def _update(self) -> None:
        self._settle(wait=False)
        groups, rules, ledger = self.param_groups, self._rules(), self._ledger
        work = plan.gather(groups, rules, self.state, ledger)
        work.compiles = self._compiles
        together = rules[0].sums_processes and processes.connected()
        if together:  # the others wait, whether a parameter takes part here or not
            plan.fill_up(work, groups, rules, ledger)
        if not work.pools:
            return
        backend = backends.choose(work, together)
        good = backend.judge(work)
        if together:
            work.ok = processes.all_good(good if work.ok is None else work.ok, work.pools[0].device)
        elif not good:
            ledger.count_skip(None)
            return
        plan.equip(work, groups, rules, self.state, ledger)
        backend.step(work, ledger, self._workspace)
        self._settle(wait=False)

    # ------------------------------------------------------------------------------------------------- fused step

    def supports_fused_back_pass(self) -> bool:
        """Whether the option `fused_back_pass` exists."""
        return "fused_back_pass" in self._revision.options

    @property
    def is_fused(self) -> bool:
        """Whether parameters are left to :meth:`step_param`."""
        return bool(option_of(self.param_groups[0], "fused_back_pass", self._revision))

    def follow(self, added: Callable[[list[Tensor]], None]) -> None:
        """Call `added` with the parameters of each group that is added from now on; copies are not followed."""
        self._followers.append(added)

    def unfollow(self, added: Callable[[list[Tensor]], None]) -> None:
        """Stop that; does nothing if nobody follows."""
        self._followers = [each for each in self._followers if each != added]

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
            RuntimeError: `fused_back_pass` is False, or the optimizer is in eval mode (PPSF-X-020).
            ValueError: it is none of the parameters (PPSF-X-020); a learning rate (PPSF-X-002) or groups (PPSF-X-003).
            TypeError: a gradient (PPSF-X-005) or a parameter (PPSF-X-006) is not allowed. Nothing has changed then.
        """
        self._check_alone()
        with self._turn:
            running = self._running
            if running is None or param not in running or running.has_seen(param):
                self._begin_fused_step(param)
            elif (item := running.item(param)) is not None:
                running.take(item)

    def step_parameter(self, param: Tensor, group: Group | None = None, index: int | None = None) -> None:
        """The same as :meth:`step_param`; `index` is not used either."""
        self.step_param(param, group)

    def _check_alone(self) -> None:
        # clause: PPSF-X-020 e5c3628d
        if not self.is_fused:
            raise RuntimeError(
                "step_param() was called without fused_back_pass=True: step() would move the parameter once more. Give "
                "fused_back_pass=True to the constructor, or leave all to step()."
            )
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "step_param() was called in eval mode, where the weights are the averages: steps are allowed in "
                "train mode only. Call train() before training goes on."
            )

    def _begin_fused_step(self, param: Tensor) -> None:
        """End the step that runs and begin the next one with a parameter, if that takes part."""
        self._check_ready()
        fresh = FusedStep(self.param_groups, self._rules(), self.state, self._ledger, self._compiles)
        if param not in fresh:
            raise ValueError(
                f"step_param() was given a tensor of shape {tuple(param.shape)} that is none of the optimizer's "
                "parameters: allowed are those of its groups. Add it with add_param_group()."
            )
        item = fresh.item(param)
        if item is None:
            return
        self._end_fused_step()
        self._settle(wait=False)
        fresh.begin(param.device)
        self._running = fresh
        fresh.take(item)

    def _warn_if_idle(self) -> None:
        """Training would stand still, and nothing else would say so."""
        taking_part = [group for group in self.param_groups if group["lr"] > 0]
        params = chain.from_iterable(group["params"] for group in taking_part)
        if self._running is None and any(param.grad is not None for param in params):
            warnings.warn(
                "step() with fused_back_pass=True moves nothing, and no parameter was given to step_param(), though "
                "there are gradients. Install hooks with ppsf_fast.fuse_backward(), or leave fused_back_pass out.",
                stacklevel=3,
            )

    # clause: PPSF-L-011 296514d8
    @torch.no_grad()
    def _end_fused_step(self) -> None:
        """End the fused step that runs, if one does."""
        with self._turn:
            running, self._running = self._running, None
            if running is None:
                return
            self._settle(wait=False)
            changed, ok = running.end(), running.ok
            if ok is not True:
                self._ledger.count_skip(ok if isinstance(ok, Tensor) else None)
            self._ledger.publish(changed)
            self._settle(wait=False)

    # --------------------------------------------------------------------------------------------------- scalars

    def _settle(self, wait: bool) -> None:
        """Bring the floats in the groups up to date, as far as they have arrived; `wait` makes them exact."""
        changed = self._ledger.settle(self.param_groups, wait)
        if changed:
            rules = self._rules()
            show_effective_lr(self.param_groups, rules, changed)
            self._release(rules)

    def _release(self, rules: list[Rule]) -> None:
        """Free the memory of estimates that do not adapt any more."""
        pairs = zip(self.param_groups, rules, strict=True)
        finished = [group for group, rule in pairs if not plan.may_adapt(group, rule)]
        for param in chain.from_iterable(group["params"] for group in finished):
            if param in self.state:
                state.release(self.state[param])

    # -------------------------------------------------------------------------------------------------- modes

    def train(self, mode: bool = True) -> Self:
        """Switch the weights to y, on which training goes on; does nothing in train mode.

        Args:
            mode: False switches to eval mode instead.

        Returns:
            the optimizer.
        """
        # clause: PPSF-L-003 43d63321
        mode = mode or not modes.averages(self._rules())
        if any(group["train_mode"] != mode for group in self.param_groups):
            self._end_fused_step()
        for group in self.param_groups:
            if group["train_mode"] != mode:
                modes.switch(group, self.state, mode)
        return self

    def eval(self) -> Self:
        """Switch the weights to x, their average, to evaluate or save them; does nothing in eval mode.

        Nor does it where no weights are averaged: there is no eval mode then.

        Returns:
            the optimizer.
        """
        return self.train(False)

    def averaged_state_dict(self, model: torch.nn.Module) -> dict[str, Any]:
        """The state dict of a model with the weights of eval mode, in whatever mode this is; changes nothing.

        Args:
            model: one whose parameters are trained here, wrapped or not: the names are those of its `state_dict()`.

        Returns:
            what `model.state_dict()` would return after :meth:`eval`, bit for bit, as copies; names that are tied share
            one. Parameters of others, and buffers, are as they stand.

        Raises:
            ValueError: none of its entries is a parameter of this optimizer.
        """
        return modes.averaged_state_dict(model, self.param_groups, self._rules(), self.state)

    @contextmanager
    def averaged(self) -> Iterator[Self]:
        """Eval mode in a `with` block; afterwards the weights of training are back, bit for bit.

        They are kept meanwhile: a second copy of the weights. Does nothing in eval mode, or where no weights are
        averaged. A group that is brought back into train mode inside the block stays as it is.
        """
        training = [group for group in self.param_groups if group["train_mode"] and modes.averages(self._rules())]
        params = [(group, param) for group in training for param in group["params"]]
        kept = [(*each, each[1].detach().clone()) for each in params if modes.has_average(each[1], self.state)]
        self.eval()
        try:
            yield self
        finally:
            with torch.no_grad():
                for group, param, weights in kept:
                    if not group["train_mode"]:
                        param.copy_(weights)
            for group in training:
                group["train_mode"] = True

    # ------------------------------------------------------------------------------------------------ metrics

    def metrics(self) -> list[dict[str, float]]:
        """Where each group stands after the last step that has ended; waits for the device.

        Returns:
            for each group: the scalars that its revision stores, such as `d`, `d_numerator`, `d_denom`, `k` and
            `weight_sum`; the last estimate, `d_hat`, if it makes one; `step_estimate` and `dlr`, which the coming
            step will use; and `skipped_steps`, how many steps of the optimizer a non-finite gradient turned into
            nothing.
        """
        self._settle(wait=True)
        return metrics_of(self.param_groups, self._rules(), self._ledger.skipped())

    def why(self) -> list[str]:
        """For each group in words why `d` did or did not move in the last step that has ended; waits for the device.

        It is found from the numbers that :meth:`metrics` shows, which are all floats, so that trainers can log them.
        """
        self._settle(wait=True)
        return why_of(self.param_groups, self._rules(), self._ledger.skipped())

    def memory(self) -> Memory:
        """Bytes that the state takes once each parameter has taken part in two steps; creates nothing.

        Parameters that require no gradient, and have no state, are not counted.
        """
        return memory_of(self.param_groups, self._rules(), self.state)

    def __repr__(self) -> str:
        """The class, its revision, and of each group its size, `d`, and the options that are not the default."""
        return shown(type(self).__name__, self._revision, self.param_groups)

    # -------------------------------------------------------------------------------------------- persistence

    def state_dict(self) -> dict[str, Any]:
        """The state, exact: nothing but tensors and plain Python values; ends a fused step, waits for the device."""
        self._end_fused_step()
        self._settle(wait=True)
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned. Tensors keep their dtypes; the mode is restored too.

        Args:
            state_dict: of an optimizer with the same groups; not changed, and not shared.

        Raises:
            TypeError, ValueError, NotImplementedError: the state does not belong to this optimizer; nothing
                has changed then.
        """
        # torch casts state to the dtype of the parameter. So the state is taken out before torch sees it and
        # put back before any other hook does.
        taken: dict[str, Any] = {}

        def take(_: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
            checkpoint.check(given, self.param_groups, self._revision)
            taken.update(given)
            return {**given, "state": {}}

        def put(_: Optimizer) -> None:
            self.state = checkpoint.restored(taken, self.param_groups, self._revision)
            self._running = None

        handles = (
            self.register_load_state_dict_pre_hook(take),
            self.register_load_state_dict_post_hook(put, prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for handle in handles:
                handle.remove()

    def __getstate__(self) -> dict[str, Any]:
        self._end_fused_step()
        self._settle(wait=True)
        return {
            **super().__getstate__(),
            "_skipped": self._ledger.skipped(),
            "_revision": self.revision,
            "_compiles": self._compiles,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over groups and state; the device's scalars follow from the groups."""
        given = dict(state)
        skipped, revision = given.pop("_skipped", None), given.pop("_revision", None)
        self._compiles = given.pop("_compiles", getattr(self, "_compiles", False))
        if revision is not None:
            self._revision = REVISIONS[revision]
        if skipped is None:
            skipped = self._ledger.skipped()
        super().__setstate__(given)
        self._ledger = Ledger(Names.of(self._revision), skipped)
        self._begin_anew()


def _listed(params: Any) -> Any:
    """The parameters of a group as a list; a set is left for torch to refuse."""
    if isinstance(params, Tensor):
        return [params]
    return list(params) if isinstance(params, Iterable) and not isinstance(params, set) else params


def _refuse_scalars(group: Group, scalars: Group) -> None:
    misplaced = [name for name in scalars if name in group]
    if misplaced:
        raise ValueError(
            f"{', '.join(misplaced)} given in a parameter group: these follow from training. Give d0 to "
            "choose the first estimate, or use load_state_dict() to resume."
        )
