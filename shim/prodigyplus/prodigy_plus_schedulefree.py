"""The class that OneTrainer, SimpleTuner and sd-scripts construct by this path."""

from __future__ import annotations

from torch.distributed import ProcessGroup
from torch.optim.optimizer import ParamsT

from prodigyplus.core_optimiser import CoreOptimiser

__all__ = ["CoreOptimiser", "ProdigyPlusScheduleFree"]


class ProdigyPlusScheduleFree(CoreOptimiser):
    """Prodigy with Schedule-Free averaging: revision 2.0 of the specification, by ppsf_fast.

    Arguments, their order and defaults are those of prodigy-plus-schedule-free 2.0.1; what they mean, and what they
    raise, says :class:`ppsf_fast.ProdigyPlusScheduleFree`. Those after the star are not in the release.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.99),
        beta3: float | None = None,
        weight_decay: float = 0.0,
        weight_decay_by_lr: bool = True,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        d_limiter: bool = True,
        prodigy_steps: int = 0,
        schedulefree_c: float = 0,
        eps: float | None = 1e-8,
        split_groups: bool = True,
        split_groups_mean: bool = False,
        factored: bool = True,
        factored_fp32: bool = True,
        use_bias_correction: bool = False,
        use_stableadamw: bool = True,
        use_schedulefree: bool = True,
        use_speed: bool = False,
        stochastic_rounding: bool = True,
        fused_back_pass: bool = False,
        use_cautious: bool = False,
        use_grams: bool = False,
        use_adopt: bool = False,
        use_orthograd: bool = False,
        use_focus: bool = False,
        *,
        rounding_seed: int = 0,
        beta4: float | None = 0.0,
        amplify_gradients: bool = False,
        compile: bool = False,
        process_group: ProcessGroup | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "params", "__class__")}
        super().__init__(params, **given, revision="2.0")
