"""From a scene to a state and its gradients, without a number that depends on the machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ppsf_conformance.adapter import SCALARS
from ppsf_conformance.vectors.draws import f32, positive, signed, words
from ppsf_conformance.vectors.scenes import Param, Scene
from ppsf_ref import Config, GroupState, State, evaluate, initial_state, load_revision, options_of, step, whole_options
from ppsf_ref.clauses.options import group_options
from ppsf_ref.formats import FLOAT32, FORMATS, Array, nearest
from ppsf_ref.options import WHOLE_OPTIMIZER

Gradients = list[list[Array | None]]

#: Sizes of weights and gradients, as exponents.
WEIGHT, GRADIENT = signed(-2, 0), signed(-3, 1)


@dataclass(frozen=True)
class Scenery:
    """What a vector begins with."""

    config: Config
    before: State
    gradients: Gradients


def config_of(scene: Scene) -> Config:
    """The law's reading of a scene's options.

    The first estimates are float32 numbers: a stored d is compared with d0, and is to be equal to it in any format.
    """
    revision = load_revision(scene.revision)
    own = scene.own or [{} for _ in scene.groups]
    defaults = options_of(revision, **{k: v for k, v in scene.options.items() if k not in WHOLE_OPTIMIZER})
    groups = [group_options(defaults, given) for given in own]
    return Config(
        groups=tuple(replace(options, d0=f32(options.d0)) for options in groups),
        dtypes=tuple(tuple(p.dtype for p in row) for row in scene.groups),
        revision=revision,
        **whole_options(revision, scene.options),
    )


def prepared(scene: Scene) -> Scenery:
    """The state before the call, and its gradients."""
    config, seed = config_of(scene), f"{scene.revision}/{scene.comment}"
    start = [[_values(p, WEIGHT, f"{seed}/y/{i}/{j}") for j, p in enumerate(row)] for i, row in enumerate(scene.groups)]
    state = initial_state(config, start)
    with np.errstate(all="ignore"):
        for t in range(scene.lead):
            state = settled(step(config, settled(state), _gradients(scene, seed, t, final=False)))
        if scene.call == "train":
            state = evaluate(config, state)
    return Scenery(config, settled(state), _gradients(scene, seed, scene.lead, final=True))


def settled(state: State) -> State:
    """A state whose numbers are float32 ones: the last bits of a library's functions are gone."""

    def group(g: GroupState) -> GroupState:
        numbers: dict[str, Any] = {name: nearest(np.asarray(getattr(g, name)), FLOAT32) for name in SCALARS}
        return replace(g, **numbers)

    return replace(state, groups=tuple(map(group, state.groups)))


def _values(param: Param, draw: Callable[[Iterator[int]], float], seed: str) -> Array:
    stream = words(seed)
    values = np.array([draw(stream) for _ in range(math.prod(param.shape))]).reshape(param.shape)
    return nearest(values, FORMATS[param.dtype])


def _gradients(scene: Scene, seed: str, t: int, final: bool) -> Gradients:
    absent = set(scene.absent) if final else set()

    def one(i: int, j: int, param: Param) -> Array | None:
        made = GRADIENTS[scene.gradients](param, f"{seed}/g/{i}/{j}", t, final, (i, j))
        return None if made is None or (i, j) in absent else nearest(made, FORMATS[param.dtype])

    return [[one(i, j, p) for j, p in enumerate(row)] for i, row in enumerate(scene.groups)]


Source = Callable[[Param, str, int, bool, tuple[int, int]], Array | None]


def _steady(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    """Alike in every step, but for a tenth."""
    other = _values(param, signed(-3, -1), f"{seed}/{t}")
    return np.asarray(_values(param, GRADIENT, seed) * (1 + other / 8))


def _turning(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    return _steady(param, seed, t, final, place) * (1 if t < 3 else -1)


def _zero(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    return np.zeros(param.shape)


def _ceasing(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    return _zero(param, seed, t, final, place) if final else _steady(param, seed, t, final, place)


def _tiny(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    return _steady(param, seed, t, final, place) * 2.0**-40


def _wide(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    return _values(param, positive(-30, 3), seed) * np.sign(_steady(param, seed, t, final, place))


def _late(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array | None:
    """The first parameter of all comes in every step, the others in the last one only."""
    return _steady(param, seed, t, final, place) if final or place == (0, 0) else None


def _nan(param: Param, seed: str, t: int, final: bool, place: tuple[int, int]) -> Array:
    made = _steady(param, seed, t, final, place)
    if final and place == (0, 1):
        made[0] = np.nan
    return made


GRADIENTS: Mapping[str, Source] = {
    "steady": _steady,
    "turning": _turning,
    "zero": _zero,
    "ceasing": _ceasing,
    "tiny": _tiny,
    "wide": _wide,
    "late": _late,
    "nan": _nan,
}
