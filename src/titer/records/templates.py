"""Prompts in a tokenizer's chat template, the same way for sampling and for training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from titer.errors import InputError


def templated_prompt(tokenizer: Any, earlier: Iterable[Mapping[str, Any]], prompt: str) -> str:
    """The messages before the prompt and the prompt as the user's turn, up to where the model's own turn begins.

    Raises InputError where the template takes no such turns, as some take no system prompt.
    """
    turns = [*earlier, {"role": "user", "content": prompt}]
    return str(applied(tokenizer, turns, add_generation_prompt=True))


def applied(tokenizer: Any, turns: list[Mapping[str, Any]], **how: Any) -> Any:
    """The turns in the tokenizer's template, as text. Raises InputError where it does not take them."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, **how)
    except TemplateError as error:
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
    """Tokens that end a turn: the tokenizer's end of text, and those of chat templates beside it."""
    known = (tokenizer.eos_token, "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<turn|>")
    return list(dict.fromkeys(end for end in known if end))
