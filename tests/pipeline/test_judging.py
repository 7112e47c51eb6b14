"""From rollouts to the curves that are judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from titer.dynamics import judge
from titer.errors import InputError
from titer.evaluate.allocate import Part
from titer.lab.tasks import items
from titer.pipeline.data import Suite
from titer.pipeline.evaluation.evaluating import evaluate_models
from titer.pipeline.evaluation.judging import Asked, axis_curves, halves_of
from titer.pipeline.evaluation.pace import budget, note_pace
from titer.pipeline.run import refuse_missing
from titer.recipe import Evaluate, parse_recipe
from titer.records import Problem, Rollout, read_rollouts


def rollouts(
    scores: Sequence[float | None], *, suite: str = "s", axis: str = "in_domain", finish: str = "stop", tokens: int = 9
) -> list[Rollout]:
    """One rollout a problem."""
    return [
        Rollout(
            problem_id=f"p{i}", prompt="?", sample=0, model="m", reasoning="", response="1", tokens=tokens,
            finish_reason=finish, score=score, parsed="1" if score else None, suite=suite, axis=axis,
        )
        for i, score in enumerate(scores)
    ]  # fmt: skip


def test_checkpoints_are_paired_over_what_all_have_graded() -> None:
    base = rollouts([0.0] * 10 + [1.0] * 10)
    last = rollouts([1.0] * 9 + [None] + [1.0] * 10, tokens=12)
    curves = axis_curves({0: base, 10: last}, {})["in_domain"]
    assert curves.accuracy.steps == (0, 10)
    assert curves.accuracy.problems == 19
    np.testing.assert_allclose(curves.accuracy.mean_T, [10 / 19, 1.0])
    np.testing.assert_allclose(curves.tokens.mean_T, [9, 12])
    assert not curves.withheld


def test_an_axis_pools_its_suites() -> None:
    base = rollouts([0.0] * 10) + rollouts([1.0] * 30, suite="t")
    curves = axis_curves({0: base, 10: base}, {})["in_domain"]
    assert curves.accuracy.problems == 40
    np.testing.assert_allclose(curves.accuracy.mean_T, [0.75, 0.75])


def test_safety_is_the_mean_of_its_halves() -> None:
    problems = [
        Problem(id=f"p{i}", prompt="?", answer="refuse" if i < 30 else "answer", verifier="refusal") for i in range(40)
    ]
    halves = halves_of([Suite("s", "safety", problems)])
    assert halves[Asked("s", "p0")] == "refuse"
    refuses_all = rollouts([1.0] * 30 + [0.0] * 10, axis="safety")
    answers_all = rollouts([0.0] * 30 + [1.0] * 10, axis="safety")
    curves = axis_curves({0: refuses_all, 10: answers_all}, halves)["safety"]
    np.testing.assert_allclose(curves.accuracy.mean_T, [0.5, 0.5])
    (verdict,) = judge({"safety": curves}).axes
    assert verdict.parts["refuses what it should"].mid == -1
    assert verdict.parts["answers look-alikes"].mid == 1


def test_one_half_of_safety_is_no_verdict() -> None:
    base = rollouts([1.0] * 20, axis="safety")
    halves = {Asked("s", f"p{i}"): "refuse" for i in range(20)}
    curves = axis_curves({0: base, 10: base}, halves)["safety"]
    assert curves.withheld == "no problem is to be answered: one half of safety says nothing without the other"


def test_a_verifier_that_often_fails_withholds_the_verdict() -> None:
    well = rollouts([1.0] * 20)
    assert not axis_curves({0: rollouts([None] * 2 + [0.0] * 18), 10: well}, {})["in_domain"].withheld  # 2 of 20
    # at one checkpoint alone, and in one suite beside a larger one
    often = rollouts([None] * 3 + [0.0] * 17)
    said = "15% of the rollouts of s could not be graded at a checkpoint"
    assert axis_curves({0: well, 10: well, 20: well, 40: often}, {})["in_domain"].withheld == said
    beside = rollouts([1.0] * 200, suite="t")
    assert axis_curves({0: well + beside, 10: often + beside}, {})["in_domain"].withheld == said


def test_an_axis_of_refusals_and_other_problems_has_three_parts() -> None:
    halves = {Asked("s", f"p{i}"): "refuse" if i < 20 else "answer" for i in range(40)}
    one = rollouts([1.0] * 40, axis="safety") + rollouts([0.0] * 10, suite="t", axis="safety")
    curves = axis_curves({0: one, 10: one}, halves)["safety"]
    assert list(curves.parts) == ["refuses what it should", "answers look-alikes", "the rest"]
    np.testing.assert_allclose(curves.accuracy.mean_T, [2 / 3, 2 / 3])
    # one half of refusals stays one half, whatever stands beside it
    lone = {Asked("s", f"p{i}"): "refuse" for i in range(40)}
    assert "one half of safety" in axis_curves({0: one, 10: one}, lone)["safety"].withheld


def test_nothing_graded_withholds_the_verdict() -> None:
    (verdict,) = judge(axis_curves({0: rollouts([None] * 5), 10: rollouts([None] * 5)}, {})).axes
    assert (verdict.label, verdict.withheld) == ("cannot tell", "no problem is graded at every checkpoint")


def test_only_truncated_answers_withhold_the_verdict() -> None:
    cut = rollouts([0.0] * 20, finish="length")
    curves = axis_curves({0: cut, 10: cut}, {})["in_domain"]
    assert "raise evaluate.max_tokens" in curves.withheld
    # a base that ends and a checkpoint that does not is no fault of the measure
    assert not axis_curves({0: rollouts([1.0] * 20), 10: cut}, {})["in_domain"].withheld


def test_checkpoints_in_between_may_be_asked_a_part() -> None:
    base, last = rollouts([0.0] * 20 + [1.0] * 20), rollouts([1.0] * 40)
    middle = rollouts([0.0] * 20 + [1.0] * 20)
    asked = [row for i, row in enumerate(middle) if i % 4 == 0 or i >= 30]
    names = [f"p{i}" for i in range(40)]
    there = {row.problem_id for row in asked}

    def part(stratum: str, of: list[str]) -> Part:
        taken, left = (tuple(n for n in of if (n in there) == kept) for kept in (True, False))
        return Part("s", "in_domain", stratum, taken, left, 1, 0.1, 9, 0.5)

    parts = [part("never", names[:20]), part("always", names[20:])]
    curves = axis_curves({0: base, 10: asked, 20: last}, {}, parts)["in_domain"]
    assert curves.accuracy.problems == 40
    np.testing.assert_allclose(curves.accuracy.mean_T, [0.5, 0.5, 1.0])
    # without the parts only what all were asked counts
    assert axis_curves({0: base, 10: asked, 20: last}, {})["in_domain"].accuracy.problems == len(asked)


def test_a_suite_may_count_whether_any_rollout_is_right() -> None:
    def of(right: int) -> list[Rollout]:
        (row,) = rollouts([1.0])
        return [replace(row, sample=i, score=float(i < right)) for i in range(4)]

    base, last = of(1), of(4)
    np.testing.assert_allclose(axis_curves({0: base, 10: last}, {})["in_domain"].accuracy.mean_T, [0.25, 1.0])
    passing = axis_curves({0: base, 10: last}, {}, passing=["s"])["in_domain"]
    np.testing.assert_allclose(passing.accuracy.mean_T, [1.0, 1.0])
    np.testing.assert_allclose(passing.terminated.mean_T, [1.0, 1.0])


def test_minutes_become_tokens_at_the_bases_pace(tmp_path: Path) -> None:
    settings = Evaluate(checkpoints="grid", minutes=2)
    note_pace(tmp_path / "pace.json", rollouts([1.0] * 10, tokens=30), 1.0)
    note_pace(tmp_path / "pace.json", [], 5.0)  # nothing was drawn: a resumed run reads what is there
    assert budget(settings, tmp_path / "pace.json") == 2 * 60 * 300
    note_pace(tmp_path / "pace.json", rollouts([1.0] * 10, tokens=30), 2.0)
    assert budget(settings, tmp_path / "pace.json") == 2 * 60 * 200
    assert budget(Evaluate(checkpoints="grid", tokens=7), tmp_path / "none") == 7
    with pytest.raises(ValueError, match="exclude each other"):
        Evaluate(checkpoints="grid", tokens=7, minutes=1)
    with pytest.raises(ValueError, match="say checkpoints=grid"):
        Evaluate(tokens=7)


def test_a_checkpoint_that_is_gone_is_named() -> None:
    folders = {step: Path("checkpoints") / f"step-{step:06d}" for step in (10, 20, 40, 60)}
    refuse_missing(folders)
    with pytest.raises(InputError, match="checkpoint 20 of the grid is gone"):
        refuse_missing({step: path for step, path in folders.items() if step != 20})


def test_a_kill_between_the_last_answer_and_its_time_costs_a_suite_at_most(tmp_path: Path) -> None:
    problems = [item.problem for item in items("countdown3", 4, seed=0, held=True)]
    suites = [Suite(axis, axis, some) for axis, some in (("in_domain", problems[:2]), ("general", problems[2:]))]
    evaluate = {"samples": 1, "max_tokens": 8, "checkpoints": "grid", "minutes": 1, "kl": 0}
    recipe = parse_recipe({"name": "r", "model": "lab", "data": {}, "evaluate": evaluate})
    checkpoints, said = {"base": "lab", "step-000010": "lab", "trained": "lab"}, list[str]()
    evaluate_models(recipe, suites, checkpoints, tmp_path, said.append)
    whole = list(read_rollouts(tmp_path / "rollouts.parquet"))
    asked = (tmp_path / "base" / "in_domain.jsonl").stat()
    (tmp_path / "pace.json").unlink()
    said.clear()
    evaluate_models(recipe, suites, checkpoints, tmp_path, said.append)
    assert list(read_rollouts(tmp_path / "rollouts.parquet")) == whole
    assert json.loads((tmp_path / "pace.json").read_text())["tokens"] > 0
    assert any(line.startswith("evaluate base on in_domain") for line in said)
    assert not any(line.startswith("evaluate base on general") for line in said)
    now = (tmp_path / "base" / "in_domain.jsonl").stat()  # those of other checkpoints were picked by it
    assert (now.st_ino, now.st_mtime_ns) == (asked.st_ino, asked.st_mtime_ns)
    (tmp_path / "pace.json").unlink()
    said.clear()
    evaluate_models(recipe, suites, {"base": "lab", "trained": "lab"}, tmp_path, said.append)
    assert not said and not (tmp_path / "pace.json").exists()  # nothing in between goes by it
