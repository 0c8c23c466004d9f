"""Checks of what lockstep cannot see: errors, modes, bad steps, resuming. One function per clause."""

from ppsf_conformance.checks.errors import ERROR_CHECKS
from ppsf_conformance.checks.estimate import ESTIMATE_CHECKS
from ppsf_conformance.checks.finding import Check, Finding
from ppsf_conformance.checks.fused import FUSED_CHECKS
from ppsf_conformance.checks.groups import GROUP_CHECKS
from ppsf_conformance.checks.lifecycle import LIFECYCLE_CHECKS
from ppsf_conformance.checks.processes import PROCESS_CHECKS
from ppsf_conformance.checks.random_rounding import RANDOM_CHECKS
from ppsf_conformance.checks.scaling import SCALING_CHECKS

CHECKS: dict[str, Check] = {
    **ESTIMATE_CHECKS,
    **LIFECYCLE_CHECKS,
    **RANDOM_CHECKS,
    **FUSED_CHECKS,
    **SCALING_CHECKS,
    **PROCESS_CHECKS,
    **GROUP_CHECKS,
    **ERROR_CHECKS,
}

__all__ = ["CHECKS", "Check", "Finding"]
