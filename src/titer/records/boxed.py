r"""The content of a box, in which mathematics states an answer.

    last_boxed(r"so \boxed{\frac{1}{2}}.")            # \frac{1}{2}

It does not backtrack: a text of any length costs time in proportion to it.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # the first branch skips an escaped brace


def last_boxed(text: str) -> str | None:
    r"""Give the content of the last `\boxed{…}` (or `\fbox{…}`) whose braces close."""
    limit = len(text)
    for box in reversed(list(_BOX.finditer(text))):
        end = _closing_brace(text, box.end(), limit)
        if end is not None:
            return text[box.end() : end].strip()
        limit = box.start()  # what an unclosed box swallowed is not searched again
    return None


def _closing_brace(text: str, start: int, limit: int) -> int | None:
    depth = 1
    for brace in _BRACE.finditer(text, start, limit):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None
