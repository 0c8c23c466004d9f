"""What a run took place on: versions, platform, processor. Imports none of the packages it asks about."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name where the system tells it, else the architecture.

    A virtual machine may tell less than a name ("AMD EPYC"): family and model follow, where there are any.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.split(":", 1) for line in lines if ":" in line)
    told = {key.strip(): value.strip() for key, value in pairs}
    name = told.get("model name") or platform.processor() or platform.machine() or "unknown"
    numbers = [f"{key} {told[own]}" for key, own in (("family", "cpu family"), ("model", "model")) if own in told]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def utc_now() -> str:
    """The present time as ``2026-01-31T12:00:00Z``."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
