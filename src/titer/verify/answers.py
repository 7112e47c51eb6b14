r"""Where an answer stands in a response: in a box, after "answer is", between tags.

    stated(r"so \boxed{\frac{1}{2}}.")                # \frac{1}{2}
    after_marker("Some work.\nThe answer is: 42.")    # "42."
    last_tagged("<answer>42</answer>")                # "42"

Each reader takes the last place and gives None when there is none. None of them backtracks: a response of
any length costs time in proportion to it.
"""

from __future__ import annotations

import re

from titer.errors import InputError
from titer.records.boxed import last_boxed, last_listed
from titer.records.schema import Problem

_MARKER = re.compile(r"\banswer(?:\*\*)?\s{0,4}(?:\bis\b\s{0,4}:?|:)", re.IGNORECASE)
_TAG = re.compile(r"</?answer>", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.?(?:\*\*)?\.?$")


def stated(text: str) -> str | None:
    """Give the content of the last `<answer>…</answer>`, of the box in it where it holds one; else of the last box."""
    tagged = last_tagged(text)
    boxed = last_boxed(text if tagged is None else tagged)
    return tagged if boxed is None else boxed


def stated_list(text: str) -> tuple[str, ...]:
    """Give the contents of the last box and those listed with it, of the last `<answer>…</answer>` if there is one."""
    tagged = last_tagged(text)
    return last_listed(text if tagged is None else tagged)


def after_marker(text: str) -> str | None:
    """Give what follows the last "answer is" or "Answer:", however it is set in bold."""
    markers = list(_MARKER.finditer(text))
    return text[markers[-1].end() :].strip().removeprefix("**").lstrip() if markers else None


def last_tagged(text: str) -> str | None:
    """Give the content of the last `<answer>…</answer>`."""
    tags = list(_TAG.finditer(text))
    for left, right in zip(reversed(tags[:-1]), reversed(tags[1:]), strict=True):
        if left.group()[1] != "/" and right.group()[1] == "/":
            return text[left.end() : right.start()].strip()
    return None


def first_lines(text: str, gold: str) -> str:
    """Give the leading lines of `text`, as many as `gold` has; a closing full stop only if `gold` has one."""
    return _as_gold("\n".join(text.strip().splitlines()[: _line_count(gold)]), gold)


def last_lines(text: str, gold: str) -> str:
    """Give the closing lines of `text`, as many as `gold` has."""
    return plain("\n".join(text.strip().splitlines()[-_line_count(gold) :]))


def plain(text: str) -> str:
    """Strip `text` of surrounding whitespace and of one pair of bold marks around it."""
    text = text.strip()
    bold = len(text) > 4 and text.startswith("**") and text.endswith("**")
    return text[2:-2].strip() if bold else text


def require_answer(problem: Problem) -> None:
    """Raise InputError for a problem without a gold answer."""
    if not problem.answer.strip():
        fault = f"problem {problem.id!r} has no answer"
        raise InputError(fault, field="answer", remedy="add the gold answer, or drop the problem")


def _line_count(gold: str) -> int:
    return max(1, len(gold.strip().splitlines()))


def _as_gold(text: str, gold: str) -> str:
    """Undo what a sentence puts around an answer: a full stop, bold marks that opened before it."""
    text = plain(text)
    return text if gold.rstrip().endswith((".", "*")) else _SENTENCE_END.sub("", text)
