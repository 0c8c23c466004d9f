"""Rounding as a step does it: to nearest, and at random, exact for each draw, by draws that are independent and repeat.

The steps here are made so that their result before rounding is known exactly: with beta2 = 0 the divisor is the size of
the gradient, a power of two so large that eps disappears beside it; so the update is 1, and y and z become their start
less d0 * lr, of which start and lr are chosen so that float32 holds the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ppsf_conformance.adapter import Array, Group, Implementation, Session, Weights, offers
from ppsf_conformance.checks.exact_rounding import DRAWS, fault_of
from ppsf_conformance.checks.finding import (
    Check,
    Finding,
    Overwritable,
    at_step,
    averages,
    rounds_stochastically,
    run,
    two_groups,
)
from ppsf_conformance.checks.lifecycle import neighbours
from ppsf_ref.clauses import rounding

D0, GRADIENT = 2.0**-20, 2.0**20
#: Elements: so many that among the draws for y and z, whose number is twice this, every one occurs.
MANY = 2**19
#: Starts (numbers of bfloat16), and what is taken from them: the lower halves of the results are a half, a single one,
#: all ones, nothing, and something; the sizes ordinary, the least normal, subnormal, and the largest.
TAKEN = (
    (1.0, 2.0**-9), (1.0, 0.5 - 0x10001 * 2.0**-24), (-1.5, 0xFFFF * 2.0**-23), (0.75, 2.0**-7),
    (1.5 * 2.0**-126, 0x1357 * 2.0**-149), (3 * 2.0**-133, 0x2469 * 2.0**-149),
    (-(2 - 2.0**-7) * 2.0**127, 0x4321 * 2.0**104),
)  # fmt: skip

#: Starts, what is taken, and the even one of the two numbers between which that lies in the middle: below, above.
TIES = ((1 + 2.0**-7, 2.0**-8, 1.0), (1 + 2.0**-6, 2.0**-8, 1 + 2.0**-6))

#: Where draws go both ways alike: start, what each step takes; and elements.
START, HALF, COINS = 1.0, 2.0**-9, 2**16
#: Seeds and step numbers that do not fit into 32 bits, the latter nor into float32.
WRAPPED = ((2**32 + 1, 1), (1, 2**32 + 2**24 + 1))
#: How improbable a result may be if draws are independent and fair.
IMPROBABLE = 2.0**-60


def _options(implementation: Implementation, **given: Any) -> dict[str, Any]:
    """Options under which an update is 1."""
    wanted = {
        "d0": D0,
        "betas": (0.9, 0.0),
        "prodigy_steps": 1,
        "use_stableadamw": False,
        "factored": False,
        "stochastic_rounding": True,
        **given,
    }
    return {name: value for name, value in wanted.items() if name in implementation.capabilities.options}


def _start(
    implementation: Implementation, values: Sequence[tuple[float, float]], count: int, **given: Any
) -> tuple[list[Group], dict[str, Any]]:
    """Groups and options for that."""
    groups = [Group((Weights(np.full(count, start), "bfloat16"),), {"lr": taken / D0}) for start, taken in values]
    return groups, _options(implementation, **given)


def _stepped(
    implementation: Implementation, values: Sequence[tuple[float, float]], count: int, **given: Any
) -> Session:
    """After one step that takes from each start what is given beside it; one group each."""
    session = implementation.new(*_start(implementation, values, count, **given))
    _take(session, len(values), count)
    return session


def _take(session: Session, groups: int, count: int) -> None:
    session.step([[np.full(count, GRADIENT)] for _ in range(groups)])


def _patterns(values: Array) -> Array:
    return np.asarray(values, np.float32).view(np.uint32)


def _exact(implementation: Implementation) -> Iterator[Finding]:
    """Under all draws; of an implementation whose draws nobody knows, that it gives one of the neighbours
    and that its draws are independent."""
    yield from neighbours(implementation)
    if not rounds_stochastically(implementation):
        return
    if not implementation.capabilities.knows_bits:
        yield from _independent(dict(_flips(implementation)))
        return
    state = _stepped(implementation, TAKEN, MANY, rounding_seed=5).snapshot().state
    for index, ((start, taken), group) in enumerate(zip(TAKEN, state.groups, strict=True)):
        exact = int(_patterns(np.asarray(start - taken)))
        (p,) = group.params
        draws = np.concatenate(rounding.rounding_bits(5, 1, index, MANY))
        results = _patterns(np.concatenate([np.asarray(p.y), np.asarray(p.z)]))
        yield from _by_draw(f"{start!r} less {taken!r}", exact, draws, results)


def _by_draw(what: str, exact: int, draws: Array, results: Array) -> Iterator[Finding]:
    table = np.zeros(DRAWS, np.uint32)
    table[draws] = results
    every = len(np.unique(draws)) == DRAWS
    alike = np.array_equal(table[draws], results)
    fault = fault_of(exact, table)
    yield Finding(every and alike, f"{what}: the result is no function of the draw")
    yield Finding(not fault, f"{what}: {fault}")


def _coins(session: Session, name: str) -> list[Array]:
    """An array of each group's parameter."""
    return [np.asarray(getattr(g.params[0], name)) for g in session.snapshot().state.groups]


def _independent(flips: Mapping[str, Array]) -> Iterator[Finding]:
    """Draws of elements, of y and z, of parameters, steps and seeds have nothing to do with one another."""
    reach = math.sqrt(math.log(2 / IMPROBABLE) / (2 * COINS / 2))  # Hoeffding, of half as many pairs
    first = next(iter(flips))
    for name, ups in flips.items():
        others = {"its neighbours": (ups[::2], ups[1::2]), f"those of {first}": (ups, flips[first])}
        for other, (a, b) in others.items():
            if a is not b:
                alike = float(np.mean(a == b))
                what = f"draws of {name} and {other} agree in {alike:.1%} of the cases"
                yield Finding(abs(alike - 0.5) <= reach, what)


def _random_bits(implementation: Implementation) -> Iterator[Finding]:
    """The draws are those of the specification, and can be repeated."""
    if rounds_stochastically(implementation) and implementation.capabilities.knows_bits:
        flips = dict(_flips(implementation))
        yield from _independent(flips)
        yield from _known(flips)
        yield from _wrapped(implementation)
        yield from _repeated(implementation)
        yield from _undisturbed(implementation)


def _flips(implementation: Implementation) -> Iterator[tuple[str, Array]]:
    """Which elements went up, by seed, step, parameter and array."""
    seeds = (0, 1) if "rounding_seed" in implementation.capabilities.options else (0,)
    for seed in seeds:
        session = _stepped(implementation, [(START, HALF)] * 2, COINS, rounding_seed=seed)
        for step in (1, 2):
            before = [np.full(COINS, START)] * 2 if step == 1 else _coins(session, "z")
            if step == 2:
                if any(group.d != D0 for group in session.snapshot().state.groups):
                    break  # the step would take something else, whatever clause that is about
                _take(session, 2, COINS)
            for index, (old, new) in enumerate(zip(before, _coins(session, "z"), strict=True)):
                yield f"seed {seed}, step {step}, parameter {index}, z", new == old
            if step == 1:
                yield f"seed {seed}, step 1, parameter 0, y", _coins(session, "y")[0] == START


def _known(flips: dict[str, Array]) -> Iterator[Finding]:
    """Half way between two numbers an element goes away from zero where its draw is 2**15 or more."""
    for name, ups in flips.items():
        seed, step, parameter = (int(part.split()[-1]) for part in name.split(", ")[:3])
        of_y, of_z = rounding.rounding_bits(seed, step, parameter, COINS)
        draws = of_y if name.endswith("y") else of_z
        yield Finding(np.array_equal(ups, draws >= DRAWS // 2), f"draws of {name} are not those of the specification")


def _wrapped(implementation: Implementation) -> Iterator[Finding]:
    """Of seed and step number the last 32 bits count, and all of them."""
    if "rounding_seed" not in implementation.capabilities.options:
        return
    for seed, step in WRAPPED:
        session = implementation.new(*_start(implementation, [(START, HALF)], COINS, rounding_seed=seed))
        if not isinstance(session, Overwritable):
            return
        session.put(at_step(session.snapshot(), step))
        _take(session, 1, COINS)
        yield from _known({f"seed {seed}, step {step}, parameter 0, z": _coins(session, "z")[0] == START})


def _repeated(implementation: Implementation) -> Iterator[Finding]:
    """After saving and loading the draws go on; by position they are the same whatever parameter is there."""
    session = _stepped(implementation, [(START, HALF)] * 2, COINS)
    copy = session.copied("saved")
    for each in (session, copy):
        _take(each, 2, COINS)
    same = all(map(np.array_equal, _coins(session, "z"), _coins(copy, "z")))
    yield Finding(same, "draws after saving and loading are others than without")
    there = _stepped(implementation, [(START, HALF), (0.75, HALF)], COINS)
    back = _stepped(implementation, [(0.75, HALF), (START, HALF)], COINS)
    ups = [[z == start for z, start in zip(_coins(s, "z"), starts, strict=True)] for s, starts in _orders(there, back)]
    yield Finding(all(map(np.array_equal, *ups)), "draws follow the parameter and not its position")


def _undisturbed(implementation: Implementation) -> Iterator[Finding]:
    """No global generator is moved by a step."""
    session = implementation.new(two_groups("bfloat16"), {})
    if offers(session, "drawn"):
        before = session.drawn()  # type: ignore[attr-defined]
        run(session, 2)
        moved = [name for name, state in session.drawn().items() if state != before[name]]  # type: ignore[attr-defined]
        yield Finding(not moved, f"a step moves the global generator of {', '.join(moved)}")


def _orders(there: Session, back: Session) -> tuple[tuple[Session, tuple[float, float]], ...]:
    return ((there, (START, 0.75)), (back, (0.75, START)))


def _to_nearest(implementation: Implementation) -> Iterator[Finding]:
    """Ties go to the even neighbour, and beyond the largest number is infinity."""
    yield from _beyond(implementation)
    if not rounds_stochastically(implementation):
        return
    values = [(start, taken) for start, taken, _ in TIES]
    groups = _stepped(implementation, values, 1, stochastic_rounding=False).snapshot().state.groups
    for (start, taken, even), group in zip(TIES, groups, strict=True):
        (p,) = group.params
        for name in ("y", "z"):
            got = float(np.asarray(getattr(p, name))[0])
            yield Finding(got == even, f"{start - taken!r}, a tie in bfloat16, becomes {got} in {name}, not {even}")


def _beyond(implementation: Implementation) -> Iterator[Finding]:
    """With beta2 = 0 an update is about 1, so this step takes a float16 weight beyond the largest one."""
    capabilities = implementation.capabilities
    if "float16" not in capabilities.dtypes or not averages(implementation):
        return
    wanted = {"lr": 64.0, "d0": 1.0, "betas": (0.9, 0.0), "use_stableadamw": False}
    given = {name: value for name, value in wanted.items() if name in capabilities.options}
    session = implementation.new([Group((Weights(np.array([65504.0, 1.0]), "float16"),), {})], given)
    session.step([[np.array([-1.0, -1.0])]])
    beyond, other = np.asarray(session.snapshot().state.groups[0].params[0].y)
    reaches = np.isfinite(other) and other > 40  # unless what it does is another thing altogether
    yield Finding(not reaches or np.isposinf(beyond), f"a float16 weight beyond 65520 becomes {beyond}, not inf")


#: By the clause each check holds.
RANDOM_CHECKS: dict[str, Check] = {"PPSF-R-002": _to_nearest, "PPSF-R-003": _exact, "PPSF-R-004": _random_bits}
