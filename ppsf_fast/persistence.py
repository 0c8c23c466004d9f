"""Saving and loading an optimizer, by state dicts and by pickle."""

from __future__ import annotations

from typing import Any

from torch.optim.optimizer import Optimizer

from ppsf_fast import checkpoint
from ppsf_fast.core import Core
from ppsf_fast.precision import ordinary
from ppsf_fast.revisions import REVISIONS
from ppsf_fast.scalars import Ledger, Names


class Persistence(Core):
    """The part of an optimizer that is saved and loaded."""

    def state_dict(self) -> dict[str, Any]:
        """The state, exact: nothing but tensors and plain Python values; ends a fused step, waits for the device.

        With sharded parameters (DTensors) every process has to call it: their arrays are DTensors.
        """
        self._end_fused_step()
        self._settle(wait=True)

        def complete(_: Optimizer, made: dict[str, Any]) -> dict[str, Any]:
            made = checkpoint.plain(made)
            return checkpoint.completed(made, self.param_groups, self.state, self._revision)

        handle = self.register_state_dict_post_hook(complete, prepend=True)
        everything = self.state
        try:
            self.state = checkpoint.owned(everything, self.param_groups)
            return super().state_dict()
        finally:
            self.state = everything
            handle.remove()

    def whole_state_dict(self) -> dict[str, Any]:
        """The state dict that one process with all of the parameters would have, as copies on the host.

        Of sharded parameters it holds the whole, which any number of processes can load. Every process has to call it.

        Returns:
            the state dict in the first of the processes that have a piece; an empty one in the others. Without sharded
            parameters, the state dict in each.

        Raises:
            ValueError: processes have whole parameters of their own, as with ZeRO-1.

        Example:
            >>> import torch
            >>> from ppsf_fast import ProdigyPlusScheduleFree
            >>> optimizer = ProdigyPlusScheduleFree(torch.nn.Linear(4, 1).parameters())
            >>> optimizer.whole_state_dict() == optimizer.state_dict()
            True
        """
        team = self._team(self._rules())
        sharing = team is not None and bool(team.sharing.sums)
        return checkpoint.whole(self.state_dict(), self.param_groups, self._revision, sharing)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what :meth:`state_dict` returned. Tensors keep their dtypes; the mode is restored too.

        Args:
            state_dict: of an optimizer with the same groups; not changed, and not shared.

        Raises:
            TypeError, ValueError: the state does not belong to this optimizer; nothing
                has changed then.
        """
        # torch casts state to the dtype of the parameter. So the state is taken out before torch sees it and
        # put back before any other hook does.
        checkpoint.check_kind(state_dict)
        taken: dict[str, Any] = {}

        def take(_: Optimizer, given: dict[str, Any]) -> dict[str, Any]:
            checkpoint.check(given, self.param_groups, self._revision)
            taken.update(given)
            return {**given, "param_groups": checkpoint.groups_of(given, self._revision), "state": {}}

        def put(_: Optimizer) -> None:
            with ordinary():
                self.state = checkpoint.restored(taken, self.param_groups, self._revision)
            self._running, self._ahead = None, False

        handles = (
            self.register_load_state_dict_pre_hook(take),
            self.register_load_state_dict_post_hook(put, prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for handle in handles:
                handle.remove()

    def __getstate__(self) -> dict[str, Any]:
        self._end_fused_step()
        self._settle(wait=True)
        return {
            **super().__getstate__(),
            "_skipped": self._ledger.skipped(),
            "_revision": self.revision,
            "_compiles": self._compiles,
            "_lacks_group": self._lacks_group or self._process_group is not None or self._has_declared(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over groups and state; the device's scalars follow from the groups."""
        given = dict(state)
        skipped, revision = given.pop("_skipped", None), given.pop("_revision", None)
        self._compiles = given.pop("_compiles", getattr(self, "_compiles", False))
        self._process_group = getattr(self, "_process_group", None)
        lacking = given.pop("_lacks_group", getattr(self, "_lacks_group", False))
        self._lacks_group = lacking and self._process_group is None
        if revision is not None:
            self._revision = REVISIONS[revision]
        if skipped is None:
            skipped = self._ledger.skipped()
        super().__setstate__(given)
        self.defaults.pop("differentiable", None)  # an option of torch's own: groups added later would have it
        self._ledger = Ledger(Names.of(self._revision), skipped)
        # Who loads keeps the hooks that are installed; a copy has none.
        following = getattr(self, "_followers", []), getattr(self, "_finishers", [])
        self._begin_anew()
        self._followers, self._finishers = following
