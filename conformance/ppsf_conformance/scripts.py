"""A deviation as a script: the class, torch, and nothing of the kit.

It does what the judge did, with all numbers written out, reads the quantity that was farthest outside its bounds, and
says what the law allows there. It exits with 1 if the class deviates, with 0 if it does not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

import numpy as np
import torch

from ppsf_conformance import lockstep, problems
from ppsf_conformance.adapter import Array, Gradients, Weights, fused_order
from ppsf_conformance.deviating import Quantity, quantities
from ppsf_conformance.diagnosis import Deviation
from ppsf_conformance.lockstep import Transition
from ppsf_conformance.torch_adapter import TorchImplementation
from ppsf_ref.law import Rule

WIDTH = 118


def script_of(
    implementation: TorchImplementation, deviation: Deviation, told: str, rules: Mapping[str, Rule] | None = None
) -> str:
    """The script that shows a deviation.

    Args:
        told: what is wrong, for the reader.
        rules: what the class is known to do otherwise.
    """
    problem = deviation.transition.problem
    lines = [*_head(implementation, told), *_constructed(implementation, problem)]
    rates = lockstep.given_rates(problem)
    for transition in _up_to(implementation, deviation.transition):
        changed = {i: now for i, (then, now) in enumerate(zip(rates, transition.rates, strict=True)) if now != then}
        lines += ["", *_event(transition, changed, bool(problem.options.get("fused_back_pass", False)))]
        rates = transition.rates
    return "\n".join([*lines, "", *_shown(implementation, deviation, dict(rules or {}))]) + "\n"


def _up_to(implementation: TorchImplementation, last: Transition) -> Iterator[Transition]:
    for transition in lockstep.play(implementation, last.problem):
        yield transition
        if (transition.t, transition.kind) == (last.t, last.kind):
            return


def _head(implementation: TorchImplementation, told: str) -> Iterator[str]:
    where, _, release = implementation.target.partition("@")
    module, _, name = where.partition(":")
    yield '"""' + told.replace("\\", "/").replace('"""', "'''")
    yield '"""'
    yield ""
    yield "from math import inf, nan  # noqa: F401"
    yield ""
    yield "import torch"
    yield f"from {module} import {name}" + (f"  # pip install {release}" if release else "")
    yield ""


# -------------------------------------------------------------------------------------------------- the class, as made


def _constructed(implementation: TorchImplementation, problem: problems.Problem) -> Iterator[str]:
    yield "params = ["
    for row in problems.weights(problem):
        yield from _wrapped(f"[{', '.join(f'torch.nn.Parameter({_tensor(weights)})' for weights in row)}],", 4)
    yield "]"
    groups = []
    for i, group in enumerate(problem.groups):
        own = "".join(f", {name!r}: {value!r}" for name, value in implementation.names.called(group.options).items())
        groups.append(f'{{"params": params[{i}]{own}}}')
    always = implementation.capabilities.always
    given = {name: value for name, value in problem.options.items() if name not in always}
    given = {**implementation.names.called(given), **implementation.chosen}
    options = "".join(f", {name}={value!r}" for name, value in given.items())
    name = implementation.target.partition("@")[0].partition(":")[2]
    yield from _wrapped(f"optimizer = {name}([{', '.join(groups)}]{options})")
    if implementation.names.starts_in_eval_mode:
        yield "optimizer.train()"


def _tensor(weights: Weights) -> str:
    if weights.layout == "contiguous":
        return _literal(weights.values, weights.dtype)
    axes = tuple(reversed(range(weights.values.ndim)))
    return f"{_literal(weights.values.transpose(axes), weights.dtype)}.permute({axes})"


def _literal(values: Array, dtype: str) -> str:
    if not values.size:
        return f"torch.empty({values.shape}, dtype=torch.{dtype})"
    return f"torch.tensor({_floats(values)}, dtype=torch.{dtype})"


def _floats(values: Array) -> str:
    return repr(np.asarray(values, np.float64).tolist())


# ------------------------------------------------------------------------------------------------------- what happened


def _event(transition: Transition, rates: Mapping[int, float], fused: bool) -> Iterator[str]:
    if transition.kind != "step":
        yield f"optimizer.{transition.kind}()"
        return
    yield f"# step {transition.t + 1}"
    for i, rate in rates.items():
        yield f'optimizer.param_groups[{i}]["lr"] = {rate!r}'
    dtypes = [[param.dtype for param in group.params] for group in transition.problem.groups]
    if fused:
        yield from _fused(transition.gradients, dtypes)
        return
    for i, row in enumerate(transition.gradients):
        for j, gradient in enumerate(row):
            yield from _wrapped(f"params[{i}][{j}].grad = {_gradient(gradient, dtypes[i][j])}")
    yield "optimizer.step()"


def _gradient(gradient: Array | None, dtype: str) -> str:
    return "None" if gradient is None else _literal(gradient, dtype)


def _fused(gradients: Gradients, dtypes: Sequence[Sequence[str]]) -> Iterator[str]:
    for i, j in fused_order(gradients):
        gradient = gradients[i][j]
        if gradient is not None:
            yield from _wrapped(f"params[{i}][{j}].grad = {_gradient(gradient, dtypes[i][j])}")
            yield f"optimizer.step_param(params[{i}][{j}], optimizer.param_groups[{i}])"
            yield f"params[{i}][{j}].grad = None"
    yield "optimizer.step()"


# ---------------------------------------------------------------------------------------------------- what is looked at


def _shown(implementation: TorchImplementation, deviation: Deviation, rules: dict[str, Rule]) -> Iterator[str]:
    witness = deviation.verdict.witness
    found = None
    if not deviation.transition.raised:
        places = quantities(deviation.transition, implementation.capabilities, rules)
        found = next((q for q in places if q.output == witness.output and _where(q) == witness.where), None)
    if found is None:
        yield "# what is stored now, for each parameter"
        yield 'for param in (param for group in optimizer.param_groups for param in group["params"]):'
        yield "    print({name: value for name, value in optimizer.state[param].items()})"
        yield from _wrapped(f"print({witness.detail!r})")
        yield "raise SystemExit(1)"
        return
    index = found.worst
    law, low, high = (float(part[index]) for part in (found.value, found.low, found.high))
    place = f"{_where(found)}.{found.output}{list(index) if index else ''}"
    yield f"got = {_read(implementation, found, index)}"
    yield f"law, low, high = {law!r}, {low!r}, {high!r}"
    yield f'print(f"{place} is {{got!r}}; the law says {{law!r}} and allows {{low!r}} to {{high!r}}")'
    yield "raise SystemExit(0 if low <= got <= high else 1)"


def _where(found: Quantity) -> str:
    group = f"groups[{found.group}]"
    return group if found.param is None else f"{group}.params[{found.param}]"


def _read(implementation: TorchImplementation, found: Quantity, index: tuple[int, ...]) -> str:
    names = implementation.names
    if found.param is None:
        return f"float(optimizer.param_groups[{found.group}][{names.group[found.name]!r}])"
    param = f"params[{found.group}][{found.param}]"
    keys = names.state[found.name].split(".") if found.name != "y" else []
    path = "".join(f"[{int(key) if key.isdigit() else key!r}]" for key in keys)
    tensor = f"optimizer.state[{param}]{path}" if keys else param
    return f"float({tensor}{list(index) if index else ''})"


def _wrapped(line: str, indent: int = 0) -> list[str]:
    """A line, broken where there are blanks outside of texts; what is broken stands in brackets, so that it may be."""
    pad = " " * indent
    return textwrap.wrap(
        line, WIDTH, initial_indent=pad, subsequent_indent=pad + "    ", break_long_words=False, break_on_hyphens=False
    )


def fits(implementation: object) -> TypeGuard[TorchImplementation]:
    """Whether an implementation is a torch class, so that a script can be written for it."""
    return isinstance(implementation, TorchImplementation) and issubclass(implementation.cls, torch.optim.Optimizer)


def told(target: str, clause: str, title: str, message: str) -> str:
    """The head of a script."""
    return "\n".join(textwrap.wrap(f"{target} leaves {clause} ({title}).", WIDTH)) + (
        "\n\n" + "\n".join(textwrap.wrap(message, WIDTH)) if message else ""
    )
