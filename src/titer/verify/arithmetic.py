r"""Arithmetic over whole numbers, read without `eval` and valued exactly.

    tree = read_expression(r"\frac{8}{2} + 3 × (7 - 1)")
    value_of(tree)      # Fraction(22, 1)
    numbers_of(tree)    # [8, 2, 3, 7, 1]
    render(tree)        # "8 / 2 + 3 * (7 - 1)"

The language is small on purpose: whole numbers, `+ - * /` and their signs `× ÷ · −` and LaTeX commands,
`\frac{a}{b}`, parentheses. No power, no `//`, no decimals, no product without a sign, no number made of two.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, TypeAlias

MAX_CHARACTERS = 256  # of an expression; ours, several times what ten numbers need
MAX_DEPTH = 32  # of nested parentheses; ours
_SIGNS = {
    **dict.fromkeys(("×", "·", "⋅", "∗", r"\times", r"\cdot", r"\ast"), "*"),
    **dict.fromkeys(("÷", "∕", r"\div"), "/"),
    **dict.fromkeys(("−", "–"), "-"),
    **dict.fromkeys((r"\frac", r"\dfrac", r"\tfrac"), r"\frac"),
    **dict.fromkeys((r"\left", r"\right", r"\,", r"\;", r"\!", r"\ ", r"\quad"), ""),
}
_TOKEN = re.compile(r"\s+|[0-9]+|\\[A-Za-z]+|\\[,;! ]|.")
_NUMBER = re.compile(r"0|[1-9][0-9]*")
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
_APPLY: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
}


class Operation(NamedTuple):
    """`left operator right`, the operator one of `+ - * /`."""

    operator: str
    left: Tree
    right: Tree


class Negation(NamedTuple):
    """Minus `child`."""

    child: Tree


Tree: TypeAlias = "int | Operation | Negation"


class _ExpressionError(Exception):
    """The text is not an expression."""


def read_expression(text: str, *, signs: bool = False) -> Tree | None:
    """Read an expression; None if `text` is anything else, or too long or too deep.

    `signs` allows a minus before a term, as in `-3 + 5`.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return _Reader(text, signs=signs).read()
    except _ExpressionError:
        return None


def value_of(tree: Tree) -> Fraction:
    """Value a tree exactly. Raises ZeroDivisionError."""
    match tree:
        case Operation(operator, left, right):
            return _APPLY[operator](value_of(left), value_of(right))
        case Negation(child):
            return -value_of(child)
        case number:
            return Fraction(number)


def numbers_of(tree: Tree) -> list[int]:
    """List the numbers of a tree from left to right."""
    match tree:
        case Operation(_, left, right):
            return numbers_of(left) + numbers_of(right)
        case Negation(child):
            return numbers_of(child)
        case number:
            return [number]


def operators_of(tree: Tree) -> set[str]:
    """Give the operators that a tree uses; a sign is a minus."""
    match tree:
        case Operation(operator, left, right):
            return {operator} | operators_of(left) | operators_of(right)
        case Negation(child):
            return {"-"} | operators_of(child)
        case _:
            return set()


def render(tree: Tree) -> str:
    """Write a tree with no more parentheses than needed to read the same tree again."""
    match tree:
        case Operation(operator, left, right):
            rank = _RANK[operator]
            return f"{_wrap(left, rank)} {operator} {_wrap(right, rank + 1)}"
        case Negation(child):
            return f"(-{_wrap(child, 3)})"
        case number:
            return str(number)


def _wrap(tree: Tree, rank: int) -> str:
    text = render(tree)
    return f"({text})" if isinstance(tree, Operation) and _RANK[tree.operator] < rank else text


class _Reader:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str, *, signs: bool) -> None:
        tokens = (_SIGNS.get(token, token) for token in _TOKEN.findall(text))
        self.tokens: list[str] = [token for token in tokens if token.strip()] + [""]  # "" marks the end
        self.place = 0
        self.depth = 0
        self.signs = signs

    def read(self) -> Tree:
        tree = self.sum()
        self.expect("")
        return tree

    def sum(self) -> Tree:
        return self.chain("+-", self.product)

    def product(self) -> Tree:
        return self.chain("*/", self.atom)

    def chain(self, operators: str, part: Callable[[], Tree]) -> Tree:
        tree = part()
        while self.peek() and self.peek() in operators:
            tree = Operation(self.take(), tree, part())
        return tree

    def atom(self) -> Tree:
        symbol = self.take()
        if symbol == "(":
            return self.inside(")")
        if symbol == r"\frac":
            return Operation("/", self.braced(), self.braced())
        if symbol == "-" and self.signs:
            return Negation(self.atom())
        if not _NUMBER.fullmatch(symbol):
            raise _ExpressionError
        return int(symbol)

    def braced(self) -> Tree:
        self.expect("{")
        return self.inside("}")

    def inside(self, closing: str) -> Tree:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _ExpressionError
        tree = self.sum()
        self.expect(closing)
        self.depth -= 1
        return tree

    def peek(self) -> str:
        return self.tokens[self.place]

    def take(self) -> str:
        token = self.peek()
        self.place += 1 if token else 0
        return token

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise _ExpressionError
