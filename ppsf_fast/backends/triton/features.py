"""What kernels are specialised on: the switches of a rule, the dtypes of a parameter's tensors, the formulas of a
revision. Numbers are not among them, so that a new learning rate compiles nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ppsf_fast.backends.triton.geometry import DEEP, TALL, WIDE
from ppsf_fast.backends.triton.launch import FEW, FEWEST, MOST, REGISTERS, THREADS
from ppsf_fast.muon import moves
from ppsf_fast.plan import Item
from ppsf_fast.revisions import Revision
from ppsf_fast.rule import Rule
from ppsf_fast.speed import COURSE
from ppsf_fast.state import dtype_of_state

#: Positions below it are computed in int32; a tile may end a little beyond the tensor.
NEAR = 2**31 - 2**20
#: The dtypes that kernels read.
DTYPES: dict[torch.dtype, Any] = {
    torch.float32: tl.float32,
    torch.bfloat16: tl.bfloat16,
    torch.float16: tl.float16,
    torch.float64: tl.float64,
}


@dataclass(frozen=True, slots=True)
class Features:
    """What the kernels of a bucket are compiled for.

    Attributes:
        y, g, z, m, v, vf, x0, s: dtypes of the tensors; that of a tensor which is not there is that of float32.
        muon: whether torch has found the direction of the update.
        penalizes, orthograd, focus, adopt, averages, keeps_moment, amplifies: as the rule has them.
        scaled: whether the gradient is multiplied by something as it is read.
        corrected: whether the second moment is bias-corrected in the divisor.
        clip: "", "bounded" or "soft".
        eps: whether the update is a quotient.
        unit: of the update, as the revision has it.
        steer: "", "cautious" or "grams".
        decay: "", "update", "beside" or "apart", after the clauses W-001, W-002 and W-010.
        noise_y, noise_z: whether y and z are rounded stochastically.
        statistics: "", "gradients", "signs" or "displacement".
        early: whether the estimate is renewed before the weights move.
        at_z: whether the displacement is that of z.
        stride: one element in this many enters the statistics.
        norm_sees_y: whether the update depends on the weights.
        index: dtype of positions: int32 where no tensor reaches farther.
        factored, dense: whether some second moment is a row and a column, and whether some is not.
        wide, tall, deep: the shapes of blocks there are.
        even, turned, slim: whether there are tensors that can be read several elements at a time: wide ones, where
            these follow each other in logical order and where they do not; and tall ones, where they do.
        flat: whether there are such whose second side has a period.
        vector, fours, periodic: whether the kernel's tensor is one of these, in logical order, and with a period.
        blocks, sum_blocks, piece: the sides of blocks, of those that sums of squares are made over, and the length of
            a piece of a row or column.
        across, strip: how many strips a tile of sums has where there is a period, and the most elements of one.
        sums: whether the kernel goes over tiles of sums.
        bp, bq, bl: the sides of the kernel's block.
        group: so many neighbours in a row of it have one sample at most.
    """

    y: Any
    g: Any
    z: Any
    m: Any
    v: Any
    vf: Any
    x0: Any
    s: Any
    muon: bool
    penalizes: bool
    orthograd: bool
    focus: bool
    adopt: bool
    averages: bool
    keeps_moment: bool
    amplifies: bool
    scaled: bool
    corrected: bool
    clip: str
    eps: bool
    unit: str
    steer: str
    decay: str
    noise_y: bool
    noise_z: bool
    statistics: str
    early: bool
    at_z: bool
    stride: int
    norm_sees_y: bool
    index: Any
    factored: bool = False
    dense: bool = False
    wide: bool = False
    tall: bool = False
    deep: bool = False
    even: bool = False
    turned: bool = False
    slim: bool = False
    flat: bool = False
    vector: bool = False
    fours: bool = False
    periodic: bool = False
    blocks: tuple[tuple[int, int, int], ...] = ()
    sum_blocks: tuple[tuple[int, int, int], ...] = ()
    across: int = 1
    strip: int = 1
    sums: bool = False
    piece: int = 1
    bp: int = 1
    bq: int = 1
    bl: int = 1
    group: int = 1

    def _over(self, shape: int, **what: Any) -> Features:
        bp, bq, bl = self.blocks[shape]
        return replace(self, bp=bp, bq=bq, bl=bl, **what)

    @property
    def of_wide(self) -> Features:
        """The same for a matrix, or what lies in one piece. Each element takes an address of its own, so that there is
        room for half as many."""
        half = self._over(WIDE)
        return replace(half, bp=half.bp // 2)

    @property
    def of_tall(self) -> Features:
        """The same for what is narrow along its memory."""
        return self._over(TALL)

    @property
    def of_deep(self) -> Features:
        """The same for what has a short axis inside."""
        return self._over(DEEP)

    @property
    def of_even(self) -> Features:
        """The same for a tensor that can be read several elements at a time, in logical order."""
        return self._in_order(WIDE)

    @property
    def of_slim(self) -> Features:
        """The same for what is narrow along its memory, where it can be read so."""
        return self._in_order(TALL)

    @property
    def of_flat(self) -> Features:
        """The same for what has a period along its memory, where it can be read so."""
        return replace(self._in_order(WIDE), periodic=True)

    def _in_order(self, shape: int) -> Features:
        found = self._over(shape, vector=True, fours=True)
        most = min(found.run, self.stride)
        return replace(found, group=1 << (most.bit_length() - 1))

    @property
    def run(self) -> int:
        """How many neighbours a thread reads at a time, so that there are not fewer such runs than threads."""
        return min(8 if self._is_narrow else 4, self.bp * self.bq // THREADS) if self.vector else 1

    @property
    def levels(self) -> int:
        """How many times a group is halved until one is left."""
        return self.group.bit_length() - 1

    @property
    def levels_of_run(self) -> int:
        """The same of a run."""
        return self.run.bit_length() - 1

    @property
    def of_turned(self) -> Features:
        """The same for a tensor that can be read several elements at a time, not in logical order."""
        return self._over(WIDE, vector=True)

    @property
    def of_sums(self) -> Features:
        """The same over the blocks that sums of squares are made over."""
        return replace(self, blocks=self.sum_blocks, sums=True)

    @property
    def turn(self) -> int:
        """How many blocks are asked for together before an update is measured."""
        return 2 if self.vector else 1

    @property
    def ahead(self) -> int:
        """How many blocks are asked for one after the other before squares are summed: 64 bytes for a thread."""
        return 1 if not self.vector else 4 if self.g.primitive_bitwidth == 16 else 2

    @property
    def span(self) -> int:
        """Of how many blocks the sums along rows are kept before they are written: one for a thread."""
        return THREADS // (self.bp * self.bl)

    @property
    def registers(self) -> int:
        """How many a thread may have. What cannot be read in vectors needs more; there are few such tensors."""
        if self.wide or self.tall or (self.flat and self.orthograd) or (self.deep and not self._is_plain):
            return MOST
        more = self.flat and (self.deep or self.scaled or self.statistics == "displacement")
        return FEW if self._is_narrow and self._is_plain and not more else REGISTERS

    @property
    def registers_of_updates(self) -> int:
        """The same while an update is measured."""
        return FEWEST if self.registers == FEW and not (self.flat or self.scaled) else self.registers

    @property
    def registers_of_sums(self) -> int:
        """The same while sums of squares are made: where there is a period, many of them are at hand."""
        others = self.wide or self.tall or self.deep
        if self.flat and not self.orthograd:
            return MOST if others and (self.scaled or not self._is_narrow) else REGISTERS
        if self.wide or self.tall or self.flat:
            return MOST
        return REGISTERS if self.deep else FEW

    @property
    def _is_narrow(self) -> bool:
        return all(each.primitive_bitwidth == 16 for each in (self.y, self.g, self.z))

    @property
    def _is_plain(self) -> bool:
        """Whether little has to be at hand for an element: the rule is as it is by default."""
        more = self.dense or self.adopt or self.orthograd or self.focus or self.keeps_moment or self.steer != ""
        return self.eps and not more

    @property
    def measures(self) -> bool:
        """Whether the weights move while the sums of the estimate are made."""
        return self.statistics != "" and not self.early

    @property
    def whole(self) -> bool:
        """Whether one program can take the whole step of a parameter, once all gradients have been seen."""
        return not (self.early or self.muon or self.orthograd)

    @property
    def reductions(self) -> tuple[str, ...]:
        """What has to be summed over a parameter before its weights can move, in this order."""
        found = {
            "size": self.muon,
            "agreement": self.counts and not self.averages,
            "norm": self.clip != "",
            "agreement of y": self.counts and self.averages,
        }
        return tuple(name for name, needed in found.items() if needed)

    @property
    def counts(self) -> bool:
        """Whether it has to be known how many elements agree in sign."""
        return self.steer == "cautious" and (self.averages or self.keeps_moment or self.adopt)

    @property
    def by_item(self) -> bool:
        """Whether a parameter's share of the estimate is more than the sums of its tiles."""
        return self.adopt or self.amplifies or self.statistics in ("signs", "displacement")


@dataclass(frozen=True, slots=True)
class Law:
    """The formulas of a revision that the numbers of groups and pools follow."""

    statistic_weight: str
    second_moment: str
    averaging_weight: str
    numerator: str
    estimate: str
    growth: str
    speed: str
    ceiling: str
    without_evidence: str
    cosine: bool
    keeps_d_prev: bool

    @staticmethod
    def of(revision: Revision) -> Law:
        """Those of a revision."""
        named = (
            "statistic_weight", "second_moment", "averaging_weight", "numerator", "estimate", "growth", "speed",
            "ceiling", "without_evidence",
        )  # fmt: skip
        return Law(
            **{name: getattr(revision, name) for name in named},
            cosine="cosine_decay" in revision.options,
            keeps_d_prev="d_prev" in revision.scalars,
        )


def dtype_of(tensor: Tensor | None) -> Any:
    """The dtype as kernels name it."""
    return tl.float32 if tensor is None else DTYPES[tensor.dtype]


def is_early(revision: Revision) -> bool:
    """Whether weights move by the estimate after the step."""
    return revision.estimate != "none" and (revision.unit == "new_d" or revision.without_evidence == "rests")


def features_of(item: Item, rule: Rule, reach: int, scaled: bool) -> Features:
    """What the kernels for a parameter are compiled for, but for what they share with others of its bucket.

    Args:
        reach: the largest position in any of its tensors.
        scaled: whether its gradient is.
    """
    state, revision = item.state, rule.revision
    z = state.get("z") if rule.averages else None
    noise = rule.stochastic_rounding
    statistics = _statistics(item, rule)
    turned = moves(item.param.shape, rule.muon)
    return Features(
        y=dtype_of(item.param),
        g=dtype_of(item.grad),
        z=dtype_of(z),
        m=dtype_of(state.get("exp_avg") if rule.keeps_moment else None),
        v=dtype_of(state.get("exp_avg_sq")),
        vf=_dtype_of_factors(item, rule),
        x0=dtype_of(state["p0"] if statistics else None),
        s=dtype_of(state["s"] if statistics in ("gradients", "signs") else None),
        muon=turned,
        penalizes=rule.penalizes,
        orthograd=rule.orthograd and not turned,
        focus=rule.focus,
        adopt=rule.adopt,
        averages=rule.averages,
        keeps_moment=rule.keeps_moment,
        amplifies=rule.amplifies and statistics != "",
        scaled=scaled,
        corrected=revision.second_moment == "corrected",
        clip=revision.clipping if rule.clip else "",
        eps=rule.eps is not None,
        unit=revision.unit,
        steer="grams" if rule.grams else "cautious" if rule.cautious else "",
        decay=_decay(rule),
        noise_y=noise and item.param.dtype == torch.bfloat16,
        noise_z=noise and z is not None and z.dtype == torch.bfloat16,
        statistics=statistics,
        early=is_early(revision),
        at_z=rule.averages and revision.statistic_point == "z",
        stride=rule.stride,
        norm_sees_y=rule.penalizes or rule.orthograd or rule.focus,
        index=tl.int32 if reach < NEAR else tl.int64,
    )


def _dtype_of_factors(item: Item, rule: Rule) -> Any:
    """That of rows and columns; of a parameter without them, what it would be, so that it can share a bucket."""
    if "exp_avg_sq_row" in item.state:
        return dtype_of(item.state["exp_avg_sq_row"])
    return DTYPES[dtype_of_state(item.param)] if rule.factored and not rule.factored_fp32 else tl.float32


def _statistics(item: Item, rule: Rule) -> str:
    """What a parameter remembers for the estimate; nothing if none is made or the window is closed."""
    if "p0" not in item.state:
        return ""
    if rule.by_displacement:
        return "displacement" if COURSE[0] in item.state else ""
    if "s" not in item.state:
        return ""
    return "signs" if rule.by_signs else "gradients"


def _decay(rule: Rule) -> str:
    if not rule.decays:
        return ""
    if not rule.averages:
        return "apart"
    return "update" if rule.weight_decay_by_lr else "beside"


def options_row(rule: Rule) -> list[float]:
    """The options of a group as the kernels read them, in the order of the columns."""
    revision = rule.revision
    kind = 0.0
    if rule.bias_correction:
        kind = {"adam": 3.0, "radam_in_moment": 2.0}.get(rule.correction, 1.0)
    return [
        rule.lr, rule.beta1, rule.beta2, rule.beta3, rule.beta4, rule.weight_decay, rule.d0, rule.d_coef,
        0.0 if rule.eps is None else rule.eps, rule.growth_rate, rule.r, rule.weight_lr_power, rule.schedulefree_c,
        rule.warmup_steps, rule.prodigy_steps, -1.0 if rule.total_steps is None else rule.total_steps,
        rule.peak_patience, revision.bound_at_start, revision.bound_later, revision.atan2_scale, kind,
        rule.averages, rule.weight_decay_by_lr, rule.speed, rule.by_signs, rule.by_displacement, rule.amplifies,
        rule.safeguard_warmup, rule.d_limiter, rule.cosine_decay, rule.adopt,
        rule.rounding_seed & 0xFFFFFFFF,
    ]  # fmt: skip
