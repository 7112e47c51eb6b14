"""One stream's calls, to one server or to several."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from titer.errors import InputError
from titer.generate.protocol import Completion, Sampling
from titer.generate.servers.chat import Call, ask, completion_of, failed_completion, message_of
from titer.generate.servers.fleet import Endpoint, Fleet
from titer.generate.servers.refusals import OF_ALL, OF_ONE, Refusals

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS = 10.0  # a server that takes no connection for this long is not there. `timeout` is for its answer
_CHARACTERS_A_TOKEN = 4  # of a prompt, roughly: what a call weighs is known before its tokens are


class OneServer:
    """One stream's calls. Remembers whether the server has ever answered."""

    def __init__(
        self, client: AsyncOpenAI, model: str, base_url: str, sampling: Sampling, taken: list[Sampling]
    ) -> None:
        self._client = client
        self._model = model
        self._base_url = base_url
        self._sampling = sampling
        self._refusals = Refusals(taken, model, sampling)
        self._answered = False

    async def answer(self, call: Call) -> Completion:
        """The completion of one call; one with finish_reason "error" if it failed for good."""
        import openai

        try:
            reply = await ask(self._client, self._model, call, self._sampling)
        except openai.APIStatusError as error:
            await self._refusals.judge(error, call, self._client, self._base_url, answered=self._answered)
            return failed_completion(call, f"status {error.status_code}: {message_of(error)}")
        except openai.APITimeoutError:
            return failed_completion(call, "the server did not answer in time")
        except openai.APIConnectionError as error:
            if not self._answered:
                fault = f"no server can be reached at {self._base_url} ({error.__cause__ or error})"
                raise InputError(fault, field="base_url", remedy="start it or correct the address") from error
            return failed_completion(call, f"the server cannot be reached: {error.__cause__ or error}")
        except (openai.OpenAIError, ValueError) as error:
            return failed_completion(call, f"the answer cannot be read: {error}")
        self._answered = True
        self._refusals.answered()
        return completion_of(call, reply, self._sampling)


class SeveralServers:
    """One stream's calls to several servers."""

    def __init__(
        self, fleet: Fleet, model: str, sampling: Sampling, taken: list[Sampling], *, retries: int, patience: float
    ) -> None:
        self._fleet = fleet
        self._model = model
        self._sampling = sampling
        self._refusals = Refusals(taken, model, sampling)
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
            listed = await endpoint.client.models.list(timeout=CONNECT_SECONDS)
            return {str(one.id) for one in listed.data or []}
        except openai.APIConnectionError:
            endpoint.calls += 1
            self._fleet.give_back(endpoint, 0, failed=True, gone=True)
            return None
        except (openai.OpenAIError, ValueError, AttributeError, TypeError):
            return set()

    async def answer(self, call: Call) -> Completion:
        """The completion of one call, from whichever server gives it; one with finish_reason "error" after too many
        failures, or where no server has answered anything for long."""
        import openai

        said = sum(len(str(turn.get("content", ""))) for turn in call.request.earlier) + len(call.request.prompt)
        tokens = self._sampling.max_tokens + said // _CHARACTERS_A_TOKEN
        note, asked = "no server answers", set[Endpoint]()
        for times in range(self._retries + 1):
            endpoint = await self._fleet.take(tokens, patience=self._patience, failed=asked, times=times)
            if endpoint is None:
                break
            asked.add(endpoint)
            failed, gone = True, False
            try:
                reply = await ask(endpoint.client, self._model, call, self._sampling)
                failed = False
                self._refusals.answered()
                return completion_of(call, reply, self._sampling)
            except openai.APIStatusError as error:
                note = f"status {error.status_code}: {message_of(error)}"
                if error.status_code in OF_ONE | OF_ALL:
                    failed = False  # it answers, and so would the others
                    answered = endpoint.answered
                    await self._refusals.judge(error, call, endpoint.client, endpoint.url, answered=answered)
                    break
            except openai.APIConnectionError as error:  # time-outs among them
                note, gone = f"{endpoint.url} cannot be reached, or does not answer in time: {error}", True
            except (openai.OpenAIError, ValueError) as error:
                note = f"the answer cannot be read: {error}"
            finally:
                self._fleet.give_back(endpoint, tokens, failed=failed, gone=gone)
        return failed_completion(call, note)
