"""Sampling through an OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve`, hosted ones.

    generator = ServerGenerator("http://localhost:8000/v1", model="Qwen3-8B", concurrency=64)
    for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling(temperature=0.6)):
        print(completion.sample, completion.finish_reason, completion.response)

Every sample is a call of its own, with a seed of its own: servers without `n` work, and a run that was cut off
asks again only for what it lacks. Several addresses are one generator: calls go to the server that owes the fewest
tokens, what one fails to give another is asked for, and one that comes back is used again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.servers.chat import Call
from titer.generate.servers.fleet import Endpoint, Fleet
from titer.generate.servers.sessions import CONNECT_SECONDS, OneServer, SeveralServers

if TYPE_CHECKING:
    from openai import AsyncOpenAI


class ServerGenerator:
    """Samples a model behind `/v1/chat/completions`; prompts go in as one user turn.

    Thinking is read from `reasoning_content` or `reasoning` where the server splits it off (`text` then has it in
    `<think>` tags again), and from the content's own tags otherwise. Stop strings are never sent, because a server
    applies them inside the thinking too: they are applied here, to the response, so they shorten what is kept and
    not what is generated. `tokens` is the server's own count, 0 with a note if it gives none. `max_tokens` is not
    clipped to the context, which only the server knows: vLLM refuses a call whose prompt and `max_tokens` exceed it.
    `transformers serve` is greedy at every temperature unless the model's generation config has `do_sample`. A prefix
    goes in as the beginning of the assistant's turn with `continue_final_message`, which vLLM and SGLang follow; others
    begin anew, or refuse it.

    A call is repeated with backoff while the server is unreachable, busy (408, 409, 429) or failing (5xx); after
    that its completion has finish_reason "error" and a note, and the others go on. Of several servers another is asked;
    each is first asked which models it has, where it says so, and one that cannot be reached is left to rest.

    Args:
        base_url: up to and with `/v1`; several, in a sequence or with commas, serve the same model.
        model: the name under which the servers have it.
        api_key: by default the environment's OPENAI_API_KEY; servers of one's own need none.
        concurrency: calls in flight at once, on each server.
        max_retries: repetitions of one call.
        timeout: seconds that one call may take, thinking included.
        name: what rollouts call the model; by default `model`.

    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        model: str,
        *,
        api_key: str | None = None,
        concurrency: int = 16,
        max_retries: int = 5,
        timeout: float = 600.0,
        name: str = "",
    ) -> None:
        urls = addresses(base_url)
        for url in urls or [""]:
            if not url.startswith(("http://", "https://")):
                raise InputError(f"{url!r} is no address", field="base_url", remedy="give http://HOST:PORT/v1")
        if concurrency < 1:
            raise InputError(f"{concurrency} calls at once", field="concurrency", remedy="give at least 1")
        self._urls = urls
        self._model = model
        self._api_key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
        self._concurrency = concurrency
        self._max_retries = max_retries
        self._timeout = timeout
        self._taken: list[Sampling] = []  # settings with which it has answered
        self.name = name or model

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, as each arrives. Closing the iterator cancels its calls.

        Requests are pulled, in the caller's thread, when a call can be made for them. Raises InputError for
        settings out of range, a request id that comes twice, a server that cannot be reached or that refuses the
        key, the path or the model before it has answered anything, and for one that refuses the settings. A prompt that
        is refused alone has finish_reason "error".
        """
        check_sampling(sampling)
        calls = (
            Call(request, sample)
            for request in checked(requests)
            for sample in range(request.first, request.first + request.n)
        )
        return self._run(calls, sampling)

    def _run(self, calls: Iterator[Call], sampling: Sampling) -> Iterator[Completion]:
        clients = [self._client(url) for url in self._urls]
        done: SimpleQueue[Future[Completion]] = SimpleQueue()
        in_flight, most = 0, self._concurrency * len(clients)
        with _event_loop(clients) as loop:
            session = self._session(clients, sampling)
            if isinstance(session, SeveralServers):
                asyncio.run_coroutine_threadsafe(session.look_around(), loop).result()
            while True:
                for call in islice(calls, most - in_flight):
                    asyncio.run_coroutine_threadsafe(session.answer(call), loop).add_done_callback(done.put)
                    in_flight += 1
                if not in_flight:
                    return
                completion = done.get().result()
                in_flight -= 1
                yield completion

    def _client(self, url: str) -> AsyncOpenAI:
        """Of several servers the next is asked instead of the same one again."""
        import openai

        timeout = openai.Timeout(self._timeout, connect=min(self._timeout, CONNECT_SECONDS))
        retries = self._max_retries if len(self._urls) == 1 else 0
        return openai.AsyncOpenAI(base_url=url, api_key=self._api_key, max_retries=retries, timeout=timeout)

    def _session(self, clients: Sequence[AsyncOpenAI], sampling: Sampling) -> OneServer | SeveralServers:
        if len(clients) == 1:
            return OneServer(clients[0], self._model, self._urls[0], sampling, self._taken)
        endpoints = [Endpoint(url, client) for url, client in zip(self._urls, clients, strict=True)]
        fleet = Fleet(endpoints, concurrency=self._concurrency)
        return SeveralServers(
            fleet, self._model, sampling, self._taken, retries=self._max_retries, patience=self._timeout
        )


def addresses(base_url: str | Sequence[str]) -> list[str]:
    """The addresses of a sequence, or of a text with commas between them, each once."""
    found = base_url.split(",") if isinstance(base_url, str) else base_url
    return list(dict.fromkeys(url.strip() for url in found if url.strip()))


@contextmanager
def _event_loop(clients: Sequence[AsyncOpenAI]) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own. On leaving, its calls are cancelled and the clients are closed."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="titer-server-calls", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_shut_down(clients), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _shut_down(clients: Sequence[AsyncOpenAI]) -> None:
    calls = asyncio.all_tasks() - {asyncio.current_task()}
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for client in clients:
        await client.close()
