"""Sampling through an OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve`, hosted ones.

    generator = ServerGenerator("http://localhost:8000/v1", model="Qwen3-8B", concurrency=64)
    for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling(temperature=0.6)):
        print(completion.sample, completion.finish_reason, completion.response)

Every sample is a call of its own, with a seed of its own: servers without `n` work, and a run that was cut off
asks again only for what it lacks.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.stops import cut_at_stop
from titer.generate.streams import stream_key
from titer.records.thinking import split_thinking

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletion

_REFUSALS_OF_ALL = {401, 403, 404}
"""Statuses that every call would get: wrong key, wrong path, unknown model."""

_REFUSALS_OF_ONE = {400, 422}
"""Statuses that may lie in one prompt (too long). On the first call they are taken to lie in the settings."""

_LONGEST_NOTE = 300
"""Characters of a server's message that are kept."""


class _Call(NamedTuple):
    """One sample to ask for. `first` marks the stream's very first."""

    request: Request
    sample: int
    first: bool


class ServerGenerator:
    """Samples a model behind `/v1/chat/completions`; prompts go in as one user turn.

    Thinking is read from `reasoning_content` or `reasoning` where the server splits it off (`text` then has it in
    `<think>` tags again), and from the content's own tags otherwise. Stop strings are never sent, because a server
    applies them inside the thinking too: they are applied here, to the response, so they shorten what is kept and
    not what is generated. `tokens` is the server's own count, 0 with a note if it gives none.

    A call is repeated with backoff while the server is unreachable, busy (408, 409, 429) or failing (5xx); after
    that its completion has finish_reason "error" and a note, and the others go on.

    Args:
        base_url: up to and with `/v1`.
        model: the name under which the server has it.
        api_key: by default the environment's OPENAI_API_KEY; servers of one's own need none.
        concurrency: calls in flight at once.
        max_retries: repetitions of one call.
        timeout: seconds that one call may take, thinking included.
        name: what rollouts call the model; by default `model`.

    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        max_retries: int = 5,
        timeout: float = 600.0,
        name: str = "",
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"{base_url!r} is no address", field="base_url", remedy="give http://HOST:PORT/v1")
        if concurrency < 1:
            raise InputError(f"{concurrency} calls at once", field="concurrency", remedy="give at least 1")
        self._base_url = base_url
        self._model = model
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._concurrency = concurrency
        self._max_retries = max_retries
        self._timeout = timeout
        self.name = name or model

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, as each arrives. Closing the iterator cancels its calls.

        Requests are pulled, in the caller's thread, when a call can be made for them. Raises InputError for
        settings out of range, a request id that comes twice, a server that cannot be reached or that refuses the
        key, the path or the model before it has answered anything, and for one that refuses the very first call.
        """
        check_sampling(sampling)
        calls = (
            _Call(request, sample, first=i == 0 and sample == request.first)
            for i, request in enumerate(checked(requests))
            for sample in range(request.first, request.first + request.n)
        )
        return self._run(calls, sampling)

    def _run(self, calls: Iterator[_Call], sampling: Sampling) -> Iterator[Completion]:
        done: SimpleQueue[Future[Completion]] = SimpleQueue()
        in_flight = 0
        with _event_loop() as loop, _Session(self, sampling) as session:
            while True:
                for call in islice(calls, self._concurrency - in_flight):
                    asyncio.run_coroutine_threadsafe(session.answer(call), loop).add_done_callback(done.put)
                    in_flight += 1
                if not in_flight:
                    return
                yield done.get().result()
                in_flight -= 1
