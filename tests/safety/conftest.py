"""The fixtures of the product's tests, and the extensions of the documentation, whose table these tests fill."""

import sys
from pathlib import Path

from tests.fast.conftest import accelerator, generator_untouched

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))

__all__ = ["accelerator", "generator_untouched"]
