"""What a mutant is: one small fault in the reference function of one clause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ppsf_ref import clause_functions
from ppsf_ref.law import Rule


@dataclass(frozen=True)
class Mutant:
    """One wrong rule for one clause."""

    what: str
    clause: str
    rule: Rule

    @property
    def identifier(self) -> str:
        """Clause and fault."""
        return f"{self.clause}: {self.what}"


def law(clause: str, *args: Any, **kwargs: Any) -> Any:
    """What the law itself gives."""
    return clause_functions()[clause](*args, **kwargs)
