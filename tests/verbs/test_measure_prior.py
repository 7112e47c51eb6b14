"""The prior as a verb, and the objective that `sft` takes by it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from titer.cli.main import main
from titer.measure import Choice
from titer.recipe import Choose, Train
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
    few = prior("lab", lab_files / "traces.jsonl", settings=Choose(traces=10, strong=0.1))
    assert few.priors["all"].traces == 10 and few.choice.objective == "p"
    settings = Choose(traces=10, strong=0.1, candidate="nll@p>=0.2")
    assert prior("lab", lab_files / "traces.jsonl", settings=settings).choice.objective == "nll@p>=0.2"


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
    choice = json.loads((tmp_path / "sft" / "choice.json").read_text())
    assert choice["objective"] == "nll" and "weak" in choice["rule"] and choice["mean_p"][0] < choice["mean_p"][2] < 0.5
    assert len(read_table(tmp_path / "sft" / "prior.parquet")) == 48


def test_sft_says_when_nothing_could_tell(
    lab_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys.modules["titer.verbs.sft"], "choose", lambda _: Choice(None, "between"))
    settings = Train(updates=1, batch_size=4, probe_samples=0)
    with caplog.at_level("WARNING", "titer"):
        assert sft("lab", lab_files / "traces.jsonl", out=tmp_path, settings=settings).objective == "nll"
    assert "objective nll: between; sft has no problems to try it on" in caplog.text


def test_prior_takes_its_own_settings_and_no_others(
    lab_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["titer", "measure", "lab", str(lab_files / "traces.jsonl"), "--prior", "--out", str(tmp_path)]
    for more, said in (
        (["strong=0.2", "traces=5", "--json"], '"p"'),
        (["temperature=1"], "unknown key"),
        (["--server", "http://x"], "leave --server out"),
    ):
        monkeypatch.setattr(sys, "argv", [*call, *more])
        with pytest.raises(SystemExit):
            main()
        shown = capsys.readouterr()
        assert said in shown.out + shown.err
