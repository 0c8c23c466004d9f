"""The Triton backend: one launch does one part of the step for all parameters, whatever their number."""

from __future__ import annotations

from ppsf_fast.backends.triton.serving import again, serves, step

__all__ = ["again", "serves", "step"]
