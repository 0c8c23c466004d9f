"""What can happen to a torch optimizer between steps: events that a session offers beside the usual ones."""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import io
import itertools
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch

from ppsf_conformance.adapter import Array, Gradients
from ppsf_conformance.patience import limited
from ppsf_conformance.surroundings import GENERATORS
from ppsf_ref.clauses.lifecycle import Place

#: Optimizers that one new process serves before the next one takes its place; starting one takes seconds.
SERVED = 25


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Published optimizers print from constructors and steps; and none may end the process, or take for ever."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), limited():
        try:
            yield
        except SystemExit as stop:
            raise RuntimeError(f"calls sys.exit({stop.code!r})") from stop


class TorchEvents:
    """Events of a session over ``optimizer``; with ``fused`` its parameters are stepped one by one."""

    optimizer: torch.optim.Optimizer
    fused: bool

    def _constructor_options(self) -> dict[str, Any]:
        """What the constructor was given; a session says it."""
        raise NotImplementedError

    def _with(self, optimizer: torch.optim.Optimizer) -> Self:
        """A session over another optimizer of the same class; a session says how."""
        raise NotImplementedError

    def _at(self, place: Place) -> torch.Tensor:
        param: torch.Tensor = self.optimizer.param_groups[place[0]]["params"][place[1]]
        return param

    # --- edits -------------------------------------------------------------------------------------------------

    def edit(self, place: Place, values: Array, swap: bool) -> None:
        param = self._at(place)
        new = torch.empty_like(param.data).copy_(torch.tensor(values))
        if swap:
            param.data = new
        else:
            param.data.copy_(new)

    def freeze(self, place: Place, frozen: bool) -> None:
        param = self._at(place)
        param.requires_grad_(not frozen)
        param.grad = None

    def disturb(self) -> None:
        for generator in GENERATORS.values():
            generator.draw()

    def drawn(self) -> Mapping[str, bytes]:
        return {name: pickle.dumps(generator.get()) for name, generator in GENERATORS.items()}

    # --- other storage -----------------------------------------------------------------------------------------

    def move(self, how: Literal["storage", "state_dict"]) -> None:
        if how == "state_dict":
            with quiet():
                self.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
            return
        for group in self.optimizer.param_groups:
            for param in group["params"]:
                param.data = _moved(param.data)
                for value in self.optimizer.state.get(param, {}).values():
                    if isinstance(value, torch.Tensor):
                        value.data = _moved(value.data)

    # --- files -------------------------------------------------------------------------------------------------

    def checkpoint(self) -> object:
        file = _new_file()
        with quiet():
            state = self.optimizer.state_dict()
        torch.save({"weights": self._weights(), "optimizer": state}, file)
        return file

    def restore(self, saved: object) -> None:
        found = torch.load(Path(str(saved)), weights_only=True)
        for group, row in zip(self.optimizer.param_groups, found["weights"], strict=True):
            for param, values in zip(group["params"], row, strict=True):
                param.data.copy_(values)
        with quiet():
            self.optimizer.load_state_dict(found["optimizer"])

    def _weights(self) -> list[list[torch.Tensor]]:
        return [[param.detach().clone() for param in group["params"]] for group in self.optimizer.param_groups]

    def stepped_elsewhere(self, gradients: Gradients) -> Self:
        job = _Job(type(self.optimizer), self._constructor_options(), self.fused, self.checkpoint(), _new_file())
        _elsewhere(job, gradients)
        return self._with(_opened(job, job.result))

    # --- gradients in parts ------------------------------------------------------------------------------------

    def step_accumulated(self, parts: Sequence[Gradients]) -> None:
        for group in self.optimizer.param_groups:
            for param in group["params"]:
                param.grad = None
        for gradients in parts:
            for group, row in zip(self.optimizer.param_groups, gradients, strict=True):
                for param, gradient in zip(group["params"], row, strict=True):
                    if gradient is not None:
                        (param * torch.tensor(gradient).to(param.dtype)).sum().backward()
        with quiet():
            self.optimizer.step()


def _moved(tensor: torch.Tensor) -> torch.Tensor:
    """The same values in new storage: over an accelerator and back if there is one, and by way of a wider dtype."""
    if torch.accelerator.is_available():
        return tensor.to(torch.accelerator.current_accelerator()).to(tensor.device)
    wide = tensor.to(torch.float64) if tensor.is_floating_point() else tensor.clone()
    return wide.to(tensor.dtype)


# ------------------------------------------------------------------------------------------------------- new processes


@dataclass(frozen=True)
class _Job:
    """One step in a new process: what to construct there, what to load, and where to leave the result."""

    cls: type[torch.optim.Optimizer]
    options: Mapping[str, Any]
    fused: bool
    file: object
    result: object


def _opened(job: _Job, file: object) -> torch.optim.Optimizer:
    """An optimizer over new parameters, all from a checkpoint."""
    found = torch.load(Path(str(file)), weights_only=True)
    groups = [{"params": [torch.nn.Parameter(values) for values in row]} for row in found["weights"]]
    with quiet():
        made = job.cls(groups, **job.options)
        made.load_state_dict(found["optimizer"])
    return made


def _step(job: _Job, gradients: Gradients) -> None:
    """What the new process does."""
    optimizer = _opened(job, job.file)
    pairs = [
        (param, group, gradient)
        for group, row in zip(optimizer.param_groups, gradients, strict=True)
        for param, gradient in zip(group["params"], row, strict=True)
        if gradient is not None
    ]
    for param, group, gradient in pairs:
        param.grad = torch.empty_like(param).copy_(torch.tensor(gradient))
        if job.fused:
            optimizer.step_param(param, group)  # type: ignore[attr-defined]
    with quiet():
        optimizer.step()
    weights = [[param.detach() for param in group["params"]] for group in optimizer.param_groups]
    torch.save({"weights": weights, "optimizer": optimizer.state_dict()}, Path(str(job.result)))


class _NewProcess:
    """A Python process that has never seen the optimizers it is given; the next one takes its place after some."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    def __call__(self, job: _Job, gradients: Gradients) -> None:
        """Do a job there.

        Raises:
            RuntimeError: what went wrong there.
        """
        if self._process is None or self._served == SERVED:
            self.close()
            self._process, self._served = self._started(), 0
        self._served += 1
        talk, answer = self._process.stdin, self._process.stdout
        assert talk is not None
        assert answer is not None
        pickle.dump(pickle.dumps((job, [list(row) for row in gradients])), talk)
        talk.flush()
        failure: str = pickle.load(answer)
        if failure:
            raise RuntimeError(f"in a new process: {failure}")

    @staticmethod
    def _started() -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path or "." for path in sys.path)
        command = [sys.executable, "-c", f"from {__name__} import serve; serve()"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen(command, **pipes, env={**os.environ, "PYTHONPATH": paths})  # type: ignore[call-overload, no-any-return]

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None


_elsewhere = _NewProcess()
atexit.register(_elsewhere.close)


def serve() -> None:
    """Do the jobs that come through standard input, until there are no more; answer what went wrong, or nothing."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever is printed must not be taken for an answer
    while True:
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        failure = ""
        try:
            _step(*pickle.loads(asked))
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        pickle.dump(failure, answers)
        answers.flush()


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="ppsf-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


_numbers = itertools.count()


def _new_file() -> Path:
    return _folder() / f"{next(_numbers)}.pt"
