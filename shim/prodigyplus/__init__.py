"""The import path of prodigy-plus-schedule-free; the optimizer behind it is that of ppsf_fast."""

from prodigyplus.core_optimiser import CoreOptimiser
from prodigyplus.prodigy_plus_schedulefree import ProdigyPlusScheduleFree

__all__ = ["CoreOptimiser", "ProdigyPlusScheduleFree"]
