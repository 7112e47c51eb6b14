"""A row as people have it → a Problem or a Trace.

    parse_problem({"question": "3 + 4?", "answer": "It is 7.\\n#### 7"}, verifier="math")
    parse_trace({"messages": [{"role": "user", "content": "3 + 4?"},
                              {"role": "assistant", "content": "<think>3 + 4 is 7</think>7"}]})

Where several names for one thing hold something, the first of its list in `columns` counts and the others stay
in meta. Of the two messages that become prompt and response only the text is kept. Every function here raises
InputError with the field; the file and the row are the caller's to add.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.records import columns
from titer.records.chat import EARLIER, Asked, Message, asked, messages_of, refuse_tools
from titer.records.columns import digest, flag, is_missing, leftover, prompt_id, string, take, text
from titer.records.published import published_answer
from titer.records.rows import own_record
from titer.records.schema import Problem, Trace
from titer.records.thinking import Thought, opener_at_end, opens_thinking, split_thinking

_GSM8K = re.compile(r"\A(?P<solution>.*)####(?P<answer>[^\n]*)\s*\Z", re.DOTALL)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# Columns named `reasoning` or `thinking` also hold a mode or an effort.
_MODES = {
    *("on", "off", "true", "false", "enabled", "disabled", "adaptive", "auto"),
    *("none", "minimal", "low", "medium", "high", "xhigh", "max"),
}
# How servers and their clients say that a limit cut the answer.
_CUT = {"length", "max_tokens", "max_output_tokens", "model_length"}
_REASONS = ("finish_reason", "stop_reason")


class _Exchange(NamedTuple):
    """What was asked, and the assistant's message."""

    asked: Asked
    said: Message


def parse_problem(row: dict[str, Any], verifier: str) -> Problem:
    """The row's problem. `verifier` is for rows that name none."""
    own = own_record(Problem, row)
    problem = _foreign_problem(dict(row), verifier) if own is None else own
    if is_missing(problem.prompt):
        raise _nothing("prompt", *columns.PROMPT, "messages")
    if is_missing(problem.answer):
        raise _nothing("answer", *columns.ANSWER)
    return problem


def parse_trace(row: dict[str, Any]) -> Trace:
    """The row's trace. Unclosed thinking, a missing response and a `finish_reason` of length make it truncated."""
    own = own_record(Trace, row)
    trace = _foreign_trace(dict(row)) if own is None else own
    if is_missing(trace.prompt):
        raise _nothing("prompt", *columns.PROMPT, "messages")
    if is_missing(trace.reasoning) and is_missing(trace.response):
        raise _nothing("response", *columns.RESPONSE, "messages")
    return trace


def _nothing(what: str, *keys: str) -> InputError:
    return InputError(f"no {what}", remedy=f"give one as {', '.join(keys[:-1])} or {keys[-1]}", field=what)


def _foreign_problem(rest: dict[str, Any], verifier: str) -> Problem:
    refuse_tools(rest)
    question = _question(rest, may_be_answered=True)
    answer, solution = _answer(rest)
    name = take(rest, columns.PROBLEM_ID)
    if is_missing(answer):
        answer, verifier = published_answer(rest, verifier)
    return Problem(
        id=prompt_id(question.prompt, question.earlier) if name[1] is None else text(*name),
        prompt=question.prompt,
        answer=answer,
        verifier=string(*take(rest, ("verifier",))) or verifier,
        domain=string(*take(rest, columns.DOMAIN)),
        meta={**_kept(question, solution), **leftover(rest)},
    )


def _foreign_trace(rest: dict[str, Any]) -> Trace:
    refuse_tools(rest)
    exchange = _exchange(rest)
    question, thought = _thought(exchange, rest)
    answer, solution = _answer(rest)
    problem = take(rest, ("problem_id",))
    problem_id = prompt_id(question.prompt, question.earlier) if problem[1] is None else text(*problem)
    teacher = string(*take(rest, columns.TEACHER))
    name = take(rest, ("id",))
    cut = bool(flag("truncated", rest.pop("truncated", None)))
    cut = cut or any(str(rest.get(reason)).lower() in _CUT for reason in _REASONS)
    return Trace(
        id=digest(problem_id, teacher, thought.reasoning, thought.response) if name[1] is None else text(*name),
        problem_id=problem_id,
        prompt=question.prompt,
        response=thought.response,
        reasoning=thought.reasoning,
        teacher=teacher,
        answer=answer,
        verifier=string(*take(rest, ("verifier",))),
        domain=string(*take(rest, columns.DOMAIN)),
        correct=flag("correct", rest.pop("correct", None)),
        truncated=cut or not thought.closed,
        meta={**_kept(question, solution), **leftover(rest)},
    )


def _kept(question: Asked, solution: str) -> dict[str, Any]:
    """What of a prompt and an answer has no field of its own."""
    return {
        **({EARLIER: question.earlier} if question.earlier else {}),
        **({"solution": solution} if solution else {}),
    }


def _question(rest: dict[str, Any], *, may_be_answered: bool) -> Asked:
    """The prompt, from a prompt column or a conversation. The answer that may end the latter becomes a column."""
    key, value = take(rest, columns.PROMPT)
    if value is None:
        key, value = take(rest, columns.MESSAGES)
    if value is None:
        return Asked("", [])
    if isinstance(value, list) or key in columns.MESSAGES:
        messages = messages_of(key, value)
        if may_be_answered and messages and messages[-1]["role"] == "assistant":
            rest.setdefault("response", messages.pop()["content"])
        return asked(key, _with_system(messages, rest))
    return _plain_question(key, value, rest)


def _plain_question(key: str, value: object, rest: dict[str, Any]) -> Asked:
    prompt = string(key, value)
    if key == "instruction" and isinstance(rest.get("input"), str):
        # Alpaca: the instruction says what to do with the input.
        prompt = "\n\n".join(filter(None, (prompt, rest.pop("input").strip())))
    return Asked(prompt, _with_system([], rest))


def _with_system(messages: list[Message], rest: dict[str, Any]) -> list[Message]:
    key, system = take(rest, ("system", "system_prompt"))
    return messages if system is None else [{"role": "system", "content": string(key, system)}, *messages]


def _answer(rest: dict[str, Any]) -> tuple[str, str]:
    """The gold answer and, in GSM8K's form, the worked solution before its `####`."""
    key, value = take(rest, columns.ANSWER)
    answer = "" if value is None else text(key, value)
    marked = _GSM8K.match(answer)
    if marked is None:
        return answer, ""
    final = marked["answer"].strip()
    return final.replace(",", "") if _GROUPED.fullmatch(final) else final, marked["solution"].strip()


def _exchange(rest: dict[str, Any]) -> _Exchange:
    key, talk = take(rest, columns.MESSAGES)
    if talk is not None:
        messages = messages_of(key, talk)
        said = _assistant(key, messages[-1:])
        return _Exchange(asked(key, _with_system(messages[:-1], rest)), said)
    question = _question(rest, may_be_answered=False)
    key, completion = take(rest, columns.RESPONSE)
    if isinstance(completion, list):
        return _Exchange(question, _assistant(key, messages_of(key, completion)))
    return _Exchange(question, {"role": "assistant", "content": string(key, completion)})


def _assistant(key: str, messages: list[Message]) -> Message:
    if [message["role"] for message in messages] != ["assistant"]:
        fault = "it does not end in one message by the assistant"
        raise InputError(fault, remedy="end the row with the answer to train on", field=key)
    return messages[0]


def _thought(exchange: _Exchange, rest: dict[str, Any]) -> tuple[Asked, Thought]:
    """Split the completion; thinking that stands beside it, in the message or the row, is used if it has none."""
    question, opener = _without_opener(exchange.asked)
    content = exchange.said["content"]
    holder = rest if columns.first(exchange.said, columns.REASONING) is None else exchange.said
    beside = columns.first(holder, columns.REASONING)
    if beside is None:
        return question, split_thinking(opener + content)
    if str(holder[beside]).strip().lower() in _MODES or opens_thinking(content):
        rest.setdefault(beside, holder[beside])
        return question, split_thinking(opener + content)
    reasoning = string(beside, holder.pop(beside))
    return question, Thought(reasoning, content, closed=not is_missing(content))


def _without_opener(question: Asked) -> tuple[Asked, str]:
    """Take a thinking tag, which belongs to the completion, from the end of a rendered prompt."""
    opener = opener_at_end(question.prompt)
    if not opener:
        return question, ""
    return question._replace(prompt=question.prompt.rstrip().removesuffix(opener).rstrip()), opener
