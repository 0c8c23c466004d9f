"""The fixtures of the product's tests."""

from tests.fast.conftest import accelerator, generator_untouched

__all__ = ["accelerator", "generator_untouched"]
