"""Prodigy + Schedule-Free for torch: an optimizer that needs no learning rate, no schedule and no epsilon.

>>> optimizer = ProdigyPlusScheduleFree(model.parameters())  # doctest: +SKIP
"""

from ppsf_fast.optimizer import ProdigyPlusScheduleFree

__all__ = ["ProdigyPlusScheduleFree"]
