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
from torch.distributed import DistStoreError
from transformers import Gemma3Config

from titer import verbs
from titer.errors import InputError
from titer.lab.tasks import items
from titer.models import load_model
from titer.pipeline.rounds.loop import check_rounds
from titer.recipe import Rl, load_recipe
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
    monkeypatch.setattr(vllm, "has_gpu", lambda: True)
    monkeypatch.setattr(vllm, "START_S", 0.0)
    one = Server()
    yield one
    one.http.shutdown()


def refusal(url: str, config: Any = None) -> str:
    with pytest.raises(InputError) as caught:
        vllm.check_server(Rl(generator="vllm", vllm_server=url), config)
    return str(caught.value)


def test_what_does_not_ask_for_vllm_needs_none() -> None:
    for generator in ("engine", "transformers"):
        vllm.check_engine(Rl(generator=generator))
    vllm.check_server(Rl(), None)


def test_vllm_in_the_trainers_process_needs_no_server(server: Server) -> None:
    vllm.check_engine(Rl(generator="vllm"))
    vllm.check_server(Rl(generator="vllm"), None)


def test_without_vllm_or_a_gpu_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "problems.jsonl"
    write_records(file, [item.problem for item in items("countdown3", 2, seed=21, held=False)])
    settings = Rl(generator="vllm", prompts=1, samples=2, micro_rows=2)
    spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else spec(name))
    with pytest.raises(InputError, match=r"rl\.generator.*vLLM is not installed beside the trainer; install vllm"):
        verbs.rl("lab", file, out=tmp_path / "out", settings=settings)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name == "vllm" else spec(name))
    monkeypatch.setattr(vllm, "has_gpu", lambda: False)
    with pytest.raises(
        InputError, match=r"shares the trainer's GPU, and there is no GPU here; use rl\.generator=engine"
    ):
        verbs.rl("lab", file, out=tmp_path / "out", settings=settings)
    with pytest.raises(InputError, match="a server gets its weights over NCCL, and there is no GPU here"):
        vllm.check_engine(Rl(generator="vllm", vllm_server="http://there"))
    assert not (tmp_path / "out").exists()  # the engine may train there
    recipe = load_recipe("quickstart")
    recipe = recipe.model_copy(update={"rl": settings})
    with pytest.raises(InputError, match="there is no GPU here"):
        check_rounds(recipe)  # before anything is measured


def test_a_server_is_for_vllm_alone() -> None:
    with pytest.raises(ValueError, match="vllm_server samples with generator=vllm alone"):
        Rl(vllm_server="http://127.0.0.1:8000")
    for nowhere in ("", "/", "/v1", "host:8000", "http://"):
        with pytest.raises(ValueError, match="vllm_server is an address such as http://host:8000"):
            Rl(generator="vllm", vllm_server=nowhere)


def test_a_server_that_fits_is_taken(server: Server, tmp_path: Path) -> None:
    loaded = load_model("lab")
    settings = Rl(generator="vllm", vllm_server=server.url)
    vllm.check_server(settings, loaded.model.config)  # its model cannot be read here
    loaded.model.config.save_pretrained(tmp_path)
    server.model = str(tmp_path)
    vllm.check_server(settings, loaded.model.config)
    assert vllm.base_url(settings) == server.url.removesuffix("/v1")


def test_a_server_that_does_not_fit_is_refused(server: Server, tmp_path: Path) -> None:
    assert "rl.vllm_server': the server at http://127.0.0.1:9 is not there" in refusal("http://127.0.0.1:9/v1")
    assert "does not answer as vLLM does (status 404 at /health)" in refusal(f"{server.url}/nowhere")
    server.info = None
    assert "does not answer as TRL needs it (404 Client Error" in refusal(server.url)
    server.info = {**FITS, "weight_transfer_config": None}
    assert "takes no weights; start it with VLLM_SERVER_DEV_MODE=1 vllm serve MODEL" in refusal(server.url)
    server.info = {**FITS, "weight_transfer_config": {"backend": "ipc"}}
    assert "takes weights by ipc; start it with" in refusal(server.url)
    server.info = {**FITS, "model_config": {"logprobs_mode": "raw_logprobs"}}
    assert "gives raw_logprobs; start it with" in refusal(server.url)
    server.info = FITS
    config = load_model("lab").model.config
    config.save_pretrained(tmp_path)
    server.model = str(tmp_path)
    config.num_hidden_layers += 1
    assert "another shape (num_hidden_layers 5, ours 6); serve the model that is trained" in refusal(server.url, config)
    config.num_hidden_layers -= 1
    config.tie_word_embeddings = False
    assert "another shape (tie_word_embeddings True, ours False)" in refusal(server.url, config)


def test_the_shape_is_that_of_the_text_model(server: Server, tmp_path: Path) -> None:
    small, large = (Gemma3Config(text_config={"hidden_size": size, "num_hidden_layers": 2}) for size in (64, 128))
    small.save_pretrained(tmp_path)
    server.model = str(tmp_path)
    vllm.check_server(Rl(generator="vllm", vllm_server=server.url), small)
    assert "another shape (hidden_size 64, ours 128)" in refusal(server.url, large)


def test_code_beside_a_served_model_is_never_run(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "code.Mine"}}')
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    server.model = str(tmp_path)
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # what a terminal would be asked
    vllm.check_server(Rl(generator="vllm", vllm_server=server.url), load_model("lab").model.config)
    assert not (tmp_path / "ran").exists()


def test_a_page_that_is_no_vllm_is_refused(server: Server) -> None:
    for answer in ("<html>", "[1]", "{}", '{"vllm_config": 1}'):
        server.answer = answer
        assert "does not answer as vLLM does" in refusal(server.url)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("gone"),
        ConnectionError("refused"),
        Exception("Request failed: 400, too long"),
        RuntimeError("NCCL error: unhandled cuda error"),
        DistStoreError("wait timeout"),
    ],
)
def test_a_server_that_fails_is_said_in_one_line(error: Exception) -> None:
    settings = Rl(generator="vllm", vllm_server="http://there")
    complaint = r"the vLLM server at http://there failed: .*; see its log"
    with pytest.raises(InputError, match=complaint), vllm.answering(settings):
        raise error


def test_two_trainings_on_one_machine_meet_their_servers_at_two_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("", 0))
        monkeypatch.setattr(vllm, "TRLS_PORT", taken.getsockname()[1])
        taken.listen()
        assert vllm.group_port() not in (vllm.TRLS_PORT, 0)
    assert vllm.group_port() == vllm.TRLS_PORT  # free again


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="ours"), vllm.answering(Rl(generator="vllm", vllm_server="http://there")):
        raise RuntimeError("ours")
    with pytest.raises(ConnectionError, match="ours"), vllm.answering(Rl()):
        raise ConnectionError("ours")
