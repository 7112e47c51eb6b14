"""Sampling on the actors of a Ray cluster: a generator in each, and requests in pieces to whichever is free.

    generator = RayGenerator(partial(make_generator, "Qwen/Qwen3-8B", Generate(), name="base"), workers=8, gpus=1.0)
    for completion in generator.stream(requests, Sampling(temperature=0.6)):
        print(completion.request_id, completion.sample, completion.response)

The actors make their generator once and keep it. A piece whose actor dies goes to another, and the dead one is started
again, and given nothing until it is there; what came back is yielded once. Ray is imported only here.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.protocol import Completion, Generator, Request, Sampling

ATTEMPTS = 5
"""Of one piece, before its completions are given up."""
AHEAD = 2
"""Pieces that an actor has been given: the next one waits there while one is sampled."""


class _Piece(NamedTuple):
    """Requests that one actor samples together, and how often that has failed."""

    requests: list[Request]
    failures: int = 0


class RayGenerator:
    """Samples on a Ray cluster what `make` gives.

    Args:
        make: makes the generator of an actor, on whichever node that is: a function with its arguments, which can be
            pickled.
        workers: actors, a generator in each.
        cpus: cores of an actor.
        gpus: GPUs of an actor; may be a part of one.
        address: the cluster's; "auto" for the one that this machine belongs to; by default a cluster of this machine's
            own, which ends with this process.
        rows: completions in one piece.
        name: what rollouts call the model.

    """

    def __init__(
        self,
        make: Callable[[], Generator],
        *,
        name: str,
        workers: int = 2,
        cpus: float = 1.0,
        gpus: float = 0.0,
        address: str | None = None,
        rows: int = 256,
    ) -> None:
        self._make, self._workers, self._rows = make, workers, rows
        self._resources = {"num_cpus": cpus, "num_gpus": gpus}
        self._address = address
        self._actors: list[Any] = []
        self.name = name

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, piece by piece, as they come back.

        Raises InputError for settings out of range, a request id that comes twice, a machine without Ray or without a
        cluster at the address, and whatever the model refuses.
        """
        check_sampling(sampling)
        return self._sampled(requests, sampling)

    def _sampled(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        ray = connected(self._address)
        if not self._actors:
            actor = ray.remote(_Actor).options(**self._resources, max_restarts=-1)
            self._actors = [actor.remote(self._make) for _ in range(self._workers)]
            _refuse_unmade(ray, self._actors)
        waiting, pieces = deque[_Piece](), _pieces(checked(requests), self._rows)
        running: dict[Any, tuple[Any, _Piece]] = {}
        away: dict[Any, Any] = {}  # actors that are started again, by what comes back when they are there
        while self._actors:
            for actor in [one for one in self._actors if one not in away.values()]:
                free = AHEAD - sum(one is actor for one, _ in running.values())
                for piece in islice(_next_of(waiting, pieces), max(0, free)):
                    running[actor.sample.remote(piece.requests, sampling)] = actor, piece
            if not running and not waiting and not away:
                return
            (done, *_), _ = ray.wait([*running, *away], num_returns=1)
            if done in away:
                self._welcome(away.pop(done), done)
                continue
            actor, piece = running.pop(done)
            try:
                yield from ray.get(done)
            except ray.exceptions.RayTaskError as error:
                cause = error.as_instanceof_cause()
                raise (cause if isinstance(cause, InputError) else error) from None
            except (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError) as error:
                if actor not in away.values():
                    away[actor.ready.options(max_task_retries=-1).remote()] = actor
                failed = piece._replace(failures=piece.failures + 1)
                if failed.failures < ATTEMPTS:
                    waiting.append(failed)
                else:
                    yield from _given_up(failed, f"its actor died {failed.failures} times: {error}")
        for piece in _next_of(waiting, pieces):
            yield from _given_up(piece, "no actor can be started again")

    def _welcome(self, actor: Any, ready: Any) -> None:
        """Take an actor back that was started again, or strike it off where it cannot be."""
        import ray

        try:
            ray.get(ready)
        except ray.exceptions.RayActorError:
            self._actors.remove(actor)

    def close(self) -> None:
        """Let the actors go; a later stream starts others."""
        if self._actors:
            import ray

            for actor in self._actors:
                ray.kill(actor)
            self._actors = []

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _Actor:
    """A generator on the cluster."""

    def __init__(self, make: Callable[[], Generator]) -> None:
        self._generator = make()

    def ready(self) -> None:
        """Comes back when the generator is made."""

    def sample(self, requests: list[Request], sampling: Sampling) -> list[Completion]:
        """All completions of some requests."""
        return list(self._generator.stream(requests, sampling))


def connected(address: str | None) -> Any:
    """Ray, connected to the cluster. Raises InputError where there is neither."""
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed", field="generate.engine", remedy="pip install 'titer[ray]'") from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"no Ray cluster at {address}: {error}", field="generate.ray.address", remedy="start one with ray start"
            ) from None
    return ray


def _refuse_unmade(ray: Any, actors: list[Any]) -> None:
    """Wait for the actors. Raises InputError where they cannot make their generator: no second try mends that."""
    try:
        ray.get([actor.ready.remote() for actor in actors])
    except ray.exceptions.RayActorError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1].removeprefix(f"{InputError.__module__}.{InputError.__name__}: ") if lines else "it died"
        raise InputError(f"an actor cannot sample: {said[:300]}", field="generate.ray", remedy="mend that") from None


def _pieces(requests: Iterator[Request], rows: int) -> Iterator[_Piece]:
    """Requests with about so many completions together."""
    while some := list(islice(requests, 1)):
        count = some[0].n
        while count < rows and (more := next(requests, None)):
            some.append(more)
            count += more.n
        yield _Piece(some)


def _next_of(waiting: deque[_Piece], pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Those that wait first. Whoever stops here may go on later: `yield from` would end `pieces` with this."""
    while piece := waiting.popleft() if waiting else next(pieces, None):
        yield piece


def _given_up(piece: _Piece, why: str) -> Iterator[Completion]:
    note = " ".join(why.split())[:200]
    for request in piece.requests:
        for sample in range(request.first, request.first + request.n):
            yield Completion(request.id, sample, "", "", "", "error", 0, note)
