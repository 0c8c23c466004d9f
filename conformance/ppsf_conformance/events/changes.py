"""What happens to an optimizer between its steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ppsf_conformance.adapter import Array, Group, Snapshot, Weights
from ppsf_conformance.checks.finding import difference
from ppsf_conformance.events.life import Checkpoint, Life
from ppsf_conformance.problems import GroupSpec, ParamSpec
from ppsf_ref import State
from ppsf_ref.clauses import lifecycle
from ppsf_ref.clauses.lifecycle import Place
from ppsf_ref.formats import FORMATS, nearest
from ppsf_ref.options import load_revision, options_of


@dataclass(frozen=True)
class Mode:
    """``eval()`` or ``train()``, called once or several times."""

    call: Literal["eval", "train"]
    times: int = 1

    def happen(self, life: Life) -> None:
        """The first call may change the mode; the others change nothing at all."""
        for _ in range(self.times):
            life.do("PPSF-L-003", life.session.eval if self.call == "eval" else life.session.train)
            before, after = life.observe()
            mode = lifecycle.mode_after(before.state.train_mode, self.call, life.averages)
            if mode == before.state.train_mode:
                life.same("PPSF-L-003", before, after, f"{self.call}() in the mode it leads to")
                continue
            if life.running is not None:
                before = life.ended_unseen(before, after)
                life.end(before)
            life.lawful(self.call, before, after)


@dataclass(frozen=True)
class Copied:
    """``deepcopy``, ``pickle``, or a state dict loaded into a fresh optimizer; the life goes on with the copy."""

    how: Literal["saved", "deepcopy", "pickle"]

    def happen(self, life: Life) -> None:
        """A copy is the same and shares nothing, and so is what was copied."""
        copy = life.do("PPSF-L-005", life.session.copied, self.how)
        before, after = life.observe()
        life.interrupted("PPSF-L-005", before, after, f"to be copied ({self.how})")
        life.same("PPSF-L-005", after, copy.snapshot(), f"a copy ({self.how})")
        life.elder = life.session, after
        life.session = copy
        if self.how == "saved":
            for place in life.frozen:  # new parameters train
                if life.offers("freeze"):
                    copy.freeze(place, True)


@dataclass(frozen=True)
class Save:
    """Weights and optimizer are written to a file."""

    def happen(self, life: Life) -> None:
        """Saving changes nothing."""
        saved = life.do("PPSF-L-005", life.session.checkpoint)  # type: ignore[attr-defined]
        before, after = life.observe()
        life.interrupted("PPSF-L-005", before, after, "saving")
        life.checkpoint = Checkpoint(saved, after, life.rates, frozenset(life.known))


@dataclass(frozen=True)
class Restore:
    """The file is loaded into the optimizer as it is now."""

    def happen(self, life: Life) -> None:
        """All is as it was then; a running step is dropped."""
        if life.checkpoint is None:
            return
        life.do("PPSF-L-005", life.session.restore, life.checkpoint.saved)  # type: ignore[attr-defined]
        _, after = life.observe()
        life.running = None
        life.same("PPSF-L-005", life.checkpoint.snapshot, after, "to be saved, trained on and loaded")
        life.rates, life.known = life.checkpoint.rates, set(life.checkpoint.known)


@dataclass(frozen=True)
class Moved:
    """Weights and state go to other storage: tensor by tensor, or the state through ``load_state_dict``."""

    how: Literal["storage", "state_dict"]

    def happen(self, life: Life) -> None:
        """No value changes."""
        life.do("PPSF-L-005", life.session.move, self.how)  # type: ignore[attr-defined]
        before, after = life.observe()
        if self.how == "state_dict":
            life.interrupted("PPSF-L-005", before, after, "to be moved by its state dict")
        else:
            life.same("PPSF-L-005", before, after, "to be moved")


@dataclass(frozen=True)
class Edited:
    """Weights are changed from outside: clamped in place, or swapped for others."""

    place: Place
    how: Literal["clamp", "swap"] = "clamp"

    def happen(self, life: Life) -> None:
        """The optimizer goes on from the new weights, and nothing else has changed."""
        i, j = self.place
        group = life.now.state.groups[i]
        values = self._values(np.asarray(group.params[j].y), life.problem.groups[i].params[j].dtype)
        life.do("PPSF-L-005", life.session.edit, self.place, values, self.how == "swap")  # type: ignore[attr-defined]
        before, after = life.observe()
        params = (*group.params[:j], replace(group.params[j], y=values), *group.params[j + 1 :])
        groups = before.state.groups
        edited = replace(before.state, groups=(*groups[:i], replace(group, params=params), *groups[i + 1 :]))
        life.same("PPSF-L-005", Snapshot(edited, before.formats), after, "an edit of weights from outside")

    def _values(self, y: Array, dtype: str) -> Array:
        if self.how == "clamp":
            return np.clip(y, -0.5, 0.5)
        drawn = np.asarray(np.random.default_rng(y.size).normal(size=y.shape))
        return nearest(drawn, FORMATS[dtype])


@dataclass(frozen=True)
class Rate:
    """A scheduler sets the learning rate of a group."""

    group: int
    lr: float

    def happen(self, life: Life) -> None:
        """It acts from the next step on."""
        life.session.set_lr(self.group, self.lr)
        before, after = life.observe()
        life.same("PPSF-G-004", before, after, "to set a learning rate")
        life.rates = (*life.rates[: self.group], self.lr, *life.rates[self.group + 1 :])


@dataclass(frozen=True)
class Frozen:
    """A parameter leaves training, or comes back."""

    place: Place
    frozen: bool = True

    def happen(self, life: Life) -> None:
        """Its state stays as it is."""
        if life.offers("freeze"):
            life.do("PPSF-G-001", life.session.freeze, self.place, self.frozen)  # type: ignore[attr-defined]
        (life.frozen.add if self.frozen else life.frozen.discard)(self.place)
        before, after = life.observe()
        life.same("PPSF-G-001", before, after, "to freeze or unfreeze a parameter")


@dataclass(frozen=True)
class Disturbed:
    """Others draw from the global random generators."""

    def happen(self, life: Life) -> None:
        """The optimizer does not read them."""
        life.session.disturb()  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Added:
    """``add_param_group`` with one parameter, and a learning rate of its own unless it is None."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    lr: float | None = None

    def happen(self, life: Life) -> None:
        """The new group begins afresh, or joins the one pool; the others stay as they are."""
        options = {} if self.lr is None else {"lr": self.lr}
        drawn = np.asarray(np.random.default_rng(len(life.problem.groups)).normal(size=self.shape))
        values = nearest(drawn, FORMATS[self.dtype])
        group = Group((Weights(values, self.dtype),), options)
        fresh = life.implementation.new([group], life.problem.options).snapshot().state.groups[0]
        life.do("PPSF-L-007", life.session.add_group, group)
        before, after = life.observe()
        old = Snapshot(replace(after.state, groups=after.state.groups[:-1]), after.formats[:-1])
        if life.running is not None:
            life.end(old)
        else:
            life.same("PPSF-L-007", before, old, "add_param_group")
        expected = lifecycle.added_group(fresh, after.state.groups[0], life.splits)
        changed = difference(State((expected,)), State(after.state.groups[-1:]))
        life.expect("PPSF-L-007", not changed, f"of an added group {changed} (law, and observed)")
        spec = GroupSpec((ParamSpec(self.shape, self.dtype),), options)
        life.problem = replace(life.problem, groups=(*life.problem.groups, spec))
        usual = life.problem.options.get("lr", _usual_lr(life))
        life.rates = (*life.rates, usual if self.lr is None else self.lr)
        life.checkpoint = None


def _usual_lr(life: Life) -> float:
    return options_of(load_revision(life.problem.revision)).lr
