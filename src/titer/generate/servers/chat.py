"""One call to a `/v1/chat/completions`: what is asked, what the answer comes to, what a refusal says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from titer.generate.finished import finished
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.streams import stream_key
from titer.records.thinking import join_thinking

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam


_LONGEST_NOTE = 300  # characters of a server's message that are kept


class Call(NamedTuple):
    """One sample to ask for."""

    request: Request
    sample: int


async def ask(client: AsyncOpenAI, model: str, call: Call, sampling: Sampling) -> ChatCompletion:
    """The server's answer to one call. Raises what the client raises."""
    prefix = call.request.prefix
    more: dict[str, object] = {"top_k": sampling.top_k} if sampling.top_k else {}
    turns = [*map(dict, call.request.earlier), {"role": "user", "content": call.request.prompt}]
    if prefix:
        turns.append({"role": "assistant", "content": prefix})
        more |= {"continue_final_message": True, "add_generation_prompt": False}
    return await client.chat.completions.create(
        model=model,
        messages=cast("list[ChatCompletionMessageParam]", turns),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        # 31 bits: servers hand it to generators that take no more.
        seed=stream_key(sampling.seed, call.request.id, call.sample) & 0x7FFFFFFF,
        extra_body=more or None,
    )


def completion_of(call: Call, reply: ChatCompletion, sampling: Sampling) -> Completion:
    """What an answer comes to; one with finish_reason "error" where it holds no message."""
    # The client checks nothing that it reads, so every field may be missing or of another type.
    choices = getattr(reply, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    if message is None:
        return failed_completion(call, "the answer holds no message")
    ended = getattr(choice, "finish_reason", None)
    tokens = getattr(getattr(reply, "usage", None), "completion_tokens", None)
    done = finished(
        call.request,
        call.sample,
        _raw_text(message, cut=ended == "length"),
        sampling.stop,
        opener=call.request.prefix,
        reason=ended if ended in ("stop", "length") else "error",
        tokens=tokens if isinstance(tokens, int) else 0,
    )
    notes = [
        f"the server ended it with {ended!r}" if done.finish_reason == "error" else "",
        "" if isinstance(tokens, int) else "the server gives no token count",
    ]
    return done._replace(note="; ".join(filter(None, notes)))


def _raw_text(message: object, *, cut: bool) -> str:
    """What the model wrote, from what the server made of it. A cut one without content never closed its thinking."""
    reasoning = _string(message, "reasoning_content") or _string(message, "reasoning")
    content = _string(message, "content")
    if reasoning and cut and not content.strip():
        return f"<think>\n{reasoning}"
    return join_thinking(reasoning, content)


def _string(message: object, name: str) -> str:
    value = getattr(message, name, None)
    # JSON can carry half a surrogate pair, which no file takes
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def failed_completion(call: Call, note: str) -> Completion:
    """The completion of a call that failed for good, and why."""
    note = " ".join(note.split())[:_LONGEST_NOTE]
    return Completion(call.request.id, call.sample, "", "", "", "error", 0, note)


def message_of(error: APIStatusError) -> str:
    """The server's own words: `message` in OpenAI's form, `detail` in FastAPI's, otherwise the whole body."""
    body = error.body
    said = (body.get("message") or body.get("detail")) if isinstance(body, dict) else body
    return " ".join(str(said or error.message).split())[:_LONGEST_NOTE]
