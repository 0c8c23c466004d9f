"""Why not allclose: faults planted in the product, and the first step in which each criterion notices them.

``python -m conformance.suite.not_allclose`` at the root stores the table of docs/judge.md; some minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ppsf_conformance import lockstep
from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import ARRAYS, Implementation
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.run import OWN, implementation_for
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_ref import Float64, State, step

from .patches import COEFFICIENTS, STATISTICS, UPDATE, WEIGHTS, Patch, patched

RESULT = Path(__file__).resolve().parents[1] / "results" / "allclose.json"
PROBLEMS, STEPS = 4, 120
RTOL, ATOL = 1.3e-6, 1e-5
"""What torch.testing.assert_close takes for float32."""

FAULTS = (
    Patch("weights never updated", "PPSF-Z-003", WEIGHTS, "return new_y, new_z", "return y, z"),
    Patch(
        "sign of the update flipped", "PPSF-U-002", UPDATE,
        "return grad / (denom + rule.eps)", "return -grad / (denom + rule.eps)",
    ),
    Patch(
        "one element missing from $D$", "PPSF-D-004", STATISTICS,
        "norms.append(samples.total(sizes))", "norms.append(samples.total(sizes) - sizes[:, :1])",
    ),
    Patch(
        r"$\beta_1$ off by $10^{-4}$", "PPSF-Z-002", COEFFICIENTS,
        "reach = 1 - rule.beta1 * (1 - mix)", "reach = 1 - (rule.beta1 + 1e-4) * (1 - mix)",
    ),
    Patch(
        "learning rate off by a factor $1 + 2^{-21}$", "PPSF-G-004", COEFFICIENTS,
        "* rule.lr", "* (rule.lr * (1 + 2**-21))",
    ),
    Patch(
        "`eps` $10^{-7}$ instead of $10^{-8}$", "PPSF-U-002", UPDATE,
        "(denom + rule.eps)", "(denom + 10 * rule.eps)",
    ),
)  # fmt: skip


def problem(seed: int) -> pb.Problem:
    """A parameter of 40 x 25, pulled towards a point or pushed about by noise; unfactored, all else as it comes."""
    groups = (pb.GroupSpec((pb.ParamSpec((40, 25)),)),)
    return pb.Problem({"factored": False}, groups, ("pull", "noise")[seed % 2], steps=STEPS, seed=seed)


def outputs(state: State) -> Iterator[Any]:
    """All arrays and numbers of a state of one group."""
    group = state.groups[0]
    yield from (group.d, group.d_numerator, group.d_denom, group.weight_sum)
    for name in ARRAYS:
        if (array := getattr(group.params[0], name)) is not None:
            yield array


def close(found: State, expected: State) -> bool:
    """What torch.testing.assert_close says of all outputs, with its own tolerances for float32."""
    pairs = zip(outputs(found), outputs(expected), strict=True)
    return all(torch.allclose(_tensor(a), _tensor(b), rtol=RTOL, atol=ATOL) for a, b in pairs)


def _tensor(value: Any) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


class Criteria:
    """The three criteria, each over one run."""

    def __init__(self, implementation: Implementation) -> None:
        self._capabilities = implementation.capabilities
        self._free: State | None = None
        self.closest = 0.0

    def bound(self, transition: Transition) -> bool:
        """The derived bound, in lockstep."""
        verdict = lockstep.judge(transition, self._capabilities)
        self.closest = max([self.closest, *(one.ratio for one in verdict.comparisons)])
        return verdict.ok

    def lockstep(self, transition: Transition) -> bool:
        """assert_close, from the implementation's own state."""
        return close(transition.after.state, _law(transition, transition.before.state))

    def side_by_side(self, transition: Transition) -> bool:
        """assert_close, between two runs that began alike and saw the same gradients."""
        self._free = _law(transition, self._free or transition.before.state)
        return close(transition.after.state, self._free)


def _law(transition: Transition, state: State) -> State:
    config = lockstep.config_of(transition.problem, transition.rates)
    return step(config, lockstep.lifted(config, state, Float64()), transition.gradients, Float64())


def first_noticed(implementation: Implementation, problems: int, steps: int) -> dict[str, Any]:
    """The first step, over all problems, in which each criterion says no; None where it never does."""
    found: dict[str, int] = {}
    closest = 0.0
    for seed in range(problems):
        criteria = Criteria(implementation)
        tests: dict[str, Callable[[Transition], bool]] = {
            "bound": criteria.bound,
            "lockstep": criteria.lockstep,
            "side by side": criteria.side_by_side,
        }
        for transition in lockstep.play(implementation, problem(seed)):
            number = transition.t + 1
            if number > steps:
                break
            for name, test in tests.items():
                if number < found.get(name, steps + 1) and not test(transition):
                    found[name] = number
        closest = max(closest, criteria.closest)
    return {name: found.get(name) for name in ("bound", "lockstep", "side by side")} | {"closest": closest}


def with_fault(patch: Patch | None, folder: Path) -> TorchImplementation:
    """The product, or a copy of it with a fault."""
    product = implementation_for(OWN["1.9"])
    if patch is None:
        return product
    return TorchImplementation(patched(patch, folder).ProdigyPlusScheduleFree, product.names)


def main() -> None:
    """Measure and store."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for patch in (None, *FAULTS):
            name = patch.what if patch else "none"
            rows[name] = first_noticed(with_fault(patch, Path(folder)), PROBLEMS, STEPS)
            print(name, rows[name], flush=True)
    settings = {"problems": PROBLEMS, "steps": STEPS, "rtol": RTOL, "atol": ATOL, "torch": torch.__version__}
    RESULT.write_text(json.dumps({"settings": settings, "rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
