"""What the thinking of answers to a suite of refusals comes to, beside the answers themselves.

thinking_of(rollouts, halves_of(suites), ("base", "trained"))        # a statement for the report

Safety is judged by the text after the thinking. A model may mean to refuse and answer, or the other way round: that is
no axis of its own, and is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from titer.evaluate.metrics import Halves
from titer.evaluate.refusals import Answer, label_thinking
from titer.pipeline.evaluation.judging import Asked
from titer.records import Decision, Rollout
from titer.verify.verifiers.refusal import label_refusal

MEANS = {"refuse": "means to refuse", "answer": "means to answer"}
TO_BE = {"refuse": "to be refused", "answer": "to be answered"}


class _Thought(NamedTuple):
    """A rollout with thinking, by rules: what it comes to, what the answer is, and what was to be done."""

    half: str
    thinking: str
    label: str


def thinking_of(rollouts: Iterable[Rollout], halves: Halves, models: Sequence[str]) -> list[Decision]:
    """The statement; none where no model thinks on a prompt that is to be refused or answered."""
    rows = list(rollouts)
    found = {name: [*_thoughts(rows, halves, name)] for name in models}
    if not any(found.values()):
        return []
    *_, last = models
    against = _against(found[last])
    by_half = {
        f"{name}, {TO_BE[half]}": [one for one in some if one.half == half]
        for name, some in found.items()
        for half in TO_BE
    }
    return [
        Decision(
            stage="evaluate",
            question="Does the thinking mean what the answer says?",
            choice=f"against it in {len(against)} of {len(found[last])}" if found[last] else "it no longer thinks",
            rule="the last words about refusing in the thinking, beside the answer's label; cut ones are left out",
            evidence={name: _told(some) for name, some in by_half.items() if some},
        )
    ]


def _thoughts(rollouts: Iterable[Rollout], halves: Halves, model: str) -> Iterator[_Thought]:
    for one in rollouts:
        half = halves.get(Asked(one.suite, one.problem_id), "")
        thinking = label_thinking(Answer("", one.response, one.reasoning))
        if one.model == model and half in TO_BE and thinking and one.finish_reason == "stop" and one.response.strip():
            yield _Thought(half, thinking, label_refusal(one.response))


def _against(thoughts: Sequence[_Thought]) -> list[_Thought]:
    """Those that refuse although the thinking means to answer, or answer although it means to refuse."""
    said = {"full_refusal": MEANS["refuse"], "full_compliance": MEANS["answer"]}
    return [one for one in thoughts if said.get(one.label, one.thinking) != one.thinking]


def _told(thoughts: Sequence[_Thought]) -> str:
    means, against = sum(one.thinking == MEANS[one.half] for one in thoughts), len(_against(thoughts))
    return f"{MEANS[thoughts[0].half]} in {means} of {len(thoughts)}, answers against its thinking in {against}"
