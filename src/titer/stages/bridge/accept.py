"""The acceptance test of the bridge: one for all candidates, whatever they come from. Ours.

fault = refused(Checks(…), Bounds())       # "" for a candidate that is accepted
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOLD = r"(?:given|provided|reference|original|shown|stated|expected)"
_LEAK = re.compile(
    r"\b(?:given (?:the|that the) (?:correct |final |right )?(?:answer|solution)"
    rf"|(?:the|this) {_TOLD} (?:final |correct )?(?:answer|solution)"
    r"|(?:the )?(?:answer|solution) (?:is|was) (?:given|provided|already known|stated|shown|told)"
    r"|(?:the )?(?:answer|solution) (?:is|was) known(?! to be an?\b)"
    r"|as (?:given|shown|stated) in the (?:answer|solution)"
    r"|as the (?:reference|answer|solution) (?:says|shows|states|gives)"
    r"|the (?:answer|solution) above (?:says|shows|states|gives)"
    r"|according to the (?:answer|solution|reference)"
    r"|knowing (?:that )?the (?:final |correct |right )?(?:answer|solution|result)"
    r"|(?:we|i) (?:know|are told|am told|already know|were told|was told) (?:that )?the (?:answer|solution|result)"
    r"|working backwards? from the (?:answer|solution)"
    r"|match(?:es|ing)? the (?:given|provided|reference|expected) )",
    re.IGNORECASE,
)


class Bounds(NamedTuple):
    """What a candidate must keep to: tokens over those of the raw trace, and the solve rate from its first half."""

    shortest: float = 0.1
    longest: float = 1.5
    solves: float = 0.25


class Checks(NamedTuple):
    """What was found of a candidate. `wrong_step` is the first in which a calculation does not hold (None: in none),
    NLL in nats a trained token, lengths in trained tokens; `half_rate` is None where an earlier check failed."""

    correct: bool | None
    leak: str
    wrong_step: int | None
    tokens: int
    raw_tokens: int
    nll: float
    raw_nll: float
    half_rate: float | None = None


def leak_in(text: str, prompt: str) -> str:
    """The words in which a text says that it was given the answer, where the prompt does not say so; "" for none."""
    found = next((one for one in _LEAK.finditer(text) if one.group().lower() not in prompt.lower()), None)
    return found.group() if found else ""


def refused(checks: Checks, bounds: Bounds) -> str:
    """Why a candidate is not accepted, or ""."""
    return next(_faults(checks, bounds), "")


def _faults(checks: Checks, bounds: Bounds) -> Iterator[str]:
    if checks.correct is not True:
        yield "the answer could not be graded" if checks.correct is None else "the answer is wrong"
    if checks.leak:
        yield f"it says {checks.leak!r}"
    if checks.wrong_step is not None:
        yield f"a calculation in step {checks.wrong_step} does not hold"
    ratio = checks.tokens / checks.raw_tokens
    if not bounds.shortest <= ratio <= bounds.longest:
        yield f"{ratio:.2f} of the raw trace's tokens"
    if checks.nll == float("inf"):
        yield "it does not fit the model's context"
    if checks.nll >= checks.raw_nll:
        yield "no likelier to the student than the raw trace"
    if checks.half_rate is not None and checks.half_rate < bounds.solves:
        yield f"from its first half the student solves {checks.half_rate:.2f}"
