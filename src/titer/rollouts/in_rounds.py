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
from types import MappingProxyType

from titer.generate.protocol import Generator, Sampling
from titer.records import Problem, Rollout, append_rollouts, holds_any, read_rollouts, write_records
from titer.rollouts.claim import claim_problems, hash_of
from titer.rollouts.collect import CHUNK
from titer.rollouts.draw import Asked, Progress, draw, progress_of, refuse_doubles, still_to_draw
from titer.verify import Grader

Key = tuple[str, int]
NO_PREFIXES: Mapping[str, str] = MappingProxyType({})
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
    kept = _kept(out) if holds_any(out) else {}
    taken: dict[str, list[Rollout]] = {problem.id: [] for problem in problems}
    while wanted := more(taken):
        asked = [Asked(p, len(taken[p.id]), wanted[p.id], prefixes.get(p.id, "")) for p in problems if wanted.get(p.id)]
        for part in _cut(asked, chunk):
            so_far = progress_of([rollout for some in taken.values() for rollout in some], None)

            def heard(count: int, so_far: Progress = so_far) -> None:
                said(so_far._replace(done=so_far.done + count))

            _fill(kept, part, generator, sampling, grader, out, heard)
            for key in _keys(part):
                taken[key[0]].append(kept[key])
            said(progress_of([rollout for some in taken.values() for rollout in some], None))
    return [rollout for some in taken.values() for rollout in some]


def _kept(out: Path) -> dict[Key, Rollout]:
    """What the file holds, without the rollouts that a server failed to give: these are asked for again."""
    found = list(read_rollouts(out, torn="drop"))
    kept = [rollout for rollout in found if rollout.finish_reason != "error"]
    if len(kept) < len(found):
        write_records(out, kept)
    return {_key(rollout): rollout for rollout in kept}


def _fill(
    kept: dict[Key, Rollout],
    part: Sequence[Asked],
    generator: Generator,
    sampling: Sampling,
    grader: Grader,
    out: Path,
    heard: Callable[[int], None],
) -> None:
    """Draw what is missing of a chunk. A chunk is written in one append; where a crash has torn that, its whole lines
    stay."""
    if missing := list(still_to_draw(part, kept)):
        drawn = draw(generator, missing, sampling, grader, heard=heard)
        fresh = {_key(rollout): rollout for rollout in drawn if _key(rollout) not in kept}
        append_rollouts(out, fresh.values())
        kept.update(fresh)


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
