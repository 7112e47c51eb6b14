from __future__ import annotations

import pytest

from titer.records import Trace
from titer.traces import read_steps, text_of


def test_steps_say_what_they_do_and_where_they_stand() -> None:
    text = "It is seven. Let's try x. It is é. Alternatively, y. So 2 = 2. The answer is 2."
    steps = read_steps(text)
    assert [(step.behaviour, step.line, step.dead) for step in steps] == [
        ("deduce", 0, False),
        ("propose", 1, True),
        ("deduce", 1, True),
        ("propose", 2, False),
        ("deduce", 2, False),
        ("recap", 2, False),
    ]
    assert [text[step.start : step.end] for step in steps] == [step.text for step in steps]
    assert steps[-1].end == len(text)


def test_no_text_no_steps() -> None:
    assert read_steps("") == []


@pytest.mark.parametrize(
    ("reasoning", "response", "read"), [("thought", "said", "thought"), ("", "said", "said"), (" \n", "said", "said")]
)
def test_what_is_read_of_a_trace(reasoning: str, response: str, read: str) -> None:
    assert text_of(Trace(id="t", problem_id="p", prompt="?", reasoning=reasoning, response=response)) == read
