"""EveryDream's `optimizer.json`: two optimizers, for the U-net and for the text encoder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ppsf_fast.domains import count, positive, refusal
from ppsf_fast.trainers import freezing, kinds
from ppsf_fast.trainers.build import Given, Plan, groups_of, plan
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.mistakes import ConfigError, Mistake, Notebook, inside
from ppsf_fast.trainers.onetrainer import choose
from ppsf_fast.trainers.schedule import SHAPES, Schedule

OPTIMIZERS: dict[str, Kind] = {
    "adamw": kinds.ADAMW,
    "adamw8bit": kinds.ADAMW8,
    "lion8bit": kinds.LION8,
    "lion": kinds.LION,
    "dadapt_lion": kinds.DADAPT_LION,
    "dadapt_adam": kinds.DADAPT_ADAM,
    "dadapt_sgd": kinds.DADAPT_SGD,
    "prodigy": kinds.PRODIGY,
    "prodigy_plus_schedule_free": kinds.PPSF,
}
#: Without a file, or where it is silent.
DEFAULTS: dict[str, Any] = {
    "optimizer": "adamw8bit",
    "betas": [0.9, 0.999],
    "weight_decay": 0.01,
    "epsilon": 1e-8,
}
_SCHEDULE = ("lr_scheduler", "lr_warmup_steps", "lr_decay_steps")
_SCALES = ("text_encoder_lr_scale", "text_encder_lr_scale")
_SECTIONS = (
    "doc",
    "base",
    "text_encoder_overrides",
    "text_encoder_freezing",
    "apply_grad_scaler_step_tweaks",
    *_SCALES,
)
_SETTINGS = frozenset().union(*(kind.settings for kind in OPTIMIZERS.values())) - {
    "beta1",
    "beta2",
    "eps",
    "bias_correction",
}
KEYS = (*sorted(_SETTINGS), "optimizer", "lr", "epsilon", "doc", *_SCHEDULE)


@dataclass(frozen=True, slots=True)
class EveryDream:
    """What the file describes. `text_encoder` is None if there is none to train."""

    unet: Optimizer
    text_encoder: Optimizer | None
    unet_schedule: Schedule
    text_encoder_schedule: Schedule


def from_everydream(
    config: Mapping[str, Any] | str | Path | None,
    unet: nn.Module,
    text_encoder: nn.Module | None = None,
    *,
    lr: float | None = None,
    total_steps: int | None = None,
) -> EveryDream:
    """The optimizers and schedules of an `optimizer.json`.

    Args:
        config: the file, what it contains, or None for the defaults: adamw8bit, betas (0.9, 0.999), weight decay 0.01,
            epsilon 1e-8, which also hold where `base` is silent.
        unet: its parameters are the group "unet".
        text_encoder: its parameters are the group "text encoder".
        lr: of the caller; goes before that of `base`.
        total_steps: where a decay ends that has no `lr_decay_steps`.

    Raises:
        ppsf_fast.trainers.ConfigError: with every mistake.
    """
    whole, notebook = _read(config), Notebook()
    for key in whole:
        if key not in _SECTIONS:
            notebook.unknown(str(key), key, _SECTIONS)
    base = _section(whole, "base", KEYS, notebook)
    own = _section(whole, "text_encoder_overrides", (*KEYS, *_SCALES), notebook)
    first = {key: Given("base", value, inherited=True) for key, value in DEFAULTS.items()} | base
    # What the caller says goes before the file (but not before an lr that the text encoder has of its own).
    rate = Given("lr", lr) if lr is not None else first.get("lr")
    plans = [_network(first, rate, total_steps, "base", notebook)]
    if text_encoder is not None:
        second = {key: Given(one.path, one.value, inherited=True) for key, one in first.items()} | own
        plans.append(
            _network(
                second, _rate_of_encoder(whole, own, rate, notebook), total_steps, "text_encoder_overrides", notebook
            )
        )
    frozen = _mapping(whole, "text_encoder_freezing", notebook)
    params = freezing.trained(text_encoder, frozen, "text_encoder_freezing", notebook) if text_encoder else []
    networks: list[dict[str, Any]] = [{"unet": unet}, {"text encoder": params}]
    made = [
        one.make(groups_of(network), notebook) if one else None
        for (one, _), network in zip(plans, networks, strict=False)
    ]
    notebook.close()
    assert made[0] is not None
    schedules = [schedule for _, schedule in plans]
    return EveryDream(made[0], made[1] if len(made) > 1 else None, schedules[0], schedules[-1])


def _read(config: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any]:
    if config is None or isinstance(config, Mapping):
        return config or {}
    try:
        found = json.loads(Path(config).read_text(encoding="utf-8"))
    except json.JSONDecodeError as wrong:
        raise ConfigError([Mistake(str(config), f"{config} is no JSON: {wrong}. Correct it there.")]) from wrong
    if not isinstance(found, dict):
        raise ConfigError(
            [Mistake(str(config), f"{config} must be an object, {{...}}, with the section base. Write one.")]
        )
    return found


def _mapping(whole: Mapping[str, Any], name: str, notebook: Notebook) -> Mapping[str, Any]:
    section = whole.get(name)
    if section is None:
        return {}
    if not isinstance(section, Mapping):
        notebook.note(name, f"={section!r} must be an object, {{...}}. Write one or leave {name} out.")
        return {}
    return section


def _section(whole: Mapping[str, Any], name: str, keys: tuple[str, ...], notebook: Notebook) -> dict[str, Given]:
    """What a section says; null says nothing."""
    found = {}
    for key, value in _mapping(whole, name, notebook).items():
        if key not in keys:
            notebook.unknown(inside(name, key), key, keys)
        elif value is not None and key != "doc":
            found[key] = Given(inside(name, key), value)
    return found


def _network(
    given: Mapping[str, Given], rate: Given | None, total: int | None, section: str, notebook: Notebook
) -> tuple[Plan | None, Schedule]:
    chosen = given["optimizer"]
    schedule = _schedule(given, total, notebook)
    kind = choose(chosen.value, OPTIMIZERS, chosen.path, notebook)
    if kind is None:
        return None, schedule
    special = {"optimizer", "lr", *_SCHEDULE, *_SCALES}
    settings = {"eps" if key == "epsilon" else key: one for key, one in given.items() if key not in special}
    path = chosen.path if chosen.path != "base" else section
    return plan(kind, settings, rate, path, notebook, f"{section}.{{name}}"), schedule


def _rate_of_encoder(
    whole: Mapping[str, Any], own: Mapping[str, Given], base: Given | None, notebook: Notebook
) -> Given | None:
    """Its own, or that of the U-net times the scale."""
    scales = [Given(key, whole[key]) for key in _SCALES if whole.get(key) is not None]
    scales += [own[key] for key in _SCALES if key in own]
    factors = [notebook.check(positive, one.path, one.value) for one in scales]
    if len(set(factors)) > 1:
        notebook.note(scales[1].path, f" and {scales[0].path} mean the same and differ: keep one of them.")
    if "lr" in own or base is None or not factors or None in factors:
        return own.get("lr", base)
    if isinstance(base.value, bool) or not isinstance(base.value, int | float):
        return base  # noted with the U-net
    return Given(base.path, base.value * factors[0])


def _schedule(given: Mapping[str, Given], total: int | None, notebook: Notebook) -> Schedule:
    """The schedule; one that decays needs an end."""
    name = given.get("lr_scheduler", Given("", "constant"))
    if not isinstance(name.value, str) or name.value not in SHAPES:
        allowed = f"one of {', '.join(SHAPES)}"
        notebook.note(name.path, refusal(name.path, name.value, allowed).removeprefix(name.path))
        return Schedule()
    steps = {key: notebook.check(count(), given[key].path, given[key].value) for key in _SCHEDULE[1:] if key in given}
    warmup, decay = steps.get("lr_warmup_steps") or 0, steps.get("lr_decay_steps", total)
    if name.value != "constant" and decay is None and "lr_decay_steps" not in steps:
        notebook.note(name.path, f"={name.value!r} has no end: give lr_decay_steps, or pass total_steps.")
    if decay is not None and warmup > decay and "lr_warmup_steps" in steps:
        notebook.note(
            given["lr_warmup_steps"].path, f"={warmup} is longer than the whole schedule of {decay} steps. Lower it.",
        )  # fmt: skip
    return Schedule(name.value, warmup, None if name.value == "constant" else decay)
