"""Adapter for any ``torch.optim.Optimizer`` class, through a name map."""

from __future__ import annotations

import copy
import functools
import inspect
import io
import pickle
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from ppsf_conformance.adapter import (
    COUNTS,
    SCALARS,
    SHOWN,
    Array,
    Capabilities,
    Gradients,
    Group,
    Lacking,
    Snapshot,
    Weights,
    fused_order,
)
from ppsf_conformance.name_map import NameMap, target_of, version_of
from ppsf_conformance.torch_events import TorchEvents, quiet
from ppsf_ref import GroupState, ParamState, State, load_revision, options_of
from ppsf_ref.clauses.lifecycle import Place


def to_array(tensor: torch.Tensor) -> Array:
    """Exact float64 values in logical order."""
    return np.array(tensor.detach().to("cpu", torch.float64).numpy(), order="C")


def to_tensor(weights: Weights) -> torch.Tensor:
    """The tensor a problem describes, memory layout included."""
    dtype = getattr(torch, weights.dtype)
    if weights.layout == "contiguous":
        return torch.tensor(weights.values).to(dtype)
    axes = tuple(reversed(range(weights.values.ndim)))
    return torch.tensor(weights.values.transpose(axes).copy()).to(dtype).permute(axes)


def _as(kept: Any, value: float) -> Any:
    """A number in the form in which a group keeps it."""
    return torch.full_like(kept, value) if isinstance(kept, torch.Tensor) else value


@functools.cache
def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _dtype_name(tensor: torch.Tensor) -> str:
    return _name_of(tensor.dtype)


class TorchImplementation:
    """A class under judgement.

    Args:
        cls: the optimizer class.
        names: its name map.
    """

    def __init__(self, cls: type[torch.optim.Optimizer], names: NameMap) -> None:
        self.cls, self.names = cls, names
        mapped = target_of(cls, names)
        self.target = mapped or f"{cls.__module__}:{cls.__qualname__}"
        self.name = names.name if mapped else cls.__qualname__
        self.version = version_of(cls, names)
        self.released = mapped is not None
        #: The class as pinned inputs of errata are replayed with it.
        self.replayable: Callable[..., Any] = cls

    @property
    def capabilities(self) -> Capabilities:
        return self.names.capabilities

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments of its constructor, the parameters aside."""
        return tuple(name for name in inspect.signature(self.cls.__init__).parameters if name not in {"self", "params"})

    def unread(self, name: str) -> str:
        """Of an array that is not kept: what a parameter keeps that the map does not name; or nothing."""
        try:
            session = self.new([Group((Weights(np.ones(3), self.capabilities.dtypes[0]),), {})], {})
            session.step([[np.ones(3)]])
        except Exception:  # that is told elsewhere
            return ""
        named = {path.partition(".")[0] for path in self.names.state.values()}
        others = sorted({str(key) for kept in session.optimizer.state.values() for key in kept if key not in named})
        key = self.names.state.get(name, name)
        return f"; the name map reads it from {key!r}, and has no name for {', '.join(others)}" if others else ""

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The argument that chooses the revision, where there is a choice."""
        return _revision_argument(self.names)

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> TorchSession:
        dicts = [_group_dict(group, self.names) for group in groups]
        taken = {name: value for name, value in options.items() if name not in self.capabilities.always}
        with quiet():
            made = self.cls(dicts, **self.names.called(taken), **_revision_argument(self.names))
        if not isinstance(made, torch.optim.Optimizer):  # its __new__ may give anything
            raise TypeError(f"it gives {reprlib.repr(made)}, which is no torch.optim.Optimizer")
        session = TorchSession(made, self.names, bool(options.get("fused_back_pass", False)))
        if self.names.starts_in_eval_mode:
            session.train()
        return session


def _revision_argument(names: NameMap) -> dict[str, Any]:
    """The argument that chooses the revision; none where there is no choice, or the default is meant."""
    revision = names.capabilities.revision
    return {} if revision == names.revisions[0] else {"revision": revision}


def _group_dict(group: Group, names: NameMap) -> dict[str, Any]:
    params = [torch.nn.Parameter(to_tensor(weights)) for weights in group.params]
    return {"params": params, **names.called(group.options)}


class TorchSession(TorchEvents):
    """One torch optimizer and its parameters.

    Args:
        fused: whether it was told that its parameters are stepped one by one.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, names: NameMap, fused: bool = False) -> None:
        self.optimizer, self.names, self.fused = optimizer, names, fused

    # --- reading -----------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        groups, formats = [], []
        for group in self.optimizer.param_groups:
            params, forms = zip(*map(self._param, group["params"]), strict=True) if group["params"] else ((), ())
            groups.append(self._group(group, tuple(params)))
            formats.append(tuple(forms))
        trains = "train_mode" not in self.names.group or all(
            bool(self._of_group(group, "train_mode")) for group in self.optimizer.param_groups
        )
        names = [name for name in SHOWN if name in self.names.group]
        shown = tuple({name: self._number(group, name) for name in names} for group in self._groups())
        return Snapshot(State(tuple(groups), trains), tuple(formats), shown if names else ())

    def _groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def _group(self, group: Mapping[str, Any], params: tuple[ParamState, ...]) -> GroupState:
        stored = self.names.group
        numbers: dict[str, Any] = {name: np.float64(0.0) for name in SCALARS}
        kept = [name for name in load_revision(self.names.capabilities.revision).scalars if name in stored]
        numbers |= {name: np.float64(self._number(group, name)) for name in kept}
        numbers |= {name: self._of_group(group, name) for name in COUNTS if name in stored}
        return GroupState(**numbers, k=int(self._number(group, "k")) + 1 - self.names.first_k, params=params)

    def _number(self, group: Mapping[str, Any], name: str) -> float:
        kept = self._of_group(group, name)
        try:
            return float(kept)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"the name map reads {name} from {self.names.group[name]!r} of a parameter group, and "
                f"{type(self.optimizer).__qualname__} keeps {reprlib.repr(kept)} there, which is no number"
            ) from error

    def _of_group(self, group: Mapping[str, Any], name: str) -> Any:
        key = self.names.group[name]
        if key not in group and name in self.names.late:
            return 0.0
        if key not in group:
            own = ", ".join(sorted(key for key in group if key != "params"))
            raise ValueError(
                f"the name map reads {name} from {key!r} of a parameter group, and {type(self.optimizer).__qualname__} "
                f"keeps nothing there. Its groups have: {own}"
            )
        return group[key]

    def _param(self, param: torch.Tensor) -> tuple[ParamState, dict[str, str]]:
        found = {name: self._find(param, path) for name, path in self.names.state.items()}
        l1 = found.get("l1")
        if l1 is not None and not l1.any():  # a course that has not begun: from then on l1 > 0
            found |= dict.fromkeys(("pull", "l1", "l2"))
        tensors = {"y": self._whole(param), **{name: tensor for name, tensor in found.items() if tensor is not None}}
        arrays = {name: to_array(tensor) for name, tensor in tensors.items()}
        arrays |= {name: arrays[name].reshape(-1) for name in self.names.whole & set(arrays)}
        if "x0" in arrays and arrays["x0"].ndim == 0:  # kept as one number for weights that start at zero
            arrays["x0"] = np.broadcast_to(arrays["x0"], self._sampled(param, arrays.get("s")))
        return ParamState(**arrays), {name: _dtype_name(tensor) for name, tensor in tensors.items()}

    def _whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """A parameter as the law sees it."""
        return tensor

    def _sampled(self, param: torch.Tensor, s: Array | None) -> tuple[int, ...]:
        stride = options_of(load_revision(self.names.capabilities.revision)).slice_p
        return (len(range(0, param.numel(), stride)),) if s is None else s.shape

    def _find(self, param: torch.Tensor, path: str) -> torch.Tensor | None:
        found: Any = self.optimizer.state.get(param, {})
        for key in path.split("."):
            if isinstance(found, Mapping):
                found = found.get(key)
            elif isinstance(found, (list, tuple)) and key.isdigit():
                found = dict(enumerate(found)).get(int(key))
            else:
                return None
        if isinstance(found, float):  # one number, kept on the host
            return torch.tensor(found)
        return found if isinstance(found, torch.Tensor) else None

    # --- acting ------------------------------------------------------------------------------------------------

    def step(self, gradients: Gradients) -> None:
        if self.fused:
            for place in fused_order(gradients):
                self.step_alone(place, gradients[place[0]][place[1]])
            self.end_step()
            return
        self._set_gradients(gradients)
        with quiet():
            self.optimizer.step()

    def step_scaled(self, gradients: Gradients, scale: float | None, found_inf: float) -> None:
        if not getattr(self.optimizer, "_step_supports_amp_scaling", False):
            raise Lacking("a scaler has to unscale the gradients, and to leave steps out")
        told = {"grad_scale": None if scale is None else torch.tensor(scale), "found_inf": torch.tensor(found_inf)}
        vars(self.optimizer).update(told)
        try:
            self.step(gradients)
        finally:
            for name in told:
                delattr(self.optimizer, name)

    def step_alone(self, place: Place, gradient: Array | None) -> None:
        group = self.optimizer.param_groups[place[0]]
        param = group["params"][place[1]]
        param.grad = None if gradient is None else self._like(param, gradient)
        if gradient is None:  # its hook would not be called
            return
        with quiet():
            self.optimizer.step_param(param, group)  # type: ignore[attr-defined]
        param.grad = None

    def step_alone_with_stranger(self) -> None:
        stranger = torch.nn.Parameter(torch.ones(3))
        stranger.grad = torch.ones(3)
        with quiet():
            self.optimizer.step_param(stranger, self.optimizer.param_groups[0])  # type: ignore[attr-defined]

    def end_step(self, observe: Callable[[str], None] | None = None) -> bool:
        loss = torch.tensor(0.5)

        def closure() -> torch.Tensor:
            if observe is not None:
                observe("gradients enabled" if torch.is_grad_enabled() else "gradients disabled")
                observe("closure")
            return loss

        step: Callable[..., object] = self.optimizer.step
        with quiet():
            return (step() if observe is None else step(closure)) is loss

    def _set_gradients(self, gradients: Gradients) -> None:
        for group, row in zip(self.optimizer.param_groups, gradients, strict=True):
            for param, gradient in zip(group["params"], row, strict=True):
                param.grad = None if gradient is None else self._like(param, gradient)

    @staticmethod
    def _like(param: torch.Tensor, gradient: Array) -> torch.Tensor:
        grad = torch.empty_like(param)
        return grad.copy_(torch.tensor(gradient))

    def set_lr(self, group: int, lr: float) -> None:
        self.optimizer.param_groups[group]["lr"] = lr

    def option(self, group: int, name: str) -> Any:
        return self.optimizer.param_groups[group].get(name)

    def set_option(self, group: int, name: str, value: Any) -> None:
        self.optimizer.param_groups[group].update(self.names.called({name: value}))

    def put(self, wanted: Snapshot) -> None:
        """Overwrite the stored numbers and arrays with those of a snapshot, as far as they are there."""
        kept = load_revision(self.names.capabilities.revision).scalars
        for group, there in zip(self._groups(), wanted.state.groups, strict=True):
            for name, key in self.names.group.items():
                if name in kept and key in group:
                    group[key] = _as(group[key], float(getattr(there, name)))
            if (count := self.names.group["k"]) in group:
                group[count] = _as(group[count], there.k - 1 + self.names.first_k)
            for param, p in zip(group["params"], there.params, strict=True):
                self._put_arrays(param, p)

    @torch.no_grad()
    def _put_arrays(self, param: torch.Tensor, wanted: ParamState) -> None:
        tensors = {"y": param, **{name: self._find(param, path) for name, path in self.names.state.items()}}
        for name, tensor in tensors.items():
            value = getattr(wanted, name)
            if tensor is not None and value is not None and tensor.shape == value.shape:
                tensor.copy_(torch.tensor(value))

    def train(self) -> None:
        self._switch("train")

    def eval(self) -> None:
        self._switch("eval")

    def _switch(self, mode: Literal["train", "eval"]) -> None:
        if "train_mode" in self.names.group:  # a class that does not store one has no modes
            with quiet():
                getattr(self.optimizer, mode)()

    def modes(self) -> Sequence[bool]:
        key = self.names.group.get("train_mode")
        return [bool(group[key]) for group in self.optimizer.param_groups if key in group]

    def add_group(self, group: Group) -> None:
        with quiet():
            self.optimizer.add_param_group(_group_dict(group, self.names))

    def copied(self, how: Literal["saved", "deepcopy", "pickle"]) -> TorchSession:
        if how == "deepcopy":
            return TorchSession(copy.deepcopy(self.optimizer), self.names, self.fused)
        if how == "pickle":
            return TorchSession(pickle.loads(pickle.dumps(self.optimizer)), self.names, self.fused)
        return self._reloaded()

    def _reloaded(self) -> TorchSession:
        file = io.BytesIO()
        torch.save(self.optimizer.state_dict(), file)
        file.seek(0)
        own = [
            {**group, "params": [torch.nn.Parameter(p.detach().clone()) for p in group["params"]]}
            for group in self.optimizer.param_groups
        ]
        with quiet():
            fresh = type(self.optimizer)([{"params": group["params"]} for group in own], **self._constructor_options())
        fresh.load_state_dict(torch.load(file, weights_only=True))
        return self._with(fresh)

    def _with(self, optimizer: torch.optim.Optimizer) -> TorchSession:
        return TorchSession(optimizer, self.names, self.fused)

    def _constructor_options(self) -> dict[str, Any]:
        defaults = self.optimizer.defaults
        called = self.names.called(dict.fromkeys(self.names.capabilities.options))
        given = {name: defaults[name] for name in sorted(called) if name in defaults}
        return {**given, **_revision_argument(self.names)}

    def step_with_closure(self, gradients: Gradients, observe: Callable[[str], None]) -> bool:
        loss = torch.tensor(0.5)

        def closure() -> torch.Tensor:
            observe("gradients enabled" if torch.is_grad_enabled() else "gradients disabled")
            observe("closure")
            self._set_gradients(gradients)
            return loss

        step: Callable[[Callable[[], torch.Tensor]], object] = self.optimizer.step  # type: ignore[assignment]
        with quiet():
            return step(closure) is loss

    def step_with_foreign_gradient(self, kind: Literal["sparse", "complex"]) -> None:
        param = self.optimizer.param_groups[-1]["params"][-1]  # before it others would have moved
        foreign = torch.ones_like(param).to_sparse()
        if kind == "complex":
            foreign = torch.ones(param.shape, dtype=torch.complex64)
            param.grad_dtype = None
        param.grad = foreign
        with quiet():
            self.optimizer.step()
