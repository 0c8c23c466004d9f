"""The code on the pages runs as printed, block after block, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from ppsf_fast import ProdigyPlusScheduleFree

DOCS = Path(__file__).resolve().parents[2] / "docs"
README = DOCS.parent / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A replay that the tool printed; it is shortened there.
PRINTED = {"lives"}
#: Its code needs several processes: tests/distributed/test_guide.py.
TOGETHER = {"distributed"}
FOUND = sorted([*DOCS.glob("*.md"), *DOCS.glob("guides/*.md")])
PAGES = [page for page in FOUND if BLOCK.search(page.read_text("utf-8")) and page.stem not in PRINTED | TOGETHER]


def blocks(path: Path) -> list[str]:
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def given(page: str) -> dict[str, Any]:
    """What a page speaks of and does not define."""
    space: dict[str, Any] = {"__name__": "page"}
    if page == "quickstart":  # it shows the example of the README first
        exec(compile(blocks(README)[0], "README.md", "exec"), space)
    if page == "speed":
        space |= {"model": torch.nn.Linear(4, 1), "ProdigyPlusScheduleFree": ProdigyPlusScheduleFree}
    if page == "fused":
        space["model"] = torch.nn.Linear(4, 1)
        space["batches"] = [torch.ones(2, 4) for _ in range(3)]
        space["loss_of"] = lambda model, batch: model(batch).square().mean()
    return space


#: What their code imports warns, and takes long enough to be imported once.
HEAVY = [
    pytest.mark.xdist_group("integrations"),
    pytest.mark.filterwarnings("ignore"),
]
CASES = [pytest.param(page, id=page.stem, marks=HEAVY if page.stem == "integrations" else ()) for page in PAGES]


@pytest.mark.parametrize("page", CASES)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    space = given(page.stem)
    for number, block in enumerate(blocks(page), start=1):
        exec(compile(block, f"{page.name}, block {number}", "exec"), space)


def test_every_guide_that_trains_is_among_them() -> None:
    names = {page.stem for page in PAGES}
    assert names >= {
        "quickstart",
        "fused",
        "migrate",
        "options",
        "networks",
        "estimate",
        "precision",
        "saving",
        "trainers",
        "integrations",
    }


def test_a_resumed_run_of_the_guide_is_the_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    first = blocks(DOCS / "guides" / "saving.md")[0]
    resumed: dict[str, Any] = {"__name__": "page"}
    exec(first, resumed)
    torch.manual_seed(0)
    whole: dict[str, Any] = {"__name__": "page"}
    exec(first[: first.index("train(5)\ntorch.save")] + "train(10)\n", whole)
    assert torch.equal(resumed["model"].weight, whole["model"].weight)
