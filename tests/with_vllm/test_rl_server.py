"""RL under TRL's vLLM server mode, with vLLM itself; its NCCL is replaced (`transport/`), for there is no GPU here."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from server_process import server_process

from titer.lab.tasks import items
from titer.models import load_model
from titer.records import write_records
from titer.train.disk.state import read_log

PYTHON = os.environ["TITER_VLLM_PYTHON"]
TRANSPORT = Path(__file__).parent / "transport"
SOURCE = Path(__file__).parents[2] / "src"
ENVIRONMENT = {
    "PYTHONPATH": f"{TRANSPORT}{os.pathsep}{SOURCE}",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "OMP_NUM_THREADS": "1",
}
AS_TRL_NEEDS_IT = ["--weight-transfer-config", '{"backend": "nccl"}', "--logprobs-mode", "processed_logprobs"]
SETTINGS = ["generator=vllm", "prompts=4", "samples=4", "micro_rows=8", "max_tokens=32", "learning_rate=1e-4",
            "save_every=1", "kl_every=2"]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's model with a head of its own: on CPU vLLM packs a copy of a tied one, which no update reaches."""
    folder = tmp_path_factory.mktemp("model")
    loaded = load_model("lab")
    head = loaded.model.get_input_embeddings().weight.detach().clone()
    loaded.model.config.tie_word_embeddings = False
    loaded.model.lm_head.weight = torch.nn.Parameter(head)
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    write_records(file, [item.problem for item in items("countdown3", 12, seed=21, held=False)])
    return file


@contextmanager
def serving(model: Path, log: Path, *options: str, **environment: str) -> Iterator[str]:
    command = [PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--dtype", "float32"]
    limits = ["--max-model-len", "512", "--enforce-eager"]
    with server_process([*command, *limits, *options], {**ENVIRONMENT, **environment}, log=log) as url:
        yield url


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "server.log"
    with serving(model, log, *AS_TRL_NEEDS_IT, VLLM_SERVER_DEV_MODE="1") as address:
        yield address


def training(model: Path, problems: Path, url: str, out: Path, updates: int) -> subprocess.Popen[str]:
    program = [PYTHON, "-W", "ignore", str(TRANSPORT / "titer_test_transport.py")]
    settings = [*SETTINGS, f"vllm_server={url}", f"updates={updates}"]
    return subprocess.Popen(
        [*program, "rl", str(model), str(problems), *settings, "--out", str(out), "--json"],
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trained(*arguments: Any) -> dict[str, Any]:
    process = training(*arguments)
    out, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def after_update(process: subprocess.Popen[str], out: Path, update: int) -> None:
    while not (out / "state" / f"checkpoint-{update}" / "trainer_state.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_the_server_samples_from_the_weights_of_every_update(
    model: Path, problems: Path, url: str, tmp_path: Path
) -> None:
    """Its log p of what it sampled are the trainer's, though the model moves away from where it began."""
    result = trained(model, problems, url, tmp_path, 6)
    rows = read_log(tmp_path / "log.jsonl")
    assert result["updates"] == len(rows) == 6
    assert [row["mismatch"] < 1e-5 for row in rows] == [True] * 6
    assert rows[-1]["kl"] > 1e-3
    assert all(0 < row["reward"] < 1 for row in rows)
    before, after = (load_model(str(folder)).model.state_dict() for folder in (model, result["checkpoint"]))
    assert max(float((after[name] - weight).abs().max()) for name, weight in before.items()) > 1e-4


def test_a_killed_trainer_and_a_server_that_dies_lose_nothing(model: Path, problems: Path, tmp_path: Path) -> None:
    """Each goes on with another server: vLLM may stand in the middle of an update that a killed trainer began."""
    out = tmp_path / "out"
    with serving(model, tmp_path / "first.log", *AS_TRL_NEEDS_IT, VLLM_SERVER_DEV_MODE="1") as first:
        process = training(model, problems, first, out, 12)
        after_update(process, out, 2)
        process.kill()
        process.communicate()
    with serving(model, tmp_path / "second.log", *AS_TRL_NEEDS_IT, VLLM_SERVER_DEV_MODE="1") as second:
        process = training(model, problems, second, out, 12)
        after_update(process, out, 5)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 2
    assert f"the vLLM server at {second} failed" in complaint.splitlines()[-1]
    assert 5 <= len(read_log(out / "log.jsonl")) < 12
    with serving(model, tmp_path / "third.log", *AS_TRL_NEEDS_IT, VLLM_SERVER_DEV_MODE="1") as third:
        assert trained(model, problems, third, out, 12)["updates"] == 12
    rows = read_log(out / "log.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert max(row["mismatch"] for row in rows) < 1e-5


def test_a_server_for_another_model_is_refused(problems: Path, url: str, tmp_path: Path) -> None:
    loaded = load_model("lab")  # as the served one, with a layer less
    loaded.model.config.num_hidden_layers -= 1
    loaded.model.config.tie_word_embeddings = False
    small = type(loaded.model)(loaded.model.config)
    small.save_pretrained(tmp_path / "small")
    loaded.tokenizer.save_pretrained(tmp_path / "small")
    process = training(tmp_path / "small", problems, url, tmp_path / "out", 1)
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 2 and not (tmp_path / "out").exists()
    assert "serves a model of another shape (num_hidden_layers 5, ours 4)" in complaint.splitlines()[-1]


def test_a_server_that_was_not_started_for_trl_is_refused(model: Path, problems: Path, tmp_path: Path) -> None:
    with serving(model, tmp_path / "server.log") as plain:
        process = training(model, problems, plain, tmp_path / "out", 1)
        _, complaint = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "does not answer as TRL needs it (404 Client Error" in complaint.splitlines()[-1]
    assert "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL" in complaint.splitlines()[-1]
