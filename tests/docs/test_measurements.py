"""The page of benchmarks shows all there is in a stored result, also of a kind that it has never seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from docutils import nodes

from facts import benchmarks
from measurements import RESULTS, comparison, facts_of, flat, is_comparison, shown, text

GPU: dict[str, Any] = {
    "gpu": "a card",
    "results": [
        {
            "workload": "large",
            "dtype": dtype,
            "median_ms": {"ppsf_fast": 1.5, "torch AdamW (fused)": 1.25},
            "p20_ms": {"ppsf_fast": 1.375, "torch AdamW (fused)": 1.125},
            "ratio_to_fused_adamw": 1.1875,
            "launches": {"look": 1, "apply": 2},
            "lines": [{"launch": "look", "bytes": 4096, "found_ms": None}, {"launch": "apply", "bytes": 8192}],
        }
        for dtype in ("float32", "bfloat16")
    ],
}
OTHER: dict[str, Any] = {
    "machine": {"cpu": "a processor", "cores": 2},
    "measured": {"2": {"ms": 3.5, "bytes": 72}, "4": {"ms": 4.5, "bytes": 73}},
    "curves": {"one process": [4.25, *[2.0] * 20, 1.125], "four": [4.5, *[2.0] * 20, 1.0625]},
    "deep": {"er": {"and": {"deeper": [{"a": {"b": {"c": 7}}}]}}},
}


def singles(value: Any) -> Iterator[str]:
    """What a reader should find: every value, and of a series of numbers its ends."""
    if isinstance(value, dict):
        for item in value.values():
            yield from singles(item)
    elif isinstance(value, list) and len(value) > 8 and not isinstance(value[0], dict):
        yield from (text(value[0]), text(value[-1]))
    elif isinstance(value, list):
        for item in value:
            yield from singles(item)
    else:
        yield text(value)


def words(found: list[nodes.Node]) -> str:
    return " ".join(node.astext() for part in found for node in part.findall(nodes.Text))


@pytest.mark.parametrize("document", [GPU, OTHER], ids=["gpu", "other"])
def test_everything_in_a_result_is_shown(document: dict[str, Any]) -> None:
    seen = words(shown(document, "name"))
    assert [value for value in singles(document) if value not in seen] == []


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_stored_result_says_when_and_on_what_it_was_taken(path: Any) -> None:
    document = json.loads(path.read_text("utf-8"))
    facts = flat(document)
    assert re.match(r"\d{4}-\d\d-\d\d", document["date"])
    assert any(word in name for name in facts for word in ("cpu", "gpu", "machine", "hardware", "processor", "device"))
    assert any("torch" in name for name in facts)
    assert words([facts_of({"date": document["date"]})])


@pytest.mark.parametrize("made_on", [benchmarks.CPU, benchmarks.GPU])
def test_a_comparison_shows_every_median_with_its_spread_and_one_bar_as_long_as_the_slowest(made_on: str) -> None:
    document = benchmarks.newest(made_on)
    assert is_comparison(document)
    made = comparison(document, "name")
    assert len(made) == len(document["results"])
    for one, section in zip(document["results"], made, strict=True):
        seen = words([section])
        for row in one["rows"].values():
            assert f"{row['ms']['median']:,.1f}" in seen
            assert f"{row['ms']['p20']:,.1f} to {row['ms']['p80']:,.1f}" in seen
        widths = [
            float(width) for bar in section.findall(nodes.raw) for width in re.findall(r"width:([\d.]+)%", bar.astext())
        ]
        assert max(widths) == 100.0
        assert len(widths) == len(one["rows"])


def test_the_summary_has_a_row_for_each_workload_and_its_ratios() -> None:
    table, results = benchmarks.summary(), benchmarks.newest()["results"]
    assert [row[:2] for row in table.rows] == [(one["title"], one["dtype"]) for one in results]
    first = results[0]["rows"]["ppsf_fast"]["ratio"]
    assert table.rows[0][2].startswith(f"{next(iter(first.values()))['median']:.2f} (")


def test_the_table_of_a_gpu_says_of_which_share_of_a_copy_and_how_often_a_step_waits() -> None:
    table, results = benchmarks.gpu(), benchmarks.newest(benchmarks.GPU)["results"]
    assert len(table.rows) == len(results)
    for row, one in zip(table.rows, results, strict=True):
        ours = one["rows"]["ppsf_fast"]
        assert row[-4:-2] == (f"{ours['ms']['median']:.3g}", f"{100 * ours['share_of_copy_bandwidth']:.0f} %")
        assert row[-1] == str(ours["waits"])


def test_every_stored_result_is_on_one_page() -> None:
    pages = (RESULTS.parents[1] / "docs" / "results").glob("*.md")
    patterns = [re.search(r"```\{measurements\} (\S+)", page.read_text("utf-8")) for page in pages]
    shown = [path.name for found in patterns if found for path in RESULTS.glob(f"{found[1]}.json")]
    assert sorted(shown) == sorted(path.name for path in RESULTS.glob("*.json"))
