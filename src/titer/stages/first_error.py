"""Where an attempt goes wrong: the number of its first wrong step.

    place = first_wrong_step("First, 3 + 4 = 8, …")      # 0, or None where nothing can be told

An equality that does not hold is wrong whatever it is for, so what is found is nearly always an error; but most errors
of real attempts are not arithmetic, and are not seen here (`benchmarks/first_error.py`).
"""

from __future__ import annotations

from titer.traces import cut_text
from titer.verify.equalities import Equality, equalities


def first_wrong_step(text: str) -> int | None:
    """The first step, from 0, in which an equality of plain numbers does not hold; None where all do."""
    wrong = first_false(text)
    return None if wrong is None else step_at(cut_text(text), wrong.start)


def first_false(text: str) -> Equality | None:
    """The first equality of plain numbers that does not hold."""
    return next((one for one in equalities(text) if not one.holds), None)


def step_at(steps: list[str], place: int) -> int:
    """The step that a character of the text stands in."""
    end = 0
    for number, step in enumerate(steps):
        end += len(step)
        if place < end:
            return number
    return max(0, len(steps) - 1)
