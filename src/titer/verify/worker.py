"""A grading process: `main` speaks JSON over the socket whose number is its argument, until that closes.

In: `{"verifier", "answer", "meta", "response", "timeout"}`. Out, for each: `"begun"` when the verifier is warm
and the clock may start, then `[score, parsed, note]`. JSON and not pickle, because what a model wrote
has been through the libraries in here. Started once, it says `"ready"`.
"""

from __future__ import annotations

import contextlib
import json
import math
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from titer.records.schema import Problem
from titer.verify.grade import Grade
from titer.verify.table import check, find_verifier

MEMORY_BYTES = 4 << 30  # of address space; an expression that needs more is not worth the machine's other work
ORPHAN_SECONDS = 2  # after the timeout, in which the supervisor had its chance to kill


def encode(problem: Problem, response: str, timeout: float) -> bytes:
    """Write one item as the worker reads it. Raises TypeError or ValueError if `meta` is not JSON."""
    item = {
        "verifier": problem.verifier,
        "answer": problem.answer,
        "meta": dict(problem.meta),
        "response": response,
        "timeout": timeout,
    }
    return json.dumps(item).encode()


def decode_grade(message: bytes) -> Grade:
    """Read a worker's answer."""
    score, parsed, note = json.loads(message)
    return Grade(score, parsed, note)


def serve(pipe: Connection) -> None:
    """Grade items from `pipe` one by one until it closes."""
    send(pipe, "ready")
    while True:
        try:
            item = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        warm_up = find_verifier(item["verifier"]).warm_up
        if warm_up:
            warm_up()
        send(pipe, "begun")
        send(pipe, grade(item))


def grade(item: dict[str, Any]) -> Grade:
    """Grade one item. Past its timeout the kernel ends this process, should the supervisor be dead itself."""
    problem = Problem(id="", prompt="", answer=item["answer"], verifier=item["verifier"], meta=item["meta"])
    signal.alarm(math.ceil(item["timeout"]) + ORPHAN_SECONDS)
    try:
        return check(problem, item["response"])
    finally:
        signal.alarm(0)


def send(pipe: Connection, message: str | Grade) -> None:
    """Write one message."""
    pipe.send_bytes(json.dumps(message).encode())


def main() -> None:
    """Serve the socket named on the command line, in bounded memory."""
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    serve(Connection(int(sys.argv[1])))
