"""Whether one model is better than another on the same problems.

for difference in compare(base_rollouts, trained_rollouts):
    print(difference.axis, difference.suite, difference.measure, difference.change, difference.better)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from titer.errors import InputError
from titer.evaluate.metrics import (
    COLUMNS,
    MEASURES,
    RESAMPLES,
    Counts,
    Floats,
    Halves,
    count,
    fewest,
    interval,
    name_seed,
    ratio,
    resampled_sums,
    weighed,
)
from titer.records.results import FEWEST_DIFFERING, Call, Difference, Interval, Measure
from titer.records.schema import Rollout


class _Key(NamedTuple):
    axis: str
    suite: str
    problem_id: str


class _Scope(NamedTuple):
    """What one comparison is over: a suite, or an axis with `suite` ""."""

    level: Literal["suite", "axis"]
    axis: str
    suite: str

    def holds(self, key: _Key) -> bool:
        return key.axis == self.axis and (self.level == "axis" or key.suite == self.suite)


class _Side(NamedTuple):
    model: str
    problems: Mapping[_Key, Counts]


class _Paired(NamedTuple):
    """Rates [problems, C] of the shared problems, for both models, and each one's half of the score. `left_out` names
    the other problems."""

    base: Floats
    other: Floats
    kinds: list[str]
    left_out: tuple[str, ...]


def compare(
    base: Iterable[Rollout],
    other: Iterable[Rollout],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    halves: Halves = MappingProxyType({}),
) -> list[Difference]:
    """`other` minus `base`, per axis and then per suite of it, for each measure.

    A suite is compared over the problems for which both models have a graded and a completed rollout; an axis
    over the problems of all its suites pooled, each with the same weight. Intervals are 95 % percentile
    bootstraps over problems, paired: one draw takes the same problems from both models. Where problems are in several
    `halves`, these weigh alike in accuracy and what it is made of, as in `summarise`.

    `better` is "better" or "worse" ("longer" or "shorter" for tokens) only when the interval excludes zero and
    the two differ on at least six problems. The second condition is ours: below six no exact sign-flip test
    reaches 5 %, and the bootstrap is too narrow.

    Raises InputError where a side is empty or holds several models, or where the two share no problem.
    """
    sides = _side(base, "base"), _side(other, "other")
    keys = list(dict.fromkeys([*sides[0].problems, *sides[1].problems]))
    if not sides[0].problems.keys() & sides[1].problems.keys():
        raise InputError(
            f"{sides[0].model!r} and {sides[1].model!r} share no problem",
            remedy="evaluate both on the same suites",
        )
    return [
        difference
        for scope in _scopes(keys)
        for difference in _differences(scope, keys, *sides, halves, resamples=resamples, seed=seed)
    ]


def _side(rollouts: Iterable[Rollout], name: str) -> _Side:
    groups = count(rollouts)
    models = sorted({group.model for group in groups})
    if len(models) != 1:
        found = f"{len(models)} models: {', '.join(models)}" if models else "no rollouts"
        raise InputError(f"the {name} side holds {found}", remedy="give the rollouts of exactly one model")
    problems = {
        _Key(group.axis, group.suite, problem_id): counts
        for group, counted in groups.items()
        for problem_id, counts in counted.items()
    }
    return _Side(models[0], problems)


def _scopes(keys: Iterable[_Key]) -> list[_Scope]:
    """Each axis, followed by its suites, in the order of first appearance."""
    suites: dict[str, dict[str, None]] = {}
    for key in keys:
        suites.setdefault(key.axis, {})[key.suite] = None
    return [
        scope
        for axis, names in suites.items()
        for scope in (_Scope("axis", axis, ""), *(_Scope("suite", axis, name) for name in names))
    ]


def _differences(
    scope: _Scope, keys: Sequence[_Key], base: _Side, other: _Side, halves: Halves, *, resamples: int, seed: int
) -> list[Difference]:
    members = [key for key in keys if scope.holds(key)]
    paired = _pair(scope, members, base, other, halves)
    suites = sorted({key.suite for key in members})  # so that an axis of one suite has that suite's very interval
    draws = _draws(paired, resamples=resamples, seed=(seed, name_seed("/".join([scope.axis, *suites]))))
    return [_difference(measure, scope, (base.model, other.model), paired, draws) for measure in MEASURES]


def _pair(scope: _Scope, keys: Sequence[_Key], base: _Side, other: _Side, halves: Halves) -> _Paired:
    shared = {key for key in keys if _answered(base.problems.get(key)) and _answered(other.problems.get(key))}
    ordered = [key for key in keys if key in shared]
    kinds = [halves.get((key.suite, key.problem_id), "") for key in ordered]
    return _Paired(
        weighed(_rates(base, ordered), kinds),
        weighed(_rates(other, ordered), kinds),
        kinds,
        tuple(
            f"{key.suite}/{key.problem_id}" if scope.level == "axis" else key.problem_id
            for key in keys
            if key not in shared
        ),
    )


def _answered(counts: Counts | None) -> bool:
    return counts is not None and counts.graded > 0 and counts.completed > 0


def _rates(side: _Side, keys: Sequence[_Key]) -> Floats:
    return np.array([side.problems[key].rates() for key in keys], dtype=np.float64).reshape(len(keys), COLUMNS)


def _draws(paired: _Paired, *, resamples: int, seed: Sequence[int]) -> tuple[Floats, Floats]:
    """Column sums [resamples, C] of base and of other over the same drawn problems."""
    if not len(paired.base):
        return np.empty((0, COLUMNS)), np.empty((0, COLUMNS))
    both = resampled_sums(np.hstack([paired.base, paired.other]), resamples=resamples, seed=seed, kinds=paired.kinds)
    base, other = np.hsplit(both, 2)
    return base, other


def _difference(
    measure: Measure, scope: _Scope, models: tuple[str, str], paired: _Paired, draws: tuple[Floats, Floats]
) -> Difference:
    before, after = (float(ratio(side.sum(axis=0), measure)) for side in (paired.base, paired.other))
    drawn = ratio(draws[1], measure) - ratio(draws[0], measure)
    change = interval(after - before, drawn, problems=_fewest(measure, paired))
    columns = list(MEASURES[measure])
    differing = int(np.any(paired.base[:, columns] != paired.other[:, columns], axis=1).sum())
    call = _call(measure, change, differing)
    return Difference(
        base=models[0],
        other=models[1],
        level=scope.level,
        axis=scope.axis,
        suite=scope.suite,
        measure=measure,
        base_value=before,
        other_value=after,
        change=change,
        problems=len(paired.base),
        differing=differing,
        better=call,
        left_out=paired.left_out,
        mediated=_mediated(paired, draws) if measure == "accuracy" and call != "cannot tell" else None,
    )


def _mediated(paired: _Paired, draws: tuple[Floats, Floats]) -> Interval | None:
    """M = 1 − Δ(Acc|Parse)/ΔAcc: how much of a gain is termination (our reading of arXiv 2602.11149's follow-ups).

    Above 1 the parsed answers got worse while the accuracy rose. None where a model parsed nothing.
    """

    def share(base: Floats, other: Floats) -> Floats:
        answered = ratio(other, "accuracy_given_parsed") - ratio(base, "accuracy_given_parsed")
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1 - answered / (ratio(other, "accuracy") - ratio(base, "accuracy")))

    problems = _fewest("accuracy", paired)
    found = interval(share(paired.base.sum(axis=0), paired.other.sum(axis=0)), share(*draws), problems=problems)
    return found if np.isfinite(found.mid) else None


def _fewest(measure: Measure, paired: _Paired) -> int:
    return min(fewest(measure, side, paired.kinds) for side in (paired.base, paired.other))


def _call(measure: Measure, change: Interval, differing: int) -> Call:
    if differing < FEWEST_DIFFERING or not change.excludes_zero:
        return "cannot tell"
    if measure == "tokens":
        return "longer" if change.low > 0 else "shorter"
    return "better" if change.low > 0 else "worse"
