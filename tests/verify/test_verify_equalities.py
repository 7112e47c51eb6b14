"""Equalities of plain numbers in text: what can be told is told right, and nothing else is told."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titer.verify.equalities import equalities


def found(text: str) -> list[tuple[str, str, bool]]:
    return [(one.left, one.right, one.holds) for one in equalities(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Then 12 × 3 = 36, so x = 35 - 4 = 31.",
        "3^2 + 4^2 = 25 = 5^2",
        r"$\frac{1}{2} + \frac{1}{3} = \frac{5}{6}$",
        r"\(3\cdot 4 = 12\)",
        r"3 \times 4 = \boxed{12}",
        "1,200 * 2 = 2,400",
        "(3+4)(5-2) = 21",
        "2(3 + 4) = 14",
        "9! / (3! * 2!) = 30240",
        "2^{10} = 1024 bytes",
        "Cost: $12 * 3 = $36 in all",
        "0.1 + 0.2 = 0.3",
        "10/3 = 3.33",
        "10/3 = 3.3",
        "2/3 = 0.66 = 0.67",
        "1/3 = 33%",
        "20% * 50 = 10",
        "1. 3 + 4 = 7",
        "- So 3 + 4 = 7",
        "-3 + 5 = 2",
        "the sum 3 + 4 = 7 apples",
        "47 − 29 + 14 = 32",
    ],
)
def test_what_holds(text: str) -> None:
    assert found(text) and all(holds for *_, holds in found(text)), found(text)


@pytest.mark.parametrize(
    ("text", "left", "right"),
    [
        ("Then 12 × 3 = 35, so", "12 × 3", "35"),
        ("4 + 8 = 12 / 3 = 4", "4 + 8", "12 / 3"),
        (r"$2^{20-1} = 105$.", "2^{20-1}", "105"),
        ("a_9 = (1 + 11 * 26) / 7 = 47\n", "(1 + 11 * 26) / 7", "47"),
        (r"$56 \times 3! = 1260$ ways", r"56 \times 3!", "1260"),
        ("10/3 = 3.32", "10/3", "3.32"),
        ("10/3 = 3", "10/3", "3"),
        ("3 + 4 = 7 and 9 * 9 = 80", "9 * 9", "80"),
    ],
)
def test_what_does_not_hold(text: str, left: str, right: str) -> None:
    (wrong,) = [one for one in equalities(text) if not one.holds]
    assert (wrong.left, wrong.right) == (left, right)
    assert text[wrong.start :].startswith(left) and text[: wrong.end].endswith(right)


@pytest.mark.parametrize(
    "text",
    [
        "x + 3 = 5", "x = 5", "2x = 4", "6*7 = 43x", "6*7 = 43 x", "a^2 - 3 + 4 = 2", "a_1 = 3", "n(n+1)/2 = 54",
        "20% of 50 = 11", "sqrt(16) = 5", "the root of 16 = 4", "|3-5| = 2", "log 100 = 3", "f(2) = 7", "50 = 51",
        "17 mod 5 = 3", "17 = 2 + 5 (mod 5)", "5 + 5 = 10 = 2 modulo 8", "10 ÷ 4 = 2 remainder 2", "17 / 5 = 3 R2",
        "5 != 3", "3 + 4 <= 8", "3 + 4 >= 6", "7/2 = 3 1/2", "101 choose 2 = (101*100)/(3*1)", "1 + 2 + ... + 10 = 54",
        "2^100000 = 3", "2^64^64 = 1", "3 + 4 =\n8", "- 3 + 4 = 7", "1/0 = 2", "1e5 = 3 + 4",
        "__import__('os') = 1 + 1",

        "3 + = 4", "= 3 + 4", "0123 + 1 = 124", "1" * 300 + " + 1 = 2", "((((" * 99 + "1" + "))))" * 99 + " = 3",
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_passed_over(text: str) -> None:
    assert not [one for one in found(text) if not one[2]]


@given(st.integers(0, 999), st.sampled_from("+-*"), st.integers(0, 999), st.integers(-3, 3))
def test_products_sums_and_differences(a: int, sign: str, b: int, off: int) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[sign] + off
    ((_, _, holds),) = found(f"Next, {a} {sign} {b} = {right}, which leaves 3.")
    assert holds == (off == 0)


@given(st.text(alphabet="0123456789.,+-*/^(){}!%= \\frac$x\n", max_size=300))
def test_no_text_is_too_strange(text: str) -> None:
    for one in equalities(text):
        assert text[one.start : one.end].startswith(one.left) and text[one.start : one.end].endswith(one.right)


@pytest.mark.parametrize("piece", ["1+", "(", "=1", "1,111", r"\frac{", "9!", "^2", "1 = ", "%", "a = "])
def test_time_grows_with_length_not_its_square(piece: str) -> None:
    def seconds(repeats: int) -> float:
        return min(_timed(piece * repeats) for _ in range(2))

    # Sixteen times the text: linear is a ratio near 16, quadratic near 256.
    assert seconds(16_000) < 80 * seconds(1_000) + 0.02


def _timed(text: str) -> float:
    began = time.perf_counter()
    list(equalities(text))
    return time.perf_counter() - began
