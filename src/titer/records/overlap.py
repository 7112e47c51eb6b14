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
from itertools import islice
from typing import Literal, NamedTuple

from titer.errors import InputError
from titer.records.chat import EARLIER
from titer.records.schema import Problem, Trace

_TOKEN = re.compile(r"\d+(?:\.\d+)*|[^\W\d_]+|[^\w\s]")
_ARITHMETIC = frozenset("+-*/^=<>")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_BRACKETS = frozenset("()[]{}")
_BRACKET, _SIGN = re.compile(r"[()\[\]{}]"), re.compile(r"[-+*/^=<>]")
_FACTORIAL = re.compile(r"(?<=[\d)])!(?!=)")
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
    written = _FACTORIAL.sub(" factorial ", _without_idle_brackets(_HYPHEN.sub(" ", plain)))
    return " ".join(filter(_counts, _TOKEN.findall(written))) or prompt


def _without_idle_brackets(text: str) -> str:
    """The text without brackets that group nothing: (2 + 3) * 4 and x^{2y} keep theirs, (in cm) and x^{2} do not."""
    if not _BRACKET.search(text):
        return text
    text = " ".join(text.split())
    brackets = [found.start() for found in _BRACKET.finditer(text)]
    signs = [found.start() for found in _SIGN.finditer(text)]
    opened, idle = list[int](), set(brackets)
    for place in brackets:
        if text[place - 1 : place] == "\\":  # \\( and \\[ open a formula, and group nothing
            continue
        if text[place] in _CLOSES:
            opened.append(place)
        elif opened and _CLOSES[text[opened[-1]]] == text[place]:
            start = opened.pop()
            if _groups(text, start, place, signs):
                idle -= {start, place}
    letters = list(text)
    for place in idle:
        letters[place] = " "
    return "".join(letters)


def _groups(text: str, start: int, end: int, signs: Sequence[int]) -> bool:
    """Whether brackets at these places hold more than one thing together against what stands beside them."""
    before, after = text[max(0, start - 2) : start], text[end + 1 : end + 3]
    if before[-1:] in ("^", "_"):
        inside = [found[0] for found in islice(_TOKEN.finditer(text, start + 1, end), 3)]
        return len(inside) > 1 + (inside[:1] in (["+"], ["-"]))  # x^{-1} is x^-1
    beside = before[-1:].isalnum() or before.strip()[-1:] in _ARITHMETIC
    beside |= after[:1].isalnum() or after.strip()[:1] in (*_ARITHMETIC, "!")
    return bool(beside and bisect(signs, end) > bisect(signs, start))


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
