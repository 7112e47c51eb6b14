"""Stop strings end a response, never a thinking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.generate import cut_at_stop
from titer.records.thinking import split_thinking

WORDS = st.text(alphabet="ab \n.", max_size=12)
STOPS = st.lists(st.text(alphabet="ab\n.", min_size=1, max_size=2), min_size=1, max_size=2).map(tuple)


@pytest.mark.parametrize(
    ("text", "opener", "kept"),
    [
        ("7 ## 8", "", "7 "),
        ("<think>a ## b</think>7", "", None),
        ("<think>a ## b</think>7 ## 8", "", "<think>a ## b</think>7 "),
        ("<think>a ## b", "", None),
        ("a ## b", "<think>", None),
        ("a ## b</think>7 ## 8", "<think>", "a ## b</think>7 "),
        ("a ## b</think>7 ## 8", "<think>c ## d", "a ## b</think>7 "),
        ("8 ## 9", "<think>a</think>7", "8 "),
        ("##", "<think>a</think>7 ## ", ""),
        ("<|begin_of_thought|>a ## b", "", None),
        ("<|channel|>analysis<|message|>a ## b<|end|>", "", None),
        ("<|channel|>analysis<|message|>a ## b<|end|><|start|>assistant<|channel|>final<|message|>7 ## 8", "", ...),
        # Two final messages are one response that stands nowhere in the text: left alone.
        ("<|channel|>final<|message|>7 ## 8<|end|><|start|>assistant<|channel|>final<|message|>9", "", None),
    ],
)
def test_only_the_response_is_searched(text: str, opener: str, kept: str | None) -> None:
    expected = text.rpartition("##")[0] if kept is ... else kept
    assert cut_at_stop(text, ("##",), opener=opener) == expected


def test_the_earliest_stop_string_wins() -> None:
    assert cut_at_stop("a. b! c.", ("!", ".")) == "a"


@pytest.mark.parametrize("beginning", ["", "<", "<thi", "<think", "\n<|begin_of"])
def test_a_tag_that_is_being_written_is_no_response_yet(beginning: str) -> None:
    assert cut_at_stop(beginning, ("<", "\n", "|")) is None


def test_blank_lines_before_the_response_do_not_stop_it() -> None:
    assert cut_at_stop("<think>a</think>\n\n7\n\n8", ("\n\n",)) == "<think>a</think>\n\n7"


@given(thinking=WORDS, response=WORDS, stop=STOPS)
def test_the_response_ends_before_its_first_stop_string(thinking: str, response: str, stop: tuple[str, ...]) -> None:
    text = f"<think>{thinking}</think>{response.lstrip()}"
    cut = cut_at_stop(text, stop)
    before = min(part for string in stop if (part := len(response.lstrip().partition(string)[0])) >= 0)
    if before == len(response.lstrip()):
        assert cut is None
    else:
        assert cut == f"<think>{thinking}</think>{response.lstrip()[:before]}"
        assert split_thinking(cut).reasoning == thinking.strip()


@given(thinking=WORDS, stop=STOPS)
def test_an_open_thinking_is_never_stopped(thinking: str, stop: tuple[str, ...]) -> None:
    assert cut_at_stop(f"<think>{thinking}", stop) is None
    assert cut_at_stop(thinking, stop, opener="<think>") is None
