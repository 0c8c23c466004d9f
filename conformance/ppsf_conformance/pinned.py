"""Replay the pinned input of an erratum against an optimizer class.

An erratum carries, as data, the smallest input that shows it: options, groups with small tensors, a list of
actions, and what to look at afterwards (`spec/errata/*.toml`, schema `spec/schema/erratum.schema.json`).
This module turns such a table into tensors, runs the actions, and reads the observations. It knows no
clause and no formula.

A tensor is given as a number (every element), a list (row-major values), the string "none" (no gradient) or
a table with `values`, `fill`, `ramp` = [start, step], `outer` = [rows, columns] or `bits` (float32
patterns), and optionally `dtype`, `shape` and `layout`, "sparse" or "transposed"
(last dimension slowest). The string "None" stands for Python's None among options.

A figure is recorded to as many digits as every machine reproduces: five or six for a float32 result.
"""

from __future__ import annotations

import copy
import math
import pickle
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import torch

ABSENT = "absent"

Table = Mapping[str, Any]


@dataclass
class Session:
    """One replay: the optimizer under observation, its parameters in order, and what happened."""

    optimizer: Any = None
    params: list[torch.Tensor] = field(default_factory=list)
    raised: str = "none"
    notes: dict[str, Any] = field(default_factory=lambda: {"closure_calls": 0})


def tensor(spec: Any, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """Build the tensor that `spec` describes; `shape` and `dtype` are used where it names none."""
    table = spec if isinstance(spec, Mapping) else {"values" if isinstance(spec, list) else "fill": spec}
    shape = table.get("shape", shape)
    dtype = getattr(torch, table["dtype"]) if "dtype" in table else dtype
    kind = next(key for key in ("values", "fill", "ramp", "outer", "bits") if key in table)
    result = _BUILDERS[kind](table[kind], list(shape)).to(dtype).reshape(list(shape))
    return _LAYOUTS[table.get("layout", "contiguous")](result)


def _flat(spec: Any, count: int) -> torch.Tensor:
    return tensor(spec, [count], torch.float64)


def _bits(patterns: Sequence[int], shape: list[int]) -> torch.Tensor:
    signed = [p - (1 << 32) if p >= 1 << 31 else p for p in patterns]
    return torch.tensor(signed, dtype=torch.int32).view(torch.float32)


_BUILDERS: dict[str, Callable[[Any, list[int]], torch.Tensor]] = {
    "values": lambda v, shape: torch.tensor(v, dtype=torch.float64),
    "fill": lambda v, shape: torch.full(shape, v, dtype=torch.float64),
    "ramp": lambda v, shape: v[0] + v[1] * torch.arange(math.prod(shape), dtype=torch.float64),
    "outer": lambda v, shape: torch.outer(_flat(v[0], shape[0]), _flat(v[1], shape[1])),
    "bits": _bits,
}


def _transposed(dense: torch.Tensor) -> torch.Tensor:
    axes = tuple(reversed(range(dense.dim())))
    return dense.permute(axes).contiguous().permute(axes)


_LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda dense: dense,
    "sparse": lambda dense: dense.to_sparse(),
    "transposed": _transposed,
}


def options(table: Table) -> dict[str, Any]:
    """Decode an option table: "None" means None, a list becomes a tuple."""
    return {key: _option(value) for key, value in table.items()}


def _option(value: Any) -> Any:
    if value == "None":
        return None
    return tuple(map(_option, value)) if isinstance(value, list) else value


def _group(session: Session, spec: Table) -> dict[str, Any]:
    made = [tensor(p, p["shape"], torch.float32) for p in spec["params"]]
    made = [p.requires_grad_(p.is_floating_point() or p.is_complex()) for p in made]
    session.params.extend(made)
    return {"params": made, **options(spec.get("options", {}))}


def _give(param: torch.Tensor, spec: Any) -> None:
    param.grad = None
    if isinstance(spec, str):  # "none"
        return
    grad = tensor(spec, param.shape, param.dtype)
    if grad.dtype != param.dtype:
        param.grad_dtype = grad.dtype  # torch >= 2.9: lets a gradient have a dtype of its own
    param.grad = grad


def _do_step(session: Session, action: Table) -> None:
    for group, lr in zip(session.optimizer.param_groups, action.get("lr", []), strict=False):
        group["lr"] = lr
    for param, spec in zip(session.params, action["grads"], strict=True):
        _give(param, spec)
    before = torch.get_rng_state()
    session.notes["result"] = session.optimizer.step(partial(_closure, session) if action.get("closure") else None)
    session.notes["generator_moved"] = not torch.equal(before, torch.get_rng_state())


def _do_fused(session: Session, action: Table) -> None:
    """A backward pass whose hooks step each parameter that has a gradient, as trainers do it, and step() at its end."""
    for param, spec in zip(session.params, action["grads"], strict=True):
        _give(param, spec)
    for group in session.optimizer.param_groups:
        for param in [param for param in group["params"] if param.grad is not None]:
            session.optimizer.step_param(param, group)
    session.optimizer.step()


def _closure(session: Session) -> float:
    session.notes["closure_calls"] += 1
    return 0.0


def _dtypes(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return str(value.dtype)
    if isinstance(value, dict):
        return {key: _dtypes(item) for key, item in value.items()}
    return [_dtypes(item) for item in value] if isinstance(value, list | tuple) else None


def _do_resume(session: Session, action: Table) -> None:
    """Load the saved state into a new optimizer over the same parameters."""
    saved = copy.deepcopy(session.optimizer.state_dict())
    groups = [{"params": list(group["params"])} for group in session.optimizer.param_groups]
    session.optimizer = type(session.optimizer)(groups, **session.notes["options"])
    session.optimizer.load_state_dict(saved)
    session.notes["dtypes_kept"] = _dtypes(saved["state"]) == _dtypes(session.optimizer.state_dict()["state"])


def _adopt(session: Session, optimizer: Any) -> None:
    session.optimizer = optimizer
    session.params = [p for group in optimizer.param_groups for p in group["params"]]


_ACTIONS: dict[str, Callable[[Session, Table], None]] = {
    "step": _do_step,
    "fused": _do_fused,
    "train": lambda s, a: s.optimizer.train(),
    "eval": lambda s, a: s.optimizer.eval(),
    "resume": _do_resume,
    "pickle": lambda s, a: _adopt(s, pickle.loads(pickle.dumps(s.optimizer))),
    "deepcopy": lambda s, a: _adopt(s, copy.deepcopy(s.optimizer)),
    "add_group": lambda s, a: s.optimizer.add_param_group(_group(s, a["group"])),
    "set": lambda s, a: s.optimizer.param_groups[a["index"]].update(options(a["options"])),
}


def replay(pinned: Table, cls: Any) -> Session:
    """Run a pinned input on the class `cls`; the first exception is noted and ends the replay.

    An action with `catch = true` notes its exception and lets the replay go on.
    """
    session = Session()
    session.notes["options"] = options(pinned.get("options", {}))
    groups = [_group(session, group) for group in pinned["groups"]]
    torch.manual_seed(pinned.get("seed", 0))
    try:
        session.optimizer = cls(groups, **options(pinned.get("options", {})))
        for action in pinned.get("actions", []):
            _run_action(session, action)
    except Exception as error:  # which exception it is, is the observation
        session.raised = type(error).__name__
    return session


def _run_action(session: Session, action: Table) -> None:
    for _ in range(action.get("repeat", 1)):
        try:
            _ACTIONS[action.get("do", "step")](session, action)
        except Exception as error:
            if not action.get("catch", False):
                raise
            session.raised = type(error).__name__


def observe(session: Session, path: str) -> object:
    """Read `raises`, `notes.<name>`, `params[i]...`, `groups[i].<key>...` or `state[i].<key>...`.

    A missing key reads "absent". A tensor may be followed by `[j]` (its j-th element in row-major order),
    `.dtype`, `.shape` or `.count`.
    """
    if path == "raises":
        return session.raised
    keys = [int(k) if k.isdigit() else k for k in re.findall(r"[^.\[\]]+", path)]
    value: Any = {
        "params": session.params,
        "notes": session.notes,
        "groups": getattr(session.optimizer, "param_groups", None),
        "state": [session.optimizer.state.get(p, {}) for p in session.params] if session.optimizer else None,
    }[str(keys[0])]
    for key in keys[1:]:
        value = _member(value, key)
    return value


def _member(value: Any, key: int | str) -> Any:
    if isinstance(value, dict) or value == ABSENT:
        return value.get(key, ABSENT) if isinstance(value, dict) else ABSENT
    if not isinstance(value, torch.Tensor):
        return value[key]
    if isinstance(key, int):
        return value.detach().reshape(-1)[key].item()
    dtype = str(value.dtype).removeprefix("torch.")
    return {"dtype": dtype, "shape": list(value.shape), "count": value.numel()}[key]


def figures(text: str) -> Sequence[Table]:
    """What the file of an erratum says is observed, with each figure as a decimal number of the digits written."""
    found: Sequence[Table] = tomllib.loads(text, parse_float=Decimal)["pinned"]["observe"]
    return found


def agrees(got: object, figure: object) -> bool:
    """Whether an observation is the recorded figure.

    A decimal figure stands for every number that rounds to it at its last written digit. Zero has no digit to
    round at, so it stands for itself alone, with its sign; whatever is not a decimal is compared exactly.
    """
    if not isinstance(figure, Decimal) or isinstance(got, bool) or not isinstance(got, int | float | Decimal):
        return bool(got == (None if figure == "None" else figure))
    seen = Decimal(got)
    if figure.is_nan() or seen.is_nan():
        return figure.is_nan() and seen.is_nan()
    if figure.is_signed() != seen.is_signed():
        return False
    if not (figure.is_finite() and seen.is_finite() and figure):
        return seen == figure
    last_digit = Decimal(1).scaleb(int(figure.as_tuple().exponent))
    return 2 * abs(seen - figure) <= last_digit
