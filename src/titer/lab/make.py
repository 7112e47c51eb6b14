"""Problems, traces and suites made by the lab, or with reasoning-gym.

made = make_lab(LabData(), seed=0)
made.problems, made.traces, made.suites["countdown3"].problems
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.lab.tasks import TASKS, Item, items, stream
from titer.lab.teachers import explain
from titer.recipe import GymData, LabData
from titer.records import Problem, Trace, write_records
from titer.verify import gym_problems


class MadeSuite(NamedTuple):
    """Evaluation problems on one axis."""

    axis: str
    problems: list[Problem]


class Made(NamedTuple):
    """Everything that a run starts from."""

    problems: list[Problem]
    traces: list[Trace]
    suites: dict[str, MadeSuite]
    rehearsal: list[Trace] = []  # noqa: RUF012 - a default of a NamedTuple, which nobody changes


def make(out: str | Path, *, problems: int = 1000, evaluation: int = 100, seed: int = 0) -> list[Path]:
    """Write `problems.jsonl`, `traces.jsonl` and a problem file a task, and return their paths.

    Three quarters of the problems have three numbers, the rest four.
    """
    four = problems // 4
    settings = LabData(
        problems={"countdown3": problems - four, "countdown4": four}, suites=dict.fromkeys(TASKS, evaluation)
    )
    made, folder = make_lab(settings, seed), Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Sequence[Problem] | Sequence[Trace]] = {
        "problems": made.problems,
        "traces": made.traces,
        **{name: suite.problems for name, suite in made.suites.items()},
    }
    for name, rows in tables.items():
        write_records(folder / f"{name}.jsonl", rows)
    return [folder / f"{name}.jsonl" for name in tables]


def make_lab(settings: LabData, seed: int) -> Made:
    """Lab problems with both teachers' traces, and held-out suites. Raises InputError for an unknown task."""
    for task in (*settings.problems, *settings.suites, *settings.rehearsal):
        if task not in TASKS:
            raise InputError(f"no lab task {task!r}", field="data.lab", remedy=f"use one of: {', '.join(TASKS)}")
    if unexplained := [task for task, n in settings.problems.items() if n and not task.startswith("countdown")]:
        raise InputError(
            f"no teacher explains {unexplained[0]!r}",
            field="data.lab.problems",
            remedy="train on countdown3 and countdown4; the others are suites",
        )
    made = [item for task, n in settings.problems.items() for item in items(task, n, seed=seed, held=False)]
    traces = [
        explain(item, teacher=teacher, seed=seed, branch_rate=settings.branch_rate)
        for item in made
        for teacher in settings.teachers
    ]
    suites = {
        task: MadeSuite(TASKS[task].axis, [item.problem for item in items(task, n, seed=seed, held=True)])
        for task, n in settings.suites.items()
        if n
    }
    rehearsal = _rehearsal(settings.rehearsal, seed, taken={item.problem.id for item in made})
    return Made([item.problem for item in made], traces, suites, rehearsal)


def _rehearsal(tasks: Mapping[str, int], seed: int, taken: Container[str]) -> list[Trace]:
    """The base's own short answers to problems that are nowhere else."""
    return [
        Trace(
            id=f"{item.problem.id}:rehearsal",
            problem_id=item.problem.id,
            teacher="base",
            prompt=item.problem.prompt,
            reasoning="",
            response=item.solution,
            domain=item.problem.domain,
        )
        for task, count in tasks.items()
        for item in islice(_untaken(task, seed + 1, taken), count)
    ]


def _untaken(task: str, seed: int, taken: Container[str]) -> Iterator[Item]:
    return (item for item in stream(task, seed=seed, held=False) if item.problem.id not in taken)


def make_gym(settings: GymData, seed: int) -> Made:
    """reasoning-gym problems, traces for them, and suites that share no question with them.

    Raises InputError for a task that titer writes no traces for.
    """
    suites = {
        name: MadeSuite(
            settings.axes.get(name, "in_domain" if name in settings.tasks else "out_of_domain"),
            _fresh(_task(name, config), settings.evaluation, seed + 1, config, taken=set()),
        )
        for name, config in settings.suites.items()
    }
    taken = {problem.prompt for suite in suites.values() for problem in suite.problems}
    problems = [
        problem
        for name, config in settings.tasks.items()
        for problem in _fresh(_task(name, config), settings.problems, seed, config, taken)
    ]
    return Made(problems, [explain_sum(problem) for problem in problems], suites)


def explain_sum(problem: Problem) -> Trace:
    """A chain_sum worked out from left to right, one equality a step."""
    if problem.domain != "chain_sum":
        raise InputError(
            f"no traces can be made for {problem.domain!r}", field="data.gym.tasks", remedy="use chain_sum"
        )
    terms = problem.meta["entry"]["metadata"]["expression"].split()  # numbers may have signs of their own
    value, steps = int(terms[0]), []
    for sign, number in zip(terms[1::2], terms[2::2], strict=True):
        result = value + int(number) if sign == "+" else value - int(number)
        steps.append(f"{value} {sign} {number} = {result}")
        value = result
    return Trace(
        id=f"{problem.id}:steps",
        problem_id=problem.id,
        teacher="steps",
        prompt=problem.prompt,
        reasoning="\n\n".join(steps),
        response=f"Answer: {value}",
        domain=problem.domain,
    )


def _task(name: str, config: Mapping[str, Any]) -> str:
    """The task of a suite: its own name, or the `task` of its settings."""
    return str(config.get("task", name))


def _fresh(task: str, count: int, seed: int, config: Mapping[str, Any], taken: set[str]) -> list[Problem]:
    """`count` problems with different prompts, none of which is taken."""
    settings = {key: value for key, value in config.items() if key != "task"}
    found: dict[str, Problem] = {}
    for attempt in range(20):
        for problem in gym_problems(task, count=2 * count, seed=seed + 1000 * attempt, **settings):
            if problem.prompt not in taken:
                found.setdefault(problem.prompt, problem)
        if len(found) >= count:
            return random.Random(seed).sample(list(found.values()), count)
    raise InputError(
        f"{task} has no {count} different problems with these settings", field="data.gym", remedy="ask for fewer"
    )
