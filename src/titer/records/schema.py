"""The four records that everything in titer reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question whose answer a program can check.

    `verifier` is a spec that `titer.verify` understands: `math`, `exact`, `choice`, `countdown`, `refusal`,
    `ifeval`, or `gym:TASK` for any reasoning-gym task. `meta` holds what that verifier needs beyond `answer`
    (the numbers of a countdown, the entry of a reasoning-gym task).
    """

    id: str
    prompt: str
    answer: str
    verifier: str = "math"
    domain: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One teacher's worked solution of one problem.

    `reasoning` is the thinking without its tags ("" when there is none), `response` what follows it.
    `correct` is None until somebody has checked it. `truncated` marks a thinking that never closed, or a
    completion that was cut by its length limit. `answer` and `verifier` carry the gold answer of files that
    hold it beside the trace; with a problem file they stay "".
    """

    id: str
    problem_id: str
    prompt: str
    response: str
    reasoning: str = ""
    teacher: str = ""
    answer: str = ""
    verifier: str = ""
    domain: str = ""
    correct: bool | None = None
    truncated: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One sampled completion of one problem by one model, graded.

    `tokens` counts the completion's tokens, end-of-turn included. `score` is 1.0 right, 0.0 wrong, None could
    not be graded; `parsed` is the answer that the verifier read, None when it found none.
    """

    problem_id: str
    sample: int
    model: str
    prompt: str
    reasoning: str
    response: str
    finish_reason: FinishReason
    tokens: int
    score: float | None = None
    parsed: str | None = None
    suite: str = ""
    axis: str = ""
    note: str = ""

    @property
    def id(self) -> str:
        """`problem_id` and sample number, unique within one model's rollouts."""
        return f"{self.problem_id}#{self.sample}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One choice that a run made, with the rule and the numbers that it came from.

    `setting` is the recipe key that overrides it ("" when nothing does), `evidence` what the rule looked at.
    """

    stage: str
    question: str
    choice: str
    rule: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    setting: str = ""
