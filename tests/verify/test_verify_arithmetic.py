"""The expression reader: what it takes, what it refuses, and that its values are exact."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.verify.arithmetic import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    Negation,
    Operation,
    Tree,
    numbers_of,
    operators_of,
    read_expression,
    render,
    value_of,
)

trees = st.recursive(
    st.integers(0, 99),
    lambda child: st.builds(Operation, st.sampled_from("+-*/"), child, child),
    max_leaves=8,
)


@given(trees)
def test_what_is_rendered_reads_as_the_same_tree(tree: Tree) -> None:
    assert read_expression(render(tree)) == tree


@given(trees)
def test_value_agrees_with_python(tree: Tree) -> None:
    text = render_fully(tree)
    try:
        expected = eval(text, {"Fraction": Fraction})  # the test wrote this text itself
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            value_of(tree)
    else:
        assert value_of(tree) == expected


@given(st.text(alphabet="0123456789+-*/() ×÷·−.^=x{}\\frac", max_size=40))
def test_any_text_is_refused_or_reads_back(text: str) -> None:
    tree = read_expression(text)
    assert tree is None or read_expression(render(tree)) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("0", 0),
        ("1 + 2 * 3", 7),
        ("8 - 3 - 2", 3),
        ("16 / 4 / 2", 2),
        ("8 - (3 - 2)", 7),
        ("((((5))))", 5),
        ("1 / 3 + 1 / 3 + 1 / 3", 1),
        ("3 × 4 ÷ 6 − 1 · 2", 0),
        (r"3 \times 4 \div 6 - 1 \cdot 2", 0),
        (r"\frac{8}{2}", 4),
        (r"\dfrac{1 + \frac{1}{2}}{3} \times 2", 1),
        (r"\left( 1 + 2 \right) \cdot 3", 9),
        ("(1+2)*(3+4)", 21),
        ("2*3\t+\n1", 7),
    ],
)
def test_values(text: str, value: int) -> None:
    assert value_of(read_expression(text)) == value


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "()", "+", "1 +", "+ 1", "-1", "3 - -1", "3 * (-1)", "1 2", "1 + 2 3", "12 3"),
        *("2(3)", "(2)(3)", "2 (3 + 4)", r"2\frac{1}{2}", "(1", "1)", ")1(", "((1)", "{1}", "[1]"),
        *("2 ** 3", "2^3", "7 // 2", "7 % 2", "1.5", ".5", "5.", "1e3", "1_000", "1,000", "007", "0x10"),
        *("x", "a + 1", "4!", "1 = 1", "1; 2", "1 + 2 # 3", "max(1, 2)", "__import__('os')", "(lambda: 1)()"),
        *(r"\frac12", r"\frac{1}", r"\frac{1}{2", r"\frac{}{2}", r"\sqrt{4}", r"1\,2", "٣ + ٤", "²", "½", "1\x002"),
    ],
)
def test_refused(text: str) -> None:
    assert read_expression(text) is None


def test_signs_are_read_only_when_asked_for() -> None:
    assert read_expression("-3 + 5") is None
    assert read_expression("-3 + 5", signs=True) == Operation("+", Negation(3), 5)
    assert value_of(read_expression("2 * (-3 - -5)", signs=True)) == 4
    assert render(read_expression("-3 + -(1 + 2)", signs=True)) == "(-3) + (-(1 + 2))"


def test_length_and_depth_are_bounded() -> None:
    assert read_expression("1+" * (MAX_CHARACTERS // 2 - 1) + "1") is not None
    assert read_expression("1+" * (MAX_CHARACTERS // 2) + "1") is None
    assert read_expression("(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH) == 1
    assert read_expression("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1)) is None
    assert read_expression("(" * 10**6) is None


def test_numbers_and_operators_are_listed() -> None:
    tree = read_expression(r"\frac{8}{2} + 3 × (7 - 1)")
    assert numbers_of(tree) == [8, 2, 3, 7, 1]
    assert operators_of(tree) == {"+", "-", "*", "/"}
    assert operators_of(read_expression("-(-3)", signs=True)) == {"-"}


def render_fully(tree: Tree) -> str:
    if isinstance(tree, int):
        return f"Fraction({tree})"
    return f"({render_fully(tree.left)} {tree.operator} {render_fully(tree.right)})"
