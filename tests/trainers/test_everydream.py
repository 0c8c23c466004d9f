"""EveryDream's optimizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from facts import trainers as facts
from ppsf_fast import Prodigy
from ppsf_fast.trainers import ConfigError, EveryDream, from_everydream


def group(optimizer: torch.optim.Optimizer | None) -> dict[str, Any]:
    assert optimizer is not None
    return optimizer.param_groups[0]


def names(optimizer: torch.optim.Optimizer | None, encoder: torch.nn.Module) -> set[str]:
    held = {id(param) for param in group(optimizer)["params"]}
    return {name for name, param in encoder.named_parameters() if id(param) in held}


def made(config: Any, unet: Any, encoder: Any, lr: float | None = 1e-5, **rest: Any) -> EveryDream:
    return from_everydream(config, unet, encoder, lr=lr, **rest)


def test_without_a_file_the_defaults_of_the_document_hold(unet: Any, encoder: Any) -> None:
    both = made(None, unet, encoder)
    for optimizer in (both.unet, both.text_encoder):
        assert type(optimizer).__name__ == "AdamW8bit"
        kept = group(optimizer)
        assert (kept["lr"], kept["betas"], kept["weight_decay"], kept["eps"]) == (1e-5, (0.9, 0.999), 0.01, 1e-8)
    assert group(both.unet)["name"] == "unet"
    assert group(both.text_encoder)["name"] == "text encoder"


def test_a_file_is_read_and_doc_is_ignored(unet: Any, encoder: Any, tmp_path: Path) -> None:
    path = tmp_path / "optimizer.json"
    path.write_text(json.dumps({"doc": {"anything": 1}, "base": {"optimizer": "prodigy", "lr": 1.0, "doc": "x"}}))
    assert isinstance(made(path, unet, encoder, None).unet, Prodigy)


def test_null_inherits_and_what_is_given_overrides(unet: Any, encoder: Any) -> None:
    base = {"optimizer": "adamw", "lr": 1e-4, "betas": [0.8, 0.9], "weight_decay": 0.1, "epsilon": 1e-7}
    both = made({"base": base, "text_encoder_overrides": {"lr": None, "weight_decay": 0}}, unet, encoder, None)
    mine = group(both.text_encoder)
    assert (mine["lr"], mine["betas"], mine["eps"], mine["weight_decay"]) == (1e-4, (0.8, 0.9), 1e-7, 0.0)


def test_what_the_other_optimizer_has_not_is_not_inherited(unet: Any, encoder: Any) -> None:
    base = {"optimizer": "dadapt_adam", "lr": 0.5, "d0": 1e-5, "decouple": True}
    overrides = {"optimizer": "adamw", "lr": 1e-6}
    both = made({"base": base, "text_encoder_overrides": overrides}, unet, encoder, None)
    assert group(both.unet)["d"] == 1e-5
    assert type(both.text_encoder) is torch.optim.AdamW


@pytest.mark.parametrize("key", ["text_encoder_lr_scale", "text_encder_lr_scale"])
@pytest.mark.parametrize("inside", [True, False])
def test_the_scale_of_the_text_encoder(key: str, inside: bool, unet: Any, encoder: Any) -> None:
    base = {"optimizer": "adamw", "lr": 1e-4}
    config = {"base": base} | ({"text_encoder_overrides": {key: 0.5}} if inside else {key: 0.5})
    both = made(config, unet, encoder, None)
    assert (group(both.unet)["lr"], group(both.text_encoder)["lr"]) == (1e-4, 0.5e-4)


def test_the_scale_is_ignored_beside_an_lr_of_its_own(unet: Any, encoder: Any) -> None:
    config = {"base": {"optimizer": "adamw"}, "text_encoder_overrides": {"lr": 3e-6, "text_encoder_lr_scale": 0.5}}
    assert group(made(config, unet, encoder).text_encoder)["lr"] == 3e-6


def test_the_callers_lr_goes_before_that_of_the_file(unet: Any, encoder: Any) -> None:
    assert group(made({"base": {"optimizer": "adamw", "lr": 1e-4}}, unet, encoder, 2e-5).unet)["lr"] == 2e-5
    assert group(made({"base": {"optimizer": "adamw", "lr": None}}, unet, encoder, 2e-5).unet)["lr"] == 2e-5


@pytest.mark.parametrize("key", ["unfreeze_last_n_layers", "unfreeze_final_n_layers"])
def test_layers_are_frozen_from_the_front(key: str, unet: Any, encoder: Any) -> None:
    freezing: dict[str, Any] = {key: 2}
    config = {"base": {"optimizer": "adamw"}, "text_encoder_freezing": freezing}
    kept = names(made(config, unet, encoder).text_encoder, encoder)
    assert {name.split(".")[3] for name in kept if "layers" in name} == {"1", "2"}
    assert not any("embeddings" in name for name in kept)
    assert any("final_layer_norm" in name for name in kept)
    freezing["freeze_embeddings"] = False
    assert any("embeddings" in name for name in names(made(config, unet, encoder).text_encoder, encoder))


def test_without_a_number_of_layers_all_is_trained(unet: Any, encoder: Any) -> None:
    config = {"base": {"optimizer": "adamw"}, "text_encoder_freezing": {"unfreeze_last_n_layers": None}}
    assert names(made(config, unet, encoder).text_encoder, encoder) == {name for name, _ in encoder.named_parameters()}


@pytest.mark.parametrize(("name", "middle"), [("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)])
def test_schedules(name: str, middle: float, unet: Any, encoder: Any) -> None:
    base = {"optimizer": "adamw", "lr_scheduler": name, "lr_warmup_steps": 4, "lr_decay_steps": 14}
    schedule = made({"base": base}, unet, encoder).unet_schedule
    assert [schedule.share(step) for step in (0, 3, 4)] == [0.2, 0.8, 1.0]
    assert schedule.share(9) == pytest.approx(middle, abs=1e-15)
    assert schedule.share(14) == schedule.share(99) == (1.0 if name == "constant" else 0.0)


def test_a_schedule_drives_its_optimizer(unet: Any) -> None:
    base = {"optimizer": "adamw", "lr_scheduler": "linear"}
    both = from_everydream({"base": base}, unet, lr=1.0, total_steps=4)
    scheduler, seen = both.unet_schedule.attach(both.unet), []
    for _ in range(4):
        seen.append(group(both.unet)["lr"])
        both.unet.step()
        scheduler.step()
    assert seen == [1.0, 0.75, 0.5, 0.25]
    assert both.text_encoder is None


PATHS = [
    "bases",
    "base.lr",
    "base.betas",
    "base.weight_decay",
    "base.weight_decy",
    "base.lr_scheduler",
    "base.d0",
    "text_encoder_overrides.optimizer",
    "text_encoder_freezing",
    "text_encoder_freezing.freeze_embeddings",
]


def test_ten_mistakes_give_ten_errors(unet: Any, encoder: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        made(facts.TEN, unet, encoder, None)
    mistakes = caught.value.mistakes
    assert sorted(mistake.path for mistake in mistakes) == sorted(PATHS), str(caught.value)
    for mistake in mistakes:  # each says where, what is allowed, and what to do
        assert mistake.message.startswith(mistake.path)
        assert mistake.message in str(caught.value)
        assert any(word in mistake.message for word in ("Pass", "Remove", "Correct", "Choose", "Give"))


def test_no_learning_rate_is_a_mistake(unet: Any) -> None:
    with pytest.raises(ConfigError, match=r"base\.lr: AdamW needs a learning rate"):
        from_everydream({"base": {"optimizer": "adamw"}}, unet)


def test_a_broken_file_says_where(unet: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"base": {,}}')
    with pytest.raises(ConfigError, match=r"is no JSON: .*line 1 column 11"):
        from_everydream(tmp_path / "broken.json", unet)
