"""The files of problems and traces that verbs work on, each row checked against what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from titer.errors import InputError
from titer.pipeline.data import refuse_unknown_problem
from titer.records import Problem, Trace, read_problems, read_traces
from titer.records.reading import OnBad
from titer.verify import validate_problem


def checked_problems(file: str | Path, on_bad: OnBad, dropped: list[InputError]) -> list[Problem]:
    """All problems of a file, each fit for its verifier; with `on_bad="drop"` the other rows go to `dropped`.

    Raises InputError naming the first bad row, and when no problem is left.
    """
    problems = list(read_problems(file, on_bad=on_bad, dropped=dropped, check=validate_problem))
    if not problems:
        raise InputError("no problem is left", file=file, remedy="give a file with usable problems")
    return problems


def checked_traces(
    file: str | Path, known: Mapping[str, Problem], on_bad: OnBad, dropped: list[InputError]
) -> list[Trace]:
    """All traces of a file, each of a `known` problem; with `on_bad="drop"` the other rows go to `dropped`.

    Raises InputError naming the first bad row.
    """
    rows = read_traces(file, on_bad=on_bad, dropped=dropped, check=lambda trace: refuse_unknown_problem(trace, known))
    return list(rows)
