"""What Triton compiles for a GPU is what the kernels say: their tests hold for it too, run by an emulator of PTX.

A process that interprets kernels cannot compile them, so the tests run in one of their own. Here are some; all of them
run by `PPSF_EMULATED="90 warps" pytest tests/fast/triton`, and in `make kernels`.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.fast.triton import uninterpreted

#: An architecture and an order of threads, files, and what the names of tests hold: all of them by night.
RUNS = [
    ("90 warps", "test_judged.py", "default or FOCUS"),
    ("90 warps", "test_judged.py", "volution or every and usual"),
    ("90 warps", "test_arithmetic.py test_traffic.py", ""),
    ("80", "test_judged.py", "default"),
    ("100 warps", "test_judged.py", "default or coupled"),
    *(
        pytest.param(f"{each} warps", ".", "not compiled and not launching and not emula", marks=pytest.mark.nightly)
        for each in (80, 90, 100)
    ),
]

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is there on Linux only"),
    pytest.mark.skipif("PPSF_EMULATED" in os.environ, reason="this is the process of its own"),
]


@pytest.mark.parametrize(("how", "files", "names"), RUNS)
def test_compiled_kernels_pass_the_tests_of_interpreted_ones(how: str, files: str, names: str) -> None:
    folder = Path(__file__).parent
    paths = [str(folder / file) for file in files.split()]
    done = uninterpreted.run("pytest", "-q", "-p", "no:cacheprovider", "-k", names, *paths, PPSF_EMULATED=how)
    assert done.returncode == 0, done.stdout[-5000:]
