"""Instructions as IFEval checks them."""

from __future__ import annotations

from typing import Any

import pytest

from titer.errors import InputError
from titer.records import Problem
from titer.verify import check, validate_problem
from titer.verify.verifiers import ifeval as module

pytest.importorskip("if_verifiable")


def problem(*instructions: str, kwargs: list[dict[str, Any]] | None = None) -> Problem:
    meta = {"instruction_id_list": list(instructions), "kwargs": kwargs or [{} for _ in instructions]}
    return Problem(id="i", prompt="Do as told.", answer="follow", verifier="ifeval", meta=meta)


def test_every_instruction_counts() -> None:
    both = problem(
        "punctuation:no_comma",
        "length_constraints:number_words",
        kwargs=[{}, {"relation": "at least", "num_words": 3}],
    )
    assert check(both, "One two three") == (1.0, "2 of 2", "")
    assert check(both, "One, two, three") == (0.0, "1 of 2", "")
    assert check(both, " ") == (0.0, None, "")


def test_an_unknown_instruction_is_refused() -> None:
    with pytest.raises(InputError, match="no instruction 'punctuation:no_semicolon'"):
        validate_problem(problem("punctuation:no_semicolon"))
    with pytest.raises(InputError, match="do not match"):
        validate_problem(problem("punctuation:no_comma", kwargs=[{}, {}]))


def test_sentences_cannot_be_counted_without_their_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has_data", lambda _: False)
    with pytest.raises(InputError, match="needs NLTK's punkt"):
        validate_problem(problem("length_constraints:number_sentences", kwargs=[{"relation": "at least"}]))


@pytest.mark.parametrize("kwargs", [{}, {"relation": "at least"}, {"relation": "at least", "words": 3}])
def test_what_has_not_its_arguments_is_refused(kwargs: dict[str, Any]) -> None:
    """The package would draw them at random, and grade by these."""
    with pytest.raises(InputError, match="has not its arguments; give num_words, relation"):
        validate_problem(problem("length_constraints:number_words", kwargs=[kwargs]))
    validate_problem(problem("length_constraints:number_words", kwargs=[{"relation": "at least", "num_words": 3}]))


def test_whole_numbers_may_have_come_through_a_table() -> None:
    given = {"num_paragraphs": 1.0, "nth_paragraph": 1.0, "first_word": "one", "num_words": float("nan")}
    first_word = problem("length_constraints:nth_paragraph_first_word", kwargs=[given])
    validate_problem(first_word)
    assert check(first_word, "One two.") == (1.0, "1 of 1", "")
    assert check(first_word, "Two one.") == (0.0, "0 of 1", "")


@pytest.mark.parametrize("count", [2.5, "3", True, [3], float("inf")])
def test_a_count_that_is_no_whole_number_is_refused(count: object) -> None:
    with pytest.raises(
        InputError, match="num_words of length_constraints:number_words is .*, no whole number"
    ) as refusal:
        validate_problem(
            problem("length_constraints:number_words", kwargs=[{"relation": "at least", "num_words": count}])
        )
    assert refusal.value.field == "meta.kwargs"
