"""kohya's sd-scripts: `--optimizer_type` and `--optimizer_args`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from torch.optim import Optimizer

from ppsf_fast.trainers import kinds
from ppsf_fast.trainers.build import Given, Networks, groups_of, imported, plan
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.mistakes import Notebook
from ppsf_fast.trainers.onetrainer import choose

OPTIMIZERS: dict[str, Kind] = {
    "AdamW": kinds.ADAMW,
    "AdamW8bit": kinds.ADAMW8,
    "Lion": kinds.LION,
    "Lion8bit": kinds.LION8,
    "SGD": kinds.SGD,
    "SGDNesterov": kinds.SGD,
    "SGDNesterov8bit": kinds.SGD8,
    "DAdaptation": kinds.DADAPT_ADAM,
    "DAdaptAdaGrad": kinds.DADAPT_ADAGRAD,
    "DAdaptAdam": kinds.DADAPT_ADAM,
    "DAdaptAdan": kinds.DADAPT_ADAN,
    "DAdaptLion": kinds.DADAPT_LION,
    "DAdaptSGD": kinds.DADAPT_SGD,
    "Prodigy": kinds.PRODIGY,
    "AdaFactor": kinds.ADAFACTOR,
    "AdamWScheduleFree": kinds.SCHEDULE_FREE,
    "ProdigyPlusScheduleFree": kinds.PPSF,
}
_NESTEROV = {"momentum": 0.9, "nesterov": True}


def parse_args(args: Iterable[str], notebook: Notebook) -> dict[str, Given]:
    """Read `["weight_decay=0.01", "betas=0.9,0.99"]`; the value is a Python literal."""
    found: dict[str, Given] = {}
    for argument in args:
        name, equals, text = argument.partition("=")
        path = f"optimizer_args.{name.strip()}"
        if not equals:
            notebook.note(path, " has no value: write it as name=value.")
            continue
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            notebook.note(
                path, f"={text} is no Python literal: allowed are numbers, True, False, None, tuples and quoted text."
            )
            continue
        if name.strip() in found:
            notebook.note(path, " is given twice: keep one of them.")
        found[name.strip()] = Given(path, value)
    return found


def from_sd_scripts(
    optimizer_type: str, optimizer_args: Iterable[str], networks: Networks, lr: float | None = None
) -> Optimizer:
    """The optimizer that the arguments of sd-scripts describe.

    Args:
        optimizer_type: a name of sd-scripts, in any letters, or `module.Class`, which gets the arguments as they are.
        optimizer_args: `name=value`, each value a Python literal.
        networks: what is trained, under the names of the groups.
        lr: the learning rate; optimizers that estimate it take 1.

    Raises:
        ppsf_fast.trainers.ConfigError: with every mistake.

    Example:
        >>> import torch
        >>> optimizer = from_sd_scripts("prodigy", ["d_coef=0.8"], {"unet": torch.nn.Linear(2, 1)})
        >>> optimizer.param_groups[0]["d_coef"]
        0.8
    """
    notebook = Notebook()
    given = parse_args(optimizer_args, notebook)
    path = "optimizer_type"
    if "." in optimizer_type:
        return _by_path(optimizer_type, given, networks, lr, notebook)
    kind = choose(optimizer_type, OPTIMIZERS, path, notebook)
    if kind is None:
        notebook.close()
        raise AssertionError
    if optimizer_type.lower().startswith("sgdnesterov"):
        given = {**{name: Given(path, value) for name, value in _NESTEROV.items()}, **given}
    eps = given.get("eps")
    if kind.eps and eps is not None and isinstance(eps.value, tuple) and len(eps.value) == 2:
        given |= {"eps": Given(eps.path, eps.value[0]), "eps2": Given(eps.path, eps.value[1])}
    rate = given.pop("lr", Given("lr", lr))
    made = plan(kind, given, rate, path, notebook).make(groups_of(networks), notebook)
    notebook.close()
    assert made is not None
    return made


def _by_path(
    dotted: str, given: dict[str, Given], networks: Networks, lr: float | None, notebook: Notebook
) -> Optimizer:
    module, _, name = dotted.rpartition(".")
    kind = Kind(module.partition(".")[0], module, name, frozenset())
    cls = imported(kind, "optimizer_type", notebook)
    notebook.close()
    assert cls is not None
    options: dict[str, Any] = {name: one.value for name, one in given.items()}
    if lr is not None:
        options.setdefault("lr", lr)
    try:
        return cls(groups_of(networks), **options)
    except (TypeError, ValueError, NotImplementedError) as refused:
        notebook.note("optimizer_args", f": {name} refuses: {refused}")
    notebook.close()
    raise AssertionError
