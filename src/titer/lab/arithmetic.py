"""Derivations over small whole numbers: the arithmetic that every task of the lab is made of.

steps = derive(random.Random(0), [3, 9, 5])    # ((9, "+", 5, 14), (14, "*", 3, 42))
expression(steps)                              # "( 9 + 5 ) * 3"
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LARGEST = 200  # the tokenizer has one token per number up to here
OPERATORS = "+-*"


class Step(NamedTuple):
    """One equality, `left operator right = result`."""

    left: int
    operator: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right} = {self.result}"


def combine(left: int, operator: str, right: int) -> Step | None:
    """The step of one operation, the larger number first; None when the result leaves 0…LARGEST."""
    left, right = max(left, right), min(left, right)
    result = {"+": left + right, "-": left - right, "*": left * right}[operator]
    return Step(left, operator, right, result) if 0 <= result <= LARGEST else None


def moves(numbers: Sequence[int]) -> Iterator[Step]:
    """Every step that joins two of the numbers."""
    for i, left in enumerate(numbers):
        for right in numbers[i + 1 :]:
            for operator in OPERATORS:
                step = combine(left, operator, right)
                if step is not None:
                    yield step


def after(numbers: Sequence[int], step: Step) -> list[int]:
    """The numbers left once `step` has used its two; the result comes first."""
    rest = list(numbers)
    rest.remove(step.left)
    rest.remove(step.right)
    return [step.result, *rest]


def derive(rng: random.Random, numbers: Sequence[int]) -> tuple[Step, ...]:
    """A random derivation that uses every number once."""
    steps: list[Step] = []
    left = list(numbers)
    while len(left) > 1:
        step = rng.choice(list(moves(left)))
        steps.append(step)
        left = after(left, step)
    return tuple(steps)


def derive_in_order(rng: random.Random, numbers: Sequence[int]) -> tuple[Step, ...] | None:
    """A random derivation from left to right, the numbers as they stand; None when a result leaves the range."""
    steps: list[Step] = []
    value = numbers[0]
    for right in numbers[1:]:
        operator = rng.choice(OPERATORS)
        step = combine(value, operator, right)
        if step is None or step.left != value:
            return None
        steps.append(step)
        value = step.result
    return tuple(steps)


def reachable(numbers: Sequence[int], target: int) -> bool:
    """Whether some derivation that uses every number ends in `target`."""
    if len(numbers) == 1:
        return numbers[0] == target
    return any(reachable(after(numbers, step), target) for step in moves(numbers))


def expression(steps: Sequence[Step]) -> str:
    """The derivation as one expression over the numbers it started from, sub-expressions in parentheses."""
    made: list[tuple[int, str]] = []

    def take(number: int) -> str:
        for i, (value, text) in enumerate(made):
            if value == number:
                del made[i]
                return f"( {text} )"
        return str(number)

    for step in steps:
        left, right = take(step.left), take(step.right)
        made.append((step.result, f"{left} {step.operator} {right}"))
    return made[-1][1]


def near(number: int) -> range:
    """The numbers that a slip may write in its place, itself among them."""
    return range(max(0, number - 9), min(LARGEST, number + 9) + 1)
