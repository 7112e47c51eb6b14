"""Which problems were gained and lost between two checkpoints.

for moved in moves({0: base, 20: dip, 640: last}):
    print(moved.earlier, moved.later, len(moved.gained), len(moved.lost))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple

from titer.records.schema import Rollout
from titer.report.data import MovedProblem, Moves

HALF: Final = 0.5
ALIKE: Final = 0.5  # least share of the rollouts of the one that the other must have: of one alone a half is luck


class _Asked(NamedTuple):
    axis: str
    suite: str
    problem_id: str


class _Rate(NamedTuple):
    right: float
    graded: int
    prompt: str


def moves(rollouts: Mapping[int, Iterable[Rollout]]) -> list[Moves]:
    """From base to last, then from each checkpoint to the next: problems that passed from under half of their graded
    rollouts right to at least half, and the other way round, the largest changes first. Axis by axis, over the problems
    that both were asked about equally often."""
    rates = {step: _rates(rows) for step, rows in sorted(rollouts.items())}
    steps = list(rates)
    ways = list(dict.fromkeys([(steps[0], steps[-1]), *pairwise(steps)])) if len(steps) > 1 else []
    axes = list(dict.fromkeys(asked.axis for asked in rates[steps[0]])) if steps else []
    return [_moved(axis, earlier, later, rates[earlier], rates[later]) for earlier, later in ways for axis in axes]


def _moved(axis: str, earlier: int, later: int, before: Mapping[_Asked, _Rate], after: Mapping[_Asked, _Rate]) -> Moves:
    found = [
        MovedProblem(asked.suite, asked.problem_id, rate.prompt, rate.right, after[asked].right)
        for asked, rate in before.items()
        if asked.axis == axis and asked in after and _alike(rate, after[asked])
    ]
    gained = [one for one in found if one.before < HALF <= one.after]
    lost = [one for one in found if one.after < HALF <= one.before]
    return Moves(earlier, later, axis, len(found), _largest(gained), _largest(lost))


def moved_rows(found: Iterable[Moves]) -> list[dict[str, Any]]:
    """Every moved problem as a row of a table."""
    return [
        {"axis": moved.axis, "earlier": moved.earlier, "later": moved.later, "moved": way, **one._asdict()}
        for moved in found
        for way, some in (("gained", moved.gained), ("lost", moved.lost))
        for one in some
    ]


def _alike(one: _Rate, other: _Rate) -> bool:
    return min(one.graded, other.graded) >= ALIKE * max(one.graded, other.graded)


def _largest(found: list[MovedProblem]) -> list[MovedProblem]:
    return sorted(found, key=lambda one: -abs(one.after - one.before))


def _rates(rollouts: Iterable[Rollout]) -> dict[_Asked, _Rate]:
    counts: dict[_Asked, list[float]] = {}
    prompts: dict[_Asked, str] = {}
    for row in rollouts:
        if row.score is not None:
            asked = _Asked(row.axis, row.suite, row.problem_id)
            counts.setdefault(asked, []).append(row.score)
            prompts[asked] = row.prompt
    return {asked: _Rate(sum(scores) / len(scores), len(scores), prompts[asked]) for asked, scores in counts.items()}
