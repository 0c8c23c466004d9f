"""The pinned input of an erratum as a program of a few lines, which needs the release and nothing of ours.

It says what it prints: each observation with what the release gives and what it should give.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ppsf_conformance import peers
from ppsf_conformance.errata import Erratum
from ppsf_conformance.name_map import NameMap, map_of_function, parsed
from ppsf_conformance.pinned import ABSENT, options

Table = Mapping[str, Any]
INDENT = "    "


def snippet(erratum: Erratum, target: str) -> str:
    """A program that shows an erratum on a target, ``module:Class@distribution==version``."""
    names = map_of_function(target)
    written = _Jax(erratum.table["pinned"], target, names) if names else _Torch(erratum.table["pinned"], target)
    return "\n".join(written.lines()) + "\n"


def _literal(value: Any) -> str:
    """A value as Python writes it; what has no literal as ``float(...)``."""
    if isinstance(value, (list, tuple)):
        inside = ", ".join(map(_literal, value))
        return f"({inside},)" if len(value) == 1 and isinstance(value, tuple) else f"({inside})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


def _listed(values: Sequence[Any]) -> str:
    return "[" + ", ".join(map(_literal, values)) + "]"


def _arguments(table: Table) -> str:
    return "".join(f", {name}={_literal(value)}" for name, value in options(table).items())


def _comment(entry: Table) -> str:
    expected = f", expected {_told(entry['law'])}" if "law" in entry else ""
    return f"  # {_told(entry['upstream'])}{expected}"


def _told(value: Any) -> str:
    small = isinstance(value, Decimal) and value.is_finite() and 0 < abs(value) < Decimal("1e-4")
    return f"{value:e}" if small else str(value)


class _Torch:
    """The program for a torch optimizer."""

    def __init__(self, pinned: Table, target: str) -> None:
        self.pinned, self.observed = pinned, pinned["observe"]
        self.module, self.cls, release = parsed(target)
        self.release, self.count = str(release), 0
        self.raises = any(entry["path"] == "raises" for entry in self.observed)

    def lines(self) -> Iterator[str]:
        standard = [*["copy"][: self._does("deepcopy", "resume")], *["pickle"][: self._does("pickle")]]
        yield from (f"import {name}" for name in standard)
        yield from [""] if standard else []
        yield "import torch"
        yield f"from {self.module} import {self.cls}  # pip install {self.release}"
        yield ""
        if "seed" in self.pinned:
            yield f"torch.manual_seed({self.pinned['seed']})"
        if any(action.get("closure") for action in self.pinned.get("actions", [])):
            yield "calls = []"
        yield from self._run()
        yield from self._prints()

    def _does(self, *kinds: str) -> bool:
        return any(action.get("do") in kinds for action in self.pinned.get("actions", []))

    # --- what is done ------------------------------------------------------------------------------------------

    def _run(self) -> Iterator[str]:
        groups = []
        for group in self.pinned["groups"]:
            made, text = self.group(group)
            yield from made
            groups.append(text)
        body = [f"optimizer = {self.cls}([{', '.join(groups)}]{_arguments(self.pinned.get('options', {}))})"]
        for action in self.pinned.get("actions", []):
            body += self._repeated(action)
        if not self.raises:
            yield from body
            return
        yield 'raised = "none"'
        yield from self._tried(body)

    @staticmethod
    def _tried(body: Sequence[str]) -> Iterator[str]:
        yield "try:"
        yield from (INDENT + line for line in body)
        yield "except Exception as error:"
        yield INDENT + "raised = type(error).__name__"

    def _repeated(self, action: Table) -> list[str]:
        body = list(self._action(action))
        if action.get("catch"):
            body = list(self._tried(body)) if self.raises else list(self._suppressed(body))
        repeat = action.get("repeat", 1)
        if repeat == 1:
            return body
        return [f"for _ in range({repeat}):", *(INDENT + line for line in body)]

    @staticmethod
    def _suppressed(body: Sequence[str]) -> Iterator[str]:
        yield "try:"
        yield from (INDENT + line for line in body)
        yield "except Exception:"
        yield INDENT + "pass"

    def group(self, group: Table) -> tuple[list[str], str]:
        made = []
        for spec in group["params"]:
            made.append(f"p{self.count} = {self._tensor(spec, spec['shape'], 'float32')}.requires_grad_()")
            self.count += 1
        names = ", ".join(f"p{i}" for i in range(self.count - len(made), self.count))
        given = "".join(f', "{name}": {_literal(value)}' for name, value in options(group.get("options", {})).items())
        return made, f'{{"params": [{names}]{given}}}'

    def _action(self, action: Table) -> Iterator[str]:
        kind = action.get("do", "step")
        if kind in {"step", "fused"}:
            for i, lr in enumerate(action.get("lr", [])):
                yield f'optimizer.param_groups[{i}]["lr"] = {lr!r}'
            for i, spec in enumerate(action["grads"]):
                yield from self._gradient(i, spec)
        yield from _ACTIONS[kind](self, action)

    def _gradient(self, i: int, spec: Any) -> Iterator[str]:
        if spec == "none":
            yield f"p{i}.grad = None"
            return
        dtype = spec.get("dtype") if isinstance(spec, Mapping) else None
        if dtype:
            yield f"p{i}.grad = None"
            yield f"p{i}.grad_dtype = torch.{dtype}"
        yield f"p{i}.grad = {self._tensor(spec, f'p{i}.shape', dtype or f'p{i}.dtype')}"

    def _tensor(self, spec: Any, shape: Any, dtype: str) -> str:
        """An expression that gives the tensor."""
        table = spec if isinstance(spec, Mapping) else {"values" if isinstance(spec, list) else "fill": spec}
        size = _listed(table["shape"]) if "shape" in table else shape if isinstance(shape, str) else _listed(shape)
        dtype = table.get("dtype", dtype)
        kind = dtype if dtype.startswith("p") else f"torch.{dtype}"
        kind = "" if kind == "torch.float32" else f", dtype={kind}"
        text = self._dense(table, size, kind)
        if table.get("layout") == "sparse":
            return f"{text}.to_sparse()"
        if table.get("layout") == "transposed":
            return f"(lambda t: t.permute(*range(t.dim())[::-1]).contiguous().permute(*range(t.dim())[::-1]))({text})"
        return text

    @staticmethod
    def _dense(table: Table, size: str, kind: str) -> str:
        if "fill" in table:
            return f"torch.full({size}, {_literal(float(table['fill']))}{kind})"
        if "values" in table:
            return f"torch.tensor({_listed(table['values'])}{kind}).reshape({size})"
        if "ramp" in table:
            start, step = table["ramp"]
            count = f"torch.Size({size}).numel()"
            return (
                f"({start!r} + {step!r} * torch.arange({count}, dtype=torch.float64)).to({_bare(kind)}).reshape({size})"
            )
        if "outer" in table:
            factors = (_factor(f, f"{size}[{axis}]") for axis, f in enumerate(table["outer"]))
            return f"torch.outer({', '.join(factors)})" + (f".to({_bare(kind)})" if kind else "")
        bits = [p - (1 << 32) if p >= 1 << 31 else p for p in table["bits"]]
        return f"torch.tensor({_listed(bits)}, dtype=torch.int32).view(torch.float32).to({_bare(kind)}).reshape({size})"

    # --- what is seen ------------------------------------------------------------------------------------------

    def _prints(self) -> Iterator[str]:
        for entry in self.observed:
            yield f"print({self._seen(entry.get('upstream_path', entry['path']), entry['upstream'])}){_comment(entry)}"

    def _seen(self, path: str, found: Any) -> str:
        if path == "raises":
            return "raised"
        head, *keys = re.findall(r"[^.\[\]]+", path)
        if head == "notes":
            return "len(calls)" if keys[0] == "closure_calls" else keys[0]
        place = int(keys.pop(0))
        text = {
            "params": f"p{place}",
            "groups": f"optimizer.param_groups[{place}]",
            "state": f"optimizer.state[p{place}]",
        }
        return _indexed(text[head], head, keys[:1] if found == ABSENT else keys)

    def found_again(self) -> Iterator[str]:
        """After a copy the parameters are other ones."""
        names = ", ".join(f"p{i}" for i in range(self.count))
        yield f"{names}, = [p for group in optimizer.param_groups for p in group['params']]"


def _step(program: _Torch, action: Table) -> Iterator[str]:
    if action.get("closure"):
        yield "result = optimizer.step(lambda: calls.append(1) or 0.0)"
    elif any(entry["path"] == "notes.generator_moved" for entry in program.observed):
        yield "before = torch.get_rng_state()"
        yield "optimizer.step()"
        yield "generator_moved = not torch.equal(before, torch.get_rng_state())"
    else:
        yield "optimizer.step()"


def _fused(program: _Torch, action: Table) -> Iterator[str]:
    yield "for group in optimizer.param_groups:  # as the hooks of a trainer do"
    yield INDENT + "for p in group['params']:"
    yield INDENT * 2 + "if p.grad is not None:"
    yield INDENT * 3 + "optimizer.step_param(p, group)"
    yield "optimizer.step()"


def _resume(program: _Torch, action: Table) -> Iterator[str]:
    yield "saved = copy.deepcopy(optimizer.state_dict())"
    yield "groups = [{'params': list(group['params'])} for group in optimizer.param_groups]"
    yield f"optimizer = {program.cls}(groups{_arguments(program.pinned.get('options', {}))})"
    yield "optimizer.load_state_dict(saved)"
    if any(entry["path"] == "notes.dtypes_kept" for entry in program.observed):
        yield "dtypes = lambda x: ("
        yield INDENT + "str(x.dtype) if isinstance(x, torch.Tensor)"
        yield INDENT + "else [dtypes(i) for i in x.values()] if isinstance(x, dict)"
        yield INDENT + "else [dtypes(i) for i in x] if isinstance(x, (list, tuple)) else None"
        yield ")"
        yield "dtypes_kept = dtypes(saved['state']) == dtypes(optimizer.state_dict()['state'])"


def _added(program: _Torch, action: Table) -> Iterator[str]:
    made, text = program.group(action["group"])
    yield from made
    yield f"optimizer.add_param_group({text})"


_ACTIONS: Mapping[str, Callable[[_Torch, Table], Iterator[str]]] = {
    "step": _step,
    "fused": _fused,
    "resume": _resume,
    "add_group": _added,
    "train": lambda program, action: iter(["optimizer.train()"]),
    "eval": lambda program, action: iter(["optimizer.eval()"]),
    "pickle": lambda program, action: iter(
        ["optimizer = pickle.loads(pickle.dumps(optimizer))", *program.found_again()]
    ),
    "deepcopy": lambda program, action: iter(["optimizer = copy.deepcopy(optimizer)", *program.found_again()]),
    "set": lambda program, action: iter(
        [f"optimizer.param_groups[{action['index']}].update({options(action['options'])!r})"]
    ),
}


class _Jax:
    """The program for a function of optax, over one list of parameters."""

    def __init__(self, pinned: Table, target: str, names: NameMap) -> None:
        self.pinned, self.names = pinned, names
        self.module, self.function, release = parsed(target)
        self.release = str(release)
        self.params = [spec for group in pinned["groups"] for spec in group["params"]]

    def lines(self) -> Iterator[str]:
        yield "import jax.numpy as jnp"
        yield f"import optax  # pip install {self.release}"
        yield ""
        raises = any(entry["path"] == "raises" for entry in self.pinned["observe"])
        body = list(self._run())
        if raises:
            yield 'raised = "none"'
            yield from _Torch._tried(body)
        else:
            yield from body
        for entry in self.pinned["observe"]:
            yield f"print({self._seen(entry['path'])}){_comment(entry)}"

    def _run(self) -> Iterator[str]:
        given = options(self.pinned.get("options", {}))
        if "betas" in given and "schedule_free" in self.function:
            given["b1"], given["b2"] = given.pop("betas")
        rates = [action["lr"][0] for action in self.pinned.get("actions", []) if "lr" in action]
        arguments = [f"{name}={_literal(value)}" for name, value in given.items()]
        if rates:
            arguments.insert(0, f"learning_rate=lambda count: jnp.array({_listed(rates)})[count]")
        yield f"params = [{', '.join(self._array(spec, spec['shape']) for spec in self.params)}]"
        yield f"optimizer = {self.module}.{self.function}({', '.join(arguments)})"
        yield "state = optimizer.init(params)"
        for action in self.pinned.get("actions", []):
            grads = ", ".join(self._array(g, f"params[{i}].shape", i) for i, g in enumerate(action["grads"]))
            body = [
                f"grads = [{grads}]",
                "updates, state = optimizer.update(grads, state, params)",
                "params = optax.apply_updates(params, updates)",
            ]
            repeat = action.get("repeat", 1)
            yield from body if repeat == 1 else [f"for _ in range({repeat}):", *(INDENT + line for line in body)]

    @staticmethod
    def _array(spec: Any, shape: Any, of: int | None = None) -> str:
        table = spec if isinstance(spec, Mapping) else {"values" if isinstance(spec, list) else "fill": spec}
        size = shape if isinstance(shape, str) else _literal(tuple(shape))
        dtype = f"jnp.{table.get('dtype', 'float32')}" if of is None else f"params[{of}].dtype"
        if "fill" in table:
            return f"jnp.full({size}, {_literal(float(table['fill']))}, {dtype})"
        return f"jnp.array({_listed(table['values'])}, {dtype}).reshape({size})"

    def _seen(self, path: str) -> str:
        if path == "raises":
            return "raised"
        head, place, *keys = re.findall(r"[^.\[\]]+", path)
        text = f"params[{place}]" if head == "params" else f"state.{keys.pop(0)}"
        text = f"{text}[{place}]" if head == "state" else text
        for key in keys:
            text = (
                f"{text}.size" if key == "count" else f"{text}.dtype" if key == "dtype" else f"{text}.flatten()[{key}]"
            )
        return text


def _bare(kind: str) -> str:
    return kind.removeprefix(", dtype=") or "torch.float32"


def _factor(spec: Any, count: str) -> str:
    return (
        f"torch.tensor({_listed(spec)})"
        if isinstance(spec, list)
        else f"torch.full(({count},), {_literal(float(spec))})"
    )


def _indexed(text: str, head: str, keys: Sequence[str]) -> str:
    is_tensor = head == "params"
    for number, key in enumerate(keys):
        last = number == len(keys) - 1
        if is_tensor and key.isdigit():
            text = f"{text}.detach().flatten()[{key}].item()"
        elif (is_tensor and key in {"dtype", "shape", "count"}) or (
            head != "params" and last and key in {"dtype", "shape", "count"}
        ):
            text = {"dtype": f"{text}.dtype", "shape": f"list({text}.shape)", "count": f"{text}.numel()"}[key]
        elif key.isdigit():
            text = f"{text}.flatten()[{key}].item()" if last else f"{text}[{key}]"
        else:
            text = f'{text}["{key}"]' if not last or number else f'{text}.get("{key}", "absent")'
    return text


def shown_on(erratum: Erratum) -> tuple[str, ...]:
    """The targets that show an erratum: the classes that it names, or that which stands for the release."""
    found = []
    for target in peers.targets():
        module, cls, release = parsed(target)
        if release is None or not erratum.concerns(release.distribution, release.version, f"{module}:{cls}"):
            continue
        if _names_it(erratum, release, f"{module}:{cls}") or peers.known()[release] == f"{module}:{cls}":
            found.append(target)
    return tuple(found)


def _names_it(erratum: Erratum, release: peers.Release, cls: str) -> bool:
    entries = erratum.table["implementations"]
    return any((entry["name"], entry.get("class")) == (release.distribution, cls) for entry in entries)


def paragraph(erratum: Erratum) -> str:
    """What a maintainer can be told: what happens, what was expected, what it does to a user, and where it was seen."""
    table = erratum.table
    seen = sorted({f"{entry['name']} {entry['versions'].removeprefix('==')}" for entry in table["implementations"]})
    parts = {
        "": table["observed"],
        "Expected: ": erratum.expected,
        "Effect: ": table["effect"],
        "Example: ": table["shows"],
    }
    told = [head + _sentence(text) for head, text in parts.items()]
    return " ".join([_sentence(table["title"]), *told, f"Seen in {', '.join(seen)}."])


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "!", "?")) else text + "."
