"""OneTrainer: the settings of its optimizer page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch.optim import Optimizer

from ppsf_fast.trainers import kinds
from ppsf_fast.trainers.build import Given, Networks, groups_of, plan
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.mistakes import Notebook, inside
from ppsf_fast.trainers.settings import SETTINGS

OPTIMIZERS: dict[str, Kind] = {
    "ADAGRAD": kinds.ADAGRAD,
    "ADAGRAD_8BIT": kinds.ADAGRAD8,
    "ADAM": kinds.ADAM,
    "ADAM_8BIT": kinds.ADAM8,
    "ADAMW": kinds.ADAMW,
    "ADAMW_8BIT": kinds.ADAMW8,
    "LAMB": kinds.LAMB,
    "LAMB_8BIT": kinds.LAMB8,
    "LARS": kinds.LARS,
    "LARS_8BIT": kinds.LARS8,
    "LION": kinds.LION,
    "LION_8BIT": kinds.LION8,
    "RMSPROP": kinds.RMSPROP,
    "RMSPROP_8BIT": kinds.RMSPROP8,
    "SGD": kinds.SGD,
    "SGD_8BIT": kinds.SGD8,
    "DADAPT_ADA_GRAD": kinds.DADAPT_ADAGRAD,
    "DADAPT_ADAM": kinds.DADAPT_ADAM,
    "DADAPT_ADAN": kinds.DADAPT_ADAN,
    "DADAPT_LION": kinds.DADAPT_LION,
    "DADAPT_SGD": kinds.DADAPT_SGD,
    "DADATP_SGD": kinds.DADAPT_SGD,  # so the page spells it
    "PRODIGY": kinds.PRODIGY,
    "ADAFACTOR": kinds.ADAFACTOR,
    "PRODIGY_PLUS_SCHEDULE_FREE": replace(kinds.PPSF, defaults={"revision": "2.0"}),  # the release that it pins
    "SCHEDULE_FREE_ADAMW": kinds.SCHEDULE_FREE,
}

#: The labels of the page, where they are not the names of the file in other letters.
LABELS = {
    "learning_rate": "lr",
    "initial_d": "d0",
    "d_coefficient": "d_coef",
    "eps_2": "eps2",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "beta_3": "beta3",
    "for_each": "foreach",
    "fuse_back_pass": "fused_back_pass",
    "optimizer_momentum": "momentum",
    "warmup_initialization": "warmup_init",
}
_OF_CLASSES = frozenset().union(*(kind.settings for kind in OPTIMIZERS.values()))
_KEYS = sorted((_OF_CLASSES | SETTINGS.keys() | {"lr", "learning_rate", "optimizer"}) - {"betas"})


def _name(key: object) -> str:
    """`Initial D` -> `d0`."""
    plain = re.sub(r"\W+", "_", str(key).strip().lower()).strip("_")
    return LABELS.get(plain, plain)


def from_onetrainer(config: Mapping[str, Any], networks: Networks, lr: float | None = None) -> Optimizer:
    """The optimizer that a configuration of OneTrainer describes.

    Args:
        config: the settings of the optimizer, by the keys of OneTrainer's files or the labels of its page, with the
            optimizer's name under `optimizer`; or a whole training configuration, of which `optimizer` and
            `learning_rate` are read. None means the default.
        networks: what is trained, under the names of the groups.
        lr: the learning rate, unless the configuration has one.

    Raises:
        ppsf_fast.trainers.ConfigError: with every mistake.
    """
    notebook, section, settings = Notebook(), "", config
    rate = Given("lr", lr)
    if isinstance(config.get("optimizer"), Mapping):
        section, settings = "optimizer", config["optimizer"]
        rate = Given("learning_rate", config.get("learning_rate", lr))
    given: dict[str, Given] = {}
    for key, value in settings.items():
        name, path = _name(key), inside(section, key)
        if name == "optimizer":
            continue
        if name == "lr":
            rate = Given(path, value) if value is not None else rate
        elif name in _KEYS:
            given[name] = Given(path, value)
        elif value is not None and not str(key).startswith("__"):  # its files hold a null for what others have
            notebook.unknown(path, key, _allowed(settings.get("optimizer")))
    path = inside(section, "optimizer")
    kind = choose(settings.get("optimizer"), OPTIMIZERS, path, notebook)
    if kind is None:
        _check_all(given, notebook)
        notebook.close()
        raise AssertionError
    _rename_bias_correction(kind, given)
    made = plan(kind, given, rate, path, notebook).make(groups_of(networks), notebook)
    notebook.close()
    assert made is not None
    return made


def _allowed(optimizer: object) -> list[str]:
    """The keys for an optimizer, or all of them."""
    kind = OPTIMIZERS.get(str(optimizer))
    return sorted((kind.settings - {"betas"}) | {"learning_rate", "optimizer"}) if kind else _KEYS


def _check_all(given: Mapping[str, Given], notebook: Notebook) -> None:
    """Without an optimizer settings can still be outside their domains."""
    for name, one in given.items():
        if one.value is not None and name in SETTINGS:
            notebook.check(SETTINGS[name], one.path, one.value)


def _rename_bias_correction(kind: Kind, given: dict[str, Given]) -> None:
    """The page calls both by one label; the classes do not."""
    for written, meant in (("bias_correction", "use_bias_correction"), ("use_bias_correction", "bias_correction")):
        if written in given and written not in kind.settings and meant in kind.settings:
            given[meant] = given.pop(written)


def choose(name: object, offered: Mapping[str, Kind], path: str, notebook: Notebook) -> Kind | None:
    """The optimizer of that name; without one None, and a note."""
    if isinstance(name, str):
        by_name = {one.lower(): kind for one, kind in offered.items()}
        if name.lower() in by_name:
            return by_name[name.lower()]
    allowed = ", ".join(offered)
    notebook.note(path, f"={name!r} is no optimizer: allowed are {allowed}. Choose one of them.")
    return None
