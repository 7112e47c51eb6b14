"""What an evaluation is held against is like it, or is refused before anything is sampled: no model is there."""

from __future__ import annotations

import json
import shutil
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
from titer.records import Problem, Rollout, read_problems, read_rollouts, write_records
from titer.rollouts.claim import hash_of


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


def made(folder: Path, problems: list[Problem], **more: object) -> None:
    file = folder / "s.rollouts.made.json"
    each = {problem.id: hash_of(problem) for problem in problems}
    file.write_text(json.dumps({**json.loads(file.read_text()), "samples": 1, "each": each, **more}))


def test_another_answer_or_system_prompt_by_the_same_prompt_is_refused(suite: Path, before: Path) -> None:
    problems = list(read_problems(suite))
    made(before, problems)
    assert "no model at './nothing'" in refusal(suite, before)
    for changed in (replace(problems[3], answer="5"), replace(problems[3], meta={"earlier_messages": [{"role": "x"}]})):
        made(before, [*problems[:3], changed])
        assert "'p3' of suite 's' has another answer, verifier or meta in this call; eval" in refusal(suite, before)
        other = shutil.copytree(before, before.parent / "other", dirs_exist_ok=True)
        made(other, problems)
        with pytest.raises(InputError, match="other: problem 'p3' of suite 's' has another answer"):
            verbs.verdict({0: before, 1: other})


def test_results_of_an_earlier_call_do_not_finish_a_suite(suite: Path, before: Path) -> None:
    made(before, list(read_problems(suite)), samples=2)
    assert "before: suite 's' was not finished: 4 of 8 rollouts; let `titer eval`" in refusal(suite, before)
    with pytest.raises(InputError, match="was not finished: 4 of 8"):
        verbs.verdict({0: before, 1: before})


def test_results_go_when_sampling_begins(suite: Path, before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["titer.verbs.eval"], "collect", killed)
    with pytest.raises(KeyboardInterrupt):
        verbs.eval("lab", {"s": suite}, out=before)
    assert not (before / "results_titer.json").exists()


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


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ""])
def test_a_suites_name_is_that_of_a_file(name: str, suite: Path) -> None:
    with pytest.raises(InputError, match="names no file; no / or"):
        verbs.eval("./nothing", {name: suite}, out=suite.parent / "after")


def test_an_update_is_a_plain_number(suite: Path) -> None:
    said = CliRunner().invoke(app, ["verdict", "0=e1", "²=e2"])
    assert isinstance(said.exception, InputError) and "'²' is no update" in str(said.exception)
