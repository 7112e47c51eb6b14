"""How often token accuracy is probed, when the rule fires, and what a training does then."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training import TOKENIZER, lab_samples, tiny_model

from shared import Killed
from titer.models import load_model
from titer.recipe import Train
from titer.train import loop as loop_module
from titer.train import train
from titer.train.disk.state import read_log
from titer.train.length.endpoint import (
    FEWEST_SAMPLES,
    FORWARD,
    SHARE,
    Stop,
    cooled,
    find_stop,
    plan_probes,
    plan_unseen,
    slope_of,
    warm_up,
    warn_of_no_endpoint,
    warn_of_repetition,
)
from titer.train.length.schedule import log_grid
from titer.train.watch.progress import Bar


@given(st.integers(1, 50_000), st.integers(1, 512), st.integers(1, 50_000), st.integers(1, 400))
def test_probes_take_their_share_of_the_time_at_most(updates: int, batch_size: int, samples: int, most: int) -> None:
    plan = plan_probes(updates=updates, batch_size=batch_size, samples=samples, most=most)
    assert 1 <= plan.size <= min(most, samples) and plan.every >= 1
    probes = sum(plan.at(step, updates) for step in range(1, updates + 1))
    share = probes * plan.size * FORWARD / (updates * batch_size)
    # of a training too short for sixteen probes of eight samples, the least there is
    assert share <= SHARE * 1.07 + FORWARD * plan.size / (updates * batch_size) or plan.size <= FEWEST_SAMPLES


def test_the_papers_budget_is_probed_with_its_subset() -> None:
    plan = plan_probes(updates=51_200, batch_size=1, samples=1600, most=200)
    assert plan.size == 200 and 51_200 / plan.every == pytest.approx(23, abs=1)


RISING = [(100, 0.90), (120, 0.93), (140, 0.955), (160, 0.97), (180, 0.98)]


def test_the_rule_is_a_level_and_a_slope() -> None:
    at = [find_stop(RISING[: i + 1], updates=1000, per_epoch=40) for i in range(5)]
    assert at[:3] == [None] * 3  # below the level
    assert at[3] is not None and at[3].fired == 160 and at[3].end == 176  # on its way to the aim within the cooldown
    assert at[3].slope == pytest.approx(slope_of(RISING[1:4])) == pytest.approx(0.001)
    flat = [(100, 0.9601), (120, 0.9602), (140, 0.9603)]
    assert find_stop(flat, updates=1000, per_epoch=40) == Stop(140, 154, 0.9603, pytest.approx(5e-6))
    slow = [(100, 0.9601), (120, 0.9612), (140, 0.9623)]  # neither flat nor near the aim
    assert find_stop(slow, updates=1000, per_epoch=40) is None
    assert find_stop(flat[1:], updates=1000, per_epoch=40) is None  # two probes have no slope to speak of
    start = [
        (0, 0.32),
        (100, 0.94),
        (120, 0.963),
    ]  # of the lab: a line through the first leads anywhere
    assert find_stop(start, updates=1000, per_epoch=40) is None
    assert find_stop([(0, 0.32), *flat], updates=1000, per_epoch=40) == find_stop(flat, updates=1000, per_epoch=40)
    assert find_stop(flat, updates=145, per_epoch=40) == Stop(140, 145, 0.9603, pytest.approx(5e-6))  # the budget holds


def test_a_training_that_may_end_early_warms_up_early() -> None:
    assert warm_up(0.1, updates=3200, per_epoch=100) == pytest.approx(0.1 * 800 / 3200)  # 80 updates, not 320
    assert warm_up(0.1, updates=500, per_epoch=100) == 0.1  # five epochs: the whole budget


def test_the_rate_is_cooled_in_a_straight_line() -> None:
    stop = Stop(100, 110, 0.97, 0.001)
    assert [cooled(2.0, step, stop) for step in (99, 100, 105, 109)] == pytest.approx([2.0, 2.0, 1.0, 0.2])
    assert cooled(2.0, 105, None) == 2.0


def test_repetition_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "titer"):
        for rows in (
            [(0, 0.5)],
            [(0, 0.5), (10, 0.991)],
            [(0, 0.5), (10, 0.991), (20, 0.995)],
            [(0, 0.5), (40, 0.999)],
        ):
            warn_of_repetition(rows, 40)
    assert [record.message[:47] for record in caplog.records] == ["token accuracy is 99.1 % after 10 of 40 updates"]


SETTINGS = Train(
    objective="nll",
    updates=150,
    batch_size=4,
    learning_rate=6e-3,
    schedule="constant",
    stop="endpoint",
    micro_tokens=500,
    save_seconds=1e-6,
)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ended")
    train(tiny_model(), TOKENIZER, lab_samples(4), SETTINGS, out=out, progress=False)
    return out


def test_a_training_ends_where_its_traces_are_learned(ended: Path) -> None:
    stop = json.loads((ended / "endpoint.json").read_text())
    log, probes = read_log(ended / "log.jsonl"), read_log(ended / "probe.jsonl")
    assert stop["fired"] < stop["end"] == len(log) < 150
    assert probes[-1]["step"] == stop["end"] and probes[-1]["token_accuracy"] >= 0.96
    rates = [row["learning_rate"] for row in log]
    assert rates[stop["fired"] - 1] == 6e-3 and rates[-1] < 6e-3 / 2 and rates[-1] > 0
    last = sorted((ended / "checkpoints").iterdir())[-1]
    assert last.name == f"step-{stop['end']:06d}" and load_model(str(last))
    again = train(tiny_model(), TOKENIZER, lab_samples(4), SETTINGS, out=ended, progress=False)
    assert again.last == last and again.updates == stop["end"] and max(again.checkpoints) == stop["end"]


@pytest.mark.parametrize("before_the_end", [12, 1])
def test_stopped_in_the_middle_it_ends_at_the_same_place(
    ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_the_end: int
) -> None:
    """Before the rule fires, and in its cooldown."""
    end = json.loads((ended / "endpoint.json").read_text())["end"]
    real, calls = loop_module.find_stop, [0]

    def rate(*, step: int, **options: object) -> float:
        calls[0] += 1
        if step == end - before_the_end and calls[0] <= end:
            raise Killed
        return loop_rate(step=step, **options)

    loop_rate = loop_module.rate
    monkeypatch.setattr(loop_module, "rate", rate)
    with pytest.raises(Killed):
        train(tiny_model(), TOKENIZER, lab_samples(4), SETTINGS, out=tmp_path, progress=False)
    monkeypatch.setattr(loop_module, "rate", loop_rate)
    assert loop_module.find_stop is real
    train(tiny_model(), TOKENIZER, lab_samples(4), SETTINGS, out=tmp_path, progress=False)
    assert (tmp_path / "endpoint.json").read_text() == (ended / "endpoint.json").read_text()
    for name in ("log.jsonl", "probe.jsonl"):
        mine, theirs = ((folder / name).read_text().splitlines() for folder in (tmp_path, ended))
        rows = [[without_speed(line) for line in lines] for lines in (mine, theirs)]
        assert rows[0] == rows[1], name


def test_the_endpoint_of_another_training_that_left_nothing_else_is_not_taken(ended: Path, tmp_path: Path) -> None:
    """The rule had fired, and the training was killed before its first save; then the settings changed."""
    shutil.copy(ended / "endpoint.json", tmp_path)
    (tmp_path / "training.json").write_text('{"seed": 7}')
    settings = SETTINGS.model_copy(update={"learning_rate": 1e-6, "updates": 40})
    result = train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path, progress=False)
    assert result.updates == settings.updates


def without_speed(line: str) -> dict[str, object]:
    return {key: value for key, value in json.loads(line).items() if key != "tokens_per_second"}


def test_a_training_that_does_not_learn_spends_its_budget(tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"learning_rate": 1e-6, "updates": 10})
    result = train(tiny_model(), TOKENIZER, lab_samples(4), settings, out=tmp_path, progress=False)
    assert result.updates == 10 and not (tmp_path / "endpoint.json").exists()
    assert torch.isfinite(torch.tensor(read_log(tmp_path / "log.jsonl")[-1]["loss"]))


def test_a_training_too_short_for_the_rule_says_so(caplog: pytest.LogCaptureFixture) -> None:
    for updates, warned in ((20, True), (100, True), (400, False)):
        caplog.clear()
        with caplog.at_level("WARNING"):
            warn_of_no_endpoint(plan_probes(updates=updates, batch_size=2, samples=100, most=200), updates)
        assert ("cannot end" in caplog.text) == warned, updates


def test_unseen_samples_take_a_hundredth_of_the_time_at_most() -> None:
    assert plan_unseen(updates=4, batch_size=4) == FEWEST_SAMPLES
    for updates, batch_size in ((1000, 8), (51_200, 1)):
        count = plan_unseen(updates=updates, batch_size=batch_size)
        assert count * len(log_grid(updates)) / 3 <= 0.01 * updates * batch_size


def test_the_cursor_comes_back_whatever_ends_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bars: list[Bar] = []

    class Kept(Bar):
        def updated(self, row: Mapping[str, Any]) -> None:
            bars.append(self)
            assert self.bar.live.is_started
            raise KeyboardInterrupt

    monkeypatch.setattr(loop_module, "Bar", Kept)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_model(), TOKENIZER, lab_samples(4), SETTINGS, out=tmp_path, progress=True)
    assert not bars[0].bar.live.is_started
