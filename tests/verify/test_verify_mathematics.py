"""Mathematical answers: what math-verify is given, and what its verdicts become."""

import threading

import pytest

from titer.records.schema import Problem
from titer.verify import check


def math(answer: str) -> Problem:
    return Problem(id="m", prompt="", answer=answer, verifier="math")


@pytest.mark.parametrize(
    ("gold", "response", "score"),
    [
        ("5", r"\boxed{5}", 1.0),
        ("5", r"\boxed{6}", 0.0),
        (r"\frac{1}{2}", r"So it is \boxed{0.5}.", 1.0),
        (r"\frac{1}{2}", r"\boxed{\dfrac{2}{4}}", 1.0),
        ("5", r"\boxed{5}, no wait, \boxed{6}", 0.0),
        ("6", r"\boxed{5}, no wait, \boxed{6}", 1.0),
        ("6", r"The final answer is 5, I hope. \boxed{6}", 1.0),
        ("x^2 + 2x + 1", r"\boxed{(x+1)^2}", 1.0),
        ("(1, 2)", r"\boxed{(2, 1)}", 0.0),
        (r"\sqrt{8}", r"\boxed{2\sqrt{2}}", 1.0),
        ("1,234", r"\boxed{1234}", 1.0),
        (r"\dfrac{1}{29,\!322,\!216}", r"\boxed{\frac{1}{29322216}}", 1.0),
        ("29322216", r"\boxed{29\,322\,216}", 1.0),
        ("10000", r"\boxed{10{,}000}", 1.0),
        (r"\boxed{7}", r"\boxed{7}", 1.0),
        ("$7$", r"\boxed{7}", 1.0),
        (r"30^\circ.", r"\boxed{30^\circ}", 1.0),
        ("43_5.", r"\boxed{43_5,}", 1.0),
        ("7", "The answer is 7.", 1.0),
        ("7", "After some work we get $x = 7$", 1.0),
        (r"\text{Evelyn}", r"\boxed{\text{Evelyn}}", 1.0),
        (r"\text{Evelyn}", r"\boxed{\text{Angela}}", 0.0),
    ],
)
def test_equality(gold: str, response: str, score: float) -> None:
    grade = check(math(gold), response)
    assert grade.score == score
    assert grade.note == ""
    assert grade.parsed


def test_parsed_is_the_text_that_was_read() -> None:
    assert check(math("5"), r"\boxed{ 2 + 3 }").parsed == "2 + 3"
    assert check(math("5"), "It is **5**.").parsed == "5"


@pytest.mark.parametrize("response", ["", "I do not know.", r"\boxed{}"])
def test_nothing_read_is_wrong_and_not_parsed(response: str) -> None:
    assert check(math("5"), response) == (0.0, None, "")


@pytest.mark.parametrize("response", [r"\boxed{\frac{1}{}", r"\boxed{]}", r"\boxed{\heartsuit\heartsuit)(}"])
def test_an_unreadable_answer_is_wrong(response: str) -> None:
    assert check(math("5"), response).score == 0.0


@pytest.mark.parametrize("response", [r"\boxed{5}", "", r"\boxed{]}"])
def test_an_unreadable_gold_leaves_every_response_ungraded(response: str) -> None:
    grade = check(math("]"), response)
    assert (grade.score, grade.note) == (None, "gold cannot be parsed")
    assert check(math("]"), r"\boxed{5}").parsed == "5"


def test_it_needs_no_signal_and_so_runs_in_any_thread() -> None:
    grades = []
    thread = threading.Thread(target=lambda: grades.append(check(math("5"), r"\boxed{5}")))
    thread.start()
    thread.join()
    assert grades == [(1.0, "5", "")]


def test_what_math_verify_raises_while_comparing_leaves_the_response_ungraded() -> None:
    assert check(math(r"\frac{1}{0}"), r"\boxed{5}") == (None, None, "crash: ValueError: Can't evaluate nan or zoo")


def test_an_answer_with_more_digits_than_python_turns_into_an_integer_is_wrong() -> None:
    assert check(math("5"), "The answer is " + "9" * 5000) == (0.0, None, "")
