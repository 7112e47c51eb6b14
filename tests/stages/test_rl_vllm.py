"""What is said before RL begins on vLLM. RL on a real server: `tests/with_vllm/test_rl_server.py`."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from titer import verbs
from titer.errors import InputError
from titer.lab.tasks import items
from titer.models import load_model
from titer.recipe import Rl
from titer.records import write_records
from titer.stages.rl import vllm

FITS = {"weight_transfer_config": {"backend": "nccl"}, "model_config": {"logprobs_mode": "processed_logprobs"}}


class Server:
    """As much of vLLM as is asked before a training: its settings (None: not its development endpoints) and model."""

    def __init__(self) -> None:
        self.info: dict[str, Any] | None = FITS
        self.model = "not/here"
        self.answer = ""  # to whatever is asked, where it is not ""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                reply = {
                    "/health": {},
                    "/v1/models": {"data": [{"id": "m", "root": server.model}]},
                    "/server_info": server.info and {"vllm_config": server.info},
                }.get(self.path.split("?")[0])
                self.send_response(404 if reply is None and not server.answer else 200)
                self.end_headers()
                self.wfile.write((server.answer or json.dumps(reply)).encode())

            def log_message(self, *_: Any) -> None:
                """Not in the tests' output."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A machine that has vLLM and a GPU, and a server that does what TRL needs."""
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "vllm" else spec(name))
    monkeypatch.setattr(vllm, "can_send", lambda: True)
    monkeypatch.setattr(vllm, "START_S", 0.0)
    one = Server()
    yield one
    one.http.shutdown()


def refusal(url: str | None, config: Any = None) -> str:
    with pytest.raises(InputError) as caught:
        vllm.check_vllm(Rl(generator="vllm", vllm_server=url), config)
    return str(caught.value)


def test_what_does_not_ask_for_vllm_needs_none() -> None:
    vllm.check_vllm(Rl(), None)
    vllm.check_vllm(Rl(generator="transformers"), None)


def test_without_vllm_or_a_gpu_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    write_records(file, [item.problem for item in items("countdown3", 2, seed=21, held=False)])
    settings = Rl(generator="vllm", prompts=1, samples=2, micro_rows=2)
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else spec(name))
    with pytest.raises(InputError, match=r"rl\.generator.*vLLM is not installed beside the trainer; install vllm"):
        verbs.rl("lab", file, out=tmp_path / "out", settings=settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "vllm" else spec(name))
    monkeypatch.setattr(vllm, "can_send", lambda: False)
    with pytest.raises(InputError, match=r"over NCCL, and there is no GPU here; use rl\.generator=engine"):
        verbs.rl("lab", file, out=tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()  # the engine may train there


def test_a_server_is_for_vllm_alone() -> None:
    with pytest.raises(ValueError, match="vllm_server samples with generator=vllm alone"):
        Rl(vllm_server="http://127.0.0.1:8000")


def test_a_server_that_fits_is_taken(server: Server, tmp_path: Path) -> None:
    loaded = load_model("lab")
    settings = Rl(generator="vllm", vllm_server=server.url)
    vllm.check_vllm(settings, loaded.model.config)  # its model cannot be read here
    loaded.model.config.save_pretrained(tmp_path)
    server.model = str(tmp_path)
    vllm.check_vllm(settings, loaded.model.config)
    assert vllm.base_url(settings) == server.url.removesuffix("/v1")


def test_a_server_that_does_not_fit_is_refused(server: Server, tmp_path: Path) -> None:
    assert "rl.vllm_server': the server at http://127.0.0.1:9 is not there" in refusal("http://127.0.0.1:9/v1")
    assert "the server at nowhere is not there (Invalid URL" in refusal("nowhere")
    server.info = None
    assert "does not answer as TRL needs it (404 Client Error" in refusal(server.url)
    server.info = {**FITS, "weight_transfer_config": None}
    assert "takes no weights; start it with VLLM_SERVER_DEV_MODE=1 vllm serve MODEL" in refusal(server.url)
    server.info = {**FITS, "model_config": {"logprobs_mode": "raw_logprobs"}}
    assert "gives raw_logprobs; start it with" in refusal(server.url)
    server.info = FITS
    config = load_model("lab").model.config
    config.save_pretrained(tmp_path)
    server.model = str(tmp_path)
    config.num_hidden_layers += 1
    assert "another shape (num_hidden_layers 5, ours 6); serve the model that is trained" in refusal(server.url, config)


def test_a_page_that_is_no_vllm_is_refused(server: Server) -> None:
    for answer in ("<html>", "[1]", "{}", '{"vllm_config": 1}'):
        server.answer = answer
        assert "does not answer as vLLM does" in refusal(server.url)


@pytest.mark.parametrize(
    "error", [requests.ConnectionError("gone"), ConnectionError("refused"), Exception("Request failed: 400, too long")]
)
def test_a_server_that_fails_is_said_in_one_line(error: Exception) -> None:
    settings = Rl(generator="vllm", vllm_server="http://there")
    complaint = r"the vLLM server at http://there failed: .*; its log says why"
    with pytest.raises(InputError, match=complaint), vllm.answering(settings):
        raise error


def test_two_trainings_on_one_machine_meet_their_servers_at_two_ports() -> None:
    with socket.socket() as taken:
        if vllm.group_port() == vllm.TRLS_PORT:
            taken.bind(("", vllm.TRLS_PORT))
        assert vllm.group_port() not in (vllm.TRLS_PORT, 0)


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="ours"), vllm.answering(Rl(generator="vllm", vllm_server="http://there")):
        raise RuntimeError("ours")
    with pytest.raises(ConnectionError, match="ours"), vllm.answering(Rl()):
        raise ConnectionError("ours")
