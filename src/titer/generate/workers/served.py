"""A model behind servers that are started for it and end with it: whatever a command can serve.

    generator = ServedGenerator("vllm serve {model} --port {port}", as_folder("runs/…/step-000160"), name="trained")
    for completion in generator.stream([Request("p1", "What is 3 + 4?", n=8)], Sampling(temperature=0.6)): ...

For a model that a server has already, `ServerGenerator` takes its address.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from titer.errors import InputError
from titer.generate.checks import check_sampling
from titer.generate.protocol import Completion, Request, Sampling
from titer.generate.servers import ServerGenerator
from titer.generate.workers.weights import Weights

STARTS = 900.0  # seconds: a large model loads slowly
POLL = 0.2


class ServedGenerator:
    """Samples a model through OpenAI-compatible servers of this machine, which it starts at the first stream.

    Args:
        command: what serves a model, with `{model}`, `{port}` and, of several, `{index}` in it.
        model: what has the `path` of its weights; held as long as it is served.
        servers: how many there are; calls go to the one that owes the fewest tokens.
        name: what rollouts call the model; by default its path.

    """

    def __init__(self, command: str, model: Weights, *, servers: int = 1, name: str = "") -> None:
        if "{port}" not in command or "{model}" not in command:
            raise InputError(
                f"{command!r} names no {{model}} or no {{port}}",
                field="generate.serve",
                remedy="say for instance: vllm serve {model} --port {port}",
            )
        self._command, self._model, self._count = command, model, servers
        self._servers: list[_Server] = []
        self._generator: ServerGenerator | None = None
        self.name = name or model.path

    def stream(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield one Completion per request and sample, as each arrives.

        Raises InputError where a server does not start, and whatever `ServerGenerator` refuses.
        """
        check_sampling(sampling)
        self._generator = self._generator or self._started()
        return self._generator.stream(requests, sampling)

    def _started(self) -> ServerGenerator:
        self.close()  # what an earlier try has left
        for i in range(self._count):  # one by one: where a later one cannot be run, the earlier are known to `close`
            self._servers.append(_Server(self._command, self._model.path, i))
        for server in self._servers:
            server.wait()
        known = self._servers[0].model or self._model.path
        urls = [server.url for server in self._servers]
        return ServerGenerator(urls, known, name=self.name)

    def close(self) -> None:
        """End the servers; a later stream starts others."""
        for server in self._servers:
            server.close()
        self._servers, self._generator = [], None

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


class _Server:
    """One process, and what it prints. `model` is the name that it lists; "" where it lists none."""

    def __init__(self, command: str, model: str, index: int) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.model = ""
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        values = {"{model}": model, "{port}": str(self.port), "{index}": str(index)}
        try:
            words = [_filled(word, values) for word in shlex.split(command)]
        except ValueError as error:
            fault = f"{command!r} is no command: {error}"
            raise InputError(fault, field="generate.serve", remedy="close its quotes") from None
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the recipe's own command
                words, stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise InputError(
                f"{words[0]} cannot be run: {error.strerror}", field="generate.serve", remedy="install it"
            ) from None

    def wait(self) -> None:
        """Until it answers. Raises InputError where it ends instead, or takes too long."""
        give_up = time.monotonic() + STARTS
        while time.monotonic() < give_up and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}/models", timeout=5) as answer:  # noqa: S310 - loopback
                    self.model = _first_model(answer.read())
                return
            except urllib.error.HTTPError as error:
                if error.code < 500:  # it answers, and lists nothing
                    return
                time.sleep(POLL)  # it is still loading its model
            except OSError:
                time.sleep(POLL)
        ended = self._process.poll()
        what = "does not answer" if ended is None else f"ended with status {ended}"
        said = self._said()
        self.close()
        raise InputError(f"the server {what}: {said}", field="generate.serve", remedy="see what it said")

    def close(self) -> None:
        """End it, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def _said(self) -> str:
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return lines[-1][:300] if lines else "nothing"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _first_model(answer: bytes) -> str:
    """The first name that `/v1/models` lists."""
    import json

    with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
        return str(json.loads(answer)["data"][0]["id"])
    return ""


def _filled(word: str, values: Mapping[str, str]) -> str:
    """The word with the values in their places; other braces stand, such as those of an option in JSON."""
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], word)
