"""Which problems were gained and lost between two checkpoints.

for moved in moves({0: base, 20: dip, 640: last}):
    print(moved.earlier, moved.later, len(moved.gained), len(moved.lost))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

from titer.records.schema import Rollout
from titer.report.data import MovedProblem, Moves

MOST_MOVED: Final = 8  # problems of a kind that are listed
HALF: Final = 0.5


class _Asked(NamedTuple):
    axis: str
    suite: str
    problem_id: str


class _Rate(NamedTuple):
    right: float
    prompt: str


def moves(rollouts: Mapping[int, Iterable[Rollout]]) -> list[Moves]:
    """From base to last, then from each checkpoint to the next: problems that passed from under half of their graded
    rollouts right to at least half, and the other way round, the largest changes first. Axis by axis."""
    rates = {step: _rates(rows) for step, rows in sorted(rollouts.items())}
    steps = list(rates)
    ways = list(dict.fromkeys([(steps[0], steps[-1]), *pairwise(steps)])) if len(steps) > 1 else []
    axes = list(dict.fromkeys(asked.axis for asked in rates[steps[0]])) if steps else []
    return [_moved(axis, earlier, later, rates[earlier], rates[later]) for earlier, later in ways for axis in axes]


def _moved(axis: str, earlier: int, later: int, before: Mapping[_Asked, _Rate], after: Mapping[_Asked, _Rate]) -> Moves:
    found = [
        MovedProblem(asked.suite, asked.problem_id, rate.prompt, rate.right, after[asked].right)
        for asked, rate in before.items()
        if asked.axis == axis and asked in after
    ]
    gained = [one for one in found if one.before < HALF <= one.after]
    lost = [one for one in found if one.after < HALF <= one.before]
    return Moves(earlier, later, axis, len(found), _largest(gained), len(gained), _largest(lost), len(lost))


def _largest(found: list[MovedProblem]) -> list[MovedProblem]:
    return sorted(found, key=lambda one: -abs(one.after - one.before))[:MOST_MOVED]


def _rates(rollouts: Iterable[Rollout]) -> dict[_Asked, _Rate]:
    counts: dict[_Asked, list[float]] = {}
    prompts: dict[_Asked, str] = {}
    for row in rollouts:
        if row.score is not None:
            asked = _Asked(row.axis, row.suite, row.problem_id)
            counts.setdefault(asked, []).append(row.score)
            prompts[asked] = row.prompt
    return {asked: _Rate(sum(scores) / len(scores), prompts[asked]) for asked, scores in counts.items()}
