"""The C++ kernel as processors with shorter vectors get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ppsf_fast.backends.native import build
from tests.fast.triton import uninterpreted

#: What compilers call them, and what this processor has to know to stand in for them.
PROCESSORS = {"haswell": "avx2", "x86-64": "sse2"}


def knows(flag: str) -> bool:
    info = Path("/proc/cpuinfo")
    return info.exists() and f" {flag} " in info.read_text()


@pytest.mark.parametrize("line", ["flags\t\t: fpu sse2 avx2", "Features\t: fp asimd sve"])
def test_processors_that_know_other_instructions_keep_libraries_of_their_own(
    monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """On x86 and on ARM: one home folder may serve machines of several generations."""
    monkeypatch.setattr(Path, "read_text", lambda *_: f"processor\t: 0\n{line}\nprocessor\t: 1\n{line}\n")
    assert build._machine() == line


@pytest.mark.nightly
@pytest.mark.parametrize("processor", PROCESSORS)
def test_what_is_compiled_for_another_processor_passes_the_same_tests(processor: str, tmp_path: Path) -> None:
    if not knows(PROCESSORS[processor]):
        pytest.skip(f"this processor does not know {PROCESSORS[processor]}")
    compiler = tmp_path / "c++"
    compiler.write_text(f'#!/bin/sh\nexec {build.compiler()} "$@" -march={processor}\n')
    compiler.chmod(0o755)
    files = ("tests/fast/test_compiled.py", "conformance/suite/test_compiled.py")
    own = {"CXX": str(compiler), "TORCH_EXTENSIONS_DIR": str(tmp_path)}
    done = uninterpreted.run("pytest", "-q", "-p", "no:cacheprovider", *files, **own)
    assert done.returncode == 0, done.stdout[-5000:]
    assert list(tmp_path.glob("ppsf/step-*.so")), "nothing was compiled"
