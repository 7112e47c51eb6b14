r"""Exact answers: equality of strings, whitespace folded.

    problem = Problem(id="e", prompt="Sort: b a", answer="a b", verifier="exact")
    check_exact(problem, "a  b")                             # Grade(1.0, "a b")
    check_exact(problem, "I sort.\nThe answer is **a b**.")   # Grade(1.0, "a b")
    check_exact(problem, "A B")                              # Grade(0.0, "A B")

The answer read is the last `<answer>…</answer>` or the last `\boxed{…}` (one `\text{…}` around it is opened),
or else what follows the last "answer is" or "Answer:" (as many lines as the gold answer has, without bold
marks, without a closing full stop unless the gold answer has one), or else the whole response. Both sides are
brought to Unicode NFC and every run of whitespace to one space. Case, punctuation and everything else count.
This definition is ours.
"""

from __future__ import annotations

import re
import unicodedata

from titer.records.schema import Problem
from titer.verify.answers import after_marker, first_lines, plain, stated
from titer.verify.grade import Grade

_WORDS = re.compile(r"\\text(?:bf|it|rm|sf|tt)?\s*\{([^{}]*)\}")  # how words stand in a box


def check_exact(problem: Problem, response: str) -> Grade:
    """Grade by string equality. `parsed` is the string read; an empty response has none."""
    read = fold(_read(response, problem.answer))
    return Grade(float(read == fold(_unworded(problem.answer))), read) if read else Grade(0.0, None)


def fold(text: str) -> str:
    """Bring `text` to Unicode NFC and each run of whitespace in it to one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _read(response: str, gold: str) -> str:
    answer, marked = stated(response), after_marker(response)
    if answer is not None:
        return plain(_unworded(answer))
    return plain(response) if marked is None else first_lines(marked, gold)


def _unworded(answer: str) -> str:
    """The answer without one `\\text{…}` around it."""
    words = _WORDS.fullmatch(answer.strip())
    return words[1] if words else answer
