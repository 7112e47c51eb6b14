"""What a reader of the page shows: an article a problem, with one text or two beside each other.

    reader = reading([of_pair(pair) for pair in pairs])
    reader.shown[0].article.heading        # in the page as HTML, so that it reads without scripts and on paper
    reader.archive                         # all of them, compressed: page.js lists and shows them

Page and archive show the same articles: here they are put into words, the template and page.js only lay them out.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from titer.report import reader
from titer.report.data import Pair, ReadStep, TracePair, TraceToRead
from titer.report.names import title
from titer.report.numbers import number, percent

MOST_ITEMS: Final = 12  # of a reader that stand in the page as HTML
MOST_ARCHIVED: Final = 2_400_000  # characters of one reader's archive: two of them and the scripts stay below 5 MB
_TRIED: Final = 64  # articles by which the size of the others is estimated

_ENDED: Final = {"stop": "ended by itself", "length": "cut at the limit", "error": "backend error"}


class Step(NamedTuple):
    """A step of a trace: its number, what it does, the page's class for that, its text."""

    place: int
    does: str
    look: str
    text: str


class Fold(NamedTuple):
    """Steps that follow each other; `summary` names them while they are folded, "" where they stand open."""

    summary: str
    preview: str
    steps: list[Step]


class Side(NamedTuple):
    """One text of an article: steps, or a model's `thinking`; then what it answered."""

    heading: str
    meta: str
    folds: list[Fold]
    more: str
    thinking: str
    answered: str
    response: str


class Article(NamedTuple):
    """A problem to read; `tag` and `label` stand in the list."""

    tag: str
    label: str
    heading: str
    meta: str
    prompt: str
    sides: list[Side]


class Placed(NamedTuple):
    """An article and its number among all, from 1."""

    number: int
    article: Article


class Reading(NamedTuple):
    """A reader: some articles, how many there are, and as many as the archive has room for."""

    shown: list[Placed]
    total: int
    archive: str


def of_pair(pair: TracePair) -> Article:
    """A problem as two teachers solved it."""
    dropped = sum(bool(side.dropped) for side in (pair.left, pair.right))
    tag = f"{pair.problem_id} · {dropped} dropped" if dropped else pair.problem_id
    sides = [_trace_side(side) for side in (pair.left, pair.right)]
    return Article(tag, reader.opening(pair.prompt, 70), pair.problem_id, "", cut(pair.prompt), sides)


def of_trace(item: TraceToRead) -> Article:
    """A trace alone."""
    trace = item.trace
    label = f"{trace.problem_id} · {trace.teacher}" if trace.teacher else trace.problem_id
    tag = "dropped" if item.dropped else "kept"
    return Article(tag, label, trace.problem_id, "", cut(trace.prompt), [_trace_side(item)])


def of_rollouts(pair: Pair) -> Article:
    """A problem as two models answered it."""
    name, suite = pair.base.problem_id, pair.base.suite
    answer = f" · answer {pair.answer}" if pair.answer else ""
    meta = f"{pair.outcome} · solved {percent(pair.base_rate)} → {percent(pair.trained_rate)} of the time{answer}"
    label = f"{name} · {title(suite)}" if suite else name
    sides = [_completion(pair, side) for side in ("base", "trained")]
    return Article(pair.outcome, label, name, meta, cut(pair.base.prompt), sides)


def _trace_side(item: TraceToRead) -> Side:
    trace, dead = item.trace, sum(step.dead for step in item.steps)
    facts = [
        _graded(trace.correct),
        f"{len(item.steps)} steps, {dead} in abandoned lines",
        *(["cut off"] if trace.truncated else []),
        f"dropped: {item.dropped}" if item.dropped else "kept",
    ]
    shown = reader.fitting(item.steps)
    more = f"… {number(len(item.steps) - len(shown))} more steps are not shown" if len(shown) < len(item.steps) else ""
    response = cut(trace.response) if trace.response and (trace.reasoning or not item.steps) else ""
    heading = trace.teacher or "unnamed teacher"
    return Side(heading, " · ".join(facts), _folds(shown), more, "", "Response" * bool(response), response)


def _folds(steps: Sequence[ReadStep]) -> list[Fold]:
    return [
        Fold(
            run.summary if run.dead else "",
            reader.opening(run.steps[0].text) if run.dead else "",
            [
                Step(place, step.behaviour, reader.look_class(step.behaviour), cut(reader.bare(step.text)))
                for place, step in enumerate(run.steps, run.first)
            ],
        )
        for run in reader.runs(steps)
    ]


def _completion(pair: Pair, side: str) -> Side:
    rollout = pair.base if side == "base" else pair.trained
    correct = None if rollout.score is None else {1.0: True, 0.0: False}.get(rollout.score)
    read = rollout.parsed if rollout.parsed is not None else "no answer"
    facts = [_graded(correct), f"{number(rollout.tokens)} tokens", _ENDED[rollout.finish_reason], f"read: {read}"]
    return Side(rollout.model, " · ".join(facts), [], "", cut(rollout.reasoning), "", cut(rollout.response))


def _graded(correct: bool | None) -> str:
    return {True: "✓ right", False: "✗ wrong", None: "not graded"}[correct]


def cut(text: str) -> str:
    """`text`, or its beginning and a note of how much is missing."""
    if len(text) <= reader.LONGEST_TEXT:
        return text
    return f"{text[: reader.LONGEST_TEXT]}\n… {len(text) - reader.LONGEST_TEXT:,} more characters are not shown"


def reading(articles: Sequence[Article]) -> Reading:
    """A reader of the articles: of many a few spread over all stand in the page, the archive has as many as it may."""
    if len(articles) <= MOST_ITEMS:
        placed = [Placed(place, article) for place, article in enumerate(articles, 1)]
        return Reading(placed, len(articles), "")
    listed, archive = _archived(articles)
    shown = [Placed(place + 1, listed[place]) for place in spread(len(listed), MOST_ITEMS)]
    return Reading(shown, len(articles), archive)


def spread(count: int, most: int) -> list[int]:
    """At most `most` places of `count`, evenly spread from the first."""
    return [count * i // most for i in range(most)] if count > most else list(range(count))


def _archived(articles: Sequence[Article]) -> tuple[list[Article], str]:
    """As many articles, spread over all, as the archive has room for, and the archive."""
    tried = [articles[place] for place in spread(len(articles), _TRIED)]
    room = max(MOST_ITEMS, len(tried) * MOST_ARCHIVED // len(_packed(tried)))
    while True:
        some = [articles[place] for place in spread(len(articles), room)]
        packed = _packed(some)
        if len(packed) <= MOST_ARCHIVED or room == MOST_ITEMS:
            return some, packed
        room = max(MOST_ITEMS, room * 9 // 10)


def _packed(articles: Sequence[Article]) -> str:
    """A line of tags and labels, then a line an article, all JSON; deflated, in base64."""
    lines = [[article[:2] for article in articles], *articles]
    text = "\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in lines)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()
