r"""The content of a box, in which mathematics states an answer.

    last_boxed(r"so \boxed{\frac{1}{2}}.")            # \frac{1}{2}
    last_listed(r"$x = \boxed{2}$ or $\boxed{3}$")    # ("2", "3")

It does not backtrack: a text of any length costs time in proportion to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # the first branch skips an escaped brace
# between two boxes of one list: a comma, "and", "or", what LaTeX puts around them, a name and its equality sign
_EDGE = r"(?:[\s$]|\\[()\[\],;: ]|\\q?quad\b)*"
_JOIN = (
    rf"(?:[,;]{_EDGE}(?:\b(?:and|or)\b)?|\b(?:and|or)\b|\\(?:text|mbox|textrm|mathrm)\s*\{{\s*,?\s*(?:and|or)\s*\}})"
)
_BETWEEN = re.compile(rf"{_EDGE}{_JOIN}{_EDGE}(?:[A-Za-z](?:_\{{?\w\}}?)?\s*={_EDGE})?")
_FURTHEST = 60  # characters between two boxes of a list; ours
_MOST = 16  # boxes of a list; ours, more are a model that repeats itself


class _Box(NamedTuple):
    """From `start` of the command to behind the closing brace at `end`."""

    start: int
    end: int
    content: str


def last_boxed(text: str) -> str | None:
    r"""Give the content of the last `\boxed{…}` (or `\fbox{…}`) whose braces close."""
    box = next(_from_last(text), None)
    return None if box is None else box.content


def last_listed(text: str) -> tuple[str, ...]:
    r"""Give the contents of the last box and of those before it, where only a comma, "and" or "or" stands between.

    A list of more than 16 is none.
    """
    listed: list[_Box] = []
    for box in _from_last(text):
        if listed and not _joins(text, box, listed[-1]):
            break
        listed.append(box)
        if len(listed) > _MOST:
            return (listed[0].content,)
    return tuple(box.content for box in reversed(listed))


def _joins(text: str, box: _Box, following: _Box) -> bool:
    near = 0 < following.start - box.end <= _FURTHEST
    return near and _BETWEEN.fullmatch(text, box.end, following.start) is not None


def _from_last(text: str) -> Iterator[_Box]:
    """The boxes whose braces close before the next one opens, from the last one back."""
    limit = len(text)
    for box in reversed(list(_BOX.finditer(text))):
        end = _closing_brace(text, box.end(), limit)
        if end is not None:
            yield _Box(box.start(), end + 1, text[box.end() : end].strip())
        limit = box.start()  # what an unclosed box swallowed is not searched again


def _closing_brace(text: str, start: int, limit: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, start, limit):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None
