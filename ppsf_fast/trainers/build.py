"""From settings to an optimizer: whatever the trainer that they were written for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ppsf_fast.domains import positive
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.mistakes import Notebook
from ppsf_fast.trainers.settings import check_setting

#: What is trained: networks or their parameters under the names of their groups, or groups as torch takes them.
Networks = Mapping[str, nn.Module | Iterable[Tensor]] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Given:
    """A setting as it is written, and where; one that is `inherited` is dropped where the optimizer has none."""

    path: str
    value: Any
    inherited: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """An optimizer of which everything is known but the parameters; `rounding` is where stochastic rounding is asked of
    a class that has none, or empty."""

    kind: Kind
    options: Mapping[str, Any]
    path: str
    rounding: str = ""

    def make(self, groups: Sequence[Mapping[str, Any]], notebook: Notebook) -> Optimizer | None:
        """The optimizer, or None with a note of what stands against it."""
        cls = imported(self.kind, self.path, notebook)
        if self.rounding and any(param.dtype != torch.float32 for group in groups for param in group["params"]):
            notebook.note(
                self.rounding,
                f"=True: {self.kind.name} of {self.kind.distribution} rounds weights that are not float32 to nearest. "
                "Set it to false, keep the weights in float32, or choose Prodigy + Schedule-Free.",
            )
        if cls is None or notebook.mistakes:
            return None
        try:
            return cls([dict(group) for group in groups], **self.options)
        except (TypeError, ValueError, NotImplementedError) as refused:
            notebook.note(self.path, f": {self.kind.name} refuses: {refused}")
            return None


def imported(kind: Kind, path: str, notebook: Notebook) -> Callable[..., Optimizer] | None:
    """The class, or None with a note that says how to install it."""
    try:
        found: Callable[..., Optimizer] = getattr(importlib.import_module(kind.module), kind.name)
    except ImportError as missing:
        notebook.note(
            path, f": {kind.name} is in the package {kind.distribution}, which cannot be imported ({missing}). "
            f"Install it: {kind.install}",
        )  # fmt: skip
        return None
    except AttributeError:
        notebook.note(
            path, f": the module {kind.module} has no {kind.name}. Correct the name, or install another version: "
            f"{kind.install}",
        )  # fmt: skip
        return None
    return found


def plan(
    kind: Kind, settings: Mapping[str, Given], lr: Given | None, path: str, notebook: Notebook, foreign: str = "{name}"
) -> Plan:
    """Check settings, and make of them what the constructor takes.

    Args:
        kind: the optimizer.
        settings: by the names of :mod:`ppsf_fast.trainers.settings`; None leaves the default of the class, unless the
            class takes None for something else (`eps` of Prodigy + Schedule-Free).
        lr: the learning rate.
        path: of the optimizer's name, for what is wrong with the whole.
        notebook: takes the mistakes.
        foreign: what stands in the place of the path of `lr` if nobody gives one.
    """
    kept: dict[str, Any] = {}
    for name, given in settings.items():
        if name not in kind.settings:
            if not given.inherited and given.value is not None:
                _refuse(kind, given, notebook)
            continue
        if given.value is not None or _means_none(kind, name):
            kept[name] = notebook.check(check_setting(name), given.path, given.value)
    for applies, name, message in kind.conflicts:
        if applies({**kind.defaults, **kept}):
            notebook.note(settings[name].path if name in settings else path, message)
    options = {**kind.defaults, **{name: value for name, value in kept.items() if name in kind.takes}}
    _fold(kind, kept, options)
    _learning_rate(kind, kept, lr, options, foreign.format(name="lr"), notebook)
    asked = kept.get("stochastic_rounding", False) and "stochastic_rounding" in kind.unused
    return Plan(kind, options, path, settings["stochastic_rounding"].path if asked else "")


def _refuse(kind: Kind, given: Given, notebook: Notebook) -> None:
    allowed = ", ".join(sorted(kind.settings))
    notebook.note(
        given.path, f"={given.value!r}: {kind.name} of {kind.distribution} has no such setting; it has {allowed}. "
        "Remove it or set it to null.",
    )  # fmt: skip


def _means_none(kind: Kind, name: str) -> bool:
    return kind.distribution == "ppsf" and name == "eps" and kind.name == "ProdigyPlusScheduleFree"


def _fold(kind: Kind, kept: Mapping[str, Any], options: dict[str, Any]) -> None:
    """Put together what the class takes as tuples."""
    if kind.betas:
        whole = kept.get("betas") or kind.betas
        if len(whole) != len(kind.betas):  # of an optimizer with another number of them
            whole = (*whole, *kind.betas)[: len(kind.betas)]
        single = [kept.get(f"beta{number}") for number in range(1, len(whole) + 1)]
        if "betas" in kept or any(beta is not None for beta in single):
            options["betas"] = tuple(old if new is None else new for old, new in zip(whole, single, strict=True))
    if kind.eps and (kept.get("eps") or kept.get("eps2")):
        options["eps"] = (kept.get("eps") or kind.eps[0], kept.get("eps2") or kind.eps[1])


def _learning_rate(
    kind: Kind, kept: Mapping[str, Any], lr: Given | None, options: dict[str, Any], path: str, notebook: Notebook
) -> None:
    if "relative_step" in kind.takes and kept.get("relative_step", True):
        return  # Adafactor in adaptive mode ignores it
    if lr is not None and lr.value is not None:
        options["lr"] = notebook.check(positive, lr.path, lr.value)
    elif kind.estimates:
        options["lr"] = 1.0
    else:
        notebook.note(path, f": {kind.name} needs a learning rate, a number > 0, and there is none. Give one.")


def groups_of(networks: Networks) -> list[dict[str, Any]]:
    """Parameter groups with names, of what asks for gradients.

    Raises:
        ValueError: there is nothing to train.
    """
    if isinstance(networks, Mapping):
        groups = [{"name": name, "params": _parameters(network)} for name, network in networks.items()]
    else:
        groups = [
            {"name": f"group {number}", **group, "params": _parameters(group["params"])}
            for number, group in enumerate(networks)
        ]
    kept = [group for group in groups if group["params"]]
    if not kept:
        raise ValueError("no parameter asks for gradients: there is nothing to train. Unfreeze a network.")
    return kept


def _parameters(network: nn.Module | Iterable[Tensor]) -> list[Tensor]:
    if isinstance(network, Tensor):
        return [network]
    params = network.parameters() if isinstance(network, nn.Module) else network
    return [param for param in params if param.requires_grad]
