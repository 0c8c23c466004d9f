"""The report of a conformance run: its data model, and its renderings.

The model is imported from here. The renderings are modules of their own - :mod:`.terminal` (rich),
:mod:`.html` (Jinja and matplotlib) and :mod:`.junit` - so that what only reads and writes report.json loads
neither.
"""

from .model import (
    ClauseVerdict,
    Histogram,
    Implementation,
    OutputStats,
    RegimeStats,
    Report,
    ReportError,
    Run,
    Spec,
    Summary,
    Training,
    TrainingRun,
    Verdict,
    run_info,
)

__all__ = [
    "ClauseVerdict",
    "Histogram",
    "Implementation",
    "OutputStats",
    "RegimeStats",
    "Report",
    "ReportError",
    "Run",
    "Spec",
    "Summary",
    "Training",
    "TrainingRun",
    "Verdict",
    "run_info",
]
