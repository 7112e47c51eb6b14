"""Three vLLM servers behind one client: one is killed, one stopped for a minute, one answers 500 at random.

    python benchmarks/fleet.py --python VLLM_PYTHON [--rollouts 3000] [--model MODEL] [--json]

Real servers of a model (titer's lab model by default) on this machine. First the capacity of each set of servers that
will be alive at some time, in rollouts a second; then the run, in which the first server is killed after ten seconds
and the second is stopped (SIGSTOP) from the fifteenth on for a minute, while the third stands behind a proxy that
answers three calls in ten with status 500. Every rollout must arrive, once. `of_capacity` is what arrived, over what
the servers that were alive at each moment could have given; `a_second` the rate of each ten seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from titer.generate import Request, Sampling, ServerGenerator
from titer.lab.tasks import items
from titer.models.load import LAB

KILLED, STOPPED, GOES_ON = 10.0, 15.0, 75.0  # seconds after the beginning
FAILS = 0.3  # share of the calls that the proxy refuses
TOKENS = 160
NAME = "served"


class Server:
    """One vLLM server, in a process group of its own."""

    def __init__(self, python: str, model: str, log: Path) -> None:
        """Starts it; `wait` until it answers."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/v1"
        command = [python, "-m", "vllm.entrypoints.openai.api_server", "--port", str(self.port), "--model", model]
        limits = ["--served-model-name", NAME, "--dtype", "float32", "--max-num-seqs", "16", "--enforce-eager"]
        memory = ["--gpu-memory-utilization", "0.15", "--max-model-len", "256"]
        self.process = subprocess.Popen(  # noqa: S603 - the interpreter that the user names
            [*command, *limits, *memory],
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"},
            start_new_session=True,
        )

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/models", timeout=1):  # noqa: S310 - loopback
                return
            if self.process.poll() is not None:
                raise SystemExit(f"a server has ended with status {self.process.returncode}")
            time.sleep(0.5)
        raise SystemExit("a server does not answer")

    def signal(self, which: int) -> None:
        """To all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, which)


def free_port() -> int:
    """Of this machine, now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def servers(count: int, python: str, model: str, folder: Path) -> Iterator[list[Server]]:
    """So many, answering."""
    started = [Server(python, model, folder / f"server-{i}.log") for i in range(count)]
    try:
        for server in started:
            server.wait()
        yield started
    finally:
        for server in started:
            server.signal(signal.SIGCONT)
            server.signal(signal.SIGKILL)


@contextmanager
def unreliable(port: int, seed: int = 0) -> Iterator[str]:
    """The address of a proxy before a port which answers 500 to a share of the calls for completions."""
    draws, here = random.Random(seed), free_port()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            body = await reader.readexactly(length)
            if b"/chat/completions" in head and draws.random() < FAILS:
                answer = b'{"error": {"message": "at random"}}'
                writer.write(b"HTTP/1.1 500 Error\r\nContent-Type: application/json\r\nConnection: close\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(answer), answer))
            else:
                behind, before = await asyncio.open_connection("127.0.0.1", port)
                lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
                before.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]) + body)
                await before.drain()
                writer.write(await behind.read())
                before.close()
            await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", here)
        async with server:
            await server.serve_forever()

    loop = asyncio.new_event_loop()

    def work() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(run())

    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.5)
    yield f"http://127.0.0.1:{here}/v1"


def requests(count: int, first: int = 0) -> list[Request]:
    """Lab problems, four samples of each."""
    made = items("countdown3", (first + count) // 4 + 1, seed=0, held=True)
    return [Request(f"{item.problem.id}", item.problem.prompt, n=4) for item in made[first // 4 :]]


def capacity(urls: Sequence[str], count: int) -> float:
    """Rollouts a second of these servers, after some to warm up."""
    generator = ServerGenerator(",".join(urls), NAME, concurrency=16)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=TOKENS)
    list(generator.stream(requests(64), sampling))
    began = time.monotonic()
    done = list(generator.stream(requests(count), sampling))
    assert all(one.finish_reason != "error" for one in done)
    return len(done) / (time.monotonic() - began)


def could_have(until: float, able: dict[str, float]) -> float:
    """Rollouts that the servers alive at each moment up to `until` could have given."""
    parts = [(0.0, KILLED, "all"), (KILLED, STOPPED, "two"), (STOPPED, GOES_ON, "one"), (GOES_ON, until, "two")]
    return sum(max(0.0, min(end, until) - begin) * able[which] for begin, end, which in parts)


def trial(fleet: Sequence[Server], proxy: str, count: int) -> dict[str, Any]:
    """The run; what arrived, and how often twice or failed."""
    generator = ServerGenerator(
        [fleet[0].url, fleet[1].url, proxy], NAME, concurrency=16, timeout=120.0, max_retries=20
    )
    events = [
        (KILLED, fleet[0], signal.SIGKILL),
        (STOPPED, fleet[1], signal.SIGSTOP),
        (GOES_ON, fleet[1], signal.SIGCONT),
    ]
    timers = [threading.Timer(after, server.signal, [which]) for after, server, which in events]
    for timer in timers:
        timer.start()
    began = time.monotonic()
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=TOKENS)
    arrived, at = [], []
    for one in generator.stream(requests(count), sampling):
        arrived.append(((one.request_id, one.sample), one.finish_reason))
        at.append(time.monotonic() - began)
    seconds = time.monotonic() - began
    for timer in timers:
        timer.cancel()
    wanted = {(request.id, sample) for request in requests(count) for sample in range(request.n)}
    keys = [key for key, _ in arrived]
    return {
        "rollouts": len(wanted),
        "missing": len(wanted - set(keys)),
        "twice": len(keys) - len(set(keys)),
        "failed": sum(reason == "error" for _, reason in arrived),
        "seconds": round(seconds, 1),
        "a_second": [round(n / 10, 1) for n in np.bincount(np.array(at, int) // 10)],
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="an interpreter that has vLLM")
    parser.add_argument("--model", default=str(LAB))
    parser.add_argument("--rollouts", type=int, default=3000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        fleet = stack.enter_context(servers(3, asked.python, asked.model, Path(folder)))
        proxy = stack.enter_context(unreliable(fleet[2].port))
        urls = [server.url for server in fleet]
        some = max(64, asked.rollouts // 5)
        before = {"all": capacity(urls, some), "two": capacity(urls[1:], some), "one": capacity(urls[2:], some)}
        found = trial(fleet, proxy, asked.rollouts)
        # what a machine gives changes while it is measured: the servers that are left are asked again
        after = {"two": capacity(urls[1:], some), "one": capacity(urls[2:], some)}
    able = {name: (value + after.get(name, value)) / 2 for name, value in before.items()}
    found["of_capacity"] = round(found["rollouts"] / could_have(found["seconds"], able), 3)
    found |= {
        f"capacity_{name}": [round(value, 1) for value in (before[name], after.get(name)) if value] for name in able
    }
    print(json.dumps(found) if asked.json else "\n".join(f"{name:<14} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
