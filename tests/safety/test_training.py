"""In somebody's training loop: dummy steps, wrappers, compiled steps, moved and edited weights, old states."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounter
from torch.distributed.checkpoint.state_dict import _init_optim_state
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ppsf_conformance.name_map import import_class
from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.state import prepare
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train
from tests.fast.revised import CASES, build
from tests.fast.test_device import imagined_gpu

CLASSES = [ProdigyPlusScheduleFree, Prodigy, AdamWScheduleFree]


@pytest.mark.need(11)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_dummy_step_changes_nothing(cls: Any) -> None:
    """As torch makes it for distributed checkpoints, with gradients and lr 0: it creates the state to load into."""
    (params, optimizer), (others, other) = ((made, cls(made)) for made in (parameters(), parameters()))
    before = snapshot(optimizer, params)
    _init_optim_state(optimizer)
    after = snapshot(optimizer, params)
    assert {**after, "state": {}} == before
    assert after["state"].keys() == dict(enumerate(params)).keys()
    with torch.no_grad():  # weights of a checkpoint, which come after it
        for param in (*params, *others):
            param.mul_(0.5)
    train(optimizer, params, range(3))
    train(other, others, range(3))
    assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.need(13)
@pytest.mark.parametrize("shape", [(20_000,), (200, 100)])
def test_decay_reaches_the_mean_of_bfloat16_weights(shape: tuple[int, ...]) -> None:
    """Each step takes a hundred-thousandth, two hundred times less than a bfloat16 weight can show."""
    steps, count, value, share = 200, 20_000, 1.25, 1e-5
    param = torch.nn.Parameter(torch.full(shape, value, dtype=torch.bfloat16))
    optimizer = ProdigyPlusScheduleFree([param], d0=1e-3, weight_decay=share / 1e-3)
    for _ in range(steps):
        param.grad = torch.zeros_like(param)
        optimizer.step()
    optimizer.eval()
    found = optimizer.state[param]["z"].double().mean()
    expected = value * (1 - share) ** steps
    # A step moves an element by one unit of 2^-7, with the probability p that makes the mean right.
    unit = 2.0**-7
    p = value * share / unit
    deviation = unit * (steps * p * (1 - p) / count) ** 0.5
    assert value - expected > 50 * deviation
    assert abs(found - expected) <= 5 * deviation


class Largest(TorchDispatchMode):
    """The bytes of the largest array that an operation makes, views aside."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        there = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        fresh = [leaf.nbytes for leaf in made if leaf.untyped_storage().data_ptr() not in there]
        self.size = max([self.size, *fresh])
        return result


@pytest.mark.need(15)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_temporary_is_as_large_as_a_parameter(dtype: torch.dtype) -> None:
    param = torch.nn.Parameter(torch.zeros(4096, 4096, dtype=dtype))
    optimizer = ProdigyPlusScheduleFree([param])
    for _ in range(2):
        param.grad = torch.ones_like(param)
        optimizer.step()
    with Largest() as largest:
        optimizer.step()
    assert 0 < largest.size <= param.nbytes / 10


#: Switches of each class that no other test of host reads goes through.
SWITCHES: list[tuple[Any, dict[str, Any]]] = [
    *((ProdigyPlusScheduleFree, {name: True}) for name in ("use_cautious", "use_grams", "use_bias_correction")),
    *((ProdigyPlusScheduleFree, {name: True}) for name in ("amplify_gradients", "use_focus")),
    (ProdigyPlusScheduleFree, {"beta4": -0.9, "beta3": 0.9, "betas": (0.8, 0.99)}),
    *((ProdigyPlusScheduleFree, {"revision": "2.0", name: True}) for name in ("use_speed", "d_limiter", "use_adopt")),
    (ProdigyPlusScheduleFree, {"revision": "2.0", "use_schedulefree": False, "use_cautious": True}),
    (ProdigyPlusScheduleFree, {"revision": "2.0", "schedulefree_c": 8.0}),
    (ProdigyPlusScheduleFree, {"revision": "update3", "warmup_steps": 3, "bf16_state": True}),
    *((Prodigy, {name: True}) for name in ("use_bias_correction", "safeguard_warmup", "cosine_decay")),
    (Prodigy, {"decouple": False, "weight_decay": 0.1, "growth_rate": 1.1}),
    (AdamWScheduleFree, {"use_bias_correction": True, "warmup_steps": 2, "r": 0.5}),
]


@pytest.mark.need(16)
@pytest.mark.parametrize(("cls", "options"), SWITCHES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_no_option_makes_the_host_wait(
    monkeypatch: pytest.MonkeyPatch, cls: Any, options: dict[str, Any], dtype: torch.dtype
) -> None:
    """Nor does a scaler."""
    with imagined_gpu(monkeypatch):
        data = [torch.empty(shape, dtype=dtype, device="cuda") for shape in ((40, 12), (7,))]
        params = [torch.nn.Parameter(values, requires_grad=False) for values in data]
        optimizer = cls([{"params": params[:1]}, {"params": params[1:]}], **options)
        for step in range(3):
            for param in params:
                param.grad = torch.empty_like(param)
            optimizer.grad_scale = torch.ones((), device="cuda") if step else None
            optimizer.found_inf = torch.zeros((), device="cuda") if step else None
            optimizer.step()


@pytest.mark.need(23)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_compiled_training_step_is_compiled_once(cls: Any) -> None:
    def trained(counter: CompileCounter | None) -> list[object]:
        torch._dynamo.reset()
        params = parameters(shapes=[(6, 4), (6,)])
        optimizer = cls(params)

        def step() -> None:
            optimizer.zero_grad()
            ((params[0].sum(1) + params[1]) ** 2).sum().backward()
            optimizer.step()

        compiled = step if counter is None else torch.compile(step, backend=counter)
        counts = []
        for number in range(20):
            optimizer.param_groups[0]["lr"] = 1 / (1 + number)
            compiled()
            counts.append(0 if counter is None else counter.frame_count)
        assert counts[1:] == counts[1:2] * 19
        return [bits(param) for param in params]

    assert trained(CompileCounter()) == trained(None)


@pytest.mark.need(30)
def test_an_edit_of_weights_moves_y_and_leaves_z() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2)
    train(optimizer, params, range(3))
    z = [optimizer.state[param]["z"].clone() for param in params]
    with torch.no_grad():
        for param in params:
            param.clamp_(-0.25, 0.25)
    y = [param.detach().clone() for param in params]
    assert all(torch.equal(optimizer.state[param]["z"], kept) for param, kept in zip(params, z, strict=True))
    optimizer.eval()
    averages = [a + (b - a) * (1 - 1 / 0.9) for a, b in zip(y, z, strict=True)]
    assert all(torch.equal(param, x) for param, x in zip(params, averages, strict=True))


@pytest.mark.need(30)
@pytest.mark.parametrize("compiles", [False, True])
def test_the_step_after_an_edit_draws_y_towards_z(compiles: bool) -> None:
    """By a gradient of zeros nothing else moves."""
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params, d0=1e-2, compile=compiles)
    train(optimizer, params, range(3))
    with torch.no_grad():
        for param in params:
            param.copy_(optimizer.state[param]["z"] + 1)  # so that nothing is too near for a difference
            param.grad = torch.zeros_like(param)
    z = [optimizer.state[param]["z"].clone() for param in params]
    optimizer.step()
    assert all(torch.equal(optimizer.state[param]["z"], kept) for param, kept in zip(params, z, strict=True))
    ways = [param.detach() - kept for param, kept in zip(params, z, strict=True)]
    assert all(bool(((way > 0) & (way < 1)).all()) for way in ways)


@pytest.mark.need(30)
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("compiles", [False, True])
def test_nothing_of_the_old_weights_is_kept_elsewhere(compiles: bool, in_place: bool) -> None:
    """With weights, state and numbers of another run an optimizer goes on as that one does."""
    (params, optimizer), (others, other) = (
        (made, ProdigyPlusScheduleFree(made, prodigy_steps=5, compile=compiles))
        for made in (parameters(), parameters())
    )
    with torch.no_grad():
        for param in others:
            param.neg_()
    train(optimizer, params, range(3))
    optimizer.eval().train()
    train(other, others, range(3))
    for param, wanted in zip(params, others, strict=True):
        if in_place:
            param.data.copy_(wanted)
        else:
            param.data = wanted.detach().clone()
        optimizer.state[param] = {name: value.clone() for name, value in other.state[wanted].items()}
    numbers = {name: value for name, value in other.param_groups[0].items() if name != "params"}
    optimizer.param_groups[0].update(numbers)
    for each, own in ((optimizer, params), (other, others)):
        train(each, own, range(3, 5))
        each.eval().train()
        train(each, own, range(5, 8))
    assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.need(31)
def test_state_follows_its_parameter_once_and_stays() -> None:
    """To the device without memory, where nothing can be read."""
    (param,) = parameters(shapes=[(40, 12)])
    optimizer = ProdigyPlusScheduleFree([param])
    train(optimizer, [param], range(2))
    (rule,), state, moved = optimizer._rules(), optimizer.state[param], torch.empty(40, 12, device="meta")
    prepare(state, moved, rule, adapts=True)
    assert {value.device.type for value in state.values()} == {"meta"}
    there = dict(state)
    prepare(state, moved, rule, adapts=True)
    assert all(state[name] is value for name, value in there.items())


@pytest.mark.need(32)
@pytest.mark.parametrize("case", CASES)
def test_a_wrapper_may_save_move_and_load_before_the_first_step(case: str) -> None:
    params, others = parameters(), parameters()
    optimizer, other = build(case, params), build(case, others)
    assert isinstance(optimizer, torch.optim.Optimizer)
    moved = tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, optimizer.state_dict())
    optimizer.load_state_dict(moved)
    train(optimizer, params, range(3))
    train(other, others, range(3))
    assert snapshot(optimizer, params) == snapshot(other, others)


@pytest.mark.need(36)
@pytest.mark.parametrize("version", ["1.9.0", "1.9.2", "2.0.1"])
def test_the_state_of_a_release_that_this_replaces_is_refused_by_name(version: str) -> None:
    name = f"prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree@prodigy-plus-schedule-free=={version}"
    cls: Any = import_class(name)
    params = parameters(shapes=[(6, 4), (5,)])
    theirs, ours = cls(params), ProdigyPlusScheduleFree(params)
    give_gradients(params, 0)
    theirs.step()
    before = snapshot(ours, params)
    with pytest.raises(ValueError, match="saved by prodigy-plus-schedule-free"):
        ours.load_state_dict(theirs.state_dict())
    assert snapshot(ours, params) == before


@pytest.mark.need(36)
def test_state_of_another_version_is_refused() -> None:
    params = parameters()
    optimizer = ProdigyPlusScheduleFree(params)
    train(optimizer, params, range(2))
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["state_version"] += 1
    with pytest.raises(ValueError, match="holds state of version 2"):
        optimizer.load_state_dict(saved)


@pytest.mark.need(25)
def test_float16_weights_have_float32_state_and_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 8, generator=generator).half()
    targets = inputs @ torch.randn(8, 1, generator=generator).half()
    param = torch.nn.Parameter(torch.zeros(8, 1, dtype=torch.float16))
    optimizer = ProdigyPlusScheduleFree([param])
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    losses = []
    for _ in range(200):
        loss = (inputs @ param - targets).float().square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert {value.dtype for value in optimizer.state[param].values()} == {torch.float32}
    assert losses[-1] < losses[0] / 100
