"""Sample problems, grade what comes back, and lose nothing on the way.

    rollouts = collect(generator, problems, samples=16, sampling=Sampling(), out=Path("rollouts.jsonl"))

Rollouts are written chunk by chunk, each chunk in one append that is forced to disk. A second call with the same
file goes on after the last whole chunk. Chunks are cut the same way every time, so that an interrupted collection
ends with the very rollouts of an uninterrupted one: which rows are decoded together can change the last bit of a
probability. What the rollouts were made with stands beside them (`rollouts.made.json`): a call that would make others
is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.generate.protocol import Completion, Generator, Request, Sampling
from titer.records import Problem, Rollout, append_rollouts, read_rollouts, write_records
from titer.store import content_hash, write_json
from titer.verify import Grade, Grader

CHUNK = 512


class Progress(NamedTuple):
    """How far a collection is, for whoever shows it."""

    done: int
    total: int
    right: int
    graded: int


def collect(
    generator: Generator,
    problems: Sequence[Problem],
    *,
    samples: int,
    sampling: Sampling,
    grader: Grader,
    out: Path,
    model: str,
    suite: str = "",
    axis: str = "",
    chunk: int = CHUNK,
    said: Callable[[Progress], None] = lambda _: None,
) -> list[Rollout]:
    """`samples` graded rollouts of every problem, in the order of the problems.

    `out` is a JSON lines file; `model` says which weights `generator` samples (`model_identity`); `chunk`
    bounds the rollouts that a crash can cost. Raises InputError for problems that share an id, or when `out` holds
    rollouts of another model, other problems or other sampling.
    """
    _refuse_doubles(problems)
    _claim(out, problems, {"model": model, "sampling": asdict(sampling), "samples": samples, "chunk": chunk})
    chunks = list(_cut(problems, max(1, chunk // samples)))
    rollouts = _resume(out, chunks, samples)
    done = len(rollouts) // samples
    for part in chunks:
        if done:
            done -= len(part)
            continue
        fresh = _one_chunk(generator, part, samples, sampling, grader, suite, axis)
        append_rollouts(out, fresh)
        rollouts += fresh
        graded = [rollout.score for rollout in rollouts if rollout.score is not None]
        said(Progress(len(rollouts), samples * len(problems), int(sum(graded)), len(graded)))
    return rollouts


def _one_chunk(
    generator: Generator,
    problems: Sequence[Problem],
    samples: int,
    sampling: Sampling,
    grader: Grader,
    suite: str,
    axis: str,
) -> list[Rollout]:
    requests = [Request(problem.id, problem.prompt, samples) for problem in problems]
    completions = {(c.request_id, c.sample): c for c in generator.stream(requests, sampling)}
    pairs = [(problem, completions[problem.id, i]) for problem in problems for i in range(samples)]
    grades = grader.grade([(problem, completion.response) for problem, completion in pairs])
    nothing = Grade(None, None, "")
    return [
        # an error brought nothing back, which is not a wrong answer
        _rollout(problem, done, generator.name, suite, axis, nothing if done.finish_reason == "error" else grade)
        for (problem, done), grade in zip(pairs, grades, strict=True)
    ]


def _parsed(completion: Completion, grade: Grade) -> str | None:
    """The answer that was read. What a completion that was cut happens to end in is none, unless it is right."""
    return None if completion.finish_reason == "length" and grade.score != 1.0 else grade.parsed


def _rollout(
    problem: Problem,
    completion: Completion,
    model: str,
    suite: str,
    axis: str,
    grade: Grade,
) -> Rollout:
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


def _claim(out: Path, problems: Sequence[Problem], made_with: Mapping[str, Any]) -> None:
    """Say beside `out` what its rollouts are made with, or refuse when others stand there."""
    shown = [[p.id, p.prompt, p.answer, p.verifier, dict(p.meta)] for p in problems]
    ours = json.loads(json.dumps({**made_with, "problems": content_hash(shown)}))
    claim = out.with_suffix(".made.json")
    if not out.exists() or out.stat().st_size == 0:
        return write_json(claim, ours)
    theirs = json.loads(claim.read_text(encoding="utf-8")) if claim.exists() else {}
    if changed := [key for key, value in ours.items() if theirs.get(key) != value]:
        raise InputError(
            f"holds rollouts made otherwise ({', '.join(changed)} differ)",
            file=out,
            remedy="give another output folder, or remove this file",
        )
    return None


def _resume(out: Path, chunks: Sequence[Sequence[Problem]], samples: int) -> list[Rollout]:
    """The rollouts of the whole chunks that `out` already holds; what follows them is cut off."""
    if not out.exists() or out.stat().st_size == 0:
        out.parent.mkdir(parents=True, exist_ok=True)
        return []
    found = list(read_rollouts(out, torn="drop"))
    kept = 0
    for part in chunks:
        if kept + len(part) * samples > len(found):
            break
        kept += len(part) * samples
    if kept < len(found):
        write_records(out, found[:kept])
    return found[:kept]


def _cut(problems: Sequence[Problem], size: int) -> Iterator[Sequence[Problem]]:
    for first in range(0, len(problems), size):
        yield problems[first : first + size]


def _refuse_doubles(problems: Sequence[Problem]) -> None:
    seen: set[str] = set()
    for problem in problems:
        if problem.id in seen:
            raise InputError(f"two problems with id {problem.id!r}", field="id", remedy="give each problem its own id")
        seen.add(problem.id)
