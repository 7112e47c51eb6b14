"""Three locators of an attempt's first wrong step: a calculation that fails, rollouts from prefixes, a judge.

found = by_rollouts(attempts, sampler, samples=8, most=32, out=Path("rollouts.jsonl"))
found["a1"].step, found["a1"].why
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from titer.records import Problem, Trace, in_words, without_turns
from titer.rollouts import Sampler, collect_sparing
from titer.stages.first_error import first_false, step_at
from titer.stages.prefixes import FromHere, Place, Steps, rates_from, steps_of

JUDGE = """\
Here is a problem, and an attempt at it that does not reach the right answer. Its steps are numbered.

Problem:
{problem}

Attempt:
{steps}

Find the first step that is wrong: the first that does not follow from those before it, that calculates wrongly, or from
which the right answer cannot be reached any more. Answer with one line of the form
Step N: what is wrong with it
"""
# the line that was asked for; judges that talk first call other steps right before they come to it
_SAID = re.compile(r"^\W*step\s*#?\s*(\d{1,5})[ \t*]*[:.-][ \t*]*(.*)", re.IGNORECASE | re.MULTILINE)
_RIGHT = re.compile(r"\b(?:correct|right|fine|valid|ok(?:ay)?|accurate|no (?:error|mistake))\b", re.IGNORECASE)
_WRONG = re.compile(
    r"\b(?:not|isn't|incorrect|invalid|wrong|error|mistake|should|instead|cannot|can't|but)\b|n't\b", re.IGNORECASE
)


class Attempt(NamedTuple):
    """A failed attempt at a problem, in steps."""

    problem: Problem
    trace: Trace
    steps: Steps

    @classmethod
    def of(cls, problem: Problem, trace: Trace) -> Attempt:
        """The trace cut into steps."""
        return cls(problem, trace, steps_of(trace))


class Located(NamedTuple):
    """The first wrong step, from 0, why it is wrong, in words, and who says so."""

    step: int
    why: str
    by: str


def by_arithmetic(attempts: Sequence[Attempt]) -> dict[str, Located]:
    """The first step in which a calculation does not hold, by the attempt's id; those where all do are left out."""
    found = {}
    for one in attempts:
        text = "".join(one.steps.pieces)
        if wrong := first_false(text):
            why = f"{wrong.left.strip()} = {wrong.right.strip()} is not right."
            found[one.trace.id] = Located(step_at(one.steps.pieces, wrong.start), why, "arithmetic")
    return found


class _Search(NamedTuple):
    """From the first `low` steps a right answer was reached, in `rate` of the rollouts, from the first `high` not."""

    attempt: Attempt
    low: int
    high: int
    rate: str = ""  # "" before the start was asked about

    @property
    def asked(self) -> int:
        return (self.low + self.high) // 2 if self.rate else 0

    @property
    def open(self) -> bool:
        return self.high - self.low > 1


def by_rollouts(
    attempts: Sequence[Attempt], sampler: Sampler, *, samples: int, most: int, out: Path
) -> dict[str, Located]:
    """The step behind which no rollout is right any more, by bisection, all attempts a round together.

    `samples` rollouts from a place, and so many more, up to `most`, while none is right. Nothing is said of an attempt
    whose problem is not solved from the start either. Resumes in `out`.
    """
    searches = [_Search(one, 0, len(one.steps.pieces)) for one in attempts if one.steps.pieces]
    found: dict[str, Located] = {}
    while searches:
        places = [Place(one.attempt.problem, one.attempt.trace.id, one.attempt.steps, one.asked) for one in searches]
        rates = rates_from(places, sampler, samples=samples, most=most, out=out)
        narrowed = [_narrow(one, place, rates[place.id]) for one, place in zip(searches, places, strict=True)]
        searches = [one for one in narrowed if one and one.open]
        for one in narrowed:
            if one and not one.open:
                why = f"From the steps before it the right answer was reached {one.rate} times, with it not once."
                found[one.attempt.trace.id] = Located(one.low, why, "rollouts")
    return found


def _narrow(search: _Search, place: Place, here: FromHere) -> _Search | None:
    """The search after its question was answered; None where the problem is not solved from the start, or nothing could
    be graded, which says nothing."""
    if not here.graded:
        return None
    if here.correct:
        return search._replace(low=place.given, rate=f"{here.correct} of {here.graded}")
    return search._replace(high=place.given) if search.rate else None


def by_judge(attempts: Sequence[Attempt], judge: Sampler, *, out: Path) -> dict[str, Located]:
    """What a model says when it is asked; answers that name no wrong step of the attempt, or were cut, are left out,
    and so are attempts beyond the judge's context. Resumes in `out`.

    Raises InputError for a server that cannot be reached.
    """
    steps = {one.trace.id: one.steps.pieces for one in attempts}
    asked = [
        replace(
            one.problem,
            id=one.trace.id,
            prompt=JUDGE.format(problem=in_words(one.problem), steps=numbered(one.steps.pieces)),
            meta=without_turns(one.problem.meta),
        )
        for one in attempts
    ]
    found = {}
    rollouts, _ = collect_sparing(judge, asked, samples=1, out=out)
    for rollout in rollouts:
        if rollout.finish_reason == "stop" and (said := read_step(rollout.response, len(steps[rollout.problem_id]))):
            found[rollout.problem_id] = said
    return found


def read_step(response: str, steps: int) -> Located | None:
    """The first step that a judge's answer calls wrong, of so many; lines that call a step right are passed over."""
    for said in _SAID.finditer(response):
        why = " ".join(said[2].split())
        calls_right = _RIGHT.search(why) and not _WRONG.search(why)
        if not calls_right and 1 <= int(said[1]) <= steps:
            return Located(int(said[1]) - 1, why or "It is wrong.", "judge")
    return None


def numbered(pieces: Sequence[str]) -> str:
    """Steps with their numbers, from 1, a paragraph each."""
    return "\n\n".join(f"Step {number}: {piece.strip()}" for number, piece in enumerate(pieces, 1))
