"""Prodigy, Schedule-Free, and the two together, for torch.

>>> import torch
>>> model = torch.nn.Linear(2, 1)
>>> optimizer = ProdigyPlusScheduleFree(model.parameters())
>>> optimizer.param_groups[0]["lr"]
1.0
"""

from ppsf_fast.hooks import FusedBackward, fuse_backward
from ppsf_fast.memory import Memory
from ppsf_fast.optimizer import ProdigyPlusScheduleFree
from ppsf_fast.prodigy import Prodigy
from ppsf_fast.schedulefree import AdamWScheduleFree

__all__ = ["AdamWScheduleFree", "FusedBackward", "Memory", "Prodigy", "ProdigyPlusScheduleFree", "fuse_backward"]
