"""OneTrainer's settings."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from ppsf_fast import Prodigy, ProdigyPlusScheduleFree
from ppsf_fast.trainers import ConfigError, from_onetrainer
from ppsf_fast.trainers.kinds import Kind
from ppsf_fast.trainers.onetrainer import OPTIMIZERS
from tests.trainers.conftest import options_of

PRODIGY = {
    "Beta1": 0.95, "Beta2": 0.99, "Beta3": None, "EPS": 1e-7, "Weight Decay": 0.01, "Decouple": False,
    "Bias Correction": True, "Safeguard Warmup": True, "Initial D": 1e-5, "D coefficient": 0.5,
    "Growth Rate": float("inf"), "FSDP in use": False, "Learning rate": 1,
}  # fmt: skip


def test_all_fields_of_prodigy(unet: Any) -> None:
    optimizer = from_onetrainer({"optimizer": "PRODIGY", **PRODIGY}, {"unet": unet})
    group = optimizer.param_groups[0]
    assert isinstance(optimizer, Prodigy)
    assert group["betas"] == (0.95, 0.99)
    wanted = {"eps": 1e-7, "weight_decay": 0.01, "decouple": False, "use_bias_correction": True, "beta3": None,
              "safeguard_warmup": True, "d0": 1e-5, "d_coef": 0.5, "fsdp_in_use": False,
              "lr": 1.0, "name": "unet"}  # fmt: skip
    assert {name: group[name] for name in wanted} == wanted


def test_the_defaults_of_prodigy_are_those_of_the_page(unet: Any) -> None:
    group = from_onetrainer({"optimizer": "PRODIGY"}, {"unet": unet}).param_groups[0]
    wanted = {"betas": (0.9, 0.999), "beta3": None, "eps": 1e-8, "weight_decay": 0.0, "decouple": True, "lr": 1.0,
              "use_bias_correction": False, "safeguard_warmup": False, "d0": 1e-6, "d_coef": 1.0,
              "growth_rate": float("inf"), "fsdp_in_use": False}  # fmt: skip
    assert {name: group[name] for name in wanted} == wanted


def test_adafactor_adaptive_ignores_the_learning_rate(unet: Any) -> None:
    config = {"optimizer": "ADAFACTOR", "learning_rate": 0.1, "EPS": 1e-20, "EPS 2": 1e-2, "Clip Threshold": 2.0,
              "Decay Rate": -0.7, "Beta 1": None, "Scale Parameter": True, "Relative Step": True,
              "Warmup Initialization": True, "Stochastic Rounding": True, "Fuse Back Pass": False}  # fmt: skip
    group = from_onetrainer(config, {"unet": unet}).param_groups[0]
    assert group["lr"] is None  # none was passed
    assert (group["eps"], group["clip_threshold"], group["decay_rate"]) == ((1e-20, 1e-2), 2.0, -0.7)
    assert (group["scale_parameter"], group["relative_step"], group["warmup_init"]) == (True, True, True)


def test_adafactor_with_a_rate_needs_one(unet: Any) -> None:
    config = {"optimizer": "ADAFACTOR", "scale_parameter": False, "relative_step": False, "weight_decay": 0.01}
    group = from_onetrainer(config, {"unet": unet}, lr=1e-4).param_groups[0]
    assert (group["lr"], group["scale_parameter"], group["relative_step"]) == (1e-4, False, False)
    with pytest.raises(ConfigError, match="Adafactor needs a learning rate"):
        from_onetrainer(config, {"unet": unet})


def test_a_whole_training_configuration(unet: Any) -> None:
    config = {"epochs": 3, "learning_rate": 2e-4, "optimizer": {"optimizer": "ADAMW", "beta1": 0.8, "momentum": None}}
    group = from_onetrainer(config, {"unet": unet}).param_groups[0]
    assert (group["lr"], group["betas"]) == (2e-4, (0.8, 0.999))


def test_an_empty_eps_means_atan2(unet: Any) -> None:
    optimizer = from_onetrainer({"optimizer": "PRODIGY_PLUS_SCHEDULE_FREE", "eps": None}, {"unet": unet})
    assert isinstance(optimizer, ProdigyPlusScheduleFree)
    assert optimizer.param_groups[0]["eps"] is None


def test_everything_that_onetrainer_passes_to_prodigy_plus_schedule_free(unet: Any) -> None:
    config = {
        "optimizer": "PRODIGY_PLUS_SCHEDULE_FREE", "__version": 0, "beta1": 0.9, "beta2": 0.99, "beta3": None,
        "k": None,
        "weight_decay": 0.0, "weight_decay_by_lr": True, "use_bias_correction": False, "d0": 1e-6, "d_coef": 1.0,
        "prodigy_steps": 0, "use_speed": False, "eps": 1e-8, "split_groups": True, "split_groups_mean": False,
        "factored": True, "factored_fp32": True, "fused_back_pass": False, "use_stableadamw": True,
        "use_cautious": False, "use_grams": False, "use_adopt": False, "stochastic_rounding": True, "d_limiter": True,
        "use_schedulefree": True, "schedulefree_c": 0.0, "use_orthograd": False,
    }  # fmt: skip
    optimizer = from_onetrainer(config, {"unet": unet}, lr=1.0)
    group = optimizer.param_groups[0]
    assert (group["d_limiter"], group["split_groups_mean"], group["betas"]) == (True, False, (0.9, 0.99))


def test_networks_become_named_groups(unet: Any, encoder: Any) -> None:
    encoder.text_model.embeddings.requires_grad_(False)
    groups = from_onetrainer({"optimizer": "PRODIGY"}, {"unet": unet, "text encoder": encoder}).param_groups
    assert [group["name"] for group in groups] == ["unet", "text encoder"]
    assert len(groups[1]["params"]) == len(list(encoder.parameters())) - 1
    with pytest.raises(ValueError, match="nothing to train"):
        from_onetrainer({"optimizer": "PRODIGY"}, {"unet": unet.requires_grad_(False)})


@pytest.mark.parametrize("kind", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_a_class_takes_what_its_table_says(kind: Kind) -> None:
    assert kind.takes | ({"betas"} if kind.betas else set()) <= options_of(f"{kind.module}.{kind.name}")


def test_a_missing_package_is_named_with_its_command(unet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ConfigError, match=r"optimizer: AdamW8bit .*Install it: pip install bitsandbytes"):
        from_onetrainer({"optimizer": "ADAMW_8BIT"}, {"unet": unet}, lr=1e-4)


WRONG = [
    ("SGD", {"nesterov": True}, "nesterov"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "dampening"),
    ("ADAM", {"fused": True, "foreach": True}, "fused"),
    ("ADAFACTOR", {"relative_step": False, "warmup_init": True}, "warmup_init"),
    ("ADAFACTOR", {"fused_back_pass": True}, "fused_back_pass"),
    ("LION_8BIT", {"block_wise": False}, "block_wise"),
    ("LAMB", {"percentile_clipping": 5}, "percentile_clipping"),
    ("LARS", {"momentum": 0}, "momentum"),
    ("SGD_8BIT", {"nesterov": True, "dampening": 0.1}, "dampening"),
    ("PRODIGY", {"momentum": 0.9}, "momentum"),
    ("PRODIGY", {"d0": "small"}, "d0"),
    ("PRODIGY", {"betta1": 0.9}, "betta1"),
    ("PRODIGY", {"decouple": 1}, "decouple"),
    ("PRODIGI", {}, "optimizer"),
    ("PRODIGY_PLUS_SCHEDULE_FREE", {"prodigy_steps": -1}, "prodigy_steps"),
]


@pytest.mark.parametrize(("name", "settings", "path"), WRONG)
def test_a_mistake_is_named_by_its_key(name: str, settings: dict[str, Any], path: str, unet: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        from_onetrainer({"optimizer": name, **settings}, {"unet": unet}, lr=1e-3)
    assert [mistake.path for mistake in caught.value.mistakes] == [path]


def test_ten_mistakes_give_ten_errors(unet: Any) -> None:
    wrong = {
        "beta1": 1.5, "beta2": "0.99", "d0": -1e-6, "d_coef": 0, "decouple": 1, "growth_rate": 0.5, "weight_decay": -1,
        "momentum": 0.9, "betta3": 0.9, "learning_rate": 0,
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        from_onetrainer({"optimizer": "PRODIGY", **wrong}, {"unet": unet})
    mistakes = caught.value.mistakes
    assert sorted(mistake.path for mistake in mistakes) == sorted(wrong), str(caught.value)
    assert len({mistake.message for mistake in mistakes}) == 10
    assert all(mistake.message.startswith(mistake.path) for mistake in mistakes)


def test_rounding_that_a_class_does_not_do_is_refused_where_it_matters(unet: Any) -> None:
    config = {"optimizer": "ADAFACTOR", "stochastic_rounding": True}
    from_onetrainer(config, {"unet": unet})
    with pytest.raises(ConfigError, match="stochastic_rounding=True: Adafactor of transformers rounds"):
        from_onetrainer(config, {"unet": unet.bfloat16()})
    from_onetrainer({**config, "stochastic_rounding": False}, {"unet": unet})
