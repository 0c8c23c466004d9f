"""Our optimizers over processes hold every clause that lockstep sees, in whatever way their parameters are cut."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist

from ppsf_conformance import lockstep, run
from ppsf_conformance.drawing import draw_problems
from ppsf_conformance.problems import GroupSpec, ParamSpec, Problem
from ppsf_conformance.ranks import run as run_processes
from ppsf_conformance.sharded import MESHES, ShardedImplementation, SpreadImplementation, Way, ways
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_fast.distributed import declare_flat, step, turn
from ppsf_fast.distributed.bits import words
from ppsf_fast.distributed.layout import Runs
from ppsf_fast.distributed.parts import Part
from ppsf_fast.distributed.reductions import Partial
from ppsf_fast.state import factored_axes
from ppsf_ref import load_revision

pytestmark = pytest.mark.xdist_group("processes")
QUICK, NIGHTLY = 5, 400
#: What has to be evaluated in any run: sums over parameters, rows, columns and pools, and random bits.
STATISTICS = {"PPSF-D-002", "PPSF-D-004", "PPSF-V-003", "PPSF-V-005", "PPSF-C-001", "PPSF-R-004"}
#: Uneven pieces of what is factored, in turn with what is not.
FACTORED = (
    GroupSpec((ParamSpec((12, 33), "bfloat16"), ParamSpec((35, 6)), ParamSpec((5, 33)), ParamSpec((7,), "bfloat16"))),
    GroupSpec((ParamSpec((3, 33, 4)), ParamSpec((34, 4), "bfloat16"), ParamSpec((2, 3)))),
)

#: One row, with random bits, cut in every way there is: in some of them a process has no run at all, of a width that is
#: not 0.
ONE_ROW = (GroupSpec((ParamSpec((1, 6), "bfloat16"),) * 8),)


def drawn(revision: str, count: int, seed: int) -> list[Problem]:
    """Problems of a revision with all options but those that no sharded parameter takes."""
    own = run.implementation_for(run.OWN[revision], revision=revision).capabilities
    found = [Problem({}, groups, "noise", steps=3, seed=seed, revision=revision) for groups in (FACTORED, ONE_ROW)]
    draw_problems(own.dtypes, own.options - {"fused_back_pass", "fsdp_in_use"}, count, seed, found.append, revision)
    return found


def made(how: str, revision: str, tried: Sequence[Way]) -> TorchImplementation:
    """The optimizer of a revision, spread over processes."""
    plain = run.implementation_for(run.OWN[revision], revision=revision)
    if how == "DTensors":
        return ShardedImplementation(plain.cls, plain.names, tried)
    declare = declare_flat if how == "flat" else None
    return SpreadImplementation(plain.cls, plain.names, declare, {} if declare else {"process_group": dist.group.WORLD})


def judged(problems: dict[str, list[Problem]], how: str = "DTensors") -> tuple[int, list[str], dict[str, int]]:
    """Steps, what the law does not allow, and how often each clause was evaluated."""
    logging.getLogger("torch.distributed.tensor").setLevel(logging.ERROR)
    tried = ways()
    steps, wrong, seen = 0, list[str](), Counter[str]()
    for revision, own in problems.items():
        implementation = made(how, revision, tried)
        for problem in own:
            for transition in lockstep.play(implementation, problem):
                steps += transition.kind == "step"
                if _is_mine(steps):
                    verdict = lockstep.judge(transition, implementation.capabilities)
                    seen.update(verdict.clauses)
                    wrong += [] if verdict.ok else [f"{revision}, {problem}: {verdict.witness.detail}"]
    return steps, wrong, dict(seen)


def _is_mine(step: int) -> bool:
    """All processes see the same, so each judges its share of the steps."""
    return step % dist.get_world_size() == dist.get_rank()


def judged_over(world: int, count: int, seed: int, patience: float, how: str = "DTensors") -> None:
    """Judge all revisions over as many processes."""
    problems = {revision: drawn(revision, count, seed + world) for revision in run.OWN}
    if how == "dealt out":  # a process counts its own parameters, so the random bits are others
        problems = {revision: [without_chance(each) for each in own] for revision, own in problems.items()}
    found = run_processes(world, judged, problems, how, patience=patience)
    assert not [wrong for _, every, _ in found for wrong in every]
    assert len({steps for steps, *_ in found}) == 1
    assert found[0][0] > 2 * len(run.OWN) * count
    missing = (STATISTICS - {"PPSF-R-004"} if how == "dealt out" else STATISTICS) - {
        clause for _, _, seen in found for clause in seen
    }
    assert not missing


def without_chance(problem: Problem) -> Problem:
    """The same, rounded to nearest."""
    has = "stochastic_rounding" in load_revision(problem.revision).options
    return replace(problem, options={**problem.options, "stochastic_rounding": False}) if has else problem


@pytest.mark.parametrize(("how", "world"), [("flat", 3), ("dealt out", 2)])
@pytest.mark.clause("PPSF-N-020", "PPSF-N-021", "PPSF-N-022")
def test_every_step_of_runs_and_of_dealt_parameters_is_lawful(how: str, world: int) -> None:
    judged_over(world, QUICK, seed=300, patience=240, how=how)


@pytest.mark.parametrize("world", MESHES)
@pytest.mark.clause("PPSF-N-020", "PPSF-N-021", "PPSF-N-022")
def test_every_step_over_processes_is_lawful(world: int) -> None:
    judged_over(world, QUICK, seed=100, patience=240)


def without_others(asked: Sequence[Sequence[Partial]]) -> list[list[torch.Tensor]]:
    """What a product would take for sums that forgets the other processes."""
    return [[partial.values for partial in partials] for partials in asked]


#: What is replaced by what, in the product.
FAULTS: dict[str, tuple[Any, str, Any]] = {
    "sums of a pass": (step, "completed", without_others),
    "samples by local index": (Runs, "_found", lambda self, stride, device: slice(None, None, stride)),
    "bits by local index": (turn, "words", lambda runs, *others: words(Runs(torch.tensor([0]), runs.numel), *others)),
    "size of the piece": (turn.Moving, "_numel", property(lambda self: max(self._part.y.numel(), 1))),
    "factored by the piece": (Part, "axes", lambda self, rule: factored_axes(self.y.shape, rule.revision)),
}


def noticed() -> list[str]:
    """The faults that are found out over these processes."""
    problems = {"2.0": [Problem({"d0": 1e-2}, FACTORED, "noise", steps=2, seed=1, revision="2.0")]}
    found = []
    for name, (where, what, instead) in FAULTS.items():
        with mock.patch.object(where, what, instead):
            try:
                wrong = judged(problems)[1]
            except (AssertionError, RuntimeError, ValueError) as error:  # processes apart, or shapes that do not fit
                wrong = [str(error)]
        every: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(every, bool(wrong))
        found += [name] if any(every) else []
    return found


def test_faults_of_a_sharded_step_are_noticed() -> None:
    assert run_processes(2, noticed)[0] == list(FAULTS)


@pytest.mark.nightly
@pytest.mark.parametrize(("how", "world"), [*(("DTensors", world) for world in MESHES), ("flat", 3), ("dealt out", 2)])
def test_every_step_of_many_over_processes_is_lawful(how: str, world: int) -> None:
    judged_over(world, NIGHTLY, seed=200, patience=7200, how=how)
