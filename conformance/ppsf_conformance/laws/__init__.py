"""Metamorphic laws: what must hold between two runs of an implementation, whatever the numbers are.

Each law states its scope and its reason (:attr:`Law.statement`). Nothing is compared with a stored number or within a
chosen tolerance: what the laws ask for is equality, bit for bit where nothing rounds differently, and otherwise within
the bound of the judge.
"""

from ppsf_conformance.laws import limits, repetition, scales, structure
from ppsf_conformance.laws.law import LAWS, Law

__all__ = ["LAWS", "Law", "limits", "repetition", "scales", "structure"]
