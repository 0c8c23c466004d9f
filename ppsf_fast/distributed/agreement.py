"""What all processes have to know before a step changes anything: who takes part, and that every gradient is finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppsf_fast.distributed.layout import Layout, local
from ppsf_fast.distributed.parts import Part
from ppsf_fast.distributed.reductions import Partial, Reduction, completed
from ppsf_fast.numerics import readable
from ppsf_fast.plan import Item, is_good
from ppsf_fast.scaling import Scaling


@dataclass(slots=True)
class Agreed:
    """What is known of a step: on the host, or where a device has not said it yet, as 0-d bool tensors there.

    Attributes:
        good: whether every gradient is finite.
        parts: for each sharded parameter, by position, whether it takes part.
        groups: for each group whether it takes part.
    """

    good: bool | Tensor
    parts: dict[int, bool | Tensor]
    groups: list[bool | Tensor]


def agreed(
    items: Sequence[Sequence[Item]],
    parts: Sequence[Sequence[Part]],
    sharing: Reduction,
    device: torch.device,
    scaling: Scaling,
) -> Agreed:
    """Ask the others.

    Args:
        items: for each group its whole parameters that have a gradient here.
        parts: for each group its sharded ones, with or without a gradient here.
        sharing: reaches the processes that have other parameters, if there are any.
        device: where the answers meet.
        scaling: of the gradients here.
    """
    # clause: PPSF-L-004 863a8cde
    bad = torch.stack(
        [torch.zeros((), device=device), *(_bad(item, device, scaling) for row in items for item in row)]
    ).sum()
    found = _of_parts([part for row in parts for part in row], bad, scaling)
    bad = torch.stack([bad, *(counts[0].to(device) for counts in found.values())]).sum()
    present = [
        _present(own, [found[part.index] for part in row], device) for own, row in zip(items, parts, strict=True)
    ]
    ((counts,),) = completed([[Partial(torch.stack([bad, *present]), sharing)]])
    known = readable(device) and all(readable(counts.device) for counts in found.values())
    bad, *groups = counts.unbind()
    decide: Callable[[Tensor], bool | Tensor] = bool if known else (lambda flag: flag)
    return Agreed(
        decide(bad == 0),
        {index: decide(counts[1] > 0) for index, counts in found.items()},
        [decide(count > 0) for count in groups],
    )


def given(params: Sequence[Tensor], layouts: Sequence[Layout | None]) -> tuple[list[bool], bool]:
    """Which parameters have a gradient on any process, and whether any of these gradients is not 0.

    Args:
        params: the parameters, each with its gradient here.
        layouts: how each is sharded; None: it is not.
    """
    asked = [[_given(*each)] for each in zip(params, layouts, strict=True)]
    counts = torch.stack([found.cpu() for (found,) in completed(asked)]) if asked else torch.zeros(0, 2, device="cpu")
    present, moving = (counts > 0).unbind(1)
    return present.tolist(), bool(moving.any())


def _given(param: Tensor, layout: Layout | None) -> Partial:
    grad = None if param.grad is None else local(param.grad)
    found = torch.zeros(2, device=param.device)
    if grad is not None:
        found = torch.stack([torch.ones_like(found[0]), grad.any().to(found)])
    return Partial(found, Reduction() if layout is None else layout.everyone)


def _bad(item: Item, device: torch.device, scaling: Scaling) -> Tensor:
    good = is_good(item.grad, scaling)
    return torch.full((), float(not good), device=device) if isinstance(good, bool) else (~good).float().to(device)


def _of_parts(parts: Sequence[Part], bad: Tensor, scaling: Scaling) -> dict[int, Tensor]:
    """By position: how many processes have a bad gradient, and how many have one at all."""
    asked: list[list[Partial]] = []
    for part in parts:
        device = part.y.device
        own = _bad(part, device, scaling) if part.present else torch.zeros((), device=device)
        # What is bad among whole parameters is told along with the first sharded one.
        own = own + bad.to(device) if not asked else own
        counts = torch.stack([own, torch.full((), float(part.present), device=device)])
        asked.append([Partial(counts, part.layout.everyone)])
    return {part.index: counts for part, (counts,) in zip(parts, completed(asked), strict=True)}


def _present(items: Sequence[Item], found: Sequence[Tensor], device: torch.device) -> Tensor:
    """How many parameters of a group have a gradient."""
    return torch.stack(
        [torch.full((), float(len(items)), device=device), *(counts[1].to(device) for counts in found)]
    ).sum()
