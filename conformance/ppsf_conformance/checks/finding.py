"""What a check reports, and the small problem most of them start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ppsf_conformance.adapter import (
    ARRAYS,
    SCALARS,
    Array,
    Group,
    Implementation,
    Lacking,
    Session,
    Snapshot,
    Weights,
)
from ppsf_ref import GroupState, ParamState, State
from ppsf_ref.formats import FORMATS, nearest
from ppsf_ref.options import Revision, load_revision, options_of, whole_options

SHAPES = ((4, 3), (40, 33), (13,))


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    message: str


Check = Callable[[Implementation], Iterator[Finding]]


@runtime_checkable
class Overwritable(Protocol):
    """What a session may offer beside :class:`ppsf_conformance.adapter.Session`."""

    def put(self, wanted: Snapshot) -> None: ...


def at_step(snapshot: Snapshot, k: int) -> Snapshot:
    """The same when step ``k`` of every pool is about to begin."""
    groups = tuple(replace(group, k=k) for group in snapshot.state.groups)
    return replace(snapshot, state=replace(snapshot.state, groups=groups))


def weights(seed: int, dtype: str = "float32", shapes: Sequence[tuple[int, ...]] = SHAPES) -> tuple[Weights, ...]:
    """Parameters with normal weights."""
    rng = np.random.default_rng(seed)
    return tuple(Weights(nearest(rng.normal(size=shape), FORMATS[dtype]), dtype) for shape in shapes)


def two_groups(dtype: str = "float32", **first: Any) -> list[Group]:
    """Two groups of ordinary parameters; options for the first."""
    return [Group(weights(1, dtype), first), Group(weights(2, dtype), {})]


def poolings(implementation: Implementation) -> Sequence[Mapping[str, bool]]:
    """Options for separate groups and for one pool, as far as the implementation offers the choice."""
    offered = "split_groups" in implementation.capabilities.options
    return ({"split_groups": True}, {"split_groups": False}) if offered else ({},)


def revision_of(implementation: Implementation) -> Revision:
    """The revision that an implementation is judged by."""
    return load_revision(implementation.capabilities.revision)


def splits(implementation: Implementation, pooling: Mapping[str, bool]) -> bool:
    """Whether each group has an estimate of its own under these options."""
    return bool(whole_options(revision_of(implementation), pooling).get("split_groups", True))


def averages(implementation: Implementation) -> bool:
    """Whether weights are averaged unless an option says otherwise."""
    return options_of(revision_of(implementation)).use_schedulefree


def rounds_stochastically(implementation: Implementation) -> bool:
    """Whether it has bfloat16 parameters and the option to round them stochastically."""
    capabilities = implementation.capabilities
    return "bfloat16" in capabilities.dtypes and "stochastic_rounding" in capabilities.options


def gradients(session: Session, seed: int) -> list[list[Array | None]]:
    """A gradient for every parameter: mostly one direction, so that d grows."""
    always, now = np.random.default_rng(7), np.random.default_rng(seed)
    snapshot = session.snapshot()
    return [
        [
            nearest(
                always.normal(size=p.y.shape) + 0.1 * now.normal(size=p.y.shape),
                FORMATS[snapshot.formats[i][j]["y"]],
            )
            for j, p in enumerate(group.params)
        ]
        for i, group in enumerate(snapshot.state.groups)
    ]


def run(session: Session, steps: int, start: int = 0) -> None:
    """A few ordinary steps."""
    for t in range(start, start + steps):
        session.step(gradients(session, t))


def difference(a: State, b: State) -> str:
    """Where two states differ, bit for bit; empty if nowhere."""
    if a.train_mode != b.train_mode:
        return f"train mode {a.train_mode} and {b.train_mode}"
    if len(a.groups) != len(b.groups):
        return f"{len(a.groups)} and {len(b.groups)} groups"
    pairs = enumerate(zip(a.groups, b.groups, strict=True))
    return next((text for i, (g, h) in pairs if (text := _group_difference(f"groups[{i}]", g, h))), "")


def _group_difference(where: str, a: GroupState, b: GroupState) -> str:
    for name in (*SCALARS, "k"):
        if not _same(getattr(a, name), getattr(b, name)):
            return f"{where}.{name} is {getattr(a, name)} and {getattr(b, name)}"
    pairs = enumerate(zip(a.params, b.params, strict=True))
    return next((text for j, (p, q) in pairs if (text := _param_difference(f"{where}.params[{j}]", p, q))), "")


def _param_difference(where: str, a: ParamState, b: ParamState) -> str:
    return next((f"{where}.{name}" for name in ARRAYS if not _same(getattr(a, name), getattr(b, name))), "")


def _same(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return bool(first.shape == second.shape and first.tobytes() == second.tobytes())


def same_formats(a: Snapshot, b: Snapshot) -> bool:
    """Whether all arrays are stored in the same formats."""
    return a.formats == b.formats


def outcome(action: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    """Name of the exception that a call raises, or ``"accepted"``.

    Raises:
        Lacking: the call does.
    """
    try:
        action(*args, **kwargs)
    except Lacking:
        raise
    except Exception as error:  # any: the question is whether, and what, it raises
        return type(error).__name__
    return "accepted"


def agrees(expected: str, got: str, kinds: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether both accept, or both refuse with an exception of a fitting kind."""
    if "accepted" in (expected, got):
        return expected == got
    return got in kinds.get(expected, (expected,))
