"""The report on a terminal: one table per implementation, and a matrix when there are several."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from . import text, view
from .model import ClauseVerdict, Implementation, Report, Verdict

WIDE = 96
MEDIUM = 68
NARROW = 48
"""A table leaves out the checks below WIDE, the titles below MEDIUM, the errata below NARROW."""

_WIDTHS = {"verdict": 13, "errata": 8, "checks": 7, "error/bound": 11}
_GAP = 3  # between two columns of a table


def print_report(report: Report, console: Console | None = None, errata: view.Errata | None = None) -> None:
    """Print the whole report. ``errata`` (id to its entry) adds the titles of the errata cited."""
    console = console or Console()
    with console.capture() as printed:
        _print(report, console, errata or {})
    shown = printed.get()
    console.file.write(text.ascii(shown) if console.options.ascii_only else shown)
    console.file.flush()


def _print(report: Report, console: Console, errata: view.Errata) -> None:
    for implementation in report.implementations:
        console.print(_heading(implementation))
        console.print(_clause_table(implementation, console))
        for clause in view.failures(implementation):
            console.print(_explanation(clause))
    if len(report.implementations) > 1:
        console.print(Text("Side by side", style="bold"))
        console.print(_matrix(report, console))
    if cited := view.cited_errata(report):
        console.print(_errata_table(cited, errata))
    for implementation in report.implementations:
        console.print(summary_line(implementation, console))


def summary_line(implementation: Implementation, console: Console) -> Text:
    """One line: the outcome, the counts of the verdicts, how much was run and how much stayed undecided."""
    judged, summary = view.judgement(implementation), implementation.summary
    line = _verdict_mark(judged.tone, console)
    line.append(f" {implementation.name} {implementation.version}: ", style="bold")
    line.append(judged.headline, style=view.VERDICTS[judged.tone].style)
    parts = [f"{n} {view.VERDICTS[v].word}" for v, n in view.verdict_counts(implementation).items() if n]
    parts += [text.plural(summary.problems, "problem"), text.plural(summary.steps, "step")]
    parts += [f"{text.percent(summary.undecided_fraction)} undecided"]
    line.append(f" ({', '.join(parts)})")
    return line


def _heading(implementation: Implementation) -> RenderableType:
    title = Text.assemble((implementation.name, "bold"), f" {implementation.version}  ", (implementation.class_, "dim"))
    arithmetic = ", ".join(f"{key} {value}" for key, value in implementation.arithmetic.items())
    return Group(title, Text(f"arithmetic: {arithmetic}", style="dim"))


def _clause_table(implementation: Implementation, console: Console) -> Table:
    wide, medium = console.width >= WIDE, console.width >= MEDIUM
    shown = {"verdict": True, "errata": console.width >= NARROW, "checks": wide, "error/bound": True}
    widths = {name: _WIDTHS[name] for name, fits in shown.items() if fits}
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("clause", no_wrap=True, width=10 if medium else 5)
    if medium:
        room = console.width - 10 - sum(widths.values()) - _GAP * (1 + len(widths))
        table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=room)
    for name, width in widths.items():
        numeric = name in ("checks", "error/bound")
        table.add_column(name, width=width, justify="right" if numeric else "left", no_wrap=name != "errata")
    for letter, clauses in _by_area(implementation):
        table.add_row(*_area_row(letter, medium))
        for clause in clauses:
            cells: list[RenderableType] = [clause.id if medium else view.short_id(clause.id)]
            cells += [Text(clause.title)] * medium
            cells += [_column(name, clause, console) for name in widths]
            table.add_row(*cells)
    return table


def _column(name: str, clause: ClauseVerdict, console: Console) -> Text:
    if name == "verdict":
        return _verdict_text(clause.verdict, console)
    if name == "errata":
        return Text(", ".join(clause.errata))
    return Text(text.count(clause.checks)) if name == "checks" else _ratio(clause)


def _area_row(letter: str, titled: bool) -> list[Text]:
    row = [Text(letter, style="bold cyan")]
    return [*row, Text(view.area_title(letter), style="bold cyan")] if titled else row


def _by_area(implementation: Implementation) -> Iterator[tuple[str, list[ClauseVerdict]]]:
    letters = dict.fromkeys([*view.AREAS, *(view.area_of(clause.id) for clause in implementation.clauses)])
    for letter in letters:
        clauses = [clause for clause in implementation.clauses if view.area_of(clause.id) == letter]
        if clauses:
            yield letter, sorted(clauses, key=lambda clause: clause.id)


def _matrix(report: Report, console: Console) -> Table:
    titled = console.width >= WIDE
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("clause", no_wrap=True, min_width=5)
    if titled:
        table.add_column("title", no_wrap=True, overflow="ellipsis")
    for implementation in report.implementations:
        table.add_column(implementation.name)
    for area in view.areas(report):
        table.add_row(*_area_row(area.letter, titled))
        for row in area.rows:
            title = [Text(row.title)] * titled
            table.add_row(view.short_id(row.id), *title, *(_cell(cell, console) for cell in row.cells))
    return table


def _cell(clause: ClauseVerdict | None, console: Console) -> Text:
    if clause is None:
        return Text("–", style="dim")
    cell = _verdict_text(clause.verdict, console)
    if clause.max_ratio is not None:
        cell.append(" ").append_text(_ratio(clause))
    return cell


def _explanation(clause: ClauseVerdict) -> RenderableType:
    head = Text.assemble((clause.id, view.VERDICTS["fail"].style), " ", clause.message or "no message")
    return Padding(head, (0, 0, 1, 2))


def _errata_table(cited: tuple[str, ...], errata: view.Errata) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, title="Errata cited", title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    for id_ in cited:
        table.add_row(Text(id_, style="yellow"), Text(str(errata.get(id_, {}).get("title", ""))))
    return table


def _verdict_text(verdict: Verdict, console: Console) -> Text:
    style = view.VERDICTS[verdict]
    return _verdict_mark(verdict, console).append(f" {style.word}", style=style.style)


def _verdict_mark(verdict: Verdict, console: Console) -> Text:
    style = view.VERDICTS[verdict]
    return Text(style.ascii if console.options.ascii_only else style.symbol, style=style.style)


def _ratio(clause: ClauseVerdict) -> Text:
    return Text(text.ratio(clause.max_ratio), style="dim" if view.is_vacuous(clause.max_ratio) else "")
