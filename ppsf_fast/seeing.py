"""What can be seen of an optimizer: the weights in either form, its numbers, its memory, its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch

from ppsf_fast import modes
from ppsf_fast.core import Core
from ppsf_fast.memory import Memory, memory_of
from ppsf_fast.reasons import why_of
from ppsf_fast.scalars import metrics_of
from ppsf_fast.shown import shown


class Seeing(Core):
    """The part of an optimizer that shows weights and numbers."""

    def train(self, mode: bool = True) -> Self:
        """Switch the weights to y, on which training goes on; does nothing in train mode.

        Args:
            mode: False switches to eval mode instead.

        Returns:
            the optimizer.

        Raises:
            ValueError: a parameter was resized since its last step; nothing has changed then.
        """
        # clause: PPSF-L-003 f3368b50
        mode = mode or not modes.averages(self._rules())
        if any(group["train_mode"] != mode for group in self.param_groups):
            modes.check_fit(self.param_groups, self.state)
            self._end_fused_step()
        for group in self.param_groups:
            if group["train_mode"] != mode:
                modes.switch(group, self.state, mode)
        return self

    def eval(self) -> Self:
        """Switch the weights to x, their average, to evaluate or save them; does nothing in eval mode.

        Nor does it where no weights are averaged: there is no eval mode then.

        Returns:
            the optimizer.
        """
        return self.train(False)

    def averaged_state_dict(self, model: torch.nn.Module) -> dict[str, Any]:
        """The state dict of a model with the weights of eval mode, in whatever mode this is; changes nothing.

        Args:
            model: one whose parameters are trained here, wrapped or not: the names are those of its `state_dict()`.

        Returns:
            what `model.state_dict()` would return after :meth:`eval`, bit for bit, as copies; names that are tied share
            one. Parameters of others, and buffers, are as they stand.

        Raises:
            ValueError: its entries are not the parameters that this optimizer trains: another model, or copies.

        Example:
            >>> from ppsf_fast import ProdigyPlusScheduleFree
            >>> model = torch.nn.Linear(4, 1)
            >>> optimizer = ProdigyPlusScheduleFree(model.parameters())
            >>> sorted(optimizer.averaged_state_dict(model))
            ['bias', 'weight']
        """
        return modes.averaged_state_dict(model, self.param_groups, self._rules(), self.state)

    @contextmanager
    def averaged(self) -> Iterator[Self]:
        """Eval mode in a `with` block; afterwards the weights of training are back, bit for bit.

        They are kept meanwhile: a second copy of the weights. Does nothing in eval mode, or where no weights are
        averaged. A group that is brought back into train mode inside the block stays as it is.

        Example:
            >>> from ppsf_fast import ProdigyPlusScheduleFree
            >>> model = torch.nn.Linear(4, 1)
            >>> optimizer = ProdigyPlusScheduleFree(model.parameters())
            >>> with optimizer.averaged():
            ...     optimizer.param_groups[0]["train_mode"]
            False
            >>> optimizer.param_groups[0]["train_mode"]
            True
        """
        training = [group for group in self.param_groups if group["train_mode"] and modes.averages(self._rules())]
        evaluating = [id(group) for group in self.param_groups if not group["train_mode"]]
        params = [(group, param) for group in training for param in group["params"]]
        kept = [(*each, each[1].detach().clone()) for each in params if modes.has_average(each[1], self.state)]
        self.eval()
        try:
            yield self
        finally:
            with torch.no_grad():
                for group, param, weights in kept:
                    if not group["train_mode"]:
                        param.copy_(weights)
            for group in self.param_groups if training else []:  # also those that were added meanwhile
                if id(group) not in evaluating:
                    group["train_mode"] = True

    def metrics(self) -> list[dict[str, float]]:
        """Where each group stands after the last step that has ended; waits for the device.

        Returns:
            for each group: the scalars that its revision stores, such as `d`, `d_numerator`, `d_denom`, `k` and
            `weight_sum`; the last estimate, `d_hat`, if it makes one; `step_estimate` and `dlr`, which the coming
            step will use; and `skipped_steps`, how many steps of the optimizer a non-finite gradient turned into
            nothing.

        Example:
            >>> from ppsf_fast import ProdigyPlusScheduleFree
            >>> optimizer = ProdigyPlusScheduleFree(torch.nn.Linear(4, 1).parameters(), d0=0.5)
            >>> optimizer.metrics()[0]["d"]
            0.5
        """
        self._settle(wait=True)
        return metrics_of(self.param_groups, self._rules(), self._ledger.skipped())

    def why(self) -> list[str]:
        """For each group in words why `d` did or did not move in the last step that has ended; waits for the device.

        It is found from the numbers that :meth:`metrics` shows, which are all floats, so that trainers can log them.

        Example:
            >>> from ppsf_fast import ProdigyPlusScheduleFree
            >>> ProdigyPlusScheduleFree(torch.nn.Linear(4, 1).parameters()).why()
            ['no gradient yet']
        """
        self._settle(wait=True)
        return why_of(self.param_groups, self._rules(), self._ledger.skipped())

    def memory(self) -> Memory:
        """Bytes that the state takes once each parameter has taken part in two steps; creates nothing.

        Parameters that require no gradient, and have no state, are not counted.

        Raises:
            ValueError: a lazy parameter has no shape yet.
        """
        return memory_of(self.param_groups, self._rules(), self.state)

    def __repr__(self) -> str:
        """The class, its revision, and of each group its size, `d`, and the options that are not the default."""
        return shown(type(self).__name__, self._revision, self.param_groups)
