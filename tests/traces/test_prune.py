from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.records import Trace
from titer.traces import cut_text, prune, read_steps

TRUNK = "There are 17 sheep. "
DEAD = "Let's try to count the legs. It is long. "
ALIVE = "Alternatively, add the sheep. So 17 + 25 = 42. The answer is 42."


def trace(reasoning: str, prompt: str = "A farmer has 17 sheep and buys 25. How many?") -> Trace:
    return Trace(
        id="t1",
        problem_id="p",
        prompt=prompt,
        reasoning=reasoning,
        response="It is 42.",
        teacher="R1",
        correct=True,
        meta={"source": "x"},
    )


def test_a_dead_line_is_removed() -> None:
    original = trace(TRUNK + DEAD + ALIVE)
    found = prune(original)
    assert found.trace is not None and found.refused == ""
    assert found.trace.reasoning == TRUNK + ALIVE
    assert "".join(step.text for step in found.removed) == DEAD
    assert original.reasoning == TRUNK + DEAD + ALIVE


def test_a_candidate_is_marked() -> None:
    candidate = prune(trace(TRUNK + DEAD + ALIVE)).trace
    assert candidate is not None and candidate.id == "t1:pruned"
    assert candidate.meta == {"source": "x", "pruned_from": "t1", "removed_steps": 2}
    assert (candidate.problem_id, candidate.response, candidate.teacher) == ("p", "It is 42.", "R1")


@pytest.mark.parametrize("reasoning", ["", TRUNK, TRUNK + "Let's try legs. It is long. The answer is 42."])
def test_without_a_dead_line_there_is_nothing_to_prune(reasoning: str) -> None:
    found = prune(trace(reasoning))
    assert (found.trace, found.removed, found.refused) == (None, [], "no line of attack is dead")


@pytest.mark.parametrize(
    ("dead", "alive", "why"),
    [
        ("That gives 168 legs. ", "Alternatively, halve. So 168 / 4 = 42.", "'168'"),
        ("That gives 7/3 each. ", "Alternatively, halve. So it is 7/3.", "'7/3'"),
        ("That gives \\frac{7}{3}. ", "Alternatively, halve \\frac{7}{3}.", "frac{7}{3}"),
        ("Let n be the legs. ", "Alternatively, add. So n = 4.", "'n'"),
        ("Let us say x. Let k_1 be that. ", "Alternatively, add. So k_1 = 4.", "'k_1'"),
        ("It has 4 legs. ", "Alternatively, add. So 4 is even.", "'4'"),
        ("Solving gives k = 17. ", "Alternatively, take 25 = k + 8.", "'k'"),
        ("It is long. ", "Alternatively, add. As before, it is even.", "earlier approach"),
        ("It is long. ", "Alternatively, add. We just saw one.", "earlier approach"),
        ("It is long. That doesn't work. ", "So add.", "goes on from"),
        ("It is long. That doesn't work. ", "Maybe I can do that.", "goes on from"),
        ("It is long. ", "Alternatively, the previous approach was wrong. It is 42.", "earlier approach"),
    ],
)
def test_refused_when_what_stays_needs_what_goes(dead: str, alive: str, why: str) -> None:
    reasoning = TRUNK + "Let's try to count the legs. " + dead + alive
    found = prune(trace(reasoning))
    assert found.trace is None and why in found.refused and found.removed
    number = int(found.refused.split()[1])
    assert not read_steps(reasoning)[number - 1].dead


@pytest.mark.parametrize(
    ("dead", "alive"),
    [
        ("There are 17 and 25 of them. ", "Alternatively, add. So 17 + 25 = 42."),  # the prompt has both
        ("Let's see. ", "Alternatively, let's add. That's it."),  # the s of let's is no name
        ("Let’s see. ", "Alternatively, let’s add. That’s it."),
        ("That gives 168 legs. ", "Alternatively, add. So 1680 + 16 = 42."),  # another number
    ],
)
def test_not_refused_without_need(dead: str, alive: str) -> None:
    assert prune(trace(TRUNK + "Let's try to count the legs. " + dead + alive)).trace is not None


def test_refused_when_the_response_needs_what_goes() -> None:
    reasoning = TRUNK + "Let's try to count the legs. That gives 168 legs. Alternatively, add. So it is even."
    assert prune(trace(reasoning)).trace is not None
    found = prune(replace(trace(reasoning), response="There are 168 legs."))
    assert found.trace is None and found.refused == "the response uses '168' of a step that would go"


def test_a_value_known_before_may_stay() -> None:
    reasoning = "There are 168 legs. " + DEAD + "There are 168 again. " + ALIVE
    assert prune(trace(reasoning)).trace is not None


PIECES = [TRUNK, DEAD, ALIVE + " ", "That doesn't work. ", "Let me check that. ", "Let n be 12. ", "So n = 12.\n\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@settings(deadline=None)
def test_what_stays_and_what_goes_are_the_steps(reasoning: str) -> None:
    found = prune(trace(reasoning))
    assert (found.trace is None) == bool(found.refused)
    assert found.removed == [step for step in read_steps(reasoning) if step.dead]
    if found.trace:
        left = [step.text for step in read_steps(reasoning) if not step.dead]
        assert found.trace.reasoning == "".join(left) and len(found.removed) + len(left) == len(cut_text(reasoning))


def test_what_announces_a_dead_line_keeps_it() -> None:
    found = prune(trace(TRUNK + "Let me check that again:\n\n" + "Maybe so. It is long. " + ALIVE))
    assert found.trace is None and "announces" in found.refused


def test_time_grows_with_the_length() -> None:
    def seconds(count: int) -> float:
        reasoning = "".join(f"Perhaps x is {i}.\nSo it is {7 * i}.\n" for i in range(count))
        began = time.process_time()
        prune(trace(reasoning + "Alternatively, add. So it is even."))
        return time.process_time() - began

    seconds(1000)
    short, long = (min(seconds(count) for _ in range(3)) for count in (2000, 16_000))
    assert long < 32 * short + 0.05  # the square would be 64 times
