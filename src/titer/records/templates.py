"""Prompts in a tokenizer's chat template, the same way for sampling and for training."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from titer.errors import InputError

# For templates that write the date of today: prompts of one seed are the same on any day, and a training that is killed
# before midnight goes on after it. The day is the one that Llama's template falls back to where it is told none.
DATE = datetime.date(2024, 7, 26)
_TODAY = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<format>.*?)(?P=quote)\s*\)")
_WORD = "the-word"  # stands for a prompt or an answer, to see what a template writes of it and behind it


def templated_prompt(tokenizer: Any, earlier: Iterable[Mapping[str, Any]], prompt: str, **how: Any) -> str:
    """The messages before the prompt and the prompt as the user's turn, up to where the model's own turn begins.

    Raises InputError where the template takes no such turns, as some take no system prompt, and where it leaves the
    prompt out.
    """
    if not _says_the_prompt(tokenizer, tokenizer.chat_template):
        raise InputError(
            "the chat template leaves out what the user says: it may take content in parts alone",
            field="chat_template",
            remedy="use a template that takes text as content",
        )
    turns = [*earlier, {"role": "user", "content": prompt}]
    return str(applied(tokenizer, turns, add_generation_prompt=True, **how))


@lru_cache(maxsize=8)
def _says_the_prompt(tokenizer: Any, template: Any) -> bool:
    """Whether a word of the user's stands in what this template writes, or it takes no turn by the user alone."""
    try:
        return _WORD in str(applied(tokenizer, [{"role": "user", "content": _WORD}], add_generation_prompt=True))
    except InputError:
        return True


def applied(tokenizer: Any, turns: list[Mapping[str, Any]], **how: Any) -> Any:
    """The turns in the tokenizer's template, as text, on the same DATE always. Raises InputError where it does not take
    them."""
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, str):  # transformers lets no argument stand for its function of the time
        how["chat_template"] = _TODAY.sub(lambda found: repr(DATE.strftime(found["format"])), template)
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, **how)
    # A template is a program of somebody else's: besides its own errors it raises whatever it runs into.
    except Exception as error:
        roles = ", ".join(str(turn.get("role")) for turn in turns)
        raise InputError(
            f"the chat template does not take turns by {roles}: {error}",
            field="chat_template",
            remedy="leave out the system prompt or the earlier turns, or use a template that takes them",
        ) from None


def no_template(whose: str) -> InputError:
    """Messages before a prompt cannot be written without a template."""
    return InputError(
        f"{whose} has messages before its prompt, and the tokenizer has no chat template to write them in",
        field="messages",
        remedy="give the tokenizer a chat template, or leave them out",
    )


def turn_ends(tokenizer: Any) -> list[str]:
    """Tokens that end a turn: those of the template, the tokenizer's end of text, and those of well-known templates."""
    return list(dict.fromkeys([*template_ends(tokenizer), *_known_ends(tokenizer)]))


def _known_ends(tokenizer: Any) -> list[str]:
    known = (tokenizer.eos_token, "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<turn|>")
    return [end for end in known if end]


def end_ids(configured: int | Iterable[int] | None, tokenizer: Any) -> frozenset[int]:
    """Every token at which a model's turn is over: those of its generation config, the tokenizer's end of text, and
    those with which the chat template ends the turn, for these are what a training on it teaches."""
    listed = [configured] if isinstance(configured, int) else configured or ()
    written = tokenizer.convert_tokens_to_ids(template_ends(tokenizer))
    return frozenset(token for token in [*listed, tokenizer.eos_token_id, *written] if token is not None)


def template_ends(tokenizer: Any) -> list[str]:
    """The special tokens with which the chat template ends the model's turn; none without a template, or where it
    leaves the turn open."""
    template = getattr(tokenizer, "chat_template", None)
    return list(_template_ends(tokenizer, template, tokenizer.eos_token)) if template else []


@lru_cache(maxsize=8)
def _template_ends(tokenizer: Any, template: Any, eos_token: str | None) -> Sequence[str]:
    """The same, found once for a tokenizer with that template and end of text."""
    turns: list[Mapping[str, Any]] = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _WORD}]
    try:
        _, answer, rest = str(applied(tokenizer, turns)).rpartition(_WORD)
    except InputError:  # it need not take such turns
        return []
    special = "|".join(map(re.escape, _special(tokenizer)))
    run = re.match(rf"\s*((?:{special})+)", rest) if special and answer else None
    if not run:
        return []
    # what follows the first without a gap may open the next turn, where it is not known to end one
    written = re.findall(special, run[1])
    return [written[0], *(end for end in _known_ends(tokenizer) if end in written[1:])]


def _special(tokenizer: Any) -> list[str]:
    """The tokens that are never part of a text, longest first."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    return sorted({token for token in [*tokenizer.all_special_tokens, *added] if token.strip()}, key=len, reverse=True)
