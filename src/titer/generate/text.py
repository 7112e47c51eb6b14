"""Between text and tokens, for a model that runs in process.

ids, opener = render(tokenizer, request)   # the chat template's tokens; "<think>" if it opened one
text = decode(tokenizer, ids)              # raw, special tokens included
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from titer.errors import InputError
from titer.generate.protocol import Request, Sampling
from titer.generate.stops import cut_at_stop
from titer.records.templates import no_template, templated_prompt
from titer.records.thinking import OPENERS, opener_at_end
from titer.records.turns import thinking_opening

_MARGIN = 4
"""Tokens beyond a stop string's bytes that are decoded with it: the first ones may decode differently alone."""


class Rendered(NamedTuple):
    """A prompt as tokens. `opener` is what of the model's turn they hold: a thinking tag, a prefix, or nothing."""

    ids: list[int]
    opener: str


def render(tokenizer: PreTrainedTokenizerBase, request: Request) -> Rendered:
    """The messages before the prompt and the prompt as the user's turn in the tokenizer's chat template; the prompt as
    it is where there is no template; then the prefix. A thinking tag that the template has opened is not opened again;
    one that begins the prefix becomes what this template writes before a thinking.

    Raises InputError for messages before the prompt where there is no template, and for turns that it does not take.
    """
    text, prefix, templated = request.prompt, request.prefix, bool(tokenizer.chat_template)
    if templated:
        text = templated_prompt(tokenizer, request.earlier, request.prompt)
    elif request.earlier:
        raise no_template(f"request {request.id!r}")
    opener = opener_at_end(text)
    if opener and prefix.startswith(opener):
        text, prefix = text.rstrip(), prefix.removeprefix(opener)
    elif templated and prefix.startswith(OPENERS[0]):
        prefix = _opened(tokenizer, prefix)
    # The template writes the special tokens itself.
    ids = tokenizer(text + prefix, add_special_tokens=not templated)["input_ids"]
    return Rendered(ids, opener + prefix)


def _opened(tokenizer: PreTrainedTokenizerBase, prefix: str) -> str:
    """The prefix with what the template writes before a thinking; as it is where the template has no thinking."""
    try:
        return thinking_opening(tokenizer) + prefix.removeprefix(OPENERS[0]).lstrip("\n")
    except InputError:
        return prefix


def decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of drawn tokens. Special tokens stay: a thinking tag may be one."""
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def room(request: Request, used: int, sampling: Sampling, *, context: int | None, model: str) -> int:
    """Tokens that a completion may have behind a prompt of `used` tokens. A `context` of None has no end.

    Raises InputError for a prompt without tokens, or one that fills the context.
    """
    if not used:
        raise InputError(f"request {request.id!r} has no tokens", field="prompt", remedy="give it a prompt")
    if context is None:
        return sampling.max_tokens
    if used >= context:
        fault = f"request {request.id!r} has {used} tokens, and the context of {model} is {context}"
        raise InputError(fault, field="prompt", remedy="shorten the prompt or take a model with more context")
    return min(sampling.max_tokens, context - used)


def turn_text(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], ends: Container[int]) -> str:
    """The text of drawn tokens without the one of `ends` that ended the turn."""
    return decode(tokenizer, ids[:-1] if ids and ids[-1] in ends else ids)


class TokenStops:
    """Finds stop strings in rows that grow token by token.

    Every token, `suspects` looks at the latest `reach` tokens of all rows; a row that it names is then read whole.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self.reach = max(len(string.encode()) for string in stop) + _MARGIN

    def suspects(self, recent: Sequence[Sequence[int]]) -> list[int]:
        """The rows whose latest tokens hold a stop string, wherever in the text that may be."""
        texts = (decode(self._tokenizer, ids) for ids in recent)
        return [row for row, text in enumerate(texts) if any(string in text for string in self._stop)]

    def hit(self, ids: Sequence[int], opener: str) -> bool:
        """Whether these tokens have reached a stop string in their response."""
        return cut_at_stop(decode(self._tokenizer, ids), self._stop, opener=opener) is not None
