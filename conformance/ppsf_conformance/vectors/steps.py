"""Step vectors: options, a state, gradients, and what every stored number may be after one call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ppsf_conformance.adapter import ARRAYS, COUNTS
from ppsf_conformance.lockstep import lifted
from ppsf_conformance.vectors.catalogue.stepsize import precise_cosine
from ppsf_conformance.vectors.encode import option, written
from ppsf_conformance.vectors.expected import ARITHMETICS
from ppsf_conformance.vectors.floats import rounded, text
from ppsf_conformance.vectors.scenes import Scene
from ppsf_conformance.vectors.trajectory import Scenery, prepared
from ppsf_ref import (
    Allowed,
    Config,
    Numbers,
    ParamState,
    Precise,
    Running,
    State,
    evaluate,
    overriding,
    step,
    tracing,
    train,
)
from ppsf_ref.formats import FLOAT32, Array, down, up
from ppsf_ref.options import WHOLE_OPTIMIZER
from ppsf_ref.store import formats


def case(scene: Scene, identifier: str) -> dict[str, Any]:
    """One step vector as JSON data.

    Raises:
        ValueError: a guard is open, so that there is no single answer.
    """
    scenery = prepared(scene)
    config, before = scenery.config, scenery.before
    with np.errstate(all="ignore"), tracing() as trace:
        allowed = called(scene, scenery, Running(ARITHMETICS["float32"]))
    if not all(decision.certain for decision in trace.decisions):
        raise ValueError(f"{identifier}, {scene.comment}: a guard is open")
    with np.errstate(all="ignore"), overriding({"PPSF-M-023": precise_cosine}):
        values = called(scene, scenery, Precise())
    after = _after(config, values, allowed)
    gradients = [[written("array", g) for g in row] for row in scenery.gradients] if scene.call == "step" else []
    return {
        "id": identifier,
        "comment": scene.comment,
        "flags": list(scene.flags),
        "clauses": sorted(trace.clauses),
        "call": scene.call,
        "options": {name: option(value) for name, value in whole(config).items()},
        "groups": [_described(config, scene, i) for i in range(len(scene.groups))],
        "before": _state(config, before),
        "gradients": gradients,
        "after": after,
    }


def called(scene: Scene, scenery: Scenery, lift: Numbers) -> State:
    """The state after the call, in a number type."""
    before = lifted(scenery.config, scenery.before, lift)
    if scene.call == "step":
        return step(scenery.config, before, scenery.gradients, lift)
    return (evaluate if scene.call == "eval" else train)(scenery.config, before, lift)


def whole(config: Config) -> dict[str, Any]:
    """Options of the whole optimizer that the revision has."""
    return {name: getattr(config, name) for name in WHOLE_OPTIMIZER if name in config.revision.options}


def _described(config: Config, scene: Scene, i: int) -> dict[str, Any]:
    names = sorted(config.revision.options - set(WHOLE_OPTIMIZER) - {"fsdp_in_use"})
    params = [{"shape": list(p.shape), "dtype": p.dtype} for p in scene.groups[i]]
    return {"options": {name: option(getattr(config.groups[i], name)) for name in names}, "params": params}


def _kept_scalars(config: Config, i: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return config.revision.scalars, ("k", *(COUNTS if config.groups[i].cosine_decay else ()))


def _state(config: Config, state: State) -> dict[str, Any]:
    def param(p: ParamState) -> dict[str, Any]:
        return {name: written("array", value) for name in ARRAYS if (value := getattr(p, name)) is not None}

    groups = []
    for i, g in enumerate(state.groups):
        numbers, counts = _kept_scalars(config, i)
        shown = {name: text(getattr(g, name)) for name in numbers} | {name: getattr(g, name) for name in counts}
        groups.append({**shown, "params": [param(p) for p in g.params]})
    return {"train_mode": state.train_mode, "groups": groups}


def _after(config: Config, values: State, allowed: State) -> dict[str, Any]:
    groups = []
    for i, (v, a) in enumerate(zip(values.groups, allowed.groups, strict=True)):
        numbers, counts = _kept_scalars(config, i)
        shown: dict[str, Any] = {name: _number(getattr(v, name), getattr(a, name)) for name in numbers}
        shown |= {name: getattr(a, name) for name in counts}
        params = []
        for j, (p, q) in enumerate(zip(v.params, a.params, strict=True)):
            forms = formats(config.groups[i], config.dtypes[i][j])
            kept = [name for name in ARRAYS if getattr(q, name) is not None]
            params.append({n: {"dtype": forms[n].name, **_array(getattr(p, n), getattr(q, n))} for n in kept})
        groups.append({**shown, "params": params})
    return {"train_mode": allowed.train_mode, "groups": groups}


def _number(value: Any, allowed: Any) -> dict[str, str]:
    low, high = text(float(down(allowed.low, FLOAT32))), text(float(up(allowed.high, FLOAT32)))
    return {"value": text(rounded(value)), "low": low, "high": high}


def _array(value: Any, allowed: Any) -> dict[str, Any]:
    low, high = _ends(allowed)
    exact = np.asarray(value, object).reshape(-1)
    ends = {"low": [text(x) for x in low], "high": [text(x) for x in high]}
    return {"shape": list(np.shape(value)), "value": [text(rounded(x)) for x in exact], **ends}


def _ends(allowed: Any) -> tuple[Array, Array]:
    """Least and largest stored number. What an array stores is a float32 number at most, so the ends are."""
    low, high = np.asarray(allowed.low).reshape(-1), np.asarray(allowed.high).reshape(-1)
    if isinstance(allowed, Allowed) and allowed.on_grid:
        return low.astype(np.float64), high.astype(np.float64)
    return up(low, FLOAT32).astype(np.float64), down(high, FLOAT32).astype(np.float64)


def outside(wanted: Mapping[str, Any], got: Array) -> bool:
    """Whether stored numbers leave their intervals; one without ends holds everything."""
    low, high = (np.array([float.fromhex(x) for x in _listed(wanted[end])]) for end in ("low", "high"))
    free = np.isneginf(low) & np.isposinf(high)
    return not bool(np.all(free | ((low <= got.reshape(-1)) & (got.reshape(-1) <= high))))


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
