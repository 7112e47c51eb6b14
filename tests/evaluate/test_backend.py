"""lm-evaluation-harness as a backend."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError
from titer.evaluate import backend
from titer.models import add_lora, describe_model, load_model, locate
from titer.recipe import Lora

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: ["7", "8"]
doc_to_target: "{{label}}"
metric_list: [{metric: acc}]
"""


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lm_eval" else found(name))
    with pytest.raises(InputError, match="lm-evaluation-harness is not installed") as refusal:
        verbs.eval("lab", {}, out=tmp_path, harness=["gsm8k"])
    assert "titer[harness]" in refusal.value.remedy


class Harness:
    """In place of the harness: what it is asked, and a score for an answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.files: set[str] = set()

    def run(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked = command[command.index("run") + 1 :]
        self.files = {file.name for file in Path(self.of("--model_args").removeprefix("pretrained=")).glob("*")}
        out = Path(self.of("--output_path"))
        out.mkdir(parents=True)
        (out / "results_2026-01-01.json").write_text(json.dumps({"results": {"sums": {"acc,none": 0.5}}}))
        return subprocess.CompletedProcess(command, 0, "", "")

    def of(self, option: str) -> str:
        return self.asked[self.asked.index(option) + 1]


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    found, stands_in = importlib.util.find_spec, Harness()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found("json" if name == "lm_eval" else name))
    monkeypatch.setattr(backend.subprocess, "run", stands_in.run)
    return stands_in


def test_what_the_harness_is_asked(harness: Harness, tmp_path: Path) -> None:
    (score,) = verbs.eval("lab", {}, out=tmp_path, harness=["sums", "more"], limit=4, include=tmp_path, seed=3).harness
    assert (score.task, score.value) == ("sums", 0.5)
    assert harness.asked == [
        *("--model", "hf", "--model_args", f"pretrained={locate('lab')}", "--tasks", "sums,more"),
        *("--output_path", str(tmp_path / "harness"), "--log_samples", "--seed", "3"),
        *("--apply_chat_template", "--limit", "4", "--include_path", str(tmp_path)),
    ]


def test_adapters_are_written_out_whole_for_the_harness(harness: Harness, tmp_path: Path) -> None:
    loaded = load_model("lab")
    add_lora(loaded.model, Lora(rank=1)).save_pretrained(tmp_path / "adapters")
    loaded.tokenizer.save_pretrained(tmp_path / "adapters")
    verbs.eval(str(tmp_path / "adapters"), {}, out=tmp_path / "out", harness=["sums"])
    assert {"config.json", "model.safetensors", "tokenizer_config.json"} <= harness.files
    assert "adapter_config.json" not in harness.files and "--apply_chat_template" in harness.asked


def test_a_model_without_a_chat_template_is_asked_without(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(Path(locate("lab")) / "config.json", tmp_path / "bare")
    tokenizer = describe_model("lab").tokenizer
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "bare")
    verbs.eval(str(tmp_path / "bare"), {}, out=tmp_path / "out", harness=["sums"])
    assert "--apply_chat_template" not in harness.asked


def test_of_a_hub_id_the_template_is_looked_up(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["titer.verbs.eval"], "describe_model", lambda _: describe_model("lab"))
    verbs.eval("owner/name", {}, out=tmp_path, harness=["sums"])
    assert harness.of("--model_args") == "pretrained=owner/name" and "--apply_chat_template" in harness.asked


def test_it_is_looked_for_before_anything_is_sampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The model is not there, and the refusal is not about it."""
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lm_eval" else found(name))
    with pytest.raises(InputError, match="lm-evaluation-harness is not installed"):
        verbs.eval("./nothing", {}, out=tmp_path, harness=["gsm8k"])


def test_a_task_of_ones_own_is_run_and_read(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    rows = [{"question": f"Compute {a} + {7 - a}.", "label": 0} for a in range(1, 6)]
    (tmp_path / "sums.json").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sums.yaml").write_text(TASK.replace("FILE", str(tmp_path / "sums.json")))
    result = verbs.eval("lab", {}, out=tmp_path / "out", harness=["sums"], include=tmp_path / "tasks", limit=4)
    (score,) = result.harness
    assert (score.task, score.metric, score.problems, len(score.by_problem)) == ("sums", "acc,none", 4, 4)
    assert score.value == sum(score.by_problem.values()) / 4
    with pytest.raises(InputError, match="lm-eval failed"):
        verbs.eval("lab", {}, out=tmp_path / "out", harness=["nothing"], include=tmp_path / "tasks")


def test_what_it_said_last_is_told_line_by_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = "loading\n\nfirst\na / b / c\nreal error\n"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(backend, "require_harness", lambda: None)
    monkeypatch.setattr(backend.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(InputError, match="lm-eval failed: first / a / b / c / real error"):
        backend.run_harness("m", ["sums"], out=tmp_path, templated=False)
