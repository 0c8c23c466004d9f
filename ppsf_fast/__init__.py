"""Prodigy, Schedule-Free, and the two together, for torch.

>>> optimizer = ProdigyPlusScheduleFree(model.parameters())  # doctest: +SKIP
"""

from ppsf_fast.hooks import FusedBackward, fuse_backward
from ppsf_fast.memory import Memory
from ppsf_fast.optimizer import ProdigyPlusScheduleFree
from ppsf_fast.prodigy import Prodigy
from ppsf_fast.schedulefree import AdamWScheduleFree

__all__ = ["AdamWScheduleFree", "FusedBackward", "Memory", "Prodigy", "ProdigyPlusScheduleFree", "fuse_backward"]
