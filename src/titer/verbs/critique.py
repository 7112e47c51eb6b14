"""Lessons of failed attempts.

result = critique("rl/checkpoints/step-000100", "rl/failures.jsonl", "problems.jsonl", out="critique")
result.lessons        # {"diagnose": 31, "repair": 12, "renew": 28}
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from titer.errors import InputError
from titer.pipeline.alone import alone
from titer.pipeline.curating import verify_traces
from titer.pipeline.routes.criticizing import criticize
from titer.recipe import Critique, Generate
from titer.records import read_rollouts
from titer.records.reading import OnBad
from titer.verbs.reading import checked_problems, checked_traces


class CritiqueResult(NamedTuple):
    """Attempts taken apart, lessons by kind, who found the first wrong step of how many, attempts without a lesson,
    what went wrong, dropped rows."""

    attempts: int
    lessons: dict[str, int]
    located: dict[str, int]
    without: int
    faults: list[str]
    dropped: list[str]


@alone
def critique(
    model: str,
    failures: str | Path,
    problems: str | Path,
    *,
    out: str | Path,
    teachers: str | Path | None = None,
    settings: Critique | None = None,
    generate: Generate | None = None,
    seed: int = 0,
    on_bad: OnBad = "stop",
) -> CritiqueResult:
    """Take the failed rollouts of a file apart (`titer rl` writes `failures.jsonl`), and write `lessons.jsonl`, traces
    to train on, into `out`; resumes there. `teachers` is a file of traces for fresh solutions.

    Raises InputError for bad rows, rollouts of unknown or other problems, and a file without a failed attempt.
    """
    dropped: list[InputError] = []
    known = {problem.id: problem for problem in checked_problems(problems, on_bad, dropped)}
    taught = verify_traces(checked_traces(teachers, known, on_bad, dropped), known) if teachers else []
    Path(out).mkdir(parents=True, exist_ok=True)
    attempts, found = criticize(
        model,
        list(read_rollouts(failures)),
        known,
        settings or Critique(),
        generate or Generate(),
        work=Path(out),
        seed=seed,
        teachers=taught,
    )
    if not attempts:
        raise InputError(
            "holds no rollout that ended by itself and is wrong", file=failures, remedy="give failed rollouts"
        )
    return CritiqueResult(
        len(attempts),
        dict(Counter(str(lesson.meta["lesson"]) for lesson in found.lessons)),
        dict(Counter(one.by for one in found.located.values())),
        len(found.without),
        found.faults,
        [str(error) for error in dropped],
    )
