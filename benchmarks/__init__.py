"""Optimizer steps side by side: ``python -m benchmarks``."""
