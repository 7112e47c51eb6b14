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
from typing import TYPE_CHECKING, NamedTuple

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.fleet import Endpoint, Fleet
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.stops import cut_at_stop
from titer.generate.streams import stream_key
from titer.records.schema import FinishReason
from titer.records.thinking import join_thinking, split_thinking

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

_REFUSALS_OF_ALL = {401, 403, 404}
"""Statuses that every call would get: wrong key, wrong path, unknown model."""

_REFUSALS_OF_ONE = {400, 422}
"""Statuses that may lie in one prompt (too long). On the first call they are taken to lie in the settings."""

_CONNECT_SECONDS = 10.0
"""A server that takes no connection for this long is not there. `timeout` is for its answer."""

_CHARACTERS_A_TOKEN = 4
"""Of a prompt, roughly: what a call weighs is known before its tokens are."""

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
        clients = [self._client(url) for url in self._urls]
        done: SimpleQueue[Future[Completion]] = SimpleQueue()
        in_flight, most = 0, self._concurrency * len(clients)
        with _event_loop(clients) as loop:
            session = self._session(clients, sampling)
            if isinstance(session, _FleetSession):
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

        timeout = openai.Timeout(self._timeout, connect=min(self._timeout, _CONNECT_SECONDS))
        retries = self._max_retries if len(self._urls) == 1 else 0
        return openai.AsyncOpenAI(base_url=url, api_key=self._api_key, max_retries=retries, timeout=timeout)

    def _session(self, clients: Sequence[AsyncOpenAI], sampling: Sampling) -> _Session | _FleetSession:
        if len(clients) == 1:
            return _Session(clients[0], self._model, self._urls[0], sampling)
        endpoints = [Endpoint(url, client) for url, client in zip(self._urls, clients, strict=True)]
        fleet = Fleet(endpoints, concurrency=self._concurrency)
        return _FleetSession(fleet, self._model, sampling, retries=self._max_retries, patience=self._timeout)


def addresses(base_url: str | Sequence[str]) -> list[str]:
    """The addresses of a sequence, or of a text with commas between them, each once."""
    found = base_url.split(",") if isinstance(base_url, str) else base_url
    return list(dict.fromkeys(url.strip() for url in found if url.strip()))


class _Session:
    """One stream's calls. Remembers whether the server has ever answered."""

    def __init__(self, client: AsyncOpenAI, model: str, base_url: str, sampling: Sampling) -> None:
        self._client = client
        self._model = model
        self._base_url = base_url
        self._sampling = sampling
        self._answered = False

    async def answer(self, call: _Call) -> Completion:
        """The completion of one call; one with finish_reason "error" if it failed for good."""
        import openai

        try:
            reply = await _ask(self._client, self._model, call, self._sampling)
        except openai.APIStatusError as error:
            _refuse(error, call, self._base_url, self._model, answered=self._answered)
            return _failed(call, f"status {error.status_code}: {_message(error)}")
        except openai.APITimeoutError:
            return _failed(call, "the server did not answer in time")
        except openai.APIConnectionError as error:
            if not self._answered:
                fault = f"no server can be reached at {self._base_url} ({error.__cause__ or error})"
                raise InputError(fault, field="base_url", remedy="start it or correct the address") from error
            return _failed(call, f"the server cannot be reached: {error.__cause__ or error}")
        except (openai.OpenAIError, ValueError) as error:
            return _failed(call, f"the answer cannot be read: {error}")
        self._answered = True
        return _completion(call, reply, self._sampling)


class _FleetSession:
    """One stream's calls to several servers."""

    def __init__(self, fleet: Fleet, model: str, sampling: Sampling, *, retries: int, patience: float) -> None:
        self._fleet = fleet
        self._model = model
        self._sampling = sampling
        self._retries = retries
        self._patience = patience

    async def look_around(self) -> None:
        """Ask every server for its models, so that none is sampled for another. Raises InputError for one that has
        not the model, and where none can be reached."""
        found = await asyncio.gather(*(self._models_of(endpoint) for endpoint in self._fleet.endpoints))
        if all(models is None for models in found):
            urls = ", ".join(endpoint.url for endpoint in self._fleet.endpoints)
            raise InputError(f"no server can be reached at {urls}", field="base_url", remedy="start one of them")
        for endpoint, models in zip(self._fleet.endpoints, found, strict=True):
            if models and self._model not in models:
                raise InputError(
                    f"{endpoint.url} serves {', '.join(sorted(models))}, not {self._model!r}",
                    field="base_url",
                    remedy="give servers of one model, under one name",
                )

    async def _models_of(self, endpoint: Endpoint) -> set[str] | None:
        """The names that a server lists; none where it lists nothing; None where it cannot be reached."""
        import openai

        try:
            listed = await endpoint.client.models.list(timeout=_CONNECT_SECONDS)
            return {str(one.id) for one in listed.data or []}
        except openai.APIConnectionError:
            endpoint.calls += 1
            self._fleet.give_back(endpoint, 0, failed=True, gone=True)
            return None
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return set()

    async def answer(self, call: _Call) -> Completion:
        """The completion of one call, from whichever server gives it; one with finish_reason "error" after too many
        failures, or where no server has answered anything for long."""
        import openai

        tokens = self._sampling.max_tokens + len(call.request.prompt) // _CHARACTERS_A_TOKEN
        note, asked = "no server answers", set[Endpoint]()
        for times in range(self._retries + 1):
            endpoint = await self._fleet.take(tokens, patience=self._patience, failed=asked, times=times)
            if endpoint is None:
                break
            asked.add(endpoint)
            failed, gone = True, False
            try:
                reply = await _ask(endpoint.client, self._model, call, self._sampling)
                failed = False
                return _completion(call, reply, self._sampling)
            except openai.APIStatusError as error:
                note = f"status {error.status_code}: {_message(error)}"
                if error.status_code in _REFUSALS_OF_ONE | _REFUSALS_OF_ALL:
                    failed = False  # it answers, and so would the others
                    _refuse(error, call, endpoint.url, self._model, answered=endpoint.answered)
                    break
            except openai.APIConnectionError as error:  # time-outs among them
                note, gone = f"{endpoint.url} cannot be reached, or does not answer in time: {error}", True
            except (openai.OpenAIError, ValueError) as error:
                note = f"the answer cannot be read: {error}"
            finally:
                self._fleet.give_back(endpoint, tokens, failed=failed, gone=gone)
        return _failed(call, note)


def _refuse(error: APIStatusError, call: _Call, url: str, model: str, *, answered: bool) -> None:
    """Raise InputError for a refusal that does not lie in this one call: the server has `answered` none so far, or it
    is the first of all."""
    of_all = error.status_code in _REFUSALS_OF_ALL and not answered
    if of_all or (error.status_code in _REFUSALS_OF_ONE and call.first):
        fault = f"{url} refuses {model!r} with status {error.status_code}: {_message(error)}"
        raise InputError(fault, remedy="correct the address, the model's name, the key or the settings") from error


async def _ask(client: AsyncOpenAI, model: str, call: _Call, sampling: Sampling) -> ChatCompletion:
    prefix = call.request.prefix
    more: dict[str, object] = {"top_k": sampling.top_k} if sampling.top_k else {}
    turns: list[ChatCompletionMessageParam] = [{"role": "user", "content": call.request.prompt}]
    if prefix:
        turns.append({"role": "assistant", "content": prefix})
        more |= {"continue_final_message": True, "add_generation_prompt": False}
    return await client.chat.completions.create(
        model=model,
        messages=turns,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        # 31 bits: servers hand it to generators that take no more.
        seed=stream_key(sampling.seed, call.request.id, call.sample) & 0x7FFFFFFF,
        extra_body=more or None,
    )


def _completion(call: _Call, reply: ChatCompletion, sampling: Sampling) -> Completion:
    # The client checks nothing that it reads, so every field may be missing or of another type.
    choices = getattr(reply, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = getattr(choice, "message", None)
    if message is None:
        return _failed(call, "the answer holds no message")
    ended = getattr(choice, "finish_reason", None)
    text = _raw_text(message, cut=ended == "length")
    prefix = call.request.prefix
    stopped = cut_at_stop(text, sampling.stop, opener=prefix)
    if stopped is not None:
        text, ended = stopped, "stop"
    reason: FinishReason = ended if ended in ("stop", "length") else "error"
    tokens = getattr(getattr(reply, "usage", None), "completion_tokens", None)
    notes = [
        f"the server ended it with {ended!r}" if reason == "error" else "",
        "" if isinstance(tokens, int) else "the server gives no token count",
    ]
    thought = split_thinking(prefix + text)
    return Completion(
        request_id=call.request.id,
        sample=call.sample,
        text=text,
        reasoning=thought.reasoning,
        response=thought.response,
        finish_reason=reason,
        tokens=tokens if isinstance(tokens, int) else 0,
        note="; ".join(filter(None, notes)),
    )


def _raw_text(message: object, *, cut: bool) -> str:
    """What the model wrote, from what the server made of it. A cut one without content never closed its thinking."""
    reasoning = _string(message, "reasoning_content") or _string(message, "reasoning")
    content = _string(message, "content")
    if reasoning and cut and not content.strip():
        return f"<think>\n{reasoning}"
    return join_thinking(reasoning, content)


def _failed(call: _Call, note: str) -> Completion:
    note = " ".join(note.split())[:_LONGEST_NOTE]
    return Completion(call.request.id, call.sample, "", "", "", "error", 0, note)


def _string(message: object, name: str) -> str:
    value = getattr(message, name, None)
    # JSON can carry half a surrogate pair, which no file takes
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _message(error: APIStatusError) -> str:
    """The server's own words: `message` in OpenAI's form, `detail` in FastAPI's, otherwise the whole body."""
    body = error.body
    said = (body.get("message") or body.get("detail")) if isinstance(body, dict) else body
    return " ".join(str(said or error.message).split())[:_LONGEST_NOTE]


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
