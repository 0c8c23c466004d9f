"""What is kept of a parameter after a step: each array rounded once into its storage format."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ppsf_ref.clauses import rounding
from ppsf_ref.formats import BFLOAT16, Format
from ppsf_ref.frame import Frame
from ppsf_ref.frozen import replace
from ppsf_ref.law import place
from ppsf_ref.options import Options
from ppsf_ref.state import ParamState


@place
def formats(options: Options, dtype: str) -> Mapping[str, Format]:
    """The format in which each part of the state of a parameter of ``dtype`` is stored."""
    return rounding.compact(rounding.storage(dtype, options.factored_fp32), options.bf16_state)


def stored(frame: Frame, p: ParamState, j: int, k: int) -> ParamState:
    """Round the state of parameter ``j`` of a group in its step ``k``."""
    forms = formats(frame.options, frame.dtypes[j])
    kept = {}
    if frame.options.stochastic_rounding and forms["y"] is BFLOAT16:
        bits = rounding.rounding_bits(frame.seed, k, frame.first + j, np.size(p.y))
        weights = {"y": p.y, "z": p.z} if p.z is not None else {"y": p.y}
        kept = {name: rounding.stochastic(w, r) for (name, w), r in zip(weights.items(), bits, strict=False)}
    for name, form in forms.items():
        value = getattr(p, name)
        if name not in kept and value is not None:
            kept[name] = rounding.nearest(value, form)
    return replace(p, **kept)


def released(p: ParamState) -> ParamState:
    """Without what only the adaptation of d needs."""
    return replace(p, s=None, x0=None)
