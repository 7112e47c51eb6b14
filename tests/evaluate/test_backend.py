"""lm-evaluation-harness as a backend."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError

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
