"""Critique: what never came right in RL is taken apart, and lessons are made of it.

criticized = critique(attempts, sampler, Settings(), work=work, teachers=traces)
criticized.lessons        # traces to train on, of three kinds
criticized.located        # where each attempt goes wrong, and who says so
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records import Problem, Rollout, Trace
from titer.rollouts import Sampler
from titer.stages.critique.lessons import Lesson, diagnosis, renewal, repair
from titer.stages.critique.locate import Attempt, Located, by_arithmetic, by_judge, by_rollouts
from titer.stages.first_error import first_false
from titer.stages.prefixes import Place, rates_from

Locator = Literal["arithmetic", "rollouts", "judge"]
ROLLOUTS = "rollouts.jsonl"  # of all places: what a locator has drawn from one serves for a lesson again


class Settings(NamedTuple):
    """Who is asked for the first wrong step, in this order; rollouts from a place, and how many
    while none is right; what is made."""

    locators: Sequence[Locator] = ("arithmetic", "rollouts")
    samples: int = 8
    most: int = 32
    lessons: Sequence[Lesson] = ("diagnose", "repair", "renew")


class Criticized(NamedTuple):
    """The lessons, where each attempt goes wrong (by its id), the attempts of which nothing was learned, and faults."""

    lessons: list[Trace]
    located: dict[str, Located]
    without: list[str]
    faults: list[str]


def critique(
    attempts: Sequence[Attempt],
    sampler: Sampler,
    settings: Settings,
    *,
    work: Path,
    judge: Sampler | None = None,
    teachers: Sequence[Trace] = (),
) -> Criticized:
    """Lessons of failed attempts; `teachers` are right traces, for a fresh solution where the student finds none.

    What is repaired or renewed is graded before it is a lesson. `judge` is the student where it is None; one that
    cannot be reached costs its verdicts and nothing else. Resumes in `work`.
    """
    work.mkdir(parents=True, exist_ok=True)
    located, faults = _located(attempts, sampler, settings, work, judge or sampler)
    right = _repaired(attempts, located, sampler, settings, work) if "repair" in settings.lessons else {}
    fresh = _fresh(attempts, sampler, settings, work) if "renew" in settings.lessons else {}
    taught = _of_problems(teachers)
    lessons = [
        lesson
        for one in attempts
        for lesson in _lessons(
            one,
            located.get(one.trace.id),
            right.get(one.trace.id),
            fresh.get(one.trace.id) or taught.get(one.problem.id),
            settings.lessons,
        )
    ]
    of_problem = {one.trace.id: one.problem for one in attempts}
    lessons, wrong = _verified(lessons, of_problem, sampler)
    learned = {_attempt_of(lesson) for lesson in lessons}
    without = [one.trace.id for one in attempts if one.trace.id not in learned]
    return Criticized(lessons, located, without, [*faults, *wrong])


def attempts_of(failures: Sequence[Rollout], problems: Mapping[str, Problem], *, each: int = 1) -> list[Attempt]:
    """The attempts that are taken apart: of each problem the first `each` that ended by themselves and are wrong.

    Raises InputError for a rollout whose problem is not there, or has another prompt.
    """
    taken: dict[str, int] = {}
    chosen = []
    for one in failures:
        if one.problem_id not in problems:
            raise InputError(
                f"rollout {one.id!r} belongs to problem {one.problem_id!r}, which is not among the problems",
                field="problem_id",
                remedy="give the problems that the rollouts are of",
            )
        if one.prompt != problems[one.problem_id].prompt:
            raise InputError(
                f"rollout {one.id!r} answers another problem than {one.problem_id!r} of the problems",
                field="prompt",
                remedy="give the problems that the rollouts are of",
            )
        if one.score == 0.0 and one.finish_reason == "stop" and taken.get(one.problem_id, 0) < each:
            taken[one.problem_id] = taken.get(one.problem_id, 0) + 1
            chosen.append(Attempt.of(problems[one.problem_id], _trace(one)))
    return chosen


def _trace(rollout: Rollout) -> Trace:
    return Trace(
        id=rollout.id,
        problem_id=rollout.problem_id,
        prompt=rollout.prompt,
        reasoning=rollout.reasoning,
        response=rollout.response,
        correct=False,
    )


def _located(
    attempts: Sequence[Attempt], sampler: Sampler, settings: Settings, work: Path, judge: Sampler
) -> tuple[dict[str, Located], list[str]]:
    """Each locator is asked about what those before it have said nothing of."""
    located: dict[str, Located] = {}
    faults: list[str] = []
    for name in settings.locators:
        left = [one for one in attempts if one.trace.id not in located]
        if name == "arithmetic":
            located |= by_arithmetic(left)
        elif name == "rollouts":
            located |= by_rollouts(left, sampler, samples=settings.samples, most=settings.most, out=work / ROLLOUTS)
        elif left:
            try:
                located |= by_judge(left, judge, out=work / "verdicts.jsonl")
            except InputError as error:
                faults.append(f"no verdict on {len(left)} attempts: {error}")
    return located, faults


def _repaired(
    attempts: Sequence[Attempt], located: Mapping[str, Located], sampler: Sampler, settings: Settings, work: Path
) -> dict[str, Rollout | None]:
    """A right rollout from behind the last right step of each attempt that has one."""
    places = [
        Place(one.problem, one.trace.id, one.steps, where.step)
        for one in attempts
        if (where := located.get(one.trace.id)) and where.step
    ]
    found = rates_from(places, sampler, samples=settings.samples, most=settings.most, out=work / ROLLOUTS)
    return {place.attempt: found[place.id].first_right for place in places}


def _fresh(attempts: Sequence[Attempt], sampler: Sampler, settings: Settings, work: Path) -> dict[str, Rollout | None]:
    """A right rollout from the very start of each attempt's problem: what goes on from the attempt's own beginning may
    carry a wrong step that the locator has missed."""
    places = [Place(one.problem, one.trace.id, one.steps, 0) for one in attempts]
    found = rates_from(places, sampler, samples=settings.samples, out=work / ROLLOUTS)
    return {place.attempt: found[place.id].first_right for place in places}


def _lessons(
    attempt: Attempt,
    located: Located | None,
    right: Rollout | None,
    fresh: Rollout | Trace | None,
    wanted: Sequence[Lesson],
) -> list[Trace]:
    made = []
    if located and "diagnose" in wanted:
        made.append(diagnosis(attempt, located))
    if located and right:
        made.append(repair(attempt, located, right))
    if fresh and "renew" in wanted:
        made.append(renewal(attempt, fresh))
    return made


def _verified(
    lessons: Sequence[Trace], problems: Mapping[str, Problem], sampler: Sampler
) -> tuple[list[Trace], list[str]]:
    """The lessons whose answer verifies and whose calculations hold (a diagnosis has none), a line for each other."""
    answering = [lesson for lesson in lessons if lesson.meta["lesson"] != "diagnose"]
    grades = sampler.grader.grade([(problems[_attempt_of(one)], one.response) for one in answering])
    wrong = {}
    for one, grade in zip(answering, grades, strict=True):
        if grade.score != 1.0:
            wrong[one.id] = "its answer does not verify"
        elif first_false(f"{one.reasoning}\n{one.response}"):
            wrong[one.id] = "a calculation in it does not hold"
    return (
        [lesson for lesson in lessons if lesson.id not in wrong],
        [f"lesson {name!r} is left out: {why}" for name, why in wrong.items()],
    )


def _attempt_of(lesson: Trace) -> str:
    """The id of the attempt that a lesson is made of."""
    return lesson.id.rpartition(":")[0]


def _of_problems(traces: Sequence[Trace]) -> dict[str, Trace]:
    """One trace of each problem that is not known to be wrong: the shortest."""
    best: dict[str, Trace] = {}
    for trace in traces:
        known = best.get(trace.problem_id)
        # what nobody has graded is graded as a lesson
        if trace.correct is not False and (known is None or len(trace.reasoning) < len(known.reasoning)):
            best[trace.problem_id] = trace
    return best
