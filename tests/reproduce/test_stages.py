"""Finding D in the lab: every arm spends one budget in its own way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from titer.reproduce.experiment import find
from titer.reproduce.findings.stages.arm import run_arm
from titer.reproduce.findings.stages.settings import ARMS, BRIDGES, STUDENT, Settings
from titer.reproduce.findings.stages.spending import Arm, lesson_items
from titer.reproduce.findings.stages.student import warm_up

SMALL = Settings(
    warm_updates=3, problems=6, budget=16_000, batch_size=4, prompts=2, samples=4, max_tokens=48, held_out=4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stages")
    assert warm_up(SMALL, out / STUDENT) == {"updates": 3}
    return out


def test_the_experiment_has_all_arms_and_claims() -> None:
    experiment = find("stages")
    assert set(experiment.arms) == {"base", *ARMS, *(f"hard-{name}" for name in BRIDGES)}
    named = {arm for claim in experiment.claims for arm in claim.contrast}
    assert named == {*experiment.arms} and len({claim.claim for claim in experiment.claims}) == len(experiment.claims)
    assert experiment.shared == (STUDENT,) and Settings(**experiment.settings) == Settings()


def test_both_tasks_come_in_turn_and_seeds_differ() -> None:
    made = lesson_items(SMALL, 0)
    assert [item.problem.domain for item in made[:4]] == ["countdown3", "countdown4"] * 2 and len(made) == 12
    assert {item.problem.id for item in made} != {item.problem.id for item in lesson_items(SMALL, 1)}


@pytest.mark.parametrize("name", ["sft", "routed-bridge-critique"])
def test_an_arm_spends_its_budget(name: str, folder: Path) -> None:
    found = run_arm(name, 0, SMALL, folder / name)
    assert 0.5 < found["spent"] < 1.3
    assert found["spent"] == pytest.approx((found["sampled_tokens"] + found["trained_tokens"]) / SMALL.budget)
    assert (found["sampled_tokens"] == 0) == (name == "sft")
    assert 0 <= found["in_domain_accuracy"] <= found["in_domain_pass_8"] <= 1


def test_the_base_spends_nothing(folder: Path) -> None:
    assert run_arm("base", 0, SMALL, folder / "base")["spent"] == 0


def test_traces_and_problems_belong_together(folder: Path) -> None:
    arm = Arm(0, SMALL, folder / "arm")
    names = [problem.id for problem in arm.problems[:3]]
    assert [trace.problem_id for trace in arm.of(names)] == names == [problem.id for problem in arm.those(names)]
    assert arm.updates_of(arm.traces, 16_000) == 16_000 // (4 * arm.mean_length(arm.traces))
    assert json.loads((folder / "arm" / "problems.jsonl").read_text().splitlines()[0])["id"] == names[0]


def test_rollouts_of_an_arm_that_is_done_are_borrowed_and_paid_for(folder: Path) -> None:
    (folder / "again").mkdir()
    (folder / "again" / STUDENT).symlink_to(folder / STUDENT)
    first = Arm(0, SMALL, folder / "again" / "routed-seed-0")
    measured = first.measure()
    alone = Arm(0, SMALL, folder / "again" / "other-seed-0")
    assert not alone.borrowed("measured").exists()  # the first is not done
    (first.folder / "result.json").write_text("{}")
    second = Arm(0, SMALL, folder / "again" / "opposite-seed-0")
    theirs = (measured / "rollouts.jsonl").read_bytes()
    assert (second.borrowed("measured") / "rollouts.jsonl").read_bytes() == theirs
    assert (second.measure() / "rollouts.jsonl").read_bytes() == theirs
    assert second.spent == first.spent and second.spent.sampled > 0
    assert not Arm(1, SMALL, folder / "again" / "opposite-seed-1").borrowed("measured").exists()
