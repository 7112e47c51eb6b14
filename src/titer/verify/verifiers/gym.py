"""Any reasoning-gym task: problems made and graded by the task itself.

    problems = gym_problems("chain_sum", count=100, seed=7, min_terms=3)
    check_gym(problems[0], "<answer>42</answer>")

`meta["entry"]` is the entry as reasoning-gym made it, as JSON; `meta["config"]` its settings where they differ
from the defaults. Only a full score counts: the tasks give partial credit (0.01, 0.05, …) to wrong answers.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify.answers import after_marker, first_lines, last_lines, plain, stated
from titer.verify.grade import Grade
from titer.verify.verifiers.gym_scorers import Entry, find_unsound_field, make_dataset, score

_ORACLE_FIELDS = ("possible_answer", "example_answer", "example_correct_answer")  # where entry["answer"] is None


def check_gym(problem: Problem, response: str) -> Grade:
    """Grade by the task's own scorer: 1.0 for its full score, 0.0 for anything less.

    The answer is read from the last `<answer>…</answer>`, or else the last `\\boxed{…}`, or else after the last
    "answer is" or "Answer:", or else from the end of the response; the last two give as many lines as the
    oracle's answer has. What a scorer raises is raised.
    """
    answer = _read(response, problem.answer)
    if answer is None:
        return Grade(0.0, None)
    credit = score(_task(problem), answer, problem.meta["entry"], problem.meta.get("config", {}))
    return Grade(float(credit == 1.0), answer, f"partial credit {credit:.3g}" if 0 < credit < 1 else "")


def validate_gym(problem: Problem) -> None:
    """Raise InputError for an unknown task, or an entry that its scorer cannot be given."""
    task = _task(problem)
    _require_task(task)
    entry = problem.meta.get("entry")
    if not (isinstance(entry, Mapping) and "answer" in entry and isinstance(entry.get("metadata"), Mapping)):
        fault = f"problem {problem.id!r} has no reasoning-gym entry"
        raise InputError(fault, field="meta.entry", remedy="store the entry that reasoning-gym made, as JSON")
    unsound = find_unsound_field(task, entry)
    if unsound:
        fault = f"problem {problem.id!r}: {unsound!r} in the entry is not one of {task}"
        raise InputError(fault, field="meta.entry", remedy="make the problem again with gym_problems")


def gym_problems(task: str, count: int, seed: int, **config: Any) -> list[Problem]:
    """Make `count` problems of a reasoning-gym task. The same arguments give the same problems.

    `config` goes to the task and is stored in `meta` for its scorer. A task that has no oracle answer
    (rush_hour, boxnet) gives problems with `answer` "". `codeio` runs the programs that reasoning-gym ships.
    Raises InputError for an unknown task and for a config that the task refuses.
    """
    _require_task(task)
    with contextlib.redirect_stdout(io.StringIO()):  # some tasks print while they generate
        dataset = make_dataset(task, {**config, "seed": seed, "size": count})
        entries = [json.loads(json.dumps(dataset[index])) for index in range(count)]
    extra = {"config": config} if config else {}
    return [
        Problem(
            id=f"{task}-{seed}-{index}",
            prompt=entry["question"],
            answer=_oracle(entry),
            verifier=f"gym:{task}",
            domain=task,
            meta={"entry": entry, **extra},
        )
        for index, entry in enumerate(entries)
    ]


@cache
def list_tasks() -> tuple[str, ...]:
    """List the tasks. The first call imports reasoning-gym, which takes a second."""
    from reasoning_gym.factory import DATASETS

    return tuple(sorted(set(DATASETS) - {"composite"}))  # a mixture of tasks, whose entries are those of the tasks


def _task(problem: Problem) -> str:
    return problem.verifier.partition(":")[2]


def _require_task(task: str) -> None:
    tasks = list_tasks()
    if task not in tasks:
        near = difflib.get_close_matches(task, tasks, n=1, cutoff=0.0)[0]
        raise InputError(f"no reasoning-gym task {task!r}", field="verifier", remedy=f"did you mean 'gym:{near}'?")


def _read(response: str, gold: str) -> str | None:
    if (answer := stated(response)) is not None:
        return plain(answer)
    marked = after_marker(response)
    return (last_lines(response, gold) if marked is None else first_lines(marked, gold)) or None


def _oracle(entry: Entry) -> str:
    if entry["answer"] is not None:
        return str(entry["answer"])
    oracle = next((entry["metadata"][field] for field in _ORACLE_FIELDS if field in entry["metadata"]), "")
    return oracle if isinstance(oracle, str) else json.dumps(oracle)
