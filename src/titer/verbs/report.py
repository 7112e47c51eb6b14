"""The report of a run again, or of two runs held against each other.

report("runs/quickstart")["report"]                                    # runs/quickstart/report.html
report("runs/first", "runs/second", out="compare.html")["axes"]        # B − A, axis by axis
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from titer.errors import InputError
from titer.pipeline.reporting.report import report as report_of
from titer.pipeline.reporting.two_runs import two_runs, write_two_runs
from titer.report import TwoRuns

PAGE: Final = "compare.html"


class ComparedRuns(NamedTuple):
    """Two runs held against each other, and the summary of that."""

    found: TwoRuns
    summary: dict[str, Any]


def report(run: Path | str, other: Path | str | None = None, *, out: Path | str | None = None) -> dict[str, Any]:
    """Of one run: write its report into its folder, see `titer.pipeline.report`. Of two: write one page that holds
    `other` against `run`, to `out` (`compare.html` in the current folder); both folders stay as they are.

    Returns the summary; `report` in it says where the page is. Raises InputError for a run that is not finished, and
    where the two share no suite, or a problem of a shared suite is another one; for an `out` with one run.
    """
    if other is not None:
        return compare_runs(run, other, out=out).summary
    if out is not None:
        raise InputError("is for the page of two runs", field="out", remedy="give a second run, or leave it out")
    return report_of(run)


def compare_runs(run: Path | str, other: Path | str, *, out: Path | str | None = None) -> ComparedRuns:
    """Hold `other` against `run` on one page, as `report` of two runs does, and give what was found beside the summary.

    Raises InputError where `report` of two runs does.
    """
    found = two_runs(run, other)
    return ComparedRuns(found, write_two_runs(found, out or PAGE))
