"""Whether the answers of traces are right: by a file of problems, or by the answers that traces carry themselves.

traces, known = read_gradable("traces.jsonl", "problems.jsonl", "stop", [])
traces = graded(traces, known)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.records import Problem, Trace, read_traces
from titer.records.reading import OnBad
from titer.verbs.reading import checked_problems


class Gradable(NamedTuple):
    """Traces, and the problems that they can be graded by."""

    traces: list[Trace]
    known: dict[str, Problem]


def read_gradable(file: str | Path, problems: str | Path | None, on_bad: OnBad, bad: list[InputError]) -> Gradable:
    """The traces of a file with the problems of another, and those that the traces carry themselves.

    Raises InputError for bad rows, and for a trace whose problem's id is that of another question.
    """
    rows = list(read_traces(file, on_bad=on_bad, dropped=bad))
    of_file = problems_of(problems, on_bad, bad)
    carried = answers_in(rows, of_file)
    rows = without_others(rows, others_among(rows, carried, file), on_bad, bad)
    return Gradable(rows, of_file | carried)


def problems_of(file: str | Path | None, on_bad: OnBad, bad: list[InputError]) -> dict[str, Problem]:
    """The problems of a file, if there is one."""
    return {problem.id: problem for problem in checked_problems(file, on_bad, bad)} if file else {}


def answers_in(traces: Iterable[Trace], known: Mapping[str, Problem]) -> dict[str, Problem]:
    """The problems that traces carry themselves, the first of each, where they are not `known`."""
    from titer.pipeline.data import problem_of

    found = dict[str, Problem]()
    for trace in traces:
        if trace.answer and trace.problem_id not in known and trace.problem_id not in found:
            found[trace.problem_id] = problem_of(trace)
    return found


def others_among(traces: Iterable[Trace], carried: Mapping[str, Problem], file: str | Path) -> dict[int, InputError]:
    """By its place what is wrong with each trace whose problem's id is that of another question in `carried`."""
    from titer.pipeline.data import refuse_other_question

    found = dict[int, InputError]()
    for place, trace in enumerate(traces):
        try:
            if problem := carried.get(trace.problem_id):
                refuse_other_question(trace, problem)
        except InputError as fault:
            fault.file = str(file)
            found[place] = fault
    return found


def without_others(
    traces: Sequence[Trace], others: Mapping[int, InputError], on_bad: OnBad, bad: list[InputError]
) -> list[Trace]:
    """The traces but those, which go to `bad`. Raises the first fault where the call is to stop."""
    if others and on_bad == "stop":
        raise next(iter(others.values()))
    bad += others.values()
    return [trace for place, trace in enumerate(traces) if place not in others]


def is_gradable(trace: Trace, known: Mapping[str, Problem]) -> bool:
    """Whether it is known whether the trace is right, or can be."""
    return trace.correct is not None or trace.problem_id in known


def refuse_unverifiable(gradable: Iterable[bool], file: str | Path) -> None:
    """Raises InputError where of no trace it can be known whether it is right."""
    if not any(gradable):
        raise InputError(
            "no trace has an answer to verify against", file=file, field="answer", remedy="give --problems FILE"
        )


def graded(traces: Sequence[Trace], known: Mapping[str, Problem]) -> list[Trace]:
    """The traces with `correct` graded where it can be; what a file says itself stands where it cannot."""
    from titer.pipeline.curating import verify_traces

    gradable = [trace for trace in traces if trace.problem_id in known]
    right = {trace.id: trace for trace in verify_traces(gradable, known) if trace.correct is not None}
    return [right.get(trace.id, trace) for trace in traces]
