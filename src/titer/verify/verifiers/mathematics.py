r"""Mathematical answers, compared by math-verify.

    problem = Problem(id="m", prompt="1/4 + 1/4?", answer=r"\frac{1}{2}", verifier="math")
    check_math(problem, r"It is \boxed{0.5}.")    # Grade(1.0, "0.5")
    check_math(problem, "I do not know.")          # Grade(0.0, None)

The last `<answer>…</answer>` or `\boxed{…}` is the answer, and so are the boxes listed with it ("\boxed{2} and
\boxed{3}") where it alone is wrong. Without one it is the formula behind the last "answer is" or "Answer:"; where
none stands there or it cannot be read, math-verify looks for a LaTeX or plain expression in the whole response.
Nothing here has a clock: an expression can keep sympy busy for ever, so what a model wrote belongs into `Grader`,
which kills.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

from titer.records.boxed import last_boxed
from titer.records.schema import Problem
from titer.verify.answers import stated, stated_list
from titer.verify.grade import Grade
from titer.verify.prose import formula_of, number_in

# separators of thousands that math-verify does not read
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\[,;: ]|~|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_SENTENCE = re.compile(r"[^\W\d_]{2,}\s*:?\s")
_SPACED = re.compile(r"[-−]?\d{1,3}(?: \d{3})+(?:\.\d+)?")  # a number in a box, its thousands apart


def check_math(problem: Problem, response: str) -> Grade:
    """Grade by mathematical equality. `parsed` is the answer's text; None if nothing was found.

    An answer that math-verify cannot read is wrong; a gold answer that it cannot read leaves the response
    ungraded. What it raises while comparing the two is raised.
    """
    gold = _parse_gold(problem.answer)
    said = stated(response)
    answer = _parse_prose(response) if said is None else _parse_boxed(said)
    parsed = said or _text_of(answer)
    if not _is_read(gold):
        return Grade(None, parsed, "gold cannot be parsed")
    right = _same(gold, answer)
    if not right and said is not None and last_boxed(response) is None and _SENTENCE.search(said):
        right = _same(gold, _parse_prose(said))  # a sentence between tags is no formula
    listed = () if right else stated_list(response)
    if len(listed) > 1 and all(listed) and _same(gold, _parse_boxed(", ".join(listed))):
        return Grade(1.0, ", ".join(listed))  # as one answer: what is right among guesses stays wrong
    return Grade(float(right), parsed)


def _is_read(readings: Sequence[Any]) -> bool:
    return any(not isinstance(reading, str) for reading in readings)


def _same(gold: Sequence[Any], answer: Sequence[Any]) -> bool:
    import math_verify

    # Without its own timeouts: they need SIGALRM, which only a main thread has, and report "wrong".
    return bool(math_verify.verify(list(gold), list(answer), timeout_seconds=None, raise_on_error=True))


@cache
def warm_up_math() -> None:
    """Import sympy and math-verify, and have them build their grammar; about a second, once in a process."""
    check_math(Problem(id="", prompt="", answer=r"\frac{1}{2}"), r"\boxed{0.5}")


@lru_cache(maxsize=1024)  # the samples of one problem share its gold answer
def _parse_gold(answer: str) -> tuple[Any, ...]:
    boxed = last_boxed(answer)
    return tuple(_parse_boxed(answer.strip() if boxed is None else boxed))


def _written(text: str) -> str:
    """The text with a minus sign, and the dollars of Markdown, as math-verify reads them outside of a formula."""
    return text.replace("−", "-").replace("\\$", "$")


def _parse_prose(text: str) -> list[Any]:
    formula = formula_of(text)
    readings = [] if formula is None else _parse_boxed(formula)
    if formula is None or not _is_read(readings):
        return _parse(_written(text))
    number = number_in(formula)
    return readings if number is None else [*readings, *_parse_boxed(number)]


def _parse_boxed(answer: str) -> list[Any]:
    if _SPACED.fullmatch(answer):
        answer = answer.replace(" ", "")
    return _parse(f"\\boxed{{{answer.rstrip(' .,')}}}")  # a sentence's punctuation makes it unreadable


def _parse(text: str) -> list[Any]:
    """Read `text` into sympy objects, and last the string that they were read from."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its timeouts are off
    targets = [LatexExtractionConfig(), ExprExtractionConfig()]
    readings: list[Any] = parse(_THOUSANDS.sub("", text), targets, parsing_timeout=None)  # [] if it cannot be read
    return readings


def _text_of(readings: list[Any]) -> str | None:
    text = next((reading for reading in reversed(readings) if isinstance(reading, str)), "")
    return text.strip("*. \n") or None
