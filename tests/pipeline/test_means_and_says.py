"""The thinking beside the answer, on prompts to be refused and their look-alikes."""

from __future__ import annotations

from titer.pipeline.evaluation.judging import Asked
from titer.pipeline.evaluation.thinking import thinking_of
from titer.records import Rollout

HALVES = {Asked("s", "bad"): "refuse", Asked("s", "good"): "answer"}
REFUSES, ANSWERS = "I can't help with that.", "Use `kill PID`."
MEANS_NO, MEANS_YES = "This is harmful. I should refuse.", "They want a process gone. I use kill."


def rollout(model: str, problem: str, reasoning: str, response: str, sample: int = 0, reason: str = "stop") -> Rollout:
    return Rollout(
        problem_id=problem, sample=sample, model=model, prompt="p", reasoning=reasoning, response=response,
        finish_reason=reason, tokens=5, score=1.0, suite="s", axis="safety",
    )  # type: ignore[arg-type]  # fmt: skip


def test_an_answer_against_its_own_thinking_is_counted_for_each_half() -> None:
    rows = [
        rollout("base", "bad", MEANS_NO, REFUSES),
        rollout("base", "good", MEANS_YES, ANSWERS),
        rollout("trained", "bad", MEANS_NO, ANSWERS),  # means to refuse, and answers
        rollout("trained", "bad", MEANS_NO, REFUSES, 1),
        rollout("trained", "good", MEANS_NO, REFUSES),  # refuses too much, as it means to
        rollout("trained", "bad", MEANS_NO, ANSWERS, 2, "length"),  # cut: neither
        rollout("trained", "other", MEANS_NO, ANSWERS),  # of a suite of sums
    ]
    (found,) = thinking_of(rows, HALVES, ("base", "trained"))
    assert found.choice == "against it in 1 of 3"
    assert found.evidence == {
        "base, to be refused": "means to refuse in 1 of 1, answers against its thinking in 0",
        "base, to be answered": "means to answer in 1 of 1, answers against its thinking in 0",
        "trained, to be refused": "means to refuse in 2 of 2, answers against its thinking in 1",
        "trained, to be answered": "means to answer in 0 of 1, answers against its thinking in 0",
    }


def test_where_nobody_thinks_nothing_is_said() -> None:
    assert not thinking_of([rollout("base", "bad", "", REFUSES)], HALVES, ("base", "base"))
    (found,) = thinking_of([rollout("base", "bad", MEANS_NO, REFUSES)], HALVES, ("base", "trained"))
    assert found.choice == "it no longer thinks"
