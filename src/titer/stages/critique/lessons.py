"""What is learned from a failed attempt: a diagnosis, a repair, a fresh solution (arXiv 2606.04466).

    diagnosis(attempt, located)             # question and attempt → which step, why, "Conclusion: wrong"
    repair(attempt, located, rollout)       # question and valid beginning → the right rest
    renewal(attempt, rollout)               # question → a whole right solution

Wrong text stands in prompts alone. The wordings are ours; "Conclusion: wrong" is that of arXiv 2501.17703.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from titer.records import Rollout, Trace, kept_turns
from titer.stages.critique.locate import Attempt, Located, numbered

Lesson = Literal["diagnose", "repair", "renew"]

DIAGNOSE = """\
{problem}

This was made:

{steps}

Which step is wrong?"""
REPAIR = """\
{problem}

This is right so far:

{prefix}

Go on from here."""


def diagnosis(attempt: Attempt, located: Located) -> Trace:
    """Which step is wrong, and why."""
    return _lesson(
        attempt,
        "diagnose",
        prompt=DIAGNOSE.format(problem=attempt.problem.prompt, steps=numbered(attempt.steps.pieces)),
        reasoning="",
        response=f"Step {located.step + 1} is wrong. {located.why}\n\nConclusion: wrong",
        located=located,
    )


def repair(attempt: Attempt, located: Located, right: Rollout) -> Trace:
    """The right rest behind the steps before the wrong one. `right` goes on from these."""
    prefix = "".join(attempt.steps.pieces[: located.step]).strip()
    reasoning, response = right.reasoning, right.response
    if attempt.steps.thinking:
        reasoning = _rest(reasoning, prefix)
    else:
        response = _rest(response, prefix)
    return _lesson(
        attempt,
        "repair",
        prompt=REPAIR.format(problem=attempt.problem.prompt, prefix=prefix),
        reasoning=reasoning,
        response=response,
        located=located,
    )


def renewal(attempt: Attempt, right: Rollout | Trace) -> Trace:
    """A whole right solution, of the student's own or a teacher's."""
    return _lesson(
        attempt,
        "renew",
        prompt=attempt.problem.prompt,
        reasoning=right.reasoning,
        response=right.response,
        located=None,
    )


def _rest(text: str, prefix: str) -> str:
    """What stands behind the prefix."""
    return text.strip().removeprefix(prefix).strip()


def _lesson(
    attempt: Attempt, kind: Lesson, *, prompt: str, reasoning: str, response: str, located: Located | None
) -> Trace:
    where = {"wrong_step": located.step, "located_by": located.by} if located else {}
    return replace(
        attempt.trace,
        id=f"{attempt.trace.id}:{kind}",
        teacher="critique",
        prompt=prompt,
        reasoning=reasoning,
        response=response,
        correct=None if kind == "diagnose" else True,
        truncated=False,
        meta={"lesson": kind, **where, **kept_turns(attempt.problem)},
    )
