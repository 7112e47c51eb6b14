"""Several servers of one model, as one: who gets the next call, and who rests after failures.

    fleet = Fleet([Endpoint(url, client) for url, client in clients.items()], concurrency=16)
    endpoint = await fleet.take(tokens=600, patience=60)          # the one with the fewest tokens outstanding
    fleet.give_back(endpoint, tokens=600, failed=False)

A server that fails rests, longer each time, and is then tried with one call; when that succeeds it is in the fleet
again. One that hangs gets no more than its share: what is outstanding on it stays outstanding. All of it runs in one
event loop, so that nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from openai import AsyncOpenAI

FAILURES: Final = 8
"""In a row, after which a server that still answers, if only with errors, rests. One that fails three calls in ten at
random fails three in a row every fifty calls, and eight every twenty thousand; one that cannot be reached rests at
once."""
REST: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds of the first, second, … rest in a row."""
POLL: Final = 0.02


@dataclass(slots=True, eq=False)
class Endpoint:
    """A server. `outstanding` counts the tokens, `calls` the calls that it owes; `failures` those in a row."""

    url: str
    client: AsyncOpenAI
    outstanding: int = 0
    calls: int = 0
    failures: int = 0
    rests: int = 0
    rests_until: float = 0.0
    answered: bool = False

    def takes(self, now: float, concurrency: int) -> bool:
        """Whether it gets another call. One that has rested gets a single one, until that succeeds."""
        return self.rests_until <= now and self.calls < (1 if self.rests else concurrency)


class Fleet:
    """The servers, each with at most `concurrency` calls in flight."""

    def __init__(self, endpoints: Sequence[Endpoint], *, concurrency: int) -> None:
        """Nothing is asked yet."""
        self.endpoints = list(endpoints)
        self._concurrency = concurrency
        self._answered_at = monotonic()

    async def take(
        self, tokens: int, *, patience: float, failed: Container[Endpoint] = (), times: int = 0
    ) -> Endpoint | None:
        """The server for a call of so many tokens, as soon as one takes any. Servers that have `failed` the call, so
        many `times` in all, are taken again only where the others rest, or take none for as long as a rest: what they
        owe may hang. None when no server has answered anything for `patience` seconds."""
        began, wait = monotonic(), REST[min(times, len(REST)) - 1] if times else 0.0
        while True:
            now = monotonic()
            able = [one for one in self.endpoints if one.takes(now, self._concurrency)]
            others = [one for one in self.endpoints if one not in failed and one.rests_until <= now]
            waits = bool(others) and now - began < wait
            free = [one for one in able if one not in failed] or ([] if waits else able)
            if free:
                chosen = min(free, key=lambda one: one.outstanding)
                chosen.outstanding += tokens
                chosen.calls += 1
                return chosen
            if all(one.rests for one in self.endpoints) and now - self._answered_at > patience:
                return None
            await asyncio.sleep(POLL)

    def give_back(self, endpoint: Endpoint, tokens: int, *, failed: bool, gone: bool = False) -> None:
        """A call has ended. `gone` says that the server could not even be reached, or did not answer in time."""
        endpoint.outstanding -= tokens
        endpoint.calls -= 1
        if not failed:
            endpoint.failures = endpoint.rests = 0
            endpoint.rests_until = 0.0
            endpoint.answered = True
            self._answered_at = monotonic()
            return
        endpoint.failures += 1
        # calls that were in flight together fail together: they are one reason to rest
        if (gone or endpoint.failures >= FAILURES or endpoint.rests) and endpoint.rests_until <= monotonic():
            endpoint.rests_until = monotonic() + REST[min(endpoint.rests, len(REST) - 1)]
            endpoint.rests += 1
