"""What every generator is: requests in, completions out, in the order in which they finish.

for completion in generator.stream(requests, Sampling(temperature=0.6)):
    print(completion.request_id, completion.sample, completion.text)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from titer.records.schema import FinishReason


class Request(NamedTuple):
    """One prompt to be completed `n` times. `id` must be unique within one stream.

    Its samples are numbered from `first`: a caller that has samples 0–3 already asks for `n=4, first=4`, and
    gets what one request for eight would have given it. `prefix` is how the model's turn begins, as if it had
    written that itself (`"<think>\\nFirst, 3 + 4 = 7."`): the completion goes on from there. `earlier` are the messages
    before the prompt (`{"role": …, "content": …}`), a system prompt or earlier turns.
    """

    id: str
    prompt: str
    n: int = 1
    first: int = 0
    prefix: str = ""
    earlier: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample. `temperature` 0 is greedy.

    `max_tokens` bounds the completion, thinking included. `stop` strings apply only after the thinking has
    closed: a stop string inside `<think>…</think>` never ends a completion. Sample i of request r draws its
    random numbers from (seed, r.id, i) alone, so what else is in the batch does not change it.
    """

    temperature: float = 0.6
    top_p: float = 0.95
    top_k: int = 0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int = 0


class Completion(NamedTuple):
    """One finished completion. `text` is the raw text after the prompt and its prefix, end-of-turn token removed.

    `reasoning` and `response` are prefix and `text` split at the end of the thinking. `tokens` counts generated tokens,
    end-of-turn included. `finish_reason` is "stop" (end-of-turn or a stop string), "length" (cut) or
    "error" (the backend gave up; `note` says why). `ids` are the generated tokens where the model runs in this process.
    """

    request_id: str
    sample: int
    text: str
    reasoning: str
    response: str
    finish_reason: FinishReason
    tokens: int
    note: str = ""
    ids: tuple[int, ...] = ()


class Generator(Protocol):
    """A model that can be sampled."""

    name: str

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, as each finishes."""
        ...
