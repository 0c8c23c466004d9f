"""The law of Prodigy + Schedule-Free, executable: pure functions over frozen data, one per clause of ``spec/``.

Read :mod:`ppsf_ref.step` first: it is the whole algorithm on one page. The same code runs on float64 arrays, on
50-digit numbers and on values that carry their own rounding-error bound (:mod:`ppsf_ref.numbers`).

A step by hand, and the clauses that it took; within ``overriding`` a clause is something else:

>>> import numpy as np
>>> revision = load_revision("1.9")
>>> config = Config((options_of(revision, d0=0.5),), (("float32",),), revision)
>>> state = initial_state(config, [[np.array([1.0, -1.0])]])
>>> with tracing() as trace:
...     state = step(config, state, [[np.array([0.5, 0.25])]])
>>> state.groups[0].k, "PPSF-D-005" in trace.clauses
(2, True)
>>> with overriding({"PPSF-D-001": lambda d: 1.0}), tracing() as trace:
...     state = step(config, state, [[np.array([0.5, 0.25])]])
>>> trace.of("PPSF-D-001")
[1.0]
"""

from ppsf_ref.bounded import Allowed, Arithmetic, Bounded
from ppsf_ref.formats import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Format
from ppsf_ref.law import Decision, Trace, clause_functions, overriding, replaying, tracing
from ppsf_ref.modes import evaluate, initial_state, train
from ppsf_ref.numbers import Float64, Numbers, Precise, Running
from ppsf_ref.options import Config, Options, Revision, load_revision, options_of, whole_options
from ppsf_ref.state import GroupState, ParamState, State
from ppsf_ref.step import step

__all__ = [
    "BFLOAT16",
    "FLOAT16",
    "FLOAT32",
    "FLOAT64",
    "Allowed",
    "Arithmetic",
    "Bounded",
    "Config",
    "Decision",
    "Float64",
    "Format",
    "GroupState",
    "Numbers",
    "Options",
    "ParamState",
    "Precise",
    "Revision",
    "Running",
    "State",
    "Trace",
    "clause_functions",
    "evaluate",
    "initial_state",
    "load_revision",
    "options_of",
    "overriding",
    "replaying",
    "step",
    "tracing",
    "train",
    "whole_options",
]
