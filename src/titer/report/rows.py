"""The rows of the report's tables, which page and terminal lay out.

for row in score_rows(data.suites, data.differences):
    row.summary.model, row.difference
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from titer.records.results import Difference, Interval, Measure, SuiteSummary
from titer.report.data import TwoRuns


class ScoreRow(NamedTuple):
    """One line of the score table: a model on a suite, with its difference from the base where there is one."""

    summary: SuiteSummary
    first: bool
    difference: Difference | None


def score_rows(suites: Sequence[SuiteSummary], differences: Sequence[Difference]) -> list[ScoreRow]:
    """The suites' rows, the models of one suite below each other. `first` marks a suite's first row."""
    changes = {(d.other, d.axis, d.suite): d for d in differences if d.level == "suite" and d.measure == "accuracy"}
    rows = []
    for axis, suite in dict.fromkeys((s.axis, s.suite) for s in suites):
        of_suite = [s for s in suites if (s.axis, s.suite) == (axis, suite)]
        rows += [ScoreRow(s, s is of_suite[0], changes.get((s.model, axis, suite))) for s in of_suite]
    return rows


class ChangeRow(NamedTuple):
    """An axis or suite of two runs: each measure's difference, and the changes of the axis' halves. `suite` names the
    one suite of an axis that has but one."""

    name: str
    level: str
    suite: str
    of: Mapping[Measure, Difference]
    parts: Mapping[str, Interval]


def change_rows(found: TwoRuns) -> list[ChangeRow]:
    """Each axis and, where it has several, below it its suites."""
    by_scope: dict[tuple[str, str, str], dict[Measure, Difference]] = {}
    for difference in found.differences:
        if difference.problems:
            scope = (difference.axis, difference.level, difference.suite)
            by_scope.setdefault(scope, {})[difference.measure] = difference
    suites: dict[str, list[str]] = {}
    for axis, level, suite in by_scope:
        if level == "suite":
            suites.setdefault(axis, []).append(suite)
    return [
        ChangeRow(axis, level, suites[axis][0] if len(suites[axis]) == 1 else "", of, found.parts.get(axis, {}))
        if level == "axis"
        else ChangeRow(suite, level, "", of, {})
        for (axis, level, suite), of in by_scope.items()
        if level == "axis" or len(suites[axis]) > 1
    ]
