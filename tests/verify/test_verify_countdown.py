"""Countdown: right expressions are right, and every way of cheating is wrong."""

import random
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify import check, validate_problem
from titer.verify.arithmetic import Operation, Tree, numbers_of, render, value_of

trees = st.recursive(
    st.integers(1, 30),
    lambda child: st.builds(Operation, st.sampled_from("+-*/"), child, child),
    max_leaves=6,
).filter(lambda tree: isinstance(tree, Operation))


def problem(numbers: Sequence[int] = (3, 5, 8), target: int = 64, **meta: object) -> Problem:
    return Problem(
        id="c", prompt="", answer="", verifier="countdown", meta={"numbers": numbers, "target": target, **meta}
    )


def exact(tree: Tree) -> Fraction | None:
    try:
        return value_of(tree)
    except ZeroDivisionError:
        return None


@given(trees, st.randoms(), st.sampled_from(["{}", r"\boxed{{{}}}", "The answer is {}.", "Answer: **{}**", "a\n{}\n"]))
def test_a_rendered_solution_is_right(tree: Tree, rng: random.Random, form: str) -> None:
    value = exact(tree)
    assume(value is not None and value.denominator == 1)
    numbers = numbers_of(tree)
    rng.shuffle(numbers)
    grade = check(problem(numbers, int(value)), form.format(render(tree)))
    assert grade == (1.0, render(tree), "")


@given(trees, trees)
def test_another_tree_is_right_only_if_the_rationals_say_so(tree: Tree, other: Tree) -> None:
    value = exact(tree)
    assume(value is not None and value.denominator == 1)
    grade = check(problem(numbers_of(tree), int(value)), render(other))
    is_right = sorted(numbers_of(other)) == sorted(numbers_of(tree)) and exact(other) == value
    assert grade == (float(is_right), render(other), grade.note)
    assert bool(grade.note) != is_right


@given(trees, st.integers(-3, 3).filter(bool))
def test_a_missed_target_is_wrong(tree: Tree, off: int) -> None:
    value = exact(tree)
    assume(value is not None and value.denominator == 1)
    grade = check(problem(numbers_of(tree), int(value) + off), render(tree))
    assert grade.score == 0.0
    assert grade.note == f"the value is {value}, not {value + off}"


@pytest.mark.parametrize(
    ("response", "note"),
    [
        ("(3 + 5) * 9", "9 is not among the numbers"),
        ("8 * 8", "8 is used 2 times, given 1"),
        ("8 * 3", "5 is not used"),
        ("64", "64 is not among the numbers"),
        ("38 + 5 + 8", "38 is not among the numbers"),
        ("3 + 5 + 8", "the value is 16, not 64"),
        ("8 / (5 - 3) * 16", "16 is not among the numbers"),
        ("(3 + 5) * 8 = 65", "the value is 64, not 65 as stated"),
        ("3 + 5 + 8 = 64", "the value is 16, not 64 as stated"),
        ("(3 + 5) * 8 + 3 / (5 - 5)", "3 is used 2 times, given 1"),
    ],
)
def test_notes_say_what_failed(response: str, note: str) -> None:
    grade = check(problem(), response)
    assert (grade.score, grade.note) == (0.0, note)
    assert grade.parsed is not None


def test_division_by_zero_is_wrong() -> None:
    assert check(problem((5, 5, 8), 8), "8 / (5 - 5)") == (0.0, "8 / (5 - 5)", "division by zero")


def test_rationals_are_exact() -> None:
    assert check(problem((3, 3, 8, 8), 24), "8 / (3 - 8 / 3)").score == 1.0
    huge = 10**17  # as floats, (10**17 + 1) - 10**17 would be 0
    assert check(problem((huge, 1, huge), 1), f"({huge} + 1) - {huge}").score == 1.0
    assert check(problem((huge, 1, huge), 0), f"({huge} + 1) - {huge}").score == 0.0


@pytest.mark.parametrize(
    "response",
    [
        *(
            "",
            "I give up.",
            "2 ** 6",
            "3 5 + 8",
            "8(3 + 5)",
            "8.0 * (3 + 5)",
            "(3 + 5) * 8 = 8 * 8",
            "64 = (3 + 5) * 8",
        ),
        *(r"\boxed{8(3+5)} since (3 + 5) * 8", r"\boxed{}" + "\n(3 + 5) * 8", "(3+5)*8 = 64.5", "8 * (3 + 5"),
    ],
)
def test_what_is_no_expression_is_not_parsed(response: str) -> None:
    assert check(problem(), response) == (0.0, None, "no expression found")


@pytest.mark.parametrize(
    "response",
    [
        "(3 + 5) * 8",
        "(3 + 5) × 8 = 64",
        r"$\left(3 + 5\right) \times 8 = 64$",
        r"\[ (3 + 5) \cdot 8 \]",
        "So 3 + 5 is 8.\n8 * 3 + 5\n(3 + 5) * 8",
        "3 * 5 + 8\n\nThe answer is:\n\n(3 + 5) * 8 = 64\n\n8 + 5 + 3",
        "The answer is right here.\n(3 + 5) * 8\nThat was it.",
        r"3 + 5 + 8" + "\n" + r"\boxed{(3 + 5) \times 8 = 64}" + "\n3 + 5 + 8",
        r"\boxed{\dfrac{8}{1} * 8} or \boxed{$(3+5)*8$}",
        "**Answer:** (3 + 5) * 8.",
        "**(3 + 5) * 8**.",
        "(3 + 5) * 8\nThat was it.",
    ],
)
def test_where_the_expression_is_read(response: str) -> None:
    assert check(problem(), response) == (1.0, "(3 + 5) * 8", "")


@pytest.mark.parametrize(
    "response",
    [
        "8 - 3 = 5\nThis answer is what we wanted.",
        "Step: 8-3 = 5\n8 - 3\nSo 5 it is. The answer is correct.",
        "3 + 8 = 11\n8 - 3 = 5\nAnswer: that one",
    ],
)
def test_a_marker_that_no_expression_follows_does_not_hide_those_before_it(response: str) -> None:
    assert check(problem((3, 8), 5), response) == (1.0, "8 - 3", "")


@pytest.mark.parametrize("answer", ["Answer: 18 + ( 15 -", "Answer: 7 apples"])
def test_an_answer_of_numbers_that_reads_as_none_is_not_replaced_by_a_step(answer: str) -> None:
    assert check(problem((3, 8), 5), f"8 - 3 = 5\n{answer}").parsed is None


def test_of_a_tagged_answer_any_line_may_be_the_expression() -> None:
    assert check(problem((3, 8), 5), "<answer>so:\n8 - 3\nas was asked</answer>").parsed == "8 - 3"


@pytest.mark.parametrize(
    "response",
    ["<answer>-3 + 8</answer>", "<answer>- 3 + 8</answer>", r"\boxed{-3 + 8}", "Answer: -3 + 8", "-3 + 8 = 5"],
)
def test_an_expression_may_begin_with_a_minus(response: str) -> None:
    assert check(problem((3, 8), 5), response) == (1.0, "(-3) + 8", "")
    assert check(problem((3, 8), 5, operators="+"), response).note == "operator - is not allowed"


def test_a_bullet_is_no_minus() -> None:
    assert check(problem((3, 8), 5), "Steps:\n- 3 + 8").parsed is None
    assert check(problem(), "(3 + 5) * 8\n- 3 + 5 = 8\n-8 * 8").score == 1.0


def test_use_subset_allows_numbers_to_be_left_out() -> None:
    subset = problem((3, 5, 8, 7), 64, use="subset")
    assert check(subset, "(3 + 5) * 8").score == 1.0
    assert check(subset, "8 * 8").note == "8 is used 2 times, given 1"


@pytest.mark.parametrize("minus", ["-", "−"])
def test_a_value_below_zero_may_be_stated(minus: str) -> None:
    assert check(problem((3, 5), -2), f"3 - 5 = {minus}2").score == 1.0
    assert check(problem((3, 5), -2), f"3 - 5 = {minus}3").note == "the value is -2, not -3 as stated"


def test_operators_are_restricted() -> None:
    assert check(problem((2, 3), 6, operators="+-"), "2 * 3").note == "operator * is not allowed"
    assert check(problem((2, 3), 5, operators="+-"), "2 + 3").score == 1.0


def test_order_given() -> None:
    ordered = problem((5, 3, 8), 64, order="given")
    assert check(ordered, "(5 + 3) * 8").score == 1.0
    assert check(ordered, "(3 + 5) * 8").note == "the numbers are not in the given order"
    skipping = problem((5, 1, 3, 8), 64, order="given", use="subset")
    assert check(skipping, "(5 + 3) * 8").score == 1.0


@pytest.mark.parametrize(
    ("meta", "field", "wanted", "found"),
    [
        ({"target": 3}, "numbers", "a list of numbers", "nothing"),
        ({"numbers": [], "target": 3}, "numbers", "a list of numbers", "[]"),
        ({"numbers": "35", "target": 3}, "numbers", "a list of numbers", "'35'"),
        ({"numbers": [3, 1.5], "target": 3}, "numbers", "whole numbers from 0 up", "[3, 1.5]"),
        ({"numbers": [3, True], "target": 3}, "numbers", "whole numbers from 0 up", "[3, True]"),
        ({"numbers": [3, -1], "target": 3}, "numbers", "whole numbers from 0 up", "[3, -1]"),
        ({"numbers": [3]}, "target", "a whole number", "nothing"),
        ({"numbers": [3], "target": "3"}, "target", "a whole number", "'3'"),
        ({"numbers": [3], "target": 3, "use": "some"}, "use", '"all" or "subset"', "'some'"),
        ({"numbers": [3], "target": 3, "order": "up"}, "order", '"any" or "given"', "'up'"),
        ({"numbers": [3], "target": 3, "operators": "X"}, "operators", 'a string of some of "+-*/"', "'X'"),
        ({"numbers": [3], "target": 3, "operators": ""}, "operators", 'a string of some of "+-*/"', "''"),
    ],
)
def test_malformed_meta_is_refused(meta: dict[str, Any], field: str, wanted: str, found: str) -> None:
    with pytest.raises(InputError) as refusal:
        validate_problem(Problem(id="c9", prompt="", answer="", verifier="countdown", meta=meta))
    assert refusal.value.field == f"meta.{field}"
    assert f"problem 'c9': a countdown needs {wanted}, found {found};" in str(refusal.value)


def test_nothing_and_one_are_numbers() -> None:
    assert check(problem((0, 1, 7), 7), "(7 - 0) * 1").score == 1.0


def test_random_solutions_over_many_forms() -> None:
    rng = random.Random(5)
    for _ in range(300):
        numbers = [rng.randint(1, 50) for _ in range(rng.randint(2, 6))]
        tree = numbers[0]
        for number in numbers[1:]:
            pair = (tree, number) if rng.random() < 0.5 else (number, tree)
            tree = Operation(rng.choice("+-*"), *pair)
        latex = render(tree).replace("*", rng.choice([r"\times", r"\cdot", "×", "*"]))
        target = int(value_of(tree))
        assert check(problem(numbers, target), rf"\boxed{{{latex} = {target}}}").score == 1.0
        assert check(problem(numbers, target), rf"\boxed{{{latex} = {target + 1}}}").score == 0.0
