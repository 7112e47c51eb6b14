"""Thinking and response: two parts of one completion.

    split_thinking("<think>\\n3 + 4 is 7\\n</think>\\n\\n7")   # Thought("3 + 4 is 7", "7", closed=True)
    join_thinking("3 + 4 is 7", "7")                       # the same text again

Known forms: `<think>…</think>`; the same as `[THINK]` (Mistral), `<mm:think>` (MiniMax), `<seed:think>` (Seed) and
`<|channel>thought…<channel|>` (Gemma 4); `<|begin_of_thought|>…<|end_of_thought|>` with an optional solution block; and
harmony channels. A completion may begin inside its thinking, because many templates open the tag in the prompt.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Thought(NamedTuple):
    """A completion in two parts. `closed` is False when the thinking was opened and never ended."""

    reasoning: str
    response: str
    closed: bool


class _Tags(NamedTuple):
    opener: str
    closer: str
    solution_opener: str = ""
    solution_closer: str = ""


_THINK = _Tags("<think>", "</think>")
_THOUGHT = _Tags("<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>", "<|end_of_solution|>")
_PAIRED = (
    _THINK,
    _Tags("[THINK]", "[/THINK]"),
    _Tags("<mm:think>", "</mm:think>"),
    _Tags("<seed:think>", "</seed:think>"),
    _Tags("<|channel>thought", "<channel|>"),
    _THOUGHT,
)
_CHANNEL = "<|channel|>"
OPENERS = (*(tags.opener for tags in _PAIRED), _CHANNEL)
CLOSERS = tuple(tags.closer for tags in _PAIRED)
_FAMILY = {tag: tags for tags in _PAIRED for tag in (tags.opener, tags.closer)}
_FIRST_TAG = re.compile("|".join(map(re.escape, [*_FAMILY, _CHANNEL])))
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start)\|>")


def split_thinking(text: str) -> Thought:
    """Split a completion into its thinking and what follows, both stripped. Linear in the text's length.

    The first tag decides the form. What follows the LAST end of thinking is the response; several stretches of
    thinking become one, and their tags are removed. Thinking that is open at the end of the text gives
    `closed=False` and an empty response, whatever stood between earlier stretches. Text without any tag is all
    response.
    """
    first = _FIRST_TAG.search(text)
    if first is None:
        return Thought("", text.strip(), True)
    if first[0] == _CHANNEL:
        return _split_channels(text)
    return _split_tags(text, _FAMILY[first[0]])


def join_thinking(reasoning: str, response: str) -> str:
    """The completion in the `<think>` form; no tags when there is no reasoning.

    `split_thinking` gives both parts back, stripped, as long as neither of them holds a thinking tag itself.
    """
    if not reasoning.strip():
        return response
    return f"<think>\n{reasoning.strip()}\n</think>\n\n{response.strip()}"


def opens_thinking(text: str) -> bool:
    """Whether the text begins with a thinking tag or a harmony channel."""
    return text.lstrip().startswith((*OPENERS, "<|start|>"))


def opener_at_end(text: str) -> str:
    """The thinking tag that a prompt ends with, because its template opened it there; "" for none."""
    end = text.rstrip()
    return next((tags.opener for tags in _PAIRED if end.endswith(tags.opener)), "")


def _split_tags(text: str, tags: _Tags) -> Thought:
    thinking, closer, after = text.rpartition(tags.closer)
    if not closer or tags.opener in after:
        return Thought(_without_tags(text, tags), "", False)
    solution = after.strip().removeprefix(tags.solution_opener).removesuffix(tags.solution_closer)
    return Thought(_without_tags(thinking, tags), solution.strip(), True)


def _without_tags(text: str, tags: _Tags) -> str:
    # A newline, not nothing: "<thi<think>nk>" must not close up into a tag.
    return text.replace(tags.opener, "\n").replace(tags.closer, "\n").strip()


def _split_channels(text: str) -> Thought:
    """Harmony: every channel but `final` is thinking; the text has ended its thinking if it ends in `final`."""
    head, *segments = text.split(_CHANNEL)
    thinking = [] if head.lstrip().startswith("<|start|>") else [_message(head)]
    final: list[str] = []
    closed = False
    for segment in segments:
        name, separator, body = segment.partition("<|message|>")
        closed = bool(separator) and name.strip().startswith("final")
        (final if closed else thinking).append(_message(body))
    return Thought("\n".join(filter(None, thinking)), "\n".join(final) if closed else "", closed)


def _message(body: str) -> str:
    return _MESSAGE_END.split(body, maxsplit=1)[0].strip()
