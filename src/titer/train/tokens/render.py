"""A trace as text in its model's chat template: the prompt, and the completion with its end of turn.

    prompt, completion = render(trace, tokenizer)

The chat template writes everything (`titer.records.turns`); nothing is appended by hand where it exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from titer.errors import InputError
from titer.records import Trace, earlier_turns, join_thinking
from titer.records.templates import no_template, turn_ends
from titer.records.turns import templated_trace


def render(trace: Trace, tokenizer: Any) -> tuple[str, str]:
    """Prompt and completion as text, end-of-turn included. Raises InputError as `written` does, and where there is
    neither a template nor an end-of-text token."""
    if not getattr(tokenizer, "chat_template", None):
        return _plain(trace, earlier_turns(trace), tokenizer)
    prompt, completion = templated_trace(trace, tokenizer)
    return prompt, _to_end_of_turn(completion, tokenizer)


def _plain(trace: Trace, earlier: Sequence[Any], tokenizer: Any) -> tuple[str, str]:
    """Prompt and completion of a tokenizer without a chat template."""
    if earlier:
        raise no_template(f"trace {trace.id!r}")
    if not tokenizer.eos_token:
        raise InputError(
            "the tokenizer has neither a chat template nor an end-of-text token: the model would never learn to end",
            field="eos_token",
            remedy="name one in its tokenizer_config.json",
        )
    return trace.prompt, f" {join_thinking(trace.reasoning, trace.response)}{tokenizer.eos_token}"


def _to_end_of_turn(completion: str, tokenizer: Any) -> str:
    """Templates may write after the end-of-turn token (a line break, an end of text); nothing after it is ever
    generated."""
    ends = turn_ends(tokenizer)
    cut, stop = len(completion), 0
    while end := next((end for end in ends if completion[:cut].rstrip().endswith(end)), ""):
        stop = len(completion[:cut].rstrip())
        cut = stop - len(end)
    if stop:
        return completion[:stop]
    for end in ends:
        if end in completion:
            return completion[: completion.rindex(end) + len(end)]
    return completion + (tokenizer.eos_token or "")
