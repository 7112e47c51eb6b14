"""The same trace without the lines of attack that lead nowhere: a candidate, never a replacement.

pruned = prune(trace)
pruned.trace, pruned.removed        # the candidate (meta says so), the steps that are gone
pruned.refused                      # why there is none
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from titer.records import Trace
from titer.traces.steps import Step, read_steps

# what a step can hand on: numbers of two and more digits, fractions, and names given by "let x"
_VALUE = re.compile(r"\d+(?:\.\d+)?(?:/\d+)?|\\frac\{[^{}]*\}\{[^{}]*\}")
_NAME = re.compile(r"\b[Ll]et(?:'s)?(?: me)?(?: (?:denote|define|call))? ?[^a-zA-Z]{0,4}(?<!['’])([a-zA-Z](?:_\w+)?)\b")
_LETTER = re.compile(r"(?<!['’])\b[a-zA-Z](?:_\w+)?\b")  # not the s of "let's"
_BACKWARD = re.compile(
    r"\b(?:the (?:first|second|previous|other|earlier|same) (?:approach|method|way|idea|answer|result)"
    r"|as (?:before|above|earlier)"
    r"|(?:earlier|previously),? (?:i|we)\b"
    r"|(?:i|we) (?:found|got|had|tried) (?:earlier|before))",
    re.IGNORECASE,
)


class Pruned(NamedTuple):
    """A candidate without dead lines, and the steps that it lacks; or None, and why."""

    trace: Trace | None
    removed: list[Step]
    refused: str


def prune(trace: Trace) -> Pruned:
    """Remove the steps of dead lines, if nothing that stays refers to them.

    What stays, the response included, refers to what goes when it uses a value or a name that stood neither in the
    prompt nor in an earlier step that stays, or when a step speaks of an earlier approach. The candidate's id ends in
    ":pruned" and its meta holds the id it comes from; its response, and so its answer, is the old one: grade it before
    use.
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
    known, lost, gone = _handed_on(prompt), set[str](), False
    for number, step in enumerate(steps, 1):
        if step.dead:
            lost, gone = lost | (_handed_on(step.text) - known), True
            continue
        if missing := _used(step.text) & lost:
            return f"step {number} uses {sorted(missing)[0]!r} of a step that would go"
        if gone and _BACKWARD.search(step.text):
            return f"step {number} speaks of an earlier approach"
        known |= _handed_on(step.text)
    if missing := _used(response) & lost:
        return f"the response uses {sorted(missing)[0]!r} of a step that would go"
    return ""


def _handed_on(text: str) -> set[str]:
    return {value for value in _VALUE.findall(text) if len(value) > 1} | set(_NAME.findall(text))


def _used(text: str) -> set[str]:
    return {value for value in _VALUE.findall(text) if len(value) > 1} | set(_LETTER.findall(text))
