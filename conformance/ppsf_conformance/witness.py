"""The law as an optimizer class: what a pinned input gives in a revision, whether or not a product serves it.

It computes in float64 and stores as the clauses say, under the names that the release of the revision uses. It is no
product: it is slow, reads its options afresh in every step, and knows neither copying nor resuming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ppsf_conformance.name_map import NameMap
from ppsf_conformance.torch_adapter import to_array
from ppsf_ref import Config, GroupState, Options, ParamState, State, evaluate, initial_state, load_revision, step, train
from ppsf_ref.clauses import errors, lifecycle, options
from ppsf_ref.options import WHOLE_OPTIMIZER, options_of, whole_options
from ppsf_ref.reading import effective_lrs
from ppsf_ref.store import formats


class Witness(torch.optim.Optimizer):
    """The reference in the place of a torch optimizer.

    Args:
        params: parameters, or groups with options of their own.
        names: the name map of the release in whose place it stands; its first revision is the law.
        given: options of that revision.

    Raises:
        TypeError: an option does not exist in the revision, or is of the wrong type.
        ValueError: a value is outside its domain.
    """

    def __init__(self, params: Iterable[Any], names: NameMap, **given: Any) -> None:
        self.law, self.names = load_revision(names.revisions[0]), names
        given = {**names.capabilities.always, **names.meant(given)}
        self.whole = whole_options(self.law, given)
        own = {name: value for name, value in given.items() if name not in WHOLE_OPTIMIZER}
        self._refuse(given)
        self.read = options_of(self.law, **own)
        self.kept = State(())
        super().__init__(params, {})

    def _refuse(self, given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            if name not in self.law.options:
                raise TypeError(f"revision {self.law.name} has no option {name!r}")
            errors.refuse_outside(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as the constructor and users do."""
        super().add_param_group({"params": param_group["params"], **self.names.meant(param_group)})
        group = self.param_groups[-1]
        for param in group["params"]:
            errors.refuse_parameter(_dtype(param))
        read = options.group_options(
            self.read, {key: value for key, value in group.items() if key != "params"}
        )  # O-003
        errors.refuse_undivided(read.use_schedulefree, read.betas[0])
        group.update({name: getattr(read, name) for name in self.law.options if hasattr(read, name)})
        split = self.whole.get("split_groups", self._config().split_groups)
        errors.refuse_forbidden(self._config().groups, split)
        fresh = initial_state(self._config(), [self._weights(group) for group in self.param_groups]).groups[-1]
        first = self.kept.groups[0] if self.kept.groups else fresh
        joined = lifecycle.added_group(fresh, first, self._config().split_groups)  # L-007
        self.kept = replace(self.kept, groups=(*self.kept.groups, joined))
        self._show()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the law."""
        errors.refuse_eval_mode(self.kept.train_mode)
        loss = closure() if closure else None
        gradients = [[self._gradient(p) for p in group["params"]] for group in self.param_groups]
        self.kept = step(self._config(), self.kept, gradients)
        self._show()
        return loss

    @staticmethod
    def _gradient(param: torch.Tensor) -> Any:
        if param.grad is None:
            return None
        errors.refuse_gradient(str(param.grad.layout).removeprefix("torch."), param.grad.is_complex())
        return to_array(param.grad)

    def eval(self) -> None:
        """Enter eval mode."""
        self.kept = evaluate(self._config(), self.kept)
        self._show()

    def train(self) -> None:
        """Enter train mode."""
        self.kept = train(self._config(), self.kept)
        self._show()

    # --- between torch and the reference -----------------------------------------------------------------------

    def _config(self) -> Config:
        fields = [name for name in Options.__dataclass_fields__ if name in self.law.options]
        groups = [replace(self.read, **{name: group[name] for name in fields}) for group in self.param_groups]
        dtypes = tuple(tuple(_dtype(p) for p in group["params"]) for group in self.param_groups)
        return Config(tuple(groups), dtypes, self.law, **self.whole)

    @staticmethod
    def _weights(group: Mapping[str, Any]) -> list[Any]:
        return [to_array(p) for p in group["params"]]

    @torch.no_grad()
    def _show(self) -> None:
        """Write what the reference holds where the release would keep it."""
        config = self._config()
        effective = effective_lrs(config, self.kept)
        for group, kept, read, lr in zip(self.param_groups, self.kept.groups, config.groups, effective, strict=False):
            self._show_group(group, kept)
            group["effective_lr"] = float(lr)
            for param, p in zip(group["params"], kept.params, strict=True):
                param.copy_(torch.tensor(p.y))
                self.state[param] = self._shown(p, read, _dtype(param))

    def _show_group(self, group: dict[str, Any], kept: GroupState) -> None:
        scalars = {key: getattr(kept, name) for name, key in self.names.group.items() if hasattr(kept, name)}
        group.update({key: float(value) for key, value in scalars.items()})
        group[self.names.group["k"]] = kept.k - 1 + self.names.first_k
        if "train_mode" in self.names.group:
            group[self.names.group["train_mode"]] = self.kept.train_mode

    def _shown(self, p: ParamState, read: Options, dtype: str) -> dict[str, torch.Tensor]:
        forms = formats(read, dtype)
        arrays = {name: getattr(p, name) for name in self.names.state}
        return {
            self.names.state[name]: torch.tensor(np.asarray(value)).to(getattr(torch, forms[name].name))
            for name, value in arrays.items()
            if value is not None
        }


def _dtype(param: torch.Tensor) -> str:
    return str(param.dtype).removeprefix("torch.")
