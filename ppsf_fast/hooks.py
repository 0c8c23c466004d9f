"""The step inside the backward pass: hooks that move each parameter when its gradient is complete, and free it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from torch import Tensor
from torch.utils.hooks import RemovableHandle

from ppsf_fast.base import RevisedOptimizer


class FusedBackward:
    """Hooks on the parameters of an optimizer; :meth:`remove` takes them off again, as leaving a `with` block does."""

    def __init__(self, optimizer: RevisedOptimizer) -> None:
        self._optimizer = optimizer
        self._handles: dict[Tensor, RemovableHandle] = {}
        self._accumulates = False
        #: Since the last step: who has moved, and whose gradient has been left to be added to.
        self._moved: set[Tensor] = set()
        self._left: dict[Tensor, None] = {}
        for group in optimizer.param_groups:
            self._install(group["params"])
        optimizer.follow(self._install)
        optimizer.before_end(self._finish)
        self._loads = optimizer.register_load_state_dict_post_hook(lambda _: self._forget())

    @contextmanager
    def accumulating(self, on: bool = True) -> Iterator[None]:
        """In the block gradients are left to be added up: for every backward pass of a step but the last.

        That one moves each parameter by the sum of its gradients; `optimizer.step()` moves those that it did not
        reach. The sums are kept meanwhile, as without `fused_back_pass`.

        Args:
            on: False leaves all as it is, so that a loop needs one `with` for all its passes.
        """
        before, self._accumulates = self._accumulates, on
        try:
            yield
        finally:
            self._accumulates = before

    def _install(self, params: Iterable[Tensor]) -> None:
        for param in params:
            if param.requires_grad and param not in self._handles:
                hook = param.register_post_accumulate_grad_hook(self._hook())  # type: ignore[no-untyped-call]
                self._handles[param] = hook

    def _hook(self) -> Callable[[Tensor], None]:
        """What a parameter calls. It keeps nothing alive: Python's collector cannot see what a hook refers to."""
        alive = weakref.WeakMethod(self._step)

        def hook(param: Tensor) -> None:
            step = alive()
            if step is not None:
                step(param)

        return hook

    def _step(self, param: Tensor) -> None:
        if param in self._moved:
            raise RuntimeError(
                f"a parameter of shape {tuple(param.shape)} has moved, and got another gradient before step(): allowed "
                "is one backward pass for each step. Call optimizer.step() after it, or put all passes of a step but "
                "the last into `with hooks.accumulating():`."
            )
        if self._accumulates:
            self._left[param] = None
        else:
            self._move(param)

    def _move(self, param: Tensor) -> None:
        self._optimizer.step_param(param)
        param.grad = None
        self._moved.add(param)

    def _finish(self) -> None:
        """Before a step ends: move who was left by the last backward pass, and who had no hook in it."""
        for group in self._optimizer.param_groups:
            late = [param for param in group["params"] if param.grad is not None and param not in self._handles]
            self._install(late)
            self._left |= dict.fromkeys(param for param in late if param in self._handles)
        for param in self._left:
            if param not in self._moved and param.grad is not None:
                self._move(param)
        self._forget()

    def _forget(self) -> None:
        """A step has ended, or is dropped for the state that is loaded."""
        self._left.clear()
        self._moved.clear()

    def remove(self) -> None:
        """Take the hooks off; calling it again does nothing."""
        self._optimizer.unfollow(self._install)
        self._optimizer.not_before_end(self._finish)
        self._loads.remove()
        for handle in self._handles.values():
            handle.remove()
        self._handles.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def fuse_backward(optimizer: RevisedOptimizer) -> FusedBackward:
    """Step inside the backward pass: each parameter moves when its gradient is complete, and the gradient is freed.

    Call `optimizer.step()` after each `loss.backward()`, which ends the step. Parameters that are added later get their
    hook at once; one that is unfrozen later, or takes the place of another, is moved by `step()` once, and has
    its hook from then on. A second backward pass before `step()` is
    refused, unless all but the last are made in `FusedBackward.accumulating()`. Gradients cannot be clipped by
    their common norm.

    Args:
        optimizer: made with `fused_back_pass=True`; under a wrapper, the optimizer inside.

    Returns:
        the hooks, to be removed, or to be used in a `with` statement.

    Raises:
        TypeError: it is no optimizer of this package.
        RuntimeError: it was made without `fused_back_pass=True` (PPSF-X-020).

    Example:
        >>> import torch
        >>> from ppsf_fast import ProdigyPlusScheduleFree
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = ProdigyPlusScheduleFree(model.parameters(), fused_back_pass=True)
        >>> with fuse_backward(optimizer):
        ...     model(torch.ones(2, 4)).sum().backward()  # moves the parameters, and frees their gradients
        ...     optimizer.step()  # ends the step
        >>> model.weight.grad is None
        True
    """
    if not isinstance(optimizer, RevisedOptimizer):
        raise TypeError(
            f"fuse_backward() was given a {type(optimizer).__name__}: allowed is an optimizer of ppsf_fast. Under a "
            "wrapper, such as that of accelerate, pass the optimizer inside."
        )
    if not optimizer.is_fused:
        raise RuntimeError(
            "fuse_backward() needs an optimizer that leaves its parameters to the hooks: give it fused_back_pass=True, "
            "and set it in all groups if a loaded state has brought False."
        )
    return FusedBackward(optimizer)
