"""Training needs torch and nothing else: what other people's packages bring is imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Without tqdm: torch itself imports that where it is.
OTHERS = (
    "accelerate", "bitsandbytes", "dadaptation", "diffusers", "lightning", "lion_pytorch", "matplotlib", "peft",
    "sklearn", "tensorboard", "transformers",
)  # fmt: skip


@pytest.mark.parametrize("module", ["ppsf_fast", "ppsf_fast.trainers"])
def test_importing_brings_none_of_the_other_packages(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(set({OTHERS}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
