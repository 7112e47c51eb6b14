"""Scaffolds: the shortest beginning of a teacher's trace from which the student itself finishes right.

found = scaffolds(traces, problems, sampler, samples=4, work=work)
found["t1"].meta["given_steps"]

The beginning is found by bisection over the steps with sampled rollouts (the idea of arXiv 2506.17211), all traces a
round together. Bisection takes it that more of a right solution never makes the rest harder; where that fails, the
beginning is one from which the student finishes, and not the shortest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from titer.records import Problem, Rollout, Trace
from titer.rollouts import Sampler
from titer.stages.prefixes import Place, Steps, rates_from, steps_of


class _Search(NamedTuple):
    """From `low` steps the student does not finish, from `high` it does by `done` (None: nothing found yet, and `high`
    lies behind the last step)."""

    trace: Trace
    steps: Steps
    low: int
    high: int
    done: Rollout | None = None

    @property
    def asked(self) -> int:
        """The number of steps to try next."""
        return (self.low + self.high) // 2

    @property
    def open(self) -> bool:
        return self.high - self.low > 1


def scaffolds(
    traces: Sequence[Trace], problems: Mapping[str, Problem], sampler: Sampler, *, samples: int, work: Path
) -> dict[str, Trace]:
    """The scaffold of each trace that has one, by the trace's id: the student's completion of the teacher's first
    `meta["given_steps"]` steps. A beginning of no step is none. Resumes in `work`."""
    searches = [_Search(trace, steps := steps_of(trace), 0, len(steps.pieces) + 1) for trace in traces]
    over: list[_Search] = []
    number = 0
    while searches:
        places = [Place(problems[one.trace.problem_id], one.trace.id, one.steps, one.asked) for one in searches]
        found = rates_from(places, sampler, samples=samples, out=work / f"scaffold-{number}.jsonl")
        number += 1
        searches = [_narrow(one, found[place.id].first_right) for one, place in zip(searches, places, strict=True)]
        over += [one for one in searches if one.done and not one.open]
        searches = [one for one in searches if one.open]
    return {one.trace.id: _scaffold(one) for one in over}


def _narrow(search: _Search, right: Rollout | None) -> _Search:
    """The search after its question was answered."""
    return search._replace(high=search.asked, done=right) if right else search._replace(low=search.asked)


def _scaffold(search: _Search) -> Trace:
    trace, done = search.trace, search.done
    assert done is not None
    return replace(
        trace,
        id=f"{trace.id}:scaffold",
        reasoning=done.reasoning,
        response=done.response,
        correct=True,
        meta={**trace.meta, "bridged_from": trace.id, "bridge": "scaffold", "given_steps": search.high},
    )
