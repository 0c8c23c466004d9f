"""Every optimizer that the trainers offer: which class of which distribution it is, and what settings that takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ppsf_fast.optimizer import ProdigyPlusScheduleFree
from ppsf_fast.prodigy import Prodigy
from ppsf_fast.schedulefree import AdamWScheduleFree

#: A conflict: whether it is there, the setting to blame, and what is wrong and what to do.
Conflict = tuple[Callable[[Mapping[str, Any]], bool], str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """An optimizer.

    `takes` are settings that go to the constructor under their own name. Where `betas` is not empty it is the
    class's default, which `beta1`, `beta2` (and `beta3`, if there are three) change one by one. `unused` are
    settings that may be given and change nothing; `estimates` says that the learning rate is 1 unless given.
    """

    distribution: str
    module: str
    name: str
    takes: frozenset[str]
    betas: tuple[float, ...] = ()
    eps: tuple[float, ...] = ()
    unused: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    estimates: bool = False
    conflicts: tuple[Conflict, ...] = ()

    @property
    def settings(self) -> frozenset[str]:
        """All settings that may be given, `lr` aside."""
        single = {f"beta{number}" for number in range(1, len(self.betas) + 1)}
        return (
            self.takes | self.unused | single | ({"betas"} if self.betas else set()) | ({"eps2"} if self.eps else set())
        )

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install {self.distribution}"


def _kind(where: str, takes: str, **rest: Any) -> Kind:
    distribution, path = where.split(" ")
    module, _, name = path.rpartition(".")
    return Kind(distribution, module, name, frozenset(takes.split()), **rest)


def _ours(cls: type, **rest: Any) -> Kind:
    names = set(inspect.signature(cls).parameters) - {"params", "lr", "betas"}
    betas = inspect.signature(cls).parameters["betas"].default
    return Kind("ppsf", "ppsf_fast", cls.__name__, frozenset(names), betas=betas, **rest)


_NESTEROV: Conflict = (
    lambda given: given.get("nesterov", False) and not given.get("momentum", 0),
    "nesterov",
    "=True needs a momentum above 0. Set momentum (0.9 is usual), or nesterov to false.",
)
_AT_REST: Conflict = (
    lambda given: not given.get("momentum"),
    "momentum",
    " must be above 0: this class refuses to go without. Leave it out for 0.9, or give another.",
)
#: bitsandbytes refuses these without momentum; 0.9 unless given.
_MOVING = {"momentum": 0.9}
_DAMPED: Conflict = (
    lambda given: given.get("nesterov", False) and bool(given.get("dampening", 0)),
    "dampening",
    " and nesterov exclude each other. Set dampening to 0, or nesterov to false.",
)
_BOTH_LOOPS: Conflict = (
    lambda given: bool(given.get("foreach")) and bool(given.get("fused")),
    "fused",
    " and foreach exclude each other. Set one of them to false.",
)
_WARMUP_INIT: Conflict = (
    lambda given: given.get("warmup_init", False) and not given.get("relative_step", True),
    "warmup_init",
    "=True needs relative_step: it warms the relative step up. Set relative_step to true, or warmup_init to false.",
)

_NOT_FUSED: Conflict = (
    lambda given: given.get("fused_back_pass", False),
    "fused_back_pass",
    "=True: this Adafactor has no step inside the backward pass. Set it to false, or choose Prodigy + Schedule-Free.",
)

_B2, _LION = (0.9, 0.999), (0.9, 0.99)
_TORCH = "weight_decay foreach maximize differentiable"
_ADAM = f"{_TORCH} eps amsgrad capturable fused"
_BNB = "weight_decay optim_bits min_8bit_size"
_BNB8 = "weight_decay min_8bit_size"
#: Recent bitsandbytes always works in blocks and has no clipping by percentiles.
_GONE = frozenset({"block_wise", "percentile_clipping"})

PRODIGY = _ours(Prodigy, estimates=True)
PPSF = _ours(ProdigyPlusScheduleFree, estimates=True)
SCHEDULE_FREE = _ours(AdamWScheduleFree)
ADAM = _kind("torch torch.optim.Adam", _ADAM, betas=_B2, conflicts=(_BOTH_LOOPS,))
ADAMW = _kind("torch torch.optim.AdamW", _ADAM, betas=_B2, conflicts=(_BOTH_LOOPS,))
ADAGRAD = _kind(
    "torch torch.optim.Adagrad",
    f"{_TORCH} eps lr_decay initial_accumulator_value fused",
    conflicts=(_BOTH_LOOPS,),
)
RMSPROP = _kind("torch torch.optim.RMSprop", f"{_TORCH} eps alpha momentum centered capturable")
SGD = _kind(
    "torch torch.optim.SGD",
    f"{_TORCH} momentum dampening nesterov fused",
    conflicts=(_NESTEROV, _DAMPED, _BOTH_LOOPS),
)
LION = _kind("lion-pytorch lion_pytorch.Lion", "weight_decay use_triton", betas=_LION, unused=frozenset({"eps"}))
ADAFACTOR = _kind(
    "transformers transformers.optimization.Adafactor",
    "eps clip_threshold decay_rate beta1 weight_decay scale_parameter relative_step warmup_init",
    eps=(1e-30, 1e-3),
    unused=frozenset({"stochastic_rounding", "fused_back_pass"}),
    conflicts=(_WARMUP_INIT, _NOT_FUSED),
)
ADAGRAD8 = _kind(
    "bitsandbytes bitsandbytes.optim.Adagrad8bit",
    f"{_BNB8} eps lr_decay initial_accumulator_value",
    unused=_GONE,
)
ADAM8 = _kind("bitsandbytes bitsandbytes.optim.Adam8bit", f"{_BNB8} eps is_paged", betas=_B2, unused=_GONE)
ADAMW8 = _kind("bitsandbytes bitsandbytes.optim.AdamW8bit", f"{_BNB8} eps is_paged", betas=_B2, unused=_GONE)
LAMB = _kind(
    "bitsandbytes bitsandbytes.optim.LAMB",
    f"{_BNB} eps amsgrad adam_w_mode bias_correction max_unorm",
    betas=_B2,
    unused=_GONE,
)
LAMB8 = _kind(
    "bitsandbytes bitsandbytes.optim.LAMB8bit",
    f"{_BNB8} eps amsgrad adam_w_mode bias_correction max_unorm",
    betas=_B2,
    unused=_GONE,
)
LARS = _kind(
    "bitsandbytes bitsandbytes.optim.LARS",
    f"{_BNB} momentum dampening nesterov max_unorm",
    unused=_GONE,
    defaults=_MOVING,
    conflicts=(_AT_REST, _DAMPED),
)
LARS8 = _kind(
    "bitsandbytes bitsandbytes.optim.LARS8bit",
    f"{_BNB8} momentum dampening nesterov max_unorm",
    unused=_GONE,
    defaults=_MOVING,
    conflicts=(_AT_REST, _DAMPED),
)
LION8 = _kind(
    "bitsandbytes bitsandbytes.optim.Lion8bit",
    f"{_BNB8} is_paged",
    betas=_LION,
    unused=_GONE | {"eps"},
)
RMSPROP8 = _kind("bitsandbytes bitsandbytes.optim.RMSprop8bit", f"{_BNB8} eps alpha momentum centered", unused=_GONE)
SGD8 = _kind(
    "bitsandbytes bitsandbytes.optim.SGD8bit",
    f"{_BNB8} momentum dampening nesterov",
    unused=_GONE,
    defaults=_MOVING,
    conflicts=(_AT_REST, _DAMPED),
)
_D = "weight_decay log_every d0"
DADAPT_ADAGRAD = _kind("dadaptation dadaptation.DAdaptAdaGrad", f"{_D} momentum eps growth_rate", estimates=True)
DADAPT_ADAM = _kind(
    "dadaptation dadaptation.DAdaptAdam",
    f"{_D} eps decouple use_bias_correction growth_rate fsdp_in_use",
    betas=_B2,
    defaults={"decouple": True},
    estimates=True,
)
DADAPT_ADAN = _kind(
    "dadaptation dadaptation.DAdaptAdan",
    f"{_D} eps no_prox growth_rate",
    betas=(0.98, 0.92, 0.99),
    estimates=True,
)
DADAPT_LION = _kind(
    "dadaptation dadaptation.DAdaptLion",
    f"{_D} fsdp_in_use",
    betas=_LION,
    unused=frozenset({"eps", "decouple"}),
    estimates=True,
)
DADAPT_SGD = _kind(
    "dadaptation dadaptation.DAdaptSGD",
    f"{_D} momentum growth_rate fsdp_in_use",
    unused=frozenset({"eps", "betas", "decouple"}),
    estimates=True,
)
