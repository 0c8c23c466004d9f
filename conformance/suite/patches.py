"""Faults put into a copy of the product, as text: what a wrong implementation of each clause would look like."""

from __future__ import annotations

import importlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import ppsf_fast

SOURCE = Path(ppsf_fast.__file__).parent


@dataclass(frozen=True)
class Patch:
    """One fault: in ``file`` of the product ``old`` becomes ``new``; ``clause`` is the one it breaks."""

    what: str
    clause: str
    file: str
    old: str
    new: str


COEFFICIENTS, STATISTICS = "backends/coefficients.py", "backends/statistics.py"
ESTIMATE, MOMENTS = "backends/estimate.py", "backends/moments.py"
UPDATE, WEIGHTS = "backends/update.py", "backends/weights.py"

PATCHES = (
    Patch("every tenth element", "PPSF-N-001", "options.py", 'count(1), 11)', 'count(1), 10)'),
    Patch("lr off by 1e-6", "PPSF-G-004", COEFFICIENTS, "* rule.lr", "* (rule.lr * (1 + 1e-6))"),
    Patch("idle groups in the mean", "PPSF-G-003", COEFFICIENTS, "]) > FIRST_STEP", "]) >= FIRST_STEP"),
    Patch("weight d", "PPSF-D-001", COEFFICIENTS, "root = d.sqrt()", "root = d"),
    Patch("s never decays", "PPSF-D-003", STATISTICS, ".mul_(rule.beta3)", ".mul_(1.0)"),
    Patch("sum without magnitude", "PPSF-D-004", STATISTICS, "torch.abs(s, out=samples.way)", "samples.way.copy_(s)"),
    Patch("a negative item counts at once", "PPSF-D-005", ESTIMATE, "inner.clamp_min(0.0)", "inner"),
    Patch("d_coef ignored", "PPSF-D-006", ESTIMATE, "atan2(numerator * rule.d_coef,", "atan2(numerator,"),
    Patch("d may fall", "PPSF-D-007", ESTIMATE, '{"d": torch.maximum(d, d_hat)}', '{"d": d_hat}'),
    Patch("one step early", "PPSF-D-008", COEFFICIENTS, "k <= rule.prodigy_steps", "k < rule.prodigy_steps"),
    Patch("rescaled once", "PPSF-V-001", COEFFICIENTS, '(scalars["d_prev"] / d) ** 2', '(scalars["d_prev"] / d)'),
    Patch("mean over the wrong axis", "PPSF-V-005", MOMENTS, "mean_over(row, column_axis + 1)", "row"),
    Patch(
        "wide for ever", "PPSF-U-001", "revisions.py",
        "bound_later=1.0", "bound_later=50.0",
    ),
    Patch("eps twice", "PPSF-U-002", UPDATE, "(denom + rule.eps)", "(denom + 2 * rule.eps)"),
    Patch(
        "atan2 unscaled", "PPSF-U-003", UPDATE,
        "torch.atan2(grad, denom * by.bound) * by.bound", "torch.atan2(grad, denom)",
    ),
    Patch(
        "clips at half", "PPSF-C-001", UPDATE,
        "(rms / by.bound).clamp_min(1.0)", "(2 * rms / by.bound).clamp_min(1.0)",
    ),
    Patch(
        "decay of the new y", "PPSF-W-002", WEIGHTS,
        "new_y = new_y - y * by.y_decay", "new_y = new_y - new_y * by.y_decay",
    ),
    Patch("weight dlr", "PPSF-Z-001", COEFFICIENTS, "weight = dlr * dlr", "weight = dlr"),
    Patch("never rectified", "PPSF-M-003", "rectification.py", "ratio, 0.0).sqrt()", "ratio, 0.0) * 0 + 1"),
    Patch("beta2 not corrected", "PPSF-M-004", "rectification.py", "(1 - torch.pow(beta2, k.to(wide)))", "1.0"),
    Patch("mask not scaled", "PPSF-M-001", "numerics.py", " / share.clamp_min(_LEAST_KEPT).float()", ""),
    Patch("grams takes nothing back", "PPSF-M-002", WEIGHTS, "back.abs() * update.sign()", "back"),
    Patch("never fills", "PPSF-M-005", "state.py", "able, dtype=torch.bool", "True, dtype=torch.bool"),
    Patch(
        "divides by the new moment", "PPSF-M-006", MOMENTS,
        "before = Divisor([state[name].float() for name in moment_names(state)], stack.shape, rule, by).of(whole)\n"
        "    _renewed(stack, grad, rule, _filling(state, by))",
        "_renewed(stack, grad, rule, _filling(state, by))\n"
        "    before = Divisor([state[name] for name in moment_names(state)], stack.shape, rule, by).of(whole)",
    ),
    Patch("orthogonal to z", "PPSF-M-007", UPDATE, "orthogonal(grad, y)", 'orthogonal(grad, stack.state["z"].float())'),
    Patch(
        "average starts at 0", "PPSF-L-001", "state.py",
        "param.detach().to(torch.float32, copy=True)", "torch.zeros_like(param, dtype=torch.float32)",
    ),
    Patch("weights replace the average", "PPSF-M-008", "focus.py", "(weights - average) * gain", "(weights - average)"),
    Patch(
        "repelled by the average", "PPSF-M-009", "focus.py",
        "(average - weights).sign()", "(weights - average).sign()",
    ),
    Patch(
        "wrong groups factored", "PPSF-O-005", "rule.py",
        'options["factored"] and not options["use_focus"]', 'options["factored"] and options["use_focus"]',
    ),
    Patch(
        "FOCUS ignored", "PPSF-O-006", "rule.py",
        'options["use_muon_pp"] and not options["use_focus"]', 'options["use_muon_pp"]',
    ),
    Patch("only matrices", "PPSF-M-014", "muon.py", "len(shape) > 1", "len(shape) == 2"),
    Patch("five steps", "PPSF-M-015", "muon.py", "_STEPS = 6", "_STEPS = 5"),
    Patch("never shortened", "PPSF-M-016", "muon.py", "(matrix * share)", "(matrix * share.sign())"),
    Patch("sum of squares", "PPSF-M-017", "muon.py", "/ max(update.numel(), 1)", "/ 1"),
    Patch("no root", "PPSF-M-018", "muon.py", "rms_sq.sqrt()", "rms_sq"),
    Patch("without d0", "PPSF-M-010", "speed.py", "statistic_weight * d0", "statistic_weight"),
    Patch("magnitudes", "PPSF-M-011", "speed.py", "values.sign()", "values"),
    Patch("growth not capped", "PPSF-M-012", "speed.py", "torch.minimum(d_hat, d.pow(_GROWTH))", "d_hat"),
    Patch(
        "wide at the start", "PPSF-M-013", COEFFICIENTS,
        "torch.full_like(d, rule.revision.bound_later)", "torch.full_like(d, rule.revision.bound_at_start)",
    ),
    Patch("no averaging", "PPSF-Z-002", WEIGHTS, "torch.lerp(y, z, by.mix)", "y"),
    Patch("ascends", "PPSF-Z-003", WEIGHTS, "new_z = less(z, update,", "new_z = less(z, -update,"),
    Patch("half way to x", "PPSF-Z-004", "modes.py", "1 - 1 / beta1", "(1 - 1 / beta1) / 2"),
    Patch(
        "x0 = 0", "PPSF-L-001", "state.py",
        "return start.to(dtype_of_state(param), copy=True)", "return torch.zeros_like(start)",
    ),
    Patch("runs on NaN", "PPSF-L-004", "plan.py", "(sizes < TOO_LARGE / 2).all()", "torch.ones((), dtype=torch.bool)"),
    Patch("squares anything", "PPSF-L-004", "plan.py", "TOO_LARGE = 2.0**56", "TOO_LARGE = 2.0**126"),
    Patch("adapts by NaN", "PPSF-D-033", ESTIMATE, 'torch.isfinite(estimate["d_numerator"])', "(sums.norm >= 0)"),
    Patch("scale forgotten", "PPSF-L-012", WEIGHTS, "unscaled(stack.grad, by.unscale)", "stack.grad.float()"),
    Patch("found_inf ignored", "PPSF-L-013", "scaling.py", "bool(self.found != 0)", "False"),
    Patch(
        "truncates", "PPSF-R-003", "numerics.py",
        "(values.view(torch.int32) + noise)", "(values.view(torch.int32) + 0 * noise)",
    ),
    Patch("one draw for y and z", "PPSF-R-004", WEIGHTS, "(words >> 16) & 0xFFFF", "words & 0xFFFF"),
    Patch(
        "dtype lost on load", "PPSF-L-005", "state.py",
        "value.to(param.device, copy=True)", "value.to(param.dtype, copy=True)",
    ),
    Patch(
        "steps in eval mode", "PPSF-X-004", "core.py",
        '# clause: PPSF-X-004 a7e60766\n        if not all', '# clause: PPSF-X-004 a7e60766\n        if False and all',
    ),
)  # fmt: skip


def patched(patch: Patch, folder: Path) -> ModuleType:
    """A copy of the product with one fault, imported under a name of its own.

    Raises:
        ValueError: the text to replace is not there exactly once.
    """
    name = "faulty_" + "".join(letter if letter.isalnum() else "_" for letter in patch.clause + patch.what)
    package = folder / name
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8").replace("ppsf_fast", name)
        if path == package / patch.file:
            if text.count(patch.old) != 1:
                raise ValueError(f"{patch.file} holds {patch.old!r} {text.count(patch.old)} times")
            text = text.replace(patch.old, patch.new)
        path.write_text(text, "utf-8")
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
