"""Lockstep: play a problem on an implementation, and judge each transition from the implementation's own state.

Error does not pile up, so the bound of one step decides: pass means inside it, with no factor on top.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from ppsf_conformance import problems as pb
from ppsf_conformance.adapter import ARRAYS, COUNTS, Array, Capabilities, Gradients, Implementation, Session, Snapshot
from ppsf_conformance.ahead import Ahead, changes_nothing
from ppsf_ref import (
    BFLOAT16,
    Allowed,
    Bounded,
    Config,
    Decision,
    GroupState,
    Numbers,
    ParamState,
    Running,
    State,
    Trace,
    evaluate,
    initial_state,
    load_revision,
    numbers,
    options_of,
    overriding,
    replaying,
    step,
    tracing,
    train,
    whole_options,
)
from ppsf_ref.carrier import everywhere, somewhere
from ppsf_ref.clauses.distance import Share
from ppsf_ref.clauses.options import group_options
from ppsf_ref.formats import FLOAT32, FLOAT64, Format, nearest
from ppsf_ref.law import Rule
from ppsf_ref.options import WHOLE_OPTIMIZER
from ppsf_ref.store import formats

Kind = Literal["step", "eval", "train"]
#: More undecided guards than this in one step are not replayed (2**n replays).
MOST_REPLAYED = 6

#: Of a state that no lawful step leaves behind, and of a wrong law that cannot run.
CANNOT_GO_ON = "the law cannot go on from this state"

#: The clause that owns each output: where a deviation is booked that no known fault explains.
OWNERS: Mapping[str, str] = {
    "y": "PPSF-Z-002",
    "z": "PPSF-Z-003",
    "x": "PPSF-Z-004",
    "y from x": "PPSF-Z-005",
    "m": "PPSF-U-010",
    "x0": "PPSF-L-001",
    "s": "PPSF-D-003",
    "v": "PPSF-V-001",
    "v_row": "PPSF-V-003",
    "v_col": "PPSF-V-003",
    "rms_sq": "PPSF-M-017",
    "d": "PPSF-D-007",
    "d_prev": "PPSF-D-007",
    "d_max": "PPSF-D-029",
    "n_max": "PPSF-M-042",
    "pull": "PPSF-M-040",
    "l1": "PPSF-M-040",
    "l2": "PPSF-M-040",
    "lr_max": "PPSF-Z-010",
    "stalled": "PPSF-M-022",
    "peak": "PPSF-M-022",
    "d_numerator": "PPSF-D-005",
    "d_denom": "PPSF-D-004",
    "weight_sum": "PPSF-Z-001",
    "k": "PPSF-L-002",
    "presence": "PPSF-L-001",
    "format": "PPSF-R-001",
    "mode": "PPSF-L-003",
    "raises": "PPSF-L-001",
}
#: Dataflow order: the earliest deviating output is the best witness, an exception before all.
ORDER = (
    "raises", "mode", "presence", "format", "k", "stalled", "peak", "x0", "v", "v_row", "v_col", "rms_sq", "m", "s",
    "l1", "l2", "pull", "d_denom", "d_numerator", "n_max", "d_prev", "d_max", "lr_max", "weight_sum", "z", "y", "x",
    "y from x", "d",
)  # fmt: skip
#: What the live weights are called, by event.
WEIGHTS: Mapping[Kind, str] = {"step": "y", "eval": "x", "train": "y from x"}


@dataclass(frozen=True)
class Transition:
    """One event in the life of an optimizer: the state before and after it."""

    problem: pb.Problem
    kind: Kind
    t: int
    rates: tuple[float, ...]
    before: Snapshot
    gradients: Gradients
    after: Snapshot
    raised: str = ""


class Comparison(NamedTuple):
    """One output of one transition. ``ratio`` is the largest error over bound; exact outputs have bound 0."""

    output: str
    where: str
    ok: bool
    ratio: float
    exact: bool
    undecided: int
    elements: int
    detail: str = ""


@dataclass(frozen=True)
class Verdict:
    """What came of judging one transition."""

    comparisons: tuple[Comparison, ...]
    clauses: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()
    ratios: Mapping[str, Array] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return all(comparison.ok for comparison in self.comparisons)

    @property
    def witness(self) -> Comparison:
        """The deviation to look at first."""
        wrong = [comparison for comparison in self.comparisons if not comparison.ok]
        return min(wrong, key=lambda comparison: ORDER.index(comparison.output))


# -------------------------------------------------------------------------------------------------------------- playing


def given_rates(problem: pb.Problem) -> tuple[float, ...]:
    """Each group's lr as constructed."""
    usual = problem.options.get("lr", options_of(load_revision(problem.revision)).lr)
    return tuple(group.options.get("lr", usual) for group in problem.groups)


class Raises(Exception):
    """A rule in the place of the step raises this where a release raises an exception of that name."""


class Refused(Exception):
    """An implementation's constructor does not take a valid problem."""


def play(implementation: Implementation, problem: pb.Problem) -> Iterator[Transition]:
    """Run a problem; yields its transitions as they happen.

    Raises:
        Refused: the constructor raises.
    """
    try:
        session = implementation.new(pb.constructor_groups(problem), problem.options)
    except Exception as error:  # whatever it is, it is the implementation's
        raise Refused(f"the constructor raises {type(error).__name__}: {error}") from error
    given = given_rates(problem)
    before, ahead = session.snapshot(), Ahead(bool(problem.options.get("fused_back_pass")))
    for t in range(problem.steps):
        rates = pb.learning_rates(problem, t, given)
        for i, rate in enumerate(rates):
            session.set_lr(i, rate)
        gradients = pb.gradients(problem, t, before)
        before = ahead.without(before, rates, gradients)
        raised = _attempt(session.step, gradients)
        after = session.snapshot()
        before = ahead.gone(before, after)
        yield Transition(problem, "step", t, rates, before, gradients, after, raised)
        if raised:
            return
        ahead.note(before, rates, gradients)
        before = after
        for kind in _switches(problem, t):
            raised = _attempt(session.eval if kind == "eval" else session.train)
            after = session.snapshot()
            yield Transition(problem, kind, t, rates, before, (), after, raised)
            before = after
        if not is_finite(before):
            return


def happened(
    problem: pb.Problem, kind: Kind, t: int, rates: tuple[float, ...], session: Session, gradients: Gradients
) -> Transition:
    """Let one event happen to a session: the transition."""
    before = session.snapshot()
    for i, rate in enumerate(rates):
        session.set_lr(i, rate)
    call = {"step": lambda: session.step(gradients), "eval": session.eval, "train": session.train}[kind]
    raised = _attempt(call)
    return Transition(problem, kind, t, rates, before, gradients, session.snapshot(), raised)


def _attempt(call: Callable[..., None], *args: Any) -> str:
    try:
        call(*args)
    except Exception as error:  # whatever it raises on a valid problem is a deviation
        return f"{type(error).__name__}: {error}"
    return ""


def _switches(problem: pb.Problem, t: int) -> tuple[Kind, ...]:
    return ("eval", "eval", "train") if problem.switches and t % 2 == 0 else ()


def is_finite(snapshot: Snapshot) -> bool:
    """Whether all live weights are finite."""
    return all(np.isfinite(p.y).all() for group in snapshot.state.groups for p in group.params)


# -------------------------------------------------------------------------------------------------------------- judging


def config_of(problem: pb.Problem, rates: Sequence[float]) -> Config:
    """The law's reading of a problem's options."""
    revision = load_revision(problem.revision)
    own = {name: value for name, value in problem.options.items() if name not in WHOLE_OPTIMIZER}
    defaults = options_of(revision, **own)
    groups = [group_options(defaults, group.options) for group in problem.groups]
    return Config(
        groups=tuple(replace(options, lr=lr) for options, lr in zip(groups, rates, strict=True)),
        dtypes=tuple(tuple(spec.dtype for spec in group.params) for group in problem.groups),
        revision=revision,
        **whole_options(revision, problem.options),
    )


def lifted(config: Config, state: State, lift: Numbers) -> State:
    """A float64 state in another number type; what the revision does not store has its first value."""

    def param(p: ParamState) -> ParamState:
        arrays = {name: getattr(p, name) for name in ARRAYS}
        return ParamState(**{name: None if a is None else lift.array(a) for name, a in arrays.items()})

    def group(g: GroupState, first: GroupState) -> GroupState:
        kept = {name: lift.scalar(getattr(g, name)) for name in config.revision.scalars}
        counts = {name: getattr(g, name) for name in COUNTS}
        return replace(first, **kept, **counts, k=g.k, params=tuple(map(param, g.params)))

    fresh = initial_state(config, [[] for _ in state.groups], lift)
    return replace(state, groups=tuple(map(group, state.groups, fresh.groups)))


def judge(
    transition: Transition,
    capabilities: Capabilities,
    rules: Mapping[str, Rule] | None = None,
    elsewhere: Sequence[Share] = (),
) -> Verdict:
    """Compare what an implementation did with the law, or with the law under overriding ``rules``.

    ``elsewhere`` is what other processes contribute to the estimate (PPSF-D-032). Where a jump guard is undecidable
    either outcome is right: the others are tried until one agrees.
    """
    with np.errstate(all="ignore"), overriding({**base_rules(capabilities), **(rules or {})}):
        first = _judge_once(transition, capabilities, (), elsewhere)
        doubts = sum(not decision.certain for decision in first.decisions)
        if first.ok or not 0 < doubts <= MOST_REPLAYED:
            return first
        every = itertools.product((False, True), repeat=doubts)
        replays = (_judge_once(transition, capabilities, outcomes, elsewhere) for outcomes in every)
        return next((verdict for verdict in replays if verdict.ok), first)


def next_to_it(x: Any, bits: Any) -> Any:
    """Stochastic rounding by bits that nobody knows."""
    return numbers.round_either_way(x, BFLOAT16)


def by_way_of_float32(x: Any, form: Format) -> Any:
    """Rounding to nearest, at once or from float64 to float32 and from there, as torch converts."""
    once = numbers.round_nearest(x, form)
    if not isinstance(x, Bounded) or form.precision >= FLOAT32.precision:
        return once
    low, high = (nearest(nearest(edge, FLOAT32), form) for edge in (x.low, x.high))
    return Allowed(once.value, np.minimum(once.low, low), np.maximum(once.high, high), on_grid=True)


def base_rules(capabilities: Capabilities) -> dict[str, Rule]:
    """What an implementation is free to do: with random bits of its own, and from arithmetic in float64."""
    bits = {} if capabilities.knows_bits else {"PPSF-R-003": next_to_it}
    wide: dict[str, Rule] = {"PPSF-R-002": by_way_of_float32} if capabilities.arithmetic.array is FLOAT64 else {}
    return {**bits, **wide}


def _judge_once(
    transition: Transition, capabilities: Capabilities, outcomes: Sequence[bool], elsewhere: Sequence[Share]
) -> Verdict:
    lift = Running(capabilities.arithmetic)
    with tracing() as trace, replaying(outcomes):
        config = config_of(transition.problem, transition.rates)
        before = lifted(config, transition.before.state, lift)
        try:
            expected = _expected(transition, config, before, lift, elsewhere)
            comparisons = list(_compare(expected, transition, config))
        except Raises as name:
            raised = transition.raised.partition(":")[0]
            comparisons = [(_fact("raises", f"{transition.kind}()", str(name), raised or "nothing"), NO_RATIOS)]
        except Exception as error:  # from a state that no lawful step leaves behind
            what = f"{CANNOT_GO_ON}: {type(error).__name__}: {error}"
            comparisons = [(Comparison("presence", "state", False, 0.0, True, 0, 1, what), NO_RATIOS)]
    return _verdict(comparisons, trace, () if capabilities.knows_bits else ("PPSF-R-004",))


def _expected(
    transition: Transition, config: Config, before: State, lift: Numbers, elsewhere: Sequence[Share]
) -> State:
    if transition.kind == "step":  # overrides of the whole step are of releases, which are judged alone
        others = {"elsewhere": elsewhere} if elsewhere else {}
        return step(config, before, transition.gradients, lift, **others)
    return (evaluate if transition.kind == "eval" else train)(config, before, lift)


def _verdict(comparisons: Sequence[tuple[Comparison, Array]], trace: Trace, unseen: tuple[str, ...]) -> Verdict:
    ratios: dict[str, list[Array]] = {}
    for comparison, values in comparisons:
        ratios.setdefault(comparison.output, []).append(values)
    joined = {name: np.concatenate(parts) for name, parts in ratios.items()}
    clauses = tuple(clause for clause in trace.clauses if clause not in unseen)
    return Verdict(
        tuple(comparison for comparison, _ in comparisons),
        clauses,
        tuple(trace.decisions),
        joined,
    )


NO_RATIOS = np.zeros(0)


def _compare(expected: State, transition: Transition, config: Config) -> Iterator[tuple[Comparison, Array]]:
    after = transition.after
    whole = transition.kind == "step" and not config.fused_back_pass
    idle = whole and changes_nothing(transition.rates, transition.gradients)
    yield _fact("raises", f"{transition.kind}()", "nothing", transition.raised or "nothing"), NO_RATIOS
    yield _fact("mode", "optimizer", expected.train_mode, after.state.train_mode), NO_RATIOS
    for i, (want, got) in enumerate(zip(expected.groups, after.state.groups, strict=True)):
        yield _fact("k", f"groups[{i}]", want.k, got.k), NO_RATIOS
        if config.groups[i].cosine_decay:
            for name in COUNTS:
                yield _fact(name, f"groups[{i}]", getattr(want, name), getattr(got, name)), NO_RATIOS
        for name in config.revision.scalars:
            yield _number(name, f"groups[{i}]", getattr(want, name), np.asarray(getattr(got, name)))
        for j, (p, q) in enumerate(zip(want.params, got.params, strict=True)):
            visited = transition.kind != "step" or _takes_part(transition, i, j)
            forms = formats(config.groups[i], config.dtypes[i][j])
            where = f"groups[{i}].params[{j}]"
            for name in ARRAYS:
                want, got = getattr(p, name), getattr(q, name)
                if want is not None and got is not None:
                    yield (
                        _fact("format", f"{where}.{name}", forms[name].name, after.formats[i][j][name]),
                        NO_RATIOS,
                    )
                    yield _number(WEIGHTS[transition.kind] if name == "y" else name, where, want, got)
                elif visited and not (idle and want is None):  # what has no part in a step is not observable in it
                    yield _fact("presence", f"{where}.{name}", _kept(want), _kept(got)), NO_RATIOS


def _takes_part(transition: Transition, i: int, j: int) -> bool:
    """Whether a parameter has to have state after a step: where lr and gradient are 0 it may or may not (L-001)."""
    gradient = transition.gradients[i][j]
    return gradient is not None and (transition.rates[i] != 0 or bool(np.any(gradient)))


def _kept(value: object) -> str:
    return "not kept" if value is None else "kept"


def _fact(output: str, where: str, want: object, got: object) -> Comparison:
    what = where if output == "presence" else f"{where}: {output}"
    detail = "" if want == got else f"{what} is {got}, the law says {want}"
    return Comparison(output, where, want == got, 0.0, True, 0, 1, detail)


def _number(output: str, where: str, want: Any, got: Array) -> tuple[Comparison, Array]:
    value, low, high = _range(want)
    if value.shape != got.shape:
        return _fact(output, where, f"of shape {value.shape}", f"of shape {got.shape}"), NO_RATIOS
    radius = np.maximum(high - value, value - low)
    free = ~np.isfinite(radius)
    inside = free | ((low <= got) & (got <= high))
    inexact = ~free & (radius > 0) & (not getattr(want, "on_grid", False))
    ok, error = everywhere(inside), np.abs(got - value)
    measured = _measured(error, radius, inexact)
    worst, detail = float(measured.max(initial=0.0)), ""
    if not ok:
        ratios = _ratios(error, radius, free, inside)
        worst = float(ratios[inexact | ~inside].max())
        detail = _describe(output, where, value, got, radius, ratios, inside)
    comparison = Comparison(output, where, ok, worst, not measured.size, somewhere(free), value.size, detail)
    return comparison, np.asarray(measured, np.float64)


def _measured(error: Array, radius: Array, inexact: Array) -> Array:
    """Error over bound where there is a bound to use up, as a vector."""
    if everywhere(inexact):
        return (error / radius).reshape(-1)
    return error[inexact] / radius[inexact] if somewhere(inexact) else NO_RATIOS


def _ratios(error: Array, radius: Array, free: Array, inside: Array) -> Array:
    """Error over bound: 0 where nothing can be said, and 0 or infinite where the bound is 0."""
    exact = np.where(inside, 0, np.inf)
    return np.where(free, 0, np.where(radius > 0, error / np.where(radius > 0, radius, 1), exact))


def _range(want: Any) -> tuple[Array, Array, Array]:
    if isinstance(want, Allowed):
        return want.value, want.low, want.high
    if isinstance(want, Bounded):
        return want.value, want.low, want.high
    exact = np.asarray(want, np.longdouble)
    return exact, exact, exact


def _describe(output: str, where: str, value: Array, got: Array, radius: Array, ratios: Array, inside: Array) -> str:
    index = np.unravel_index(int(np.argmax(np.where(inside, -1, ratios))), value.shape)
    place = f"{where}.{output}" + (f"[{', '.join(map(str, index))}]" if index else "")
    return (
        f"{place} is {float(got[index])!r}, the law says {float(value[index])!r} within {float(radius[index]):.3g}"
        f" ({int((~inside).sum())} of {value.size} outside, up to {float(ratios[index]):.3g} bounds)"
    )
