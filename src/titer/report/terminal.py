"""The report's tables for a terminal.

show(data, Console())
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from titer.records.results import Difference, SuiteSummary, Verdict
from titer.records.schema import Decision
from titer.report import numbers
from titer.report.data import ReportData
from titer.report.figures import title
from titer.report.page import ScoreRow, score_rows

_STYLES: Final = {"better": "bold cyan", "worse": "bold yellow"}


def show(data: ReportData, console: Console) -> None:
    """Print what came out, what was decided and the scores; parts without content are left out."""
    for table in _tables(data):
        console.print(table)


def _tables(data: ReportData) -> Iterator[Table]:
    if data.verdicts:
        yield verdict_table(data.verdicts)
    if data.decisions:
        yield decision_table(data.decisions)
    if data.suites:
        yield score_table(data.suites, data.differences)


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """One row per axis: label, change against the base with its interval, rule."""
    table = _table("What came out", ["axis", "verdict", "change in accuracy, points", "rule"])
    for v in verdicts:
        mark = numbers.LABEL_MARKS[v.label]
        table.add_row(_text(title(v.axis)), f"{mark} {v.label}", _change(numbers.points(v.accuracy)), _text(v.rule))
    return table


def decision_table(decisions: Sequence[Decision]) -> Table:
    """One row per decision: question, choice, rule, evidence, the setting that overrides it."""
    table = _table("What was decided", ["stage", "question", "choice", "rule and evidence", "override with"])
    for d in decisions:
        evidence = f"{d.rule} ({numbers.plain(d.evidence)})" if d.evidence else d.rule
        table.add_row(*(_text(cell) for cell in (d.stage, d.question, d.choice, evidence, d.setting)))
    return table


def score_table(suites: Sequence[SuiteSummary], differences: Sequence[Difference]) -> Table:
    """One row per suite and model, with 95 % intervals."""
    table = _table("Scores", ["suite", "model", "problems", "accuracy", "difference", "ends", "parsed", "tokens"])
    for row in score_rows(suites, differences):
        table.add_row(*_cells(row))
    return table


def _cells(row: ScoreRow) -> list[Text]:
    s, d = row.summary, row.difference
    style = _STYLES.get(d.better, "") if d else ""
    difference = Text(f"{numbers.CALL_MARKS[d.better]} {numbers.change(d)}", style=style) if d else Text("")
    return [
        _text(title(s.suite) if row.first else ""),
        _text(s.model),
        _text(f"{s.problems:,} × {numbers.number(s.samples_per_problem)}"),
        _text(f"{numbers.percent(s.accuracy.mid)} ({numbers.percent_range(s.accuracy)})"),
        difference,
        _text(numbers.percent(s.terminated.mid)),
        _text(numbers.percent(s.parsed.mid)),
        _text(numbers.mean_tokens(s.tokens.mid)),
    ]


def _table(heading: str, columns: Sequence[str]) -> Table:
    table = Table(title=heading, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    return table


def _change(text: str) -> Text:
    return Text(text, no_wrap=True)


def _text(text: str) -> Text:
    """`text` as it is: no markup, and no control characters that a terminal would obey."""
    return Text("".join(" " if unicodedata.category(c) == "Cc" else c for c in text))
