r"""The formula that a sentence gives as its answer, where neither a box nor a dollar marks it.

    formula_of("Hence the answer is 2x+1 for all x.")    # "2x+1"
    formula_of("The answer is unclear.")                 # None

It is what stands behind the last "answer is" or "Answer:", up to the end of the sentence or to its next word.
Which words are part of a formula, and which end it, is ours.
"""

from __future__ import annotations

import re

from titer.verify.answers import after_marker

MAX_CHARACTERS = 512  # of a sentence; ours
_MATHEMATICS = re.compile(r"(?<!\\)(?:\$|\\[(\[])")  # math-verify finds these itself
_END = re.compile(r"\n|(?<!\.)[.?](?=[\s*_`]|$)|(?<=\S):(?=\s)")
_AROUND = " \t*_`"  # what Markdown puts around it
_FILLER = re.compile(r"^(?:(?i:therefore|thus|hence|then|simply|just|exactly|equal to|given by)\b[,:]?\s*)*")
_WORD = re.compile(
    r"\\(?:text|mbox|mathrm|operatorname|begin|end)[a-z]{0,2}\s*\{[^{}]*\}|\\[A-Za-z]+"  # words of LaTeX
    r"|\b(?:and|or)\b(?=[^=]*$|\s*[A-Za-z](?:_\{?\w\}?)?\s*=)"  # between two answers
    r"|(?<![A-Za-z0-9_^\\])(?P<word>[A-Za-z]{3,}|(?i:am|as|at|by|if|in|is|it|mm|cm|km|kg|of|on|or|pm|so|to|we))(?![A-Za-z])"
)
_LOOSE = re.compile(r"(?:(?:[\s,;:+*/=(<>&|–—-]|\b(?:and|or)\b)+)$")  # what a word leaves behind in front of it
_UNCLOSED = re.compile(r"\([^()\[\]{}]*$")
# a number and what may be no part of the formula: a letter for a unit, an exclamation
_NUMBER = re.compile(r"([-−]?[\d.,]*\d)(?:\s[A-Z]|\s?m(?:\^\{?[23]\}?|[²³])|!)")


def formula_of(text: str) -> str | None:
    """Give the formula; None where no marker is, where words stand in its place, or an equality behind words."""
    marked = after_marker(text)
    if marked is None:
        return None
    sentence = marked[: end.start()] if (end := _END.search(marked)) else marked
    if end and end[0] == ":" and marked[end.end() :].split("\n", 1)[0].strip():
        return None  # "A: 7" says it behind
    if len(sentence) > MAX_CHARACTERS or _MATHEMATICS.search(sentence):
        return None
    return _before_words(_FILLER.sub("", sentence, count=1)) or None


def number_in(formula: str) -> str | None:
    """Give the number of a formula that may be a number with a unit ("12 V"), or one exclaimed ("7!")."""
    found = _NUMBER.fullmatch(formula)
    return found[1] if found else None


def _before_words(sentence: str) -> str:
    word = next((found for found in _WORD.finditer(sentence) if found["word"]), None)
    if word is None:
        return sentence.strip(_AROUND)
    if "=" in sentence[word.start() :]:
        return ""  # "5 apples * 2 = 10": the answer comes later
    formula = _LOOSE.sub("", _UNCLOSED.sub("", sentence[: word.start()])).strip(_AROUND)
    return formula if re.search(r"\d|\\", formula) else ""  # "a number" is no formula
