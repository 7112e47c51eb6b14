"""Rollouts in rounds: after each, whoever asked says which problems get more.

    rollouts = collect_in_rounds(generator, problems, more=lambda counts: still_in_doubt(counts, Rule()), …)

Each rollout is known by its problem and number, so that a file serves again for more problems, or for more rollouts of
the same: what it holds is not sampled again, whatever else is asked. The rounds are gone through from the start every
time, with what the file holds, and so come to the same decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from titer.generate.protocol import Generator, Sampling
from titer.records import Problem, Rollout, append_rollouts, read_rollouts, write_records
from titer.rollouts.claim import claim_problems, hash_of, holds_any
from titer.rollouts.collect import CHUNK, NO_PREFIXES
from titer.rollouts.draw import Asked, Progress, draw, progress_of, refuse_doubles
from titer.verify import Grader

Key = tuple[str, int]
More = Callable[[Mapping[str, Sequence[Rollout]]], Mapping[str, int]]


def collect_in_rounds(
    generator: Generator,
    problems: Sequence[Problem],
    *,
    more: More,
    sampling: Sampling,
    grader: Grader,
    out: Path,
    model: str,
    chunk: int = CHUNK,
    prefixes: Mapping[str, str] = NO_PREFIXES,
    said: Callable[[Progress], None] = lambda _: None,
) -> list[Rollout]:
    """Graded rollouts of every problem, in the order of the problems: as many as `more` asks for, until that is none.

    `prefixes` say, by problem id, how the model's turn begins. `more` gets the rollouts so far by problem id. `out` is
    a JSON lines file, `model` says which weights `generator` samples (`model_identity`), `chunk` bounds the rollouts
    that a crash can cost. Raises InputError for problems that share an id, and when `out` holds rollouts of another
    model, with other sampling, or of a problem that has changed.
    """
    refuse_doubles(problems)
    hashes = {one.id: hash_of(one, prefixes.get(one.id, "")) for one in problems}
    claim_problems(out, {"model": model, "sampling": asdict(sampling)}, hashes)
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = {_key(rollout): rollout for rollout in read_rollouts(out, torn="drop")} if holds_any(out) else {}
    taken: dict[str, list[Rollout]] = {problem.id: [] for problem in problems}
    while wanted := more(taken):
        asked = [Asked(p, len(taken[p.id]), wanted[p.id], prefixes.get(p.id, "")) for p in problems if wanted.get(p.id)]
        for part in _cut(asked, chunk):
            _fill(kept, part, generator, sampling, grader, out)
            for key in _keys(part):
                taken[key[0]].append(kept[key])
            said(progress_of([rollout for some in taken.values() for rollout in some], None))
    return [rollout for some in taken.values() for rollout in some]


def _fill(
    kept: dict[Key, Rollout], part: Sequence[Asked], generator: Generator, sampling: Sampling, grader: Grader, out: Path
) -> None:
    """Draw what is missing of a chunk. What a crash left of it at the end of the file is drawn again with the rest:
    which rows are decoded together can change the last bit of a probability."""
    keys = _keys(part)
    there = [key for key in keys if key in kept]
    if len(there) == len(keys):
        return
    if there and set(list(kept)[-len(there) :]) == set(there):
        for key in there:
            del kept[key]
        write_records(out, list(kept.values()))
    fresh = draw(generator, list(_missing(part, kept)), sampling, grader)
    append_rollouts(out, fresh)
    kept.update((_key(rollout), rollout) for rollout in fresh)


def _missing(part: Sequence[Asked], kept: Mapping[Key, Rollout]) -> Iterator[Asked]:
    for one in part:
        first = one.first
        while first < one.first + one.n and (one.problem.id, first) in kept:
            first += 1
        if first < one.first + one.n:
            yield Asked(one.problem, first, one.first + one.n - first, one.prefix)


def _cut(asked: Sequence[Asked], size: int) -> Iterator[list[Asked]]:
    """Chunks of at most so many rollouts, or of one problem."""
    part: list[Asked] = []
    for one in asked:
        if part and sum(each.n for each in part) + one.n > size:
            yield part
            part = []
        part.append(one)
    if part:
        yield part


def _keys(part: Sequence[Asked]) -> list[Key]:
    return [key for one in part for key in one.keys]


def _key(rollout: Rollout) -> Key:
    return rollout.problem_id, rollout.sample
