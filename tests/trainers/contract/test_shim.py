"""The shim as it is installed, beside the release whose place it takes."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ppsf_conformance import peers
from tests.trainers.contract.helpers import PARTS, ROOT, SHIM, SHIMMED, network, train, weights

pytestmark = pytest.mark.xdist_group("shim")
RELEASE = peers.release("prodigy-plus-schedule-free==2.0.1")

USED = """
import importlib.metadata, importlib.util, io, pickle, sys
import torch
from prodigyplus import CoreOptimiser, ProdigyPlusScheduleFree
from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree as by_path
import ppsf_fast, prodigyplus, prodigyplus.core_optimiser

assert importlib.util.find_spec("prodigyplus").origin.startswith(sys.argv[1])
assert by_path is ProdigyPlusScheduleFree and issubclass(by_path, (CoreOptimiser, ppsf_fast.ProdigyPlusScheduleFree))
assert prodigyplus.core_optimiser.CoreOptimiser is CoreOptimiser
assert not {"transformers", "accelerate", "lightning"} & set(sys.modules)
net = torch.nn.Linear(4, 4)
optimizer = by_path(net.parameters(), d0=1e-3)
for _ in range(4):
    net(torch.ones(2, 4)).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
again = pickle.loads(pickle.dumps(optimizer))
file = io.BytesIO()
torch.save(optimizer.state_dict(), file)
file.seek(0)
again.load_state_dict(torch.load(file, weights_only=True))
assert again.param_groups[0]["k"] == 5 and again.revision == "2.0"
print(importlib.metadata.version("ppsf-prodigyplus"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, built and installed alone into a new folder."""
    target = tmp_path_factory.mktemp("target")
    source = tmp_path_factory.mktemp("source") / "shim"  # building leaves files beside what is built
    subprocess.run(["cp", "-r", str(SHIM), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True)
    return target


def test_installed_it_takes_the_path_of_the_release(installed: Path) -> None:
    path = os.pathsep.join([str(installed), str(ROOT)])
    command = [sys.executable, "-W", "error", "-c", USED, str(installed)]
    ran = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "0.1.0"), ran.stderr


def test_the_arguments_are_those_of_the_release() -> None:
    released = peers.load("prodigyplus.prodigy_plus_schedulefree", RELEASE).ProdigyPlusScheduleFree
    theirs = [(one.name, one.default) for one in inspect.signature(released).parameters.values()]
    ours = list(inspect.signature(SHIMMED.ProdigyPlusScheduleFree).parameters.values())
    by_position = [(one.name, one.default) for one in ours if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert by_position == theirs


def test_public_names_of_the_release_are_there_or_refused_or_said_to_be_left_out() -> None:
    released = peers.load("prodigyplus.prodigy_plus_schedulefree", RELEASE).ProdigyPlusScheduleFree
    public = {name for name in dir(released) if not name.startswith("_")}
    lacking = public - set(dir(SHIMMED.ProdigyPlusScheduleFree)) - set(PARTS)
    text = (SHIM / "README.md").read_text(encoding="utf-8")
    assert lacking == {
        "VERSION",
        "copy_stochastic_",
        "log",
        "set_train_mode",
        "try_hook_kohya_fbp",
        "try_unhook_kohya_fbp",
    }
    assert all(f"`{name}`" in text for name in lacking)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"split_groups_mean": True},
        {"use_speed": True},
        {"use_schedulefree": False},
        {"factored_fp32": False, "prodigy_steps": 3},
    ],
    ids=["defaults", "mean", "speed", "no averaging", "window"],
)
@pytest.mark.parametrize("zero", [False, True], ids=["", "zero weights"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_state_of_the_release_is_taken_over(
    options: dict[str, Any], zero: bool, dtype: torch.dtype, capsys: Any
) -> None:
    """Every number is the one that was saved, and training goes on from there."""
    released = peers.load("prodigyplus.prodigy_plus_schedulefree", RELEASE).ProdigyPlusScheduleFree

    def made(cls: Any) -> tuple[Any, Any]:
        net = network()
        if zero:
            torch.nn.init.zeros_(net[2].weight)
        net.to(dtype)
        return net, cls([{"params": list(layer.parameters())} for layer in (net[0], net[2])], d0=1e-3, **options)

    def steps(net: Any, optimizer: Any, numbers: range) -> None:
        for number in numbers:
            generator = torch.Generator().manual_seed(number)
            inputs = torch.randn(8, 4, generator=generator).to(dtype)
            (net(inputs) - inputs[:, :3]).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    net, theirs = made(released)
    steps(net, theirs, range(4))
    file = io.BytesIO()
    torch.save(theirs.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, ours = made(SHIMMED.ProdigyPlusScheduleFree)
    again.load_state_dict(net.state_dict())
    ours.load_state_dict(saved)
    kept = ours.state_dict()
    for new, old in zip(kept["param_groups"], saved["param_groups"], strict=True):
        assert new["n_max"] == old["max_d_numerator"]
        shared = set(new) & set(old) - {"running_d_numerator", "running_d_denom"}
        assert {name: new[name] for name in shared} == {name: old[name] for name in shared}
        assert new["d"] > 1e-3 or options or zero or dtype is torch.bfloat16  # which rounds by chance
    for key, old in saved["state"].items():
        new = kept["state"][key]
        assert set(new) == set(old) - {"exp_avg_sq_metadata"}
        assert all(bool((new[name].double() == old[name]).all()) for name in new)
    k = ours.param_groups[0]["k"]
    steps(again, ours, range(4, 7))
    assert [group["k"] for group in ours.param_groups] == [k + 3, k + 3]
    assert all(bool(torch.isfinite(param).all()) for param in again.parameters())
    capsys.readouterr()  # the release prints


def test_a_state_of_an_older_release_is_refused() -> None:
    old = peers.load("prodigyplus.prodigy_plus_schedulefree", peers.release("prodigy-plus-schedule-free==1.9.2"))
    net, again = network(), network()
    theirs, ours = old.ProdigyPlusScheduleFree(net.parameters()), SHIMMED.ProdigyPlusScheduleFree(again.parameters())
    train(net, theirs, range(3))
    before = weights(again)
    with pytest.raises(ValueError, match="saved by prodigy-plus-schedule-free"):
        ours.load_state_dict(theirs.state_dict())
    train(again, ours, range(2))
    assert weights(again) != before
