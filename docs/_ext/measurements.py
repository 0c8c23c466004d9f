"""The ``measurements`` directive: every result under ``benchmarks/results``, whatever it measured, the newest first.

The results of `make bench` get tables of their own; a file of any other form is shown as it is built: single values as
a list of facts, lists and tables of them as tables, long series by their ends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from clauses import Row, field_list
from evidence import ROOT
from pages import Cells, DataDirective, table

RESULTS = ROOT / "benchmarks" / "results"
#: A longer list of numbers is a series.
LONGEST = 8
#: Deeper than that nothing gets a heading.
DEEPEST = 2


class Measurements(DataDirective):
    """All stored results whose file has a name of some form."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build a section per file."""
        self.env.note_dependency(str(RESULTS))
        paths = RESULTS.glob(f"{self.arguments[0]}.json")
        newest_first = sorted(paths, key=lambda path: (_read(path).get("date", ""), path.name), reverse=True)
        return [self._section(path) for path in newest_first]

    def _section(self, path: Path) -> nodes.section:
        self.env.note_dependency(str(path))
        document = _read(path)
        made = section(path.stem, nodes.make_id(path.stem))
        facts = {
            "file": path.relative_to(ROOT).as_posix(),
            **flat({k: v for k, v in document.items() if k != "results"}),
        }
        made += facts_of({name: value for name, value in facts.items() if is_single(value)})
        if is_comparison(document):
            made += comparison(document, path.stem)
        else:
            made += shown({name: value for name, value in document.items() if is_many(value)}, path.stem)
        return made


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


# ------------------------------------------------------------------------------------------------------- any document


def is_single(value: Any) -> bool:
    """Whether a value fits into a cell."""
    short = isinstance(value, list) and len(value) <= LONGEST and all(is_single(item) for item in value)
    return short or not isinstance(value, list | dict)


def is_many(value: Any) -> bool:
    """Whether a value is more than a few facts."""
    return not is_single(value) and not (isinstance(value, dict) and all(map(is_single, flat(value).values())))


def flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of tables in a table, with a dot in their names."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def text(value: Any) -> str:
    """A value in a cell; numbers with four digits, a series by its ends."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    if isinstance(value, list):
        return (
            ", ".join(map(text, value))
            if is_single(value)
            else f"{len(value)} values, {text(value[0])} to {text(value[-1])}"
        )
    return str(value)


def facts_of(facts: Mapping[str, Any]) -> nodes.field_list:
    """Names and values, one below the other."""
    rows: list[Row] = [(name.replace("_", " "), [nodes.Text(text(value))]) for name, value in facts.items()]
    return field_list(rows)


def section(title: str, identifier: str) -> nodes.section:
    """An empty section."""
    return nodes.section("", nodes.title("", title), ids=[identifier])


def shown(value: Any, name: str, depth: int = 0) -> list[nodes.Node]:
    """Any value as nodes."""
    if isinstance(value, dict):
        return list(_dictionary(value, name, depth))
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        rows = [flat(item) for item in value]
        if all(is_single(cell) for row in rows for cell in row.values()) and len(set().union(*rows)) <= LONGEST:
            return [_table(rows)]
        return [node for index, item in enumerate(value) for node in _titled(item, f"{name}-{index}", depth)]
    return [nodes.paragraph("", text(value))]


def _dictionary(facts: Mapping[str, Any], name: str, depth: int) -> Iterator[nodes.Node]:
    single = {key: value for key, value in facts.items() if is_single(value) or _is_series(value)}
    if single:
        yield facts_of(single)
    rest = {key: value for key, value in facts.items() if key not in single}
    alike = [key for key, value in rest.items() if isinstance(value, dict) and all(map(is_single, value.values()))]
    columns: dict[tuple[str, ...], list[str]] = {}  # only what has the same columns is one table
    for key in alike:
        columns.setdefault(tuple(rest[key]), []).append(key)
    for keys in columns.values():
        yield _table([{"": key.replace("_", " "), **rest.pop(key)} for key in keys])
    for key, value in rest.items():
        yield from _headed(key, shown(value, f"{name}-{key}", depth + 1), name, depth)


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, int | float) for item in value)


def _titled(item: Mapping[str, Any], name: str, depth: int) -> list[nodes.Node]:
    """One of many results: what it is called, then the rest of it."""
    named = [key for key in ("title", "workload", "name", "model", "dtype") if isinstance(item.get(key), str)]
    first = next((f"{key} {text(value)}" for key, value in item.items() if isinstance(value, int | str)), name)
    title = ", ".join(item[key] for key in named) or first
    rest = {key: value for key, value in item.items() if key not in named}
    return _headed(title, shown(rest, name, depth + 1), name, depth)


def _headed(title: str, content: Sequence[nodes.Node], name: str, depth: int) -> list[nodes.Node]:
    if depth >= DEEPEST:
        return [nodes.paragraph("", "", nodes.strong("", title.replace("_", " "))), *content]
    made = section(title.replace("_", " "), nodes.make_id(f"{name}-{title}"))
    made += content
    return [made]


def _table(rows: Sequence[Mapping[str, Any]]) -> nodes.container:
    head = list(dict.fromkeys(key for row in rows for key in row))
    cells: Iterable[Cells] = ([[nodes.Text(text(row.get(key)))] for key in head] for row in rows)
    return scrolled(table([key.replace("_", " ") for key in head], cells))


def scrolled(made: nodes.table) -> nodes.container:
    """A table that scrolls by itself where it is too wide."""
    made["classes"] += ["measured"]
    return nodes.container("", made, classes=["scroll"])


# --------------------------------------------------------------------------------------------- results of `make bench`


def is_comparison(document: Mapping[str, Any]) -> bool:
    """Whether a document compares optimizers, workload by workload."""
    results = document.get("results")
    return isinstance(results, list) and all(
        "ratio" in row for one in results for row in one.get("rows", {"": {}}).values()
    )


def comparison(document: Mapping[str, Any], name: str) -> list[nodes.Node]:
    """A table and bars for each workload and dtype."""
    return [_cell(one, f"{name}-{index}") for index, one in enumerate(document["results"])]


def _cell(result: Mapping[str, Any], name: str) -> nodes.section:
    title = f"{result['title']}, {result['dtype']}"
    made = section(title, nodes.make_id(name))
    facts = f"{result['parameters']:,} parameters in {result['tensors']:,} tensors."
    made += nodes.paragraph("", facts)
    rows = result["rows"]
    yardsticks = list(next(iter(rows.values()))["ratio"])
    longest = max(row["ms"]["median"] for row in rows.values())
    head = ["optimizer", "ms, median", "20 to 80 %", *(f"/ {one}" for one in yardsticks), "state, B", "temporary, B"]
    body = (_row(optimizer, row, yardsticks, longest) for optimizer, row in rows.items())
    made += scrolled(table(head, body))
    return made


def _row(optimizer: str, row: Mapping[str, Any], yardsticks: Sequence[str], longest: float) -> Cells:
    times = row["ms"]
    width = 100 * times["median"] / longest
    bar = nodes.raw("", f'<span class="bar"><span style="width:{width:.1f}%"></span></span>', format="html")
    ratios = [_spread(row["ratio"][one]) for one in yardsticks]
    own = nodes.strong if optimizer.startswith("ppsf_fast") else nodes.inline
    sizes = [text(row[f"{kind}_bytes_per_parameter"]) for kind in ("state", "temporary")]
    words = [f"{times['p20']:,.1f} to {times['p80']:,.1f}", *ratios, *sizes]
    median: list[nodes.Node] = [nodes.Text(f"{times['median']:,.1f}"), bar]
    cells: Cells = [[nodes.Text(word)] for word in words]
    return [[own("", optimizer)], median, *cells]


def _spread(ratio: Mapping[str, float]) -> str:
    return f"{ratio['median']:.3g} ({ratio['p20']:.3g} to {ratio['p80']:.3g})"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("measurements", Measurements)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
