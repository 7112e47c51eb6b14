"""Rounds of SFT, RL and critique inside a run: what each learns from, when they end, and a kill anywhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from titer.errors import InputError
from titer.lab.tasks import items
from titer.measure import solve_rates
from titer.pipeline import rounds as package
from titer.pipeline.curating import rehearse
from titer.pipeline.data import Inputs
from titer.pipeline.going import Going, Model
from titer.pipeline.reporting.gather import gather
from titer.pipeline.rounds import judging, reinforce
from titer.pipeline.rounds import lesson as lessons
from titer.pipeline.rounds.judging import Judged, is_kept
from titer.pipeline.rounds.lesson import parts_of
from titer.pipeline.rounds.loop import split_problems
from titer.pipeline.rounds.outcome import outcomes
from titer.pipeline.routes import measuring
from titer.pipeline.run import run
from titer.recipe import Recipe, load_recipe
from titer.records import Rollout, Trace, read_rollouts, read_traces, write_records
from titer.records.results import Interval
from titer.stages import route
from titer.store import Run, read_manifest, read_table, write_table

SMALL = [
    "data.lab={problems: {countdown3: 12, countdown4: 12}, suites: {countdown3: 4}, teachers: [convergent]}",
    "curate.keep=1.0", "measure.samples=4", "measure.max_tokens=40",
    "train.objective=nll", "train.updates=3", "train.batch_size=4", "train.learning_rate=1e-3",
    "bridge.samples=2", "bridge.max_tokens=120", "bridge.solves=0.0", "bridge.otherwise=raw",
    "rl.updates=2", "rl.prompts=2", "rl.samples=4", "rl.micro_rows=8", "rl.max_tokens=40", "rl.kl_every=0",
    "critique.samples=2", "critique.most=4", "critique.max_tokens=60",
    "stages.samples=2", "evaluate.samples=1", "evaluate.max_tokens=60",
]  # fmt: skip


def recipe(*settings: str) -> Recipe:
    return load_recipe("sft", [*SMALL, *settings])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds, left alone. Three updates gain nothing, so that the second is made to come."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(judging, "is_kept", lambda *_: True)
        run(recipe("stages.rounds=2"), out=out)
    return out


def test_two_rounds(whole: Path) -> None:
    stages = list(read_manifest(whole)["stages"])
    assert [name for name in stages if name not in ("data", "curate", "evaluate")] == [
        "judge-0", "measure", "route", "lesson", "train", "rl", "critique", "ledger", "judge",
        "measure-2", "route-2", "lesson-2", "train-2", "rl-2", "critique-2", "ledger-2", "judge-2",
    ]  # fmt: skip
    held = {one.problem_id for one in read_rollouts(whole / "judge-0" / "rollouts.parquet")}
    assert len(held) == 6
    for number in ("", "-2"):
        ledger = read_table(whole / f"ledger{number}" / "ledger.parquet")
        taught = list(read_traces(whole / f"lesson{number}" / "kept.parquet"))
        assert len(ledger) == 18 and not held & {row["problem_id"] for row in ledger}
        assert not held & {trace.problem_id for trace in taught}
        assert sum(row["sft_traces"] for row in ledger) == len(taught)
        assert all(row["rl_groups"] == 0 for row in ledger if "rl" not in row["places"])
        assert sum(row["rl_groups"] for row in ledger) >= 4
        assert all("bridge" not in row["places"] or row["band"] == "hard" for row in ledger)
    # the second round begins with what the first has made, and learns the lessons of its critique
    learned = {
        (trace.prompt, trace.reasoning, trace.response) for trace in read_traces(whole / "lesson-2" / "kept.parquet")
    }
    lessons_learned = {
        (trace.prompt, trace.reasoning, trace.response) for trace in read_traces(whole / "critique" / "lessons.jsonl")
    }
    assert lessons_learned and lessons_learned <= learned
    second = json.loads((whole / "train-2" / "stage.json").read_text())["inputs"]["model"]
    assert second == read_manifest(whole)["stages"]["rl"]["key"]
    html = (whole / "report.html").read_text()
    assert "Did round 2 gain?" in html and "What does SFT learn from in round 1?" in html


def test_rounds_end_when_one_does_not_gain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(judging, "is_kept", lambda *_: False)
    run(recipe("stages.rounds=3", "stages.rl=false", "stages.bridge=false"), out=tmp_path)
    stages = set(read_manifest(tmp_path)["stages"])
    assert "judge" in stages and "judge-2" not in stages and "rl" not in stages
    run(recipe(), out=tmp_path)
    assert not {"judge-0", "judge", "lesson"} & set(read_manifest(tmp_path)["stages"])


def test_a_round_with_nothing_to_teach_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    run(recipe("stages.rounds=1", "route.allocation=dapo", "stages.critique=false"), out=tmp_path, said=said.append)
    assert "round 1: no trace to fine-tune on" in said and "train" not in read_manifest(tmp_path)["stages"]
    assert gather(tmp_path, to_read=False).headline["training"] == "2 updates of RL"
    # another allocation samples nothing again
    said.clear()
    barren = ("bridge.kinds=[pruned]", "bridge.otherwise=nothing")  # the convergent teacher's traces have no dead line
    run(recipe("stages.rounds=1", "stages.critique=false", "stages.rl=false", *barren), out=tmp_path, said=said.append)
    assert "measure: unchanged, kept" in said and "route: running" in said
    # and that no hard trace was bridged is said, there and among the decisions
    assert any("could be bridged" in line for line in said)
    (decision,) = json.loads((tmp_path / "lesson" / "decisions.json").read_text())
    assert decision["evidence"]["of these bridged, or taken as they are"] == 0
    assert decision["evidence"]["of hard problems"] > 0 and "no candidate" in decision["evidence"]["bridge"]


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (["data.lab.problems={countdown3: 3}"], "stages.rounds"),
        (["measure.problems=0"], "measure.problems"),
        (["evaluate.checkpoints=grid"], "evaluate.checkpoints"),
    ],
)
def test_what_rounds_cannot_be_done_with_is_refused_before_they_begin(
    settings: list[str], field: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refusal:
        run(recipe("stages.rounds=1", *settings), out=tmp_path)
    assert refusal.value.field == field
    assert not {"judge-0", "measure", "train"} & set(
        read_manifest(tmp_path)["stages"] if (tmp_path / "manifest.json").exists() else ()
    )


INTERRUPTED = {
    "measure": (measuring, "measure_base"),
    "bridge": (lessons, "bridge_traces"),
    "rl": (reinforce, "train_rl"),
    "critique": (reinforce, "criticize"),
    "judge": (judging, "change_in_pass"),
}


def test_interrupted_in_every_stage_it_comes_to_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whole: Path
) -> None:
    monkeypatch.setattr(judging, "is_kept", lambda *_: True)
    for module, name in INTERRUPTED.values():
        real = getattr(module, name)

        def dying(*args: Any, real: Any = real, **settings: Any) -> Any:
            real(*args, **settings)  # all that it does is done, and nothing of it is published
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(module, name, dying)
            with pytest.raises(KeyboardInterrupt):
                run(recipe("stages.rounds=2"), out=tmp_path)
    said: list[str] = []
    summary = run(recipe("stages.rounds=2"), out=tmp_path, said=said.append)
    assert summary["in_domain"] == json.loads((whole / "summary.json").read_text())["in_domain"]
    assert read_table(tmp_path / "ledger-2" / "ledger.parquet") == read_table(whole / "ledger-2" / "ledger.parquet")
    # nothing is done twice, and a recipe with fewer rounds leaves nothing of the others
    said.clear()
    run(recipe("stages.rounds=2"), out=tmp_path, said=said.append)
    assert not any(line.endswith("running") for line in said)
    run(recipe("stages.rounds=1"), out=tmp_path, said=said.append)
    assert not [name for name in read_manifest(tmp_path)["stages"] if name.endswith("-2")]
    # and one with fewer stages nothing of these: neither lessons nor entropies of what is no longer done
    run(recipe("stages.rounds=1", "stages.rl=false"), out=tmp_path)
    assert not {"rl", "critique"} & set(read_manifest(tmp_path)["stages"])
    assert json.loads((tmp_path / "judge" / "judged.json").read_text())["entropy"] is None
    assert not any(row["rl_groups"] for row in read_table(tmp_path / "ledger" / "ledger.parquet"))


def test_without_trl_nothing_begins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'titer\[rl\]'"):
        run(recipe("stages.rounds=1"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


UP, DOWN, FLAT = Interval(0.1, 0.2, 0.3), Interval(-0.3, -0.2, -0.1), Interval(-0.1, 0.0, 0.1)


@pytest.mark.parametrize(
    ("pass_1", "pass_k", "entropy", "kept"),
    [
        (UP, FLAT, None, True),
        (UP, UP, 0.5, True),
        (FLAT, UP, None, False),
        (UP, DOWN, None, False),  # narrower, not better
        (UP, FLAT, 0.05, False),  # collapsed
        (UP, UP, 0.05, True),
        (DOWN, FLAT, None, False),
    ],
)
def test_pass_at_1_alone_decides_nothing(pass_1: Interval, pass_k: Interval, entropy: float | None, kept: bool) -> None:
    assert is_kept(pass_1, pass_k, entropy, 0.1) is kept
    assert Judged(8, pass_1, pass_k, entropy, kept).narrowed is (pass_1 == UP and pass_k == DOWN)


def rolled(name: str, correct: int, graded: int = 8) -> list[Rollout]:
    return [
        Rollout(problem_id=name, sample=i, model="m", prompt="", reasoning="", response="", finish_reason="stop",
                tokens=1, score=float(i < correct))
        for i in range(graded)
    ]  # fmt: skip


def test_every_trace_goes_where_its_problem_was_sent() -> None:
    counts = {"easy": 8, "half": 4, "never": 0}
    ledger = list(route(solve_rates(one for name, n in counts.items() for one in rolled(name, n))).values())
    traces = [Trace(id=f"{name}:t", problem_id=name, prompt="", response="") for name in (*counts, "unknown")]

    def ids(some: Sequence[Trace]) -> list[str]:
        return [trace.problem_id for trace in some]

    parts = parts_of(traces, ledger, ["easy"], bridge=True)
    assert [ids(some) for some in parts] == [["half"], ["easy"], ["unknown"], ["never"]]
    parts = parts_of(traces, ledger, [], bridge=False)
    assert [ids(some) for some in parts] == [["half", "never"], [], ["unknown"], []]


def test_a_column_of_the_users_own_does_not_make_rehearsal(tmp_path: Path) -> None:
    from titer.measure import solve_rates

    problems = [item.problem for item in items("countdown3", 2, seed=0, held=False)]
    own, keep = (
        [Trace(id=f"{name}{i}", problem_id=p.id, prompt=p.prompt, response="7", meta=meta) for i, p in some]
        for name, some, meta in (("own", enumerate(problems), {"rehearsal": "no"}), ("keep", [(0, problems[0])], {}))
    )
    asked = recipe("stages.bridge=false", "stages.rl=false", "route.rehearsal=0")
    folder = Run.open(tmp_path, name="r", recipe_text="")
    rates = solve_rates(one for p in problems for one in rolled(p.id, 8))  # all solved: none is sent to SFT
    ledger = [entry.row for entry in route(rates).values()]
    kept = [*own, *rehearse(keep, 0.5, 1, 0)]
    folder.stage("curate", {}, lambda work: write_records(work / "kept.parquet", kept) and None)
    folder.stage("route", {}, lambda work: write_table(work / "ledger.parquet", ledger))
    going = Going(asked, folder, Inputs(problems, own, [], keep), print, False)
    found = lessons.lesson(going, "curate", Model("lab", "key"), 1)
    assert [trace.id for trace in read_traces(found / "kept.parquet")] == ["keep0"]
    (decision,) = json.loads((found / "decisions.json").read_text())
    assert decision["evidence"]["of the rehearsal set"] == 1
    # nor does one of another name make a bridged trace
    bridged = replace(own[1], id="own1:pruned", meta={"bridge": "pruned"})
    write_records(found / "kept.parquet", [replace(own[0], meta={"bridge": "no"}), bridged])
    assert [row["made_by"] for row in outcomes(going, 1)] == [[], ["pruned"]]


def test_a_rehearsal_trace_is_not_bridged_for_having_a_hard_problems_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files that count from 0: the rehearsal is of another question."""
    problem = items("countdown3", 1, seed=0, held=False)[0].problem
    own = Trace(id="own", problem_id=problem.id, prompt=problem.prompt, response="7")
    keep = Trace(id="keep", problem_id=problem.id, prompt="Say hello.", response="hello")
    asked = recipe("stages.rl=false", "route.rehearsal=0")
    folder = Run.open(tmp_path, name="r", recipe_text="")
    ledger = [entry.row for entry in route(solve_rates(rolled(problem.id, 0))).values()]
    folder.stage("curate", {}, lambda work: write_records(work / "kept.parquet", [own, keep]) and None)
    folder.stage("route", {}, lambda work: write_table(work / "ledger.parquet", ledger))
    hard: list[Trace] = []

    def bridged(_: object, __: object, traces: list[Trace], *___: object) -> tuple[list[Trace], dict[str, str]]:
        hard.extend(traces)
        return traces, {}

    monkeypatch.setattr(lessons, "_bridged", bridged)
    going = Going(asked, folder, Inputs([problem], [own], [], [keep]), print, False)
    found = lessons.lesson(going, "curate", Model("lab", "key"), 1)
    assert hard == [own] and [trace.id for trace in read_traces(found / "kept.parquet")] == ["own", "keep"]


def test_a_quarter_at_most_is_held_out() -> None:
    problems = [item.problem for item in items("countdown3", 20, seed=0, held=False)]
    taught, held = split_problems(problems, 100, seed=0)
    assert len(held) == 5 and len(taught) == 15 and not {p.id for p in held} & {p.id for p in taught}
    assert split_problems(problems, 3, seed=0).held == [p for p in problems if p in split_problems(problems, 3, 0).held]
    assert len(split_problems(problems, 3, seed=0).held) == 3 and package.run_rounds
