"""Budgets of updates, tokens, hours and epochs, in updates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from training import TOKENIZER, lab_samples, tiny_model

from titer.errors import InputError
from titer.recipe import Train
from titer.train import in_updates, seconds_an_update, train
from titer.train.disk.state import read_log


def test_every_budget_is_in_updates() -> None:
    samples = lab_samples(8)
    tokens = sum(sample.trained for sample in samples)
    for given, updates in (
        (Train(epochs=3, batch_size=4), 6),
        (Train(updates=5, epochs=3), 5),
        (Train(tokens=3 * tokens, batch_size=4), 6),
        (Train(tokens=1, batch_size=4), 1),
    ):
        settings = in_updates(given, samples)
        assert settings.updates == updates and settings.tokens is settings.hours is None
    assert in_updates(Train(hours=1), samples, seconds=9.0).updates == 400


def test_a_budget_that_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="hours are measured in a run or by sft only"):
        train(tiny_model(), TOKENIZER, lab_samples(4), Train(objective="nll", hours=1), out=tmp_path)
    with pytest.raises(InputError, match="no sample is left to train on"):
        in_updates(Train(), [])
    with pytest.raises(ValidationError, match=re.escape("updates and hours exclude each other")):
        Train(updates=3, hours=2)


def test_a_training_of_so_many_tokens_trains_about_so_many(tmp_path: Path) -> None:
    settings = Train(objective="nll", tokens=5000, batch_size=4, micro_tokens=500, probe_samples=0)
    train(tiny_model(), TOKENIZER, lab_samples(8), settings, out=tmp_path, progress=False)
    assert sum(row["trained_tokens"] for row in read_log(tmp_path / "log.jsonl")) == pytest.approx(5000, rel=0.1)


def test_a_warm_up_takes_time_and_leaves_nothing(tmp_path: Path) -> None:
    settings = Train(objective="nll", hours=1, batch_size=2, micro_tokens=500)
    seconds = seconds_an_update(tiny_model(), TOKENIZER, lab_samples(4), settings, work=tmp_path / "warm", seed=0)
    assert 0 < seconds < 5 and not (tmp_path / "warm").exists()


def test_what_makes_no_sense_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="pick=hard needs repetition"):
        Train(updates=3, pick="hard")
    with pytest.raises(ValidationError, match="stop=endpoint needs probe_samples"):
        Train(updates=3, stop="endpoint", probe_samples=0)
    with pytest.raises(InputError, match="repetition is planned in a run or by sft only"):
        train(tiny_model(), TOKENIZER, lab_samples(4), Train(objective="nll", updates=2, repetition=2), out=tmp_path)
