import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.records import Thought, join_thinking, split_thinking

TAGS = [
    "<think>",
    "</think>",
    "<|begin_of_thought|>",
    "<|end_of_thought|>",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<|channel|>",
    "<|start|>",
    "<|message|>",
    "<|end|>",
    "analysis",
    "final",
]
pieces = st.one_of(st.text(max_size=8), st.sampled_from(["<", "think>", "</", "\n", " ", "|>", "<|"]))
untagged = st.lists(pieces, max_size=8).map("".join).filter(lambda text: not any(tag in text for tag in TAGS))
tagged = st.lists(st.one_of(pieces, st.sampled_from(TAGS)), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>\n3 + 4 is 7\n</think>\n\n7", Thought("3 + 4 is 7", "7", True)),
        ("\n <think>a</think>b", Thought("a", "b", True)),
        ("<think></think>b", Thought("", "b", True)),
        ("<think>\n\n</think>\n\nb", Thought("", "b", True)),
        ("just 7 ", Thought("", "just 7", True)),
        ("", Thought("", "", True)),
        ("3 + 4 is 7</think>7", Thought("3 + 4 is 7", "7", True)),
        ("<think>a</think>b<think>c</think>d", Thought("a\nb\nc", "d", True)),
        ("a</think>b</think>c", Thought("a\nb", "c", True)),
        ("<think>a, and then", Thought("a, and then", "", False)),
        ("Let me see. <think>a, and then", Thought("Let me see. \na, and then", "", False)),
        ("<think>a</think>b<think>c", Thought("a\nb\nc", "", False)),
        ("<think>3 < 4 and <|channel|> is no tag</think>4", Thought("3 < 4 and <|channel|> is no tag", "4", True)),
    ],
)
def test_think_tags(text: str, thought: Thought) -> None:
    assert split_thinking(text) == thought


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        (
            "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nb\n\n<|end_of_solution|>",
            Thought("a", "b", True),
        ),
        ("<|begin_of_thought|>a<|end_of_thought|>b", Thought("a", "b", True)),
        ("a<|end_of_thought|><|begin_of_solution|>b", Thought("a", "b", True)),
        ("<|begin_of_thought|>a", Thought("a", "", False)),
    ],
)
def test_thought_and_solution_blocks(text: str, thought: Thought) -> None:
    assert split_thinking(text) == thought


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            Thought("a", "b", True),
        ),
        (
            "<|start|>assistant<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b",
            Thought("a", "b", True),
        ),
        (
            "<|channel|>analysis<|message|>a<|end|><|channel|>commentary<|message|>c<|end|>"
            "<|channel|>analysis<|message|>d<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
            Thought("a\nc\nd", "b", True),
        ),
        ("a<|end|><|start|>assistant<|channel|>final<|message|>b", Thought("a", "b", True)),
        ("<|channel|>final<|message|>b<|return|>", Thought("", "b", True)),
        ("<|channel|>analysis<|message|>a, and th", Thought("a, and th", "", False)),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>fin", Thought("a", "", False)),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final", Thought("a", "", False)),
        ("<|channel|>final<|message|>b<|end|><|channel|>analysis<|message|>a", Thought("a", "", False)),
    ],
)
def test_harmony_channels(text: str, thought: Thought) -> None:
    assert split_thinking(text) == thought


@given(untagged, untagged)
def test_split_undoes_join(reasoning: str, response: str) -> None:
    assert split_thinking(join_thinking(reasoning, response)) == (reasoning.strip(), response.strip(), True)


def test_join_without_reasoning_adds_no_tags() -> None:
    assert join_thinking("", "7") == "7"
    assert join_thinking(" \n", "7") == "7"
    assert join_thinking("a", "7") == "<think>\na\n</think>\n\n7"


@given(tagged)
def test_no_part_holds_a_tag_of_its_form(text: str) -> None:
    thought = split_thinking("<think>" + text)
    assert not any(tag in part for tag in ("<think>", "</think>") for part in thought[:2])
    assert thought.closed or thought.response == ""


@given(tagged)
def test_what_was_split_splits_the_same_again(text: str) -> None:
    first = split_thinking("<think>a" + text + "</think>" + text)
    if first.closed and first.reasoning:
        assert split_thinking(join_thinking(first.reasoning, first.response)) == first


@pytest.mark.parametrize("unit", ["<think>", "</think>", "<think></think>", "<|channel|>", "<", "<|end"])
def test_time_grows_with_length_not_its_square(unit: str) -> None:
    def seconds(repeats: int) -> float:
        text = "<think>" + unit * repeats
        return min(_timed(text) for _ in range(3))

    # Sixteen times the text: linear is a ratio near 16, quadratic near 256.
    assert seconds(160_000) < 80 * seconds(10_000) + 0.01


def _timed(text: str) -> float:
    start = time.perf_counter()
    split_thinking(text)
    return time.perf_counter() - start
