"""The students, the wrong numbers and the arms of the continuum, and a tiny one of them from end to end."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest

from titer.lab import build as lab_build
from titer.lab.tasks import held_out
from titer.objectives import objective
from titer.records import read_problems, read_traces
from titer.reproduce.engine import run_experiment
from titer.reproduce.findings.continuum import (
    ARMS,
    CLAIMS,
    EXPERIMENT,
    NOISE,
    OBJECTIVES,
    STRENGTHS,
    TASK,
    Settings,
    corrupt,
    lesson,
    mixture,
)

TINY = Settings(pretraining=2, updates=4, batch_size=8, problems=2, samples=1, max_tokens=8)


def test_mixtures_hold_as_much_of_the_task_as_they_say() -> None:
    for share in STRENGTHS.values():
        made = mixture(share)
        assert sum(made.values()) == pytest.approx(1) and made.get(TASK, 0) == share
        assert not {"countdown4", "ordered", "subset"} & set(made)
    rest = [{name: weight for name, weight in mixture(share).items() if name != TASK} for share in (0.0, 0.8)]
    assert {name: weight * 0.2 for name, weight in rest[0].items()} == pytest.approx(rest[1])


@pytest.mark.parametrize("percent", [noise for noise in NOISE if noise])
def test_a_share_of_the_numbers_is_wrong(percent: int) -> None:
    clean, noisy = (lesson(Settings(updates=100), share, seed=1)[1] for share in (0.0, percent / 100))
    pairs = [
        pair
        for a, b in zip(clean, noisy, strict=True)
        for pair in zip(re.findall(r"\d+", a.response), re.findall(r"\d+", b.response), strict=True)
    ]
    wrong = sum(right != found for right, found in pairs) / len(pairs)
    assert wrong == pytest.approx(percent / 100, abs=0.01)
    assert all(
        re.sub(r"\d+", "", a.response) == re.sub(r"\d+", "", b.response) for a, b in zip(clean, noisy, strict=True)
    )
    assert lesson(Settings(updates=100), percent / 100, seed=1)[1] == noisy
    assert [problem.prompt for problem in lesson(Settings(updates=100), 0.0, seed=1)[0]] == [t.prompt for t in clean]


def test_what_is_wrong_at_little_noise_is_wrong_at_much() -> None:
    trace = lesson(Settings(updates=1, batch_size=1), 0.0, seed=2)[1][0]
    trace = replace(trace, response=" ".join(map(str, range(1, 200))))
    little, much = (corrupt(trace, share, random.Random(0)).response.split() for share in (0.1, 0.3))
    right = trace.response.split()
    assert all(b == a for a, b, c in zip(little, much, right, strict=True) if a != c)
    assert sum(a != c for a, c in zip(much, right, strict=True)) > sum(
        a != c for a, c in zip(little, right, strict=True)
    )


def test_claims_and_arms_are_of_one_kind() -> None:
    named = {arm for claim in CLAIMS for arm in (*claim.contrast, *claim.best_of)}
    assert named <= set(EXPERIMENT.arms) and len(ARMS) == 45
    assert all(sum(claim.contrast.values()) - bool(claim.best_of) == 0 for claim in CLAIMS)
    assert len({claim.claim for claim in CLAIMS}) == len(CLAIMS)
    for spec in OBJECTIVES.values():
        assert spec == "auto" or objective(spec)


@pytest.mark.usefixtures("jobs_here")
def test_a_tiny_experiment_from_end_to_end(tmp_path: Path) -> None:
    arms = ("weak-base", "weak-10-nll", "weak-10-p", "weak-10-auto")
    claims = tuple(claim for claim in CLAIMS if {*claim.contrast, *claim.best_of} <= set(arms))
    tiny = replace(EXPERIMENT, settings=TINY._asdict(), arms=arms, claims=claims, shared=("weak",))
    table = run_experiment(tiny, seeds=1, jobs=2, out=tmp_path)
    assert table["shared"]["weak"]["updates"] == 2 and len(claims) == 4
    auto, plain, other = (table["arms"][f"weak-10-{name}"] for name in ("auto", "nll", "p"))
    assert auto["prior"]["values"][0] < 0.5 and auto["chose_p"]["values"] == [0] and auto["tried"]["values"] == [0]
    assert auto["mean_weight"]["values"] == plain["mean_weight"]["values"] == [1]  # weak: what nll does
    assert 0 < other["mean_weight"]["values"][0] < 0.5
    assert {"sampled_accuracy", "greedy_accuracy"} <= set(table["arms"]["weak-base"])
    folder = tmp_path / "weak-10-p-seed-0"
    assert json.loads((folder / "sft" / "objective.json").read_text())
    assert len(list(read_traces(folder / "traces.jsonl"))) == 32
    assert all(held_out(problem) for problem in read_problems(folder / "sampled" / "suites" / f"{TASK}.jsonl"))
    weights = [f / "sft" / "log.jsonl" for f in (tmp_path / "weak-10-nll-seed-0", tmp_path / "weak-10-auto-seed-0")]
    losses = [[json.loads(row)["loss"] for row in file.read_text().splitlines()] for file in weights]
    assert losses[0] == losses[1]
    assert lab_build.MIXTURE["countdown4"] == 0.2  # the lab's own mixture is untouched
