"""Countdown: reach a target from given numbers, checked with exact rationals.

    numbers = {"numbers": [3, 5, 8], "target": 64}
    problem = Problem(id="c", prompt="…", answer="64", verifier="countdown", meta=numbers)
    check_countdown(problem, "The answer is (3 + 5) * 8 = 64.")    # Grade(1.0, "(3 + 5) * 8")
    check_countdown(problem, "The answer is 8 * 8.")               # Grade(0.0, "8 * 8", "8 is used 2 times …")

`meta`: `numbers` (whole, not negative), `target` (whole), and optionally `use` ("all": each number exactly
once, the default; "subset": each at most once), `operators` (those allowed, default `+-*/`) and `order` ("any",
the default; "given": from left to right as in `numbers`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records.schema import Problem
from titer.verify.answers import after_marker, stated
from titer.verify.arithmetic import Tree, numbers_of, operators_of, read_expression, render, value_of
from titer.verify.grade import Grade

AROUND = " \t$*_`"  # what Markdown and LaTeX put around an expression
_BULLET = re.compile(r"\s*-\s")
_STATED = re.compile(r"-?[0-9]{1,64}")


class Rules(NamedTuple):
    """What a countdown allows; see the module's docstring."""

    numbers: tuple[int, ...]
    target: int
    use: str = "all"
    operators: str = "+-*/"
    order: str = "any"


class Claim(NamedTuple):
    """An expression and the value that the response states for it after "=", if any."""

    tree: Tree
    stated: int | None


def check_countdown(problem: Problem, response: str) -> Grade:
    """Grade the response's expression with exact rationals.

    It is the content of the last `<answer>…</answer>` or `\\boxed{…}`; without one, the first line after the last
    "answer is" or "Answer:" that reads as an expression; without that, the last line of the response that does,
    unless a number follows these words: it is then the answer, and what was calculated on the way is none. "= 24" may
    follow if it is true, and a minus may stand before it. `parsed` is the expression in canonical form; a wrong one's
    note says what is wrong.
    """
    claim = _find_claim(response)
    if claim is None:
        return Grade(0.0, None, "no expression found")
    fault = find_fault(claim, _rules(problem))
    return Grade(0.0 if fault else 1.0, render(claim.tree), fault)


def validate_countdown(problem: Problem) -> None:
    """Raise InputError unless `meta` holds a countdown."""
    meta = problem.meta
    numbers = meta.get("numbers")
    _require(problem, "numbers", isinstance(numbers, list | tuple) and len(numbers) > 0, "a list of numbers")
    _require(problem, "numbers", all(_is_whole(n) and n >= 0 for n in meta["numbers"]), "whole numbers from 0 up")
    _require(problem, "target", _is_whole(meta.get("target")), "a whole number")
    _require(problem, "use", meta.get("use", "all") in ("all", "subset"), '"all" or "subset"')
    _require(problem, "order", meta.get("order", "any") in ("any", "given"), '"any" or "given"')
    operators = meta.get("operators", "+-*/")
    fits = isinstance(operators, str) and operators != "" and set(operators) <= set("+-*/")
    _require(problem, "operators", fits, 'a string of some of "+-*/"')


def read_claim(text: str, *, signs: bool = False) -> Claim | None:
    """Read an expression, or one followed by "=" and a whole number. `signs`: see `read_expression`."""
    left, equals, right = text.strip(AROUND).removesuffix(".").rstrip(AROUND).partition("=")
    tree = read_expression(left, signs=signs)
    stated = right.replace("−", "-").strip()
    if tree is None or (equals and not _STATED.fullmatch(stated)):
        return None
    return Claim(tree, int(stated) if equals else None)


def find_fault(claim: Claim, rules: Rules) -> str:
    """Say what is wrong with a claim; "" if nothing is."""
    forbidden = operators_of(claim.tree) - set(rules.operators)
    if forbidden:
        return f"operator {min(forbidden)} is not allowed"
    fault = _find_number_fault(numbers_of(claim.tree), rules)
    return fault or _find_value_fault(claim, rules.target)


def _find_claim(response: str) -> Claim | None:
    answer = stated(response)
    if answer is None:
        marked = (after_marker(response) or "").splitlines() or [""]
        broken = any(character.isdigit() for character in marked[0])
        return _first_claim(marked) or (None if broken else _first_claim(response.splitlines()[::-1]))
    # a claim of several lines is one; a calculation ends in its last line
    whole = " ".join(answer.split())
    return _first_claim([whole, *answer.splitlines()[::-1]]) or read_claim(_strip_delimiters(whole), signs=True)


def _first_claim(lines: Sequence[str]) -> Claim | None:
    """The first line that reads as a claim; only where none does, one that begins with a minus and no bullet."""
    plain = (read_claim(_strip_delimiters(line)) for line in lines)
    signed = (read_claim(_strip_delimiters(line), signs=True) for line in lines if not _BULLET.match(line))
    return next((claim for claim in chain(plain, signed) if claim is not None), None)


def _strip_delimiters(line: str) -> str:
    r"""Remove `\( … \)` and `\[ … \]` around a line."""
    return re.sub(r"^\s*\\[(\[]|\\[)\]]\s*\.?\s*$", "", line)


def _find_number_fault(used: list[int], rules: Rules) -> str:
    given, counts = Counter(rules.numbers), Counter(used)
    for number, count in counts.items():
        if number not in given:
            return f"{number} is not among the numbers"
        if count > given[number]:
            return f"{number} is used {count} times, given {given[number]}"
    if rules.use == "all" and counts != given:
        return f"{min(given - counts)} is not used"
    if rules.order == "given" and not _is_subsequence(used, rules.numbers):
        return "the numbers are not in the given order"
    return ""


def _find_value_fault(claim: Claim, target: int) -> str:
    try:
        value = value_of(claim.tree)
    except ZeroDivisionError:
        return "division by zero"
    if claim.stated is not None and value != claim.stated:
        return f"the value is {value}, not {claim.stated} as stated"
    return "" if value == target else f"the value is {value}, not {target}"


def _is_subsequence(part: Iterable[int], whole: Iterable[int]) -> bool:
    rest = iter(whole)
    return all(number in rest for number in part)  # `in` consumes the iterator up to its find


def _rules(problem: Problem) -> Rules:
    meta: Mapping[str, Any] = problem.meta
    chosen = {name: meta[name] for name in ("use", "operators", "order") if name in meta}
    return Rules(tuple(meta["numbers"]), meta["target"], **chosen)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(problem: Problem, key: str, fits: bool, wanted: str) -> None:
    if not fits:
        found = repr(problem.meta[key])[:60] if key in problem.meta else "nothing"
        fault = f"problem {problem.id!r}: a countdown needs {wanted}, found {found}"
        raise InputError(fault, field=f"meta.{key}", remedy=f"put {wanted} there")
