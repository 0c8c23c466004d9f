"""Processes that do not interpret kernels, and so can compile them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]
#: What the tests here set for themselves.
_OWN = ("TRITON_INTERPRET", "PPSF_BACKEND", "PPSF_TRITON_PROBLEMS")


def run(*module: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a module with its arguments, in an environment with more than there is here."""
    here = {name: value for name, value in os.environ.items() if name not in _OWN}
    path = os.pathsep.join([str(_ROOT), str(_ROOT / "conformance")])
    command = [sys.executable, "-m", *module]
    everything = {**here, "PYTHONPATH": path, **environment}
    return subprocess.run(command, cwd=_ROOT, env=everything, capture_output=True, text=True, check=False)
