"""Where results are stored, and what stands beside them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ppsf_conformance.report.environment import cpu_name, package_version, utc_now

#: The folder that the documentation shows.
RESULTS = Path(__file__).parent / "results"


def circumstances() -> dict[str, Any]:
    """When, on which processor and with which versions something is measured on a CPU."""
    return {
        "date": utc_now(),
        "cpu": cpu_name(),
        "python": platform.python_version(),
        "versions": {"torch": torch.__version__, "ppsf": package_version("ppsf")},
    }


def store(document: Mapping[str, Any], folder: Path, stem: str) -> Path:
    """Write results, which have a date, to a file of that day; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{document['date'][:10]}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    return path
