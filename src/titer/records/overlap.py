"""Evaluation problems that are among the training prompts, word for word or but for how they are written; and traces
that are there twice.

    find_overlap(traces, problems)     # [Overlap("t7", "p3", "normalised")]
    refuse_overlap(traces, problems)   # InputError, or nothing
    find_repeats(traces)               # [(9, "t7")]: the tenth repeats t7

Two prompts are the same after normalisation if they agree in words, numbers and mathematical signs, brackets that group
a calculation among them; case, layout, punctuation and Unicode's look-alikes do not count. The normal form is ours: it
only has to be strict enough never to join two different exercises.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import islice, pairwise
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records.chat import EARLIER
from titer.records.schema import Problem, Trace

_TOKEN = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+|[^\w\s]")
_ARITHMETIC = frozenset("+-*/^=<>")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = frozenset("()[]{}")
_BRACKET, _SIGN = re.compile(r"[()\[\]{}]"), re.compile(r"[-+*/^=<>]")
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "⁄": "/", "∕": "/"})
# A hyphen between two words is punctuation; between single letters it may be a minus.
_HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


class Overlap(NamedTuple):
    """A training record and the evaluation problem that has its prompt."""

    train_id: str
    eval_id: str
    kind: Literal["exact", "normalised"]


def find_overlap(train: Iterable[Problem | Trace], evaluation: Iterable[Problem]) -> list[Overlap]:
    """Every pair of a training record and an evaluation problem with one prompt, in the order of `train`.

    Streams `train`; holds the prompts of `evaluation`.
    """
    problems: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in evaluation:
        problems[normalised(problem.prompt)].append(problem)
    return [
        Overlap(record.id, problem.id, "exact" if record.prompt == problem.prompt else "normalised")
        for record in train
        for problem in problems.get(normalised(record.prompt), ())
    ]


def wording(trace: Trace) -> str:
    """Equal for traces of one prompt that say the same, word for word."""
    said = (repr(trace.meta.get(EARLIER, "")), trace.prompt, trace.reasoning, trace.response)
    return blake2b(repr(said).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def find_repeats(traces: Iterable[Trace]) -> list[tuple[int, str]]:
    """Which traces say what an earlier one of the same prompt says, word for word: their places, and its id each."""
    return repeats_among((wording(trace), trace.id) for trace in traces)


def repeats_among(worded: Iterable[tuple[str, str]]) -> list[tuple[int, str]]:
    """The same, given the `wording` and the id of each trace."""
    first: dict[str, str] = {}
    found = []
    for place, (words, name) in enumerate(worded):
        if words in first:
            found.append((place, first[words]))
        else:
            first[words] = name
    return found


def without_repeats(traces: Sequence[Trace]) -> list[Trace]:
    """The traces without those that say what an earlier one of the same prompt says, word for word."""
    repeats = {place for place, _ in find_repeats(traces)}
    return [trace for place, trace in enumerate(traces) if place not in repeats]


def refuse_overlap(train: Iterable[Problem | Trace], evaluation: Iterable[Problem]) -> None:
    """Raise InputError if any evaluation problem is among the training prompts; it names the first pair."""
    found = find_overlap(train, evaluation)
    if not found:
        return
    problems = len({overlap.eval_id for overlap in found})
    first = found[0]
    raise InputError(
        f"{problems} evaluation problem{'s' * (problems > 1)} among the training prompts, "
        f"first {first.eval_id!r} = training {first.train_id!r} ({first.kind})",
        remedy="remove them from one side",
    )


def normalised(prompt: str) -> str:
    """The prompt's words, numbers and mathematical signs, one space between any two.

    A prompt that has none of these, such as one emoji, is its own normal form.
    """
    plain = unicodedata.normalize("NFKC", _NOT_ASCII.sub(_unfolded, prompt)).casefold().translate(_SIGNS)
    kept = list[str]()
    for one in _TOKEN.findall(_without_idle_brackets(_HYPHEN.sub(" ", plain))):
        factorial = one == "!" and kept and (kept[-1] == ")" or kept[-1][-1].isdigit())
        if factorial or _counts(one):
            kept.append(one)
    return " ".join(kept) or prompt


def _without_idle_brackets(text: str) -> str:
    """The text without brackets that group nothing: (2 + 3) * 4 and x^{2y} keep theirs, (in cm) and x^{2} do not."""
    brackets = [found.start() for found in _BRACKET.finditer(text)]
    if not brackets:
        return text
    signs = [found.start() for found in _SIGN.finditer(text)]
    beside = _beside(text, brackets)
    opened, idle = list[int](), set(brackets)
    for number, place in enumerate(brackets):
        if text[place - 1 : place] == "\\":  # \\( and \\[ open a formula, and group nothing
            continue
        if text[place] in _CLOSES:
            opened.append(number)
        elif opened and _CLOSES[text[brackets[opened[-1]]]] == text[place]:
            first = opened.pop()
            start, before, after = brackets[first], beside[first], beside[number + 1]
            raised = before[0][-1:] in ("^", "_")
            if (
                _holds_more_than_one(text, start, place)
                if raised
                else ((_binds(before[0][::-1]) or _binds(after[1])) and bisect(signs, place) > bisect(signs, start))
            ):
                idle -= {start, place}
    letters = list(text)
    for place in idle:
        letters[place] = " "
    return "".join(letters)


def _beside(text: str, brackets: Sequence[int]) -> list[tuple[str, str]]:
    """For each bracket the two characters before it and after the one before it, whatever brackets and white space
    stand between: the last ones on its left, and the first ones of what follows the bracket on its left."""
    ends = [-1, *brackets, len(text)]
    between = [text[left + 1 : right].strip() for left, right in pairwise(ends)]
    before, after = list[str](), list[str]()
    for gap in between:
        before.append(gap[-2:] or (before[-1] if before else ""))
    for gap in reversed(between):
        after.append(gap[:2] or (after[-1] if after else ""))
    return list(zip(before, reversed(after), strict=True))


def _binds(letters: str) -> bool:
    """Whether what begins so is a sign, a number or a single letter: a calculation in brackets beside it is bound."""
    first, second = letters[:1], letters[1:2]
    return first in (*_ARITHMETIC, "!") or first.isdigit() or (first.isalpha() and not second.isalpha())


def _holds_more_than_one(text: str, start: int, end: int) -> bool:
    """Whether brackets hold more than one number, word or sign, a sign in front of the first aside: x^{-1} is x^-1."""
    tokens = (found[0] for found in _TOKEN.finditer(text, start + 1, end))
    inside = list(islice((one for one in tokens if one not in _BRACKETS and _counts(one)), 3))
    return len(inside) > 1 + (inside[:1] in (["+"], ["-"]))


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
