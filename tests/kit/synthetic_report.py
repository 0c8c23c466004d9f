"""A made-up report of realistic size: all clauses of revision 1.9, a sound and a flawed implementation."""

from __future__ import annotations

import math
import random
from typing import Any

from ppsf_conformance.report import (
    ClauseVerdict,
    Histogram,
    Implementation,
    OutputStats,
    RegimeStats,
    Report,
    Run,
    Spec,
    Summary,
    Training,
    TrainingRun,
    Verdict,
)

TITLES = {
    "N-001": "Sampling: every eleventh element",
    "O-001": "beta3 is the square root of beta2 by default",
    "O-002": "Adam-atan2 switches clipping off",
    "O-003": "Options of a group replace the constructor's",
    "G-001": "Who takes part in a step",
    "G-002": "Pools that share one estimate",
    "G-003": "The step estimate, harmonic mean over active groups",
    "G-004": "The effective step size",
    "D-001": "Weight of the statistics",
    "D-002": "Numerator: the item of one step",
    "D-003": "Gradient sum `s`",
    "D-004": "Denominator: the 1-norm of `s`",
    "D-005": "Numerator: decay and growth",
    "D-006": "Candidate estimate",
    "D-007": "The estimate never shrinks",
    "D-008": "The window in which the estimate adapts",
    "V-001": "Second moment, unfactored",
    "V-002": "Which axes are factored",
    "V-003": "Row and column moments",
    "V-004": "Denominator, unfactored",
    "V-005": "Denominator, factored",
    "U-001": "Bound of the update while warming up",
    "U-002": "Update with epsilon",
    "U-003": "Update by atan2",
    "C-001": "Clipping by root mean square",
    "W-001": "Weight decay through the update",
    "W-002": "Weight decay beside the update",
    "Z-001": "Averaging weight",
    "Z-002": "Live weights y",
    "Z-003": "Base sequence z",
    "Z-004": "Entering eval mode",
    "Z-005": "Entering train mode",
    "R-001": "Precision of arithmetic and state",
    "R-002": "Rounding to nearest even",
    "R-003": "Stochastic rounding, exactly unbiased",
    "R-004": "Random bits by counter",
    "R-005": "Special values survive rounding",
    "L-001": "When state is created",
    "L-002": "The step counter",
    "L-003": "Train and eval mode",
    "L-004": "A step with a non-finite gradient changes nothing",
    "L-005": "Saving and loading give back the same state",
    "L-006": "Closure",
    "L-007": "Groups added later",
    "X-001": "Unknown options",
    "X-002": "Domains of the options",
    "X-003": "Forbidden combinations",
    "X-004": "step() in eval mode raises",
    "X-005": "Sparse and complex gradients",
    "X-006": "Parameter dtypes",
    "X-007": "Options not served",
}
ERRATA: dict[str, dict[str, Any]] = {
    "ERR-0001": {
        "id": "ERR-0001",
        "title": "Factored second moment ignores one axis of tall matrices",
        "effect": "For a weight with more rows than columns, such as an MLP's up-projection, one axis is "
        "not normalised: single entries get updates from a quarter to thousands of times the intended size.",
        "spec_says": "`v_row` is divided by its mean over the second largest axis.",
        "observed": "The mean is taken over an axis of size 1, so the row factor is always 1.",
        "applies": "factored, more rows than columns",
        "implementations": [{"name": "prodigy-plus-schedule-free", "versions": "==1.9.2"}],
    },
    "ERR-0003": {
        "id": "ERR-0003",
        "title": "Groups beyond the first keep the old `d_prev` when the estimate is shared",
        "effect": "With `split_groups=False` the second moment of every further group is lost in each step.",
    },
    "ERR-0007": {
        "id": "ERR-0007",
        "title": "Initial weights are stored in bfloat16",
        "effect": "The first estimates of `d` are rounding noise; weights that never moved can raise it.",
    },
    "ERR-0012": {
        "id": "ERR-0012",
        "title": "Idle groups hold the shared estimate down",
        "effect": "One group without gradients keeps the step size of all others near `d0`.",
    },
    "ERR-0045": {
        "id": "ERR-0045",
        "title": "Stochastic rounding turns some NaNs into zeros",
        "effect": "A weight that has become NaN can silently continue as 0.",
    },
}
_FLAWS: dict[str, tuple[Verdict, tuple[str, ...], float | None, str]] = {
    "V-005": ("erratum", ("ERR-0001",), 2.6e7, "Shape (64, 32): the factor over rows is 1 everywhere."),
    "G-002": ("erratum", ("ERR-0003",), 4.1e5, "`d_prev` of group 1 stayed at 1e-6 while d rose to 0.1415."),
    "D-002": ("erratum", ("ERR-0007",), 8912.0, "x0 is stored in bfloat16."),
    "R-001": ("erratum", ("ERR-0007",), 8912.0, "State dtypes: p0 and s are bfloat16, declared float32."),
    "G-003": (
        "erratum",
        ("ERR-0012",),
        3.3e4,
        "The harmonic mean includes a group that never got a gradient.",
    ),
    "R-005": ("erratum", ("ERR-0045",), math.inf, "0x7fffffff became -0.0 in 128 of 128 draws."),
    "D-008": ("fail", (), math.inf, "With prodigy_steps=3, d still had to adapt in step 3 but was frozen."),
    "Z-001": (
        "fail",
        (),
        1.0004,
        "weight_sum was overwritten by the last parameter; expected 2 dlr², got dlr².",
    ),
    "L-004": ("fail", (), None, "One NaN in the gradient of parameter 1 changed parameters 0 and 2."),
    "R-003": ("unsupported", (), None, "The adapter cannot inject random bits."),
    "R-004": ("unsupported", (), None, "Draws from the global generator."),
    "X-004": ("not-run", (), None, ""),
}
_OUTPUTS = {
    "y": "Z-002",
    "z": "Z-003",
    "x": "Z-004",
    "v": "V-001",
    "v_row": "V-003",
    "s": "D-003",
    "d": "D-007",
}
_EXACT = {"k": "L-002", "bf16 bits": "R-004", "x0": "L-001"}
_REGIMES = (
    "warm-up",
    "growth",
    "saturated",
    "tiny gradients",
    "huge gradients",
    "cancelling numerator",
    "near a guard",
)


def synthetic_report(training: bool = True) -> Report:
    return Report(
        spec=Spec("1.9", "3f8a" * 16),
        run=Run(
            date="2026-11-20T18:40:12Z",
            seconds=214.7,
            seed=20261120,
            profile="ci",
            python="3.11.7",
            torch="2.13.0",
            numpy="2.3.5",
            platform="Linux-6.1.0-x86_64-with-glibc2.36",
            cpu="AMD EPYC 9654 96-Core Processor",
        ),
        implementations=(_sound(), _flawed()),
        training=_training() if training else None,
    )


def _sound() -> Implementation:
    draw = random.Random(1)
    clauses = tuple(_passing(short, title, draw) for short, title in TITLES.items())
    return Implementation(
        name="ppsf-fast",
        version="0.1.0",
        class_="ppsf_fast:ProdigyPlusScheduleFree",
        arithmetic={"array": "float32", "scalar": "float64", "accumulate": "float64"},
        summary=Summary(problems=1200, steps=24_118, undecided_fraction=0.00042, passed=True),
        clauses=clauses,
        outputs=_outputs(draw, 0.0),
        regimes=tuple(RegimeStats(name, 171, 3445, draw.uniform(0.2, 0.97)) for name in _REGIMES),
    )


def _flawed() -> Implementation:
    draw = random.Random(2)
    return Implementation(
        name="prodigy-plus-schedule-free",
        version="1.9.2",
        class_="prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree",
        arithmetic={"array": "float32", "scalar": "float64", "accumulate": "float32", "reduction_depth": 64},
        summary=Summary(problems=1200, steps=22_960, undecided_fraction=0.0031, passed=False),
        clauses=tuple(_flawed_clause(short, title, draw) for short, title in TITLES.items()),
        outputs=_outputs(draw, 0.35),
        regimes=tuple(RegimeStats(name, 171, 3280, 10 ** draw.uniform(-3, 2)) for name in _REGIMES),
    )


def _passing(short: str, title: str, draw: random.Random) -> ClauseVerdict:
    measured = short[0] in "DVUCWZ"
    largest = round(10 ** draw.uniform(-2.3, -0.01), 4) if measured else None
    return ClauseVerdict(f"PPSF-{short}", title, "pass", (), draw.randrange(40, 24_000), largest)


def _flawed_clause(short: str, title: str, draw: random.Random) -> ClauseVerdict:
    if short not in _FLAWS:
        return _passing(short, title, draw)
    verdict, errata, largest, message = _FLAWS[short]
    minimal = {
        "seed": 17,
        "config": {"d0": "0x1.0c6f7a0b5ed8dp-20", "prodigy_steps": 3, "factored": True},
        "step": 3,
        "g": ["0x1.8p-3", "-0x1p-24", "0x0p+0"],
        "expected": "0x1.21b4c2p-3",
        "got": "0x1.0c6f7ap-20",
    }
    shown = minimal if verdict == "fail" else None
    checks = 0 if verdict in ("unsupported", "not-run") else draw.randrange(40, 24_000)
    return ClauseVerdict(f"PPSF-{short}", title, verdict, errata, checks, largest, message, shown)


def _outputs(draw: random.Random, shift: float) -> tuple[OutputStats, ...]:
    measured = tuple(_output(name, f"PPSF-{clause}", draw, shift) for name, clause in _OUTPUTS.items())
    exact = tuple(OutputStats(name, f"PPSF-{clause}", 24_118, True, 0.0) for name, clause in _EXACT.items())
    return measured + exact


def _output(name: str, clause: str, draw: random.Random, shift: float) -> OutputStats:
    edges = tuple(-6 + 0.25 * step for step in range(33))
    centre, width = draw.uniform(-1.6, -1.0) + shift, draw.uniform(0.3, 0.45)
    top = -0.01 if shift == 0 else draw.choice((-0.02, 1.2))
    samples = [min(draw.gauss(centre, width) - draw.expovariate(2.5), top) for _ in range(6000)]
    counts = [0] * (len(edges) - 1)
    for sample in samples:
        if sample > edges[0]:
            counts[int((sample - edges[0]) / 0.25)] += 97
    compared = int(sum(counts) * draw.uniform(1.02, 1.9))
    return OutputStats(name, clause, compared, False, 10 ** max(samples), Histogram(edges, tuple(counts)))


def _training() -> Training:
    draw = random.Random(3)
    names, seeds = ("ppsf-fast", "prodigy-plus-schedule-free"), (0, 1, 2)
    runs = tuple(_run(name, seed, draw, slow) for slow, name in enumerate(names) for seed in seeds)
    return Training("digits", 10, seeds, runs)


def _run(name: str, seed: int, draw: random.Random, slow: float) -> TrainingRun:
    epochs = range(1, 11)
    rate = draw.uniform(0.55, 0.65) - 0.08 * slow
    return TrainingRun(
        implementation=name,
        seed=seed,
        loss=tuple(2.2 * math.exp(-rate * epoch) + 0.01 for epoch in epochs),
        accuracy=tuple(98.6 - 40 * math.exp(-1.2 * rate * epoch) + draw.uniform(-0.3, 0.3) for epoch in epochs),
        d=tuple(6.5e-3 * (1 - math.exp(-rate * epoch)) ** 3 for epoch in epochs),
        seconds=draw.uniform(2, 4),
    )
