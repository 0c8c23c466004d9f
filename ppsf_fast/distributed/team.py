"""The processes of one optimizer: what is sharded over them, and who has parameters of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch.distributed as dist
from torch import Tensor

from ppsf_fast.distributed.layout import Layout
from ppsf_fast.distributed.reductions import Reduction
from ppsf_fast.distributed.sharding import Known, anything_sharded, layout_of
from ppsf_fast.options import Group

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class Team:
    """How an optimizer is spread over processes.

    Args:
        sharing: whether processes have parameters of their own, and share their estimates.
        group: these processes; None: the default group.
        known: layouts from earlier steps.
    """

    def __init__(self, sharing: bool, group: ProcessGroup | None, known: Known) -> None:
        self._known, self._group = known, group
        self.sharing = Reduction((group,)) if sharing else Reduction()

    @staticmethod
    def of(groups: Sequence[Group], sharing: bool, group: ProcessGroup | None, known: Known) -> Team | None:
        """The team of an optimizer's groups; None if all its parameters are here, and it shares with nobody."""
        team = Team(sharing and connected(group), group, known)
        if team.sharing.sums:
            return team
        params = list(chain.from_iterable(each["params"] for each in groups))
        if not anything_sharded(params):
            return None
        layouts = (team.layout(param, f"parameter {index}") for index, param in enumerate(params))
        return team if any(layout is not None for layout in layouts) else None

    def layout(self, param: Tensor, where: str) -> Layout | None:
        """How a parameter is sharded; None if it is not."""
        return layout_of(param, where, self._known)

    def counts(self, layout: Layout) -> bool:
        """Whether this process tells the others of a sharded parameter: of those that have it, only one does."""
        if not self.sharing.sums:
            return True
        together = layout.ranks & set(dist.get_process_group_ranks(self._group))
        return dist.get_rank() == min(together)


def connected(group: ProcessGroup | None) -> bool:
    """Whether there are other processes in a group."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1


def is_first(layouts: Iterable[Layout | None]) -> bool:
    """Whether of all processes that have a piece of a parameter this is the first; without pieces each one is."""
    holders = [min(layout.ranks) for layout in layouts if layout is not None]
    return not holders or dist.get_rank() == min(holders)
