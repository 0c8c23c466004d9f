"""Ten mistakes that people make in this optimizer: each one edit of ``lawful.py``, and the clause that it breaks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One wrong class.

    Attributes:
        name: of the class.
        clause: the one that it breaks, and that the report has to name first.
        thought: how one comes to it.
        old, new: what is written in the place of what, in ``lawful.py``.
    """

    name: str
    clause: str
    thought: str
    old: str
    new: str


MISTAKES = (
    Mistake(
        "WrongRoot",
        "PPSF-O-001",
        "beta3 taken as beta2 itself, its square root forgotten",
        'beta3 = math.sqrt(beta2) if group["beta3"] is None',
        'beta3 = beta2 if group["beta3"] is None',
    ),
    Mistake(
        "EstimateFalls",
        "PPSF-D-007",
        "the candidate, where there is one, replaces the estimate, also where it is smaller",
        "d=max(d, d_hat)",
        "d=d_hat if d_hat > 0 else d",
    ),
    Mistake(
        "WeightWithoutEstimate",
        "PPSF-Z-001",
        "steps are weighed by the learning rate, not by the estimate times it",
        "weight = dlr**2",
        'weight = group["lr"] ** 2',
    ),
    Mistake(
        "DecayForgetsZ",
        "PPSF-W-001",
        "weight decay reaches y, and z goes on without it",
        'self._store(state["z"], z - u * dlr, group, noise)',
        'self._store(state["z"], z - (u - (group["weight_decay"] and group["weight_decay"] * y)) * dlr, group, noise)',
    ),
    Mistake(
        "EvalUndoneWrongly",
        "PPSF-Z-005",
        "train() uses the share of eval()",
        "self._switch(True, lambda beta1: 1 - beta1)",
        "self._switch(True, lambda beta1: beta1)",
    ),
    Mistake(
        "StaleSum",
        "PPSF-D-003",
        "the sum of gradients is weighed by the estimate of the step before",
        'add_(sampled(g), alpha=du)',
        'add_(sampled(g), alpha=math.sqrt(group["d_prev"]))',
    ),
    Mistake(
        "RowsForColumns",
        "PPSF-V-002",
        "rows are means over the second largest axis",
        "*_, dc, dr = sorted(",
        "*_, dr, dc = sorted(",
    ),
    Mistake(
        "UnscaledAngle",
        "PPSF-U-003",
        "atan2(g, denom) as in the paper on Adam-atan2, without the bound",
        "torch.atan2(g, denom * bound) * bound",
        "torch.atan2(g, denom)",
    ),
    Mistake(
        "RoundsToNearest",
        "PPSF-R-003",
        "bfloat16 weights are rounded to nearest, so that small updates get lost",
        "drawn = torch.randint(0, 1 << 16, value.shape, dtype=torch.int32, generator=noise)",
        "drawn = 0x7FFF + ((value.view(torch.int32) >> 16) & 1)",
    ),
    Mistake(
        "LosesDtype",
        "PPSF-L-005",
        "load_state_dict() is torch's own, which casts the state to the dtype of its parameter",
        "self.state[params[index]] = {name: value.clone() for name, value in kept.items()}",
        "pass",
    ),
)  # fmt: skip
