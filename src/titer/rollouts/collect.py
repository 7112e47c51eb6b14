"""Sample problems, grade what comes back, and lose nothing on the way.

    rollouts = collect(
        generator, problems, samples=16, sampling=Sampling(), grader=grader, out=Path("rollouts.jsonl"), model="m"
    )

Rollouts are written chunk by chunk, each chunk in one append that is forced to disk. A second call with the same
file goes on after the last whole chunk, and asks again for what a server had failed to give. Chunks are cut the same
way every time, so that an interrupted collection ends with the very rollouts of an uninterrupted one: which rows are
decoded together can change the last bit of a probability. What the rollouts were made with stands beside them
(`rollouts.made.json`): a call that would make others is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from titer.generate.protocol import Generator, Sampling
from titer.records import Problem, Rollout, append_rollouts, holds_any, read_rollouts, write_records
from titer.rollouts.claim import claim, hash_of, shown
from titer.rollouts.draw import Asked, Progress, draw, progress_of, refuse_doubles, still_to_draw
from titer.store import content_hash
from titer.verify import Grader

CHUNK = 512


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

    `out` is a JSON lines file; `model` says which weights
    `generator` samples (`model_identity`); `chunk` bounds the rollouts that a crash can cost. Raises
    InputError for problems that share an id, or when `out` holds rollouts of another model, other problems or other
    sampling.
    """
    refuse_doubles(problems)
    made_with = {"model": model, "sampling": asdict(sampling), "samples": samples, "chunk": chunk}
    each = {problem.id: hash_of(problem) for problem in problems}
    claim(out, {**made_with, "problems": content_hash([shown(problem) for problem in problems])}, {"each": each})
    chunks = list(_cut(problems, max(1, chunk // samples)))
    rollouts = _resume(out, chunks, samples)
    done = len(rollouts) // samples

    def asked_of(some: Sequence[Problem]) -> list[Asked]:
        return [Asked(problem, 0, samples, "") for problem in some]

    if any(rollout.finish_reason == "error" for rollout in rollouts):
        # a server that failed may be well again
        there = {(one.problem_id, one.sample) for one in rollouts if one.finish_reason != "error"}
        missing = list(still_to_draw(asked_of(problems[:done]), there))
        drawn = {one.id: one for one in draw(generator, missing, sampling, grader, suite=suite, axis=axis)}
        rollouts = [drawn[one.id] if one.finish_reason == "error" else one for one in rollouts]
        write_records(out, rollouts)
    for part in chunks:
        if done:
            done -= len(part)
            continue
        so_far = progress_of(rollouts, samples * len(problems))

        def heard(count: int, so_far: Progress = so_far) -> None:
            said(so_far._replace(done=so_far.done + count))

        fresh = draw(generator, asked_of(part), sampling, grader, suite=suite, axis=axis, heard=heard)
        append_rollouts(out, fresh)
        rollouts += fresh
        said(progress_of(rollouts, samples * len(problems)))
    return rollouts


def _resume(out: Path, chunks: Sequence[Sequence[Problem]], samples: int) -> list[Rollout]:
    """The rollouts of the whole chunks that `out` already holds; what follows them is cut off."""
    if not holds_any(out):
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
