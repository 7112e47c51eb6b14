"""vLLM's offline engine, in a process of its own: this one never imports it.

    generator = VllmGenerator(as_folder("Qwen/Qwen3-8B"), tokenizer, context=32768, eos_ids=[151645])
    for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling(temperature=0.6)):
        print(completion.sample, completion.response)

vLLM pins a torch and a transformers of its own, so that it mostly stands in another environment: `python` is that
environment's interpreter. Prompts are rendered here and go over as tokens, tokens come back: an answer is read as one
of the transformers engine is.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

from titer.errors import InputError
from titer.generate.checks import check_sampling, checked
from titer.generate.finished import finished
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.streams import stream_key
from titer.generate.workers.weights import Weights

WINDOW = 4096
"""Completions that vLLM is asked for at once; it schedules them itself."""
_ERROR = re.compile(r"\b\w+Error: .*")
ATTEMPTS = 3
"""Of one window, each in a fresh process, before its completions are given up."""


class _Row(NamedTuple):
    """One completion to be made."""

    request: Request
    sample: int
    ids: list[int]
    opener: str
    limit: int


class VllmGenerator:
    """Samples a model folder with vLLM.

    The process starts with the first stream and ends with the generator. One that dies is started anew and asked again
    for its window; what fails three times, and a row that vLLM refuses, comes out with finish_reason "error".

    Args:
        model: what has the `path` of a folder in Hugging Face format, or a hub id; held as long as it is sampled.
        tokenizer: the model's own.
        context: tokens that a prompt and its completion may have together; None where nothing bounds them.
        eos_ids: tokens that end a turn.
        python: an interpreter that has vLLM; by default this one.
        engine: vLLM's own settings by its names, such as `tensor_parallel_size`.
        name: what rollouts call the model; by default its path.

    """

    def __init__(
        self,
        model: Weights,
        tokenizer: Any,
        *,
        context: int | None,
        eos_ids: Iterable[int],
        python: str = "",
        engine: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._context = context
        self._eos_ids = frozenset(eos_ids)
        self._python = python or sys.executable
        self._engine = dict(engine or {})
        self._worker: _Worker | None = None
        self.name = name or model.path

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, window by window.

        Raises InputError for settings out of range, a request id that comes twice, a prompt that fills the context, an
        interpreter without vLLM and a model that vLLM cannot load.
        """
        check_sampling(sampling)
        rows = (row for request in checked(requests) for row in self._rows(request, sampling))
        return (done for window in _windows(rows, WINDOW) for done in self._answered(window, sampling))

    def close(self) -> None:
        """End the process; a later stream starts another."""
        if self._worker:
            self._worker.close()
            self._worker = None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()

    def _rows(self, request: Request, sampling: Sampling) -> Iterator[_Row]:
        from titer.generate.text import render, room

        ids, opener = render(self._tokenizer, request)
        limit = room(request, len(ids), sampling, context=self._context, model=self.name)
        for sample in range(request.first, request.first + request.n):
            yield _Row(request, sample, ids, opener, limit)

    def _answered(self, rows: Sequence[_Row], sampling: Sampling) -> Iterator[Completion]:
        asked = [{"ids": row.ids, "sampling": self._sampling(row, sampling)} for row in rows]
        note = ""
        for _ in range(ATTEMPTS):
            self._worker = self._worker or _Worker(self._python, self._model.path, self._engine)
            answer = self._worker.ask(asked)
            if answer is not None:
                for row, one in zip(rows, answer, strict=True):
                    if one["reason"] == "error":
                        yield _failed(row, f"vLLM refuses it: {one['note']}")
                    else:
                        yield self._completion(row, one["ids"], one["reason"], sampling)
                return
            note = self._worker.said()
            self.close()
        for row in rows:
            yield _failed(row, f"vLLM's process ended: {note}")

    def _sampling(self, row: _Row, sampling: Sampling) -> dict[str, Any]:
        return {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k or -1,
            "max_tokens": row.limit,
            "stop_token_ids": sorted(self._eos_ids),
            # 63 bits: it goes into torch's generators
            "seed": stream_key(sampling.seed, row.request.id, row.sample) & 0x7FFF_FFFF_FFFF_FFFF,
        }

    def _completion(self, row: _Row, ids: list[int], reason: str, sampling: Sampling) -> Completion:
        from titer.generate.text import turn_text

        return finished(
            row.request,
            row.sample,
            turn_text(self._tokenizer, ids, self._eos_ids),
            sampling.stop,
            opener=row.opener,
            reason="stop" if reason == "stop" else "length",
            tokens=len(ids),
            ids=ids,
        )


def _failed(row: _Row, note: str) -> Completion:
    return Completion(row.request.id, row.sample, "", "", "", "error", 0, " ".join(note.split())[:300])


class _Worker:
    """The process, and what it prints."""

    def __init__(self, python: str, model: str, engine: Mapping[str, Any]) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - it lives as long
        script = Path(__file__).with_name("vllm_worker.py")
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the interpreter that the recipe names
                [python, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            raise InputError(
                f"{python} cannot be run: {error.strerror}", field="generate.vllm_python", remedy="name a python"
            ) from None
        self._ready = False
        self._send({"model": model, "engine": dict(engine)})

    def ask(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]] | None:
        """The answers to a window; None where the process has ended. Raises InputError for what no second try mends."""
        if not self._ready and self._read() is None:
            return None
        self._ready = True
        self._send({"rows": rows})
        answer = self._read()
        return None if answer is None else list(answer["rows"])

    def said(self) -> str:
        """The last line that it printed."""
        lines = self._lines()
        return lines[-1][:200] if lines else f"status {self._process.poll()}"

    def _cause(self) -> str:
        """The first error that it printed: vLLM's processes each report what the one before has told them."""
        found = (_ERROR.search(line) for line in self._lines())
        return next((f"({one[0][:300]})" for one in found if one), "")

    def _lines(self) -> list[str]:
        self._log.seek(0)
        return [line.strip() for line in self._log.read().splitlines() if line.strip()]

    def close(self) -> None:
        """Let it end, or end it."""
        with contextlib.suppress(OSError):
            _stream(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        _stream(self._process.stdout).close()

    def _send(self, value: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has ended: the answer, which does not come, says so
            _stream(self._process.stdin).write(json.dumps(value) + "\n")
            _stream(self._process.stdin).flush()

    def _read(self) -> dict[str, Any] | None:
        line = _stream(self._process.stdout).readline()
        if not line.endswith("\n"):  # it has ended, be it in the middle of a line
            return None
        answer = dict(json.loads(line))
        if fault := answer.get("fault"):
            field, remedy = ("generate.engine", "see whether vLLM has this architecture, and enough memory")
            if answer.get("missing"):
                field, remedy = ("generate.vllm_python", "pip install vllm there, or name the python that has it")
            cause = "" if answer.get("missing") else self._cause()
            raise InputError(" ".join(f"{fault} {cause}".split())[:500], field=field, remedy=remedy)
        return answer


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _windows(rows: Iterator[_Row], size: int) -> Iterator[list[_Row]]:
    """Pulled as they are needed."""
    while window := list(islice(rows, size)):
        yield window
