"""How far a beginning carries: rollouts that go on from the first steps of an attempt.

place = Place(problem, "t1", steps, given=3)
right = rates_from([place], sampler, samples=8, out=Path("from.jsonl"))[place.id].rate     # 0.25
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from titer.measure import count_of
from titer.records import Problem, Rollout, Trace
from titer.rollouts import Sampler
from titer.traces import cut_text, text_of

OPENER = "<think>\n"


class Steps(NamedTuple):
    """An attempt in steps, and whether they are its thinking or, where it has none, its response."""

    pieces: list[str]
    thinking: bool


class Place(NamedTuple):
    """Behind the first `given` steps of an attempt at a problem. `attempt` is the attempt's id."""

    problem: Problem
    attempt: str
    steps: Steps
    given: int

    @property
    def id(self) -> str:
        """The attempt's id and the number of steps."""
        return f"{self.attempt}@{self.given}"

    @property
    def prefix(self) -> str:
        """How the model's turn begins; nothing where no step is given."""
        if not self.given:
            return ""
        text = "".join(self.steps.pieces[: self.given]).rstrip(" ")
        return f"{OPENER}{text.lstrip()}" if self.steps.thinking else text


class FromHere(NamedTuple):
    """The rollouts from a place: right ones, graded ones, all."""

    correct: int
    graded: int
    rollouts: list[Rollout]

    @property
    def rate(self) -> float:
        """Share of the graded ones that are right; 0 where none could be graded."""
        return self.correct / self.graded if self.graded else 0.0

    @property
    def first_right(self) -> Rollout | None:
        """The first right one that ended by itself."""
        return next((one for one in self.rollouts if one.score == 1.0 and one.finish_reason == "stop"), None)


def steps_of(trace: Trace) -> Steps:
    """The steps of a trace: those of its thinking, or of the response of one that has none."""
    return Steps(cut_text(text_of(trace)), bool(trace.reasoning.strip()))


def rates_from(
    places: Sequence[Place], sampler: Sampler, *, samples: int, out: Path, most: int | None = None
) -> dict[str, FromHere]:
    """What `samples` rollouts from each place come to, by the place's id; resumes in `out`.

    With `most`, a place from which none is right gets `samples` more, until one is or there are so many.
    """
    if not places:
        return {}

    def more(taken: Mapping[str, Sequence[Rollout]]) -> dict[str, int]:
        return {
            name: min(samples, (most or samples) - len(some))
            for name, some in taken.items()
            if len(some) < (most or samples) and not any(one.score == 1.0 for one in some)
        }

    problems = [replace(place.problem, id=place.id) for place in places]
    prefixes = {place.id: place.prefix for place in places if place.prefix}
    found: dict[str, list[Rollout]] = {place.id: [] for place in places}
    for rollout in sampler.collect_in_rounds(problems, more=more, out=out, prefixes=prefixes):
        found[rollout.problem_id].append(rollout)
    return {name: FromHere(*count_of(rollouts)[:2], rollouts) for name, rollouts in found.items()}
