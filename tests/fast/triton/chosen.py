"""What runs the kernels in tests: Triton's interpreter, or what Triton compiles for a GPU, emulated.

The environment variable PPSF_EMULATED asks for the latter: "90" is an architecture, of which all threads go together;
of "90 warps" one warp goes after the other. This has to be imported before Triton.
"""

from __future__ import annotations

import os
import re

import pytest

_ASKED = re.fullmatch(r"(?:(\d+)( warps)?)?", os.environ.get("PPSF_EMULATED", ""))
if not _ASKED:
    raise ValueError(
        f'PPSF_EMULATED is {os.environ["PPSF_EMULATED"]!r}; it can be an architecture, or one and " warps"'
    )
ARCHITECTURE, _BY_WARPS = _ASKED.groups()

if ARCHITECTURE:
    from tests.fast.triton.ptx import driver

    driver.install(int(ARCHITECTURE))
    driver.by_warps = bool(_BY_WARPS)
else:
    from tests.fast.triton import interpreter

    assert interpreter


def go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this test all threads of a program go together, however they are run."""
    if ARCHITECTURE:
        monkeypatch.setattr(driver, "by_warps", False)
