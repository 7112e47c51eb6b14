"""Mathematical answers: what math-verify is given, and what its verdicts become."""

import threading

import pytest

from shared import math
from titer.verify import check


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


@pytest.mark.parametrize(
    ("formula", "gold", "other"),
    [
        ("2x+1", "2x+1", "2"),
        ("3, 5, 7", "3,5,7", "3"),
        ("6 - 5i", "6-5i", "6"),
        (r"11\sqrt2", r"11\sqrt{2}", "11"),
        ("3:2", "3:2", "3"),
        (r"\sqrt{51}", r"\sqrt{51}", "51"),
        (r"\begin{pmatrix} -2 \\ 7 \end{pmatrix}", r"\begin{pmatrix} -2 \\ 7 \end{pmatrix}", "-2"),
        ("2x+1 for all x", "2x+1", "2"),
        ("therefore x = 2 or x = 3", "2,3", "2"),
        ("3 + 4 = 7", "7", "3"),
        ("C", "C", "D"),
    ],
)
@pytest.mark.parametrize(
    "form", ["The answer is {}.", "With $a = 5$:\n\n**Answer:** {}\nDone in 9 steps.", "Answer:\n**{}**"]
)
def test_a_formula_behind_a_marker_is_read_whole(form: str, formula: str, gold: str, other: str) -> None:
    response = form.replace("{}", formula)
    assert check(math(gold), response).score == 1.0
    assert check(math(other), response).score == 0.0
    assert check(math(gold), f"<answer>The answer is {formula}</answer>").score == 1.0


@pytest.mark.parametrize(
    ("response", "gold"),
    [
        ("The answer is 5 apples.", "5"),
        ("The answer is 5 (3 apples and 2 pears).", "5"),
        ("The answer is 5: 2 pears and 3 apples.", "5"),
        ("Answer: 5 pears * 2 = 10", "10"),
        ("The answer is a number, and it is 5.", "5"),
        ("The answer is 12 V.", "12"),
        ("The answer is 5 m^2.", "5"),
        ("The answer is 7!", "7"),
        ("The answer is 7 €.", "7"),
        ("The answer is 5 or more.", "5"),
        ("The answer is 1+3+5+.... 29 = 225 = 15^2", "225"),
        (r"The answer is \frac{54}{703}, and m+n = 757.", "757"),
        ("We have $x = 5$. This answer is right.", "5"),
    ],
)
def test_words_and_units_around_a_number_are_no_formula(response: str, gold: str) -> None:
    assert check(math(gold), response).score == 1.0
    assert check(math("4"), response).score == 0.0


@pytest.mark.parametrize(
    "response",
    [
        r"The solutions are $\boxed{2}$ and $\boxed{3}$.",
        r"$x=\boxed{2}$ or $x=\boxed{3}$",
        r"\boxed{2}, \boxed{3}",
        r"\(x_1 = \boxed{2},\quad x_2 = \boxed{3}\)",
        r"<answer>\boxed{2} \text{ and } \boxed{3}</answer>",
        r"<answer>\boxed{2}, \boxed{3}</answer> I had thought of \boxed{9} at first.",
    ],
)
def test_boxes_in_a_list_are_one_answer_and_no_two_guesses(response: str) -> None:
    assert check(math("2,3"), response) == (1.0, "2, 3", "")
    assert check(math("2"), response) == (0.0, "3", "")
    assert check(math("2,4"), response) == (0.0, "3", "")


@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{2}, no wait, \boxed{3}",
        r"\boxed{2}. \boxed{3}",
        r"\boxed{2}, \boxed{3}, \boxed{4}",
        r"\boxed{1}, \boxed{2}, \boxed{3}",
        r"\boxed{2}, \boxed{3}, \boxed{}",
    ],
)
def test_boxes_that_are_no_list_of_the_answers_are_not_joined(response: str) -> None:
    assert check(math("2,3"), response).score == 0.0


def test_what_a_colon_announces_is_read_behind_it() -> None:
    assert check(math("7"), "The answer is A: 7").score == 1.0


def test_a_colon_that_ends_its_line_ends_the_formula() -> None:
    assert check(math("2x+1"), "The answer is 2x+1:\nit was 5 before.").score == 1.0
