"""Where the elements that a process holds of a parameter lie in the whole parameter, and who holds the others."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from ppsf_fast.distributed.reductions import Reduction

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(slots=True, eq=False)
class Runs:
    """Elements of a parameter as runs in its row-major order, all of the same width, in the order of the storage.

    Attributes:
        starts: index of the first element of each run, int64, on the host.
        width: elements in a run.
    """

    starts: Tensor
    width: int
    _known: dict[tuple[int, torch.device], slice | Tensor] = field(default_factory=dict)

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.starts.numel() * self.width

    def sample(self, values: Tensor, stride: int) -> Tensor:
        """What of a parameter, or of what is stored like it, is here and in the sample of the whole: one axis."""
        # clause: PPSF-N-001 4572b27e
        piece = local(values)
        key = (stride, piece.device)
        if key not in self._known:
            self._known[key] = self._found(*key)
        return piece.reshape(-1)[self._known[key]]

    def _found(self, stride: int, device: torch.device) -> slice | Tensor:
        if self.starts.numel() == 1:
            return slice(min(-int(self.starts) % stride, self.width), None, stride)
        return torch.nonzero(self.indices() % stride == 0).view(-1).to(device)

    def places(self, stride: int) -> Tensor:
        """Where these are in that sample, int64, on the host."""
        indices = self.indices()
        return indices[indices % stride == 0] // stride

    def scattered(self, piece: Tensor, shape: Sequence[int]) -> Tensor:
        """An array of the shape of the whole that holds these elements, and zeros elsewhere."""
        array = piece.new_zeros(math.prod(shape))
        array[self._everywhere(piece.device)] = piece.reshape(-1)
        return array.view(*shape)

    def taken(self, array: Tensor) -> Tensor:
        """The way back: these elements of an array of the shape of the whole, one-dimensional."""
        return array.reshape(-1)[self._everywhere(array.device)]

    def _everywhere(self, device: torch.device) -> slice | Tensor:
        if self.starts.numel() == 1:
            first = int(self.starts)
            return slice(first, first + self.width)
        return self.indices().to(device)

    def indices(self) -> Tensor:
        """Where these are in the whole, int64, on the host."""
        return (self.starts.unsqueeze(1) + torch.arange(self.width, device="cpu")).view(-1)


class Layout(Protocol):
    """A parameter of which this process holds a piece, a plain tensor.

    Attributes:
        shape: of the whole parameter.
        runs: the elements that are here.
        whole: completes a sum over all elements.
        everyone: reaches every process that holds a piece, or a copy of one.
        ranks: these processes, by their global ranks.
    """

    shape: torch.Size
    runs: Runs
    whole: Reduction
    everyone: Reduction
    ranks: frozenset[int]

    def over(self, axes: Collection[int]) -> Reduction:
        """Completes a sum over some axes."""
        ...

    def cuts_factors(self, axis: int) -> bool:
        """Whether of what is stored for another axis a process has a part along this one."""
        ...

    def factor(self, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Zeros as they are stored for the means over an axis."""
        ...

    def placed(self, value: Tensor, axis: int | None) -> Tensor:
        """Of an array of the shape of the parameter, or of means over an axis, what this process keeps."""
        ...

    def block(self, piece: Tensor) -> Tensor:
        """A piece in as many dimensions as the whole has, filled up with zeros where it has to be."""
        ...

    def unblock(self, block: Tensor) -> Tensor:
        """The way back."""
        ...

    def spread(self, sums: Tensor, axis: int) -> Tensor:
        """Sums of a block over an axis, in the shape of what is stored for it here."""
        ...

    def cut(self, stored: Tensor, axis: int) -> Tensor:
        """Of what is stored for an axis the part that meets the block."""
        ...


def local(values: Tensor) -> Tensor:
    """The piece of a tensor that is here, a view: the tensor itself unless it is a DTensor."""
    to_local = getattr(values, "to_local", None)
    return values if to_local is None else to_local()


def full(values: Tensor) -> Tensor:
    """All of a tensor: the tensor itself unless it is a DTensor, of which every process has to ask."""
    full_tensor = getattr(values, "full_tensor", None)
    return values if full_tensor is None else full_tensor()


@dataclass(slots=True, eq=False)
class FlatLayout:
    """One run of the elements, as a one-dimensional tensor: what flattened parameters are cut into.

    The sums of a factored second moment are stored by every process, since two of them may share a row.
    """

    shape: torch.Size
    runs: Runs
    whole: Reduction
    everyone: Reduction
    ranks: frozenset[int]

    @staticmethod
    def of(shape: Sequence[int], first: int, numel: int, group: ProcessGroup | None) -> FlatLayout:
        """Elements `first` to `first + numel` of a parameter of this shape, whose others the group has."""
        over, ranks = Reduction((group,)), frozenset(dist.get_process_group_ranks(group))
        return FlatLayout(torch.Size(shape), Runs(torch.tensor([first], device="cpu"), numel), over, over, ranks)

    def over(self, axes: Collection[int]) -> Reduction:
        return self.whole

    def cuts_factors(self, axis: int) -> bool:
        return False

    def factor(self, axis: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.zeros([1 if i == axis else size for i, size in enumerate(self.shape)], dtype=dtype, device=device)

    @property
    def ends(self) -> tuple[int, int]:
        """The index of the first element, and that of the first one after them."""
        first = int(self.runs.starts)
        return first, first + self.runs.width

    def placed(self, value: Tensor, axis: int | None) -> Tensor:
        return self.runs.taken(full(value)) if axis is None else full(value)

    @property
    def _slab(self) -> tuple[int, int, int]:
        """The rows along the first axis that are met, first and number, and how far into the first the run begins."""
        row, begin = math.prod(self.shape[1:]), int(self.runs.starts)
        first, last = begin // row, -(-(begin + self.runs.width) // row)
        return first, last - first, begin - first * row

    def block(self, piece: Tensor) -> Tensor:
        _, rows, before = self._slab
        block = piece.new_zeros(rows, *self.shape[1:])
        block.view(-1).narrow(0, before, self.runs.width).copy_(piece)
        return block

    def unblock(self, block: Tensor) -> Tensor:
        return block.reshape(-1).narrow(0, self._slab[-1], self.runs.width)

    def spread(self, sums: Tensor, axis: int) -> Tensor:
        if axis == 0:
            return sums
        first, rows, _ = self._slab
        stored = sums.new_zeros(self.shape[0], *sums.shape[1:])
        stored.narrow(0, first, rows).copy_(sums)
        return stored

    def cut(self, stored: Tensor, axis: int) -> Tensor:
        first, rows, _ = self._slab
        return stored if axis == 0 else stored.narrow(0, first, rows)
