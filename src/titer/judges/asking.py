"""Asking a language model at temperature 0, each question once: answers are on disk before the next is read.

    asking = Asking(ServerGenerator(url, model="Qwen3-32B"), cache=Path("verdicts.jsonl"))
    for key, answer in asking.answers({asking.key(1, prompt): prompt for prompt in prompts}):
        ...

Kept answers belong to the generator's name and the text of the prompt, so two models that share a name must not share a
cache.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from titer.errors import InputError
from titer.generate.protocol import Completion, Generator, Request, Sampling
from titer.judges.quoting import clean
from titer.store import append_line, content_hash

_HEAD = b'{"key": "'  # how every line of a cache begins


class Progress(NamedTuple):
    """How far the judge is, in questions that have to be asked. `note` says what was wrong with the last one."""

    done: int
    total: int
    failed: int
    note: str


SILENT: Final = 10.0  # seconds between two lines


def as_lines(said: Callable[[str], None]) -> Callable[[Progress], None]:
    """Progress as a line for people, every ten seconds and at the end."""
    last = time.monotonic()

    def hear(far: Progress) -> None:
        nonlocal last
        if far.done == far.total or time.monotonic() - last >= SILENT:
            said(f"judge: {far.done}/{far.total} answers, {far.failed} failed")
            last = time.monotonic()

    return hear


class Asking:
    """A model that is asked, and what it has answered.

    An answer that was cut at `max_tokens` counts for its whole lines, one that failed counts for nothing; neither is
    kept, so that a second call asks again. Every other answer is kept for good, also one that cannot be read: at
    temperature 0 the model would give it again.

    Args:
        generator: any model, in process or behind a server, which also bounds what is in flight.
        cache: a file of JSON lines, which is created if it is not there. Without it answers last as long as this.
        max_tokens: bounds an answer, with the thinking that comes before it.
        said: hears of every answer as it comes in.

    Raises InputError for a `cache` that holds something else.
    """

    def __init__(
        self,
        generator: Generator,
        *,
        cache: Path | None = None,
        max_tokens: int = 4096,
        said: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._generator = generator
        self._cache = cache
        self._sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        self._said = said
        self._answers = {} if cache is None else _open_cache(cache)

    def key(self, version: int, prompt: str) -> str:
        """What an answer is kept under. `version` counts up when answers to the same text would be read otherwise."""
        return content_hash([self._generator.name, version, prompt])

    def answers(self, prompts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """The answers by key: those that are there, then the others as they come in."""
        missing = {key: prompt for key, prompt in prompts.items() if key not in self._answers}
        yield from [(key, self._answers[key]) for key in prompts if key not in missing]
        requests = (Request(key, prompt) for key, prompt in missing.items())
        failed = 0
        for done, completion in enumerate(self._generator.stream(requests, self._sampling) if missing else (), start=1):
            answer = _whole_lines(completion)
            if completion.finish_reason == "stop":
                self._keep(completion.request_id, answer)
            failed += completion.finish_reason != "stop"
            note = completion.note if completion.finish_reason != "length" else "the answer was cut at max_tokens"
            self._said(Progress(done, len(missing), failed, note))
            yield completion.request_id, answer

    def _keep(self, key: str, answer: str) -> None:
        self._answers[key] = answer
        if self._cache is not None:
            append_line(self._cache, {"key": key, "model": self._generator.name, "answer": answer})


def _whole_lines(completion: Completion) -> str:
    """What counts of a completion: all of it, all but its last line when it was cut, nothing when it failed."""
    if completion.finish_reason == "error":
        return ""
    answer = clean(completion.response)
    return answer.rpartition("\n")[0] if completion.finish_reason == "length" else answer


def _open_cache(path: Path) -> dict[str, str]:
    """The answers by key. A last line that was torn by a kill is cut off; any other fault is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = path.read_bytes() if path.exists() else b""
    whole = data.rpartition(b"\n")[0]
    torn = data[len(whole) :].lstrip(b"\n")
    if not torn.startswith(_HEAD[: len(torn)]):
        raise _no_cache(path, data.count(b"\n") + 1)
    answers = dict(_cached(path, row, line) for row, line in enumerate(whole.splitlines(), start=1))
    if torn:
        with path.open("r+b") as file:
            file.truncate(len(data) - len(torn))
    return answers


def _cached(path: Path, row: int, line: bytes) -> tuple[str, str]:
    try:
        found = json.loads(line)
        key, answer = found["key"], found["answer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _no_cache(path, row) from None
    if not (isinstance(key, str) and isinstance(answer, str)):
        raise _no_cache(path, row)
    return key, answer


def _no_cache(path: Path, row: int) -> InputError:
    return InputError("no verdict of a judge", file=path, row=row, remedy="name another file as the cache")
