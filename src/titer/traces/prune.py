"""The same trace without the lines of attack that lead nowhere: a candidate, never a replacement.

pruned = prune(trace)
pruned.trace, pruned.removed        # the candidate (meta says so), the steps that are gone
pruned.refused                      # why there is none
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from titer.records import Trace
from titer.traces.steps import Step, read_steps

# what a step can hand on: numbers, fractions, and letters that stand alone and are no words
_VALUE = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:/\d+)?|\\frac\{[^{}]*\}\{[^{}]*\}")
_LETTER = re.compile(r"(?<!['’\\])\b(?![aAI]\b)[a-zA-Z](?:_\w+)?\b")  # not the s of "let's"
_BACKWARD = re.compile(
    r"\b(?:the (?:first|second|previous|other|earlier|same) (?:approach|method|way|idea|answer|result)"
    r"|as (?:before|above|earlier|computed|shown|found|i said)"
    r"|(?:earlier|previously),? (?:i|we)\b"
    r"|(?:i|we) (?:found|got|had|tried|just|already) "
    r"|that's another way|both (?:ways|methods|approaches))",
    re.IGNORECASE,
)
# how a step begins that goes on from the one before it
_GOES_ON = re.compile(
    r"\s*(?:so|then|therefore|thus|hence|yep|yes|yeah|right|no|ok|okay|this|that|these|those|it|they|which|and|but"
    r"|because|since that|now|next|also|still|same|again|similarly|subtract|\W*=)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(r"\b(?:this|that|these|those|it)\b", re.IGNORECASE)
_ANNOUNCES = frozenset({"propose", "verify", "backtrack"})  # steps that say what comes next


class Pruned(NamedTuple):
    """A candidate without dead lines, and the steps that it lacks; or None, and why."""

    trace: Trace | None
    removed: list[Step]
    refused: str


def prune(trace: Trace) -> Pruned:
    """Remove the steps of dead lines, if nothing that stays refers to them.

    What stays, the response included, refers to what goes when it uses a value or a letter that stood neither in the
    prompt nor in an earlier step that stays, when it speaks of an earlier approach, when the step before a gap
    announces what has gone, or when the one behind it goes on from there. Few traces pass, and not every joint that
    does reads well: read some. The candidate's id ends in ":pruned" and its meta holds the id it comes from; its
    response, and so its answer, is the old one: grade it before use.
    """
    steps = read_steps(trace.reasoning)
    removed = [step for step in steps if step.dead]
    if not removed:
        return Pruned(None, [], "no line of attack is dead")
    fault = _broken_joint(trace.prompt, steps, trace.response)
    if fault:
        return Pruned(None, removed, fault)
    reasoning = "".join(step.text for step in steps if not step.dead)
    meta = {**trace.meta, "pruned_from": trace.id, "removed_steps": len(removed)}
    return Pruned(replace(trace, id=f"{trace.id}:pruned", reasoning=reasoning, meta=meta), removed, "")


def _broken_joint(prompt: str, steps: list[Step], response: str) -> str:
    """Where what stays refers to what goes, or ""."""
    known, lost, gone = _named(prompt), set[str](), False
    for number, (before, step) in enumerate(pairwise([None, *steps]), 1):
        assert step is not None
        if step.dead:
            if before and not before.dead and (before.behaviour in _ANNOUNCES or before.text.rstrip().endswith(":")):
                return f"step {number - 1} announces what would go"
            lost |= _named(step.text) - known
            gone = True
            continue
        named = _named(step.text)
        if missing := named & lost:
            return f"step {number} uses {min(missing)!r} of a step that would go"
        if gone and _BACKWARD.search(step.text):
            return f"step {number} speaks of an earlier approach"
        if before and before.dead and (_GOES_ON.match(step.text) or _POINTS.search(step.text)):
            return f"step {number} goes on from a step that would go"
        known |= named
    if missing := _named(response) & lost:
        return f"the response uses {min(missing)!r} of a step that would go"
    return ""


def _named(text: str) -> set[str]:
    """The values and letters of a text."""
    return {*_VALUE.findall(text), *_LETTER.findall(text)}
