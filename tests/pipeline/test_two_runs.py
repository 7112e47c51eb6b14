"""Two finished runs held against each other: what differs, B − A on what both evaluated, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from titer import verbs
from titer.cli.main import main
from titer.errors import InputError
from titer.evaluate import compare
from titer.pipeline.data import load_inputs, prepare
from titer.pipeline.reporting.gather import gather
from titer.pipeline.reporting.report import _flat
from titer.pipeline.reporting.standing import refuse_mixture
from titer.pipeline.reporting.two_runs import decision_changes, recipe_changes, two_runs
from titer.recipe import dump_recipe, load_recipe, parse_recipe
from titer.records import Decision, Problem, Rollout, read_problems, read_rollouts, write_records
from titer.store import Run

SUITES = {"countdown3": 40, "ordered": 12, "guarded": 20}
Right = Callable[[str, int, int, Problem], bool]


def finished(out: Path, right: Right, *, suites: dict[str, int] = SUITES, seed: int = 0, **changed: Any) -> Path:
    """A run's folder with everything that a comparison reads, its rollouts made by `right(suite, place, sample)`."""
    lab = {"problems": {"countdown3": 2}, "suites": suites}
    tree = {"name": out.name, "model": "lab", "seed": seed, "data": {"lab": lab}, **changed}
    recipe = parse_recipe(tree)
    run = Run.open(out, name=out.name, recipe_text=dump_recipe(recipe))
    run.stage("data", {"data": {"lab": "countdown"}}, lambda work: prepare(recipe, work))
    rows = [
        Rollout(
            problem_id=problem.id, sample=sample, model=model, prompt=problem.prompt, reasoning="", response="4",
            finish_reason="stop", tokens=5, score=float(ok := right(suite.name, place, sample, problem)),
            parsed=("declined" if ok == (problem.answer == "refuse") else "answered")
            if suite.name == "guarded" else "4", suite=suite.name, axis=suite.axis,
        )
        for suite in load_inputs(out / "data").suites
        for place, problem in enumerate(suite.problems)
        for model in ("base", "trained")
        for sample in range(4)
    ]  # fmt: skip
    run.stage("evaluate", {}, lambda work: write_records(work / "rollouts.parquet", rows) and None)
    return out


def half(suite: str, place: int, sample: int, problem: Problem) -> bool:
    return (place + sample) % 2 == 0 if suite != "guarded" else problem.answer == "refuse"


def better_at_countdown(suite: str, place: int, sample: int, problem: Problem) -> bool:
    if suite == "countdown3":
        return place != 0 and (place < 30 or half(suite, place, sample, problem))
    return problem.answer == "answer" if suite == "guarded" else half(suite, place, sample, problem)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("two")
    a = finished(folder / "a", half)
    return a, finished(folder / "b", better_at_countdown, train={"epochs": 7})


def test_the_difference_is_the_paired_one_and_better_only_where_it_excludes_zero(pair: tuple[Path, Path]) -> None:
    found = two_runs(*pair)
    sides = [[r for r in _rollouts(run) if r.model == "trained" and r.suite != "guarded"] for run in pair]
    plain = compare(*sides)
    ours = [d for d in found.differences if d.axis != "safety"]
    assert [(d.suite, d.measure, d.change, d.better) for d in ours] == [
        (d.suite, d.measure, d.change, d.better) for d in plain
    ]
    said = {d.axis: d.better for d in found.differences if d.level == "axis" and d.measure == "accuracy"}
    assert said == {"in_domain": "better", "out_of_domain": "cannot tell", "safety": "cannot tell"}


def _rollouts(run: Path) -> list[Rollout]:
    return list(read_rollouts(run / "evaluate" / "rollouts.parquet"))


def test_safety_is_the_mean_of_its_halves(pair: tuple[Path, Path]) -> None:
    found = two_runs(*pair)
    halves = found.parts["safety"]
    assert {name: change.mid for name, change in halves.items()} == {
        "refuses what it should": -1.0, "answers look-alikes": 1.0,
    }  # fmt: skip
    (safety,) = [d for d in found.differences if (d.axis, d.level, d.measure) == ("safety", "axis", "accuracy")]
    assert (safety.base_value, safety.other_value, safety.change.mid) == (0.5, 0.5, 0.0)


def test_scores_differences_and_verdict_of_a_run_have_one_accuracy_of_safety(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", lambda *_: True, suites={"countdown3": 4, "guarded": 20})
    answers = {p.id: p.answer for suite in load_inputs(run / "data").suites for p in suite.problems}
    looks = [name for name, answer in answers.items() if answer == "answer"]
    # many more to be refused than look-alikes, and the trained model refuses them all
    rows = [
        replace(row, score=0.0) if row.model == "trained" and row.problem_id in looks else row
        for row in _rollouts(run)
        if row.problem_id not in looks[2:]
    ]
    write_records(run / "evaluate" / "rollouts.parquet", rows)
    data = gather(run, to_read=False)
    (verdict,) = [v for v in data.judgement.axes if v.axis == "safety"] if data.judgement else []
    assert (verdict.base_value, verdict.value) == (1.0, 0.5)
    assert [s.accuracy.mid for s in data.suites if s.axis == "safety"] == pytest.approx([1.0, 0.5])
    accuracy = [d for d in data.differences if d.axis == "safety" and d.measure == "accuracy"]
    assert [pytest.approx((1.0, 0.5))] * 2 == [(d.base_value, d.other_value) for d in accuracy]


def test_the_table_of_differences_has_how_much_of_each_is_mediated(pair: tuple[Path, Path]) -> None:
    differences = two_runs(*pair).differences
    rows = [_flat(one) for one in sorted(differences, key=lambda one: one.mediated is not None)]
    assert len({tuple(row) for row in rows}) == 1
    ends = ("mediated_low", "mediated_mid", "mediated_high")
    assert [rows[0][end] for end in ends] == [None] * 3 and None not in [rows[-1][end] for end in ends]


def test_gained_and_lost_problems_come_with_a_rollout_of_both(pair: tuple[Path, Path]) -> None:
    gained = finished(pair[0].parent / "gained", lambda suite, place, sample, problem: sample < place % 3)
    found = two_runs(gained, pair[1])
    moved = {one.axis: (len(one.gained), len(one.lost)) for one in found.moves}
    # A solves a third of the problems never, a third in one of four, a third in two of four rollouts; B all but one
    assert moved["in_domain"] == (26, 0)
    assert [(p.outcome, p.base.score, p.trained.score) for p in found.pairs if p.base.axis == "in_domain"] == [
        ("gained", 0.0, 1.0)
    ] * 26
    assert all(p.base.problem_id == p.trained.problem_id and (p.base.model, p.trained.model) == ("A", "B")
               for p in found.pairs)  # fmt: skip


def test_recipes_differ_key_by_key() -> None:
    a = load_recipe("sft")
    b = load_recipe("sft", ["name=other", "train.epochs=5", "data.lab.problems={countdown3: 7}"])
    assert [tuple(one) for one in recipe_changes(a, b)] == [
        ("data.lab.problems.countdown3", 3600, 7),
        ("data.lab.problems.countdown4", 1400, None),
        ("train.epochs", 3, 5),
    ]
    assert recipe_changes(a, a) == []


def test_decisions_differ_question_by_question_and_round_by_round() -> None:
    def asked(choice: str, question: str = "How long?") -> Decision:
        return Decision(stage="train", question=question, choice=choice, rule="r")

    found = decision_changes([asked("1"), asked("2")], [asked("1"), asked("3"), asked("x", "Why?")])
    assert [(c.question, c.a and c.a.choice, c.b and c.b.choice) for c in found] == [
        ("How long?", "2", "3"),
        ("Why?", None, "x"),
    ]


def test_the_page_is_written_where_it_is_said_and_the_runs_stay(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before = [sorted(run.rglob("*")) for run in pair]
    summary = verbs.report(*pair, out=tmp_path / "two.html")
    assert [sorted(run.rglob("*")) for run in pair] == before
    page = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert (
        "train.epochs" in page
        and f"<h1>{pair[0]} and {pair[1]}</h1>" in page
        and summary["report"].endswith("two.html")
    )
    assert summary["recipe"] == [{"key": "train.epochs", "a": 1.0, "b": 7.0}]
    accuracy = summary["axes"]["in_domain"]["accuracy"]
    assert accuracy["b"] - accuracy["a"] == pytest.approx(accuracy["difference"][1]) and accuracy["call"] == "better"
    assert set(summary["suites"]) == set(SUITES) and summary["axes"]["in_domain"]["tokens"]["difference"][1] == 0
    assert [row["problem_id"] for row in summary["moved"] if row["moved"] == "lost"]


def test_the_verb_prints_json_or_tables_of_eighty_columns(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["titer", "report", *map(str, pair)])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert (tmp_path / "compare.html").exists() and printed.endswith("report: compare.html\n")
    assert "train.epochs" in printed and "▲ +" in printed and "○ cannot tell" in printed
    assert max(map(len, printed.splitlines()[2:])) <= 80
    monkeypatch.setattr("sys.argv", ["titer", "report", *map(str, pair), "--json", "--out", "other.html"])
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out)["report"] == "other.html"


def test_other_sampling_and_what_only_one_has_is_said(pair: tuple[Path, Path], tmp_path: Path) -> None:
    fewer = {"countdown3": 30, "ordered": 12}
    other = finished(tmp_path / "other", half, suites=fewer, evaluate={"temperature": 1.0})
    notes = two_runs(pair[0], other).notes
    assert "countdown3 was sampled otherwise (temperature 0.6 in A, 1 in B)" in notes[0]
    assert "only A evaluated guarded: not compared" in notes
    assert "10 problems of shared suites that only one of them evaluated are left out" in notes
    assert two_runs(*pair).notes == []


def test_what_cannot_be_compared_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    elsewhere = finished(tmp_path / "elsewhere", half, suites={"sort": 4})
    with pytest.raises(InputError, match="share no suite: .* has countdown3, ordered, guarded and .* has sort"):
        two_runs(pair[0], elsewhere)
    with pytest.raises(InputError, match="another one|shares no problem"):
        two_runs(pair[0], finished(tmp_path / "seed", half, seed=1))
    Run.open(tmp_path / "begun", name="begun", recipe_text=(pair[0] / "recipe.yaml").read_text())
    with pytest.raises(InputError, match="has no evaluation yet; finish it"):
        two_runs(pair[0], tmp_path / "begun")
    with pytest.raises(InputError, match="not a run directory"):
        two_runs(tmp_path, pair[0])
    with pytest.raises(InputError, match="for the page of two runs"):
        verbs.report(pair[0], out=tmp_path / "x.html")


def test_a_problem_that_is_another_one_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = finished(tmp_path / "other", half)
    file = next((other / "data" / "suites").glob("countdown3*"))
    problems = list(read_problems(file))
    problems[3] = Problem(id=problems[3].id, prompt="2 + 2?", answer="4", verifier="exact")
    write_records(file, problems)
    with pytest.raises(InputError, match=f"problem {problems[3].id!r} of suite 'countdown3' is another one in"):
        two_runs(pair[0], other)


def on_axis(folder: Path, axis: str, right: Right = half, **suite: Any) -> Path:
    """A run that has a suite of files beside the lab's."""
    problems = [Problem(id=f"q{i}", prompt=f"Say {i}.", answer=str(i), verifier="exact") for i in range(40)]
    write_records(folder.parent / "t.jsonl", problems)
    lab = {"problems": {"countdown3": 2}, "suites": {"countdown3": 10}}
    suites = {"t": {"problems": str(folder.parent / "t.jsonl"), "axis": axis, **suite}}
    return finished(folder, right, data={"lab": lab, "suites": suites})


def test_a_suite_on_another_axis_is_refused(tmp_path: Path) -> None:
    a, b = on_axis(tmp_path / "a", "general"), on_axis(tmp_path / "b", "out_of_domain")
    with pytest.raises(InputError, match=r"suite 't' is on the axis out_of_domain, and on general in .*a"):
        two_runs(a, b)


def test_where_any_right_rollout_counts_so_it_does_for_two_runs(tmp_path: Path) -> None:
    a = on_axis(tmp_path / "a", "general", aggregate="pass")  # half of the rollouts of each problem
    b = on_axis(tmp_path / "b", "general", lambda _, place, sample, __: place < 20, aggregate="pass")
    found = two_runs(a, b)
    (axis,) = [d for d in found.differences if (d.level, d.axis, d.measure) == ("axis", "general", "accuracy")]
    assert (axis.base_value, axis.other_value, axis.better) == (1.0, 0.5, "worse")
    c = on_axis(tmp_path / "c", "general")
    mixed = two_runs(a, c)
    assert "t counts by pass@k in one and by avg@k in the other: by avg@k here" in mixed.notes
    (axis,) = [d for d in mixed.differences if (d.level, d.axis, d.measure) == ("axis", "general", "accuracy")]
    assert axis.base_value == axis.other_value == 0.5


def test_an_evaluation_of_an_earlier_training_is_refused(tmp_path: Path) -> None:
    out = finished(tmp_path / "run", half)
    run = Run.open(out, name="run", recipe_text=(out / "recipe.yaml").read_text())
    rows = out / "evaluate" / "rollouts.parquet"
    kept = rows.read_bytes()

    def stage(name: str, **inputs: Any) -> str:
        run.stage(name, inputs, lambda work: (work / "rollouts.parquet").write_bytes(kept) and None)
        return run.key(name)

    base = {"model": "hash of the base", "data": run.key("data")}
    lesson = stage("lesson-2", traces=stage("curate", data=run.key("data")), model=stage("train", **base))
    trained = stage("train-2", traces=lesson, model=run.key("train"))
    stage("evaluate", **base, trained=trained)
    refuse_mixture(out, run.manifest)
    stage("train", **base, updates=6)  # and then it was stopped
    for read in (verbs.verdict, verbs.report):
        with pytest.raises(InputError, match="the evaluation is of an earlier training; run it on"):
            read(out)
    lesson = stage("lesson-2", traces=run.key("curate"), model=run.key("train"))
    stage("train-2", traces=lesson, model=run.key("train"))
    with pytest.raises(InputError, match="of an earlier training"):
        refuse_mixture(out, run.manifest)
    stage("evaluate", **base, trained=run.key("train-2"))
    refuse_mixture(out, run.manifest)
    stage("evaluate", **base, trained=base["model"])  # rounds in which nothing was trained
    refuse_mixture(out, run.manifest)


def test_a_verdict_of_a_run_at_an_address(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "cache"))
    there = Run.open(f"file://{tmp_path}/there", name="a", recipe_text=(pair[0] / "recipe.yaml").read_text())
    assert there.mirror
    for stage in ("data", "evaluate"):
        there.stage(stage, {}, lambda work, stage=stage: shutil.copytree(pair[0] / stage, work, dirs_exist_ok=True))
    there.mirror.commit_beside()
    monkeypatch.setenv("TITER_CACHE", str(tmp_path / "another"))
    assert verbs.verdict(f"file://{tmp_path}/there") == verbs.verdict(pair[0])
