"""A chat-completions server that misbehaves as it is told, on a free local port."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What goes over the wire."""

    body: str
    status: int = 200
    content_type: str = "application/json"


def chat(content: str | None, *, finish_reason: str = "stop", tokens: int = 5, **extra: str) -> Reply:
    """A well-formed answer; `extra` goes beside the content."""
    message = {"role": "assistant", "content": content, **extra}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1}
    head = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    return Reply(json.dumps({**head, "choices": [choice], "usage": usage}))


class ChatServer:
    """Counts what it is asked. `answer` gets the request's body and how often this prompt and seed have come."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply], models: Sequence[str] | None = None) -> None:
        self.answer = answer
        self.models = models
        self.bodies: list[dict[str, Any]] = []
        self.at_once = 0
        self.most_at_once = 0
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def handle(self, body: dict[str, Any]) -> Reply:
        """Answer one request and keep count."""
        with self._lock:
            self.bodies.append(body)
            key = (body["messages"][0]["content"], body["seed"])
            self._attempts[key] += 1
            attempt = self._attempts[key]
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self.answer(body, attempt)
        finally:
            with self._lock:
                self.at_once -= 1


@contextmanager
def serving(
    answer: Callable[[dict[str, Any], int], Reply], *, models: Sequence[str] | None = None, port: int = 0
) -> Iterator[tuple[str, ChatServer]]:
    """The server's address, up to `/v1`, and what it has seen. It lists `models`, or answers 404 to that question."""
    chat_server = ChatServer(answer, models)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send(chat_server.handle(body))

        def do_GET(self) -> None:
            listed = [{"id": name, "object": "model", "created": 0, "owned_by": "x"} for name in models or ()]
            self.send(Reply(json.dumps({"object": "list", "data": listed}), 404 if models is None else 200))

        def send(self, reply: Reply) -> None:
            payload = reply.body.encode()
            try:
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header("content-length", str(len(payload)))
                self.send_header("retry-after-ms", "5")  # the client's own backoff begins at half a second
                self.end_headers()
                self.wfile.write(payload)
            except ConnectionError:
                pass  # the client has hung up

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/v1", chat_server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
