"""Which parameters are sharded, how, and what of that cannot be served."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ppsf_fast.distributed.layout import FlatLayout, Layout

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

#: What was declared of tensors that do not show it: layouts, and positions among all parameters.
_LAYOUTS = WeakTensorKeyDictionary()
_POSITIONS = WeakTensorKeyDictionary()

#: Layouts of DTensors as they were when they were last needed.
Known = WeakTensorKeyDictionary


def declare_flat(param: Tensor, shape: Sequence[int], first: int, group: ProcessGroup | None = None) -> None:
    """Say that a parameter is a run of the elements of a larger one, of which others have the rest.

    Args:
        param: one-dimensional: the elements from `first` on, in row-major order; may be empty.
        shape: of the larger one.
        first: index of the first element that is here.
        group: the processes that have all of them together; None: the default group.

    Raises:
        ValueError: it does not lie inside the larger one.
    """
    total = torch.Size(shape).numel()
    if param.dim() != 1 or not 0 <= first <= total - param.numel():
        raise ValueError(
            f"a tensor of shape {tuple(param.shape)} is no run from element {first} on of a parameter of shape "
            f"{tuple(shape)}: allowed is a one-dimensional tensor that lies inside it. Pass the shape of the whole."
        )
    _LAYOUTS[param] = FlatLayout.of(shape, first, param.numel(), group)


def declare_fsdp(model: torch.nn.Module) -> None:
    """Declare the parameters of a model that ``FullyShardedDataParallel`` has wrapped with `use_orig_params=True`.

    Of each parameter a process has a run of elements, or none. Call it after the model is wrapped.

    Raises:
        ValueError: nothing in the model is wrapped so.
    """
    found = 0
    for flat, group in _flat_parameters(model):
        for param, shape, info in zip(flat._params, flat._shapes, flat._shard_param_infos, strict=True):
            declare_flat(param, shape, info.intra_param_start_idx if info.in_shard else 0, group)
            found += 1
    if not found:
        raise ValueError(
            "declare_fsdp() was given a model without parameters that FullyShardedDataParallel has flattened: allowed "
            "is one wrapped with use_orig_params=True. What fully_shard() has sharded needs no declaration."
        )


def _flat_parameters(model: torch.nn.Module) -> Iterator[tuple[Any, ProcessGroup]]:
    for module in model.modules():
        handle = getattr(module, "_handle", None)
        if handle is not None and getattr(handle.flat_param, "_params", None) is not None:
            yield handle.flat_param, handle.process_group


def declare_positions(params: Iterable[Tensor]) -> None:
    """Number parameters as an optimizer over all of them would, where each process has some of them only.

    The random bits of stochastic rounding depend on the position of a parameter. Else a process counts its own ones.
    """
    for position, param in enumerate(params):
        _POSITIONS[param] = position


def position_of(param: Tensor, index: int) -> int:
    """The position of a parameter that is number `index` here."""
    found: int | None = _found(_POSITIONS, param)
    return index if found is None else found


def _found(table: WeakTensorKeyDictionary, param: Tensor) -> Any:
    return table.get(param, None)  # type: ignore[no-untyped-call]


def anything_sharded(params: Iterable[Tensor]) -> bool:
    """Whether any of these parameters may be sharded: asked of each kind of tensor once, since it is in every step."""
    return len(_LAYOUTS) > 0 or any(map(_is_of_dtensors, set(map(type, params))))


def is_declared(param: Tensor) -> bool:
    """Whether :func:`declare_flat` or :func:`declare_fsdp` said that a parameter is a piece."""
    return param in _LAYOUTS


def is_dtensor(param: object) -> bool:
    """Whether a tensor is a DTensor."""
    return _is_of_dtensors(type(param))


def _is_of_dtensors(kind: type) -> bool:
    """Whether a type is that of DTensors; does not import them."""
    there = sys.modules.get("torch.distributed.tensor")
    return there is not None and issubclass(kind, there.DTensor)


def layout_of(param: Tensor, where: str, known: Known | None = None) -> Layout | None:
    """How a parameter is sharded; None if it is not.

    Args:
        param: the parameter.
        where: names the parameter.
        known: layouts from earlier steps; one that still holds is taken from there, another is put there.

    Raises:
        TypeError: it is sharded in a way that is not served.
    """
    if not is_dtensor(param):
        found: Layout | None = _found(_LAYOUTS, param) if len(_LAYOUTS) else None
        if found is not None and param.numel() != found.runs.numel:
            raise TypeError(
                f"{where} has {param.numel()} elements, but {found.runs.numel} were declared: its process holds "
                "another piece now. Declare it anew with declare_flat() or declare_fsdp()."
            )
        return found
    return _layout_of_dtensor(param, where, Known() if known is None else known)


def _layout_of_dtensor(param: Any, where: str, known: Known) -> Layout:
    from ppsf_fast.distributed.mesh import MeshLayout

    there: MeshLayout | None = _found(known, param)
    if there is None or (there.shape, there.mesh, there.placements) != (
        param.shape,
        param.device_mesh,
        param.placements,
    ):
        _refuse_placements(param, where)
        there = known[param] = MeshLayout.of(param)
        if there.runs.numel != param.to_local().numel():
            raise TypeError(
                f"{where} has placements {param.placements} under which {param.to_local().numel()} elements are here, "
                f"and not {there.runs.numel}: this way of cutting is not known. Use Shard and Replicate."
            )
    return there


def _refuse_placements(param: Any, where: str) -> None:
    """Raise TypeError for a DTensor whose elements are sums that nobody has taken yet."""
    # clause: PPSF-X-006 21269820
    if any(placement.is_partial() for placement in param.placements):
        raise TypeError(
            f"{where} is a DTensor with placements {param.placements}: allowed are Shard and Replicate. Its elements "
            "are sums over processes that have not been taken: redistribute() it before it becomes a parameter."
        )
    if param.device_mesh.get_coordinate() is None:
        raise TypeError(
            f"{where} is a DTensor on a mesh that this process does not belong to: allowed are those of which it has a "
            "piece. Give each process its own parameters."
        )


def gradient_of(param: Any, where: str) -> Tensor | None:
    """The piece of the gradient of a DTensor that belongs to the piece of the parameter; None without a gradient.

    A gradient that is placed otherwise than its parameter is brought into its place, by all processes of the mesh.

    Raises:
        TypeError: it is no DTensor.
    """
    grad = param.grad
    if grad is None:
        return None
    if not is_dtensor(grad):
        raise TypeError(
            f"the gradient of {where} is a plain tensor, and the parameter a DTensor: allowed is a DTensor of the same "
            "shape. Let autograd make it, or use distribute_tensor()."
        )
    if grad.placements != param.placements or grad.device_mesh != param.device_mesh:
        grad = grad.redistribute(param.device_mesh, param.placements)
    local: Tensor = grad.to_local()
    return local
