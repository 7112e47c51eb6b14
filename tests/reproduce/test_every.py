"""All findings as one table, and how long they would take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from titer.reproduce import NAMES, engine, every, reproduce_all, stored, stored_all
from titer.reproduce.experiment import FINDINGS, find


def test_one_table_has_every_claim_of_the_five_with_its_command() -> None:
    table = stored_all()
    assert [claim["finding"] for claim in table["claims"]] == sorted(claim["finding"] for claim in table["claims"])
    for letter, name in FINDINGS.items():
        claims = [claim for claim in table["claims"] if claim["finding"] == letter]
        bare = [{key: claim[key] for key in claim if key not in ("finding", "main", "command")} for claim in claims]
        assert bare == stored(name)["claims"] and {claim["command"] for claim in claims} == {f"titer reproduce {name}"}
        assert sum(table["verdicts"][letter].values()) == len(claims)


def test_the_main_claims_are_claims_of_each_of_the_five() -> None:
    main = [claim for claim in stored_all()["claims"] if claim["main"]]
    assert [claim["claim"] for claim in main] == list(every.MAIN)
    assert {claim["finding"] for claim in main} == {*FINDINGS}


def test_all_are_run_where_one_alone_would_be_and_the_expected_time_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def reproduce(name: str, *, seeds: int, jobs: int | None, out: Path, scale: str, said: Any) -> dict[str, Any]:
        asked.append((name, seeds, jobs, out, scale))
        return stored(name)

    monkeypatch.setattr(every, "reproduce", reproduce)
    said: list[str] = []
    assert reproduce_all(seeds=2, jobs=2, out=tmp_path, said=said.append) == stored_all()
    assert asked == [(name, 2, 2, tmp_path / f"reproduce-{name}", "lab") for name in FINDINGS.values()]
    # two of five seeds on two cores: a fifth of what the stored tables' five took on one, but for the three of one;
    # and half of what all seeds share
    tables = [stored(name) for name in NAMES]
    shared = {table["name"]: sum(one["seconds"] for one in table.get("shared", {}).values()) for table in tables}
    seeds = {name: 3 if name == "repetition" else 5 for name in NAMES}
    took = sum((table["seconds"] - shared[table["name"]]) / seeds[table["name"]] for table in tables)
    hours = (took + sum(shared.values()) / 2) / 3600
    assert said[0].startswith("all five, expected: ") and float(said[0].split()[3]) == pytest.approx(hours, abs=0.06)
    asked.clear()
    table = reproduce_all(seeds=1, out=tmp_path, scale="smollm2")
    assert [one[3:] for one in asked] == [
        (tmp_path / f"reproduce-{name}-smollm2", "smollm2") for name in FINDINGS.values()
    ]
    assert {claim["command"].split(" ", 3)[3] for claim in table["claims"]} == {"--scale smollm2"}


def test_what_is_finished_is_not_expected_again(tmp_path: Path) -> None:
    whole, found = engine.expected("recovery", tmp_path, 1), stored("recovery")
    (arm, *_), (shared,) = find("recovery").arms, find("recovery").shared
    for job in (f"{arm}-seed-0", shared):
        (tmp_path / job).mkdir()
        (tmp_path / job / "result.json").write_text("{}")
    done = found["arms"][arm]["seconds"]["mean"][1] + found["shared"][shared]["seconds"]
    assert engine.expected("recovery", tmp_path, 1) == pytest.approx(whole - done)


def test_the_command_line_shows_them() -> None:
    command = [sys.executable, "-m", "titer.cli.main", "reproduce", "all", "--show"]
    shown = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    ).stdout
    assert "E: strong" in shown and "(titer reproduce branching)" in shown
    assert shown.count("├") == len(every.MAIN) - 1
    table = json.loads(subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout)
    assert table["name"] == "all" and len(table["claims"]) == len(stored_all()["claims"])
