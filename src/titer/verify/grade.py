"""The three-valued grade that every verifier returns."""

from __future__ import annotations

from typing import NamedTuple


class Grade(NamedTuple):
    """`score` 1.0 right, 0.0 wrong, None could not be graded. `parsed` is the answer that was read.

    `parsed` None means that no answer was found in the text; such a text is wrong (score 0.0), not ungraded.
    `note` says why a score is None ("timeout", "crash: …").
    """

    score: float | None
    parsed: str | None
    note: str = ""
