"""compile=True: the same step by one call of a kernel, whoever else is stepped and by however many threads."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ppsf_fast import AdamWScheduleFree, Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.backends.native import build, run
from tests.fast.helpers import bits, give_gradients, parameters, snapshot, train

needs_compiler = pytest.mark.skipif(build.library() is None, reason="there is no C++ compiler on this machine")
#: Some alike, and some of each kind that the kernel tells apart: short and long rows, axes behind and between, scalars.
ALIKE = ((40, 33), (40, 33), (70, 16), (70, 16), (12,), (12,))
SHAPES = (*ALIKE, (7,), (), (33, 2), (0, 4), (34, 3, 5, 33), (36, 8, 3, 3))
#: Large enough for all threads, with every axis of the geometry in use.
LARGE = ((700, 260), (98, 5000), (40, 200, 3, 7), (3, 150, 4, 160, 2))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"eps": None},
    {"use_cautious": True, "weight_decay": 0.1},
    {"factored": False, "weight_decay": 0.1, "weight_decay_by_lr": False},
    {"revision": "2.0", "use_schedulefree": False},
    {"revision": "2.0", "use_stableadamw": False, "split_groups": False},
]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many parameters each call of the kernel has stepped."""
    found: list[int] = []
    step = run.step

    def counted(items: Sequence[Any], *rest: Any) -> Tensor:
        found.append(len(items))
        return step(items, *rest)

    monkeypatch.setattr(run, "step", counted)
    yield found
    assert found


def made(dtype: torch.dtype, shapes: Sequence[Sequence[int]] = SHAPES, **options: Any) -> tuple[list[Tensor], Any]:
    params = parameters(dtype, shapes)
    return params, ProdigyPlusScheduleFree(params, compile=True, **{"d0": 1e-2, **options})


def ulps(values: Tensor) -> Tensor:
    """The distance from each float32 to the next larger one in magnitude."""
    return torch.nextafter(values.abs(), torch.tensor(torch.inf)) - values.abs()


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_fused_step_is_the_ordinary_one_bit_for_bit(
    calls: list[int], dtype: torch.dtype, options: dict[str, Any]
) -> None:
    whole, ordinary = made(dtype, **options)
    single, fused = made(dtype, fused_back_pass=True, **options)
    for step in range(4):
        for params in (whole, single):
            give_gradients(params, step)
        ordinary.step()
        for param in random.Random(step).sample(single, len(single)):
            fused.step_param(param)
        fused.step()
    fused.param_groups[0]["fused_back_pass"] = False
    assert snapshot(fused, single) == snapshot(ordinary, whole)


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_number_of_threads_changes_no_bit(calls: list[int], dtype: torch.dtype) -> None:
    def outcome(threads: int) -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            params, optimizer = made(dtype, SHAPES + LARGE)
            train(optimizer, params, range(3))
        finally:
            torch.set_num_threads(before)
        return snapshot(optimizer, params)

    assert outcome(1) == outcome(3)


@needs_compiler
def test_all_threads_treat_denormal_numbers_as_the_calling_one() -> None:
    """Also those that were made when it treated them otherwise; here the second moments are such numbers."""

    def outcome(threads: int, flushes: bool) -> object:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushes)
        try:
            params, optimizer = made(torch.float32, LARGE[:1], revision="2.0", d0=1e-6, factored=False)
            params[0].grad = torch.full_like(params[0], 1e-14)
            optimizer.step()
        finally:
            torch.set_flush_denormal(False)
            torch.set_num_threads(before)
        return snapshot(optimizer, params)

    found = [outcome(threads, flushes) for flushes in (False, True) for threads in (3, 1)]
    assert found[0] == found[1] != found[2] == found[3]


@needs_compiler
def test_large_tensors_get_what_they_get_without_it() -> None:
    """Both round the same sums, taken in float64 in different orders, and the same steps."""
    start = parameters(torch.float32, LARGE)
    plain = parameters(torch.float32, LARGE)
    reference = ProdigyPlusScheduleFree(plain)
    params, optimizer = made(torch.float32, LARGE, d0=1e-6)
    train(reference, plain, range(2))
    train(optimizer, params, range(2))
    for ours, theirs, first in zip(params, plain, start, strict=True):
        mine, other = optimizer.state[ours], reference.state[theirs]
        for one, two in ((ours.detach(), theirs.detach()), (mine["z"], other["z"])):
            # One rounding in each of two steps, and at most eight, of 2^-24 each, in what the steps add up to.
            larger = torch.maximum(first.detach().abs(), two.abs())
            assert bool(((one - two).abs() <= 2 * ulps(larger) + 2**-21 * (two - first.detach()).abs()).all())
        for name in ("exp_avg_sq_row", "exp_avg_sq_col"):
            # Two roundings of each of two steps.
            assert bool(((mine[name] - other[name]).abs() <= 4 * ulps(other[name])).all())
    mine, other = (each.param_groups[0] for each in (optimizer, reference))
    # Two float32 roundings per term of a sum without cancellation.
    assert abs(mine["d_denom"] - other["d_denom"]) <= 2**-22 * other["d_denom"]


@needs_compiler
@pytest.mark.parametrize("kind", [Prodigy, AdamWScheduleFree])
def test_every_class_takes_it(calls: list[int], kind: Callable[..., Any]) -> None:
    params = parameters(torch.float32, SHAPES)
    optimizer = kind(params, compile=True)
    train(optimizer, params, range(3))
    assert sum(calls) == 2 * 3 * len(SHAPES) if kind is Prodigy else 3 * len(SHAPES)


@needs_compiler
def test_what_the_kernel_does_not_serve_is_stepped_beside_it(calls: list[int]) -> None:
    whole, optimizer = made(torch.float32)
    other = parameters(torch.float32, SHAPES)
    other[0] = torch.nn.Parameter(other[0].detach().t().contiguous().t())  # not contiguous
    plain = ProdigyPlusScheduleFree(other, compile=True, d0=1e-2)
    for step in range(2):
        give_gradients(whole, step)
        for param, given in zip(other, whole, strict=True):
            assert given.grad is not None
            param.grad = given.grad.clone()
        other[1].grad = whole[1].grad.t().contiguous().t()  # nor this
        optimizer.step()
        plain.step()
    assert set(calls) == {len(SHAPES), len(SHAPES) - 2}
    assert bits(other[2]) == bits(whole[2])


@pytest.mark.need(23)
@needs_compiler
def test_it_is_compiled_once_whatever_changes(monkeypatch: pytest.MonkeyPatch, calls: list[int]) -> None:
    params, optimizer = made(torch.float32)
    train(optimizer, params, range(1))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", refuse)
    for step in range(50):
        optimizer.param_groups[0]["lr"] = 1 / (1 + step)
        train(optimizer, params, [step])
    assert len(calls) == 51


@pytest.mark.need(23)
@needs_compiler
def test_a_compiled_training_step_may_call_it(calls: list[int]) -> None:
    def trained(wrap: Callable[[Any], Any]) -> list[object]:
        params, optimizer = made(torch.float32, ((40, 33), (40,)))

        def loss_of(weights: Tensor, offsets: Tensor) -> Tensor:
            return ((weights.sum(1) + offsets) ** 2).sum()

        def step() -> None:
            optimizer.zero_grad()
            loss_of(*params).backward()
            optimizer.step()

        run_one = wrap(step)
        for _ in range(3):
            run_one()
        return [bits(param) for param in params]

    assert trained(lambda step: torch.compile(step, backend="eager")) == trained(lambda step: step)


@needs_compiler
def test_weights_saved_for_backward_are_known_to_have_changed(calls: list[int]) -> None:
    params, optimizer = made(torch.float32, ((40, 33),))
    loss = (params[0] ** 2).sum()
    give_gradients(params, 0)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_it_is_not_saved_and_survives_copies() -> None:
    params, optimizer = made(torch.float32)
    assert "compile" not in str(optimizer.state_dict()["param_groups"])
    optimizer.load_state_dict(optimizer.state_dict())
    for each in (optimizer, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert each._compiles is True
    with pytest.raises(TypeError, match="compile"):
        ProdigyPlusScheduleFree(params, compile=1)


def no_compiler(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")


def compiler_of_another_encoding(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    compiler = folder / "c++"
    compiler.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\nprintf 'kaputt \\377\\n' >&2; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))


def folder_that_is_none(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(folder / "file"))
    (folder / "file").write_text("")


def no_home(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As of a user whom the system does not know."""

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("TORCH_EXTENSIONS_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", home)


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (no_compiler, "no-such-compiler.*CXX"),
        (compiler_of_another_encoding, "kaputt"),
        (folder_that_is_none, "file/ppsf'.*TORCH_EXTENSIONS_DIR"),
        (no_home, "home directory.*TORCH_EXTENSIONS_DIR"),
    ],
)
def test_what_cannot_be_compiled_goes_on_uncompiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, without: Callable[..., None], said: str
) -> None:
    if build.library() is None and without is not no_compiler:
        pytest.skip("there is no C++ compiler on this machine")
    without(monkeypatch, tmp_path)
    build.library.cache_clear()
    try:
        params, optimizer = made(torch.float32)
        give_gradients(params, 0)
        with pytest.warns(UserWarning, match=said):
            optimizer.step()
        train(optimizer, params, [1])
    finally:
        build.library.cache_clear()
    whole = parameters(torch.float32, SHAPES)
    plain = ProdigyPlusScheduleFree(whole, d0=1e-2)
    train(plain, whole, range(2))
    assert snapshot(optimizer, params) == snapshot(plain, whole)


def test_without_a_home_another_folder_can_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    no_home(monkeypatch, tmp_path)
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    assert build.folder() == tmp_path


def test_a_device_without_a_kernel_is_named_once() -> None:
    rule = made(torch.float32)[1]._rules()[0]
    run._warn_of.cache_clear()
    with pytest.warns(UserWarning, match="'mps', which are stepped by operations of torch") as caught:
        assert not any(run.available(rule, torch.device("mps")) for _ in range(2))
    assert len(caught) == 1


@needs_compiler
def test_state_of_other_sizes_is_refused_as_without_it() -> None:
    params, optimizer = made(torch.float32, ((40, 33),))
    train(optimizer, params, [0])
    optimizer.state[params[0]]["exp_avg_sq_col"] = torch.zeros(1, 7)
    give_gradients(params, 1)
    with pytest.raises(ValueError, match="exp_avg_sq_col"):
        optimizer.step()


@needs_compiler
@pytest.mark.need(25)
def test_a_step_that_a_scaler_has_unscaled_reads_the_gradients_of_this_step(calls: list[int]) -> None:
    """There, as before a clipping of gradients, the scaler has looked itself, and tells what it has found."""

    def outcome(scaler: torch.amp.GradScaler | None) -> tuple[object, object]:
        params, optimizer = made(torch.float32, (*SHAPES, (500, 300)))
        kept = []  # so that new gradients lie elsewhere
        for step in range(4):
            kept += [param.grad for param in params]
            give_gradients(params, step)
            if step == 2:  # what is seen of its gradients must not be taken for those of the next step
                params[-1].grad[0, 0] = torch.inf
            elif scaler:
                for param in params:
                    param.grad *= scaler.scale(torch.ones(()))
                scaler.unscale_(optimizer)
                scaler.step(optimizer)
                scaler.update()
                continue
            optimizer.step()
        return (found := snapshot(optimizer, params))["weights"], found["state"]

    assert outcome(torch.amp.GradScaler("cpu", init_scale=4.0)) == outcome(None)


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_gradient_may_be_the_weights_themselves(
    calls: list[int], dtype: torch.dtype, options: dict[str, Any]
) -> None:
    """As somebody gives it who tries an optimizer on half the square of the weights."""

    def outcome(same: bool) -> object:
        params, optimizer = made(dtype, (*SHAPES, LARGE[0]), **options)
        for _ in range(3):
            for param in params:
                param.grad = param.detach() if same else param.detach().clone()
            optimizer.step()
        return snapshot(optimizer, params)

    assert outcome(same=True) == outcome(same=False)


def negated(values: Tensor) -> Tensor:
    """The same values, stored with the other sign: torch turns them round whenever it reads them."""
    found = torch._neg_view(-values.detach())
    assert found.is_neg()
    return found


def negate_gradients(params: Sequence[Tensor], optimizer: Any) -> None:
    for param in params:
        param.grad = negated(param.grad)


def negate_weights(params: Sequence[Tensor], optimizer: Any) -> None:
    for param in params:
        param.data = negated(param)


def negate_state(params: Sequence[Tensor], optimizer: Any) -> None:
    for state in optimizer.state.values():
        state.update({name: negated(value) for name, value in state.items() if isinstance(value, Tensor)})


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("negate", [negate_gradients, negate_weights, negate_state])
def test_what_comes_as_a_lazy_negation_is_read_with_its_sign(negate: Callable[..., None], dtype: torch.dtype) -> None:
    """The kernel reads memory, where the sign is not; a step of torch's operations takes its place."""

    def outcome(lazy: bool) -> dict[str, Any]:
        params, optimizer = made(dtype)
        train(optimizer, params, range(2))
        give_gradients(params, 2)
        if lazy:
            negate(params, optimizer)
        optimizer._compiles = lazy
        optimizer.step()
        return snapshot(optimizer, params)

    assert outcome(lazy=True) == outcome(lazy=False)


@needs_compiler
def test_a_lazy_negation_that_takes_the_place_of_what_it_negates_is_noticed() -> None:
    """Its memory is the same, and so is all else that a step compares with the one before."""
    params, optimizer = made(torch.float32, [(40, 33)], weight_decay=0.5)
    other, plain = made(torch.float32, [(40, 33)], weight_decay=0.5)
    for which, each in ((params, optimizer), (other, plain)):
        train(each, which, range(2))
        give_gradients(which, 2)
    params[0].data = torch._neg_view(params[0].data)
    with torch.no_grad():
        other[0].neg_()
    plain._compiles = False
    optimizer.step()
    plain.step()
    assert torch.equal(params[0].detach().resolve_neg(), other[0].detach())
