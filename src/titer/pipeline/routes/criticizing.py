"""Critique inside a run: failed attempts are chosen, taken apart, and tables are written.

found = criticize("lab", failures, problems, recipe.critique, Generate(), work=work, seed=0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from titer.generate.protocol import Sampling
from titer.pipeline.routes.student import behind_server, opened
from titer.recipe import Critique, Generate
from titer.records import Problem, Rollout, Trace, write_records
from titer.stages.critique import Attempt, Criticized, Settings, attempts_of, critique
from titer.store import write_json, write_table


def criticize(
    model: str,
    failures: Sequence[Rollout],
    problems: Mapping[str, Problem],
    settings: Critique,
    generate: Generate,
    *,
    work: Path,
    seed: int,
    teachers: Sequence[Trace] = (),
) -> tuple[list[Attempt], Criticized]:
    """The attempts that were taken apart, and what came of them. Writes `lessons.jsonl`, `located.parquet` and
    `faults.json` into `work`; resumes there. Raises InputError for a rollout of an unknown or another problem."""
    attempts = attempts_of(failures, problems, each=settings.attempts)
    sampling = Sampling(temperature=settings.temperature, top_p=1.0, max_tokens=settings.max_tokens, seed=seed)
    greedy = Sampling(temperature=0.0, max_tokens=settings.max_tokens)
    with opened(model, generate, sampling) as student:
        judge = behind_server(student.sampler, settings.server, settings.judge, settings.timeout, greedy)
        found = critique(
            attempts,
            student.sampler,
            Settings(settings.locators, settings.samples, settings.most, settings.lessons),
            work=work / "rollouts",
            judge=judge or student.sampler._replace(sampling=greedy),
            teachers=teachers,
        )
    write_records(work / "lessons.jsonl", found.lessons)
    write_table(work / "located.parquet", [_row(one, found) for one in attempts])
    write_json(work / "faults.json", found.faults)
    return attempts, found


def _row(attempt: Attempt, found: Criticized) -> dict[str, str | int | None]:
    located = found.located.get(attempt.trace.id)
    return {
        "attempt": attempt.trace.id,
        "problem_id": attempt.problem.id,
        "steps": len(attempt.steps.pieces),
        "wrong_step": located.step if located else None,
        "why": located.why if located else None,
        "located_by": located.by if located else None,
    }
