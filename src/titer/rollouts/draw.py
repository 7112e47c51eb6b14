"""One chunk of rollouts: sampled, graded, put in order.

rollouts = draw(generator, [Asked(problem, first=0, n=4)], sampling, grader)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from titer.errors import InputError
from titer.generate.protocol import Completion, Generator, Request, Sampling
from titer.records import Problem, Rollout, earlier_turns
from titer.verify import Grade, Grader

SILENT: Final = 30.0  # seconds after which it is said how much of a chunk is there


class Asked(NamedTuple):
    """Samples `first` to `first + n - 1` of a problem, whose answer begins with `prefix`."""

    problem: Problem
    first: int
    n: int
    prefix: str = ""

    @property
    def keys(self) -> list[tuple[str, int]]:
        """Problem id and number of each sample."""
        return [(self.problem.id, i) for i in range(self.first, self.first + self.n)]


class Progress(NamedTuple):
    """How far a collection is, for whoever shows it; how many it will come to, where that is known."""

    done: int
    total: int | None
    right: int
    graded: int


def draw(
    generator: Generator,
    asked: Sequence[Asked],
    sampling: Sampling,
    grader: Grader,
    *,
    suite: str = "",
    axis: str = "",
    heard: Callable[[int], None] = lambda _: None,
) -> list[Rollout]:
    """A graded rollout of every sample, in the order in which they are asked for. `heard` gets the number of those that
    are there, now and then where it takes long."""
    requests = [
        Request(one.problem.id, one.problem.prompt, one.n, one.first, one.prefix, earlier_turns(one.problem))
        for one in asked
    ]
    completions, last = dict[tuple[str, int], Completion](), time.monotonic()
    for one in generator.stream(requests, sampling):
        completions[one.request_id, one.sample] = one
        if time.monotonic() - last >= SILENT:
            heard(len(completions))
            last = time.monotonic()
    pairs = [(one.problem, completions[key]) for one in asked for key in one.keys]
    grades = grader.grade([(problem, completion.response) for problem, completion in pairs])
    return [
        _rollout(problem, done, generator.name, suite, axis, _in_full(problem, done, grade))
        for (problem, done), grade in zip(pairs, grades, strict=True)
    ]


def still_to_draw(part: Iterable[Asked], there: Container[tuple[str, int]]) -> Iterator[Asked]:
    """What is asked and not there: of each problem from its first missing sample to its last."""
    for one in part:
        missing = [sample for name, sample in one.keys if (name, sample) not in there]
        if missing:
            yield one._replace(first=missing[0], n=missing[-1] - missing[0] + 1)


def progress_of(rollouts: Sequence[Rollout], total: int | None) -> Progress:
    """Counts of what has been drawn."""
    graded = [rollout.score for rollout in rollouts if rollout.score is not None]
    return Progress(len(rollouts), total, int(sum(graded)), len(graded))


def refuse_doubles(problems: Sequence[Problem]) -> None:
    """Raises InputError for problems that share an id."""
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise InputError(f"two problems with id {problem.id!r}", field="id", remedy="give each problem its own id")
        seen.add(problem.id)


def _in_full(problem: Problem, completion: Completion, grade: Grade) -> Grade:
    """The grade of what came whole. An error brought nothing back, which is no wrong answer; and what was cut neither
    refuses nor answers, whatever it begins with."""
    if completion.finish_reason == "error":
        return Grade(None, None, "")
    if completion.finish_reason == "length" and problem.verifier == "refusal":
        return Grade(None, None, "cut before it refused or answered")
    return grade


def _parsed(completion: Completion, grade: Grade) -> str | None:
    """The answer that was read. What a completion that was cut happens to end in is none, unless it is right."""
    return None if completion.finish_reason == "length" and grade.score != 1.0 else grade.parsed


def _rollout(problem: Problem, completion: Completion, model: str, suite: str, axis: str, grade: Grade) -> Rollout:
    return Rollout(
        problem_id=problem.id,
        sample=completion.sample,
        model=model,
        prompt=problem.prompt,
        reasoning=completion.reasoning,
        response=completion.response,
        finish_reason=completion.finish_reason,
        tokens=completion.tokens,
        score=grade.score,
        parsed=_parsed(completion, grade),
        suite=suite,
        axis=axis,
        note=grade.note or completion.note,
    )
