"""The guide for trainers: every optimizer and setting of three documents, and the test that runs it.

The rows are what the documents name, written down from them; the tests in tests/trainers go over the same rows.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from computed import Table
from ppsf_fast.trainers import ConfigError, advice, everydream, onetrainer, sdscripts
from ppsf_fast.trainers.kinds import Kind

TABLES: Mapping[str, Mapping[str, Kind]] = {
    "OneTrainer": onetrainer.OPTIMIZERS,
    "EveryDream": everydream.OPTIMIZERS,
    "sd-scripts": sdscripts.OPTIMIZERS,
    "Prodigy": sdscripts.OPTIMIZERS,  # the package itself has no configuration; this one names its class
}
_STANDARD = ("ADAGRAD", "ADAM", "ADAMW", "LAMB", "LARS", "LION", "RMSPROP", "SGD")
#: The optimizers that the documents name.
NAMED: dict[str, tuple[str, ...]] = {
    "OneTrainer": (
        *_STANDARD,
        *(f"{name}_8BIT" for name in _STANDARD),
        *("DADAPT_ADA_GRAD", "DADAPT_ADAM", "DADAPT_ADAN", "DADAPT_LION", "DADATP_SGD", "PRODIGY", "ADAFACTOR"),
    ),
    "Prodigy": ("Prodigy",),
    "EveryDream": (*("adamw", "adamw8bit", "lion8bit", "lion", "dadapt_lion", "dadapt_adam", "dadapt_sgd", "prodigy"),),
}


@dataclass(frozen=True)
class Row:
    """A setting as a document spells it; set to `value` for `optimizer`, the class gets `kept` as `key`.

    `key` None: the setting is accepted and nothing is passed on; `beside`: another setting without which it is refused;
    `test`: another test shows that, given `value` (Markdown), it `does` this.
    """

    document: str
    setting: str
    optimizer: str = ""
    value: Any = None
    key: str | None = None
    kept: Any = None
    test: str = ""
    does: str = ""
    beside: tuple[str, Any] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What is given to the reader."""
        return {self.setting: self.value} | dict([self.beside] if self.beside else [])

    @property
    def id(self) -> str:
        """Of the parametrised test."""
        return f"{self.document}-{self.setting}-{self.optimizer}".replace(" ", "_")


def _one(
    setting: str,
    optimizer: str,
    value: Any,
    key: str | None = "",
    kept: Any = ...,
    beside: tuple[str, Any] | None = None,
) -> Row:
    key = setting.lower().replace(" ", "_") if key == "" else key
    return Row("OneTrainer", setting, optimizer, value, key, value if kept is ... else kept, beside=beside)


def _read(setting: str, value: str, does: str, test: str) -> Row:
    return Row("EveryDream", setting, value=value, does=does, test=f"tests/trainers/test_everydream.py::test_{test}")


def _same(document: str, optimizer: str, **values: Any) -> tuple[Row, ...]:
    return tuple(Row(document, name, optimizer, value, name, value) for name, value in values.items())


ROWS: tuple[Row, ...] = (
    *_same(
        "Prodigy", "Prodigy", weight_decay=0.01, slice_p=11, cosine_decay=True, peak_patience=100,
        total_training_steps=500, decouple=False, d_coef=2.0, safeguard_warmup=True, use_bias_correction=True,
        betas=(0.9, 0.99), d0=1e-5, lr=1.0,
    ),
    _one("adam_w_mode", "LAMB", False),
    _one("alpha", "RMSPROP", 0.9),
    _one("amsgrad", "ADAM", True),
    _one("Beta1", "ADAM", 0.8, "betas", (0.8, 0.999)),
    _one("Beta1", "ADAFACTOR", 0.9),
    _one("Beta2", "PRODIGY", 0.99, "betas", (0.9, 0.99)),
    _one("Beta3", "PRODIGY", 0.95),
    _one("bias_correction", "LAMB", False),
    _one("block_wise", "ADAM_8BIT", True, None),
    _one("capturable", "ADAMW", False),
    _one("centered", "RMSPROP", True),
    _one("Clip Threshold", "ADAFACTOR", 2.0),
    _one("Initial D", "PRODIGY", 1e-5, "d0"),
    _one("D Coefficient", "PRODIGY", 0.5, "d_coef"),
    _one("Dampening", "SGD", 0.1),
    _one("Decay Rate", "ADAFACTOR", -0.7),
    _one("Decouple", "PRODIGY", False),
    _one("Differentiable", "ADAM", False),
    _one("EPS", "PRODIGY", 1e-7),
    _one("EPS", "ADAFACTOR", 1e-20, "eps", (1e-20, 1e-3)),
    _one("EPS 2", "ADAFACTOR", 1e-2, "eps", (1e-30, 1e-2)),
    _one("ForEach", "ADAM", True),
    _one("FSDP in Use", "PRODIGY", False),
    _one("FSDP in Use", "DADAPT_ADAM", False),
    _one("Fused", "ADAM", True),
    _one("Fuse Back Pass", "ADAFACTOR", False, None),
    _one("Fuse Back Pass", "PRODIGY_PLUS_SCHEDULE_FREE", True, "fused_back_pass"),
    _one("Growth Rate", "PRODIGY", 1.02),
    _one("Initial Accumulator Value", "ADAGRAD", 0.1),
    _one("Is Paged", "ADAM_8BIT", True),
    _one("Log Every", "DADAPT_ADAM", 10),
    _one("LR Decay", "ADAGRAD", 0.01),
    _one("Max Unorm", "LARS", 0.1),
    _one("Maximize", "ADAM", True),
    _one("Min 8bit Size", "ADAM_8BIT", 1024),
    _one("Optimizer Momentum", "SGD", 0.9, "momentum"),
    _one("Nesterov", "SGD", True, beside=("Optimizer Momentum", 0.9)),
    _one("No Prox", "DADAPT_ADAN", True),
    _one("Optim Bits", "LAMB", 8),
    _one("Percentile Clipping", "LION_8BIT", 100, None),
    _one("Relative Step", "ADAFACTOR", False),
    _one("Safeguard Warmup", "PRODIGY", True),
    _one("Scale Parameter", "ADAFACTOR", False),
    _one("Stochastic Rounding", "ADAFACTOR", True, None),
    _one("Stochastic Rounding", "PRODIGY_PLUS_SCHEDULE_FREE", False),
    _one("Bias Correction", "PRODIGY", True, "use_bias_correction"),
    _one("Use Triton", "LION", False),
    _one("Warmup Initialization", "ADAFACTOR", True, "warmup_init"),
    _one("Weight Decay", "PRODIGY", 0.01),
    _one("Learning rate", "PRODIGY", 1, "lr"),
    *_same("EveryDream", "adamw", lr=1e-4, betas=(0.8, 0.9), weight_decay=0.1),
    Row("EveryDream", "epsilon", "adamw8bit", 1e-7, "eps", 1e-7),
    Row("EveryDream", "epsilon", "lion", 1e-8),
    *_same("EveryDream", "dadapt_adam", decouple=False, d0=1e-5),
    _read(
        "no file at all", "`None`", "`AdamW8bit`, `betas=(0.9, 0.999)`, `weight_decay=0.01`, `eps=1e-08`",
        "without_a_file_the_defaults_of_the_document_hold",
    ),
    _read(
        "text_encoder_overrides", '`{"lr": null, "weight_decay": 0}`', "the lr of `base`, and no weight decay",
        "null_inherits_and_what_is_given_overrides",
    ),
    _read("text_encder_lr_scale", "`0.5`", "half the lr that is inherited", "the_scale_of_the_text_encoder"),
    _read(
        "lr from outside", "`lr=2e-05` of the caller", "`lr=2e-05`, whatever `base` says",
        "the_callers_lr_goes_before_that_of_the_file",
    ),
    _read(
        "unfreeze_final_n_layers", "`2`", "the parameters of the last two layers and of the norm behind them",
        "layers_are_frozen_from_the_front",
    ),
    _read("freeze_embeddings", "`false`", "the embeddings as well", "layers_are_frozen_from_the_front"),
    _read(
        "lr_scheduler, lr_warmup_steps, lr_decay_steps", '`"cosine"`, `4`, `14`',
        "a schedule beside it: the whole lr after 4 steps, half of it after 9, nothing from 14 on", "schedules",
    ),
)  # fmt: skip
#: A configuration of EveryDream with ten mistakes.
TEN: dict[str, Any] = {
    "bases": {},  # 1: no such section
    "base": {
        "optimizer": "adamw",
        "lr": "1e-6",  # 2: a text
        "betas": [0.9],  # 3: one number
        "weight_decay": -0.1,  # 4: below 0
        "weight_decy": 0.1,  # 5: no such key
        "lr_scheduler": "cosin",  # 6: no such schedule
        "d0": 1e-6,  # 7: AdamW has none
    },
    "text_encoder_overrides": {"optimizer": "adam9bit"},  # 8: no such optimizer
    "text_encoder_freezing": {"unfreeze_last_n_layers": 9, "freeze_embeddings": "yes"},  # 9: so many layers; 10: a text
}
_READERS = {"Prodigy": "sd-scripts"}
SETTING_TEST = "tests/trainers/test_table.py::test_a_setting_arrives"
OPTIMIZER_TEST = "tests/trainers/test_table.py::test_an_optimizer_steps"


def reader_of(row: Row) -> str:
    """The trainer whose reader the row goes through."""
    return _READERS.get(row.document, row.document)


def kind_of(row: Row) -> Kind:
    """The optimizer of a row."""
    return TABLES[reader_of(row)][row.optimizer]


def _short(test: str) -> str:
    return f"`{test.removeprefix('tests/trainers/')}`"


def optimizers() -> Table:
    """Every optimizer that a document names."""
    rows = []
    for document, names in NAMED.items():
        for name in names:
            kind = TABLES[document][name]
            install = "`pip install .`" if kind.distribution == "ppsf" else f"`{kind.install}`"
            cls = f"`{kind.module}.{kind.name}`"
            rows.append((document, f"`{name}`", cls, install, _short(f"{OPTIMIZER_TEST}[{document}-{name}]")))
    return Table(("document", "name", "class", "comes with", "test"), tuple(rows))


def settings() -> Table:
    """Every setting that a document names."""
    rows = []
    for row in ROWS:
        if row.test:
            rows.append((row.document, f"`{row.setting}`", row.value, row.does, _short(row.test)))
            continue
        passed = f"`{row.key}={row.kept!r}`" if row.key else "accepted, changes nothing"
        beside = f" beside `{row.beside[0]}` {row.beside[1]!r}" if row.beside else ""
        given = f"`{row.optimizer}`: `{row.value!r}`{beside}"
        rows.append((row.document, f"`{row.setting}`", given, passed, _short(f"{SETTING_TEST}[{row.id}]")))
    return Table(("document", "setting", "for example", "the class gets", "test"), tuple(rows))


class _Layers(nn.Module):
    """A text encoder of three layers, laid out as CLIPTextModel."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings, self.final_layer_norm = nn.Embedding(8, 4), nn.LayerNorm(4)
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))


def mistakes() -> Table:
    """What is said of the configuration with ten mistakes."""
    try:
        everydream.from_everydream(TEN, nn.Linear(4, 4), _Layers())
    except ConfigError as found:
        rows = [(f"`{one.path}`", f"``{one.message}``") for one in found.mistakes]
        return Table(("key", "message"), tuple(rows))
    raise AssertionError("the configuration was taken")


_CONTRACT = Path(__file__).resolve().parents[3] / "tests" / "trainers" / "contract"
_SHOWN_AS = {
    "test_accelerate": "accelerate, the Trainer of transformers",
    "test_everydream": "EveryDream2",
    "test_onetrainer": "OneTrainer",
    "test_sdscripts": "sd-scripts",
    "test_shim": "the shim",
    "test_simpletuner": "SimpleTuner",
    "test_surface": "all of them",
}


def contract() -> Table:
    """What holds for each trainer: the tests of the contract, by their names."""
    rows = []
    for path in sorted(_CONTRACT.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                what = node.name.removeprefix("test_").replace("_", " ")
                rows.append((_SHOWN_AS[path.stem], what, f"`{path.name}::{node.name}`"))
    return Table(("trainer", "what holds", "test"), tuple(rows))


def pitfalls() -> Table:
    """The rules of `check`."""
    rows = [(f"`{rule.id}`", rule.todo, ", ".join(rule.sentences) or rule.source) for rule in advice.RULES]
    return Table(("rule", "what to do", "said in"), tuple(rows))
