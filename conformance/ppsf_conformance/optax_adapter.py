"""Adapter for functions of optax: an optimizer that is no torch class, on JAX arrays, on the CPU.

optax has no parameter groups, no closures and no modes. Groups of a problem are parts of one tree, with the options of
the whole; the weights of eval mode are what ``schedule_free_eval_params`` gives, while the session holds on to those of
train mode, as a user does. What optax does not store is computed from what it stores (:data:`DERIVED`).
"""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ppsf_conformance.adapter import (
    SCALARS,
    Array,
    Capabilities,
    Gradients,
    Group,
    Lacking,
    Snapshot,
    Weights,
)
from ppsf_conformance.name_map import NameMap, version_of_target
from ppsf_conformance.torch_adapter import to_array
from ppsf_ref import GroupState, ParamState, State, load_revision
from ppsf_ref.clauses.lifecycle import Place

#: Numbers of the law that optax does not store, as functions of its state.
DERIVED: Mapping[str, Callable[[Any], float]] = {
    "d_denom": lambda state: float(sum(np.abs(_exact(s)).sum() for row in state.grad_sum for s in row)),
    "d_max": lambda state: float(state.estim_lr),
}


#: Left out: the argument is documented as positive, or None.
NO_WARMUP = ("warmup_steps", 0)


def _exact(array: Any) -> Array:
    return np.asarray(array).astype(np.float64)


class OptaxImplementation:
    """A function of optax under judgement.

    Args:
        target: its name, as ``module:function`` with or without a release.
        make: the function.
        names: its name map.
    """

    def __init__(self, target: str, make: Callable[..., Any], names: NameMap) -> None:
        self.target, self.make, self.names = target, make, names
        self.name, self.version = names.name, version_of_target(target, names)
        self.released = True

    @property
    def capabilities(self) -> Capabilities:
        return self.names.capabilities

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments of the function, those of ``betas`` joined."""
        own = list(inspect.signature(self.make).parameters)
        if "betas" not in own:
            own = ["betas", *(name for name in own if name not in {"b1", "b2"})]
        return tuple(own)

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> OptaxSession:
        if any(group.options for group in groups):
            raise Lacking("a tree of parameters has no groups with options of their own")
        taken = {name: value for name, value in options.items() if name not in self.capabilities.always}
        return OptaxSession(self, [group.params for group in groups], self.names.called(taken))

    def replayable(self, groups: Iterable[Mapping[str, Any]], **arguments: Any) -> TorchShaped:
        """An optimizer with the face of a torch one."""
        return TorchShaped(self, list(groups), arguments)


class OptaxSession:
    """One transformation, its state and its parameters.

    Args:
        arguments: what the function is given, under its own names but for ``betas``.
    """

    def __init__(
        self, made_by: OptaxImplementation, weights: Sequence[Sequence[Weights]], arguments: Mapping[str, Any]
    ) -> None:
        self.made_by, self.names = made_by, made_by.names
        self.jnp, self.optax = importlib.import_module("jax.numpy"), importlib.import_module("optax")
        self.arguments, self.rate = self._own(arguments), arguments.get("learning_rate")
        self.transformation = made_by.make(**self.arguments)
        self.params = [[self._to_jax(one.values, one.dtype) for one in row] for row in weights]
        self.state = self.transformation.init(self.params)
        self.trained: Any = None  # the weights of train mode, while those of eval mode are shown

    def _own(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        own = {name: value for name, value in arguments.items() if (name, value) != NO_WARMUP}
        if "betas" in own and "betas" not in inspect.signature(self.made_by.make).parameters:
            own["b1"], own["b2"] = own.pop("betas")
        return own

    def _to_jax(self, values: Any, dtype: str) -> Any:
        return self.jnp.asarray(np.asarray(values), dtype=getattr(self.jnp, dtype))

    # --- reading -----------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        numbers = self._numbers()
        groups, formats = [], []
        for i, row in enumerate(self.params):
            found = [self._param(i, j, y) for j, y in enumerate(row)]
            groups.append(GroupState(**numbers, params=tuple(param for param, _ in found)))
            formats.append(tuple(form for _, form in found))
        return Snapshot(State(tuple(groups), self.trained is None), tuple(formats))

    def _numbers(self) -> dict[str, Any]:
        numbers: dict[str, Any] = {name: np.float64(0.0) for name in SCALARS}
        for name in load_revision(self.names.capabilities.revision).scalars:
            numbers[name] = np.float64(self.number(name))
        return {**numbers, "k": int(self.number("k")) + 1 - self.names.first_k}

    def number(self, name: str) -> float:
        """A number of the law."""
        if name in DERIVED:
            return DERIVED[name](self.state)
        return float(getattr(self.state, self.names.group[name]))

    def array(self, name: str, i: int, j: int) -> Any:
        """An array of the law, of one parameter."""
        found = self.state
        for key in self.names.state[name].split("."):
            found = found[int(key)] if key.isdigit() else getattr(found, key)
        return found[i][j]

    def _param(self, i: int, j: int, y: Any) -> tuple[ParamState, dict[str, str]]:
        found = {"y": y, **{name: self.array(name, i, j) for name in self.names.state}}
        arrays = {name: _exact(array) for name, array in found.items()}
        arrays |= {name: arrays[name].reshape(-1) for name in ("x0", "s") if name in arrays}
        return ParamState(**arrays), {name: str(array.dtype) for name, array in found.items()}

    # --- acting ------------------------------------------------------------------------------------------------

    def step(self, gradients: Gradients) -> None:
        if self.trained is not None:
            raise Lacking("the weights of eval mode are another tree, which nobody steps")
        given = [
            [None if g is None else self._to_jax(g, str(y.dtype)) for g, y in zip(row, own, strict=True)]
            for row, own in zip(gradients, self.params, strict=True)
        ]
        updates, self.state = self.transformation.update(given, self.state, self.params)
        self.params = self.optax.apply_updates(self.params, updates)

    def set_lr(self, group: int, lr: float) -> None:
        """A new transformation over the same state, which is how a float is changed; a schedule would do the same."""
        if lr == self.rate:
            return
        if "changing_lr" in self.names.capabilities.limits and self.rate is not None:
            raise Lacking("the rate is fixed, but for a schedule")
        self.rate = lr
        if "changing_lr" not in self.names.capabilities.limits:
            self.transformation = self.made_by.make(**{**self.arguments, "learning_rate": lambda count: self.rate})

    def train(self) -> None:
        if self.trained is not None:
            self.params, self.trained = self.trained, None

    def eval(self) -> None:
        if "train_mode" in self.names.group and self.trained is None:
            shown = self.optax.contrib.schedule_free_eval_params(self.state, self.params)
            self.params, self.trained = shown, self.params

    def copied(self, how: Literal["saved", "deepcopy", "pickle"]) -> OptaxSession:
        twin = copy.copy(self)
        kept = (self.params, self.state, self.trained)
        copies = copy.deepcopy(kept) if how == "deepcopy" else pickle.loads(pickle.dumps(kept))
        twin.params, twin.state, twin.trained = copies
        return twin

    def add_group(self, group: Group) -> None:
        raise Lacking("no tree of parameters grows")

    def step_with_closure(self, gradients: Gradients, observe: Callable[[str], None]) -> bool:
        raise Lacking("there are no closures")

    def step_scaled(self, gradients: Gradients, scale: float | None, found_inf: float) -> None:
        raise Lacking("nobody tells a transformation of a scale")

    def step_alone(self, place: Place, gradient: Array | None) -> None:
        raise Lacking("all parameters are stepped at once")

    def end_step(self, observe: Callable[[str], None] | None = None) -> bool:
        raise Lacking("all parameters are stepped at once")

    def step_alone_with_stranger(self) -> None:
        raise Lacking("all parameters are stepped at once")

    def step_with_foreign_gradient(self, kind: Literal["sparse", "complex"]) -> None:
        raise Lacking("gradients are dense arrays of the parameters' kind")


class TorchShaped:
    """An optax optimizer with the face of a torch one, for pinned inputs: ``param_groups``, ``state`` and ``step``."""

    def __init__(
        self, made_by: OptaxImplementation, groups: Sequence[Mapping[str, Any]], arguments: Mapping[str, Any]
    ) -> None:
        if unknown := {name for group in groups for name in group if name != "params"}:
            raise TypeError(f"no options of groups: {', '.join(sorted(unknown))}")
        rows = [[Weights(to_array(p), str(p.dtype).removeprefix("torch.")) for p in g["params"]] for g in groups]
        self.session = OptaxSession(made_by, rows, arguments)
        self.param_groups: list[dict[str, Any]] = [{"params": list(group["params"])} for group in groups]
        self.state: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        self._show()

    def step(self, closure: None = None) -> None:
        """One step with the gradients of the parameters."""
        for i, group in enumerate(self.param_groups):
            if "lr" in group:
                self.session.set_lr(i, group["lr"])
        rows = [[None if p.grad is None else to_array(p.grad) for p in group["params"]] for group in self.param_groups]
        self.session.step(rows)
        self._show()

    def eval(self) -> None:
        """Show the averaged weights."""
        self.session.eval()
        self._show()

    def train(self) -> None:
        """Show the weights that are trained."""
        self.session.train()
        self._show()

    @torch.no_grad()
    def _show(self) -> None:
        names = self.session.names
        for i, group in enumerate(self.param_groups):
            group |= {key: self.session.number(name) for name, key in names.group.items() if name != "train_mode"}
            group[names.group["k"]] = int(group[names.group["k"]])
            for j, param in enumerate(group["params"]):
                param.copy_(torch.tensor(_exact(self.session.params[i][j])))
                arrays = {key: self.session.array(name, i, j) for name, key in names.state.items()}
                self.state[param] = {key: torch.tensor(_exact(array)) for key, array in arrays.items()}
