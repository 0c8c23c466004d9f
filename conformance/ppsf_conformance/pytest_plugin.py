"""The options of ``pytest --pyargs ppsf_conformance.suite``; pytest finds them once the kit is installed.

Every pytest of the environment loads this module, so it imports nothing of the kit.
"""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what is judged, and how hard."""
    group = parser.getgroup("ppsf", "conformance to Prodigy + Schedule-Free (ppsf_conformance.suite)")
    group.addoption("--ppsf-target", metavar="module:Class", help="the class to judge")
    group.addoption("--ppsf-revision", default="", help="revision to judge by (default: that of the class)")
    group.addoption("--ppsf-map", type=Path, metavar="FILE", help="name map of the class (TOML)")
    group.addoption("--ppsf-xfail", type=Path, metavar="FILE", help="errata whose deviations are expected (TOML)")
    profiles = ("quick", "standard", "nightly")
    group.addoption("--ppsf-profile", default="standard", choices=profiles, help="how hard to look")
    group.addoption("--ppsf-seed", type=int, default=0, help="seed of the problems")
