"""What an evaluation is held against is like it, or is refused before anything is sampled: no model is there."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from titer import verbs
from titer.cli.main import app
from titer.errors import InputError
from titer.generate.protocol import Sampling
from titer.recipe import Evaluate
from titer.records import Problem, Rollout, read_rollouts, write_records


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    problems = [Problem(id=f"p{i}", prompt=f"What is {i} + 1?", answer=str(i + 1), verifier="exact") for i in range(4)]
    write_records(tmp_path / "s.jsonl", problems)
    return tmp_path / "s.jsonl"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """An evaluation with the settings that are the defaults, of all four problems."""
    folder, settings = tmp_path / "before", Evaluate()
    rows = [
        Rollout(
            problem_id=f"p{i}", sample=0, model="m", prompt=f"What is {i} + 1?", reasoning="", response="1",
            finish_reason="stop", tokens=1, score=1.0, parsed="1", suite="s",
        )
        for i in range(4)
    ]  # fmt: skip
    write_records(folder / "s.rollouts.jsonl", rows)
    sampling = Sampling(temperature=settings.temperature, top_p=settings.top_p, max_tokens=settings.max_tokens)
    (folder / "s.rollouts.made.json").write_text(json.dumps({"sampling": asdict(sampling)}))
    (folder / "results_titer.json").write_text("{}")
    return folder


def refusal(suite: Path, before: Path, **settings: int) -> str:
    with pytest.raises(InputError) as refused:
        verbs.eval("./nothing", {"s": suite}, out=suite.parent / "after", against=before, settings=Evaluate(**settings))
    return str(refused.value)


def test_one_that_is_alike_is_taken(suite: Path, before: Path) -> None:
    assert "no model at './nothing'" in refusal(suite, before)


def test_other_sampling_is_refused(suite: Path, before: Path) -> None:
    found = refusal(suite, before, max_tokens=8)
    assert "before: suite 's' was sampled otherwise than in this call (max_tokens differ); evaluate all" in found


def test_other_problems_by_the_same_ids_are_refused(suite: Path, before: Path) -> None:
    rows = list(read_rollouts(before / "s.rollouts.jsonl"))
    write_records(before / "s.rollouts.jsonl", [*rows[:3], replace(rows[3], prompt="What is 3 + 2?")])
    assert "before: problem 'p3' of suite 's' is another one in this call; evaluate all" in refusal(suite, before)


def test_an_evaluation_that_was_killed_is_refused(suite: Path, before: Path) -> None:
    (before / "results_titer.json").unlink()
    assert "before: was not finished; let `titer eval` finish it" in refusal(suite, before)


def test_problems_of_one_of_the_two_alone_are_counted_out_loud(
    suite: Path, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(read_rollouts(before / "s.rollouts.jsonl"))
    monkeypatch.setattr(
        sys.modules["titer.verbs.eval"], "_sampled", lambda *_: [replace(row, model="n") for row in rows]
    )
    write_records(before / "s.rollouts.jsonl", rows[:3])
    after = ("--out", str(suite.parent / "after"), "--against", str(before))
    said = CliRunner().invoke(app, ["eval", "lab", str(suite), *after])
    assert said.exit_code == 0, said.output
    assert "s: the change is over the 3 problems that both have graded; 1 left out: 'p3'" in said.output
