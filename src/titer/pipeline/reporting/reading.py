"""Traces and teachers as the report shows them.

    show_steps("t1", as_steps(text_of(trace)), Console())
    html = render_comparison(as_teachers(compare(traces, a="R1", b="gpt-oss")))

The report knows no traces room: it gets plain steps and plain rows from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from titer.errors import InputError
from titer.records import Trace
from titer.report import FeatureRow, ReadStep, TeacherComparison, TracePair, TraceToRead, spread
from titer.traces import DESCRIPTIONS, Comparison, compare, read_steps, text_of
from titer.traces.compare import transition_rows
from titer.traces.steps import Step, read_many

MOST_PROBLEMS: Final = 2_000  # that are compared in a run's report
MOST_TO_READ: Final = 10_000  # traces that a run's report lists
MOST_TEXT: Final = 16_000_000  # characters of them: what no page has room for need not be cut into steps


def as_steps(text: str) -> list[ReadStep]:
    """A text's steps, each with what it does."""
    return _shown(read_steps(text))


def _shown(steps: Iterable[Step]) -> list[ReadStep]:
    return [ReadStep(text=step.text, behaviour=step.behaviour, line=step.line, dead=step.dead) for step in steps]


def to_read(traces: Sequence[Trace], reasons: Mapping[str, str]) -> list[TraceToRead]:
    """The traces cut into their steps; `reasons` maps a dropped trace's id to why."""
    steps = read_many([text_of(trace) for trace in traces])
    return [
        TraceToRead(trace=trace, steps=_shown(found), dropped=reasons.get(trace.id, ""))
        for trace, found in zip(traces, steps, strict=True)
    ]


def as_teachers(comparison: Comparison, *, note: str = "") -> TeacherComparison:
    """A comparison as the report shows it."""
    rows = []
    for name, found in comparison.features.items():
        low, mid, high = found.difference
        text = DESCRIPTIONS.get(name) or _token_profile()[name]
        rows.append(
            FeatureRow(
                name=name,
                description=text,
                a=found.a,
                b=found.b,
                low=low,
                mid=mid,
                high=high,
                share=text.startswith("share "),
                problems=found.problems,
            )
        )
    return TeacherComparison(
        a=comparison.a,
        b=comparison.b,
        problems=comparison.problems,
        shared=comparison.shared,
        rows=rows,
        transitions_a=transition_rows(comparison.transitions[0]),
        transitions_b=transition_rows(comparison.transitions[1]),
        correct_a=comparison.correct[0],
        correct_b=comparison.correct[1],
        lengths=list(zip(*(side.tolist() for side in comparison.steps), strict=True)),
        note=note,
    )


def _token_profile() -> Mapping[str, str]:
    # not above: only comparisons with a model have these, and reading traces needs no torch
    from titer.train.tokens.token_loss import PROFILE

    return PROFILE


def two_teachers(traces: Iterable[Trace]) -> tuple[str, str] | None:
    """The two teachers with most traces, in the order of their names; None where fewer than two are named."""
    counts = Counter(trace.teacher for trace in traces if trace.teacher)
    if len(counts) < 2:
        return None
    a, b = sorted(name for name, _ in counts.most_common(2))
    return a, b


def teachers_of(traces: Sequence[Trace]) -> TeacherComparison | None:
    """The two teachers with most traces compared on the first problems that both solved; None without any."""
    names = two_teachers(traces)
    if names is None:
        return None
    shared = list(_shared(traces, names))
    some = set(shared[:MOST_PROBLEMS])
    try:
        found = compare((trace for trace in traces if trace.problem_id in some), a=names[0], b=names[1])
    except InputError:
        return None
    note = f"Only the first {len(some):,} of them were looked at." if len(some) < len(shared) else ""
    return as_teachers(found._replace(shared=len(shared)), note=note)


def pairs_of(traces: Sequence[Trace], reasons: Mapping[str, str]) -> list[TracePair]:
    """The problems that both teachers have, or as many, spread over all, as a page has room for; `reasons` maps a
    dropped trace's id to why."""
    names = two_teachers(traces)
    shared = list(_shared(traces, names).values()) if names else []
    sizes = [len(text_of(left)) + len(text_of(right)) for left, right in shared]
    some = [shared[place] for place in _fitting(sizes, MOST_TO_READ // 2)]
    sides = [to_read(side, reasons) for side in ([left for left, _ in some], [right for _, right in some])]
    return [
        TracePair(problem_id=left.trace.problem_id, prompt=left.trace.prompt, left=left, right=right)
        for left, right in zip(*sides, strict=True)
    ]


def traces_to_read(traces: Sequence[Trace], reasons: Mapping[str, str]) -> list[TraceToRead]:
    """The traces each alone, or as many, spread over all, as a page has room for."""
    places = _fitting([len(text_of(trace)) for trace in traces], MOST_TO_READ)
    return to_read([traces[place] for place in places], reasons)


def _fitting(sizes: Sequence[int], most: int) -> list[int]:
    room = len(sizes) * MOST_TEXT // max(1, sum(sizes))
    return spread(len(sizes), max(1, min(most, room)))


def _shared(traces: Iterable[Trace], names: tuple[str, str]) -> dict[str, tuple[Trace, Trace]]:
    """The first trace of each teacher, of the problems that both have, in the order of the traces."""
    first: dict[str, dict[str, Trace]] = {}
    for trace in traces:
        if trace.teacher in names:
            first.setdefault(trace.problem_id, {}).setdefault(trace.teacher, trace)
    return {problem: (had[names[0]], had[names[1]]) for problem, had in first.items() if len(had) == 2}
