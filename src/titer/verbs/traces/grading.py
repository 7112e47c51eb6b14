"""Whether the answers of traces are right: by a file of problems, or by the answers that traces carry themselves.

known = known_problems(traces, "problems.jsonl", "stop", [])
traces = graded(traces, known)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from titer.errors import InputError
from titer.records import Problem, Trace
from titer.verbs.sampling import checked_problems

OnBad = Literal["stop", "drop"]


def known_problems(
    traces: Sequence[Trace], problems: str | Path | None, on_bad: OnBad, bad: list[InputError]
) -> dict[str, Problem]:
    """The problems that traces can be graded by: those of a file, and those that traces carry themselves."""
    of_file = {problem.id: problem for problem in checked_problems(problems, on_bad, bad)} if problems else {}
    return of_file | answers_in(traces, of_file)


def answers_in(traces: Iterable[Trace], known: Mapping[str, Problem]) -> dict[str, Problem]:
    """The problems that traces carry themselves, the first of each, where they are not `known`."""
    from titer.pipeline.data import problem_of

    found = dict[str, Problem]()
    for trace in traces:
        if trace.answer and trace.problem_id not in known and trace.problem_id not in found:
            found[trace.problem_id] = problem_of(trace)
    return found


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
