"""The index by message finds what the packages really say, and every message says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lookup import Said, kit_messages, product_messages
from messages import messages
from ppsf_conformance.run import implementation_for
from ppsf_fast import Prodigy, ProdigyPlusScheduleFree, fuse_backward
from ppsf_fast.trainers import from_onetrainer
from tools.trace.scan import Sources


def matches(said: Said, text: str) -> bool:
    parts = re.split(r"\{[^{}]*\}", said.message.text)
    return re.search(".+".join(map(re.escape, parts)), text, re.DOTALL) is not None


def parameter(dtype: torch.dtype = torch.float32) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(2, dtype=dtype))


def step_in_eval_mode() -> None:
    optimizer = ProdigyPlusScheduleFree([parameter()])
    optimizer.eval()
    optimizer.step()


#: A mistake, and the clause that the index should name for it.
MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a value outside its domain": (lambda: Prodigy([parameter()], d0=-1.0), "PPSF-X-002"),
    "a value of the wrong type": (lambda: ProdigyPlusScheduleFree([parameter()], factored="yes"), "PPSF-X-002"),
    "a step in eval mode": (step_in_eval_mode, "PPSF-X-004"),
    "averaging without beta1": (lambda: ProdigyPlusScheduleFree([parameter()], betas=(0.0, 0.9)), "PPSF-X-009"),
    "an option of another revision": (lambda: ProdigyPlusScheduleFree([parameter()], d_limiter=True), "PPSF-X-001"),
    "hooks without the option": (lambda: fuse_backward(ProdigyPlusScheduleFree([parameter()])), ""),
    "a key that nobody knows": (lambda: from_onetrainer({"optimzer": "PRODIGY"}, {"net": torch.nn.Linear(1, 1)}), ""),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_message_that_is_seen_is_in_the_index_with_its_clause(mistake: str) -> None:
    provoke, clause = MISTAKES[mistake]
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        provoke()
    found = [said for said in product_messages() if matches(said, str(caught.value))]
    assert found
    assert type(caught.value).__name__ in {kind for said in found for kind in said.kinds}
    assert not clause or clause in {name for said in found for name in said.clauses}


def test_a_message_of_the_command_is_in_the_index() -> None:
    with pytest.raises(ValueError, match="does not name a class") as caught:
        implementation_for("nonsense")
    assert any(matches(said, str(caught.value)) for said in kit_messages())


@pytest.mark.parametrize("said", product_messages(), ids=lambda said: said.places[0])
def test_every_message_of_the_product_says_what_to_do(said: Said) -> None:
    assert said.message.advice


def test_what_is_put_together_in_another_function_is_followed(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "one.py").write_text(
        "def told(name):\n"
        '    """What is wrong."""\n'
        '    return f"{name} is wrong. Mend it."\n'
        "\n"
        "# clause: PPSF-X-001 00000000\n"
        "def check(name):\n"
        "    raise ValueError(told(name))\n",
        "utf-8",
    )
    (found,) = messages(Sources(tmp_path), "package")
    assert (found.reason, found.advice) == ("{name} is wrong.", "Mend it.")
    assert (found.kind, found.place, found.clause) == ("ValueError", "check", "PPSF-X-001")
