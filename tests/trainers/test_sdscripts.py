"""sd-scripts: --optimizer_type and --optimizer_args."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.trainers import ConfigError, from_sd_scripts
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.sdscripts import OPTIMIZERS


def test_values_are_literals(unet: Any) -> None:
    args = ["betas=0.9,0.95", "decouple=False", "d_coef = 2", "beta3=None"]
    optimizer = from_sd_scripts("prodigy", args, {"unet": unet})
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, Prodigy)
    assert (group["betas"], group["decouple"], group["d_coef"], group["lr"]) == ((0.9, 0.95), False, 2.0, 1.0)


def test_a_name_may_be_a_path(unet: Any) -> None:
    optimizer = from_sd_scripts("ppsf_fast.ProdigyPlusScheduleFree", ["eps=None"], {"unet": unet}, lr=1.0)
    assert isinstance(optimizer, ProdigyPlusScheduleFree)
    assert optimizer.param_groups[0]["eps"] is None


@pytest.mark.parametrize(("name", "kind"), OPTIMIZERS.items(), ids=list(OPTIMIZERS))
def test_every_name_makes_an_optimizer_that_steps(name: str, kind: Kind, unet: Any) -> None:
    optimizer = from_sd_scripts(name, ["weight_decay=0.01"], {"unet": unet}, lr=1e-3)
    assert type(optimizer).__name__ == kind.name
    unet(torch.ones(2, 4)).square().mean().backward()
    optimizer.step()
    assert optimizer.param_groups[0]["name"] == "unet"


def test_nesterov_is_in_the_name(unet: Any) -> None:
    group = from_sd_scripts("SGDNesterov", ["momentum=0.8"], {"unet": unet}, lr=0.1).param_groups[0]
    assert (group["nesterov"], group["momentum"]) == (True, 0.8)


def test_adafactors_pair_of_eps(unet: Any) -> None:
    args = ["relative_step=False", "eps=(1e-20, 1e-2)"]
    assert from_sd_scripts("AdaFactor", args, {"unet": unet}, lr=0.1).param_groups[0]["eps"] == (1e-20, 1e-2)


def test_mistakes_are_reported_together(unet: Any) -> None:
    args = [
        "decouple", "d0=1e-6x", "d_coef=-1", "momentum=0.9", "d_coff=1", "growth_rate=2", "growth_rate=3", "eps=0",
        "betas=0.9", "weight_decay=True", "slice_p=1.5",
    ]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        from_sd_scripts("Prodigy", args, {"unet": unet})
    paths = [mistake.path.removeprefix("optimizer_args.") for mistake in caught.value.mistakes]
    expected = ["betas", "d0", "d_coef", "d_coff", "decouple", "eps", "growth_rate", "momentum", "slice_p"]
    assert sorted(paths) == [*expected, "weight_decay"]  # ten


def test_what_a_class_refuses_is_a_mistake(unet: Any) -> None:
    with pytest.raises(ConfigError, match=r"optimizer_args: Prodigy refuses: .*d0"):
        from_sd_scripts("ppsf_fast.Prodigy", ["d0=0"], {"unet": unet})


def test_an_unknown_module_is_a_mistake(unet: Any) -> None:
    with pytest.raises(ConfigError, match="optimizer_type: Wonder is in the package no_such_package"):
        from_sd_scripts("no_such_package.Wonder", [], {"unet": unet})
