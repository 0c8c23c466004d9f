"""The optimizer class: what users and trainers construct and call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from ppsf_fast import checkpoint, plan, state
from ppsf_fast.backends import torch_backend
from ppsf_fast.numerics import store
from ppsf_fast.options import (
    SHARED_NAMES,
    Group,
    check_groups,
    check_lr,
    check_revision,
    checked,
    options_of_group,
)
from ppsf_fast.scalars import (
    POOL_SCALARS,
    Ledger,
    initial_scalars,
    metrics_of,
    show_effective_lr,
)


class ProdigyPlusScheduleFree(Optimizer):
    r"""Prodigy with Schedule-Free averaging, revision 1.9 of the specification.

    Call :meth:`train` before training and :meth:`eval` before evaluating or saving the weights. Leave `lr` at
    1 and use no schedule: the step size is estimated.

    Args:
        params: float32 or bfloat16 parameters, or groups of them. A group may give every option its own
            value, except `split_groups`, `split_groups_mean` and `rounding_seed`; keys that are no options
            are kept as they are.
        lr: multiplies the estimated step size; > 0, and 0 in a step pauses the group.
        betas: coefficients of the averaging of weights, in (0, 1), and of the second moment, in [0, 1).
        beta3: coefficient of the statistics of the estimate, in [0, 1); None: sqrt(betas[1]).
        weight_decay: decoupled weight decay, >= 0.
        weight_decay_by_lr: multiply the decay by the step size.
        use_bias_correction: bias-correct the second moment, and warm up as RAdam does; needs betas[1] > 0.6.
        d0: first estimate, > 0. It never falls below.
        d_coef: multiplies the estimate, > 0.
        prodigy_steps: number of steps in which the estimate adapts; 0: always. Its memory is freed
            afterwards.
        use_speed: estimate the step size from signs alone, so that it grows by a capped rate.
        eps: added to the denominator, > 0; None: Adam-atan2, which needs none and switches `use_stableadamw`
            off.
        split_groups: each group has its own estimate; otherwise all groups share one.
        split_groups_mean: with `split_groups`, all groups step by the harmonic mean of the estimates.
        factored: keep the second moment of large arrays as a row and a column.
        factored_fp32: keep these in float32; otherwise in the dtype of the parameter.
        fused_back_pass: not yet served.
        use_stableadamw: limit the root mean square of each update.
        use_muon_pp: step parameters of two or more dimensions by their orthogonalised gradient, over the root mean
            square of these steps. Choose it before the first step; `use_focus` switches it off.
        use_cautious: take from a weight only what has the sign of the update.
        use_grams: take the magnitude of that in the direction of the update; `use_cautious` switches it off.
        use_adopt: divide by the second moment from before the present gradient; the first step of a parameter
            then only prepares that moment.
        use_orthograd: use the part of each gradient that is orthogonal to the weights; a parameter of one element has
            none.
        use_focus: step by signs, pulled back a little towards an average of the weights, which is kept in the place
            of the second moment; `eps` and `factored` mean nothing then. Choose it before the first step.
        stochastic_rounding: round bfloat16 weights stochastically.
        rounding_seed: chooses the random bits of that, >= 0. They depend on nothing but this seed, the step,
            the position of the parameter and that of the element, and leave torch's generators alone.
        revision: of the specification; "1.9".

    Raises:
        TypeError: an unknown option (PPSF-X-001), a value of a wrong type (PPSF-X-002), a parameter that is
            neither float32 nor bfloat16 (PPSF-X-006).
        ValueError: a value outside its domain (PPSF-X-002), options that exclude each other (PPSF-X-003).
        NotImplementedError: an option that is not yet served (PPSF-X-007).
    """

    # clause: PPSF-X-001 c864b8d0
    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        beta3: float | None = None,
        weight_decay: float = 0.0,
        weight_decay_by_lr: bool = True,
        use_bias_correction: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        prodigy_steps: int = 0,
        use_speed: bool = False,
        eps: float | None = 1e-8,
        split_groups: bool = True,
        split_groups_mean: bool = True,
        factored: bool = True,
        factored_fp32: bool = True,
        fused_back_pass: bool = False,
        use_stableadamw: bool = True,
        use_muon_pp: bool = False,
        use_cautious: bool = False,
        use_grams: bool = False,
        use_adopt: bool = False,
        use_orthograd: bool = False,
        use_focus: bool = False,
        stochastic_rounding: bool = True,
        rounding_seed: int = 0,
        *,
        revision: str = "1.9",
    ) -> None:
        check_revision(revision)
        options = {
            "lr": lr,
            "betas": betas,
            "beta3": beta3,
            "weight_decay": weight_decay,
            "weight_decay_by_lr": weight_decay_by_lr,
            "use_bias_correction": use_bias_correction,
            "d0": d0,
            "d_coef": d_coef,
            "prodigy_steps": prodigy_steps,
            "use_speed": use_speed,
            "eps": eps,
            "split_groups": split_groups,
            "split_groups_mean": split_groups_mean,
            "factored": factored,
            "factored_fp32": factored_fp32,
            "fused_back_pass": fused_back_pass,
            "use_stableadamw": use_stableadamw,
            "use_muon_pp": use_muon_pp,
            "use_cautious": use_cautious,
            "use_grams": use_grams,
            "use_adopt": use_adopt,
            "use_orthograd": use_orthograd,
            "use_focus": use_focus,
            "stochastic_rounding": stochastic_rounding,
            "rounding_seed": rounding_seed,
        }
        self._ledger = Ledger()
        super().__init__(params, checked(options))

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
        self._settle(wait=True)
        group |= self._start_of_group(group)
        super().add_param_group(group)
        show_effective_lr(self.param_groups, [len(self.param_groups) - 1])

    def _start_of_group(self, group: Group) -> Group:
        """The entries of a new group, validated."""
        for position, entry in enumerate(group["params"]):
            param = entry[1] if isinstance(entry, tuple) else entry
            if isinstance(param, Tensor):
                plan.check_parameter(param, f"parameter {position} of the group")
        # A loaded checkpoint may have changed what belongs to the whole optimizer.
        shared = {name: self.param_groups[0][name] for name in SHARED_NAMES} if self.param_groups else {}
        options = options_of_group(group, {**self.defaults, **shared})
        scalars = initial_scalars(options["d0"])
        _refuse_scalars(group, scalars)
        # clause: PPSF-L-007 ad63cac0
        if self.param_groups and not options["split_groups"]:
            scalars |= {name: self.param_groups[0][name] for name in POOL_SCALARS}
        in_training = self.param_groups[0]["train_mode"] if self.param_groups else True
        start = {**options, **scalars, "train_mode": in_training, "effective_lr": options["lr"]}
        check_groups([*self.param_groups, start])
        return start

    # --------------------------------------------------------------------------------------------------- step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

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
        # clause: PPSF-L-006 ee8e58f2
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            self._update()
        return loss

    def _check_ready(self) -> None:
        # clause: PPSF-X-004 b423316a
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                "step() was called in eval mode, where the weights are the averages: steps are allowed in "
                "train mode only. Call train() before training goes on."
            )
        for group in self.param_groups:
            check_lr(group["lr"])
        check_groups(self.param_groups)

    def _update(self) -> None:
        self._settle(wait=False)
        groups, ledger = self.param_groups, self._ledger
        work = plan.gather(groups, self.state, ledger)
        if not work.pools:
            return
        if not plan.judge(work):
            ledger.count_skip(None)
            return
        plan.equip(work, groups, self.state, ledger)
        torch_backend.step(work)
        if work.ok is not None:
            ledger.count_skip(work.ok)
        ledger.publish(work.changed)
        self._settle(wait=False)

    def _settle(self, wait: bool) -> None:
        """Bring the floats in the groups up to date, as far as they have arrived; `wait` makes them exact."""
        changed = self._ledger.settle(self.param_groups, wait)
        if changed:
            show_effective_lr(self.param_groups, changed)
            self._release()

    def _release(self) -> None:
        """Free the memory of estimates that do not adapt any more."""
        finished = [group for group in self.param_groups if not plan.may_adapt(group)]
        for param in chain.from_iterable(group["params"] for group in finished):
            if param in self.state:
                state.release(self.state[param])

    # -------------------------------------------------------------------------------------------------- modes

    def train(self, mode: bool = True) -> ProdigyPlusScheduleFree:
        """Switch the weights to y, on which training goes on; does nothing in train mode.

        Args:
            mode: False switches to eval mode instead.

        Returns:
            the optimizer.
        """
        # clause: PPSF-L-003 8e98e921
        for group in self.param_groups:
            if group["train_mode"] != mode:
                self._switch(group, mode)
        return self

    def eval(self) -> ProdigyPlusScheduleFree:
        """Switch the weights to x, their average, to evaluate or save them; does nothing in eval mode.

        Returns:
            the optimizer.
        """
        return self.train(False)

    @torch.no_grad()
    def _switch(self, group: Group, mode: bool) -> None:
        beta1 = group["betas"][0]
        # clause: PPSF-Z-004 f79af622
        # clause: PPSF-Z-005 ea182af0
        towards_z = 1 - beta1 if mode else 1 - 1 / beta1
        for param in group["params"]:
            if "z" in self.state.get(param, {}):
                weights, z = param.float(), self.state[param]["z"].to(param.device).float()
                store(param, weights + (z - weights) * towards_z)
        group["train_mode"] = mode

    # ------------------------------------------------------------------------------------------------ metrics

    def metrics(self) -> list[dict[str, float]]:
        """Where each group stands after the last step; waits for the device.

        Returns:
            for each group: its scalars `d`, `d_prev`, `d_numerator`, `d_denom`, `k` and `weight_sum`; the
            last estimate, `d_hat`; `step_estimate` and `dlr`, which the coming step will use; and
            `skipped_steps`, how many steps of the optimizer a non-finite gradient turned into nothing.
        """
        self._settle(wait=True)
        return metrics_of(self.param_groups, self._ledger.skipped())

    # -------------------------------------------------------------------------------------------- persistence

    def state_dict(self) -> dict[str, Any]:
        """The state, exact: nothing but tensors and plain Python values; waits for the device."""
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
            checkpoint.check(given, self.param_groups)
            taken.update(given)
            return {**given, "state": {}}

        def put(_: Optimizer) -> None:
            self.state = checkpoint.restored(taken, self.param_groups)

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
        self._settle(wait=True)
        return {**super().__getstate__(), "_skipped": self._ledger.skipped()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over groups and state; the device's scalars follow from the groups."""
        known = state.get("_skipped")
        skipped = self._ledger.skipped() if known is None else known
        super().__setstate__({name: value for name, value in state.items() if name != "_skipped"})
        self._ledger = Ledger(skipped)


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
