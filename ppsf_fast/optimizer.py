"""Prodigy with Schedule-Free averaging: what users and trainers construct and call."""

from __future__ import annotations

from torch.distributed import ProcessGroup
from torch.optim.optimizer import ParamsT

from ppsf_fast.base import RevisedOptimizer, takes_options


class ProdigyPlusScheduleFree(RevisedOptimizer):
    """Prodigy with Schedule-Free averaging: revision 1.9 of the specification, 2.0 or update3.

    Call :meth:`train` before training and :meth:`eval` before evaluating or saving the weights. Leave `lr` at
    1 and use no schedule: the step size is estimated.

    Args:
        params: float32, bfloat16 or float16 parameters, or groups of them. A group may give every option its own
            value, except `split_groups`, `split_groups_mean`, `rounding_seed` and `fused_back_pass`; keys that are
            no options are kept as they are.
        lr: multiplies the estimated step size; > 0, and 0 in a step pauses the group.
        betas: coefficients of the averaging of weights, in (0, 1), or of the first moment, in [0, 1); and of the second
            moment, in [0, 1).
        beta3: coefficient of the statistics of the estimate, in [0, 1); None: sqrt(betas[1]).
        weight_decay: decoupled weight decay, >= 0.
        weight_decay_by_lr: multiply the decay by the step size.
        use_bias_correction: bias-correct the second moment, and warm up as RAdam does; needs betas[1] > 0.6. In update3
            and where weights are not averaged: Adam's two corrections, for any betas.
        d0: first estimate, > 0, and the least: no option lets it fall below.
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
        fused_back_pass: parameters are moved one by one by :meth:`step_param`, as their gradients arrive, so that these
            can be freed at once; :meth:`step` ends the step. :func:`fuse_backward` installs the hooks.
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
        beta4: let the estimate follow the evidence as a moving average with this coefficient; negative: only when it
            falls. In (-1, 1); None: betas[1]; 0: it never falls.
        amplify_gradients: enter the statistics of the estimate with signed square roots.
        use_schedulefree: average the weights; otherwise keep a first moment, and there is no eval mode. Revision 2.0.
        schedulefree_c: refined averaging, >= 0; 0: off. Revision 2.0.
        d_limiter: let the estimate grow by at most a fourth of an octave in a step. Revision 2.0.
        slice_p: one element in this many enters the statistics of the estimate. Revision update3.
        warmup_steps: number of steps in which the step size grows to its full value. Revision update3.
        bf16_state: keep these samples in bfloat16. Revision update3.
        revision: of the specification: "1.9", "2.0" or "update3".
        compile: step by a kernel in C++, which is compiled when it is first needed; no option of the revision, and not
            saved. Without a compiler a warning says so, and the step goes on without it.
        process_group: processes that each have parameters of their own, as with ZeRO-1: they share the estimates, and
            each has to call :meth:`step` equally often. Not needed for sharded parameters, which show it; no option of
            the revision, and not saved.

    The defaults in the signature are those of revision 1.9. An option that is not given has the default of the
    revision: in 2.0 `split_groups_mean` is False and `d_limiter` True; in update3 `eps` is None, `factored` False,
    `stochastic_rounding` False and `amplify_gradients` True. A value that is given always wins.

    Raises:
        TypeError: an unknown option, or one that the revision does not have (PPSF-X-001), a value of a wrong type
            (PPSF-X-002), a parameter of another dtype (PPSF-X-006).
        ValueError: a value outside its domain (PPSF-X-002, PPSF-X-009), options that exclude each other (PPSF-X-003,
            PPSF-X-008).
        NotImplementedError: a revision that is not served.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = ProdigyPlusScheduleFree(model.parameters(), weight_decay=0.01)
        >>> for _ in range(10):
        ...     model(torch.ones(2, 4)).square().sum().backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
        >>> optimizer.param_groups[0]["k"]  # the step that comes next
        11
        >>> _ = optimizer.eval()  # now the parameters hold the averaged weights
    """

    REVISIONS = ("1.9", "2.0", "update3")

    @takes_options
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
        beta4: float | None = 0.0,
        amplify_gradients: bool = False,
        use_schedulefree: bool = True,
        schedulefree_c: float = 0.0,
        d_limiter: bool = False,
        slice_p: int = 11,
        warmup_steps: int = 0,
        bf16_state: bool = False,
        revision: str = "1.9",
        compile: bool = False,
        process_group: ProcessGroup | None = None,
    ) -> None: ...
