"""Where the estimate of an optimizer stands, for logs and progress bars: floats, read without waiting for the device.

On a GPU they may be those of the step before; `optimizer.metrics()` waits and is exact.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from torch.optim import Optimizer

Batch = TypeVar("Batch")


def rates(optimizer: Optimizer) -> dict[str, float]:
    """`d`, `effective_lr`, and `dlr`, their product, which multiplies the coming update (PPSF-G-010).

    Args:
        optimizer: also a wrapped one, if it shows `param_groups`, or one of another package that shows `d`.

    Returns:
        the numbers of the first group if there is no other one and it has no name; else those of each group, as
        `name/d`, where a group without a name is `group 0`, and `name, group 0` one that shares its name with another.
        A group without an estimate has no `d`.

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> rates(ProdigyPlusScheduleFree([torch.nn.Parameter(torch.zeros(3))], d0=1e-4))
        {'d': 0.0001, 'effective_lr': 1.0, 'dlr': 0.0001}
    """
    groups = optimizer.param_groups
    single = len(groups) == 1 and "name" not in groups[0]
    names = ["group" if single else group.get("name", f"group {index}") for index, group in enumerate(groups)]
    found: dict[str, float] = {}
    for index, (name, group) in enumerate(zip(names, groups, strict=True)):
        prefix = "" if single else f"{name}/" if names.count(name) == 1 else f"{name}, group {index}/"
        lr = float(group.get("effective_lr", group["lr"]))
        if "d" in group:
            found[f"{prefix}d"] = float(group["d"])
        found[f"{prefix}effective_lr"] = lr
        found[f"{prefix}dlr"] = found.get(f"{prefix}d", 1.0) * lr
    return found


def to_tensorboard(writer: Any, optimizer: Optimizer, step: int) -> None:
    """Add :func:`rates` to a log: `writer` is a SummaryWriter of torch, or whatever else has its `add_scalar`.

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> class Printer:
        ...     def add_scalar(self, name: str, value: float, step: int) -> None:
        ...         print(step, name, value)
        >>> to_tensorboard(Printer(), ProdigyPlusScheduleFree([torch.nn.Parameter(torch.zeros(3))], d0=1e-4), step=7)
        7 optimizer/d 0.0001
        7 optimizer/effective_lr 1.0
        7 optimizer/dlr 0.0001
    """
    for name, value in rates(optimizer).items():
        writer.add_scalar(f"optimizer/{name}", value, step)


class JsonLog:
    """A file with one JSON object a line, each on disk once it is written.

    Args:
        path: the file; lines are added at its end.

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> optimizer = ProdigyPlusScheduleFree([torch.nn.Parameter(torch.zeros(3))], d0=1e-4)
        >>> JsonLog("log.jsonl").write(optimizer, step=7, loss=0.5)
        >>> Path("log.jsonl").read_text()
        '{"step": 7, "d": 0.0001, "effective_lr": 1.0, "dlr": 0.0001, "loss": 0.5}\\n'
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def write(self, optimizer: Optimizer, step: int, **more: float) -> None:
        """Add a line with `step`, :func:`rates`, and what else is given, such as the loss.

        A number that is not finite becomes null, as JSON has no other word for it; a tensor of one element is a number.
        """
        given = {**rates(optimizer), **more}.items()
        numbers = {name: value if isinstance(value, int) else float(value) for name, value in given}
        line = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps({"step": step, **line}), file=file)


def progress(batches: Iterable[Batch], optimizer: Optimizer, **options: Any) -> Iterator[Batch]:
    """The batches, with a progress bar of tqdm that shows `d` and `dlr`.

    Args:
        batches: what is gone through.
        optimizer: that trains on them.
        options: of tqdm, such as `total` and `desc`.

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> optimizer = ProdigyPlusScheduleFree([torch.nn.Parameter(torch.zeros(3))])
        >>> list(progress([1, 2, 3], optimizer, disable=True))  # without it there is a bar
        [1, 2, 3]
    """
    from tqdm.auto import tqdm  # only who wants a bar needs it

    with tqdm(batches, **options) as bar:
        for batch in bar:
            yield batch
            found = rates(optimizer).items()
            shown = {name: f"{value:.2e}" for name, value in found if not name.endswith("effective_lr")}
            bar.set_postfix(shown, refresh=False)  # drawn when the bar is drawn next
