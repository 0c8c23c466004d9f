"""Our optimizers pass every step vector: read from the files alone, as anybody would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ppsf_conformance import run
from ppsf_conformance.adapter import ARRAYS, COUNTS, Group, Weights
from ppsf_conformance.torch_adapter import TorchSession
from ppsf_conformance.vectors.floats import number
from ppsf_conformance.vectors.steps import outside
from ppsf_ref import load_revision, options_of
from ppsf_ref.store import formats

VECTORS = Path(__file__).parent.parent / "vectors" / "v1" / "steps"
Case = Mapping[str, Any]


def _values(array: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    return np.array([number(x) for x in array["data"]]).reshape(array["shape"])


def _option(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_option(name, x) for x in value)
    return number(value) if isinstance(value, str) else value


def _options(written: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _option(name, value) for name, value in written.items()}


def _session(revision: str, case: Case) -> TorchSession:
    """Our optimizer in the state that the case begins with."""
    groups, rates = [], []
    for described, state in zip(case["groups"], case["before"]["groups"], strict=True):
        options = _options(described["options"])
        rates.append(options["lr"])
        weights = [
            Weights(_values(p["y"]), d["dtype"]) for p, d in zip(state["params"], described["params"], strict=True)
        ]
        groups.append(Group(tuple(weights), {**options, "lr": options["lr"] or 1.0}))
    session = run.implementation_for(run.OWN[revision], revision=revision).new(groups, _options(case["options"]))
    assert isinstance(session, TorchSession)
    _load(session, revision, case)
    for i, rate in enumerate(rates):
        session.set_lr(i, rate)
    return session


def _load(session: TorchSession, revision: str, case: Case) -> None:
    names, saved = session.names, session.optimizer.state_dict()
    number_of = 0
    for entry, described, state in zip(saved["param_groups"], case["groups"], case["before"]["groups"], strict=True):
        entry |= {names.group[name]: number(state[name]) for name in load_revision(revision).scalars}
        entry |= {names.group[name]: state[name] for name in COUNTS if name in state}
        entry[names.group["k"]] = state["k"] - 1 + names.first_k
        if "train_mode" in names.group:
            entry[names.group["train_mode"]] = case["before"]["train_mode"]
        for param, spec in zip(state["params"], described["params"], strict=True):
            forms = formats(options_of(load_revision(revision), **_options(described["options"])), spec["dtype"])
            kept = {name: _tensor(param[name], forms[name].name) for name in ARRAYS if name in param and name != "y"}
            if kept:
                saved["state"][number_of] = {names.state[name]: value for name, value in kept.items()}
            number_of += 1
    session.optimizer.load_state_dict(saved)


def _tensor(array: Mapping[str, Any], dtype: str) -> torch.Tensor:
    return torch.tensor(_values(array)).to(getattr(torch, dtype))


def _faults(session: TorchSession, revision: str, case: Case) -> list[str]:
    after, found = session.snapshot(), []
    if case["after"]["train_mode"] != after.state.train_mode:
        found.append("train_mode")
    for i, (want, got) in enumerate(zip(case["after"]["groups"], after.state.groups, strict=True)):
        counts = ["k", *(name for name in COUNTS if name in want)]
        numbers = load_revision(revision).scalars
        wrong = [name for name in counts if want[name] != getattr(got, name)]
        wrong += [name for name in numbers if outside(want[name], np.asarray(getattr(got, name)))]
        found += [f"groups[{i}].{name}: {getattr(got, name)}, not {want[name]}" for name in wrong]
        for j, (p, q) in enumerate(zip(want["params"], got.params, strict=True)):
            found += [f"groups[{i}].params[{j}].{fault}" for fault in _of_param(p, q, after.formats[i][j])]
    return found


def _of_param(want: Mapping[str, Any], got: Any, dtypes: Mapping[str, str]) -> list[str]:
    kept = {name for name in ARRAYS if getattr(got, name) is not None}
    found = [f"{name}: kept or not" for name in sorted(kept ^ want.keys())]
    for name in kept & want.keys():
        value = getattr(got, name)
        if list(value.shape) != want[name]["shape"] or dtypes[name] != want[name]["dtype"]:
            found.append(f"{name}: {dtypes[name]} of shape {value.shape}")
        elif outside(want[name], value):
            found.append(f"{name}: {value.tolist()}, not {want[name]['low']} to {want[name]['high']}")
    return found


@pytest.mark.parametrize("revision", run.OWN)
def test_passes_every_step_vector(revision: str) -> None:
    wrong = {}
    for case in json.loads((VECTORS / f"{revision}.json").read_text("utf-8"))["cases"]:
        session = _session(revision, case)
        if case["call"] == "step":
            session.step([[g and _values(g) for g in row] for row in case["gradients"]])
        else:
            (session.eval if case["call"] == "eval" else session.train)()
        if faults := _faults(session, revision, case):
            wrong[case["id"], case["comment"]] = faults
    assert not wrong


def test_a_wrong_number_is_noticed() -> None:
    case = json.loads((VECTORS / "1.9.json").read_text("utf-8"))["cases"][1]
    session = _session("1.9", case)
    session.set_lr(0, 1 + 2.0**-10)
    session.step([[_values(g) for g in row] for row in case["gradients"]])
    assert any("weight_sum" in fault for fault in _faults(session, "1.9", case))
