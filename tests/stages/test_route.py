"""What goes where, by every allocation, as a function and as a verb."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from titer import verbs
from titer.errors import InputError
from titer.measure import SolveRate, solve_rates
from titer.pipeline.routes.rates import write_rates
from titer.recipe import Route
from titer.records import Problem, Rollout, read_problems, write_records
from titer.stages import ALLOCATIONS, gaps, rehearsed, route, sent_to, shares
from titer.store import read_table, write_table


def rates(**right: tuple[int, int]) -> dict[str, SolveRate]:
    return solve_rates(
        Rollout(problem_id=name, sample=i, model="m", prompt="", reasoning="", response="", finish_reason="stop",
                tokens=1, score=float(i < correct))
        for name, (correct, graded) in right.items()
        for i in range(graded)
    )  # fmt: skip


FOUND = rates(easy=(8, 8), mostly=(15, 16), half=(4, 8), seldom=(1, 16), never=(0, 8))


@pytest.mark.parametrize(
    ("allocation", "places"),
    [
        ("bands", {"mastered": "easy mostly", "sft": "half seldom never", "rl": "half", "bridge": "seldom never"}),
        ("opposite", {"sft": "easy mostly half", "rl": "seldom never"}),
        ("unsolved", {"mastered": "easy", "sft": "never", "rl": "mostly half seldom"}),
        ("dapo", {"rl": "mostly half seldom", "aside": "easy never"}),
    ],
)
def test_every_allocation_sorts_as_published(allocation: str, places: dict[str, str]) -> None:
    ledger = list(route(FOUND, allocation).values())
    assert {place: " ".join(sent_to(ledger, place)) for place in shares(ledger)} == places  # type: ignore[arg-type]
    assert shares(ledger) == {place: len(names.split()) for place, names in places.items()}


def test_the_recipe_names_every_allocation() -> None:
    assert set(ALLOCATIONS) == set(Route.model_fields["allocation"].annotation.__args__)  # type: ignore[union-attr]


def test_the_ledger_says_why() -> None:
    entry = route(FOUND, round=2)["half"]
    assert (entry.round, entry.band, entry.rho, entry.graded) == (2, "medium", 0.5, 8)
    assert entry.reason.startswith("medium (") and "4 of 8 right, ρ in [0.2" in entry.reason


def test_a_share_of_the_mastered_is_rehearsed() -> None:
    ledger = list(route(rates(**{f"p{i:02}": (8, 8) for i in range(40)})).values())
    some = rehearsed(ledger, 0.1, seed=0)
    assert len(some) == 4 and some == sorted(some) == rehearsed(ledger, 0.1, seed=0) != rehearsed(ledger, 0.1, seed=1)
    assert len(rehearsed(ledger, 0.001, seed=0)) == 1 and not rehearsed(ledger, 0.0, seed=0)


@pytest.mark.parametrize(
    ("right", "allocation", "said"),
    [
        ({"a": (0, 8), "b": (0, 8)}, "bands", "no rollout of any problem was right"),
        ({"a": (8, 8), "b": (8, 8)}, "bands", "every problem is mastered"),
        ({"a": (8, 8), "b": (0, 8), "c": (1, 16)}, "bands", "no problem goes to RL"),
        ({"a": (8, 8), "b": (4, 8)}, "dapo", "no problem goes to SFT"),
    ],
)
def test_what_has_nothing_to_learn_from_is_said(right: dict[str, tuple[int, int]], allocation: str, said: str) -> None:
    (line,) = gaps(list(route(rates(**right), allocation).values()))
    assert said in line
    assert not gaps(list(route(FOUND).values()))


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    problems = [Problem(id=name, prompt=f"{name}?", answer="1", verifier="exact") for name in FOUND]
    write_records(tmp_path / "problems.jsonl", problems)
    write_table(tmp_path / "measured" / "solve_rates.parquet", [rate._asdict() for rate in FOUND.values()])
    return tmp_path


def test_the_verb_writes_a_file_of_problems_for_each_place(measured: Path) -> None:
    out = measured / "routed"
    result = verbs.route(measured / "problems.jsonl", measured / "measured", out=out)
    assert result.places == {"mastered": 2, "sft": 3, "rl": 1, "bridge": 2} and result.rehearsed == 1
    assert [p.id for p in read_problems(out / "bridge.jsonl")] == ["seldom", "never"]
    again, mastered = ({p.id for p in read_problems(out / f"{name}.jsonl")} for name in ("rehearsal", "mastered"))
    assert len(again) == 1 and again < mastered
    rows = read_table(out / "ledger.parquet")
    assert [row["problem_id"] for row in rows] == list(FOUND) and rows[2]["places"] == ["sft", "rl"]
    other = verbs.route(measured / "problems.jsonl", measured / "measured", out=out, settings=Route(allocation="dapo"))
    assert other.places == {"rl": 3, "aside": 2}
    assert sorted(file.name for file in out.iterdir()) == ["aside.jsonl", "ledger.parquet", "rl.jsonl"]


def test_problems_that_were_not_measured_are_refused_or_listed(measured: Path) -> None:
    more = [Problem(id=name, prompt=f"{name}?", answer="1", verifier="exact") for name in ("never", "new")]
    write_records(measured / "more.jsonl", more)
    with pytest.raises(InputError, match=r"problem 'new' has no solve rate.*measure this file"):
        verbs.route(measured / "more.jsonl", measured / "measured", out=measured / "r")
    result = verbs.route(measured / "more.jsonl", measured / "measured", out=measured / "r", on_bad="drop")
    assert result.places == {"sft": 1, "bridge": 1} and len(result.dropped) == 1
    write_records(measured / "other.jsonl", more[1:])
    with pytest.raises(InputError, match="solve rate of none"):
        verbs.route(measured / "other.jsonl", measured / "measured", out=measured / "r", on_bad="drop")
    with pytest.raises(InputError, match="no such table"):
        verbs.route(measured / "other.jsonl", measured / "nowhere", out=measured / "r")
    write_table(measured / "old" / "solve_rates.parquet", [{"problem_id": "never", "rho": 0.5}])
    with pytest.raises(InputError, match=r"no solve rates of this version.*titer measure again"):
        verbs.route(measured / "more.jsonl", measured / "old", out=measured / "r")


def test_problems_that_share_ids_with_others_are_refused_or_listed(measured: Path) -> None:
    measured_ones = list(read_problems(measured / "problems.jsonl"))
    write_rates(measured / "m" / "solve_rates.parquet", FOUND, measured_ones)
    assert verbs.route(measured / "problems.jsonl", measured / "m", out=measured / "r").places["sft"] == 3
    write_records(measured / "other.jsonl", [measured_ones[0], replace(measured_ones[1], prompt="another?")])
    name = measured_ones[1].id
    with pytest.raises(InputError, match=rf"another problem was measured by the id '{name}'; measure this file"):
        verbs.route(measured / "other.jsonl", measured / "m", out=measured / "r")
    result = verbs.route(measured / "other.jsonl", measured / "m", out=measured / "r", on_bad="drop")
    assert len(result.dropped) == 1 and name in result.dropped[0]
