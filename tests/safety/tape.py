"""A recording of what a step asks a device to do, and its replay: what a CUDA graph is, on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Tape(TorchDispatchMode):
    """Records each operation while it is entered. :meth:`replay` makes them again, with the same tensors.

    Numbers that the host has put in are repeated as they were, and what was newly made is written to the place where
    it was made: so what is replayed may depend on nothing but tensors.
    """

    calls: list[tuple[Any, Any, Any, list[Tensor]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func == torch.ops.aten._local_scalar_dense.default:
            raise AssertionError("the host reads a value")
        result = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, _tensors(result)))
        return result

    def replay(self) -> None:
        """Once more, without whoever made the calls."""
        for func, args, kwargs, made in self.calls:
            for place, value in zip(made, _tensors(func(*args, **kwargs)), strict=True):
                if place.data_ptr() != value.data_ptr():
                    place.copy_(value)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
