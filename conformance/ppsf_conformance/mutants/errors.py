"""Wrong laws about refusals."""

from __future__ import annotations

from typing import Any

from ppsf_conformance.mutant import Mutant, refuses


def _accepts(*args: Any, **kwargs: Any) -> None:
    return None


ERRORS: tuple[Mutant, ...] = (
    Mutant("accepted", clause="PPSF-X-001", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-002", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-002", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-003", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-003", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-004", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-005", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-006", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-006", kind="refusal", rule=refuses),
    Mutant("accepted", clause="PPSF-X-008", kind="refusal", rule=_accepts),
    Mutant("accepted", clause="PPSF-X-009", kind="refusal", rule=_accepts),
    Mutant("refused", clause="PPSF-X-009", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-008", kind="refusal", rule=refuses),
    Mutant(
        "accepted", clause="PPSF-X-020", kind="refusal", rule=lambda fused_back_pass, train_mode, is_parameter: None
    ),
    Mutant("refused", clause="PPSF-X-001", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-004", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-005", kind="refusal", rule=refuses),
    Mutant("refused", clause="PPSF-X-020", kind="refusal", rule=refuses),
)
