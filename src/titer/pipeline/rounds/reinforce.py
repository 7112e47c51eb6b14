"""RL on the problems that a round's router sends there, and critique of those that it never solved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from titer.pipeline.decisions import write_decisions
from titer.pipeline.going import Going, Model, made_by, named
from titer.pipeline.routes.criticizing import criticize
from titer.pipeline.routes.rl import train_rl
from titer.pipeline.routes.routing import ledger_of
from titer.records import Decision, Problem, Rollout, read_rollouts, read_traces
from titer.stages import sent_to
from titer.store import read_json

SAID = 5  # faults that are said; faults.json has all


def reinforce(going: Going, model: Model, number: int) -> Model:
    """RL on what was routed there; the model that it ends with, or the same where nothing was."""
    name = named("rl", number)
    wanted = set(sent_to(ledger_of(going, number), "rl"))
    problems = [problem for problem in going.inputs.problems if problem.id in wanted]
    if not problems:
        going.said(f"round {number}: no problem for RL")
        going.folder.leave_out(name)
        return model
    going.folder.stage(
        name,
        {
            "model": model.key,
            "routed": going.folder.key(named("route", number)),
            "settings": going.recipe.rl.decisive(),
            "seed": going.recipe.seed,
        },
        lambda work: _train(going, problems, model, number, work),
        said=going.said,
    )
    return made_by(going, name)


def take_apart(going: Going, curated: str, model: Model, number: int) -> None:
    """Lessons of what RL never solved, for the next round."""
    recipe, folder = going.recipe, going.folder
    if named("rl", number) not in folder.manifest["stages"]:
        return folder.leave_out(named("critique", number))
    folder.stage(
        named("critique", number),
        {
            "rl": folder.key(named("rl", number)),
            "traces": folder.key(curated),
            "model": model.key,
            "settings": recipe.critique.model_dump(),
            "generate": recipe.generate.decisive(),
        },
        lambda work: _criticize(going, curated, model, number, work),
        said=going.said,
    )
    return None


def _train(going: Going, problems: Sequence[Problem], model: Model, number: int, work: Path) -> None:
    recipe = going.recipe
    found = train_rl(model.name, problems, recipe.rl, out=work, seed=recipe.seed, progress=going.progress)
    done = found.trained
    if done.stopped:
        going.said(f"rl: stopped after {done.updates} updates: {done.stopped}")
    decision = Decision(
        stage=named("rl", number),
        question=f"How did RL go in round {number}?",
        choice=f"{done.updates} updates on {len(problems)} problems",
        rule=done.stopped or "as the recipe says",
        evidence={
            "mean reward, first tenth": round(found.first_reward, 4),
            "mean reward, last tenth": round(found.last_reward, 4),
            "groups without anything to compare": f"{found.dead:.1%}",
            "problems never solved": len(done.never_solved),
        },
        setting="rl",
    )
    write_decisions(work, [decision])


def _criticize(going: Going, curated: str, model: Model, number: int, work: Path) -> None:
    recipe, path = going.recipe, going.folder.path
    never, failures = never_solved(path / named("rl", number))
    attempts, found = criticize(
        model.name,
        failures,
        {problem.id: problem for problem in going.inputs.problems},
        recipe.critique,
        recipe.generate,
        work=work,
        seed=recipe.seed,
        teachers=[one for one in read_traces(path / curated / "kept.parquet") if one.problem_id in never],
    )
    for fault in found.faults[:SAID]:
        going.said(f"critique: {fault}")
    kinds = [str(lesson.meta["lesson"]) for lesson in found.lessons]
    decision = Decision(
        stage=named("critique", number),
        question=f"What is learned from what RL never solved in round {number}?",
        choice=f"lessons: {len(kinds)}, failed attempts read: {len(attempts)}",
        rule=f"first wrong step by {', then '.join(recipe.critique.locators)}",
        evidence={
            "problems never solved": len(never),
            **{f"lessons to {kind}": kinds.count(kind) for kind in sorted(set(kinds))},
            "attempts without a lesson": len(found.without),
        },
        setting="critique",
    )
    write_decisions(work, [decision])


def never_solved(rl: Path) -> tuple[set[str], list[Rollout]]:
    """The problems that an RL stage never solved, and its rollouts of them."""
    never = read_json(rl / "result.json", lambda row: set(row["never_solved"]))
    file = rl / "failures.jsonl"
    return never, [one for one in read_rollouts(file) if one.problem_id in never] if never and file.exists() else []
