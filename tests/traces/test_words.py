from __future__ import annotations

import re

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from titer.traces.cut import join
from titer.traces.words import Words, find_words

WORDS = Words.of({"another": True, "let's": True, "satisf": False, "另一种": True, "is it": True})


def found(*texts: str) -> list[tuple[int, int]]:
    matches = find_words(WORDS, join([text.encode() for text in texts]))
    return list(zip(matches.phrase_M.tolist(), matches.start_M.tolist(), strict=True))


def test_phrases_and_their_places() -> None:
    assert found("Another x.", "y: LET'S") == [(0, 4), (1, 21)]
    assert found("它有另一种解法") == [(3, 10)]


def test_whole_words_only() -> None:
    assert found("anothers xanother another1 1another an other") == []
    assert [phrase for phrase, _ in found("another, (another) _another_ another's")] == [0] * 4
    assert [phrase for phrase, _ in found("satisfies unsatisfied SATISFY")] == [2, 2]


def test_no_phrase_spans_texts_or_lines() -> None:
    assert found("is", "it", "is\nit", "ano", "ther") == []


def test_the_step_of_a_match_is_the_one_that_it_begins_in() -> None:
    matches = find_words(WORDS, join([b"another. another another."]))
    assert matches.step_of(np.array([4, 13])).tolist() == [0, 1, 1]


@given(
    st.text("another LET'S\n.1é", max_size=40)
    | st.lists(st.sampled_from(["another", " ", "x", "Another."])).map("".join)
)
@settings(deadline=None)
def test_every_whole_word_is_found(text: str) -> None:
    naive = re.finditer(r"(?<![a-z0-9])another(?![a-z0-9])", text.lower(), re.ASCII)
    starts = [4 + len(text[: match.start()].encode()) for match in naive]
    assert [start for phrase, start in found(text) if phrase == 0] == starts
