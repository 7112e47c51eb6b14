"""Servers that a command starts: as many as asked for, for the model asked for, and gone with the generator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from titer.errors import InputError
from titer.generate import Request, Sampling
from titer.generate.workers.served import ServedGenerator, _Server
from titer.pipeline.sampling import make_generator
from titer.recipe import Generate

SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from chat_server import chat, serving
model, port, index = sys.argv[1:]
with serving(lambda body, attempt: chat(f"{{model}} {{index}}"), models=["shown"], port=int(port)):
    time.sleep(600)
"""


@pytest.fixture
def command(tmp_path: Path) -> str:
    script = tmp_path / "serve.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1])))
    return f"{sys.executable} {script} {{model}} {{port}} {{index}}"


def test_two_servers_share_the_calls_and_end_with_the_generator(command: str) -> None:
    generator = ServedGenerator(command, SimpleNamespace(path="weights"), servers=2, name="trained")
    found = list(generator.stream([Request(f"r{i}", "w", n=4) for i in range(8)], Sampling()))
    assert len(found) == 32 and {one.response for one in found} == {"weights 0", "weights 1"}
    processes = [server._process for server in generator._servers]
    assert list(generator.stream([Request("more", "w")], Sampling()))
    assert [server._process for server in generator._servers] == processes
    generator.close()
    assert all(process.poll() is not None for process in processes)


def test_a_recipe_names_the_command(command: str) -> None:
    settings = Generate.model_validate({"engine": "server", "serve": command})
    generator = make_generator("lab", settings, name="base")
    (found,) = generator.stream([Request("r", "w")], Sampling())
    assert found.response.endswith("lab/base 0") and generator.name == "base"


def test_refusals_say_what_to_do() -> None:
    weights = SimpleNamespace(path="weights")
    with pytest.raises(InputError, match=r"generate.serve.*names no \{model\} or no \{port\}"):
        make_generator("lab", Generate.model_validate({"engine": "server"}), name="base")
    with pytest.raises(InputError, match="no-such-server cannot be run"):
        list(ServedGenerator("no-such-server {model} {port}", weights).stream([Request("r", "w")], Sampling()))
    failing = f"{sys.executable} -c 'raise SystemExit(\"out of memory\")' {{model}} {{port}}"
    with pytest.raises(InputError, match="the server ended with status 1: out of memory"):
        list(ServedGenerator(failing, weights).stream([Request("r", "w")], Sampling()))


def test_other_braces_of_a_command_stand(command: str) -> None:
    """vLLM takes options in JSON."""
    generator = ServedGenerator(
        command.replace("{index}", """'{"temperature": 0.6, "of": "{index}"}'"""), SimpleNamespace(path="weights")
    )
    (found,) = generator.stream([Request("r", "w")], Sampling())
    assert found.response == 'weights {"temperature": 0.6, "of": "0"}'


LOADING = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class Loading(BaseHTTPRequestHandler):
    began = time.monotonic()

    def do_GET(self):
        ready = time.monotonic() - self.began > 1.5
        body = b'{"data": [{"id": "ready"}]}' if ready else b'{"error": "Loading model"}'
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(sys.argv[2])), Loading).serve_forever()
"""


def test_a_server_that_is_loading_its_model_is_waited_for(tmp_path: Path) -> None:
    script = tmp_path / "loading.py"
    script.write_text(LOADING)
    server = _Server(f"{sys.executable} {script} {{model}} {{port}}", "weights", 0)
    server.wait()
    assert server.model == "ready"
    server.close()


def test_a_command_with_an_open_quote_is_one_line() -> None:
    with pytest.raises(InputError, match=r"generate.serve.*is no command: No closing quotation; close its quotes"):
        _Server("vllm serve {model} --port {port} --chat-template 'x", "weights", 0)


def test_where_a_later_server_cannot_be_run_the_earlier_ones_end(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, processes = subprocess.Popen, list[Any]()

    def popen(*arguments: Any, **settings: Any) -> Any:
        if processes:
            raise OSError(11, "no more processes")
        processes.append(real(*arguments, **settings))
        return processes[0]

    monkeypatch.setattr("titer.generate.workers.served.subprocess.Popen", popen)
    generator = ServedGenerator(command, SimpleNamespace(path="weights"), servers=2)
    with pytest.raises(InputError, match="cannot be run: no more processes"):
        list(generator.stream([Request("r", "w")], Sampling()))
    generator.close()
    assert processes[0].poll() is not None
