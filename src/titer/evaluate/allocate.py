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
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """Some problems of a stratum of a suite, asked so often each, and the others, for which they stand. `spread` is the
    variance of one rollout, `cost` the mean tokens of one, by the base."""

    suite: str
    axis: str
    stratum: str
    problems: tuple[str, ...]
    others: tuple[str, ...]
    samples: int
    spread: float
    cost: float

    @property
    def of(self) -> int:
        """Size of the stratum."""
        return len(self.problems) + len(self.others)


class _Stratum(NamedTuple):
    group: Group
    name: str
    problems: list[str]
    spread: float
    cost: float


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
) -> list[Part]:
    """The parts for about so many tokens a checkpoint, a suite's problems asked at most so often as `samples` says.

    `halves` names, by suite and problem, what an axis is the mean of: strata lie within them. Every stratum gets at
    least eight of its problems, whatever that costs.
    """
    strata = [one for group, problems in count(base).items() for one in _strata(group, problems, halves)]
    sizes: dict[str, int] = {}
    for one in strata:
        sizes[one.group.axis] = sizes.get(one.group.axis, 0) + len(one.problems)
    grants = [_Grant(min(FEWEST, len(one.problems)), 1) for one in strata]
    left = tokens - sum(_cost(one, grant) for one, grant in zip(strata, grants, strict=True))
    while True:
        steps = [_next(one, grant, samples[one.group.suite]) for one, grant in zip(strata, grants, strict=True)]
        gains = [
            _gain(one, grant, step, sizes[one.group.axis], left)
            for one, grant, step in zip(strata, grants, steps, strict=True)
        ]
        best = int(np.argmax(gains)) if gains else 0
        if not gains or gains[best] <= 0:
            break
        left -= _cost(strata[best], steps[best]) - _cost(strata[best], grants[best])
        grants[best] = steps[best]
    rng = np.random.default_rng([seed, 10])
    return [_drawn(one, grant, rng) for one, grant in zip(strata, grants, strict=True)]


def resolution(parts: Sequence[Part]) -> dict[str, float]:
    """By axis: half the width that the 95 % interval of a change from the base should have, if changes of problems
    spread as far as single rollouts do."""
    sizes: dict[str, int] = {}
    variance: dict[str, float] = {}
    for part in parts:
        sizes[part.axis] = sizes.get(part.axis, 0) + part.of
    for part in parts:
        share = (part.of / sizes[part.axis]) ** 2
        of_part = share * _of_change(part.spread, part.samples) / len(part.problems)
        variance[part.axis] = variance.get(part.axis, 0.0) + of_part
    return {axis: 1.96 * math.sqrt(found) for axis, found in variance.items()}


def tokens_of(parts: Sequence[Part]) -> int:
    """What the parts should cost a checkpoint, at the base's lengths."""
    return round(sum(len(part.problems) * part.samples * part.cost for part in parts))


def _strata(group: Group, problems: Mapping[str, Counts], halves: Mapping[tuple[str, str], str]) -> Iterator[_Stratum]:
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
            yield _stratum(group, f"{half}-{kind}" if half else kind, of, problems)


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


def _stratum(group: Group, name: str, of: list[str], problems: Mapping[str, Counts]) -> _Stratum:
    # Jeffreys: a problem that was always right is not one that cannot fail
    rates = [(problems[one].correct + 0.5) / (problems[one].graded + 1) for one in of]
    lengths = [problems[one].tokens / max(1, len(problems[one].samples)) for one in of]
    spread = sum(rate * (1 - rate) for rate in rates) / len(rates)
    return _Stratum(group, name, of, spread, max(1.0, sum(lengths) / len(lengths)))


def _next(one: _Stratum, grant: _Grant, samples: int) -> _Grant:
    """The next larger grant: a problem more, or, where all are asked, each once more."""
    if grant.problems < len(one.problems):
        return grant._replace(problems=grant.problems + 1)
    return grant._replace(samples=min(samples, grant.samples + 1))


def _gain(one: _Stratum, grant: _Grant, step: _Grant, size: int, left: float) -> float:
    """Variance of the axis' change that the step takes away, a token; nothing where there is none to pay it."""
    price = _cost(one, step) - _cost(one, grant)
    if not 0 < price <= left:
        return 0.0
    share = (len(one.problems) / size) ** 2
    before, after = (share * _of_change(one.spread, g.samples) / g.problems for g in (grant, step))
    return (before - after) / price


def _of_change(spread: float, samples: int) -> float:
    """Variance of a problem's change: of the problems among themselves, taken as one rollout's, and of the draws."""
    return spread + 2 * spread / samples


def _cost(one: _Stratum, grant: _Grant) -> float:
    return grant.problems * grant.samples * one.cost


def _drawn(one: _Stratum, grant: _Grant, rng: np.random.Generator) -> Part:
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
    )
