"""The normal form of a prompt: its words, numbers and mathematical signs, and brackets that group a calculation.

    normalised("What is  (3 + 4) × 2?")     # "what is ( 3 + 4 ) * 2"

Case, layout, punctuation and Unicode's look-alikes do not count, and neither does a kind of bracket. The form is ours:
it only has to be strict enough never to join two different exercises.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections.abc import Sequence
from itertools import pairwise

# an underscore counts before a bracket alone: x_{1,2} is not x_1, 2
_TOKEN = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+|[^\w\s]|(?<!_)_+(?=\s*\()")
_ARITHMETIC = frozenset("+-*/^=<>")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = frozenset("()[]{}")
_BRACKET, _SIGN = re.compile(r"[()\[\]{}]"), re.compile(r"[-+*/^=<>]")
# what stands on the left of brackets, and on their right, and makes a calculation in them one thing
_BOUND_LEFT = re.compile(r"(?:[-+*/^_\d]|(?<![^\W\d_])(?:[^\W\d_]|sin|cos|tan|log|ln|exp|sqrt|max|min|gcd|lcm|mod))$")
_BOUND_RIGHT = re.compile(r"[-+*/^!\d]|[^\W\d_](?![^\W\d_])")
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "⁄": "/", "∕": "/"})
# A hyphen between two words is punctuation; between single letters it may be a minus.
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def normalised(prompt: str) -> str:
    """The prompt's words, numbers and mathematical signs, one space between any two.

    A prompt that has none of these, such as one emoji, is its own normal form.
    """
    plain = unicodedata.normalize("NFKC", _NOT_ASCII.sub(_unfolded, prompt)).casefold().translate(_SIGNS)
    kept = list[str]()
    for one in _TOKEN.findall(_without_idle_brackets(_HYPHEN.sub(" ", plain))):
        factorial = one == "!" and kept and (kept[-1] == ")" or kept[-1][-1].isdigit())
        if factorial or one[0] == "_" or _counts(one):
            kept.append("_" if one[0] == "_" else one)
    return " ".join(kept) or prompt


def _without_idle_brackets(text: str) -> str:
    """The text without brackets that group nothing, and with round ones in place of the others: (2 + 3) * 4 and x^{2y}
    keep theirs, (in cm), x^{2} and (-3) do not."""
    brackets = [found.start() for found in _BRACKET.finditer(text)]
    if not brackets:
        return text
    said = _said(text)
    signs = [found.start() for found in _SIGN.finditer(text)]
    left, right = _beside(text, brackets)
    opened, written = list[int](), dict.fromkeys(brackets, " ")
    for number, place in enumerate(brackets):
        if text[place - 1 : place] == "\\":  # \\( and \\[ open a formula, and group nothing
            continue
        if text[place] in _CLOSES:
            opened.append(number)
        elif opened and _CLOSES[text[brackets[opened[-1]]]] == text[place]:
            first = opened.pop()
            start = brackets[first]
            here, behind = bisect(said, (start,)), bisect(said, (place,))
            led = here < behind and said[here][1] in ("+", "-")  # x^{-1} is x^-1
            several = behind - here > 1 + led
            calculates = bisect(signs, place) - bisect(signs, start) > led
            bound = _BOUND_LEFT.search(left[first]) or _BOUND_RIGHT.match(right[number])
            if several and (left[first][-1:] in ("^", "_") or (calculates and bound)):
                written |= {start: "(", place: ")"}
    letters = list(text)
    for place, letter in written.items():
        letters[place] = letter
    return "".join(letters)


def _said(text: str) -> list[tuple[int, str]]:
    """Each word, number and sign, brackets aside, with its place."""
    found = ((one.start(), one[0]) for one in _TOKEN.finditer(text))
    return [(place, token) for place, token in found if token not in _BRACKETS and _counts(token)]


def _beside(text: str, brackets: Sequence[int]) -> tuple[list[str], list[str]]:
    """For each bracket the last characters on its left and the first ones on its right, past other brackets and white
    space."""
    between = [text[start + 1 : end].strip() for start, end in pairwise([-1, *brackets, len(text)])]
    left, right = list[str](), list[str]()
    for gap in between[:-1]:
        left.append(gap[-5:] or (left[-1] if left else ""))
    for bracket, gap in zip(reversed(brackets), reversed(between[1:]), strict=True):
        behind = gap.lstrip("! ") if text[bracket] in _CLOSES else gap  # nothing there to take a factorial of
        right.append(behind[:2] or (right[-1] if right else ""))
    return left, right[::-1]


def _unfolded(found: re.Match[str]) -> str:
    """Keep what NFKC would lose: 5² is not 52, and 3½ is not 31/2."""
    kind = unicodedata.decomposition(found[0]).partition(" ")[0]
    return {"<super>": "^", "<fraction>": " "}.get(kind, "") + found[0]


def _counts(token: str) -> bool:
    """Whether a token is a word, a number, a sign of mathematics, or a mark that belongs to a letter."""
    if len(token) > 1 or token.isalnum() or token in _ARITHMETIC or token in _BRACKETS:
        return True
    category = unicodedata.category(token)
    return category == "Sm" or category.startswith("M")
