"""The runner in JavaScript passes the vectors, and a fault in one of its formulas fails the clause it belongs to.

These tests need Node and are no part of ``make test``; ``make vectors`` runs them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VECTORS = HERE.parent.parent / "vectors" / "v1"

#: Clauses, file of the formula, what stands there, and what is put in its place.
FAULTS = (
    ("PPSF-N-001", "options", "n % stride === 0", "n % stride === 1"),
    ("PPSF-O-001", "options", "Math.sqrt(beta2) : beta3", "beta2 : beta3"),
    ("PPSF-O-010", "options", "beta4 === null ? beta2", "!beta4 ? beta2"),
    ("PPSF-D-003", "distance", "beta3 * old + du * x", "beta3 * old + (1 - beta3) * du * x"),
    ("PPSF-D-005", "distance", "d > d0 ? A", "d >= d0 ? A"),
    ("PPSF-D-006", "distance", "D > 0 ? Math.atan2(d_coef * N, D) : 0", "Math.atan2(d_coef * N, D)"),
    ("PPSF-D-008", "distance", "k <= prodigy_steps", "k < prodigy_steps"),
    ("PPSF-D-026", "distance", "2 ** 0.25 * d)", "2 ** 0.2500001 * d)"),
    ("PPSF-D-029", "distance", "d === d0 ? Math.max(d, d_hat) : d", "d"),
    ("PPSF-V-001", "moment", "(1 - beta2) * (x * x), v, g", "(1 - beta2) * x, v, g"),
    ("PPSF-V-002", "moment", "shape[a] - shape[b] || a - b", "shape[a] - shape[b] || b - a"),
    ("PPSF-V-005", "moment", "m === 0 ? 0 :", "m < -1 ? 0 :"),
    ("PPSF-V-011", "moment", "factors(i, i.beta2, i.d * i.d * (1 - i.beta2))", "factors(i, i.beta2, 1 - i.beta2)"),
    ("PPSF-U-001", "update", "d > d0 ?", "d >= d0 ?"),
    ("PPSF-U-003", "update", "Math.atan2(x, b * v)", "Math.atan2(x, v)"),
    ("PPSF-C-001", "update", "Math.sqrt(meanSquare(u)) / b", "Math.sqrt(meanSquare(u))"),
    ("PPSF-M-003", "stepsize", "rho <= 4", "rho <= 5"),
    ("PPSF-M-020", "stepsize", "/ (1 - beta1 ** k)", "/ (1 - beta1)"),
    ("PPSF-M-021", "stepsize", "k / warmup_steps", "(k - 1) / warmup_steps"),
    ("PPSF-M-023", "stepsize", "const done = k - 1 - K", "const done = k - K"),
    ("PPSF-M-007", "modifiers", "const least = 2 ** -8", "const least = 2 ** -9"),
    ("PPSF-M-012", "modifiers", "d ** 0.975", "d ** 0.9750001"),
    ("PPSF-M-042", "modifiers", "N_new < n_max", "N_new <= n_max"),
    ("PPSF-Z-002", "averaging", "(1 - c) * a + c * b", "(1 - c) * a + c * (b - step * x)"),
    ("PPSF-Z-010", "averaging", "k ** r * largest", "(k - 1) ** r * largest"),
    ("PPSF-W-002", "averaging", "weight_decay * reach(c, beta1) * a", "weight_decay * a"),
    ("PPSF-G-003", "groups", "k[n] > 1", "k[n] > 0"),
    ("PPSF-L-009", "groups", "running.size && (call", "(call"),
    ("PPSF-R-002", "rounding", "below % 2 !== 0", "below % 2 === 0"),
    ("PPSF-R-003 PPSF-R-005", "rounding", "(bits + r) >>> 16", "(bits + (r >>> 1)) >>> 16"),
    ("PPSF-R-004", "rounding", "round < 7", "round < 6"),
    ("PPSF-R-005", "rounding", "if (magnitude > 0x7f800000) return null;", ""),
)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["node", str(folder / "run.mjs"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def failing(output: str) -> set[str]:
    return set(re.findall(r"^(PPSF-\S+)  .* FAILED", output, re.MULTILINE))


def test_all_formulas_pass() -> None:
    done = run(HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert failing(done.stdout) == set()
    passed, ran = map(int, re.findall(r"^(\d+) of (\d+) cases passed", done.stdout, re.MULTILINE)[0])
    assert passed == ran >= 500
    assert "steps/1.9.json" in done.stdout.partition("not run:")[2]


@pytest.mark.parametrize(("clauses", "area", "right", "wrong"), FAULTS)
def test_a_wrong_formula_fails_its_clause(clauses: str, area: str, right: str, wrong: str, tmp_path: Path) -> None:
    copy = tmp_path / "javascript"
    shutil.copytree(HERE, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    path = copy / "areas" / f"{area}.mjs"
    source = path.read_text("utf-8")
    assert source.count(right) >= 1
    path.write_text(source.replace(right, wrong, 1), encoding="utf-8")
    done = run(copy, str(VECTORS))
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr
    assert failing(done.stdout) == set(clauses.split())


def test_without_vectors_nothing_passes(tmp_path: Path) -> None:
    done = run(HERE, str(tmp_path))
    assert done.returncode == 2
    assert "no vectors" in done.stderr
