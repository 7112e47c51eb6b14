"""The prior as a verb, and the objective that `sft` takes by it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from titer.cli.main import main
from titer.recipe import Train
from titer.store import read_table
from titer.verbs import prior, sft


def test_prior_as_a_function(lab_files: Path, tmp_path: Path) -> None:
    found = prior("lab", lab_files / "traces.jsonl", out=tmp_path)
    rows = read_table(tmp_path / "prior.parquet")
    every = found.priors["all"]
    assert every.traces == len(rows) == 48 and found.dropped == []
    assert every.mean_p.mid == pytest.approx(sum(row["p"] for row in rows) / sum(row["tokens"] for row in rows))
    assert every.mean_p.low < every.mean_p.mid < every.mean_p.high
    assert {"teacher convergent", "teacher divergent"} <= set(found.priors)
    assert prior("lab", lab_files / "traces.jsonl", most=10).priors["all"].traces == 10


def test_prior_on_the_command_line(
    lab_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["titer", "measure", "lab", str(lab_files / "traces.jsonl"), "--prior", "--out", str(tmp_path), "--json"]
    monkeypatch.setattr(sys, "argv", call)
    with pytest.raises(SystemExit) as ended:
        main()
    found = json.loads(capsys.readouterr().out)
    assert not ended.value.code and found["choice"]["objective"] == "nll" and found["dropped"] == 0
    assert found["priors"]["all"]["traces"] == 48


def test_sft_takes_the_objective_that_suits(lab_files: Path, tmp_path: Path) -> None:
    settings = Train(updates=1, batch_size=4, probe_samples=0)
    assert settings.objective == "auto"
    result = sft("lab", lab_files / "traces.jsonl", out=tmp_path / "sft", settings=settings)
    assert result.objective == "nll"
    assert json.loads((tmp_path / "sft" / "training.json").read_text())["objective"] == "nll"
