"""The arms of the branching experiment, and a tiny one of them from end to end."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from titer.lab.tasks import held_out, items
from titer.records import read_problems, read_traces
from titer.reproduce.engine import run_experiment
from titer.reproduce.findings.branching import (
    ARMS,
    CLAIMS,
    EXPERIMENT,
    MATCHED,
    Lessons,
    Settings,
    completion_tokens,
    draw_lessons,
)
from titer.traces import cue_share

TINY = Settings(
    problems=12, epochs=1, batch_size=4, countdown3=2, countdown4=1, ordered=2, subset=1, samples=1, max_tokens=16
)


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return draw_lessons(Settings(problems=200), seed=3)


def test_the_teachers_explain_the_same_problems(lessons: Lessons) -> None:
    ids = [trace.problem_id for trace in lessons.convergent]
    assert ids == [trace.problem_id for trace in lessons.divergent] and len(set(ids)) == 200
    assert Counter(trace.domain for trace in lessons.convergent) == {"countdown3": 150, "countdown4": 50}
    assert len({trace.domain for trace in lessons.convergent[:20]}) == 2  # in random order
    assert draw_lessons(Settings(problems=200), seed=3) == lessons != draw_lessons(Settings(problems=200), seed=4)


def test_equal_tokens_are_the_first_problems(lessons: Lessons) -> None:
    matched = ARMS[MATCHED](lessons)
    assert matched == lessons.divergent[: len(matched)]
    spent, budget = sum(completion_tokens(matched, Settings())), sum(completion_tokens(lessons.convergent, Settings()))
    assert abs(spent - budget) <= max(completion_tokens(lessons.divergent, Settings())) / 2


@pytest.mark.parametrize("keep", [0.9, 0.5])
def test_the_filter_has_a_control_of_its_size(lessons: Lessons, keep: float) -> None:
    kept, control = ARMS[f"divergent-filtered-{keep}"](lessons), ARMS[f"divergent-random-{keep}"](lessons)
    assert len(kept) == len(control) == keep * 200 and kept != control
    assert mean_cues(kept) < mean_cues(control)
    places = [lessons.divergent.index(trace) for trace in control]
    assert places == sorted(places)
    assert ARMS[f"divergent-random-{keep}"](lessons) == control


def mean_cues(traces: list) -> float:
    return sum(cue_share(trace.reasoning) for trace in traces) / len(traces)


def test_deletion_changes_the_reasoning_alone(lessons: Lessons) -> None:
    deleted = ARMS["convergent-deleted"](lessons)
    changed = sum(a.reasoning != b.reasoning for a, b in zip(deleted, lessons.convergent, strict=True))
    assert 30 < changed < 90
    assert [replace(trace, reasoning="") for trace in deleted] == [replace(t, reasoning="") for t in lessons.convergent]


def test_claims_speak_of_arms_that_there_are() -> None:
    assert {arm for claim in CLAIMS for arm in claim.contrast} <= set(EXPERIMENT.arms)
    assert all(sum(claim.contrast.values()) == 0 for claim in CLAIMS)
    assert len({claim.claim for claim in CLAIMS}) == len(CLAIMS)


def test_a_tiny_experiment_from_end_to_end(tmp_path: Path) -> None:
    tiny = replace(EXPERIMENT, settings=TINY._asdict(), arms=("convergent", MATCHED), claims=(CLAIMS[2],))
    table = run_experiment(tiny, seeds=1, jobs=2, out=tmp_path)
    assert table["claims"][0]["verdict"] == "cannot tell" and table["claims"][0]["seeds"] == 1
    folder, arms = tmp_path / "convergent-seed-0", table["arms"]
    assert len(list(read_traces(folder / "traces.jsonl"))) == 12 and not list(folder.rglob("checkpoints"))
    assert arms["convergent"]["updates"]["values"] == [3] and arms["convergent"]["training_loss"]["values"][0] > 0
    assert arms[MATCHED]["traces"]["values"][0] < 12
    held = [p for task in ("countdown3", "subset") for p in read_problems(folder / "suites" / f"{task}.jsonl")]
    assert len(held) == 3 and all(held_out(problem) for problem in held)
    rows = (folder / "sft" / "log.jsonl").read_text().splitlines()
    spent = sum(json.loads(row)["trained_tokens"] for row in rows)
    assert arms["convergent"]["trained_tokens"]["values"] == [spent]
    assert [problem.id for problem in held[:2]] == [i.problem.id for i in items("countdown3", 2, seed=0, held=True)]


def test_the_base_is_only_scored(tmp_path: Path) -> None:
    measures = EXPERIMENT.job("base", 0, TINY._asdict(), tmp_path)
    assert {"accuracy_in_domain", "terminated_out_of_domain", "tokens_countdown4", "ungraded"} <= set(measures)
    assert "training_loss" not in measures and not (tmp_path / "sft").exists()
    whole = (2 * measures["tokens_countdown3"] + measures["tokens_countdown4"]) / 3  # problems weigh the same
    assert measures["tokens_in_domain"] == pytest.approx(whole)
