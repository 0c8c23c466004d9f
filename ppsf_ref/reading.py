"""What people read in a group between steps."""

from __future__ import annotations

from ppsf_ref import variants
from ppsf_ref.clauses import groups
from ppsf_ref.frame import frames
from ppsf_ref.numbers import Float64, Number, Numbers
from ppsf_ref.options import Config
from ppsf_ref.state import State


def effective_lrs(config: Config, state: State, numbers: Numbers | None = None) -> list[Number]:
    """Per group: its coming step size over its own estimate."""
    mean = config.split_groups and config.split_groups_mean
    found = []
    for i, f in enumerate(frames(config, state.groups, numbers or Float64())):
        estimate = groups.step_estimate(i, state.groups, mean)  # G-003
        dlr = variants.step_size(f, estimate, state.groups[i]).dlr
        found.append(groups.effective_lr(dlr, state.groups[i].d))  # G-010
    return found
