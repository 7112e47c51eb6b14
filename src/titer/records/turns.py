"""A prompt and its answer as a chat template writes them, the thinking where the template has its place for it.

    prompt, completion = templated_trace(trace, tokenizer)
    thinking_opening(tokenizer)     # "[THINK]", or "<|channel|>analysis<|message|>"; "" where the prompt opens it

Refused are a prompt that is not a prefix of the whole, and a template that swallows the thinking.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records.chat import earlier_turns
from titer.records.schema import Trace
from titer.records.templates import applied, templated_prompt
from titer.records.thinking import join_thinking, opener_at_end, split_thinking

logger = logging.getLogger("titer")

_SAMPLE = Trace(id="sample", problem_id="", prompt="?", reasoning="the-thinking", response="the-answer")


def templated_trace(trace: Trace, tokenizer: Any) -> tuple[str, str]:
    """Prompt and completion in the tokenizer's template, with whatever it writes after the answer.

    Raises InputError for a template that does not take the turns, does not begin with the prompt, or drops the
    thinking.
    """
    prompt, forms = _forms(trace, earlier_turns(trace), tokenizer)
    if not forms:
        raise _no_prefix(trace, prompt)
    holding = [one for one in forms if _holds_thinking(one.completion, trace)]
    if not holding:
        raise _dropped_thinking(trace)
    best = _readable(holding, opener_at_end(prompt), trace)
    if holding[0].apart and not best.apart:
        _warn_of_unread_marks(tokenizer.chat_template)
    return prompt, best.completion


def thinking_opening(tokenizer: Any) -> str:
    """What the template writes between a prompt and the thinking. Raises InputError as `templated_trace` does."""
    return _opening(tokenizer, tokenizer.chat_template)


@lru_cache(maxsize=8)
def _opening(tokenizer: Any, template: Any) -> str:
    return templated_trace(_SAMPLE, tokenizer)[1].partition(_SAMPLE.reasoning)[0]


class _Written(NamedTuple):
    """A completion as a template writes it, given the thinking apart from the answer or inside of it."""

    completion: str
    apart: bool


def _forms(trace: Trace, earlier: Sequence[Any], tokenizer: Any) -> tuple[str, list[_Written]]:
    """The prompt, and what follows it in each form in which the template takes the answer.

    A template whose prompt opens a thinking has, for an answer without one, a prompt of another mode.
    """
    modes: list[dict[str, Any]] = [{}] if trace.reasoning.strip() else [{}, {"enable_thinking": False}]
    prompts = [templated_prompt(tokenizer, earlier, trace.prompt, **mode) for mode in modes]
    turns = [*earlier, {"role": "user", "content": trace.prompt}]
    forms = [(apart, _taken(tokenizer, [*turns, answer])) for apart, answer in _assistant_turns(trace, tokenizer)]
    for prompt in prompts:
        found = [_Written(whole[len(prompt) :], apart) for apart, whole in forms if whole.startswith(prompt)]
        if found:
            return prompt, found
    return prompts[0], []


def _taken(tokenizer: Any, turns: list[Any]) -> str:
    """The turns in the template; "" for content in parts where it takes text alone."""
    try:
        return str(applied(tokenizer, turns))
    except InputError:
        if isinstance(turns[-1]["content"], list):
            return ""
        raise


def _readable(forms: Sequence[_Written], opener: str, trace: Trace) -> _Written:
    """The first form whose thinking titer finds again, else the first of all.

    Rollouts are read by the same marks: what is written where nothing here reads it would count as the answer.
    """
    thinking = trace.reasoning.strip()
    reads = [one for one in forms if thinking in split_thinking(opener + one.completion).reasoning]
    return (reads or forms)[0]


def _dropped_thinking(trace: Trace) -> InputError:
    return InputError(
        f"the chat template drops the thinking of trace {trace.id!r}",
        field="chat_template",
        remedy="use a template that keeps <think>…</think> or reasoning_content in the last turn",
    )


def _no_prefix(trace: Trace, prompt: str) -> InputError:
    if opener_at_end(prompt):
        fault = f"the chat template opens a thinking in its prompt, and writes trace {trace.id!r} without one"
        remedy = "use a template that keeps the thinking of the last turn; for many models TRL has one, NAME_training"
        return InputError(fault, field="chat_template", remedy=remedy)
    return InputError(
        f"the prompt of trace {trace.id!r} is not a prefix of its rendered text",
        field="chat_template",
        remedy="use a chat template that writes prompts and answers alike",
    )


@cache
def _warn_of_unread_marks(template: str) -> None:
    """Once for a template: thousands of traces are written in it."""
    logger.warning(
        "the chat template writes thinking with marks that titer does not read; it is trained inside <think>…</think>"
    )


def _holds_thinking(completion: str, trace: Trace) -> bool:
    """Whether the thinking stands in a completion, once more than the response itself may repeat it."""
    thinking = trace.reasoning.strip()
    return not thinking or completion.count(thinking) > trace.response.count(thinking)


def _assistant_turns(trace: Trace, tokenizer: Any) -> Iterable[tuple[bool, dict[str, Any]]]:
    """The ways in which chat templates take a thinking, and whether it stands apart from the answer. Those first: a
    template that has a place of its own for it would put a thinking inside of the content into the answer."""
    if thinking := trace.reasoning.strip():
        said = {"role": "assistant", "content": trace.response}
        yield True, {**said, "reasoning_content": trace.reasoning}
        yield True, {**said, "thinking": trace.reasoning}
        parts = [{"type": "thinking", "thinking": thinking}, {"type": "text", "text": trace.response}]
        if _takes_parts(tokenizer, tokenizer.chat_template):
            yield True, {**said, "content": parts}
    yield False, {"role": "assistant", "content": join_thinking(trace.reasoning, trace.response)}


@lru_cache(maxsize=8)
def _takes_parts(tokenizer: Any, template: Any) -> bool:
    """Whether content in parts is written as the same content in one text is: others print the list."""
    asked, said = {"role": "user", "content": _SAMPLE.prompt}, _SAMPLE.response
    parts = [{"type": "text", "text": said}]
    whole = [_taken(tokenizer, [asked, {"role": "assistant", "content": content}]) for content in (said, parts)]
    return whole[0] == whole[1]
