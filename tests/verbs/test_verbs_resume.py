"""A second call with the same `out` goes on, or refuses; it never passes off what it finds as its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError
from titer.models import locate
from titer.recipe import Evaluate, Measure, Train
from titer.records import read_problems, read_traces, write_records


@pytest.fixture
def other_model(tmp_path: Path) -> str:
    """The lab's model under another name, with other content."""
    folder = tmp_path / "other"
    shutil.copytree(locate("lab"), folder)
    (folder / "README.md").write_text("changed")
    return str(folder)


def test_eval_and_measure_refuse_another_models_rollouts(lab_files: Path, tmp_path: Path, other_model: str) -> None:
    problems = tmp_path / "two.jsonl"
    write_records(problems, list(read_problems(lab_files / "countdown3.jsonl"))[:2])
    few = Evaluate(samples=1, max_tokens=16)
    first = verbs.eval("lab", {"two": problems}, out=tmp_path / "eval", settings=few)
    again = verbs.eval("lab", {"two": problems}, out=tmp_path / "eval", settings=few)
    assert repr(first.suites) == repr(again.suites)  # nan is not itself
    with pytest.raises(InputError, match="made otherwise .model differ"):
        verbs.eval(other_model, {"two": problems}, out=tmp_path / "eval", settings=few)
    with pytest.raises(InputError, match="made otherwise .sampling differ"):
        verbs.eval("lab", {"two": problems}, out=tmp_path / "eval", settings=Evaluate(samples=1, max_tokens=8))
    verbs.measure("lab", problems, out=tmp_path / "measured", settings=Measure(samples=1, max_tokens=16))
    with pytest.raises(InputError, match="made otherwise .model differ"):
        verbs.measure(other_model, problems, out=tmp_path / "measured", settings=Measure(samples=1, max_tokens=16))


def test_sft_refuses_a_folder_that_holds_another_training(lab_files: Path, tmp_path: Path) -> None:
    traces = list(read_traces(lab_files / "traces.jsonl"))
    for name, part in {"a": traces[:4], "b": traces[4:8]}.items():
        write_records(tmp_path / f"{name}.jsonl", part)
    settings = Train(epochs=1, batch_size=4, probe_samples=2)
    first = verbs.sft("lab", tmp_path / "a.jsonl", out=tmp_path / "sft", settings=settings)
    assert verbs.sft("lab", tmp_path / "a.jsonl", out=tmp_path / "sft", settings=settings) == first
    with pytest.raises(InputError, match="another training stands here .traces differ"):
        verbs.sft("lab", tmp_path / "b.jsonl", out=tmp_path / "sft", settings=settings)


def test_a_plan_is_found_again_with_other_settings_of_speed(lab_files: Path, tmp_path: Path) -> None:
    traces = list(read_traces(lab_files / "traces.jsonl"))[:8]
    write_records(tmp_path / "t.jsonl", traces)
    settings = Train(hours=0.0002, batch_size=4, probe_samples=2)
    first = verbs.sft("lab", tmp_path / "t.jsonl", out=tmp_path / "sft", settings=settings)
    faster = settings.model_copy(update={"micro_tokens": 512, "save_seconds": 9.0})
    assert verbs.sft("lab", tmp_path / "t.jsonl", out=tmp_path / "sft", settings=faster) == first
    assert len(list((tmp_path / "sft" / "plan").iterdir())) == 1


def test_a_plan_says_how_many_traces_were_too_long(lab_files: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "t.jsonl", list(read_traces(lab_files / "traces.jsonl"))[:16])
    settings = Train(tokens=2000, batch_size=2, probe_samples=0, max_length=120, too_long="drop")
    result = verbs.sft("lab", tmp_path / "t.jsonl", out=tmp_path / "sft", settings=settings)
    (file,) = (tmp_path / "sft" / "plan").glob("*/decisions.json")
    (decision,) = json.loads(file.read_text())
    assert decision["evidence"]["traces kept"] == 16
    assert decision["evidence"]["dropped as too long"] == len(result.dropped) > 0
