"""Schedule-Free AdamW, and its RAdam form."""

from __future__ import annotations

from torch.distributed import ProcessGroup
from torch.optim.optimizer import ParamsT

from ppsf_fast.base import RevisedOptimizer, takes_options


class AdamWScheduleFree(RevisedOptimizer):
    """AdamW with Schedule-Free averaging: revision "schedulefree" of the specification.

    Call :meth:`eval` before evaluating or saving the weights, and :meth:`train` before training goes on; a new
    optimizer is in train mode. Nothing is estimated: `lr` is the step size.

    Args:
        params: float32, bfloat16 or float16 parameters, or groups of them. A group may give every option its own
            value; keys that are no options are kept as they are.
        lr: step size, > 0; 0 in a step pauses the group.
        betas: coefficients of the averaging of weights, in (0, 1), and of the second moment, in [0, 1).
        eps: added to the denominator, > 0.
        weight_decay: decoupled weight decay, multiplied by the step size, >= 0.
        warmup_steps: number of steps in which the step size grows to its full value.
        r: power of the number of the step in the weights of the average, >= 0.
        weight_lr_power: power of the largest step size so far in these weights, >= 0.
        use_bias_correction: rectify the step size, as RAdam does; needs betas[1] > 0.6.
        compile: step by a kernel in C++, which is compiled when it is first needed; no option of the revision, and not
            saved. Without a compiler a warning says so, and the step goes on without it.
        process_group: processes that each have parameters of their own, as with ZeRO-1: they share the estimates, and
            each has to call :meth:`step` equally often. Not needed for sharded parameters, which show it; no option of
            the revision, and not saved.

    Raises:
        TypeError: an unknown option (PPSF-X-001), a value of a wrong type (PPSF-X-002), a parameter of another
            dtype (PPSF-X-006).
        ValueError: a value outside its domain (PPSF-X-002, PPSF-X-009), options that exclude each other (PPSF-X-003,
            PPSF-X-008).

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(3))
        >>> optimizer = AdamWScheduleFree([weight], lr=0.1)
        >>> weight.grad = torch.ones(3)
        >>> optimizer.step()
        >>> bool((weight < 1).all())
        True
    """

    REVISIONS = ("schedulefree",)

    @takes_options
    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        use_bias_correction: bool = False,
        compile: bool = False,
        process_group: ProcessGroup | None = None,
    ) -> None: ...
