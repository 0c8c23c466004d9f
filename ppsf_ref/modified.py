"""Where a switch of a group decides which clause applies: its step size, and what is taken from its weights."""

from __future__ import annotations

from ppsf_ref.clauses import average, groups, modifiers, options
from ppsf_ref.frame import Frame
from ppsf_ref.numbers import Number


def step_size(f: Frame, estimate: Number, k: int) -> Number:
    """dlr of a group in step ``k`` of its pool."""
    dlr = groups.step_size(estimate, f.lr)  # G-004
    if not f.options.use_bias_correction:
        return dlr
    return modifiers.rectified(dlr, f.numbers.scalar(f.options.betas[1]), k)  # M-003


def next_y(f: Frame, y: Number, z: Number, u: Number, c: Number, dlr: Number) -> Number:
    """New y, before the decay that is not multiplied by dlr."""
    use_cautious, use_grams = f.options.use_cautious, f.options.use_grams
    if not (use_cautious or use_grams):
        return average.next_y(y, z, u, c, dlr, f.beta1)  # Z-002
    decrease = average.decrease_of_y(y, z, u, c, dlr, f.beta1)
    if options.applies_grams(use_grams, use_cautious):  # O-004
        return y - modifiers.grams(decrease, u)  # M-002
    return y - modifiers.cautious(decrease, u)  # M-001
