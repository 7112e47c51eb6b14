"""Message lists, in the OpenAI form (role, content) and the ShareGPT form (from, value).

messages_of("messages", [{"from": "human", "value": "3 + 4?"}])   # [{"role": "user", "content": "3 + 4?"}]

A record's prompt is the last user turn. What was said before, a system prompt too, stands in its meta under EARLIER: a
model that is sampled or trained sees these turns first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records.columns import string
from titer.records.rows import type_name
from titer.records.schema import Problem, Trace

Message = dict[str, Any]
EARLIER = "earlier_messages"
THINKING = ("thinking", "reasoning")  # types of a content part, and the keys that hold its words

_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "bot": "assistant"}


class Asked(NamedTuple):
    """The last user turn's text, and the messages before it."""

    prompt: str
    earlier: list[Message]


def messages_of(key: str, value: object) -> list[Message]:
    """A list of messages, or its JSON, each with `role`, text `content`, and whatever else it had.

    Raises InputError for anything that is no such list, and for content that is not text.
    """
    if isinstance(value, str):  # a CSV's cell, a Parquet file's JSON column
        value = _json(value)
    if not isinstance(value, list):
        raise InputError(f"{type_name(value)}, not a list of messages", remedy="write a list", field=key)
    return [_message(key, message) for message in value]


def _json(text: str) -> object:
    """What the text is in JSON, or the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def asked(key: str, messages: list[Message]) -> Asked:
    """Split a prompt's messages at its last one, which must be the user's."""
    if not messages or messages[-1]["role"] != "user":
        by = f"is by {messages[-1]['role']!r}" if messages else "is missing"
        fault = f"the turn before the answer {by}, not by the user"
        raise InputError(fault, remedy="keep rows that answer a user's turn", field=key)
    return Asked(messages[-1]["content"], messages[:-1])


def refuse_tools(row: Mapping[str, Any]) -> None:
    """Raise InputError for a row whose model was given tools: prompts are written without them here."""
    tools = row.get("tools")
    if isinstance(tools, str):
        tools = _json(tools)
    if isinstance(tools, list | dict) and tools:
        fault = "the model was given tools, which titer writes into no prompt"
        raise InputError(fault, remedy="keep rows without tools, or remove the column", field="tools")


def earlier_turns(record: Problem | Trace) -> tuple[Message, ...]:
    """The messages before the record's prompt. Raises InputError for what is no list of messages."""
    return tuple(messages_of(f"meta.{EARLIER}", record.meta.get(EARLIER, [])))


def kept_turns(record: Problem | Trace) -> dict[str, Any]:
    """The meta that carries the messages before the record's prompt to another record; empty where there are none."""
    return {EARLIER: record.meta[EARLIER]} if record.meta.get(EARLIER) else {}


def without_turns(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The meta of a record that is no longer asked behind these messages."""
    return {key: value for key, value in meta.items() if key != EARLIER}


def question(record: Problem | Trace) -> str:
    """The prompt with the turns before it, a system prompt aside: what makes it another question than others."""
    return "\n".join(
        [*(str(turn["content"]) for turn in earlier_turns(record) if turn["role"] != "system"), record.prompt]
    )


def in_words(record: Problem | Trace) -> str:
    """The prompt with what was said before it, as one text."""
    turns = earlier_turns(record)
    said = [f"{turn['role']}: {turn['content']}" for turn in turns]
    return "\n\n".join([*said, f"user: {record.prompt}"]) if said else record.prompt


def _message(key: str, message: object) -> Message:
    if not isinstance(message, dict):
        raise InputError(f"a message that is {type_name(message)}", remedy="write objects", field=key)
    role = message.get("role") or message.get("from")
    if not isinstance(role, str):
        raise InputError("a message without a role", remedy="name who speaks", field=key)
    content = message.get("content", message.get("value"))
    rest = {k: v for k, v in message.items() if k not in {"role", "from", "content", "value"} and v is not None}
    if isinstance(rest.get("tool_calls"), list):
        rest["tool_calls"] = [_call(call) for call in rest["tool_calls"]]
    return {**rest, "role": _ROLES.get(role, role), **_content(key, content)}


def _call(call: Any) -> Any:
    """A tool call whose arguments are an object, as templates take them; the API of OpenAI gives them as text."""
    said = call.get("function") if isinstance(call, dict) else None
    if not isinstance(said, dict) or not isinstance(said.get("arguments"), str):
        return call
    return {**call, "function": {**said, "arguments": _json(said["arguments"])}}


def _content(key: str, content: object) -> Message:
    """The content as text; parts of type `thinking` or `reasoning` become `reasoning_content`."""
    if not isinstance(content, list):
        return {"content": string(key, content)}
    said: dict[str, list[str]] = {"text": [], "thinking": []}
    for part in content:
        kind, words = _part(key, part)
        said[kind].append(words)
    thinking = {"reasoning_content": "".join(said["thinking"])} if said["thinking"] else {}
    return {"content": "".join(said["text"]), **thinking}


def _part(key: str, part: object) -> tuple[str, str]:
    """What a part is, text or thinking, and its words. Its type says so where it has one; both may stand in `text`."""
    kind = part.get("type") if isinstance(part, dict) else type_name(part)
    if isinstance(part, dict):
        text = part.get("text")
        thought = next((part[name] for name in THINKING if isinstance(part.get(name), str) and part[name]), None)
        if thought is not None and (kind in THINKING or not text):
            return "thinking", str(thought)
        if isinstance(text, str):
            return ("thinking" if kind in THINKING else "text"), text
    raise InputError(f"a content part that is not text ({kind})", remedy="keep rows of text only", field=key)
