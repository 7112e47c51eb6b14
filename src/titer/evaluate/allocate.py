"""Which problems a checkpoint is asked, and how often, when there are not tokens for all: variance first.

    parts = allocate(base_rollouts, tokens=100_000, samples={"math500": 4}, seed=0)
    parts[0].problems, parts[0].of, parts[0].samples
    resolution(parts)["in_domain"]          # expected half width of the 95 % interval of a change

The base has been asked everything, so it is known which problems are open: those that it gets right now and then. A
checkpoint is asked most of these and few of those that the base always or never solves. The parts are drawn once, so
that all checkpoints are asked the same, and the curves weigh every part by how many problems it stands for. Ours, after
Neyman's allocation (1934): a stratum gets problems in proportion to its size and spread, over the root of their cost.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from titer.evaluate.metrics import Counts, Group, count
from titer.records.schema import Rollout

FEWEST: Final = 8
"""Problems of each stratum that are asked at least."""
ALWAYS, NEVER = 0.9, 0.1
NO_HALVES: Final[Mapping[tuple[str, str], str]] = MappingProxyType({})


class Part(NamedTuple):
    """Some problems of a stratum of a suite, asked so often each, and the others, for which they stand.

    By the base: `spread` is the variance of one score, `cost` the mean tokens of a rollout. `rolled` rollouts make one
    score: one, or where any right one counts, all of a problem's. `weight` is the stratum's share of its axis.
    """

    suite: str
    axis: str
    stratum: str
    problems: tuple[str, ...]
    others: tuple[str, ...]
    samples: int
    spread: float
    cost: float
    weight: float = 0.0
    rolled: int = 1

    @property
    def of(self) -> int:
        """Size of the stratum."""
        return len(self.problems) + len(self.others)


class _Stratum(NamedTuple):
    group: Group
    half: str
    kind: str
    problems: list[str]
    spread: float
    cost: float
    samples: int
    rolled: int

    @property
    def name(self) -> str:
        return f"{self.half}-{self.kind}" if self.half else self.kind


class _Grant(NamedTuple):
    """How many problems of a stratum, and how often each."""

    problems: int
    samples: int


def allocate(
    base: Iterable[Rollout],
    *,
    tokens: int,
    samples: Mapping[str, int],
    seed: int,
    halves: Mapping[tuple[str, str], str] = NO_HALVES,
    passing: Container[str] = (),
) -> list[Part]:
    """The parts for about so many tokens a checkpoint, a suite's problems asked at most so often as `samples` says.

    `halves` names, by suite and problem, what an axis is the mean of: strata lie within them. Of suites in `passing` it
    counts whether any rollout of a problem is right: their problems are asked as often as the base was, for any of one
    rollout is another measure than any of four. Every stratum gets at least eight of its problems, whatever that costs.
    """
    strata = [
        one
        for group, problems in count(base).items()
        for one in _strata(group, problems, halves, samples[group.suite], group.suite in passing)
    ]
    weights = _weights(strata)
    grants = [_Grant(min(FEWEST, len(one.problems)), one.rolled) for one in strata]
    left = tokens - sum(_cost(one, grant) for one, grant in zip(strata, grants, strict=True))
    while True:
        steps = [_next(one, grant) for one, grant in zip(strata, grants, strict=True)]
        gains = [
            _gain(one, grant, step, weight, left)
            for one, grant, step, weight in zip(strata, grants, steps, weights, strict=True)
        ]
        best = int(np.argmax(gains)) if gains else 0
        if not gains or gains[best] <= 0:
            break
        left -= _cost(strata[best], steps[best]) - _cost(strata[best], grants[best])
        grants[best] = steps[best]
    rng = np.random.default_rng([seed, 10])
    return [_drawn(one, grant, weight, rng) for one, grant, weight in zip(strata, grants, weights, strict=True)]


def resolution(parts: Sequence[Part]) -> dict[str, float]:
    """By axis: half the width that the 95 % interval of a change from the base should have, if changes of problems
    spread as far as single rollouts do."""
    variance: dict[str, float] = {}
    for part in parts:
        of_part = part.weight**2 * _of_change(part.spread, part.samples // part.rolled) / len(part.problems)
        variance[part.axis] = variance.get(part.axis, 0.0) + of_part
    return {axis: 1.96 * math.sqrt(found) for axis, found in variance.items()}


def tokens_of(parts: Sequence[Part]) -> int:
    """What the parts should cost a checkpoint, at the base's lengths."""
    return round(sum(len(part.problems) * part.samples * part.cost for part in parts))


def _strata(
    group: Group, problems: Mapping[str, Counts], halves: Mapping[tuple[str, str], str], samples: int, passing: bool
) -> Iterator[_Stratum]:
    """The problems of a suite, half by half, by what the base made of them."""
    by_half: dict[str, dict[str, list[str]]] = {}
    for name, counts in problems.items():
        if counts.graded:
            rate = counts.correct / counts.graded
            kind = "always" if rate >= ALWAYS else "never" if rate <= NEVER else "open"
            named = by_half.setdefault(halves.get((group.suite, name), ""), {})
            named.setdefault(kind, []).append(name)
    for half, named in by_half.items():
        for kind, of in _joined(named).items():
            yield _stratum(group, half, kind, [problems[one] for one in of], of, samples, passing)


def _joined(named: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Strata that are too small to draw from go into the open one, and a small open one into the next larger."""
    joined = dict(named)
    while len(joined) > 1:
        by_size = sorted(joined, key=lambda kind: len(joined[kind]))
        smallest = by_size[0]
        if len(joined[smallest]) >= FEWEST:
            break
        into = "open" if smallest != "open" and "open" in joined else by_size[1]
        joined[into] = joined[into] + joined.pop(smallest)
    return joined


def _stratum(
    group: Group, half: str, kind: str, counted: Sequence[Counts], names: list[str], samples: int, passing: bool
) -> _Stratum:
    rolled = samples if passing else 1
    # Jeffreys: a problem that was always right is not one that cannot fail
    rates = [1 - (1 - (one.correct + 0.5) / (one.graded + 1)) ** rolled for one in counted]
    lengths = [one.tokens / max(1, len(one.samples)) for one in counted]
    spread = sum(rate * (1 - rate) for rate in rates) / len(rates)
    return _Stratum(group, half, kind, names, spread, max(1.0, sum(lengths) / len(lengths)), samples, rolled)


def _weights(strata: Sequence[_Stratum]) -> list[float]:
    """The share of each stratum in its axis, which is the mean of its halves, and each of these of its problems."""
    sizes: dict[str, dict[str, int]] = {}
    for one in strata:
        halves = sizes.setdefault(one.group.axis, {})
        halves[one.half] = halves.get(one.half, 0) + len(one.problems)
    return [len(one.problems) / sizes[one.group.axis][one.half] / len(sizes[one.group.axis]) for one in strata]


def _next(one: _Stratum, grant: _Grant) -> _Grant:
    """The next larger grant: a problem more, or, where all are asked, each once more."""
    if grant.problems < len(one.problems):
        return grant._replace(problems=grant.problems + 1)
    return grant._replace(samples=min(one.samples, grant.samples + 1))


def _gain(one: _Stratum, grant: _Grant, step: _Grant, weight: float, left: float) -> float:
    """Variance of the axis' change that the step takes away, a token; nothing where there is none to pay it."""
    price = _cost(one, step) - _cost(one, grant)
    if not 0 < price <= left:
        return 0.0
    before, after = (weight**2 * _of_change(one.spread, g.samples // one.rolled) / g.problems for g in (grant, step))
    return (before - after) / price


def _of_change(spread: float, samples: int) -> float:
    """Variance of a problem's change: of the problems among themselves, taken as one score's, and of the draws."""
    return spread + 2 * spread / samples


def _cost(one: _Stratum, grant: _Grant) -> float:
    return grant.problems * grant.samples * one.cost


def _drawn(one: _Stratum, grant: _Grant, weight: float, rng: np.random.Generator) -> Part:
    order = rng.permutation(len(one.problems)).tolist()
    return Part(
        one.group.suite,
        one.group.axis,
        one.name,
        tuple(one.problems[i] for i in sorted(order[: grant.problems])),
        tuple(one.problems[i] for i in sorted(order[grant.problems :])),
        grant.samples,
        one.spread,
        one.cost,
        weight,
        one.rolled,
    )
