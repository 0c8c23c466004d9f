"""What trainers reach for on the class, beside its constructor and `step()`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ppsf_fast import ProdigyPlusScheduleFree
from prodigyplus import migration

#: Sums that the release gathers during a step and clears when it ends: outside a step, both are 0.
RUNNING = ("running_d_numerator", "running_d_denom")
#: Methods of the release that its own step is made of. The step here is made of other parts, so that overriding one of
#: them in a subclass would change nothing.
PARTS = (
    "calculate_d", "factored_dims", "get_bias_correction", "get_denom", "get_dlr", "get_rms", "get_weight_decay",
    "initialise_state", "initialise_state_internal", "on_end_step", "on_start_step", "orthograd_", "rms_clip_",
    "smart_copy", "step_param_prodigy", "step_param_schedulefree", "update_", "update_d_stats_and_reset",
    "update_first_moment", "update_params", "update_prodigy", "update_second_moment",
)  # fmt: skip


class CoreOptimiser(ProdigyPlusScheduleFree):
    """The optimizer with the group entries and helpers of prodigy-plus-schedule-free 2.0.1 that trainers read.

    A subclass that overrides a part of the release's step is refused with TypeError when it is defined.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        lost = [name for name in PARTS if name in vars(cls)]
        if lost:
            raise TypeError(
                f"{cls.__name__} overrides {', '.join(lost)}: the step of ppsf_fast does not call it, so that nothing "
                "would change. Use prodigy-plus-schedule-free itself for this class, or override step()."
            )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group as ppsf_fast does; it also gets the running sums, which are 0 between steps."""
        super().add_param_group(param_group)
        self._show_running_sums()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load as ppsf_fast does; a state dict of prodigy-plus-schedule-free 2.x is taken over too."""
        if migration.is_of_release(state_dict):
            state_dict = migration.migrated(state_dict, self.param_groups)
        # ppsf_fast tells the releases by these sums, so that a state that is not one of theirs is loaded without.
        groups = [_without_sums(group) for group in state_dict["param_groups"]]
        super().load_state_dict({**state_dict, "param_groups": groups})
        self._show_running_sums()

    def _show_running_sums(self) -> None:
        for group in self.param_groups:
            device = group["params"][0].device if group["params"] else torch.device("cpu")
            group.update({name: torch.zeros((), dtype=torch.float32, device=device) for name in RUNNING})

    def get_betas(self, group: dict[str, Any]) -> tuple[float, float, float]:
        """beta1, beta2 and the beta3 in use of a group."""
        beta1, beta2 = group["betas"]
        return beta1, beta2, beta2**0.5 if group["beta3"] is None else group["beta3"]

    def get_sliced_tensor(self, tensor: Tensor, slice_p: int = 11) -> Tensor:
        """One element in `slice_p`, those that enter the estimate: 1-d."""
        return tensor.ravel()[::slice_p]

    def get_running_values_for_group(self, group: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The running sums of a group, or of the first one where all share an estimate: 0 between steps."""
        held = group if group["split_groups"] else self.param_groups[0]
        return held["running_d_numerator"], held["running_d_denom"]

    def update_prodigy(self, state: dict[str, Any], group: dict[str, Any], grad: Tensor, data: Tensor) -> None:
        """A part of the release's step, which trainers replace under FSDP2; here nothing calls it.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            "update_prodigy() is a part of the step of prodigy-plus-schedule-free; ppsf_fast gathers its statistics "
            "inside step(). Call step()."
        )


def _without_sums(group: dict[str, Any]) -> dict[str, Any]:
    if "state_version" not in group:
        return group
    return {name: value for name, value in group.items() if name not in RUNNING}
