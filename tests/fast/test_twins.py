"""Two optimizers that live through the same events stay the same, bit for bit, whatever else happens to each.

Events that count are drawn for both: steps, skipped steps, options, parameters that come, go, are frozen or exchanged.
What must not count is drawn for each alone: how a step is taken, questions, copies, checkpoints, other memory.
"""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.fast.helpers import seen
from tests.fast.revised import CASES

#: So many stories of each revision, and events of a story. Set the first to search further.
STORIES, EVENTS = int(os.environ.get("PPSF_STORIES", "3")), 20
SHAPES = ((40, 33), (7,), (), (33, 2), (0, 4), (3, 4, 5), (24, 16, 3, 3))
DTYPES = (torch.float32, torch.float32, torch.bfloat16, torch.float16)
#: Options that trainers edit between steps, and values for them; and those that groups with one estimate agree on.
EDITS: dict[str, tuple[Any, ...]] = {
    "lr": (1.0, 0.5, 0.0),
    "weight_decay": (0.0, 0.1),
    "d_coef": (1.0, 2.0),
    "use_stableadamw": (True, False),
    "use_cautious": (True, False),
    "eps": (1e-8, 1e-4),
}
SHARED = ("d_coef",)
#: Of gradients, powers of two: they change no bit of the portable step. The compiled one leaves scaled gradients to it,
#: and sums in another order.
SCALES = {False: (None, 1.0, 4.0), True: (None,)}


def parameter(shape: tuple[int, ...], seed: int) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return torch.nn.Parameter(values.to(DTYPES[seed % len(DTYPES)]))


class Twin:
    """One of the two, with its parameters.

    Args:
        alone: whether a step moves its parameters one by one.
        draw: what is drawn for it alone.
    """

    def __init__(self, case: str, alone: bool, compiles: bool, seed: int, draw: random.Random) -> None:
        self.make: Any
        self.make, options = CASES[case]
        self.options = {**options, "compile": compiles} | ({"fused_back_pass": True} if alone else {})
        self.alone, self.draw, self.scales = alone, draw, SCALES[compiles]
        self.params = [parameter(shape, seed + index) for index, shape in enumerate(SHAPES)]
        self.optimizer = self.built([self.params[:3], self.params[3:]])

    def built(self, groups: list[list[Tensor]]) -> Any:
        return self.make([{"params": group} for group in groups], **self.options)

    @property
    def groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    def nth(self, index: int) -> Tensor:
        return self.params[index % len(self.params)]

    # -------------------------------------------------------------------------------------------- what counts for both

    def step(self, seed: int, without: set[int], skipped: bool = False) -> None:
        scale = self.draw.choice(self.scales)
        for index, param in enumerate(self.params):
            noise = torch.randn(param.shape, generator=torch.Generator().manual_seed(seed + index))
            param.grad = None
            if index not in without and param.requires_grad:
                param.grad = (0.1 * noise + 0.01).to(param.dtype) * (scale or 1.0)
        self.optimizer.grad_scale = None if scale is None else torch.tensor(scale)
        self.optimizer.found_inf = torch.tensor(1.0 if skipped else 0.0) if skipped or scale else None
        if self.alone:
            for param in self.draw.sample(self.params, len(self.params)):
                self.optimizer.step_param(param)
                param.grad = None
        self.optimizer.step()
        self.optimizer.grad_scale = self.optimizer.found_inf = None

    def skip(self, seed: int) -> None:
        self.step(seed, set(), skipped=True)

    def edit(self, index: int, name: str, value: Any) -> None:
        for group in self.groups if name in SHARED else [self.groups[index % len(self.groups)]]:
            if name in group:
                group[name] = value

    def add(self, seed: int) -> None:
        param = parameter((9, 8), seed)
        self.params.append(param)
        agreed = {name: self.groups[0][name] for name in SHARED if name in self.groups[0]}
        self.optimizer.add_param_group({"params": [param], "weight_decay": 0.05, **agreed})

    def take(self, index: int) -> None:
        """Take a parameter out, unless it is the last one of its group."""
        param = self.nth(index)
        for group in self.groups:
            if any(each is param for each in group["params"]) and len(group["params"]) > 1:
                self._replace(param, [])

    def exchange(self, index: int, seed: int) -> None:
        """Let another parameter take the place of one."""
        param = self.nth(index)
        self._replace(param, [torch.nn.Parameter(parameter(tuple(param.shape), seed).detach().to(param.dtype))])

    def _replace(self, old: Tensor, new: list[Tensor]) -> None:
        for group in self.groups:
            group["params"] = [each for param in group["params"] for each in (new if param is old else [param])]
        self.params = [each for param in self.params for each in (new if param is old else [param])]
        self.optimizer.state.pop(old, None)

    def freeze(self, index: int) -> None:
        self.nth(index).requires_grad_(not self.nth(index).requires_grad)

    def turn(self, index: int) -> None:
        """Lay weights in another order in memory, as `channels_last` does."""
        param = self.nth(index)
        if param.dim() > 1:
            param.data = param.data.transpose(0, 1).contiguous().transpose(0, 1)

    def evaluate(self) -> None:
        self.optimizer.eval()
        self.optimizer.train()

    # ----------------------------------------------------------------------------------------- what counts for nobody

    def ask(self) -> None:
        self.optimizer.metrics()
        self.optimizer.why()
        self.optimizer.memory()
        self.optimizer.state_dict()
        repr(self.optimizer)

    def put_elsewhere(self) -> None:
        for param in self.params:
            param.data = param.data.clone()

    def load_itself(self) -> None:
        self.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))

    def resume(self) -> None:
        saved = pickle.loads(pickle.dumps(self.optimizer.state_dict()))
        self.optimizer = self.built([group["params"] for group in self.groups])
        self.optimizer.load_state_dict(saved)

    def copy(self) -> None:
        self.params, self.optimizer = copy.deepcopy((self.params, self.optimizer))

    def pickle(self) -> None:
        self.params, self.optimizer = pickle.loads(pickle.dumps((self.params, self.optimizer)))


INERT: tuple[Callable[[Twin], None], ...] = (
    Twin.ask, Twin.put_elsewhere, Twin.load_itself, Twin.resume, Twin.copy, Twin.pickle,
)  # fmt: skip


def drawn(draw: random.Random) -> tuple[str, tuple[Any, ...]]:
    """An event that counts, and its arguments."""
    index, seed = draw.randrange(100), draw.randrange(2**31)
    name, values = draw.choice(list(EDITS.items()))
    events: dict[str, tuple[int, tuple[Any, ...]]] = {
        "step": (8, (seed, {each for each in range(12) if draw.random() < 0.2})),
        "skip": (1, (seed,)),
        "edit": (3, (index, name, draw.choice(values))),
        "add": (1, (seed,)),
        "take": (1, (index,)),
        "exchange": (1, (index, seed)),
        "freeze": (1, (index,)),
        "turn": (1, (index,)),
        "evaluate": (1, ()),
    }
    what = draw.choices(list(events), [weight for weight, _ in events.values()])[0]
    return what, events[what][1]


def fuses(case: str) -> bool:
    """Whether the optimizer of a case can move parameters one by one."""
    cls, options = CASES[case]
    offered = "fused_back_pass" in inspect.signature(cls).parameters
    return offered and cls([torch.nn.Parameter(torch.ones(2))], **options).supports_fused_back_pass()


@pytest.mark.need(7, 9)
@pytest.mark.parametrize("story", range(STORIES))
@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_count_changes_no_bit(case: str, compiles: bool, story: int) -> None:
    draw = random.Random(f"{case} {compiles} {story}")
    seed, alone = draw.randrange(2**31), fuses(case)
    twins = [Twin(case, alone and each == 1, compiles, seed, random.Random(2 * story + each)) for each in range(2)]
    told = []
    for _ in range(EVENTS):
        what, args = drawn(draw)
        inert = [twin.draw.choice(INERT) if twin.draw.random() < 0.4 else Twin.put_elsewhere for twin in twins]
        told.append(f"{what}{args}, then {' and '.join(each.__name__ for each in inert)}")
        for twin, and_then in zip(twins, inert, strict=True):
            getattr(twin, what)(*args)
            and_then(twin)
        first, second = (seen(twin.optimizer, twin.params) for twin in twins)
        assert first == second, "\n".join(told)
