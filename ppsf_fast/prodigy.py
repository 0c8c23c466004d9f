"""Prodigy: Adam that finds its own step size."""

from __future__ import annotations

import math

from torch.distributed import ProcessGroup
from torch.optim.optimizer import ParamsT

from ppsf_fast.base import RevisedOptimizer, takes_options


class Prodigy(RevisedOptimizer):
    """Prodigy, with a cosine decay of its own if wanted: revision "prodigy" of the specification.

    Leave `lr` at 1: the step size is estimated. Weights are not averaged, so :meth:`train` and :meth:`eval` change
    nothing. All groups share one estimate.

    Args:
        params: float32, bfloat16 or float16 parameters, or groups of them. A group may give every option its own
            value, except those of the estimate; keys that are no options are kept as they are.
        lr: multiplies the estimated step size; > 0, and 0 in a step pauses the group.
        betas: coefficients of the first moment and of the second, in [0, 1).
        beta3: coefficient of the statistics of the estimate, in [0, 1); None: sqrt(betas[1]).
        eps: added to the denominator, in units of the estimate, > 0.
        weight_decay: >= 0.
        decouple: decay the weights beside the update, multiplied by the step size; otherwise as part of the gradient.
        use_bias_correction: Adam's bias correction.
        safeguard_warmup: keep the learning rate out of the denominator of the estimate.
        d0: first estimate, > 0.
        d_coef: multiplies the estimate, > 0.
        growth_rate: largest factor by which the estimate grows in a step once it has left `d0`, >= 1.
        fsdp_in_use: sum the statistics of the estimate over all processes of the default process group, which each hold
            a share of the parameters. Each has to call :meth:`step` equally often, with gradients or without.
        slice_p: one element in this many enters the statistics of the estimate, >= 1.
        cosine_decay: let the step size decay once the estimate has stopped growing.
        peak_patience: number of steps in a row without growth after which that begins; 0: at once.
        total_training_steps: step in which the decay is over, > 0; None: 1000 steps after it began.
        compile: step by a kernel in C++, which is compiled when it is first needed; no option of the revision, and not
            saved. Without a compiler a warning says so, and the step goes on without it.
        process_group: processes that each have parameters of their own, as with ZeRO-1: they share the estimates, and
            each has to call :meth:`step` equally often. Not needed for sharded parameters, which show it; no option of
            the revision, and not saved.

    Raises:
        TypeError: an unknown option (PPSF-X-001), a value of a wrong type (PPSF-X-002), a parameter of another
            dtype (PPSF-X-006).
        ValueError: a value outside its domain (PPSF-X-002), options that exclude each other (PPSF-X-003).

    Example:
        >>> import torch
        >>> body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
        >>> groups = [{"params": body.parameters()}, {"params": head.parameters(), "weight_decay": 0.1}]
        >>> optimizer = Prodigy(groups, cosine_decay=True)
        >>> [group["weight_decay"] for group in optimizer.param_groups]
        [0.0, 0.1]
    """

    REVISIONS = ("prodigy",)

    @takes_options
    def __init__(
        self,
        params: ParamsT,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = math.inf,
        fsdp_in_use: bool = False,
        slice_p: int = 1,
        *,
        cosine_decay: bool = False,
        peak_patience: int = 50,
        total_training_steps: int | None = None,
        compile: bool = False,
        process_group: ProcessGroup | None = None,
    ) -> None: ...
