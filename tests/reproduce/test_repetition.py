"""The cells of the repetition grid, their traces, and a tiny one of them from end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from titer.lab.tasks import items
from titer.reproduce.engine import run_experiment
from titer.reproduce.experiment import Map
from titer.reproduce.findings.repetition.arm import TASK, Cell, Settings, chosen, losses_under, missed, training
from titer.reproduce.findings.repetition.claims import BUDGET, CELLS, CLAIMS, EPOCHS, EXPERIMENT, PLANNED, SAMPLES
from titer.verify import grade_many

TINY = Settings(pool=8, batch_size=4, problems=2, samples=1, held_out_traces=2, max_tokens=8)


def test_the_grid_is_whole_and_its_diagonal_has_equal_updates() -> None:
    plain = [cell for cell in CELLS.values() if cell.kind == "short" and cell.rate == 1]
    grid = [cell for cell in plain if not cell.endpoint and not cell.auto and cell.samples in SAMPLES]
    assert {(cell.epochs, cell.samples) for cell in grid} == {(n, size) for n in EPOCHS for size in SAMPLES}
    assert (
        len(EPOCHS) >= 6 and len(SAMPLES) >= 6 and len(EXPERIMENT.arms) == len(set(EXPERIMENT.arms)) == len(CELLS) + 1
    )
    assert sum(cell.epochs * cell.samples == BUDGET for cell in grid) == 6
    assert Settings().pool == PLANNED == max(cell.samples for cell in CELLS.values())


def test_cells_are_nested() -> None:
    small, large = (chosen(Cell("short", 1, size), Settings(pool=24), seed=3) for size in (6, 24))
    assert large[:6] == small and chosen(Cell("short", 8, 6), Settings(pool=24), seed=3) == small


def test_hard_and_easy_are_the_ends_of_one_order() -> None:
    settings = Settings(pool=24)
    hard, easy, every = (chosen(Cell(kind, 1, 6), settings, seed=3) for kind in ("hard", "easy", "short"))
    pool = chosen(Cell("short", 1, 24), settings, seed=3)
    assert set(map(id, hard)) != set(map(id, every)) and not {t.id for t in hard} & {t.id for t in easy}
    assert min(losses_under("lab", hard)) > max(losses_under("lab", easy))
    assert max(losses_under("lab", pool)) == pytest.approx(losses_under("lab", hard)[0], rel=1e-4)


def test_wrong_traces_are_wrong_and_say_they_are_right() -> None:
    made = items(TASK, 12, seed=4, held=False)
    traces = chosen(Cell("negative", 1, 12), Settings(pool=12), seed=4)
    answered = [(item.problem, trace.response) for item, trace in zip(made, traces, strict=True)]
    assert [grade.score for grade in grade_many(answered)] == [0.0] * 12
    assert all("which is the target" in trace.reasoning for trace in traces)
    assert missed(made[0], 4) == missed(made[0], 4)


def test_the_endpoint_may_end_what_the_grid_repeats_longest() -> None:
    wanted = training(CELLS["endpoint-64"], Settings())
    assert (wanted.stop, wanted.schedule, wanted.epochs) == ("endpoint", "constant", max(EPOCHS))
    assert training(CELLS["short-8x128-rate3"], Settings()).learning_rate == pytest.approx(3e-3)


def test_claims_speak_of_arms_that_there_are() -> None:
    named = {arm for claim in CLAIMS for arm in (*claim.contrast, *claim.best_of)}
    assert named <= set(EXPERIMENT.arms) and len({claim.claim for claim in CLAIMS}) == len(CLAIMS)
    assert all(sum(claim.contrast.values()) - bool(claim.best_of) == 0 for claim in CLAIMS)


@pytest.mark.usefixtures("jobs_here")
def test_a_tiny_experiment_from_end_to_end(tmp_path: Path) -> None:
    arms = ("base", "short-2x32", "long-2x512", "auto-short")
    cells = Map("Ended", "sampled_terminated", "epochs", "samples", (2,), (32,), (("short-2x32",),))
    tiny = replace(EXPERIMENT, settings=TINY._asdict(), arms=arms, claims=(), maps=(cells,))
    table = run_experiment(tiny, seeds=1, jobs=2, out=tmp_path)
    (found,) = table["maps"]
    assert found["means"] == [table["arms"]["short-2x32"]["sampled_terminated"]["values"]] and found["rows"] == [2]
    base, short, long, auto = (table["arms"][arm] for arm in arms)
    assert auto["times"]["values"] == [2] and auto["samples"]["values"] == [4]  # of two updates: no trial
    assert short["updates"]["values"] == [4] == long["updates"]["values"]  # of a pool of eight, twice
    assert long["trained_tokens"]["values"][0] > short["trained_tokens"]["values"][0]
    assert 0 < short["held_out_loss"]["values"][0] < base["held_out_loss"]["values"][0]
    assert set(base) < set(short) and "token_accuracy" in short
