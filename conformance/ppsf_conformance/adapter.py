"""What the judge needs of an implementation, whatever it is written in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from ppsf_ref import Arithmetic, State
from ppsf_ref.clauses.lifecycle import Place

Array = np.ndarray[Any, Any]
Gradients = Sequence[Sequence[Array | None]]

#: What the law calls the arrays of a parameter and the numbers of a group (k aside), in all revisions.
ARRAYS = ("y", "z", "m", "x0", "s", "v", "v_row", "v_col", "rms_sq", "pull", "l1", "l2")
SCALARS = ("d", "d_prev", "d_max", "d_numerator", "d_denom", "n_max", "weight_sum", "lr_max")
#: What the built-in decay counts, where it is served.
COUNTS = ("stalled", "peak")
#: What a group shows, and nothing is computed from.
SHOWN = ("effective_lr",)

#: What an implementation may not claim to take: groups with options of their own, parameters without a gradient, an lr
#: that changes between steps.
LIMITS = ("own_options", "missing_gradients", "changing_lr")

#: Formats of a parameter's stored arrays, by name, one mapping per parameter and group.
Formats = tuple[tuple[Mapping[str, str], ...], ...]


@dataclass(frozen=True)
class Weights:
    """Initial weights of one parameter: exact float64 values, the dtype to hold them in, and the memory layout."""

    values: Array
    dtype: str = "float32"
    layout: Literal["contiguous", "transposed"] = "contiguous"


@dataclass(frozen=True)
class Group:
    """One parameter group as handed to a constructor: weights and the options given for it."""

    params: tuple[Weights, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Everything an implementation stores, exactly, under the names of the law, and what its groups show beside."""

    state: State
    formats: Formats
    shown: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What an implementation declares of itself.

    Attributes:
        arithmetic: formats, order of sums, accuracy of functions.
        revision: what it is judged by.
        dtypes: parameter dtypes it takes.
        options: options of the revision it has, and is judged by.
        serves: switches of the revision beyond those, which it accepts.
        lacks: options of the revision of which it says that it takes the default only.
        always: options of the law that it is an example of, without taking them.
        shows: what its groups show, of :data:`SHOWN`.
        knows_bits: whether stochastic rounding draws the bits of PPSF-R-004.
        limits: what it does not claim to take, of ``LIMITS``.
    """

    arithmetic: Arithmetic
    revision: str
    dtypes: tuple[str, ...]
    options: frozenset[str]
    serves: frozenset[str]
    knows_bits: bool
    always: Mapping[str, Any] = field(default_factory=dict)
    shows: frozenset[str] = frozenset(SHOWN)
    lacks: frozenset[str] = frozenset()
    limits: frozenset[str] = frozenset()


class Lacking(Exception):
    """What is asked for is nothing that an implementation, or what it is written in, has."""


def fused_order(gradients: Gradients) -> list[Place]:
    """All places, in the order in which a fused step calls them: another one in each step, known from its gradients."""
    places = [(i, j) for i, row in enumerate(gradients) for j in range(len(row))]
    given = b"".join(gradient.tobytes() for row in gradients for gradient in row if gradient is not None)
    order = np.random.default_rng(zlib.crc32(given)).permutation(len(places))
    return [places[index] for index in order]


class Session(Protocol):
    """One optimizer over its own parameters. A method may raise ``Lacking``."""

    def snapshot(self) -> Snapshot: ...
    def step(self, gradients: Gradients) -> None:
        """One step; with ``fused_back_pass`` parameter by parameter, in an order that the gradients decide."""
        ...

    def set_lr(self, group: int, lr: float) -> None: ...
    def train(self) -> None: ...
    def eval(self) -> None: ...
    def add_group(self, group: Group) -> None: ...

    def copied(self, how: Literal["saved", "deepcopy", "pickle"]) -> Session:
        """The same optimizer after a round trip, over new parameters with the same values."""
        ...

    def step_with_closure(self, gradients: Gradients, observe: Callable[[str], None]) -> bool:
        """A step whose closure sets the gradients; tells ``observe`` what happened; whether its value came back."""
        ...

    def step_scaled(self, gradients: Gradients, scale: float | None, found_inf: float) -> None:
        """A step, fused or not, that is told the scale of its gradients, and whether one of them was found infinite."""
        ...

    def step_alone(self, place: Place, gradient: Array | None) -> None:
        """Give one parameter its gradient, step it by itself, and free the gradient."""
        ...

    def end_step(self, observe: Callable[[str], None] | None = None) -> bool:
        """``step()`` without gradients, with a closure if there is an observer; whether its value came back."""
        ...

    def step_alone_with_stranger(self) -> None:
        """Step a tensor alone that is none of the parameters."""
        ...

    def step_with_foreign_gradient(self, kind: Literal["sparse", "complex"]) -> None: ...


class Eventful(Protocol):
    """What a session may offer beside :class:`Session`; what it lacks is not asked of it (:func:`offers`)."""

    def option(self, group: int, name: str) -> object:
        """What a group holds under a key; None if it has no such key."""
        ...

    def set_option(self, group: int, name: str, value: Any) -> None:
        """Change an option of a group, as a scheduler does between steps."""
        ...

    def edit(self, place: Place, values: Array, swap: bool) -> None:
        """Write weights from outside: into the storage there is, or by putting another one in its place."""
        ...

    def freeze(self, place: Place, frozen: bool) -> None:
        """Take a parameter out of training, or back in."""
        ...

    def move(self, how: Literal["storage", "state_dict"]) -> None:
        """Bring weights and state into new storage: each tensor by itself, or the state by saving and loading it."""
        ...

    def checkpoint(self) -> object:
        """Weights and optimizer, written to a file."""
        ...

    def restore(self, saved: object) -> None:
        """Load a checkpoint into the optimizer there is."""
        ...

    def stepped_elsewhere(self, gradients: Gradients) -> Session:
        """The optimizer after it was loaded in a new process, made a step there, was saved, and was loaded here."""
        ...

    def step_accumulated(self, parts: Sequence[Gradients]) -> None:
        """A step whose gradients arrive one part after the other."""
        ...

    def disturb(self) -> None:
        """Draw from every global random generator."""
        ...

    def drawn(self) -> Mapping[str, bytes]:
        """Where every global random generator stands, by name."""
        ...

    def modes(self) -> Sequence[bool]:
        """Per group, whether it shows train mode."""
        ...


def offers(session: object, event: str) -> bool:
    """Whether a session has a method of :class:`Eventful`."""
    return callable(getattr(session, event, None))


class Implementation(Protocol):
    """A factory of sessions."""

    name: str
    version: str
    target: str

    @property
    def capabilities(self) -> Capabilities: ...

    def new(self, groups: Sequence[Group], options: Mapping[str, Any]) -> Session:
        """A fresh optimizer; whatever its constructor raises passes through."""
        ...
