"""Attempts that go wrong at a known step, to hold locators of errors against: for tests and benchmarks/first_error.py.

slipped = slip(item, "result", seed=0)      # slipped.trace, slipped.step: 2
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

from titer.lab.arithmetic import Step, after, combine, derive, moves, near, reachable
from titer.lab.tasks import Item, listing
from titer.lab.teachers import say
from titer.records import Trace

Kind = Literal["result", "number", "turn"]


class Slip(NamedTuple):
    """A trace, and the number of its first wrong step, from 0 (the step before all derivation is 0)."""

    trace: Trace
    step: int


def slip(item: Item, kind: Kind, *, seed: int) -> Slip:
    """The item's derivation with one wrong step, and a right one from there to wherever it leads.

    `result` writes a wrong result of an operation; `number` uses a number that is not there, and calculates rightly;
    `turn` is right in itself, and the target cannot be reached from there.
    """
    rng = random.Random(f"{kind}:{seed}:{item.problem.id}")
    numbers = list(item.problem.meta["numbers"])
    at = rng.randrange(len(item.steps))
    if kind == "turn":
        return _turn(item, at, rng)
    said = [f"We need {item.problem.answer} from {listing(numbers)}."]
    for i in range(len(item.steps)):
        right = item.steps[i] if i <= at else derive(rng, numbers)[0]
        step = _wrong(rng, right, kind, numbers) if i == at else right
        numbers = [step.result, *after(numbers, right)[1:]]
        said.append(say(rng, step, numbers, first=i == 0, abandoned=False))
    return Slip(_failed(item, kind, said, numbers[0]), at + 1)


def _turn(item: Item, at: int, rng: random.Random) -> Slip:
    """The item's derivation up to step `at` (or the next from which there is a dead end), then away from the target."""
    numbers, target = list(item.problem.meta["numbers"]), int(item.problem.answer)
    said, wrong = [f"We need {target} from {listing(numbers)}."], -1
    for i, right in enumerate(item.steps):
        step = right
        if wrong >= 0:
            step = rng.choice(list(moves(numbers)))
        elif i >= at and (lost := [one for one in moves(numbers) if not reachable(after(numbers, one), target)]):
            step, wrong = rng.choice(lost), i
        numbers = after(numbers, step)
        said.append(say(rng, step, numbers, first=i == 0, abandoned=False))
    return Slip(_failed(item, "turn", said, numbers[0]), wrong + 1)


def _failed(item: Item, kind: Kind, said: list[str], end: int) -> Trace:
    return Trace(
        id=f"{item.problem.id}:{kind}",
        problem_id=item.problem.id,
        prompt=item.problem.prompt,
        reasoning="\n\n".join(said),
        response=f"Answer: {end}",
        domain=item.problem.domain,
        correct=False,
    )


def _wrong(rng: random.Random, right: Step, kind: Kind, numbers: Sequence[int]) -> Step:
    """The step with another result, or with a number in it that is not among `numbers`."""
    if kind == "result":
        others = [n for n in near(right.result) if n != right.result]
        return right._replace(result=rng.choice(others))
    steps = [combine(other, right.operator, right.right) for other in near(right.left) if other not in numbers]
    return rng.choice([step for step in steps if step and step.result != right.result])
