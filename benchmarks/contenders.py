"""Who is measured, each at its defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

from ppsf_conformance import peers
from ppsf_fast import ProdigyPlusScheduleFree

Factory = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
#: The one whose time others are divided by, and the release that users would otherwise have.
YARDSTICK, UPSTREAM = "torch AdamW, fused", "prodigy-plus-schedule-free 2.0.1"


def _published(requirement: str, name: str, **options: Any) -> Factory:
    module, _, class_name = name.partition(":")
    cls = getattr(peers.load(module, peers.release(requirement)), class_name)
    return partial(cls, **options)


def contenders() -> dict[str, Factory]:
    """By the name that results show."""
    upstream = "prodigyplus.prodigy_plus_schedulefree:ProdigyPlusScheduleFree"
    return {
        "ppsf_fast": ProdigyPlusScheduleFree,
        "ppsf_fast, compile=True": partial(ProdigyPlusScheduleFree, compile=True),
        UPSTREAM: _published("prodigy-plus-schedule-free==2.0.1", upstream),
        "prodigyopt 1.1.2, slice_p=11": _published("prodigyopt==1.1.2", "prodigyopt.prodigy:Prodigy", slice_p=11),
        "schedulefree 1.4.1": _published("schedulefree==1.4.1", "schedulefree.adamw_schedulefree:AdamWScheduleFree"),
        "torch AdamW, for-loop": partial(torch.optim.AdamW, foreach=False),
        "torch AdamW, foreach": partial(torch.optim.AdamW, foreach=True),
        YARDSTICK: partial(torch.optim.AdamW, fused=True),
    }
