r"""Every equality of plain numbers in a text, and whether it holds.

    for one in equalities("Then 12 × 3 = 35, so x = 35 - 4 = 31."):
        one.left, one.right, one.holds      # "12 × 3", "35", False;  "35 - 4", "31", True

Only what can be told is told: both sides are numbers and + - * / ^ ! with parentheses, LaTeX or not, and at least one
is more than a number. What has a variable, a root, a remainder or words in it is passed over, and so is what
cannot be read. A decimal number stands for whatever rounds to it, up or down. Nothing is evaluated but a syntax tree of
these operators, exactly and within bounds.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

LONGEST = 200  # characters of one side
NEAR = 40  # characters around it that can say what it is
LARGEST_POWER, LARGEST_FACTORIAL, MOST_BITS = 64, 30, 4096

_SIGNS = {"×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "−": "-", "–": "-", "^": "**", "{": "(", "}": ")", "$": ""}
_COMMANDS = {"times": "*", "cdot": "*", "ast": "*", "div": "/", "left": "", "right": "", "quad": " ", "boxed": ""}
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_COMMAND = re.compile(r"\\([a-z]+|[,;!])")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
_FACTORIAL = re.compile(r"(?<![\d.)])(\d{1,3})!")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*\\?%")
_PLAIN = re.compile(r"-?\d+(?:\.(\d+))?")
_RUN = re.compile(
    r"(?:[0-9.,+\-*/^{}!% \t=×÷·⋅∗−–]|(?<!\\)[()]|\\[,;!%]"
    r"|\\(?:[dt]?frac|times|cdot|ast|div|left|right|quad|boxed)(?![a-z])"
    r"|(?<=[=+\-*/(×])\$(?=\d)|(?<=[=+\-*/(×] )\$(?=\d))+"
)
_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)")
_BEFORE = re.compile(r"([A-Za-z]+|[^\sA-Za-z])([ \t]*)$")
_OPERATION = re.compile(r"[-+*/^!×÷·⋅∗−–]|\\")
_NOT_AFTER = {"of", "mod", "modulo", "sin", "cos", "tan", "log", "ln", "sqrt", "to", "by", "choose"}
_MODULAR = re.compile(r"≡|\bmod|\\p?mod")  # there = may mean "the same remainder"
_BULLET = re.compile(r"\s*-\s")
_GOES_ON = {"mod", "modulo", "choose", "remainder", "rem", "with"}
_APPLY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Equality(NamedTuple):
    """Two sides as they stand in the text, from `start` to `end`, and whether they are equal."""

    start: int
    end: int
    left: str
    right: str
    holds: bool


class _UnreadableError(Exception):
    """The text is no expression of this language."""


def equalities(text: str) -> Iterator[Equality]:
    """All that can be told, in the order of the text; a = b = c is two."""
    at = 0
    for line in text.split("\n"):
        if "=" in line and not _MODULAR.search(line):
            for one in _of_line(line):
                yield one._replace(start=at + one.start, end=at + one.end)
        at += len(line) + 1


def _of_line(line: str) -> Iterator[Equality]:
    for run in _RUN.finditer(line):
        for (at, left), (start, right) in pairwise(_sides(line, run)):
            holds = _holds(left, right)
            if holds is not None:
                yield Equality(at, start + len(right), left, right, holds)


def _sides(line: str, run: re.Match[str]) -> list[tuple[int, str]]:
    """The sides of one run of mathematical characters and where they stand; "" for one that reaches out of it."""
    signs = list(_EQUALS.finditer(run.group()))
    if not signs:
        return []
    ends = [sign.start() for sign in signs] + [len(run.group())]
    starts = [0] + [sign.end() for sign in signs]
    sides = [(run.start() + start, run.group()[start:end]) for start, end in zip(starts, ends, strict=True)]
    sides[0] = (
        _after_the_last_stop(*sides[0])
        if _stands_alone(line[max(0, run.start() - NEAR) : run.start()], sides[0][1])
        else (run.start(), "")
    )
    place, last = sides[-1]
    last, reaches_out = re.split(r"[,.;](?:\s|$)", last, maxsplit=1)[0], False
    if place + len(last) == run.end():
        reaches_out = _goes_on(line, run.end())
    sides[-1] = (place, "" if reaches_out else last)
    return [(at + len(side) - len(side.lstrip()), side.strip()) for at, side in sides]


def _after_the_last_stop(place: int, side: str) -> tuple[int, str]:
    """What follows the last comma or full stop that ends something."""
    stops = list(re.finditer(r"[,.;](?=\s)", side))
    return (place + stops[-1].end(), side[stops[-1].end() :]) if stops else (place, side)


def _stands_alone(before: str, side: str) -> bool:
    """Whether the first side begins where it seems to: not after a variable, a function, or "of"."""
    if re.match(r"\s*[,.;]\s", side):
        return True
    if _BULLET.match(side) and not before:  # a minus, or an item of a list
        return False
    found = _BEFORE.search(before)
    if not found:
        return True
    word, space = found.groups()
    apart = bool(space) or side[:1].isspace()
    if word.isalpha():
        return apart and len(word) > 1 and word.lower() not in _NOT_AFTER
    return word not in "_\\|]<>≤≥≈≡'" and not word.isdigit()


def _goes_on(line: str, end: int) -> bool:
    """Whether what follows belongs to the last side: a letter right behind it, a single one, a command, a remainder."""
    after = line[end : end + NEAR]
    word = re.match(r"[A-Za-z]+", after)
    if not word:
        return bool(re.match(r"[_|]|\\[A-Za-z]", after))
    adjacent = not line[end - 1].isspace()
    return adjacent or len(word.group()) == 1 or word.group().lower() in _GOES_ON


def _holds(left: str, right: str) -> bool | None:
    """Whether the sides are equal; None where that cannot be told, or where both are mere numbers."""
    if not (_OPERATION.search(left.lstrip("-−–")) or _OPERATION.search(right.lstrip("-−–"))):
        return None
    try:
        a, b = value(left), value(right)
    except (_UnreadableError, ZeroDivisionError):
        return None
    return abs(a - b) <= max(_unit(left), _unit(right))


def value(text: str) -> Fraction:
    """What an expression comes to. Raises ZeroDivisionError, and another error for what is none."""
    plain = _plain(text)
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _UnreadableError from None
    return _value(tree)


def _unit(text: str) -> Fraction:
    """One in the last place of a decimal number: it may have been cut off or rounded. 0 for anything else."""
    plain = re.sub(r"[$\s]|\\boxed|\\?%", "", text).strip("{}()")
    found = _PLAIN.fullmatch(_THOUSANDS.sub(lambda m: m.group().replace(",", ""), plain))
    if not found:
        return Fraction(0)
    percent = 100 if "%" in text else 1
    return Fraction(1, 10 ** len(found[1]) * percent) if found[1] else Fraction(percent > 1, percent)


def _plain(text: str) -> str:
    """The text in Python's signs. Raises an error where it is too long or has anything else in it."""
    if not text or len(text) > LONGEST:
        raise _UnreadableError
    while (once := _FRACTION.sub(r"((\1)/(\2))", text)) != text:
        text = once
    text = _THOUSANDS.sub(lambda found: found.group().replace(",", ""), text)
    text = _COMMAND.sub(lambda found: _COMMANDS.get(found[1], " "), text)
    text = "".join(_SIGNS.get(character, character) for character in text)
    text = _FACTORIAL.sub(r"(\1@0)", _PERCENT.sub(r"(\1/100)", text))  # @ stands for the factorial in the tree
    text = re.sub(r"\)\s*\(", ")*(", re.sub(r"(?<=\d)\s*\((?=\d)", "*(", text)).strip()
    if not re.fullmatch(r"[0-9.+\-*/()@\s]+", text) or re.search(r"//|\d\s+\d|\*\*\s*\*|@[^0]|(?<!\d)0\d", text):
        raise _UnreadableError
    return text


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Fraction(repr(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left), _value(right))
        case ast.BinOp(left=left, op=ast.MatMult()):
            return _factorial(_value(left))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _APPLY:
            return _bounded(_APPLY[type(op)](_value(left), _value(right)))
        case _:
            raise _UnreadableError


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator != 1 or abs(exponent) > LARGEST_POWER:
        raise _UnreadableError
    return _bounded(base ** int(exponent))


def _factorial(number: Fraction) -> Fraction:
    if number.denominator != 1 or not 0 <= number <= LARGEST_FACTORIAL:
        raise _UnreadableError
    return Fraction(math.factorial(int(number)))


def _bounded(number: Fraction) -> Fraction:
    if number.numerator.bit_length() + number.denominator.bit_length() > MOST_BITS:
        raise _UnreadableError
    return number
