"""Which problems to show side by side.

pairs = pick_pairs(base_rollouts, trained_rollouts, answers={("suite", p.id): p.answer for p in problems})
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

from titer.records.schema import Rollout
from titer.report.data import MovedProblem, Moves, Outcome, Pair

_Key = tuple[str, str]  # suite and problem: two suites may count theirs from 0

# Which score to show of (base, trained), so that a pair shows what it is listed for.
_SHOWN: Final[Mapping[Outcome, tuple[float, float]]] = {
    "gained": (0.0, 1.0),
    "lost": (1.0, 0.0),
    "both wrong": (0.0, 0.0),
}


def pick_pairs(
    base: Iterable[Rollout], trained: Iterable[Rollout], *, answers: Mapping[_Key, str], each: int = 3, seed: int = 0
) -> list[Pair]:
    """Up to `each` problems per outcome, drawn at random (not the most striking ones) with `seed`.

    "gained" and "lost" are problems whose solve rate rose or fell, "both wrong" those that neither ever solved.
    Of a gained problem a wrong base rollout and a right trained one are shown, and so on.
    """
    before, after = _graded(base), _graded(trained)
    pairs = [_pair(before[key], after[key], answers) for key in before if key in after]
    return [pair for outcome in get_args(Outcome) for pair in _some(pairs, outcome, each, seed)]


def pick_moved(
    a: Iterable[Rollout], b: Iterable[Rollout], moves: Iterable[Moves], *, answers: Mapping[_Key, str]
) -> list[Pair]:
    """Every problem of `moves` with a rollout of each side: the worst of a gained one's before and the best after, and
    the other way round."""
    before, after = _graded(a), _graded(b)
    return [
        _moved_pair(outcome, one, before[one.suite, one.problem_id], after[one.suite, one.problem_id], answers)
        for moved in moves
        for outcome, some in _ways(moved)
        for one in some
    ]


def _ways(moved: Moves) -> list[tuple[Outcome, Sequence[MovedProblem]]]:
    return [("gained", moved.gained), ("lost", moved.lost)]


def _moved_pair(
    outcome: Outcome, one: MovedProblem, a: Sequence[Rollout], b: Sequence[Rollout], answers: Mapping[_Key, str]
) -> Pair:
    of_a, of_b = (min, max) if outcome == "gained" else (max, min)
    return Pair(
        outcome=outcome,
        base=of_a(a, key=_score),
        trained=of_b(b, key=_score),
        base_rate=one.before,
        trained_rate=one.after,
        answer=answers.get((one.suite, one.problem_id), ""),
    )


def _score(rollout: Rollout) -> float:
    return rollout.score or 0.0


def _graded(rollouts: Iterable[Rollout]) -> dict[_Key, list[Rollout]]:
    found: dict[_Key, list[Rollout]] = {}
    for rollout in rollouts:
        if rollout.score is not None:
            found.setdefault((rollout.suite, rollout.problem_id), []).append(rollout)
    return found


def _pair(base: Sequence[Rollout], trained: Sequence[Rollout], answers: Mapping[_Key, str]) -> Pair | None:
    rates = [sum(r.score == 1.0 for r in side) / len(side) for side in (base, trained)]
    outcome = _outcome(*rates)
    if outcome is None:
        return None
    scores = _SHOWN[outcome]
    return Pair(
        outcome=outcome,
        base=next(r for r in base if r.score == scores[0]),
        trained=next(r for r in trained if r.score == scores[1]),
        base_rate=rates[0],
        trained_rate=rates[1],
        answer=answers.get((base[0].suite, base[0].problem_id), ""),
    )


def _outcome(before: float, after: float) -> Outcome | None:
    if after > before:
        return "gained"
    if after < before:
        return "lost"
    return "both wrong" if before == 0 else None


def _some(pairs: Iterable[Pair | None], outcome: Outcome, each: int, seed: int) -> list[Pair]:
    fitting = [pair for pair in pairs if pair is not None and pair.outcome == outcome]
    return random.Random(seed).sample(fitting, min(each, len(fitting)))
