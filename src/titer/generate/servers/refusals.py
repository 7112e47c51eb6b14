"""What a server's refusal lies in: in the one prompt, or in what every call has in common.

taken = []                                                       # a generator's, over all its streams
refusals = Refusals(taken, "Qwen3-8B", sampling)
await refusals.judge(error, call, client, url, answered=False)   # raises InputError for what lies in every call
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from titer.errors import InputError
from titer.generate.protocol import Request, Sampling
from titer.generate.servers.chat import Call, ask, message_of

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

OF_ALL: Final = {401, 403, 404}
"""Statuses that every call would get: wrong key, wrong path, unknown model."""
OF_ONE: Final = {400, 422}
"""Those that may lie in one prompt (too long), or in the settings."""
_INSTRUCTING: Final = ("system", "developer")


class Refusals:
    """One stream's. Before anything has been answered, a plain question with the same settings says what a 400 or 422
    lies in: which prompt comes first says nothing, for a stream may be what an earlier one was refused.

    `taken` are the settings with which any call of the generator has been answered.
    """

    def __init__(self, taken: list[Sampling], model: str, sampling: Sampling) -> None:
        self._taken = taken
        self._model = model
        self._sampling = sampling
        self._asking = asyncio.Lock()

    def answered(self) -> None:
        """Note that a call has been."""
        if self._sampling not in self._taken:
            self._taken.append(self._sampling)

    async def judge(self, error: APIStatusError, call: Call, client: AsyncOpenAI, url: str, *, answered: bool) -> None:
        """Raises InputError for a refusal that does not lie in this one call. `answered` says whether the server has
        answered anything in this stream."""
        if error.status_code in OF_ALL and not answered:
            refused = repr(self._model)
        elif error.status_code in OF_ONE and await self._refuses_a_plain_question(call, client):
            refused = f"request {call.request.id!r} and a plain question to {self._model!r} alike"
        else:
            return
        fault = f"{url} refuses {refused} with status {error.status_code}: {message_of(error)}"
        raise InputError(fault, remedy="correct the address, the model's name, the key or the settings") from error

    async def _refuses_a_plain_question(self, call: Call, client: AsyncOpenAI) -> bool:
        import openai

        async with self._asking:
            if self._sampling in self._taken:
                return False
            try:
                await ask(client, self._model, plain(call), self._sampling)
            except openai.APIStatusError as error:
                return error.status_code in OF_ONE | OF_ALL
            except (openai.OpenAIError, ValueError):  # which says nothing of the settings
                return False
            self.answered()
            return False


def plain(call: Call) -> Call:
    """A question that fits any context, in the form of the call: with instructions or a prefix where that has them."""
    earlier = tuple(
        {"role": turn["role"], "content": "Be brief."}
        for turn in call.request.earlier
        if turn.get("role") in _INSTRUCTING
    )
    return Call(Request("plain", "What is 3 + 4?", 1, 0, "3 + 4" if call.request.prefix else "", earlier), 0)
